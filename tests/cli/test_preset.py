"""`--preset`: settings by name."""

import json
from pathlib import Path

import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.cli.main import main

DATA = Path(__file__).parents[1] / "data"


def test_the_settings_of_the_paper(tmp_path):
    table = DATA / "enteric_300.txt.gz"
    for options, expected in {
        (): (100_000, 10_000, 14),
        ("-bs", "200", "-r", "3"): (200, 10_000, 3),
    }.items():
        with pytest.raises(SystemExit) as ended:
            main(["run", str(table), "-o", str(tmp_path), "-dpl", "-q", "--preset=paper", *options])
        assert ended.value.code == 0
        parameters = json.loads((tmp_path / "run.json").read_text())["parameters"]
        names = ("batch_size", "smooth_batch_size", "seed")
        assert tuple(parameters[name] for name in names) == expected
    result = ct2.run(table, **ct2.PRESETS["paper"])
    assert result.info["parameters"]["batch_size"] == 100_000
