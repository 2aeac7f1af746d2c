"""HDF5 files: filters, user blocks, files held open, large chunks, and what is refused."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import formats
from helpers.readers import CELLS, COUNTS, GENES, is_known, message
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite.read import ReadOptions, open_input, read_expression
from cytotrace2_lite.read._blocks import dense_steps

h5py = pytest.importorskip("h5py")
pytestmark = pytest.mark.usefixtures("working_directory")


class TestFilters:
    """A filter that is not there is named, and so is what brings it."""

    def write(self, code):
        """Write a file that says that a filter was used, which has an empty dataset."""
        formats.h5ad(formats.Dataset(sparse.csr_matrix(COUNTS), CELLS, GENES), "t.h5ad")
        with h5py.File("t.h5ad", "r+") as file:
            del file["X/data"]
            settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            settings.set_chunk((5,))
            settings.set_filter(code, h5py.h5z.FLAG_OPTIONAL)
            kind, space = h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((5,))
            h5py.h5d.create(file["X"].id, b"data", kind, space, settings)

    @pytest.fixture
    def no_plugin(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "hdf5plugin", None)
        monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: code < 256)

    @pytest.mark.parametrize(
        ("code", "name"), [(32015, "Zstandard"), (32001, "Blosc"), (32004, "LZ4"), (307, "bzip2")]
    )
    def test_of_hdf5plugin(self, code, name, no_plugin):
        self.write(code)
        assert message("t.h5ad") == (
            f"t.h5ad: '/X/data' is compressed with {name}, which h5py cannot read alone: pip "
            "install hdf5plugin."
        )

    def test_of_others(self, no_plugin):
        self.write(31999)
        assert message("t.h5ad") == (
            "t.h5ad: '/X/data' is compressed with the filter 31999 of HDF5, which h5py cannot read "
            'here. Write the file with compression="gzip".'
        )

    @pytest.mark.parametrize("kind", ["csr", "dense"])
    def test_the_plugin_is_loaded(self, data, kind):
        """In a process of its own: it writes with the plugin, and this one reads."""
        pytest.importorskip("hdf5plugin")
        formats.h5ad(data, "plain.h5ad", kind)
        script = (
            "import h5py, hdf5plugin\n"
            "with h5py.File('plain.h5ad') as old, h5py.File('t.h5ad', 'w') as new:\n"
            "    new.attrs.update(old.attrs)\n"
            "    for name in old: old.copy(name, new)\n"
            "    name = 'X' if isinstance(new['X'], h5py.Dataset) else 'X/data'\n"
            "    values = new[name][:]; attrs = dict(new[name].attrs); del new[name]\n"
            "    new.create_dataset(name, data=values, **hdf5plugin.Zstd())\n"
            "    new[name].attrs.update(attrs)\n"
        )
        subprocess.run([sys.executable, "-c", script], check=True)
        expression, _ = read_expression("t.h5ad")
        assert expression.values.toarray().tolist() == COUNTS.tolist()


@pytest.mark.parametrize("size", [512, 1024, 4096])
def test_user_block(data, size):
    formats.h5ad(data, "plain.h5ad")
    with h5py.File("plain.h5ad") as old, h5py.File("t.h5ad", "w", userblock_size=size) as new:
        new.attrs.update(old.attrs)
        for name in old:
            old.copy(name, new)
    expression, _ = read_expression("t.h5ad")
    assert expression.values.toarray().tolist() == COUNTS.tolist()


@pytest.mark.skipif(sys.platform == "win32", reason="files are locked in another way")
def test_open_in_another_program(data):
    formats.h5ad(data, "t.h5ad")
    script = "import h5py, sys; f = h5py.File('t.h5ad', 'r+'); print('on', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"on\n"
        text = message("t.h5ad")
        other.communicate(b"\n")
    assert text == (
        "t.h5ad: a program has the file open for writing. Close it there and start again."
    )
    assert read_expression("t.h5ad")[0].genes == GENES


class TestMuData:
    def write(self, data, *names):
        formats.h5ad(data, "t.h5ad")
        with h5py.File("t.h5ad") as old, h5py.File("t.h5mu", "w") as new:
            new.attrs["encoding-type"] = "MuData"
            for name in ("obs", "var"):
                old.copy(name, new)
            new.create_group("mod")
            for name in names:
                old.copy("/", new["mod"], name=name)

    def test_rna_is_read(self, data):
        self.write(data, "prot", "rna", "atac")
        expression, source = read_expression("t.h5mu")
        assert expression.values.toarray().tolist() == COUNTS.tolist()
        assert source.describe() == (
            "h5mu, X of mod['rna'] (not mod['atac'], mod['prot']), cells x genes, gene names from "
            "the index of var"
        )
        assert source.hint() == ""

    def test_other_names_of_it(self, data):
        self.write(data, "airr", "gex")
        assert "X of mod['gex'] (not mod['airr'])" in read_expression("t.h5mu")[1].describe()
        self.write(data, "gex", "RNA")
        assert message("t.h5mu").startswith(
            "t.h5mu: this MuData file has several modalities for 'rna': 'RNA', 'gex'. In Python, "
        )

    @pytest.mark.parametrize(
        ("names", "there"), [(("prot", "atac"), "has 'atac', 'prot'"), ((), "is empty")]
    )
    def test_no_rna(self, data, names, there):
        self.write(data, *names)
        assert message("t.h5mu") == (
            f"t.h5mu: this MuData file has no modality 'rna'; it {there}. In Python, "
            'mudata.read_h5mu("t.h5mu")["NAME"].write_h5ad("expr.h5ad") writes one of them.'
        )


class TestLargeChunks:
    """A chunk is decompressed once, and looked at some values at a time."""

    @pytest.fixture
    def large(self):
        rng = np.random.default_rng(0)
        counts = sparse.random(300, 400, 0.3, "csr", np.int64, rng, lambda n: rng.integers(1, 9, n))
        return formats.Dataset(counts, [f"c{i}" for i in range(300)], [f"g{i}" for i in range(400)])

    @pytest.fixture(autouse=True)
    def small_steps(self, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.read._blocks._N_VALUES", 700)
        monkeypatch.setattr("cytotrace2_lite.read._chunks._IN_CACHE", 1000)

    @pytest.mark.parametrize(
        ("kind", "chunks"),
        [
            *(("csr", (size,)) for size in (100, 999, 7000, 36_000)),
            ("csc", (5000,)),
            *(("dense", size) for size in ((300, 400), (7, 400), (300, 3), (50, 90), (1, 400))),
        ],
    )
    def test_same_values(self, large, kind, chunks):
        formats.h5ad(large, "t.h5ad", kind, chunks=chunks, compression="gzip") if (
            kind == "dense"
        ) else self.rewrite(large, kind, chunks)
        expression, _ = read_expression("t.h5ad")
        assert (expression.values != large.counts.tocsc()).nnz == 0

    def rewrite(self, large, kind, chunks):
        formats.h5ad(large, "t.h5ad", kind)
        with h5py.File("t.h5ad", "r+") as file:
            for name in ("data", "indices"):
                values = file["X"][name][:]
                del file["X"][name]
                file["X"].create_dataset(name, data=values, chunks=chunks, compression="gzip")

    @pytest.mark.parametrize("chunks", [(300, 400), (2, 400), (300, 2)])
    def test_steps_of_a_dense_chunk_are_small(self, large, chunks):
        """Indices of the values of a whole chunk would take many times its memory."""
        formats.h5ad(large, "t.h5ad", "dense", chunks=chunks, compression="gzip")
        with h5py.File("t.h5ad") as file:
            sizes = [len(value) for (_, _, value), _ in dense_steps(file["X"])]
        assert sum(sizes) == large.counts.nnz
        assert max(sizes) <= 800

    def test_no_chunk_is_read_twice(self, large, monkeypatch):
        self.rewrite(large, "csr", (7000,))
        reads = []
        plain = h5py.Dataset.__getitem__

        def counted(self, where, *args, **options):
            if self.name == "/X/data":
                reads.append(where)
            return plain(self, where, *args, **options)

        monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
        read_expression("t.h5ad")
        assert reads == [slice(at, at + 7000) for at in range(0, large.counts.nnz, 7000)]

    @pytest.mark.parametrize("kind", ["csr", "dense"])
    def test_too_large_for_memory(self, kind):
        n = 30_000_000
        data = formats.Dataset(sparse.csr_matrix(COUNTS), CELLS, GENES)
        formats.h5ad(data, "t.h5ad", kind)
        with h5py.File("t.h5ad", "r+") as file:
            if kind == "dense":
                del file["X"]
                file.create_dataset(
                    "X", (3, 4), "f8", chunks=(n // 4, 4), compression="gzip", maxshape=(None, 4)
                )
                file["X"][:] = COUNTS
            else:
                del file["X/data"]
                file["X"].create_dataset(
                    "data", (5,), "f8", chunks=(n,), maxshape=(None,), compression="gzip"
                )
                file["X/data"][:] = sparse.csr_matrix(COUNTS).data
        with open_input("t.h5ad") as source, pytest.raises(ct2.UsageError) as caught:
            source.read(ReadOptions(max_memory=400_000_000))
        name = "/X" if kind == "dense" else "/X/data"
        assert str(caught.value) == (
            f"t.h5ad: '{name}' is compressed in chunks of 240 MB, which can only be read whole. "
            "That takes 0.48 GB of memory, and only 0.4 GB may be taken. Raise --max-memory "
            "(max_memory), or write the file with smaller chunks."
        )


class TestMessages:
    @pytest.fixture(autouse=True)
    def h5py(self):
        return pytest.importorskip("h5py")

    @pytest.fixture
    def change(self, h5py, data):
        """Function that makes a file, changes it and returns the message it gives."""

        def change(function, writer=formats.h5ad, *arguments, **options):
            path = writer(data, Path("t.h5"), *arguments)
            with h5py.File(path, "r+") as file:
                function(file)
            return message("t.h5", **options)

        return change

    def test_nothing_outside_the_file_is_followed(self, h5py, data, change, tmp_path):
        formats.h5ad(data, tmp_path / "other.h5ad", "dense")
        elsewhere = (
            "t.h5: {} is a link or lies in another file, which is not followed. "
            "Write the data into one file."
        )
        (tmp_path / "secret").write_bytes(bytes(3 * 4 * 8))

        def external_link(name, to):
            def function(file):
                del file[name]
                file[name] = h5py.ExternalLink("other.h5ad", to)

            return function

        def external_storage(file):
            del file["X"]
            file.create_dataset("X", (3, 4), "f8", external=[("secret", 0, 96)])

        def virtual(file):
            layout = h5py.VirtualLayout((3, 4), "f4")
            layout[:] = h5py.VirtualSource("other.h5ad", "X", (3, 4))
            del file["X"]
            file.create_virtual_dataset("X", layout)

        def soft_link(file):
            del file["X"]
            file["X"] = h5py.SoftLink("/layers")

        assert change(external_link("X", "/X")) == elsewhere.format("/X")
        assert change(external_link("obs", "/obs")) == elsewhere.format("/obs")
        assert change(external_link("var/names", "/var/names")) == elsewhere.format("/var/names")
        assert change(external_link("X/data", "/X")) == elsewhere.format("/X/data")
        assert change(external_storage) == elsewhere.format("/X")
        assert change(virtual) == elsewhere.format("/X")
        assert change(soft_link) == elsewhere.format("/X")
        text = change(external_link("matrix/features", "/X"), formats.tenx_v3)
        assert text == elsewhere.format("/matrix/features")
        text = change(external_link("matrix", "/X"), formats.tenx_v3)
        assert text == elsewhere.format("/matrix")

    def test_matrices_that_are_not_there(self, change):
        there = "t.h5: there is no {}. There is X."
        assert change(lambda _: None, layer="counts") == there.format("layers['counts']")
        assert change(lambda _: None, layer="../X") == there.format("layers['../X']")
        assert change(lambda _: None, use_raw=True) == there.format("raw.X")

        def no_x(file):
            del file["X"]

        assert change(no_x) == "t.h5: there is no X. There is no other matrix either."

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("indptr", [0, 2, 1, 5]),
            ("indptr", [0, 2, 3, 4]),
            ("indptr", [1, 2, 3, 5]),
            ("indptr", [0, 5]),
            ("indptr", [0.0, 2.0, 3.0, 5.0]),
            ("indices", [0, 2, 1, 0, 4]),
            ("indices", [0, 2, 1, 0, -1]),
            ("indices", [0, 2]),
            ("data", [1.0]),
        ],
    )
    def test_sparse_parts_that_do_not_fit(self, change, name, value):
        def function(file):
            del file[f"X/{name}"]
            file[f"X/{name}"] = value

        assert change(function) == (
            "t.h5: the sparse matrix is damaged: its data, indices and indptr do not fit together. "
            "Copy or write it again."
        )

    def test_other_damage(self, h5py, change):
        def replace(name, value):
            def function(file):
                del file[name]
                if value is not None:
                    file[name] = value

            return function

        def shape(file):
            file["X"].attrs["shape"] = (3, 5)

        assert change(shape) == (
            "t.h5: the matrix has 3 rows and 5 columns, but there are 3 cells and 4 genes. The "
            "file is damaged."
        )
        assert change(replace("obs", None)) == (
            "t.h5: there is no obs or no var. The file is damaged."
        )
        assert change(replace("var/names", None)) == (
            "t.h5: /var has no names of its rows. The file is damaged."
        )
        assert change(replace("X/data", None)) == (
            "t.h5: /X has no sparse matrix. The file is damaged."
        )
        assert change(replace("X", np.zeros((3, 4, 2)))) == (
            "t.h5: the matrix has 3 dimensions and is of float64; it must be a table of numbers."
        )
        assert change(replace("var/names", np.array([b"\xff", b"b", b"c", b"d"]))).startswith(
            "t.h5: the HDF5 file cannot be read ("
        )
        text = change(replace("obs/names", np.array([b"a", b"a", b"c"])))
        assert text == "t.h5: cell 'a' appears twice (cells 1 and 2). Rename or drop one."
        text = change(replace("matrix/barcodes", np.array([b"a", b"b"])), formats.tenx_v3)
        assert text == (
            "t.h5: the matrix has 3 rows and 4 columns, but there are 2 cells and 4 genes. The "
            "file is damaged."
        )
        text = change(replace("matrix/features/name", 3), formats.tenx_v3)
        assert text.startswith("t.h5: the HDF5 file cannot be read (")

    def test_cut_short(self, data):
        # Not damaged at random: with some bytes changed, the HDF5 library itself never ends.
        content = formats.h5ad(data, Path("t.h5")).read_bytes()
        for length in range(512, len(content) - 1, 997):
            Path("t.h5").write_bytes(content[:length])
            assert message("t.h5").startswith("t.h5: the HDF5 file cannot be read (")

    def test_other_layouts(self, h5py):
        for names, what in (
            (
                ["barcode_idx", "count", "feature_idx", "barcodes", "features"],
                (
                    "molecule_info.h5 of Cell Ranger, a list of molecules, which is not read. Give "
                    "filtered_feature_bc_matrix.h5 instead, which Cell Ranger writes beside it."
                ),
            ),
            (
                ["barcode", "gene", "genome", "reads", "umi"],
                "molecule_info.h5 of Cell Ranger, a list of molecules, which is not read. Give ",
            ),
        ):
            with h5py.File("t.h5", "w") as file:
                for name in names:
                    file.create_group(name)
            assert message("t.h5").startswith(f"t.h5: this is {what}")
        with h5py.File("t.h5", "w") as file:
            file["a"] = 1
        assert message("t.h5") == (
            "t.h5: this HDF5 file is neither .h5ad nor the .h5 of a 10x matrix; it holds 'a'."
        )

    def test_genomes(self, data):
        formats.tenx_v2(data, Path("t.h5"), ("hg19", "mm10"))
        assert message("t.h5", error=ct2.UsageError) == (
            "t.h5: this has the genomes 'hg19', 'mm10'; choose one with --layer NAME."
        )
        formats.tenx_v2(data, Path("t.h5"))
        assert message("t.h5", error=ct2.UsageError, layer="mm10") == (
            "t.h5: a 10x .h5 file of one genome has no layers: leave the option out."
        )

    def test_from_a_pipe_or_compressed(self, data, tmp_path):
        content = formats.h5ad(data, Path("t.h5")).read_bytes()
        Path("t.h5.gz").write_bytes(gzip.compress(content))
        assert message("t.h5.gz") == "t.h5.gz: this is an HDF5 file, compressed. Decompress it."

    def test_without_h5py(self, data, monkeypatch):
        formats.h5ad(data, Path("t.h5"))
        monkeypatch.setitem(sys.modules, "h5py", None)
        assert message("t.h5", error=ct2.CytoTRACE2Error) == (
            "t.h5: HDF5 files need the package h5py: pip install 'cytotrace2-lite[h5ad]'."
        )

    def test_memory_does_not_hold_the_whole_matrix(self, h5py, data):
        # 400 MB as dense float64; the parts read are far smaller.
        import tracemalloc

        genes = [f"g{i}" for i in range(50_000)]
        cells = [f"c{i}" for i in range(1000)]
        empty = formats.Dataset(sparse.csr_matrix((1, 50_000)), ["c"], genes)
        path = formats.h5ad(empty, Path("t.h5"), "dense")
        with h5py.File(path, "r+") as file:
            del file["X"], file["obs/names"]
            file.create_dataset("X", (1000, 50_000), "f8", chunks=(100, 5000))
            file["X"][5, 7] = 3.0
            file["obs"].create_dataset("names", data=cells, dtype=h5py.string_dtype())
        tracemalloc.start()
        expression, _ = read_expression(path, is_known)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert expression.max_value == 3.0
        assert peak < 100e6
