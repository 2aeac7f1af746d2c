"""The R function: the results of the command line, put into objects of R."""

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.once import made_once
from helpers.r import require_r

from cytotrace2_lite.cli.main import main
from cytotrace2_lite.genes import features

HELPERS = Path(__file__).with_name("helpers")
SCRIPT = HELPERS / "objects.R"
N_CELLS, N_GENES = 120, 1500
ODD_NAMES = ['5" end', '"quoted"', "a,b", "Zelle-ä", "NA", "#5", "it's", "1", "cell", "=1+1"]

_TEXT = SCRIPT.read_text()
_WHOLE = _TEXT.partition("whole <- list(")[2].partition("\n)\n")[0]
CASES = re.findall(r"^  (\w+) = ", _WHOLE, re.MULTILINE)
REALS = ["real_dgCMatrix", "real_matrix", "real_Seurat"]
_REFUSED = [
    re.findall(r'^  "?([\w ]+)"? = list\(\n? *quote', text, re.MULTILINE)
    for text in _TEXT.partition("refused_late <- list(")[::2]
]
CHECKS = re.findall(r'^check\("([^"]+)"', _TEXT, re.MULTILINE) + _REFUSED[0]
LONG = re.findall(r'^long_check\("([^"]+)"', _TEXT, re.MULTILINE) + _REFUSED[1]


def numbers():
    """Numbers that are hard to read, and some like scores."""
    draw = np.random.default_rng(0)
    scores = draw.random(20_000).tolist()
    small = (draw.random(5000) * 10.0 ** -draw.integers(0, 12, 5000)).tolist()
    return [0.0, 1.0, 0.1, 1e-08, 1 / 6 + 1e-8, 2.654693524794006e-08, *scores, *small]


def write_table(path, genes, cells, values):
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["", *cells])
        writer.writerows([gene, *row] for gene, row in zip(genes, values, strict=True))


def is_slow(request):
    return "slow" in request.config.option.markexpr.replace("not slow", "")


@pytest.fixture(scope="module")
def scored(request, tmp_path_factory, model_files):
    """Directory with what R wrote, and what the command line gave for the same data."""
    require_r("Matrix", "SeuratObject", "SingleCellExperiment", "DelayedArray")
    which = ["all"] if is_slow(request) else []
    model = model_files["1.1.0"]
    return made_once(tmp_path_factory, "R function", lambda work: score(work, model, which))


def score(work, model, which):
    """Run the command line, and R, into the directory `work`."""
    draw = np.random.default_rng(0)
    counts = draw.poisson(draw.gamma(0.5, 1.0, (N_GENES, 1)), (N_GENES, N_CELLS))
    counts[:, 0] += counts[:, 0] == 0
    genes = features()[:N_GENES]
    cells = [*ODD_NAMES, *(f"cell{i}" for i in range(N_CELLS - len(ODD_NAMES)))]
    (work / "genes.txt").write_text("\n".join(genes) + "\n")
    (work / "cells.txt").write_text("\n".join(cells) + "\n")
    np.savetxt(work / "values.txt", counts, "%d")
    (work / "numbers.txt").write_text("\n".join(map(repr, numbers())) + "\n")
    for name, values in (("whole", counts.tolist()), ("real", (counts / 7).tolist())):
        write_table(work / f"{name}.txt", genes, cells, values)
        words = ["-o", str(work / name), "-m", str(model), "-dpl", "-q"]
        with pytest.raises(SystemExit) as caught:
            main(["run", str(work / f"{name}.txt"), *words])
        assert caught.value.code == 0
    (work / "memory").mkdir()
    program = work / "a folder" / "ct2-lite"
    program.parent.mkdir()
    words = [sys.executable, str(HELPERS / "remembering.py"), str(work / "memory")]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    printed = subprocess.run(
        [sys.executable, "-m", "cytotrace2_lite", "r-function"],
        capture_output=True,
        text=True,
        check=True,
    )
    environment = os.environ | {
        "CT2_LITE_PROGRAM": str(program),
        "CT2_LITE_MODEL": str(model),
        "R_FUNCTION": printed.stdout.removesuffix("\n"),
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        ["Rscript", "--vanilla", str(SCRIPT), str(work), *which],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def rows_of(path):
    with path.open(newline="") as file:
        return [
            [cell, *(field if field[:1].isalpha() else float(field) for field in fields)]
            for cell, *fields in csv.reader(file, delimiter="\t")
        ]


def rows_of_r(path):
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    return [[cell, *(f if f[:1].isalpha() else float(f) for f in fields)] for cell, *fields in rows]


@pytest.mark.parametrize("case", [*CASES, *REALS])
def test_the_results_are_those_of_the_command_line(case, scored):
    name = "real" if case in REALS else "whole"
    _, *expected = rows_of(scored / name / "cytotrace2_results.txt")
    assert len({row[1] for row in expected}) > 60
    assert rows_of_r(scored / f"{case}.tsv") == expected


def test_all_kinds_of_objects_give_the_same_input(scored):
    calls = [line.split() for line in (scored / "memory/calls").read_text().splitlines()]
    assert {key for key, _ in calls[: len(CASES)]} == {calls[0][0]}
    assert [how for _, how in calls[: len(CASES)]] == ["scored", *["remembered"] * (len(CASES) - 1)]


@pytest.mark.parametrize(
    "name", [*CHECKS, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)]
)
def test_check(name, scored):
    said = dict(line.split("\t", 1) for line in (scored / "checks.tsv").read_text().splitlines())
    assert said[name] == "ok"


def test_all_checks_are_reported(request, scored):
    lines = (scored / "checks.tsv").read_text().splitlines()
    expected = [*CHECKS, *(LONG if is_slow(request) else [])]
    assert sorted(line.partition("\t")[0] for line in lines) == sorted(expected)
    assert len(CHECKS) > 30


def test_numbers_are_read_as_they_were_written(scored):
    found = [float.fromhex(line) for line in (scored / "read_numbers.txt").read_text().split()]
    assert found == numbers()
