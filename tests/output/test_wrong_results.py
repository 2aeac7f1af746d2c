"""Results that cannot be compared: the exact message of each."""

import pytest
from helpers.wrong_inputs import CASE, ROW, results

CASES = [
    pytest.param(
        {"a": results(ROW)},
        "compare a none",
        3,
        "none: no such file. Check the path.",
        id="no results",
    ),
    pytest.param(
        {"a": results(ROW), "d/": None},
        "compare a d",
        3,
        "d: this is a directory. Give the cytotrace2_results file in it.",
        id="a folder of results",
    ),
    pytest.param(
        {"a": results(ROW), "b": b"\tx\nc1\t1\n"},
        "compare a b",
        3,
        (
            "b: this is not a results file of CytoTRACE 2: 5 of its 5 columns are missing "
            "('CytoTRACE2_Score', 'CytoTRACE2_Potency', 'CytoTRACE2_Relative', ...). Give a "
            "cytotrace2_results file."
        ),
        id="other columns",
    ),
    pytest.param(
        {"a": results(ROW), "b": results(ROW[:3])},
        "compare a b",
        3,
        "b: line 2 has 3 fields instead of 6. Is the file cut short?",
        id="results cut",
    ),
    pytest.param(
        {"a": results(ROW), "b": results(ROW, ROW)},
        "compare a b",
        3,
        "b: cell 'c1' appears twice (line 2 and line 3). Rename or drop one.",
        id="results twice",
    ),
    pytest.param(
        {"a": results(ROW), "b": results()},
        "compare a b",
        3,
        "b: there are no cells in it.",
        id="results of none",
    ),
    pytest.param(
        {"a": results(ROW), "b": results(("c2", *ROW[1:]))},
        "compare a b",
        3,
        (
            "a and b have no cell in common (the first holds 'c1'; the second 'c2'). Give two "
            "results of the same cells."
        ),
        id="results of others",
    ),
    pytest.param(
        {"a": results(ROW), "b": results((*ROW[:2], "Potent", *ROW[3:]))},
        "compare a b",
        3,
        (
            "b: cell 'c1', column CytoTRACE2_Potency: 'Potent' is not one of Differentiated, "
            "Unipotent, Oligopotent, Multipotent, Pluripotent, Totipotent."
        ),
        id="another label",
    ),
    pytest.param(
        {"a": results(ROW), "b": results(("c1", "x", *ROW[2:]))},
        "compare a b",
        3,
        "b: cell 'c1', column CytoTRACE2_Score: 'x' is not a finite number.",
        id="no score",
    ),
    pytest.param(
        {"a": results(ROW), "b": b"\xff\xfe"},
        "compare a b",
        3,
        (
            "b: this is not a text, Parquet or Arrow file. Give the cytotrace2_results file, "
            "unpacked; an .h5ad is not read."
        ),
        id="no text",
    ),
    pytest.param(
        {"a": results(ROW), "b": b"PAR1"},
        "compare a b",
        3,
        "b: the file cannot be read (...). Copy it again.",
        id="parquet of results cut",
    ),
]


@pytest.mark.parametrize(CASE, CASES)
def test_message(refusals, files, words, code, message):
    refusals.check(files, words, code, message)


def test_there_are_many():
    assert len(CASES) >= 11
