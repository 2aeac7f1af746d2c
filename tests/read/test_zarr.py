"""Zarr stores: both formats, directories and archives; what is missing, and who wrote them."""

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers import formats, zarr_store
from helpers.readers import message
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite import genes as gene_tables
from cytotrace2_lite.read import ReadOptions, open_input, read_expression

zarr = pytest.importorskip("zarr")
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")
IS_NEW = hasattr(zarr.storage, "LocalStore")
VERSIONS = [2, pytest.param(3, marks=pytest.mark.skipif(not IS_NEW, reason="zarr is too old"))]
NEWEST = 3 if IS_NEW else 2
GENES = list(gene_tables.features()[:3])
CELLS = ["c1", "c2", "a-b", "z"]
COUNTS = np.array([[0, 7, 0], [3, 0, 65536], [0, 0, 1], [1, 255, 12]])


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data():
    return formats.Dataset(sparse.csr_array(COUNTS), CELLS, GENES)


@pytest.fixture
def store(data):
    """Write a store whose parts and then files may be changed."""

    def write(parts=None, change=None, *, version=NEWEST, kind="csr", chunks=None, **written):
        made = zarr_store.anndata_parts(data, kind) | (parts or {})
        files = zarr_store.files_of_store(made, version, chunks)
        if change is not None:
            change(files)
        path = Path("t.zarr")
        shutil.rmtree(path, ignore_errors=True)
        return zarr_store.write_files(files, path, **written)

    return write


def refused(path="t.zarr", **options):
    return message(str(path), **options)


@pytest.mark.parametrize("version", VERSIONS)
class TestMatrix:
    @pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
    @pytest.mark.parametrize("chunks", [None, (1, 1), (2, 2), (3, 2), (100, 100)])
    def test_chunks(self, data, version, kind, chunks, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.read._blocks._N_VALUES", 3)
        monkeypatch.setattr("cytotrace2_lite.read._chunks._N_VALUES", 2)
        for compressed in (False, True):
            path = Path(f"{compressed}.zarr")
            zarr_store.zarr(data, path, kind, version=version, chunks=chunks, compressed=compressed)
            expression, source = read_expression(path)
            np.testing.assert_array_equal(expression.values.toarray(), COUNTS)
            assert (expression.cells, expression.genes) == (CELLS, GENES)
            assert (source.format, source.matrix, source.n_missing_chunks) == ("zarr", "X", 0)

    def test_layers_and_raw(self, data, version):
        path = zarr_store.zarr(data, Path("t.zarr"), where="layers/counts", version=version)
        expression, source = read_expression(path, layer="counts")
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)
        assert source.other_matrices == ("X",)
        assert read_expression(path)[1].instead_of == "X"
        path = zarr_store.zarr(data, Path("r.zarr"), where="raw/X", version=version)
        expression, source = read_expression(path, use_raw=True)
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)
        assert source.matrix == "raw.X"

    def test_modality_of_mudata(self, data, version):
        parts = {f"mod/rna/{name}": part for name, part in zarr_store.anndata_parts(data).items()}
        parts = {name.rstrip("/"): part for name, part in parts.items()}
        parts |= {"": {"encoding-type": "MuData"}, "mod/prot": {}, "obs": {}, "var": {}}
        zarr_store.write_files(zarr_store.files_of_store(parts, version), Path("t.zarr"))
        expression, source = read_expression("t.zarr")
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)
        assert source.matrix == "X of mod['rna']"
        assert source.other_matrices == ("mod['prot']",)


