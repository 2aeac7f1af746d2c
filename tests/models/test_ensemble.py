"""The model file, and inference in onnxruntime."""

import hashlib
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers.counts import as_counts, random_counts

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.genes import N_FEATURES
from cytotrace2_lite.models.catalog import find_model
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.models.fold.folded import FoldedEnsemble
from cytotrace2_lite.models.fold.graph import to_onnx
from cytotrace2_lite.models.sealed import seal
from cytotrace2_lite.models.tiles import TILE_CELLS
from cytotrace2_lite.stages import preprocess
from cytotrace2_lite.stages.gene_sums import GeneSums


def inputs(n_cells=21, n_expressed=900, seed=0):
    counts = random_counts(n_cells, n_expressed, seed)
    return preprocess.log2_cpm(counts), preprocess.rank_expressed(counts)


@pytest.mark.parametrize("version", ["1.1.0", "1.0.0"])
class TestPrediction:
    def test_probabilities(self, ensembles, version):
        prediction = ensembles[version].predict(*inputs())
        assert prediction.probabilities.shape == (21, len(POTENCIES))
        np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1, rtol=0, atol=1e-14)
        expected = prediction.probabilities @ (np.arange(6) / 5)
        np.testing.assert_allclose(prediction.score, expected, rtol=0, atol=1e-15)

    def test_float32_is_near_the_float64_networks(self, exported, ensembles, version):
        log2_cpm, rank = inputs()
        dense = preprocess.rank_all(random_counts(21, 900))
        logits = exported[version][0].logits(dense, log2_cpm.toarray())
        ours = ensembles[version].logits(log2_cpm, rank)
        np.testing.assert_allclose(ours, logits, rtol=5e-7, atol=1e-4)

    def test_a_cell_does_not_depend_on_its_neighbours_or_on_threads(self, ensembles, version):
        n_cells = 2 * TILE_CELLS + 22
        log2_cpm, rank = inputs(n_cells)
        whole = ensembles[version].predict(log2_cpm, rank)
        threaded = ensembles[version].predict(log2_cpm, rank, threads=3)
        np.testing.assert_array_equal(whole.probabilities, threaded.probabilities)
        for first, last in ((0, 1), (7, 8), (5, n_cells), (TILE_CELLS - 1, TILE_CELLS + 1)):
            values = slice(log2_cpm.indptr[first], log2_cpm.indptr[last])
            part = ensembles[version].predict(log2_cpm[first:last], rank[values])
            np.testing.assert_array_equal(part.probabilities, whole.probabilities[first:last])

    def test_no_gene_below_the_threshold(self, ensembles, version):
        # All genes equal: every rank is 7136, over every threshold.
        counts = random_counts(2, 14271)
        counts.data[:] = 1
        prediction = ensembles[version].predict(
            preprocess.log2_cpm(counts), preprocess.rank_expressed(counts)
        )
        assert np.isfinite(prediction.score).all()
        assert prediction.score[0] == prediction.score[1]


def test_one_ensemble_in_many_threads(ensembles):
    work = [inputs(5, 400, seed) for seed in range(16)]
    alone = [ensembles["1.1.0"].predict(*one).probabilities for one in work]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: ensembles["1.1.0"].predict(*one).probabilities, work))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("version", ["1.1.0", "1.0.0"])
def test_counts_give_the_same_bytes(ensembles, version):
    counts = random_counts(256 + TILE_CELLS + 22, 300)
    whole = ensembles[version].predict(
        preprocess.log2_cpm(counts), preprocess.rank_expressed(counts)
    )
    all_sums = []
    for some in (counts, as_counts(counts)):
        for threads in (1, 3):
            counted, sums = [], GeneSums.of_no_cells(counts.shape[1])
            prediction = ensembles[version].predict_counts(
                some, threads=threads, progress=counted.append, sums=sums
            )
            all_sums.append(sums)
            for name in ("probabilities", "score", "potency"):
                np.testing.assert_array_equal(getattr(prediction, name), getattr(whole, name))
            assert sorted(counted) == [TILE_CELLS + 22, 128, 128]
    for sums in all_sums:
        assert sums.n_cells == counts.shape[0]
        np.testing.assert_array_equal(sums.total, all_sums[0].total)
        np.testing.assert_array_equal(sums.squares, all_sums[0].squares)
    of_all = GeneSums.of(preprocess.log2_cpm(counts))
    np.testing.assert_allclose(all_sums[0].dispersion(), of_all.dispersion(), rtol=1e-12)


@pytest.mark.parametrize("threads", [1, 2])
def test_no_cells(ensembles, threads):
    counts = random_counts(3, 10)[:0]
    empty = preprocess.log2_cpm(counts), preprocess.rank_expressed(counts)
    ensemble = ensembles["1.1.0"]
    predictions = [
        ensemble.predict(*empty, threads=threads),
        ensemble.predict_counts(counts, threads=threads),
    ]
    for prediction in predictions:
        assert prediction.probabilities.shape == (0, len(POTENCIES))
        assert prediction.score.shape == prediction.potency.shape == (0,)
        assert (prediction.score.dtype, prediction.potency.dtype) == (np.float64, np.intp)
    logits = ensemble.logits(*empty, threads=threads)
    assert (logits.shape, logits.dtype) == ((0, 18), np.float32)


