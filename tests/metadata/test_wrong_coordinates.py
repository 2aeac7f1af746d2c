"""Coordinates for plots that cannot be used: the exact message of each."""

import pytest
from helpers.wrong_inputs import CASE, TABLE

CASES = [
    pytest.param(
        {"t": TABLE},
        "run t --embedding none",
        3,
        "none: no such file with an embedding. The name of an array in obsm needs an .h5ad input.",
        id="no embedding",
    ),
    pytest.param(
        {"t": TABLE, "e": b"c1\t1\n"},
        "run t --embedding e",
        3,
        "e: the embedding holds no cell: it needs a line per cell with its id and two coordinates.",
        id="embedding of a column",
    ),
    pytest.param(
        {"t": TABLE, "e": b"\tx\ty\nc1\t1\tx\n"},
        "run t --embedding e",
        3,
        (
            "e: line 2, cell 'c1': 'x' is not a finite number. Leave the line out where a cell has "
            "no coordinates."
        ),
        id="embedding of words",
    ),
    pytest.param(
        {"t": TABLE, "e": b"c1\t1\t2\nc1\t1\t2\n"},
        "run t --embedding e",
        3,
        "e: line 2: cell 'c1' appears twice. Keep one of its lines.",
        id="embedded twice",
    ),
    pytest.param(
        {"t": TABLE, "e": b"d1\t1\t2\n"},
        "run t --embedding e",
        3,
        (
            "e: none of the 2 cells of the table has coordinates: the table has 'c1', 'c2', the "
            "embedding 'd1'. Write the ids alike."
        ),
        id="embedding of others",
    ),
]


@pytest.mark.parametrize(CASE, CASES)
def test_message(refusals, files, words, code, message):
    refusals.check(files, words, code, message)


def test_there_are_many():
    assert len(CASES) >= 5
