"""Made-up counts, as matrices and as the pipeline has them."""

import numpy as np
from scipy.sparse import csr_array

from cytotrace2_lite.genes import N_FEATURES
from cytotrace2_lite.read import read_expression


def as_counts(matrix):
    """Counts of a CSR matrix, cells x genes, as the pipeline has them."""
    n_cells, n_genes = matrix.shape
    names = [f"g{i}" for i in range(n_genes)]
    expression, _ = read_expression(matrix, genes=names, cells=[f"c{i}" for i in range(n_cells)])
    return expression.counts_of_features(np.arange(n_genes), n_genes)


def random_counts(n_cells, n_expressed, seed=0):
    """Counts over the model's features, CSR of shape (n_cells, 14271)."""
    random = np.random.RandomState(seed)
    indices = [
        np.sort(random.choice(N_FEATURES, n_expressed, replace=False)) for _ in range(n_cells)
    ]
    data = random.geometric(0.3, n_cells * n_expressed).astype(float)
    indptr = np.arange(n_cells + 1) * n_expressed
    return csr_array((data, np.concatenate(indices), indptr), shape=(n_cells, N_FEATURES))


def distances_between(coordinates):
    """Euclidean distances, shape (n_cells, n_cells)."""
    offset = coordinates[:, None] - coordinates[None]
    return np.sqrt((offset**2).sum(axis=2))


def structured_counts(n_cells, seed=0):
    """Cells of a few types, so that the leading components stand out from the rest."""
    counts = random_counts(n_cells, 500, seed)
    random = np.random.RandomState(seed)
    types = random.gamma(0.3, 1, (8, 14271))
    counts.data *= 1 + np.round(20 * types[np.repeat(np.arange(n_cells) % 8, 500), counts.indices])
    common = csr_array(random.poisson(2, (n_cells, 200)))  # most cells express these
    common.resize(counts.shape)
    counts += common
    return counts
