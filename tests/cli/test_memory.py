"""`--max-memory`: sizes, and runs that need more."""

import json
from pathlib import Path

import pytest

from cytotrace2_lite.cli.main import main

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize(
    ("size", "n_bytes"),
    [
        ("80000M", 80 * 10**9),
        ("1.5t", 15 * 10**11),
        ("64GiB", 64 << 30),
        ("9" * 12, 10**12 - 1),
    ],
)
def test_sizes(size, n_bytes, tmp_path):
    table, out = DATA / "enteric_300.txt.gz", tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(["run", str(table), "-o", str(out), "-dpl", "-q", "--max-memory", size])
    assert ended.value.code == 0
    assert json.loads((out / "run.json").read_text())["parameters"]["max_memory"] == n_bytes


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        ("much", "'much' is not a size. Give a number with a unit, such as 800M or 2G."),
        ("0", "'0' is not a size. It must be at least one byte."),
        ("-1G", "'-1G' is not a size. Give a number with a unit, such as 800M or 2G."),
    ],
)
def test_no_sizes(size, problem, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["check", str(DATA / "enteric_300.txt.gz"), f"--max-memory={size}"])
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


def test_a_run_that_needs_more_than_it_may_take_is_refused(tmp_path, capsys):
    table = DATA / "enteric_300.txt.gz"
    for command in (["check"], ["run", "-o", str(tmp_path / "out")]):
        with pytest.raises(SystemExit) as ended:
            main([*command, str(table), "--max-memory", "50M"])
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert "of memory would be needed (an estimate), and 0.1 GB are allowed" in error
    assert not (tmp_path / "out").exists()
