"""Annotations and samples that cannot be used: the exact message of each."""

import pytest
from helpers.wrong_inputs import CASE, TABLE

CASES = [
    pytest.param(
        {"a": b'id\tl\n"c\n1"\tx\n"c\n1"\ty\n', "t": TABLE},
        "check t -a a",
        3,
        "a: cell 'c\\n1' appears twice (second time on line 4). Keep one of its labels.",
        id="line breaks",
    ),
    pytest.param(
        {"t": TABLE},
        "check t -a none",
        3,
        "none: cannot read the annotation (No such file or directory).",
        id="no annotation",
    ),
    pytest.param(
        {"t": TABLE, "a": b"id\nc1\n"},
        "check t -a a",
        3,
        "a: line 2 has no label: it needs a cell id and a label separated by a tab or a comma.",
        id="annotation of one column",
    ),
    pytest.param(
        {"t": TABLE, "a": b"id\tl\nc1\tx\nc1\ty\n"},
        "check t -a a",
        3,
        "a: cell 'c1' appears twice (second time on line 3). Keep one of its labels.",
        id="annotated twice",
    ),
    pytest.param(
        {"t": TABLE, "a": b"id\tl\n"},
        "check t -a a",
        3,
        "a: the annotation holds no cell below its header line.",
        id="empty annotation",
    ),
    pytest.param(
        {"t": TABLE, "a": b"PK\3\4\0\0"},
        "check t -a a",
        3,
        (
            "a: this annotation file is not plain text. Unpack it, or save the sheet as tab- or "
            "comma-separated text (UTF-8)."
        ),
        id="annotation in a zip archive",
    ),
    pytest.param(
        {"t": TABLE, "a": b"id\tl\nc1\tx\n"},
        "check t -a a --batch-key batch",
        2,
        "a: no column is called 'batch'. Its columns after the ids are 'l'.",
        id="no such column",
    ),
    pytest.param(
        {"t": TABLE, "a": b"id\tl\nc1\tx\n"},
        "check t -a a --batch-key id",
        2,
        "a: 'id' is the column of the cell ids. The columns after it are 'l'.",
        id="ids for samples",
    ),
    pytest.param(
        {"t": TABLE, "a": b"id\tl\nc1\tx\n"},
        "check t -a a --batch-key l",
        3,
        (
            "1 of 2 cells have no sample in 'l': 'c2'. Give each a label, or leave them out of the "
            "table."
        ),
        id="no sample",
    ),
    pytest.param(
        {"t": TABLE, "a": b"id\tl\nc1\tx\nc2\ty\n"},
        "check t -a a --batch-key l",
        3,
        (
            "every cell has a sample of its own in 'l' ('x', 'y'), so that there is nothing to "
            "compare it with. Give labels that cells share."
        ),
        id="samples of one",
    ),
    pytest.param(
        {"t": TABLE},
        "check t --batch-key l",
        2,
        (
            "--batch-key names a column of the annotation: give the file, too "
            "(-a/--annotation-path). Only AnnData, MuData, Loom and R objects have some."
        ),
        id="samples of what",
    ),
]


@pytest.mark.parametrize(CASE, CASES)
def test_message(refusals, files, words, code, message):
    refusals.check(files, words, code, message)


def test_there_are_many():
    assert len(CASES) >= 11
