import numpy as np
import pytest
from helpers.counts import as_counts
from scipy.sparse import csr_array
from scipy.stats import false_discovery_control, spearmanr

from cytotrace2_lite.explanation import statistics


@pytest.fixture(scope="module")
def counts():
    """Small whole numbers with many ties, a constant gene, and one that no cell expresses."""
    random = np.random.RandomState(1)
    dense = random.poisson(0.7, (120, 40)) * random.randint(1, 4, (120, 1))
    dense[:, 0] = 5
    dense[:, 1] = 0
    dense[0, 2:] = 1
    return csr_array(dense)


@pytest.fixture(scope="module")
def score():
    score = np.random.RandomState(2).random_sample(120).round(1)
    score[[3, 70]] = np.nan
    return score


@pytest.mark.parametrize(("values_together", "threads"), [(6_000_000, 1), (100, 1), (500, 2)])
def test_correlation_is_that_of_scipy(counts, score, monkeypatch, values_together, threads):
    monkeypatch.setattr(statistics, "_VALUES_TOGETHER", values_together)
    ours = statistics.spearman(as_counts(counts), score, threads=threads)
    known = ~np.isnan(score)
    dense = counts.toarray()[known]
    log2 = np.log2(1e6 * dense / dense.sum(axis=1, keepdims=True) + 1)
    p_values = statistics.p_values(ours, known.sum())
    n_tested = 0
    for gene in range(log2.shape[1]):
        if not np.ptp(log2[:, gene]):
            assert np.isnan(ours[gene])
            assert np.isnan(p_values[gene])
            continue
        n_tested += 1
        correlation, p = spearmanr(log2[:, gene], score[known])
        assert ours[gene] == pytest.approx(correlation, abs=1e-12)
        assert p_values[gene] == pytest.approx(p, abs=1e-12)
    assert n_tested > 30


def test_without_a_score_that_varies_nothing_correlates(counts):
    for score in (np.full(120, 0.5), np.full(120, np.nan)):
        assert np.isnan(statistics.spearman(as_counts(counts), score)).all()


def test_p_values_of_the_strongest_correlations():
    assert statistics.p_values(np.array([1.0, -1.0]), 10).tolist() == [0, 0]
    assert np.isnan(statistics.p_values(np.array([1.0]), 2)).all()


def test_adjusted_p_values_are_those_of_scipy():
    p = np.random.RandomState(0).random_sample(200) ** 3
    p[:5] = p[5]
    np.testing.assert_allclose(statistics.adjusted(p), false_discovery_control(p), rtol=1e-14)
    with_missing = np.concatenate([[np.nan], p, [np.nan]])
    adjusted = statistics.adjusted(with_missing)
    np.testing.assert_array_equal(adjusted[1:-1], statistics.adjusted(p))
    assert np.isnan(adjusted[[0, -1]]).all()
    assert np.isnan(statistics.adjusted(np.full(3, np.nan))).all()
