"""Ranks and log2 CPM of cells."""

import numpy as np
import pytest
from helpers.counts import random_counts
from scipy.sparse import csr_array
from scipy.stats import rankdata

from cytotrace2_lite.stages import preprocess


def expected_ranks(counts):
    cells = zip(counts.indptr[:-1], counts.indptr[1:], strict=True)
    return np.concatenate(
        [rankdata(-counts.data[start:stop].astype(np.float64)) for start, stop in cells]
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float32, np.float64])
def test_ranks_of_counts(dtype):
    counts = random_counts(70, 500)
    counts.data = np.minimum(counts.data, 200).astype(dtype)
    ranks = preprocess.rank_expressed(counts)
    assert ranks.dtype == np.float32
    np.testing.assert_array_equal(ranks, expected_ranks(counts))


@pytest.mark.parametrize(
    "change",
    [
        lambda counts: counts.data / np.repeat(counts.sum(axis=1), np.diff(counts.indptr)),
        lambda counts: (counts.data * 60_000).astype(np.uint32),
        lambda counts: np.where(np.arange(counts.nnz) == 999, 0.5, counts.data),
        lambda counts: np.where(np.arange(counts.nnz) == 999, 1e300, counts.data),
        lambda counts: np.arange(counts.nnz) + 0.25,
        lambda counts: np.ones(counts.nnz),
    ],
)
def test_ranks_of_other_values(change):
    counts = random_counts(70, 500)
    counts.data = change(counts)
    np.testing.assert_array_equal(preprocess.rank_expressed(counts), expected_ranks(counts))


@pytest.mark.parametrize("value", [1.0, 0.5])
def test_cells_without_counts(value):
    cells = np.zeros((100, 30))
    cells[40:60:3, 5:20] = value
    cells[99, 0] = value
    counts = csr_array(cells)
    np.testing.assert_array_equal(preprocess.rank_expressed(counts), expected_ranks(counts))
    assert len(preprocess.rank_expressed(csr_array((3, 30)))) == 0


def test_ranks_do_not_depend_on_the_other_cells():
    counts = random_counts(80, 300)
    counts.data = counts.data.astype(np.uint16)
    counts.data[7] = 60_000
    whole = preprocess.rank_expressed(counts)
    part = preprocess.rank_expressed(counts[20:71])
    np.testing.assert_array_equal(part, whole[counts.indptr[20] : counts.indptr[71]])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_log2_cpm_of_some_genes(kind):
    counts = random_counts(50, 300).astype(kind)
    counts.data = (counts.data * 1.3).astype(kind)
    wanted = np.random.RandomState(1).random(counts.shape[1]) < 0.2
    cells, genes, log2 = preprocess.log2_cpm_of_genes(counts, wanted)
    found = np.zeros(counts.shape)
    found[cells, genes] = log2
    assert len(log2) == np.count_nonzero(wanted[counts.indices])
    assert (found == preprocess.log2_cpm(counts).toarray() * wanted).all()