def test_predictions_are_compared_by_identity(ensembles):
    one, other = (ensembles["1.1.0"].predict(*inputs()) for _ in range(2))
    assert one == one
    assert one != other


def test_an_error_in_progress_ends_the_prediction(ensembles):
    class StopError(Exception):
        pass

    def stop(_):
        raise StopError

    for threads in (1, 2):
        with pytest.raises(StopError):
            ensembles["1.1.0"].predict(*inputs(200), threads=threads, progress=stop)


def test_progress_counts_cells(ensembles):
    counted = []
    ensembles["1.1.0"].predict(*inputs(), threads=2, progress=counted.append)
    assert sum(counted) == 21


def test_info(ensembles, model_files):
    info = ensembles["1.0.0"].info
    assert (info.name, info.architecture, info.n_members) == ("made-up", "1.0.0", 3)
    assert info.sha256 == hashlib.sha256(model_files["1.0.0"].read_bytes()).hexdigest()
    assert info.path == str(model_files["1.0.0"])


def test_a_relative_path_can_be_unpickled_elsewhere(model_files, tmp_path, monkeypatch):
    monkeypatch.chdir(model_files["1.0.0"].parent)
    ensemble = Ensemble.load(model_files["1.0.0"].name)
    assert ensemble.info.path == model_files["1.0.0"].name
    pickled = pickle.dumps(ensemble)
    monkeypatch.chdir(tmp_path)
    copy = pickle.loads(pickled)  # noqa: S301 (our own)
    assert copy.info == ensemble.info
    again = pickle.loads(pickle.dumps(copy))  # noqa: S301 (our own)
    np.testing.assert_array_equal(
        again.predict(*inputs()).probabilities, ensemble.predict(*inputs()).probabilities
    )


@pytest.mark.parametrize("architecture", ["1.1.0", "1.0.0"])
@pytest.mark.parametrize(
    "threshold",
    [
        np.full(6, 1000.0),
        [10.0, 10.5, 11.0, 11.25, 7000.75, 7136.0],
        np.repeat([300.0, 300.5, 301.0], 8),
        np.linspace(50, 4000, 48),
        np.r_[np.full(30, 700.0), np.full(30, 1400.5)],
    ],
)
def test_any_thresholds(architecture, threshold, tmp_path):
    random = np.random.RandomState(5)
    threshold = random.permutation(np.array(threshold))
    shape = (N_FEATURES, len(threshold))
    folded = FoldedEnsemble(
        architecture,
        threshold,
        random.normal(0, 1e-5, shape) * (random.random_sample(shape) < 0.3),
        random.normal(0, 1e-3, shape),
        random.normal(size=len(threshold)),
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(folded, {"name": "n", "licence": "l", "sources": "[]"}))
    counts = random_counts(9, 4000)
    counts.data[: counts.indptr[3]] = 1 + np.arange(counts.indptr[3]) % 7
    counts.data[counts.indptr[3] : counts.indptr[4]] = np.arange(4000) + 1
    counts.data[counts.indptr[4] : counts.indptr[5]] = 3
    log2_cpm, rank = preprocess.log2_cpm(counts), preprocess.rank_expressed(counts)
    expected = folded.logits(preprocess.rank_all(counts), log2_cpm.toarray())
    found = Ensemble.load(path).logits(log2_cpm, rank)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


def test_made_for_other_genes(exported, tmp_path):
    content = exported["1.0.0"][1][: -len(seal(b""))]
    path = tmp_path / "model.onnx"
    path.write_bytes(seal(content.replace(b"\nA1cf\n", b"\nA1cg\n")))
    with pytest.raises(ModelError, match="made for other genes than this package's"):
        Ensemble.load(path)


def test_the_bundled_model():
    ensemble = Ensemble.load()
    assert ensemble.info.name == "open-2"
    assert ensemble.info.architecture == "1.1.0"
    assert ensemble.info.licence == "BSD-3-Clause"
    assert find_model("open") == find_model("open-2") == find_model()
    card = (Path(__file__).parents[2] / "models/README.md").read_text()
    assert f"SHA-256 of `open.onnx`: `{ensemble.info.sha256}`" in card


@pytest.mark.parametrize("version", ["1.1.0", "1.0.0"])
def test_spread_of_the_members(ensembles, version):
    log2_cpm, rank = inputs(TILE_CELLS + 5)
    prediction = ensembles[version].predict(log2_cpm, rank)
    logits = ensembles[version].logits(log2_cpm, rank).astype(float)
    logits = logits.reshape(len(logits), -1, len(POTENCIES))
    share = np.exp(logits - logits.max(axis=2, keepdims=True))
    score = (share / share.sum(axis=2, keepdims=True)) @ (np.arange(6) / 5)
    np.testing.assert_allclose(prediction.score_sd, score.std(axis=1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(prediction.score, score.mean(axis=1), rtol=0, atol=1e-12)
    one = ensembles[version].predict(log2_cpm[3:4], rank[log2_cpm.indptr[3] : log2_cpm.indptr[4]])
    assert one.score_sd[0] == prediction.score_sd[3]