@pytest.mark.parametrize("version", VERSIONS)
class TestCells:
    PARTS = {  # noqa: RUF012 (not changed)
        "obs/donor": {"encoding-type": "categorical"},
        "obs/donor/codes": np.array([0, 1, -1, 0], "i1"),
        "obs/donor/categories": ["one", "two"],
        "obs/n": {"encoding-type": "nullable-integer"},
        "obs/n/values": np.array([1, 2, 3, 4]),
        "obs/n/mask": np.array([True, False, False, False]),
        "obs/text": ["a", "b", "c", "d"],
        "obs/old": (np.array([1, 0, -1, 0], "i1"), {"categories": "obs/__categories/old"}),
        "obs/__categories/old": ["x", "y"],
        "obsm/X_umap": np.arange(8.0).reshape(4, 2),
    }

    @pytest.mark.parametrize("zipped", [False, True])
    def test_labels(self, store, version, zipped):
        path = store(self.PARTS, version=version, zipped=zipped)
        with open_input(str(path)) as source:
            assert source.has_cell_data
            assert not source.is_h5ad
            assert source.describes_cells("auto")
            assert source.obs_column("donor") == ["one", "two", "", "one"]
            assert source.obs_column("n") == ["", "2", "3", "4"]
            assert source.obs_column("text") == ["a", "b", "c", "d"]
            assert source.obs_column("old") == ["y", "x", "", "x"]
            assert source.obsm("X_umap").tolist() == np.arange(8.0).reshape(4, 2).tolist()
            assert source.read(ReadOptions())[0].cells == CELLS
            with pytest.raises(ct2.UsageError) as caught:
                source.obs_column("nothing")
            assert str(caught.value) == (
                "t.zarr: obs has no column 'nothing' of labels. Its columns are 'donor', 'n', "
                "'old', ..."
                "."
            )

    def test_a_run_by_sample(self, store, version, ensembles):
        path = store({"obs/donor": ["a", "b", "a", "b"]}, version=version)
        result = ct2.run(str(path), batches="donor", model=ensembles["1.1.0"])
        assert result.info["input"]["format"] == "zarr"
        assert [batch["sample"] for batch in result.info["quality"]["batches"]] == ["a", "b"]


class TestArchive:
    @pytest.mark.parametrize("folder", ["", "expr.zarr/"])
    @pytest.mark.parametrize("version", VERSIONS)
    def test_read(self, data, version, folder):
        path = zarr_store.zarr(data, Path("t.zip"), version=version, zipped=True, folder=folder)
        expression, source = read_expression(path)
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)
        assert source.n_bytes == path.stat().st_size
        assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    @pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a//x", "..\\x", "C:/x"])
    def test_names_that_lead_out(self, data, name):
        path = zarr_store.zarr(data, Path("t.zip"), version=2, zipped=True)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, b"x")
        assert refused(path) == (
            f"t.zip: the zip archive has a file called {name!r}, which may lead out of it. Make "
            "the archive again."
        )

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_two_of_a_name(self, data):
        path = zarr_store.zarr(data, Path("t.zip"), version=2, zipped=True)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("X/data/0", b"x")
        assert refused(path) == (
            "t.zip: the zip archive has two files called 'X/data/0'. Make it again."
        )

    def test_cut_short_and_changed(self, data):
        content = zarr_store.zarr(data, Path("t.zip"), version=2, zipped=True).read_bytes()
        Path("t.zip").write_bytes(content[:-30])
        assert refused("t.zip").startswith("t.zip: this is a zip archive, which is not read;")
        at = content.index(COUNTS[COUNTS > 0].astype("<f4").tobytes())
        changed = content[:at] + b"\1" + content[at + 1 :]
        Path("t.zip").write_bytes(changed)
        text = refused("t.zip")
        assert text.startswith("t.zip: the Zarr store cannot be read (/X/data: Bad CRC-32"), text

    def test_another_archive(self):
        with zipfile.ZipFile("t.zip", "w") as archive:
            archive.writestr("x/readme.txt", b"x")
        assert refused("t.zip").startswith("t.zip: this is a zip archive, which is not read;")


