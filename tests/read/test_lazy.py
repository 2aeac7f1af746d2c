"""Objects whose values are not in memory: read some at a time, and never as a whole."""

import weakref

import numpy as np
import pandas as pd
import pytest
from helpers import formats, zarr_store
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite import genes as gene_tables
from cytotrace2_lite.read import _lazy, read_expression

h5py = pytest.importorskip("h5py")
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")
GENES = list(gene_tables.features()[:3])
CELLS = ["c1", "c2", "a-b", "z"]
COUNTS = np.array([[0, 7, 0], [3, 0, 65536], [0, 0, 1], [1, 255, 12]], "f4")


@pytest.fixture
def data():
    return formats.Dataset(sparse.csr_array(COUNTS.astype(int)), CELLS, GENES)


def values(matrix, **options):
    return read_expression(matrix, genes=GENES, **options)[0].values.toarray()


class OnDisk:
    """As anndata's sparse matrix on disk, which must not be sliced."""

    def __init__(self, group, kind, shape):
        self.group, self.format, self.shape = group, kind, shape
        self.dtype = np.dtype("f4")

    def __getitem__(self, where):
        raise AssertionError(f"sliced: {where}")


class TestOnDisk:
    @pytest.mark.parametrize("kind", ["csr", "csc"])
    @pytest.mark.parametrize("turned", [False, True])
    def test_hdf5(self, data, kind, turned, tmp_path, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.read._blocks._N_VALUES", 3)
        path = formats.h5ad(data, tmp_path / "x.h5ad", kind, chunks=True, compression="gzip")
        with h5py.File(path) as file:
            matrix = OnDisk(file["X"], kind, (4, 3))
            if turned:
                found = read_expression(
                    matrix, genes=CELLS, cells=GENES, orientation="genes-x-cells"
                )[0].values.toarray()
                np.testing.assert_array_equal(found, COUNTS.T)
            else:
                np.testing.assert_array_equal(values(matrix), COUNTS)

    def test_large_chunks(self, data, tmp_path):
        """A chunk is decompressed once; one that does not fit into memory is refused."""
        path = formats.h5ad(data, tmp_path / "x.h5ad")
        with h5py.File(path, "r+") as file:
            group = file["X"]
            for name, kind in (("data", "f4"), ("indices", "i4")):
                del group[name]
                shape = (16_000_000,)
                item = group.create_dataset(name, shape, kind, chunks=shape, compression="gzip")
                item[...] = 0
            matrix = OnDisk(group, "csr", (4, 3))
            with pytest.raises(ct2.UsageError) as caught:
                ct2.check(matrix, genes=GENES, max_memory=100_000_000)
        assert str(caught.value).startswith(
            "OnDisk: '/X/data' is compressed in chunks of 64 MB, which can only be read whole."
        )

    def test_damaged(self, data, tmp_path):
        path = formats.h5ad(data, tmp_path / "x.h5ad")
        with h5py.File(path, "r+") as file:
            file["X/indices"][0] = 9
            with pytest.raises(ct2.InputError) as caught:
                values(OnDisk(file["X"], "csr", (4, 3)))
        assert str(caught.value).startswith("OnDisk: the sparse matrix is damaged: its data, ")

    @pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
    def test_zarr(self, data, kind, tmp_path):
        zarr = pytest.importorskip("zarr")
        path = zarr_store.zarr(data, tmp_path / "x.zarr", kind, version=2, chunks=2)
        item = zarr.open_group(str(path), mode="r")["X"]
        matrix = item if kind == "dense" else OnDisk(item, kind, (4, 3))
        np.testing.assert_array_equal(values(matrix), COUNTS)


class Frame:
    """As anndata's Dataset2D: the columns are read one at a time, when they are asked for."""

    def __init__(self, frame, read):
        self._frame, self._read = frame, read
        self.index, self.columns = frame.index, frame.columns

    def __contains__(self, name):
        return name in self._frame

    def __getitem__(self, names):
        assert isinstance(names, list), "a lazy column"
        return Frame(self._frame[names], self._read)

    def to_memory(self):
        self._read.extend(self._frame.columns)
        return self._frame


class AnnData:
    """As much as is used of what `read_lazy` gives."""

    X = None

    def __init__(self, x):
        self.read = []
        obs = pd.DataFrame({"donor": list("abab"), "other": 1}, index=CELLS)
        var = pd.DataFrame({"gene_ids": ["x", "y", "z"], "n": 1}, index=GENES)
        self.X, self.layers, self.uns = x, {}, {}
        self.obs, self.var = Frame(obs, self.read), Frame(var, self.read)
        self.obs_names, self.obsm = obs.index, {}


def test_columns_are_read_as_needed():
    adata = AnnData(sparse.csr_matrix(COUNTS))
    expression, source = read_expression(adata, lambda names: gene_tables.is_known(names, "mouse"))
    assert expression.cells == CELLS
    assert source.gene_names == "var_names"
    assert adata.read == ["gene_ids"]
    findings = ct2.check(adata, batches="donor")
    assert findings
    assert "other" not in adata.read
    assert "donor" in adata.read


class TestDask:
    @pytest.fixture
    def da(self):
        return pytest.importorskip("dask.array")

    @pytest.mark.parametrize("chunks", [(1, 1), (2, 3), (3, 2), (4, 3)])
    @pytest.mark.parametrize("n_values", [1, 4, 1000])
    @pytest.mark.parametrize(
        "kind", [None, sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix, np.ma.array]
    )
    def test_chunks(self, da, chunks, kind, n_values, monkeypatch):
        monkeypatch.setattr(_lazy, "_N_VALUES", n_values)
        monkeypatch.setattr("cytotrace2_lite.read._blocks._N_VALUES", 2)
        matrix = da.from_array(COUNTS, chunks=chunks)
        matrix = matrix if kind is None else matrix.map_blocks(kind, dtype="f4")
        np.testing.assert_array_equal(values(matrix), COUNTS)
        turned = read_expression(matrix, genes=CELLS, cells=GENES, orientation="genes-x-cells")[0]
        np.testing.assert_array_equal(turned.values.toarray(), COUNTS.T)

    def test_never_as_a_whole(self, da, monkeypatch):
        """No more chunks at a time than are computed together."""
        monkeypatch.setattr(_lazy, "_N_VALUES", 2_000_000)
        made, most = [], [0]

        class Part(np.ndarray):
            pass

        def make(block_info=None):
            part = np.zeros(block_info[None]["chunk-shape"]).view(Part)
            made.append(weakref.ref(part))
            most[0] = max(most[0], sum(one() is not None for one in made))
            return part

        matrix = da.map_blocks(make, chunks=((1000,) * 20, (1000,)), dtype="f8")
        genes = [f"g{i}" for i in range(1000)]
        expression, _ = read_expression(matrix, genes=genes)
        assert len(expression.cells) == 20_000
        assert len(made) >= 20
        assert most[0] <= 4

    def test_in_anndata(self, da):
        adata = AnnData(da.from_array(COUNTS, chunks=(2, 3)).map_blocks(sparse.csr_matrix))
        expression, _ = read_expression(adata)
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)

    def test_what_is_refused(self, da):
        matrix = da.from_array(COUNTS, chunks=(2, 3))
        for wrong, error, text in (
            (matrix[matrix[:, 0] > 0], ct2.UsageError, "the sizes of the chunks of this Dask "),
            (matrix.map_blocks(lambda part: part[:1], dtype="f4"), ct2.InputError, "a chunk of "),
            (
                matrix.map_blocks(lambda part: part.astype("U")),
                ct2.InputError,
                "the matrix holds <U",
            ),
            (matrix - 1, ct2.InputError, f"gene {GENES[0]!r}, cell '0': the value -1 is negative"),
            (matrix[0], ct2.UsageError, "the matrix has 1 dimensions"),
        ):
            with pytest.raises(error) as caught:
                values(wrong)
            assert str(caught.value).startswith(text)


