"""What readers choose, and what they refuse: message by message."""

import gzip
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from helpers import formats
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite import genes as gene_tables
from cytotrace2_lite.read import read_expression

GENES = ["Actb", "Gapdh", "Nanog", "Xkr4"]
CELLS = ["a", "b", "c"]
COUNTS = np.array([[5, 0, 1, 0], [0, 2, 0, 0], [300, 0, 0, 7]])
REMEDY = (
    'Sum or drop one, or pass --duplicate-genes sum or first (duplicate_genes="sum" in Python).'
)


def is_known(names):
    return gene_tables.is_known(names, "mouse")


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    """Messages name files without a folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data():
    return formats.Dataset(sparse.csr_matrix(COUNTS), CELLS, GENES)


def message(path, *, error=ct2.InputError, **options):
    with pytest.raises(error) as caught:
        _ = read_expression(path, is_known, **options)[0].values
    assert type(caught.value) is error
    return str(caught.value)


class TestNames:
    def adata(self, index, **columns):
        frame = pd.DataFrame(columns, index=index)

        class AnnData:
            X = sparse.csr_matrix(COUNTS)
            obs = pd.DataFrame(index=CELLS)
            obs_names, uns = obs.index, None
            var, var_names = frame, frame.index
            layers = raw = None

        AnnData.layers = {}
        return AnnData()

    def test_the_column_that_comes_to_more_genes(self):
        ids = ["ENSMUSG00000029580.4", "x", "y", "z"]
        expression, source = read_expression(self.adata(ids, feature_name=GENES), is_known)
        assert (expression.genes, source.gene_names) == (GENES, "var['feature_name']")
        expression, source = read_expression(self.adata(GENES, gene_ids=ids), is_known)
        assert (expression.genes, source.gene_names) == (GENES, "var_names")
        expression, source = read_expression(self.adata(list("wxyz"), gene_ids=ids), is_known)
        assert (expression.genes, source.gene_names) == (ids, "var['gene_ids']")

    def test_columns_of_other_names_or_with_gaps(self):
        odd = list("wxyz")
        gaps = [*GENES[:3], None]
        for columns, origin in (
            ({"mouse_ortholog": GENES}, "var['mouse_ortholog']"),
            ({"gene_symbols": gaps}, "var['gene_symbols'] (1 name from var_names)"),
        ):
            _, source = read_expression(self.adata(odd, **columns), is_known)
            assert source.gene_names == origin
        # Only where far more of their names are known.
        _, source = read_expression(self.adata(GENES, real_gene_name=gaps), is_known)
        assert source.gene_names == "var_names"

    def test_ids_rather_than_repeated_symbols(self):
        ids = ["ENSMUSG00000029580", "ENSMUSG00000057666", "ENSMUSG00000012396", "x"]
        symbols = ["Actb", "Gapdh", "Nanog", "Actb"]
        expression, source = read_expression(self.adata(symbols, gene_ids=ids), is_known)
        assert source.gene_names == "var['gene_ids']"
        assert expression.genes == ids
        few = ["ENSMUSG00000029580", "w", "x", "y"]
        assert message(self.adata(symbols, gene_ids=few)) == (
            f"AnnData X: gene 'Actb' appears twice (genes 1 and 4). {REMEDY}"
        )
        expression, source = read_expression(
            self.adata(symbols, gene_ids=ids), is_known, duplicate_genes="sum"
        )
        assert source.gene_names == "var_names"
        assert expression.genes == ["Actb", "Gapdh", "Nanog"]


def with_repeats():
    """Make a dataset in which Actb is there three times and Gapdh twice."""
    genes = ["Actb", "Gapdh", "Actb", "Nanog", "foo", "Gapdh", "Actb"]
    counts = np.array([[200, 0, 100, 3, 0, 1, 0], [0, 2, 0, 0, 9, 0, 1], [1, 0, 0, 0, 1, 0, 0]])
    return formats.Dataset(sparse.csr_matrix(counts), CELLS, genes)


def text_file(data, **options):
    Path("t.txt").write_bytes(formats.text(data, **options))
    return "t.txt"


REPEATED = [
    text_file,
    lambda d: text_file(d, transposed=True),
    formats.table,
    lambda d: formats.parquet(d, "t.parquet", transposed=True),
    lambda d: formats.arrow(d, "t.arrow", transposed=True),
    lambda d: pd.DataFrame(d.counts.toarray(), index=d.cells, columns=d.genes),
]


class TestDuplicateGenes:
    @pytest.mark.parametrize("make", REPEATED, ids=range(len(REPEATED)))
    @pytest.mark.parametrize(
        ("how", "values"),
        [
            ("first", [[200, 0, 3, 0], [0, 2, 0, 0], [1, 0, 0, 0]]),
            ("sum", [[300, 1, 3, 0], [1, 2, 0, 0], [1, 0, 0, 0]]),
        ],
    )
    def test_every_format(self, make, how, values):
        expression, source = read_expression(make(with_repeats()), is_known, duplicate_genes=how)
        assert expression.genes == ["Actb", "Gapdh", "Nanog", "foo"]
        assert expression.values.toarray().tolist() == values
        assert expression.values.has_canonical_format
        assert expression.values.dtype == (np.uint16 if how == "sum" else np.uint8)
        assert (source.duplicate_genes, source.n_duplicates) == (how, 3)
        assert f"3 repeated genes {'added up' if how == 'sum' else 'left out'}" in source.describe()

    def test_10x_and_h5ad(self, tmp_path):
        pytest.importorskip("h5py")
        data = with_repeats()
        expected, _ = read_expression(text_file(data), is_known, duplicate_genes="sum")
        for path in (
            formats.directory_v2(data, tmp_path / "v2"),
            formats.tenx_v3(data, tmp_path / "t.h5"),
            formats.h5ad(data, tmp_path / "csc.h5ad", "csc"),
        ):
            expression, _ = read_expression(path, is_known, duplicate_genes="sum")
            np.testing.assert_array_equal(expression.values.toarray(), expected.values.toarray())
            assert expression.values.dtype == expected.values.dtype

    def test_no_repeats(self, data):
        expression, source = read_expression(text_file(data), is_known, duplicate_genes="sum")
        assert expression.genes == GENES
        assert source.n_duplicates == 0
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)

    def test_error_is_the_default(self, tmp_path):
        data = with_repeats()
        at = "gene 'Actb' appears twice"
        assert message(text_file(data)) == f"t.txt: {at} (lines 2 and 4). {REMEDY}"
        path = text_file(data, transposed=True)
        assert message(path) == f"t.txt: {at} (columns 2 and 4). {REMEDY}"
        data.ids[1] = data.ids[0]
        assert message(formats.directory_v2(data, Path("v2"))) == (
            f"v2/genes.tsv: {at} (genes 1 and 3); so does 1 more. {REMEDY}"
        )

    @pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")
    def test_run(self, ensembles):
        counts = np.random.RandomState(0).poisson(1.0, (30, 600))
        genes = list(gene_tables.features()[:600])
        merged = counts.copy()
        merged[:, 0] += merged[:, 1]
        merged = np.delete(merged, 1, axis=1)
        repeated = [genes[0], genes[0], *genes[2:]]
        one = ct2.run(counts, genes=repeated, duplicate_genes="sum", model=ensembles["1.1.0"])
        other = ct2.run(merged, genes=[genes[0], *genes[2:]], model=ensembles["1.1.0"])
        np.testing.assert_array_equal(one.score, other.score)
        assert one.info["input"]["duplicate_genes"] == "sum"
        assert one.info["input"]["n_duplicates"] == 1


class TestOrientation:
    @pytest.mark.parametrize("transposed", [False, True])
    def test_said(self, data, transposed):
        # these names tell nothing
        data.genes = ["w", "x", "y", "z"]
        orientation = "cells-x-genes" if transposed else "genes-x-cells"
        table = formats.table(data, transposed=transposed)
        for given in (
            text_file(data, transposed=transposed),
            table,
            table.to_pandas().set_index("name"),
        ):
            expression, _ = read_expression(given, orientation=orientation)
            assert expression.genes == data.genes
            np.testing.assert_array_equal(expression.values.toarray(), COUNTS)

    def test_names_that_tell_nothing(self, data):
        data.genes = ["w", "x", "y", "z"]
        assert read_expression(text_file(data), is_known)[0].cells == CELLS
        assert read_expression(formats.table(data, transposed=True), is_known)[0].cells == CELLS

    def test_cells_named_like_genes_by_chance(self, data):
        data.cells = ["Nanog", "Gapdh", "c"]
        assert read_expression(text_file(data), is_known)[0].cells == data.cells
        assert read_expression(formats.table(data), is_known)[0].cells == data.cells

    def test_messages_of_transposed_text(self, data, tmp_path):
        text = formats.text(data, transposed=True).decode()
        for change, problem in (
            (
                ("\t7", "\t-7"),
                (
                    "line 4, cell 'c', gene 'Xkr4': '-7' is negative. Give counts or "
                    "CPM/TPM, neither logged nor scaled."
                ),
            ),
            (("\nc\t", "\na\t"), "cell 'a' appears twice (lines 2 and 4). Rename or drop one."),
            (
                ("\t7", "\tNA"),
                (
                    "line 4, cell 'c', gene 'Xkr4': the value is missing ('NA'). Write 0 "
                    "or remove the cell."
                ),
            ),
            (
                ("\t7", ""),
                (
                    "line 4 (cell 'c') has 4 fields instead of 5, the cell's name and "
                    "one per gene. Look for a missing or an extra tab."
                ),
            ),
        ):
            (tmp_path / "t.txt").write_text(text.replace(*change))
            assert message("t.txt") == f"t.txt: {problem}"


class TestTenX:
    def test_features_of_other_types_are_left_out(self, data, tmp_path):
        pytest.importorskip("h5py")
        import h5py

        expected, _ = read_expression(text_file(data), is_known)
        kinds = ["Antibody Capture", *["Gene Expression"] * 4]
        counts = sparse.csr_matrix(np.hstack([[[9999], [3], [0]], COUNTS]))
        more = formats.Dataset(counts, CELLS, ["CD3", *GENES])
        folder = formats.directory_v3(more, tmp_path / "v3")
        rows = zip(more.ids, more.genes, kinds, strict=True)
        features = "".join("\t".join(row) + "\n" for row in rows)
        (folder / "features.tsv.gz").write_bytes(gzip.compress(features.encode()))
        path = formats.tenx_v3(more, tmp_path / "t.h5")
        with h5py.File(path, "r+") as file:
            del file["matrix/features/feature_type"]
            file["matrix/features/feature_type"] = np.array(kinds, "S")
        for given in (folder, path):
            expression, _ = read_expression(given, is_known)
            assert expression.genes == GENES
            np.testing.assert_array_equal(expression.values.toarray(), expected.values.toarray())
            assert expression.max_value == 300

    def test_no_gene_expression(self, data):
        folder = formats.directory_v3(data, Path("v3"))
        features = formats.features(data, "Antibody Capture")
        (folder / "features.tsv.gz").write_bytes(gzip.compress(features))
        assert message("v3") == (
            "v3/features.tsv.gz: there are no features of the type 'Gene Expression', only of "
            "'Antibody Capture'. Give the matrix of gene expression."
        )

    def test_third_column_of_something_else(self, data):
        folder = formats.directory_v3(data, Path("v3"))
        (folder / "features.tsv.gz").write_bytes(gzip.compress(formats.features(data, "chr1")))
        assert read_expression("v3", is_known)[0].genes == GENES

    def test_transposed_matrix_is_known_by_its_sizes(self, data):
        folder = formats.directory_v2(data, Path("v2"))
        turned = formats.Dataset(data.counts.T.tocsr(), GENES, CELLS)
        (folder / "matrix.mtx").write_bytes(formats.mtx(turned))
        expression, source = read_expression("v2", is_known)
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)
        assert source.orientation == "cells x genes"

    def test_tabs_and_crlf(self, data):
        folder = formats.directory_v2(data, Path("v2"))
        text = formats.mtx(data).decode().splitlines()
        lines = [*text[:2], *(line.replace(" ", "\t") for line in text[2:])]
        (folder / "matrix.mtx").write_bytes("\r\n".join([*lines, ""]).encode())
        np.testing.assert_array_equal(read_expression("v2", is_known)[0].values.toarray(), COUNTS)

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (
                (b"4 3 5", b"5 3 5"),
                (
                    "v2/matrix.mtx: the matrix has 5 rows and 3 columns, but "
                    "v2/genes.tsv has 4 lines and v2/barcodes.tsv 3. These files do not "
                    "belong together."
                ),
            ),
            (
                (b"4 3 5", b"4 3 6"),
                (
                    "v2/matrix.mtx: there are 5 entries instead of 6: the file is cut "
                    "short or damaged. Copy or download it again."
                ),
            ),
            (
                (b"4 3 5", b"4 3"),
                ("v2/matrix.mtx: there is no line with the numbers of rows, columns and entries."),
            ),
            (
                (b"\n1 1 5", b"\n5 1 5"),
                (
                    "v2/matrix.mtx: an entry lies outside the 4 features. Copy or "
                    "download the file again."
                ),
            ),
            (
                (b"\n1 1 5", b"\n0 1 5"),
                (
                    "v2/matrix.mtx: an entry lies outside the 4 features. Copy or "
                    "download the file again."
                ),
            ),
            (
                (b"\n1 1 5", b"\n1 4 5"),
                (
                    "v2/matrix.mtx: an entry lies outside the 3 barcodes. Copy or "
                    "download the file again."
                ),
            ),
            (
                (b"\n1 1 5", b"\n1 1 -5"),
                (
                    "v2/matrix.mtx: gene 'Actb', cell 'a': the value -5 is negative. "
                    "Give raw counts, CPM or TPM, and 0 where nothing was counted."
                ),
            ),
            (
                (b"\n1 1 5", b"\n1 1 nan"),
                (
                    "v2/matrix.mtx: gene 'Actb', cell 'a': the value nan is not a finite "
                    "number. Give raw counts, CPM or TPM, and 0 where nothing was "
                    "counted."
                ),
            ),
            (
                (b"coordinate", b"array"),
                (
                    "v2/matrix.mtx: the first line must be '%%MatrixMarket matrix "
                    "coordinate integer general': only sparse matrices are read."
                ),
            ),
            (
                (b"integer", b"pattern"),
                (
                    "v2/matrix.mtx: the first line must be '%%MatrixMarket matrix "
                    "coordinate integer general', or real; it is of pattern numbers, "
                    "general."
                ),
            ),
        ],
    )
    def test_damaged(self, data, change, problem):
        folder = formats.directory_v2(data, Path("v2"))
        content = formats.mtx(data)
        assert change[0] in content
        (folder / "matrix.mtx").write_bytes(content.replace(*change))
        assert message("v2") == problem

    def test_entries_that_are_none(self, data):
        folder = formats.directory_v2(data, Path("v2"))
        for entry in (b"\n1 1 x", b"\n1 1", b"\n1 1 5 5"):
            (folder / "matrix.mtx").write_bytes(formats.mtx(data).replace(b"\n1 1 5", entry))
            text = message("v2")
            start = "v2/matrix.mtx: an entry is not a row, a column and a number with one space"
            assert text.startswith(start)
            assert "\n" not in text

    def test_cut_short(self, data):
        folder = formats.directory_v3(data, Path("v3"))
        matrix = folder / "matrix.mtx.gz"
        matrix.write_bytes(matrix.read_bytes()[:-9])
        assert message("v3") == (
            "v3/matrix.mtx.gz: the gzip data are damaged or cut short. Copy or download the file "
            "again."
        )

    def test_files_that_are_missing(self, data):
        folder = formats.directory_v3(data, Path("v3"))
        (folder / "barcodes.tsv.gz").unlink()
        assert message("v3") == (
            "v3/matrix.mtx.gz: there is no barcodes.tsv (or .gz) beside the matrix, which would "
            "name its cells."
        )
        (folder / "features.tsv.gz").unlink()
        assert message("v3") == (
            "v3/matrix.mtx.gz: there is no features.tsv or genes.tsv (or .gz) beside the matrix, "
            "which would name its genes."
        )

    def test_directories(self, data, tmp_path):
        (tmp_path / "outs").mkdir()
        formats.directory_v3(data, tmp_path / "outs" / "filtered_feature_bc_matrix")
        assert message("outs") == (
            "outs: this is a directory without matrix.mtx or matrix.mtx.gz. There is one in "
            "'filtered_feature_bc_matrix': give that."
        )
        folder = formats.directory_v3(data, tmp_path / "two", prefix="A_")
        (folder / "B_matrix.mtx").write_bytes(b"")
        assert message("two") == (
            "two: there are several matrices: 'A_matrix.mtx.gz', 'B_matrix.mtx'. Give the path of "
            "one."
        )
        (tmp_path / "expr.zarr").mkdir()
        (tmp_path / "expr.zarr" / ".zgroup").write_text("{}")
        assert message("expr.zarr") == (
            "expr.zarr: this is a Zarr store, which is not read. In Python, "
            'anndata.read_zarr("expr.zarr").write_h5ad("expr.h5ad") makes a file that is.'
        )


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


class TestTables:
    def test_columns_that_are_no_numbers(self, data):
        table = formats.table(data, transposed=True)
        table = table.append_column("type", pa.array(["x", "y", "z"]))
        problem = (
            "column 'type' holds string, not numbers. Leave it out: one column "
            "has names, all others numbers."
        )
        assert message(table) == problem
        pa.parquet.write_table(table, "t.parquet")
        assert message("t.parquet") == f"t.parquet: {problem}"
        frame = table.to_pandas().set_index("name")
        assert message(frame) == (
            "column 'type' does not hold numbers. Make it the index or leave it out."
        )

    def test_no_names(self, data):
        table = formats.table(data).drop_columns(["name"])
        assert message(table) == (
            "the rows have no names: the first column must be of strings, or the table have an "
            "index as pandas writes it."
        )

    def test_missing_and_negative_values(self, data):
        table = formats.table(data)
        for value, problem in (
            (
                None,
                (
                    "row 'Gapdh', column 'b': the value is missing. Write 0 where "
                    "nothing was counted."
                ),
            ),
            (
                -1,
                (
                    "gene 'Gapdh', cell 'b': the value -1 is negative. Give raw counts, "
                    "CPM or TPM, and 0 where nothing was counted."
                ),
            ),
        ):
            changed = table.set_column(2, "b", pa.array([0, value, 0, 0]))
            assert message(changed) == problem

    def test_names_with_dots_that_begin_alike(self, data):
        data.cells = ["x", "x.y", "x.y.z"]
        path = formats.parquet(data, "t.parquet")
        expression, _ = read_expression(path, is_known)
        assert expression.cells == data.cells
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)

    @pytest.mark.parametrize("kind", ["parquet", "arrow"])
    def test_damaged(self, data, kind):
        path = getattr(formats, kind)(data, f"t.{kind}")
        content = Path(path).read_bytes()
        Path(path).write_bytes(content[:-20])
        assert message(path).startswith(f"t.{kind}: the file cannot be read (")
        Path(path).write_bytes(gzip.compress(content))
        assert message(path) == (
            f"t.{kind}: this is a Parquet or Arrow file, compressed. Decompress it."
        )

    def test_many_parts(self, data, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.read.tables._N_VALUES", 3)
        for options in ({}, {"transposed": True}):
            path = formats.parquet(data, "t.parquet", **options)
            np.testing.assert_array_equal(
                read_expression(path, is_known)[0].values.toarray(), COUNTS
            )


def zip_of(name):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(name, "x")
    return sink.getvalue()


def tar_of(name):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return sink.getvalue()


SHEET = (
    "Save the sheet as tab-separated text, and look for gene names that "
    "the program has made dates, as 1-Mar for March1."
)
FROM_R = (
    'In R, DropletUtils::write10xCounts("expr", counts) writes a 10x '
    'directory, and write.table(as.matrix(counts), "expr.txt", sep = '
    '"\\t", quote = FALSE) a table.'
)
NUMPY = "In Python, pass the matrix: cytotrace2_lite.run(matrix, genes=..., cells=...)."
UNPACK = "Unpack it and give the file or the directory in it."


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        (zip_of("[Content_Types].xml"), "an Excel workbook (.xlsx)", SHEET),
        (b"\xd0\xcf\x11\xe0\xa1", "an Excel workbook (.xls)", SHEET),
        (zip_of("arr_0.npy"), "a NumPy archive (.npz)", NUMPY),
        (zip_of("expr.txt"), "a zip archive", UNPACK),
        (tar_of("filtered/matrix.mtx"), "a tar archive", UNPACK),
        (gzip.compress(b"RDX3\nX\n"), "an R data file (.RData, .rds)", FROM_R),
        (gzip.compress(b"X\n\0\0\0\3"), "an R data file (.RData, .rds)", FROM_R),
        (b"\x80\x04\x95", "a Python pickle", NUMPY),
        (b"\x93NUMPY\1\0", "a NumPy array (.npy)", NUMPY),
        (b"\xfd7zXZ\0\0", "xz data", "Decompress it."),
        (gzip.compress(gzip.compress(b"x")), "gzip data in gzip data", "Decompress it once."),
        ("\tc1\n".encode("utf-16"), "UTF-16 text", "Save it as UTF-8."),
        (b"FEA1\0\0", "a Feather file of version 1", "Write it anew, as version 2."),
        (b"<!DOCTYPE html>", "a web page", "Download the file again, perhaps after logging in."),
    ],
)
def test_other_formats(tmp_path, content, what, remedy):
    (tmp_path / "t.txt").write_bytes(content)
    assert message("t.txt") == (
        f"t.txt: this is {what}, which is not read; text tables (tab- or comma-separated), 10x "
        f"directories, 10x .h5, .h5ad, Parquet and Arrow tables are. {remedy}"
    )


@pytest.mark.parametrize("kind", ["gz", "bz2", "zst"])
def test_compressed_text_cut_short(data, tmp_path, kind):
    content = formats.compress(formats.text(data), kind)
    (tmp_path / "t.txt").write_bytes(content[:-3])
    name = {"gz": "gzip", "zst": "zstd"}.get(kind, kind)
    assert message("t.txt") == (
        f"t.txt: the {name} data are damaged or cut short. Copy or download the file again."
    )
    (tmp_path / "t.txt").write_bytes(content + formats.compress(b"Sox2\t1\t2\t3\n", kind))
    assert read_expression("t.txt", is_known)[0].genes == [*GENES, "Sox2"]


def test_options_without_meaning(data):
    path = text_file(data)
    error = ct2.UsageError
    assert message(path, error=error, layer="x") == (
        "a text table has no layers: leave the option out."
    )
    assert message(path, error=error, use_raw=True) == (
        "a text table has no raw: leave the option out."
    )
    assert message(path, error=error, use_raw=True, layer="x") == (
        "a layer and raw are two matrices: choose one of them."
    )
    assert message(path, error=error, orientation="x") == (
        "orientation is 'x'; it must be one of 'auto', 'genes-x-cells', 'cells-x-genes'."
    )
    assert message(path, error=error, duplicate_genes=None) == (
        "duplicate_genes is None; it must be one of 'error', 'first', 'sum'."
    )
    folder = formats.directory_v2(data, Path("v2"))
    assert message(folder, error=error, layer="x") == (
        "a 10x directory has no layers: leave the option out."
    )
    no_columns = "has no columns of gene names to choose from: leave the gene column out."
    assert message(path, error=error, gene_column="x") == f"a text table {no_columns}"
    assert message(COUNTS, error=error, genes=GENES, gene_column="x") == f"a matrix {no_columns}"
    assert message(COUNTS, error=error, genes=GENES, layer="x") == (
        "a matrix has no layers: leave the option out."
    )
    assert message(formats.table(data), error=error, genes=GENES) == (
        "genes and cells name the axes of a matrix; a Table has its own names."
    )


def test_an_unsorted_matrix_with_parts_of_values(monkeypatch):
    monkeypatch.setattr("cytotrace2_lite.read._blocks._N_VALUES", 2)
    counts = sparse.csr_matrix(COUNTS)
    shuffled = sparse.csr_matrix((3, 4))
    shuffled.indptr, shuffled.indices, shuffled.data = counts.indptr, counts.indices, counts.data
    shuffled.indices[:2], shuffled.data[:2] = shuffled.indices[1::-1], shuffled.data[1::-1]
    shuffled.has_sorted_indices = False
    for matrix in (shuffled, shuffled.tocsc(), COUNTS):
        expression, _ = read_expression(matrix, is_known, genes=GENES)
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)
        assert expression.values.has_canonical_format


def test_values_given_twice_in_memory_are_summed_as_scipy_does():
    twice = sparse.csr_matrix(([3, 4], [1, 1], [0, 2]), shape=(1, 2))
    expression, _ = read_expression(twice, genes=["a", "b"])
    assert expression.values.toarray().tolist() == [[0, 7]]
    assert twice.nnz == 2
