"""Directories of 10x Genomics, message by message."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from helpers import formats
from helpers.readers import CELLS, COUNTS, GENES, is_known, message, text_file
from scipy import sparse

from cytotrace2_lite.read import read_expression

pytestmark = pytest.mark.usefixtures("working_directory")


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
