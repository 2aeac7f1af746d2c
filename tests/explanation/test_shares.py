"""The shares against formulas in float64, on made-up ensembles of both architectures."""

import numpy as np
import pytest
from helpers.counts import random_counts
from scipy.integrate import quad_vec
from scipy.stats import rankdata

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.explanation.shares import (
    Expressed,
    MeanContributions,
    Shares,
    target_of,
    value_of,
)
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.models.onnx_file import initializers
from cytotrace2_lite.models.weights import read_weights
from cytotrace2_lite.stages.preprocess import log2_cpm, rank_expressed

N_CELLS = 7
VERSIONS = ("1.1.0", "1.0.0")


def dense_contributions(folded, counts):
    """What each gene adds to each module, cells x genes x modules, as the networks are defined."""
    x = counts.toarray()
    rank = np.array([rankdata(-row, method="average") for row in x])
    log2 = np.log2(1e6 * x / x.sum(axis=1, keepdims=True) + 1)
    parts = []
    for module, threshold in enumerate(folded.threshold):
        part = folded.rank_weight[:, module] * np.maximum(threshold - rank, 0)
        if folded.architecture == "1.1.0":
            part = part + folded.second_weight[:, module] * log2
        else:
            under = rank < threshold
            share = under / np.maximum(under.sum(axis=1, keepdims=True), 1)
            part = part + folded.second_weight[:, module] * share
        parts.append(part)
    return np.stack(parts, axis=2)


