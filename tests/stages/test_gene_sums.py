"""Sums over cells, gene by gene."""

import numpy as np
import pytest
from helpers.counts import structured_counts
from scipy.sparse import csr_array

from cytotrace2_lite.stages.gene_sums import GeneSums
from cytotrace2_lite.stages.preprocess import log2_cpm


def dispersion(counts, step=None):
    """Of counts, of which some cells are added up at a time."""
    log2 = log2_cpm(csr_array(counts))
    sums = GeneSums.of_no_cells(log2.shape[1])
    for start in range(0, log2.shape[0], step or log2.shape[0]):
        sums.add(GeneSums.of(log2[start : start + (step or log2.shape[0])]))
    assert sums.n_cells == len(counts)
    return sums.dispersion()


@pytest.mark.parametrize("step", [None, 7])
def test_dispersion(step):
    counts = structured_counts(50).toarray()
    counts[:, 5] = 0
    counts[:, 5] = counts.sum(axis=1)  # constant, but expressed: half of all
    dense = np.log2(1e6 * counts / counts.sum(axis=1, keepdims=True) + 1)
    mean = dense.mean(axis=0)
    expected = np.divide(dense.var(axis=0), mean, out=np.zeros_like(mean), where=mean > 0)
    ours = dispersion(counts, step)
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-13)
    assert ours[5] == 0


@pytest.mark.parametrize("n_cells", [2, 1000, 100_000])
def test_constant_genes(n_cells):
    depth = np.random.default_rng(0).integers(1, 1000, (n_cells, 1))
    assert not dispersion(depth * [[1, 2, 700]], 128).any()


def test_a_gene_of_one_cell():
    """It is as variable as any such gene, whichever the cell is: ties are broken by the order."""
    counts = np.full((300, 302), 100)
    counts[:, 1:] = np.eye(300, 301, dtype=int)
    assert len(set(dispersion(counts, 128)[1:301].tolist())) == 1
