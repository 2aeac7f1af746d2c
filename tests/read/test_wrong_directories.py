"""Directories of 10x Genomics that cannot be used: the exact message of each."""

import pytest
from helpers.wrong_inputs import CASE, GENES, mtx, tenx

CASES = [
    pytest.param(
        {"d/x": b""},
        "check d",
        3,
        "d: this is a directory without matrix.mtx or matrix.mtx.gz. Give the path of a table.",
        id="no matrix",
    ),
    pytest.param(
        {"d/a_matrix.mtx": b"", "d/b_matrix.mtx": b""},
        "check d",
        3,
        "d: there are several matrices: 'a_matrix.mtx', 'b_matrix.mtx'. Give the path of one.",
        id="two matrices",
    ),
    pytest.param(
        {"d/e/matrix.mtx": b""},
        "check d",
        3,
        (
            "d: this is a directory without matrix.mtx or matrix.mtx.gz. There is one in 'e': give "
            "that."
        ),
        id="folder in folder",
    ),
    pytest.param(
        tenx(features=None),
        "check d",
        3,
        (
            "d/matrix.mtx: there is no features.tsv or genes.tsv (or .gz) beside the matrix, which "
            "would name its genes."
        ),
        id="no features",
    ),
    pytest.param(
        tenx(barcodes=None),
        "check d",
        3,
        (
            "d/matrix.mtx: there is no barcodes.tsv (or .gz) beside the matrix, which would name "
            "its cells."
        ),
        id="no barcodes",
    ),
    pytest.param(
        tenx(features="A\tActb\n"),
        "check d",
        3,
        (
            "d/matrix.mtx: the matrix has 3 rows and 2 columns, but d/features.tsv has 1 lines and "
            "d/barcodes.tsv 2. These files do not belong together."
        ),
        id="other features",
    ),
    pytest.param(
        tenx(barcodes="c1\nc1\n"),
        "check d",
        3,
        "d/barcodes.tsv: cell 'c1' appears twice (cells 1 and 2). Rename or drop one.",
        id="barcode twice",
    ),
    pytest.param(
        tenx(features="".join(f"{g}\t{g}\tAntibody Capture\n" for g in GENES)),
        "check d",
        3,
        (
            "d/features.tsv: there are no features of the type 'Gene Expression', only of "
            "'Antibody Capture'. Give the matrix of gene expression."
        ),
        id="antibodies",
    ),
    pytest.param(
        tenx(mtx("1 1 5\n4 1 7\n")),
        "check d",
        3,
        "d/matrix.mtx: an entry lies outside the 3 features. Copy or download the file again.",
        id="outside",
    ),
    pytest.param(
        tenx(mtx("1 1 5\n")),
        "check d",
        3,
        (
            "d/matrix.mtx: there are 1 entries instead of 2: the file is cut short or damaged. "
            "Copy or download it again."
        ),
        id="too few",
    ),
    pytest.param(
        tenx(mtx("1 1 5\n" * 3)),
        "check d",
        3,
        (
            "d/matrix.mtx: there are 3 entries instead of 2: the file is cut short or damaged. "
            "Copy or download it again."
        ),
        id="too many",
    ),
    pytest.param(
        tenx(mtx("1 1 5\n2 2 x\n")),
        "check d",
        3,
        (
            "d/matrix.mtx: an entry is not a row, a column and a number with one space between "
            "them (...). Copy or download the file again."
        ),
        id="no number",
    ),
    pytest.param(
        tenx(mtx("1 1 5\n2 2 nan\n", "%%MatrixMarket matrix coordinate real general")),
        "check d",
        3,
        (
            "d/matrix.mtx: gene 'Sox17', cell 'c2': the value nan is not a finite number. Give raw "
            "counts, CPM or TPM, and 0 where nothing was counted."
        ),
        id="nan",
    ),
    pytest.param(
        tenx(mtx("1 1 5\n2 2 -7\n")),
        "check d",
        3,
        (
            "d/matrix.mtx: gene 'Sox17', cell 'c2': the value -7 is negative. Give raw counts, CPM "
            "or TPM, and 0 where nothing was counted."
        ),
        id="negative",
    ),
    pytest.param(
        tenx(b"%%MatrixMarket matrix array real general\n3 2\n"),
        "check d",
        3,
        (
            "d/matrix.mtx: the first line must be '%%MatrixMarket matrix coordinate integer "
            "general': only sparse matrices are read."
        ),
        id="dense",
    ),
    pytest.param(
        tenx(b"%%MatrixMarket matrix coordinate pattern general\n3 2 0\n"),
        "check d",
        3,
        (
            "d/matrix.mtx: the first line must be '%%MatrixMarket matrix coordinate integer "
            "general', or real; it is of pattern numbers, general."
        ),
        id="pattern",
    ),
    pytest.param(
        tenx(b"%%MatrixMarket matrix coordinate real symmetric\n3 3 0\n"),
        "check d",
        3,
        (
            "d/matrix.mtx: the first line must be '%%MatrixMarket matrix coordinate integer "
            "general', or real; it is of real numbers, symmetric."
        ),
        id="symmetric",
    ),
    pytest.param(
        tenx(b"%%MatrixMarket matrix coordinate real general\nx\n"),
        "check d",
        3,
        "d/matrix.mtx: there is no line with the numbers of rows, columns and entries.",
        id="no sizes",
    ),
]


@pytest.mark.parametrize(CASE, CASES)
def test_message(refusals, files, words, code, message):
    refusals.check(files, words, code, message)


def test_there_are_many():
    assert len(CASES) >= 18
