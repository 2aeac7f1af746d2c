"""A warning where the members of a model disagree about a dataset."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from helpers import synthetic_ensemble

import cytotrace2_lite as ct2
from cytotrace2_lite.checks.spread import unlike_training
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.errors import CytoTRACE2Warning
from cytotrace2_lite.genes import features
from cytotrace2_lite.models.fold.export import export


@pytest.fixture(scope="module")
def limited(members, tmp_path_factory):
    """A model whose limit any dataset is over."""
    path = tmp_path_factory.mktemp("limited") / "limited.onnx"
    n_members = synthetic_ensemble.N_MEMBERS
    _, content = export(members["1.1.0"], name="limited", n_members=n_members, spread_limit=1e-9)
    path.write_bytes(content)
    return path


@pytest.fixture
def table(tmp_path):
    """A table of 30 cells."""
    counts = np.random.default_rng(0).poisson(1.0, (600, 30)).tolist()
    lines = [["", *(f"cell{i}" for i in range(30))]]
    lines += [[gene, *map(str, row)] for gene, row in zip(features()[:600], counts, strict=True)]
    path = tmp_path / "table.txt"
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("limit", "spread", "is_warned"),
    [
        (None, [0.5], False),
        (0.05, [0.04, 0.06], False),
        (0.05, [0.04, 0.07], True),
        (0.05, [np.nan, 0.06], True),
        (0.05, [np.nan], False),
        (0.05, [], False),
    ],
)
def test_the_mean_counts(ensembles, limit, spread, is_warned):
    info = replace(ensembles["1.1.0"].info, spread_limit=limit)
    assert bool(unlike_training(info, np.array(spread))) == is_warned


def test_a_run_says_so(limited, table):
    assert ct2.Ensemble.load(limited).info.spread_limit == 1e-9
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", CytoTRACE2Warning)
        result = ct2.run(table, model=limited)
    (text,) = [str(w.message) for w in told if "disagree" in str(w.message)]
    assert f"{result.score_sd.mean():.3f} on average" in text
    assert text in [str(warning) for warning in result.warnings]
    assert [f["code"] for f in result.info["findings"]][-1] == "unlike_training"


def test_the_command_line_says_so(limited, table, tmp_path, capfd):
    with pytest.raises(SystemExit) as caught:
        main(["run", str(table), "-m", str(limited), "-o", str(tmp_path / "out"), "-dpl", "-q"])
    assert caught.value.code == 0
    assert capfd.readouterr().err.count("Warning: the members of the model limited disagree") == 1
