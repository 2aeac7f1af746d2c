"""HDF5 files: filters that are missing, MuData, user blocks, files held open, large chunks."""

import subprocess
import sys

import numpy as np
import pytest
from helpers import formats
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite.read import ReadOptions, open_input, read_expression
from cytotrace2_lite.read._blocks import dense_steps

h5py = pytest.importorskip("h5py")
GENES = ["Actb", "Gapdh", "Nanog", "Xkr4"]
CELLS = ["a", "b", "c"]
COUNTS = np.array([[5, 0, 1, 0], [0, 2, 0, 0], [300, 0, 0, 7]])


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data():
    return formats.Dataset(sparse.csr_matrix(COUNTS), CELLS, GENES)


def message(path, *, error=ct2.InputError, **options):
    with pytest.raises(error) as caught:
        read_expression(path, **options)
    assert type(caught.value) is error
    return str(caught.value)


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
