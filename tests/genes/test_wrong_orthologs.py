"""Tables of orthologs that cannot be used: the exact message of each."""

import pytest
from helpers.wrong_inputs import CASE, TABLE

CASES = [
    pytest.param(
        {"t": TABLE},
        "check t --orthologs none",
        3,
        "none: cannot read the orthologs (No such file or directory).",
        id="no orthologs",
    ),
    pytest.param(
        {"t": TABLE, "o": b"a\tActb\tx\n"},
        "check t --orthologs o",
        3,
        "o: line 1 has 3 fields instead of 2, a gene and its mouse symbol with a tab or a comma "
        "between them.",
        id="three columns",
    ),
    pytest.param(
        {"t": TABLE, "o": b"a\tx\nb\ty\n"},
        "check t --orthologs o",
        3,
        (
            "o: none of the 1 mouse symbols is a gene of the model: 'y'. The table needs two "
            "columns: genes of the input, mouse symbols."
        ),
        id="of no use",
    ),
    pytest.param(
        {"t": TABLE, "o": b"a\tActb\na\tSox17\n"},
        "check t --orthologs o",
        3,
        (
            "o: gene 'a' has two mouse symbols, 'Actb' (line 1) and 'Sox17' (line 2). Keep one of "
            "them."
        ),
        id="two orthologs",
    ),
    pytest.param(
        {"t": TABLE, "o": b"a\tActb\n"},
        "check t --orthologs o -sp human",
        2,
        (
            "a table of orthologs maps the genes to mouse, so species 'human' has no meaning: "
            "leave it out."
        ),
        id="orthologs of man",
    ),
]


@pytest.mark.parametrize(CASE, CASES)
def test_message(refusals, files, words, code, message):
    refusals.check(files, words, code, message)


def test_there_are_many():
    assert len(CASES) >= 5
