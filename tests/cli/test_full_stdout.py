"""Standard output that takes no more, or lacks a character: one sentence, the right code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "data"
FULL = Path("/dev/full")
SENTENCE = (
    "Error: standard output: cannot be written (No space left on device). "
    "What was written is not complete."
)


def ct2_lite(*arguments, stdout=subprocess.PIPE, **environment):
    return subprocess.run(
        [sys.executable, "-m", "cytotrace2_lite", *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        env=os.environ | environment,
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory, model_files):
    out = tmp_path_factory.mktemp("out")
    done = ct2_lite(
        *("run", DATA / "enteric_300.txt.gz", "-o", out, "-dpl", "-q"),
        *("-m", model_files["1.1.0"]),
    )
    assert done.returncode == 0
    return out / "cytotrace2_results.txt"


@pytest.mark.skipif(not FULL.exists(), reason="there is no such device")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("--help", 1),
        ("--version", 1),
        ("run --help", 1),
        ("models list", 1),
        ("models path open", 1),
        ("check", 1),
        ("check {table} -q", 1),
        ("check {table} -q --json", 1),
        ("compare {results} {results}", 3),
        ("compare {results} {results} --json", 3),
    ],
)
def test_full(results, arguments, code):
    words = arguments.format(table=DATA / "enteric_300.txt.gz", results=results).split()
    with FULL.open("wb") as full:
        done = ct2_lite(*words, stdout=full)
    assert done.returncode == code
    assert done.stderr.decode().splitlines()[-1] == SENTENCE


def test_an_encoding_that_lacks_a_character(tmp_path):
    table = tmp_path / "клетки.txt.gz"
    table.write_bytes((DATA / "enteric_300.txt.gz").read_bytes())
    done = ct2_lite("check", table, "-q", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0
    assert rb"\u043a\u043b\u0435\u0442\u043a\u0438.txt.gz: can be scored" in done.stdout
