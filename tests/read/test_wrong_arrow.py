"""Parquet and Arrow files that cannot be used: the exact message of each."""

import gzip

import pyarrow as pa
import pytest
from helpers.wrong_inputs import CASE, arrow

CASES = [
    pytest.param(
        {"t": b"PAR1\0\0"},
        "check t",
        3,
        "t: the file cannot be read (...). Copy or download it again.",
        id="parquet cut",
    ),
    pytest.param(
        {"t": b"ARROW1\0\0"},
        "check t",
        3,
        "t: the file cannot be read (...). Copy or download it again.",
        id="arrow cut",
    ),
    pytest.param(
        {"t": arrow({"g": ["Actb"], "c1": ["x"]})},
        "check t",
        3,
        (
            "t: column 'c1' holds string, not numbers. Leave it out: one column has names, all "
            "others numbers."
        ),
        id="text in it",
    ),
    pytest.param(
        {"t": arrow({"g": ["Actb"], "c1": [None]})},
        "check t",
        3,
        (
            "t: column 'c1' holds null, not numbers. Leave it out: one column has names, all "
            "others numbers."
        ),
        id="nothing",
    ),
    pytest.param(
        {"t": arrow({"g": ["Actb"], "c2": pa.array([None], pa.int8())})},
        "check t",
        3,
        "t: row 'Actb', column 'c2': the value is missing. Write 0 where nothing was counted.",
        id="missing value",
    ),
    pytest.param(
        {"t": arrow({"c1": [1], "c2": [2]})},
        "check t",
        3,
        (
            "t: the rows have no names: the first column must be of strings, or the table have an "
            "index as pandas writes it."
        ),
        id="no names",
    ),
    pytest.param(
        {"t": arrow({"g": ["Actb"]})},
        "check t",
        3,
        "t: there are no cells.",
        id="no columns",
    ),
    pytest.param(
        {"t": arrow({"g": ["Actb"], "c2": [float("inf")]})},
        "check t",
        3,
        (
            "t: gene 'Actb', cell 'c2': the value inf is not a finite number. Give raw counts, CPM "
            "or TPM, and 0 where nothing was counted."
        ),
        id="infinite",
    ),
    pytest.param(
        {"t": gzip.compress(b"PAR1" + b"\0" * 9)},
        "check t",
        3,
        "t: this is a Parquet or Arrow file, compressed. Decompress it.",
        id="parquet packed",
    ),
]


@pytest.mark.parametrize(CASE, CASES)
def test_message(refusals, files, words, code, message):
    refusals.check(files, words, code, message)


def test_there_are_many():
    assert len(CASES) >= 9
