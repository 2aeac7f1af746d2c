"""Diffusion: groups, variable genes, and what must not decide the result."""

import numpy as np
from helpers.counts import structured_counts
from scipy.sparse import csr_array

from cytotrace2_lite.stages import diffusion


def test_a_group_of_one_cell_keeps_its_score():
    score = np.array([0.1, 0.5, 0.9])
    ours = diffusion.diffuse(structured_counts(3), score, group_size=1)
    np.testing.assert_array_equal(ours, score)


def test_groups():
    groups = diffusion.smoothing_groups(2500, 1000, 14)
    assert [len(group) for group in groups] == [834, 833, 833]
    assert sorted(np.concatenate(groups)) == list(range(2500))
    assert len(diffusion.smoothing_groups(999, 1000, 14)) == 1
    assert len(diffusion.smoothing_groups(1000, 1000, 14)) == 1


def test_dispersion():
    counts = structured_counts(50).toarray()
    counts[:, 5] = 0
    counts[:, 5] = counts.sum(axis=1)  # constant, but expressed: half of all
    dense = np.log2(1e6 * counts / counts.sum(axis=1, keepdims=True) + 1)
    ours = diffusion.dispersion(csr_array(counts))
    mean = dense.mean(axis=0)
    expected = np.divide(dense.var(axis=0), mean, out=np.zeros_like(mean), where=mean > 0)
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-13)
    assert ours[5] == 0


def test_threads_do_not_matter():
    score = np.random.RandomState(0).rand(300)
    one = diffusion.diffuse(structured_counts(300), score, group_size=70)
    three = diffusion.diffuse(structured_counts(300), score, group_size=70, threads=3)
    np.testing.assert_array_equal(one, three)
