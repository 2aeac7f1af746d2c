"""The official v1.0.0 members, where a copy of them lies in ../shared; never shipped."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csc_array, load_npz
from scipy.stats import spearmanr

from cytotrace2_lite import genes
from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.models.fold.export import export
from cytotrace2_lite.models.fold.folded import mean_probabilities
from cytotrace2_lite.models.fold.members import member_files, read_member
from cytotrace2_lite.stages import preprocess

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared"
MEMBERS = SHARED / "reference/official_v1.0"

pytestmark = pytest.mark.skipif(not MEMBERS.is_dir(), reason="../shared/reference is not there")


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    folded, content = export(MEMBERS)
    path = tmp_path_factory.mktemp("model") / "official.onnx"
    path.write_bytes(content)
    return folded, Ensemble.load(path)


@pytest.fixture(scope="module", params=[("deng2014", "mouse", 0.865), ("yan2013", "human", 0.856)])
def dataset(request):
    name, species, spearman = request.param
    folder = SHARED / "data" / name
    values = csc_array(load_npz(folder / "expr.npz")).astype(float)
    names = (folder / "genes.txt").read_text().splitlines()
    first = np.sort(np.unique(names, return_index=True)[1])
    mapping = genes.map_genes([names[i] for i in first], species)
    counts = preprocess.counts_over_features(values[:, first], mapping.feature, genes.N_FEATURES)
    rows = [line.split("\t") for line in (folder / "cells.tsv").read_text().splitlines()[1:]]
    order = {potency: k for k, potency in enumerate(POTENCIES)}
    return counts, np.array([order.get(row[2], -1) for row in rows]), spearman


def test_scores_follow_the_potencies_as_published(official, dataset):
    counts, potency, expected = dataset
    prediction = official[1].predict(preprocess.log2_cpm(counts), preprocess.rank_expressed(counts))
    known = potency >= 0
    assert round(spearmanr(prediction.score[known], potency[known])[0], 3) == expected


def test_scores_are_those_of_the_torch_networks(official, dataset):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    path = ROOT / "tools/export_onnx.py"
    spec = importlib.util.spec_from_file_location("export_onnx", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    counts = dataset[0][::3]
    log2_cpm, rank = preprocess.log2_cpm(counts), preprocess.rank_expressed(counts)
    dense_rank, dense_log2 = preprocess.rank_all(counts), log2_cpm.toarray()
    order = np.arange(len(POTENCIES)) / (len(POTENCIES) - 1)

    def torch_scores(dtype):
        logits = [
            tool.torch_logits(torch, read_member(file)[1], None, dense_rank, dense_log2, dtype)
            for file in member_files(MEMBERS)
        ]
        return np.concatenate(logits, axis=1), mean_probabilities(np.concatenate(logits, 1)) @ order

    exact_logits, exact = torch_scores(torch.float64)
    _, rounded = torch_scores(torch.float32)
    folded = official[0].logits(dense_rank, dense_log2)
    np.testing.assert_allclose(folded, exact_logits, rtol=0, atol=1e-9)
    ours = official[1].predict(log2_cpm, rank).score
    assert np.abs(ours - exact).max() <= np.abs(rounded - exact).max()
