"""Whole runs on real datasets against cytotrace2-py, with the 19 stand-in members on both sides.

Opt-in: `CT2_UPSTREAM_PYTHON=... pytest -m upstream tests/upstream`, an interpreter that has
cytotrace2-py 1.1.0.4, beside a checkout that has ../shared. Upstream's runs take about six minutes;
`CT2_UPSTREAM_CACHE=DIR` keeps them.
"""

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cytotrace2_lite import genes
from cytotrace2_lite.base.parameters import Parameters
from cytotrace2_lite.models.ensemble import Ensemble, Prediction
from cytotrace2_lite.models.fold.export import export
from cytotrace2_lite.pipeline import prepare, score_cells
from cytotrace2_lite.read import read_expression
from cytotrace2_lite.stages.gene_sums import GeneSums
from cytotrace2_lite.stages.preprocess import log2_cpm

SHARED = Path(__file__).resolve().parents[3] / "shared"
UPSTREAM = os.environ.get("CT2_UPSTREAM_PYTHON")
DATASETS = {
    "deng2014": "mouse",
    "ipsc_cardiomyocyte": "human",
    "enteric_morarach2021": "mouse",
    "palantir_marrow": "human",
}

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.skipif(not UPSTREAM, reason="CT2_UPSTREAM_PYTHON is not set"),
    pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is not there"),
]


def call(*arguments):
    subprocess.run([*map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    cache = os.environ.get("CT2_UPSTREAM_CACHE")
    return Path(cache) if cache else tmp_path_factory.mktemp("upstream")


@pytest.fixture(scope="module")
def stand_ins(work):
    folder = work / "stand-ins"
    if not (folder / "model19.pt").is_file():
        call(UPSTREAM, SHARED / "reference/make_v11_models.py", folder)
    return folder


@pytest.fixture(scope="module")
def background():
    code = "import cytotrace2_py, os; print(os.path.dirname(cytotrace2_py.__file__))"
    process = subprocess.run([UPSTREAM, "-c", code], check=True, capture_output=True, text=True)
    return Path(process.stdout.split("\n")[-2]) / "resources/background.pt"


@pytest.fixture(scope="module")
def ensemble(stand_ins, background, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "stand-ins.onnx"
    path.write_bytes(export(stand_ins, background=background)[1])
    return Ensemble.load(path)


@pytest.fixture(scope="module", params=DATASETS)
def run(request, work, stand_ins):
    """Table and upstream's results of one dataset."""
    name, species = request.param, DATASETS[request.param]
    table, out = work / "tables" / f"{name}.txt", work / "upstream" / name
    if not (out / "intermediate.npz").is_file():
        table.parent.mkdir(parents=True, exist_ok=True)
        call(sys.executable, SHARED / "tools/write_table.py", SHARED / "data" / name, table)
        runner = Path(__file__).with_name("run_upstream.py")
        call(UPSTREAM, runner, table, species, out, "--models", stand_ins)
    expression, _ = read_expression(table, lambda names: genes.is_known(names, species))
    with np.load(out / "intermediate.npz") as file:
        stages = SimpleNamespace(**file)
    return SimpleNamespace(
        name=name,
        parameters=Parameters(species=species, max_cores=2),
        data=prepare(expression, species),
        stages=stages,
        results=read_results(out / "cytotrace2_results.txt"),
    )


def read_results(path):
    with path.open(newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t")
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    return {
        name: list(values) if name.endswith("Potency") or not name else np.array(values, float)
        for name, values in columns.items()
    }


def numbers(result):
    return {
        "CytoTRACE2_Score": result.score,
        "CytoTRACE2_Relative": result.relative,
        "preKNN_CytoTRACE2_Score": result.preknn_score,
    }


def labels(result):
    return {
        "CytoTRACE2_Potency": result.potency,
        "preKNN_CytoTRACE2_Potency": result.preknn_potency,
    }


def test_results(run, ensemble):
    result = score_cells(run.data, ensemble, run.parameters)
    assert result.cells == run.results[""]
    assert len(set(result.potency)) >= 2
    for name, ours in labels(result).items():
        off = np.count_nonzero(ours != np.array(run.results[name]))
        print(f"{run.name} {name}: {off} of {len(ours)} labels differ")
        assert off <= 0.001 * len(ours)
    for name, ours in numbers(result).items():
        difference = np.abs(ours - run.results[name])
        print(
            f"{run.name} {name}: largest {difference.max():.1e}, "
            f"median {np.median(difference):.1e}, {(difference > 1e-6).sum()} over 1e-6"
        )
        assert np.median(difference) <= 1e-8
        assert difference.max() <= 1e-4


class Given:
    """An ensemble that gives what upstream's gave, in float32. Calls must come in order."""

    def __init__(self, run):
        self.stages = run.stages
        self.info = SimpleNamespace()
        self.n_done = 0
        # One batch: upstream's order is that of the table.
        assert [str(cell) for cell in run.stages.cells] == list(run.data.cells)

    def predict_counts(self, counts, *, threads, progress, sums):
        sums.add(GeneSums.of(log2_cpm(counts[:])))
        some = slice(self.n_done, self.n_done + counts.shape[0])
        self.n_done = some.stop
        potency = self.stages.potency.astype(np.intp)
        return Prediction(
            self.stages.probabilities[some], self.stages.raw_score[some], potency[some]
        )


def test_results_from_upstreams_raw_scores(run, ensemble):
    """From the same raw scores nothing differs: other differences come from upstream's float32."""
    given = Given(run)
    given.info = ensemble.info
    result = score_cells(run.data, given, replace(run.parameters, max_cores=1))
    assert given.n_done == len(result.cells)
    for name, ours in labels(result).items():
        assert list(ours) == run.results[name]
    for name, ours in numbers(result).items():
        difference = np.abs(ours - run.results[name])
        print(f"{run.name} {name}, upstream's raw scores: largest {difference.max():.1e}")
        assert difference.max() <= 1e-8


def test_raw_scores(run, ensemble):
    result = score_cells(run.data, ensemble, run.parameters)
    difference = np.abs(result.raw_score - run.stages.raw_score)
    print(f"{run.name} raw score: largest {difference.max():.1e}")
    assert difference.max() <= 2e-5