def probabilities(logits):
    members = logits.reshape(-1, 6)
    powers = np.exp(members - members.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def exact_shares(contributions, reference, bias, target):
    """Integrated gradients of one cell by adaptive integration, gene by gene."""
    start, end = bias + reference.sum(axis=0), bias + contributions.sum(axis=0)

    def gradient(a):
        p = probabilities(start + a * (end - start))
        mean = (p * target).sum(axis=1, keepdims=True)
        return (p * (target - mean)).ravel() / len(p)

    w, _ = quad_vec(gradient, 0, 1, epsabs=1e-12, epsrel=1e-12, limit=10_000)
    return (contributions - reference) @ w


@pytest.fixture(scope="module")
def counts():
    few = random_counts(N_CELLS, 1500, seed=3)
    few.data[few.indptr[2] : few.indptr[3]] *= 100  # deep and shallow cells
    return few


@pytest.fixture(scope="module", params=VERSIONS)
def case(request, exported, ensembles, counts):
    """Folded networks, the loaded model, its weights, the cells, their contributions."""
    folded = exported[request.param][0]
    ensemble = ensembles[request.param]
    cells = Expressed(log2_cpm(counts), rank_expressed(counts))
    return folded, ensemble, read_weights(ensemble.info), cells, dense_contributions(folded, counts)


def our_shares(ensemble, weights, cells, target):
    mean = MeanContributions(weights)
    mean.add(cells)
    shares = Shares(weights, mean.reference(), target)
    gradients = shares.gradients(ensemble.logits(*cells))
    dense = -shares.of_reference(gradients)
    row = np.repeat(np.arange(N_CELLS), np.diff(cells.log2_cpm.indptr))
    dense[row, cells.log2_cpm.indices] += shares.of_expressed(cells, gradients)
    return shares, dense


def test_weights_are_those_of_the_folded_networks(case):
    folded, _, weights, _, _ = case
    assert weights.n_members == len(folded.bias) // 6
    np.testing.assert_allclose(weights.rank_weight, folded.rank_weight, rtol=1e-6)
    np.testing.assert_allclose(weights.second_weight, folded.second_weight, rtol=1e-6)
    np.testing.assert_allclose(weights.bias, folded.bias, rtol=1e-6)
    np.testing.assert_allclose(weights.threshold, folded.threshold, rtol=1e-6)


def test_mean_contributions_are_those_of_the_formulas(case):
    folded, _, weights, cells, contributions = case
    mean = MeanContributions(weights)
    for some in (slice(0, 3), slice(3, N_CELLS)):
        starts = cells.log2_cpm.indptr[[some.start, some.stop]]
        mean.add(Expressed(cells.log2_cpm[some], cells.rank[slice(*starts)]))
    reference = mean.reference()
    expected = contributions.mean(axis=0)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(reference.contributions, expected, atol=1e-6 * scale, rtol=1e-5)
    np.testing.assert_allclose(
        reference.logits, folded.bias + expected.sum(axis=0), atol=1e-6 * scale * 1000
    )


@pytest.mark.parametrize("potency", [None, 0, 3])
def test_shares_are_integrated_gradients(case, potency):
    folded, ensemble, weights, cells, contributions = case
    target = target_of(potency)
    _, ours = our_shares(ensemble, weights, cells, target)
    reference = contributions.mean(axis=0)
    largest = 0.0
    for cell in range(N_CELLS):
        exact = exact_shares(contributions[cell], reference, folded.bias, target)
        largest = max(largest, np.abs(exact).max())
        np.testing.assert_allclose(ours[cell], exact, atol=1e-6, rtol=1e-3)
    assert largest > 1e-3


@pytest.mark.parametrize("potency", [None, 0, 3])
def test_shares_of_a_cell_add_up(case, potency):
    _, ensemble, weights, cells, _ = case
    target = target_of(potency)
    shares, ours = our_shares(ensemble, weights, cells, target)
    prediction = ensemble.predict(*cells)
    value = prediction.score if potency is None else prediction.probabilities[:, potency]
    np.testing.assert_allclose(ours.sum(axis=1) + shares.reference_value, value, rtol=0, atol=1e-6)


def test_gradients_add_up_however_far_the_cell_is(case):
    _, _, weights, cells, _ = case
    mean = MeanContributions(weights)
    mean.add(cells)
    shares = Shares(weights, mean.reference(), target_of(None))
    far = np.random.RandomState(0).normal(size=(20, weights.n_modules))
    for scale in (0, 1e-9, 1, 30, 1000):
        logits = shares.reference.logits + scale * far
        added = (shares.gradients(logits) * scale * far).sum(axis=1)
        np.testing.assert_allclose(
            added, value_of(logits, shares.target) - shares.reference_value, rtol=0, atol=2e-9
        )


def test_of_one_cell_that_is_the_reference_nothing_is_left(case):
    _, ensemble, weights, cells, _ = case
    one = Expressed(cells.log2_cpm[:1], cells.rank[: cells.log2_cpm.indptr[1]])
    mean = MeanContributions(weights)
    mean.add(one)
    shares = Shares(weights, mean.reference(), target_of(None))
    gradients = shares.gradients(ensemble.logits(*one))
    dense = -shares.of_reference(gradients)
    dense[0, one.log2_cpm.indices] += shares.of_expressed(one, gradients)
    assert np.abs(dense).max() < 1e-6


def test_a_gene_of_no_cell_has_no_share(case):
    _, ensemble, weights, cells, _ = case
    _, ours = our_shares(ensemble, weights, cells, target_of(None))
    absent = np.setdiff1d(np.arange(ours.shape[1]), cells.log2_cpm.indices)
    assert len(absent)
    assert not ours[:, absent].any()
    # One that some cells have has a share in those that lack it, too.
    own = cells.log2_cpm.indices[: cells.log2_cpm.indptr[1]]
    column = own[np.abs(ours[0, own]).argmax()]
    lacking = np.flatnonzero(cells.log2_cpm.toarray()[:, column] == 0)
    assert ours[lacking, column].any()


def test_weights_of_a_model_that_was_replaced_are_refused(model_files, ensembles, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(model_files["1.1.0"].read_bytes())
    info = Ensemble.load(path).info
    path.write_bytes(model_files["1.0.0"].read_bytes())
    with pytest.raises(ModelError, match="replaced by another one since it was loaded"):
        read_weights(info)


def test_weights_that_are_stored_otherwise_are_refused(model_files):
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(model_files["1.1.0"].read_bytes())
    assert set(initializers(model.SerializeToString())) == {
        tensor.name for tensor in model.graph.initializer
    }
    for tensor in model.graph.initializer:
        ours = initializers(model.SerializeToString())[tensor.name]
        np.testing.assert_array_equal(ours, onnx.numpy_helper.to_array(tensor))
        break
    model.graph.initializer[0].raw_data += b"\0\0\0\0"
    with pytest.raises(ModelError, match="has another size than its shape says"):
        initializers(model.SerializeToString())
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].float_data.extend([1.0])
    with pytest.raises(ModelError, match="is not stored as the exporter stores weights"):
        initializers(model.SerializeToString())