class TestDirectory:
    def test_digest(self, store):
        """The digest is that of what sha256sum lists."""
        path = store()
        names = sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
        lines = [
            f"{hashlib.sha256((path / name).read_bytes()).hexdigest()}  ./{name}\n"
            for name in names
        ]
        source = read_expression(path)[1]
        assert source.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
        assert source.n_bytes == sum((path / name).stat().st_size for name in names)

    def test_any_name(self, store):
        store().rename("results")
        assert read_expression("results")[0].cells == CELLS

    def test_group_of_a_larger_store(self, data):
        parts = {
            f"tables/table/{name}".rstrip("/"): part
            for name, part in zarr_store.anndata_parts(data).items()
        }
        parts[""] = {"spatialdata_attrs": {}}
        zarr_store.write_files(zarr_store.files_of_store(parts, NEWEST), Path("t.zarr"))
        assert refused() == (
            "t.zarr: this Zarr store is neither AnnData nor MuData; it holds 'tables'. There is "
            "AnnData in 'tables/table': give that."
        )
        assert read_expression("t.zarr/tables/table")[0].cells == CELLS

    def test_something_else(self):
        files = zarr_store.files_of_store({"": {}, "a": np.zeros(3)}, NEWEST)
        zarr_store.write_files(files, Path("t.zarr"))
        assert refused() == ("t.zarr: this Zarr store is neither AnnData nor MuData; it holds 'a'.")

    def test_links_and_other_things(self, store):
        path = store(version=2)
        (path / "X/data/0").rename("elsewhere")
        (path / "X/data/0").symlink_to(Path("elsewhere").resolve())
        assert refused() == (
            "t.zarr: 'X/data/0' is a link, which is not followed. Copy the store with its files "
            "in it."
        )
        (path / "X/data/0").unlink()
        os.mkfifo(path / "X/data/0")
        assert refused() == (
            "t.zarr: 'X/data/0' is neither a file nor a directory. Copy the store with its files "
            "in it."
        )

    def test_a_change_meanwhile(self, store):
        path = store(version=2)

        def change(*_):
            (path / "X/data/0").write_bytes((path / "X/data/0").read_bytes())

        with pytest.raises(ct2.InputError) as caught, open_input(path) as source:
            source.read(ReadOptions(), progress=change)
        assert str(caught.value) == (
            "t.zarr: the store changed while it was read. Start again when it is complete."
        )


class TestMissingChunks:
    """Zarr gives the fill value for them, without a word."""

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("name", ["data", "indices", "indptr"])
    def test_of_a_sparse_matrix(self, store, version, name):
        key = f"X/{name}/1" if version == 2 else f"X/{name}/c/1"
        store(version=version, chunks=2, change=lambda files: files.pop(key))
        n_chunks = 3 if name == "indptr" else 4
        assert refused() == (
            f"t.zarr: '/X/{name}' has {n_chunks} chunks, and 1 of them are not in the store. Copy "
            "or write it again."
        )

    @pytest.mark.parametrize("version", VERSIONS)
    def test_of_a_dense_matrix(self, store, version, ensembles):
        key = "X/1.0" if version == 2 else "X/c/1/0"
        path = store(
            version=version, kind="dense", chunks=(2, 2), change=lambda files: files.pop(key)
        )
        expression, source = read_expression(path)
        expected = COUNTS.copy()
        expected[2:, :2] = 0
        np.testing.assert_array_equal(expression.values.toarray(), expected)
        assert source.n_missing_chunks == 1
        findings = [
            found
            for found in ct2.check(str(path), model=ensembles["1.1.0"])
            if found.code == "missing_chunks"
        ]
        assert [found.severity for found in findings] == ["warning"]
        assert str(findings[0]).startswith(
            "the Zarr store lacks 1 chunk of X, which are read as zeros."
        )

    @pytest.mark.parametrize("version", VERSIONS)
    def test_of_names(self, store, version):
        key = "obs/names/0" if version == 2 else "obs/names/c/0"
        store(version=version, change=lambda files: files.pop(key))
        assert refused() == "t.zarr: cell 1 has no name. Name it or remove it."

    def test_of_codes(self, store):
        """Those of the first category may be left out, and are by zarr 3."""
        parts = {
            "obs/donor": {"encoding-type": "categorical"},
            "obs/donor/codes": np.zeros(4, "i1"),
            "obs/donor/categories": ["one"],
        }
        path = store(parts, lambda files: files.pop("obs/donor/codes/0"), version=2)
        with open_input(path) as source:
            assert source.obs_column("donor") == ["one"] * 4

    def test_without_values(self, store):
        empty = {"X/data": np.zeros(0, "<f4"), "X/indices": np.zeros(0, "<i4")}
        path = store(
            empty | {"X/indptr": np.zeros(5, "<i8")},
            lambda files: files.pop("X/indptr/0"),
            version=2,
        )
        assert read_expression(path)[0].max_value == 0


