"""Counts over the model's features to log2 CPM and ranks.

Source: cytotrace2_py 1.1.0.4 `preprocess` (behaviour).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csc_array, csr_array

__all__ = ["counts_over_features", "log2_cpm", "rank_all", "rank_expressed", "some_cells"]


def counts_over_features(
    values: csc_array, feature: NDArray[np.int32], n_features: int
) -> csr_array:
    """Reorder the genes of an expression matrix as the model has them.

    Parameters
    ----------
    values
        Expression, CSC without stored zeros, shape (n_cells, n_genes).
    feature
        Feature of each gene, -1 for a gene that is none; shape (n_genes,), no feature twice.
    n_features
        Number of features of the model.

    Returns
    -------
    csr_array
        Shape (n_cells, n_features), sorted indices, of the type of `values`.
    """
    from scipy.sparse import csc_array

    genes = np.flatnonzero(feature >= 0)
    genes = genes[np.argsort(feature[genes])]
    columns = values[:, genes]
    sizes = np.zeros(n_features + 1, dtype=columns.indptr.dtype)
    sizes[1 + feature[genes]] = np.diff(columns.indptr)
    by_feature = csc_array(
        (columns.data, columns.indices, np.cumsum(sizes, dtype=sizes.dtype)),
        shape=(values.shape[0], n_features),
    )
    return by_feature.tocsr()


def some_cells(counts: csr_array, start: int, stop: int) -> csr_array:
    """Take consecutive cells without a copy of their values.

    Parameters
    ----------
    counts
        CSR, shape (n_cells, n_features).
    start, stop
        The first cell, and the one after the last; it may be beyond the end.

    Returns
    -------
    csr_array
        Shape (n, n_features).
    """
    from scipy.sparse import csr_array

    indptr = counts.indptr[start : stop + 1]
    values = slice(indptr[0], indptr[-1])
    some = csr_array(
        (counts.data[values], counts.indices[values], indptr - indptr[0]),
        shape=(len(indptr) - 1, counts.shape[1]),
    )
    some.has_canonical_format = True
    return some


def log2_cpm(counts: csr_array) -> csr_array:
    """Normalise each cell to a million and take log2(x + 1).

    Parameters
    ----------
    counts
        Counts or CPM/TPM over the features, CSR, shape (n_cells, n_features), values > 0.

    Returns
    -------
    csr_array
        float64, of the same shape and the same stored positions. A cell without counts is empty.
    """
    from scipy.sparse import csr_array

    values = csr_array(
        (counts.data.astype(np.float64), counts.indices, counts.indptr), shape=counts.shape
    )
    total = np.repeat(values.sum(axis=1), np.diff(values.indptr))
    values.data *= 1_000_000
    values.data /= total
    values.data += 1
    np.log2(values.data, out=values.data)
    return values


def rank_expressed(counts: csr_array) -> NDArray[np.float32]:
    """Rank the expressed genes of each cell, 1 for the highest; equal values share their mean rank.

    The genes a cell does not express all share the rank (k + 1 + n_features) / 2, k being the
    number of those it does.

    Parameters
    ----------
    counts
        Counts or CPM/TPM over the features, CSR, shape (n_cells, n_features), values > 0.

    Returns
    -------
    ndarray
        Rank of each stored value; float32, which holds every whole and half rank exactly,
        shape (n_values,).
    """
    ranks = np.empty(counts.nnz, dtype=np.float32)
    for start, stop in zip(counts.indptr[:-1], counts.indptr[1:], strict=True):
        values = counts.data[start:stop]
        order = np.argsort(values)[::-1]
        ordered = values[order]
        first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        last = np.concatenate([first[1:], [stop - start]])
        ranks[start + order] = np.repeat((first + 1 + last) / 2, last - first)
    return ranks


def rank_all(counts: csr_array) -> NDArray[np.float32]:
    """Rank all genes of each cell, as the networks are defined; for training and for checks.

    Parameters
    ----------
    counts
        Counts or CPM/TPM over the features, CSR, shape (n_cells, n_features), values > 0.

    Returns
    -------
    ndarray
        float32, shape (n_cells, n_features): dense, so for some cells at a time.
    """
    n_cells, n_features = counts.shape
    per_cell = np.diff(counts.indptr)
    unexpressed = ((per_cell + 1 + n_features) / 2).astype(np.float32)
    ranks = np.repeat(unexpressed, n_features).reshape(n_cells, n_features)
    ranks[np.repeat(np.arange(n_cells), per_cell), counts.indices] = rank_expressed(counts)
    return ranks