@pytest.mark.filterwarnings("ignore")
class TestAnnData:
    """With anndata itself, where it is installed."""

    @pytest.fixture
    def adata(self):
        anndata = pytest.importorskip("anndata")
        return anndata.AnnData(
            sparse.csr_matrix(COUNTS),
            obs=pd.DataFrame({"donor": pd.Categorical(list("abab"))}, index=CELLS),
            var=pd.DataFrame({"gene_ids": ["x", "y", "z"]}, index=GENES),
        )

    @pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
    def test_backed(self, adata, kind, tmp_path):
        import anndata

        matrix = adata.X.toarray() if kind == "dense" else adata.X.asformat(kind)
        adata.X = matrix
        adata.write_h5ad(tmp_path / "x.h5ad")
        backed = anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")
        found = read_expression(backed)[0]
        np.testing.assert_array_equal(found.values.toarray(), COUNTS)
        try:
            _ = backed[1:3].X
        except AttributeError:
            pytest.skip("this anndata and this SciPy do not go together")
        np.testing.assert_array_equal(read_expression(backed[1:3])[0].values.toarray(), COUNTS[1:3])
        backed.file.close()

    @pytest.mark.parametrize("form", ["zarr", "h5ad"])
    def test_read_lazy(self, adata, form, tmp_path, ensembles):
        from anndata import experimental

        if not hasattr(experimental, "read_lazy"):
            pytest.skip("this anndata has no read_lazy")
        for name in ("dask", "xarray"):
            pytest.importorskip(name)
        path = tmp_path / f"x.{form}"
        adata.write_zarr(path) if form == "zarr" else adata.write_h5ad(path)
        unread = experimental.read_lazy(path)
        found = read_expression(unread)[0]
        np.testing.assert_array_equal(found.values.toarray(), COUNTS)
        assert (found.cells, found.genes) == (CELLS, GENES)
        part = read_expression(unread[1:3])[0]
        np.testing.assert_array_equal(part.values.toarray(), COUNTS[1:3])
        model = ensembles["1.1.0"]
        expected = ct2.run(adata, batches="donor", model=model).to_bytes()
        assert ct2.run(unread, batches="donor", model=model).to_bytes() == expected
        assert "CytoTRACE2_Score" in unread.obs
        ct2.run(unread, model=model, columns="CytoTRACE2_Score")
        assert "CytoTRACE2_Potency" not in unread.obs