def edit(name, **fields):
    def change(files):
        files[name] = json.dumps(json.loads(files[name]) | fields).encode()

    return change


class TestDamaged:
    def test_codecs_that_execute(self, store):
        """A pickle in a chunk is not loaded."""
        for change in (
            edit("obs/names/.zarray", filters=[{"id": "pickle", "protocol": 4}]),
            edit("obs/names/.zarray", compressor={"id": "pickle"}),
        ):
            store(version=2, change=change)
            assert refused() == (
                "t.zarr: '/obs/names' is packed with 'pickle', which is not read. Write the store "
                "with Blosc, Zstandard or gzip."
            )

    @pytest.mark.skipif(not IS_NEW, reason="zarr is too old")
    def test_codecs_within_shards(self, store):
        inner = [{"name": "numcodecs.pickle", "configuration": {}}]
        codec = {
            "name": "sharding_indexed",
            "configuration": {"chunk_shape": [1], "codecs": inner, "index_codecs": []},
        }
        store(version=3, change=edit("X/data/zarr.json", codecs=[codec]))
        assert refused().startswith("t.zarr: '/X/data' is packed with 'numcodecs.pickle', which")

    def test_far_more_than_there_is(self, store):
        store(
            version=2, kind="dense", change=edit("X/.zarray", shape=[10**6] * 2, chunks=[10**3] * 2)
        )
        assert refused().startswith("t.zarr: '/X' claims 1,000,000,000,000 values, but the file ")
        store(version=2, kind="dense", change=edit("X/.zarray", chunks=[10**5] * 2))
        assert refused() == (
            "t.zarr: '/X' has chunks of more than 1 GiB. Write it with smaller chunks."
        )

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("content", [b"", b"x", b"{", b"[]", b"3", b"[" * 10**5])
    @pytest.mark.parametrize("name", ["X/data", "X", "obs", ""])
    def test_metadata(self, store, version, content, name):
        file = "zarr.json" if version == 3 else ".zarray" if name == "X/data" else ".zattrs"
        file = f"{name}/{file}" if name else file
        store(version=version, change=lambda files: files.update({file: content}))
        assert refused().startswith("t.zarr: ")

    @pytest.mark.parametrize("version", VERSIONS)
    def test_chunks_that_are_cut_or_of_another_type(self, store, version):
        key = "X/data/0" if version == 2 else "X/data/c/0"
        store(version=version, change=lambda files: files.update({key: files[key][:-3]}))
        assert refused().startswith("t.zarr: the Zarr store cannot be read (/X/data: ")
        store({"X/data": ["1"] * 7}, version=version)
        assert refused() == "t.zarr: the matrix holds object, not real numbers."

    @pytest.mark.parametrize("version", VERSIONS)
    def test_values(self, store, version):
        for value, what in ((-1, "-1 is negative"), (np.nan, "nan is not a finite number")):
            store({"X/data": np.array([1, value, 1, 1, 1, 1, 1], "<f4")}, version=version)
            assert refused() == (
                f"t.zarr: gene {GENES[0]!r}, cell 'c2': the value {what}. Give raw counts, CPM or "
                "TPM, and 0 where nothing was counted."
            )

    @pytest.mark.parametrize("version", VERSIONS)
    def test_sparse_parts_that_do_not_fit(self, store, version):
        for parts in (
            {"X/indices": np.array([1, 0, 2, 2, 0, 1, 3], "<i4")},
            {"X/indices": np.array([1, 0, 2, 2, 0, 1, -1], "<i4")},
            {"X/indptr": np.array([0, 1, 3, 2, 7], "<i8")},
            {"X/data": np.ones(6, "<f4")},
        ):
            store(parts, version=version)
            assert refused() == (
                "t.zarr: the sparse matrix is damaged: its data, indices and indptr do not fit "
                "together. Copy or write it again."
            )

    @pytest.mark.skipif(IS_NEW, reason="zarr is new enough")
    def test_format_3_with_an_old_zarr(self, store):
        store(version=3)
        text = refused(error=ct2.CytoTRACE2Error)
        assert text.startswith("t.zarr: this is a Zarr store of format 3, and zarr 2.")

    def test_without_the_package(self, store, monkeypatch):
        store(version=2)
        monkeypatch.setitem(__import__("sys").modules, "zarr", None)
        assert refused(error=ct2.CytoTRACE2Error) == (
            "t.zarr: Zarr stores need the package zarr: pip install 'cytotrace2-lite[zarr]'."
        )


