"""The table over the samples of one command."""

import csv
import io

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.output.overview import OVERVIEW_COLUMNS, SampleLine, figures, overview


def test_lines():
    info = {
        "parameters": {"species": "human"},
        "potencies": dict.fromkeys(POTENCIES, 1),
        "findings": [
            {"code": "few_genes", "severity": "warning"},
            {"code": "cells", "severity": "note"},
            {"code": "few_genes", "severity": "warning"},
        ],
        "seconds": {"total": 1.5},
    }
    scores = np.array([0.1, np.nan, 0.3, 0.8])
    lines = [
        SampleLine("A\tB", "a\n.txt", {"drug": "x"}, "done", 0, figures(info, scores), "A_r.txt"),
        SampleLine("C", "c.txt", {"drug": ""}, "failed", 3, error="c.txt: 'x' is not a number."),
        SampleLine("D", "d.txt", {"drug": "y"}),
    ]
    text = overview(lines).decode()
    rows = list(csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert text.splitlines()[0].split("\t") == ["sample", "drug", *OVERVIEW_COLUMNS[1:]]
    assert rows[0] == {
        "sample": r"A\tB",
        "drug": "x",
        "path": r"a\n.txt",
        "species": "human",
        "status": "done",
        "exit_code": "0",
        "cells": "4",
        "cells_scored": "3",
        "mean_score": str(np.array([0.1, 0.3, 0.8]).mean()),
        "median_score": "0.3",
        **dict.fromkeys(POTENCIES, "1"),
        "warnings": "few_genes",
        "seconds": "1.5",
        "results": "A_r.txt",
        "error": "",
    }
    assert {key: value for key, value in rows[1].items() if value} == {
        "sample": "C",
        "path": "c.txt",
        "status": "failed",
        "exit_code": "3",
        "error": "c.txt: 'x' is not a number.",
    }
    assert {key: value for key, value in rows[2].items() if value} == {
        "sample": "D",
        "drug": "y",
        "path": "d.txt",
        "status": "not run",
    }


def test_no_cell_has_a_score():
    info = {"parameters": {"species": "mouse"}, "potencies": {}, "findings": []}
    found = figures({**info, "seconds": {"total": 1}}, np.array([np.nan]))
    assert (found["cells"], found["cells_scored"], found["mean_score"]) == (1, 0, None)
