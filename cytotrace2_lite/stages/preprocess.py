"""Counts over the model's features to log2 CPM and ranks.

Source: cytotrace2_py 1.1.0.4 `preprocess` (behaviour).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csc_array, csr_array

__all__ = [
    "counts_over_features",
    "log2_cpm",
    "log2_cpm_of_genes",
    "rank_all",
    "rank_expressed",
]

# Only speed depends on this.
_CELLS_PER_STEP = 32  # of ranking: what is counted for them fits the cache


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
    values = _as_float64(counts)
    _to_log2_cpm(values.data, np.repeat(values.sum(axis=1), np.diff(values.indptr)))
    return values


def log2_cpm_of_genes(
    counts: csr_array, wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.integer[Any]], NDArray[np.float64]]:
    """Do what `log2_cpm` does, but only for the values of some genes.

    Parameters
    ----------
    counts
        As for `log2_cpm`.
    wanted
        Which genes; shape (n_features,).

    Returns
    -------
    cells, genes : ndarray
        Row and column of each value; shape (n_values,).
    log2 : ndarray
        float64, shape (n_values,).
    """
    values = _as_float64(counts)
    kept = np.flatnonzero(wanted[values.indices])
    cells = np.repeat(np.arange(values.shape[0]), np.diff(values.indptr))[kept]
    log2 = values.data[kept]
    _to_log2_cpm(log2, values.sum(axis=1)[cells])
    return cells, values.indices[kept], log2


def _as_float64(counts: csr_array) -> csr_array:
    from scipy.sparse import csr_array

    arrays = counts.data.astype(np.float64), counts.indices, counts.indptr
    return csr_array(arrays, shape=counts.shape)


def _to_log2_cpm(values: NDArray[np.float64], total: NDArray[np.float64]) -> None:
    """Normalise values of cells of these totals, in place."""
    values *= 1_000_000
    values /= total
    values += 1
    np.log2(values, out=values)


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
    for first in range(0, counts.shape[0], _CELLS_PER_STEP):
        starts = counts.indptr[first : first + _CELLS_PER_STEP + 1].astype(np.intp)
        step = slice(starts[0], starts[-1])
        values, starts = counts.data[step], starts - starts[0]
        if len(values):
            whole = _small_whole_numbers(values, (2 * len(values)) // (len(starts) - 1))
            rank = _rank_by_sorting(values, starts) if whole is None else _rank(whole, starts)
            ranks[step] = rank
    return ranks


def _small_whole_numbers(values: NDArray[Any], limit: int) -> NDArray[Any] | None:
    """Give the values as integers if they are whole numbers under the limit, else None."""
    if values.max() >= limit:
        return None
    if values.dtype.kind in "iu":
        return values
    whole = values.astype(np.int32)
    return whole if (whole == values).all() else None


def _rank(values: NDArray[Any], starts: NDArray[np.intp]) -> NDArray[np.float32]:
    """Rank small whole numbers cell by cell, by how often each occurs, without sorting."""
    n_cells, span = len(starts) - 1, int(values.max()) + 1
    # The highest number becomes 0, so that a running sum counts the higher ones.
    key = np.repeat(np.arange(n_cells) * span + (span - 1), np.diff(starts))
    key -= values
    n_equal = np.bincount(key, minlength=n_cells * span).reshape(n_cells, span)
    rank: NDArray[np.float32] = (
        (np.cumsum(n_equal, axis=1) + 0.5 - n_equal / 2).astype(np.float32).ravel().take(key)
    )
    return rank


def _rank_by_sorting(values: NDArray[Any], starts: NDArray[np.intp]) -> NDArray[np.float32]:
    """Rank any numbers cell by cell."""
    order = np.empty(len(values), dtype=np.intp)
    for start, stop in pairwise(starts.tolist()):
        np.add(values[start:stop].argsort()[::-1], start, out=order[start:stop])
    ordered = values[order]
    is_first = np.empty(len(values), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    is_first[starts[:-1][starts[:-1] < len(values)]] = True
    first = np.flatnonzero(is_first)
    last = np.append(first[1:], len(values))
    before = np.repeat(starts[:-1], np.diff(starts))[first]
    ranks = np.empty(len(values), dtype=np.float32)
    ranks[order] = np.repeat(((first + 1 + last) / 2 - before).astype(np.float32), last - first)
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
