"""HDF5 files, of AnnData and of 10x Genomics, message by message."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import formats
from helpers.readers import is_known, message
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite.read import read_expression

pytestmark = pytest.mark.usefixtures("working_directory")


class TestHdf5:
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
                ["matrix", "row_attrs", "col_attrs"],
                "a Loom file, which is not read. In Python, anndata.io",
            ),
            (["mod"], "a MuData file, which is not read. In Python, mudata.read_h5mu"),
            (["assays", "cell.names"], "a SeuratDisk file (.h5Seurat), which is not read. In R, "),
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