@pytest.mark.skipif(not IS_NEW, reason="zarr is too old")
def test_shards(store):
    """Several chunks in one file, as zarr 3 writes them."""
    path = store(version=3)
    shutil.rmtree(path / "X")
    root = zarr.open_group(str(path), mode="a")
    array = root.create_array("X", shape=(4, 3), chunks=(1, 2), shards=(2, 4), dtype="f4")
    array[:] = COUNTS
    expression, source = read_expression(path)
    np.testing.assert_array_equal(expression.values.toarray(), COUNTS)
    assert source.n_missing_chunks == 0


@pytest.mark.filterwarnings("ignore")
class TestWriters:
    """Stores of anndata itself, where it is installed."""

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("kind", ["csr", "csc", "array"])
    def test_anndata(self, version, kind, tmp_path):
        anndata = pytest.importorskip("anndata")
        import pandas as pd

        settings = getattr(anndata, "settings", None)
        if version == 3 and not hasattr(settings, "zarr_write_format"):
            pytest.skip("this anndata writes format 2")
        if hasattr(settings, "zarr_write_format"):
            settings.zarr_write_format = version
        matrix = COUNTS.astype("f4")
        adata = anndata.AnnData(
            matrix if kind == "array" else getattr(sparse, f"{kind}_matrix")(matrix),
            obs=pd.DataFrame({"donor": pd.Categorical(["a"] * 4)}, index=CELLS),
            var=pd.DataFrame(index=GENES),
            layers={"counts": sparse.csr_matrix(matrix * 2)},
        )
        adata.raw = adata.copy()
        adata.write_zarr(tmp_path / "x.zarr")
        for options, factor in (({}, 1), ({"layer": "counts"}, 2), ({"use_raw": True}, 1)):
            expression, _ = read_expression(tmp_path / "x.zarr", **options)
            assert (expression.cells, expression.genes) == (CELLS, GENES)
            np.testing.assert_array_equal(expression.values.toarray(), factor * COUNTS)
        with open_input(tmp_path / "x.zarr") as source:
            assert source.obs_column("donor") == ["a"] * 4

    def test_mudata(self, tmp_path):
        anndata = pytest.importorskip("anndata")
        mudata = pytest.importorskip("mudata")
        import pandas as pd

        frames = {"obs": pd.DataFrame({"donor": list("abab")}, index=CELLS)}
        rna = anndata.AnnData(COUNTS.astype("f4"), var=pd.DataFrame(index=GENES), **frames)
        other = anndata.AnnData(np.ones((4, 2), "f4"), obs=pd.DataFrame(index=CELLS))
        both = mudata.MuData({"rna": rna, "prot": other})
        both.write(tmp_path / "x.h5mu")
        both.write_zarr(str(tmp_path / "x.zarr"))
        for name in ("x.h5mu", "x.zarr"):
            expression, source = read_expression(tmp_path / name)
            np.testing.assert_array_equal(expression.values.toarray(), COUNTS)
            assert source.matrix == "X of mod['rna']"
            with open_input(tmp_path / name) as source:
                assert source.obs_column("donor") == list("abab")
