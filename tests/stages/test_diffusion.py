"""Diffusion: groups, variable genes, and what must not decide the result."""

import numpy as np
from helpers.counts import structured_counts

from cytotrace2_lite.stages import diffusion
from cytotrace2_lite.stages.gene_sums import GeneSums
from cytotrace2_lite.stages.preprocess import log2_cpm


def diffused(n_cells, score, **options):
    counts = structured_counts(n_cells)
    variable = diffusion.variable_genes(GeneSums.of(log2_cpm(counts)))
    return diffusion.diffuse(counts, score, variable, **options)


def test_a_group_of_one_cell_keeps_its_score():
    score = np.array([0.1, 0.5, 0.9])
    np.testing.assert_array_equal(diffused(3, score, group_size=1), score)


def test_groups():
    groups = diffusion.smoothing_groups(2500, 1000, 14)
    assert [len(group) for group in groups] == [834, 833, 833]
    assert sorted(np.concatenate(groups)) == list(range(2500))
    assert len(diffusion.smoothing_groups(999, 1000, 14)) == 1
    assert len(diffusion.smoothing_groups(1000, 1000, 14)) == 1


def test_threads_do_not_matter():
    score = np.random.RandomState(0).rand(300)
    one = diffused(300, score, group_size=70)
    three = diffused(300, score, group_size=70, threads=3)
    np.testing.assert_array_equal(one, three)
