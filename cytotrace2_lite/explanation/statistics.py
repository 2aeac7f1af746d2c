"""Rank correlation of each gene with a score, without holding all values at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.system.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cytotrace2_lite.counts import Counts

__all__ = ["adjusted", "p_values", "spearman"]

# Values that are sorted by gene and cell together, and cells they are taken from at a time.
_VALUES_TOGETHER = 6_000_000
_CELLS_PER_STEP = 2048
_GENES_PER_ITEM = 500


def spearman(
    counts: Counts, score: NDArray[np.float64], *, threads: int = 1
) -> NDArray[np.float64]:
    """Correlate the ranks of each gene's log2 CPM with those of a score, over the cells.

    Parameters
    ----------
    counts
        Expression, shape (n_cells, n_genes).
    score
        Of each cell, NaN for a cell to be left out; shape (n_cells,).
    threads
        How many share the work. The result does not depend on it.

    Returns
    -------
    ndarray
        float64, shape (n_genes,), equal values sharing their mean rank; NaN for a gene that has
        the same value in all cells, and everywhere where the score has.
    """
    n_genes = counts.shape[1]
    correlation = np.full(n_genes, np.nan)
    cells = np.flatnonzero(~np.isnan(score))
    if len(cells) < 2:
        return correlation
    rank = np.full(counts.shape[0], np.nan)
    rank[cells] = _centred_ranks(score[cells])
    spread = float(np.sqrt((rank[cells] ** 2).sum()))
    if not spread:
        return correlation
    n_values = np.zeros(n_genes, np.int64)
    for step in _steps(cells):
        n_values += np.bincount(counts[step].indices, minlength=n_genes)

    for genes in _blocks(n_values):
        cell, value, starts = _by_gene(counts, cells, genes)

        def of_some(
            some: range,
            cell: NDArray[np.int32] = cell,
            value: NDArray[np.float64] = value,
            starts: NDArray[np.int64] = starts,
        ) -> list[float]:
            return [
                _correlation(
                    value[starts[i] : starts[i + 1]],
                    rank[cell[starts[i] : starts[i + 1]]],
                    len(cells),
                    spread,
                )
                for i in some
            ]

        items = [
            range(first, min(first + _GENES_PER_ITEM, len(genes)))
            for first in range(0, len(genes), _GENES_PER_ITEM)
        ]
        found = [r for some in in_order(of_some, items, threads) for r in some]
        correlation[genes.start : genes.stop] = found
    return correlation


def p_values(correlation: NDArray[np.float64], n_cells: int) -> NDArray[np.float64]:
    """Two-sided p values of rank correlations, by Student's t distribution.

    Parameters
    ----------
    correlation
        Any shape; NaN gives NaN.
    n_cells
        Number of cells each is over.

    Returns
    -------
    ndarray
        float64, of the same shape; NaN where there are fewer than three cells.
    """
    from scipy.special import stdtr

    if n_cells < 3:
        return np.full_like(correlation, np.nan)
    free = n_cells - 2
    with np.errstate(divide="ignore"):
        t = correlation * np.sqrt(free / np.maximum((1 - correlation) * (1 + correlation), 0))
    return np.asarray(2 * stdtr(free, -np.abs(t)))


def adjusted(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p values for the false discovery rate.

    Source: Benjamini, Hochberg, J. R. Stat. Soc. B 57, 1995.

    Parameters
    ----------
    p
        p values, shape (n,); NaN for what was not tested.

    Returns
    -------
    ndarray
        float64, shape (n,): the smallest rate at which each is called, in the order given.
    """
    result = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")[::-1]]
    n = len(order)
    rates = p[order] * n / np.arange(n, 0, -1)
    result[order] = np.minimum(np.minimum.accumulate(rates), 1)
    return result


def _steps(cells: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(cells), _CELLS_PER_STEP):
        yield cells[start : start + _CELLS_PER_STEP]


def _blocks(n_values: NDArray[np.int64]) -> Iterator[range]:
    """Cut the genes into blocks of neighbours with few enough values, or of one gene."""
    ends = np.cumsum(n_values)
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        stop = int(ends.searchsorted(before + _VALUES_TOGETHER, side="right"))
        stop = max(stop, start + 1)
        yield range(start, stop)
        start = stop


def _by_gene(
    counts: Counts, cells: NDArray[np.intp], genes: range
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]]:
    """Cell and CPM of the values of some genes, and where those of each gene begin."""
    from scipy.sparse import csr_array

    columns, values, sizes = [], [], []
    for step in _steps(cells):
        some = counts[step]
        inside = (some.indices >= genes.start) & (some.indices < genes.stop)
        size = np.diff(np.concatenate([[0], np.cumsum(inside)])[some.indptr])
        # CPM in place of its logarithm: the ranks are the same.
        total = np.repeat(counts.total[step], size)
        columns.append((some.indices[inside] - genes.start).astype(np.int32))
        values.append(some.data[inside].astype(np.float64) * 1e6 / total)
        sizes.append(size)
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    by_cell = csr_array(
        (np.concatenate(values), np.concatenate(columns), indptr),
        shape=(len(cells), len(genes)),
    )
    by_gene = by_cell.tocsc()
    return cells[by_gene.indices].astype(np.int32), by_gene.data, by_gene.indptr


def _centred_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank values, equal ones sharing their mean rank, less the mean of all ranks."""
    order = np.argsort(values)
    ordered = values[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    stop = np.append(first[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((first + 1 + stop) / 2, stop - first)
    ranks -= (len(values) + 1) / 2
    return ranks


def _correlation(
    values: NDArray[np.float64], rank: NDArray[np.float64], n_cells: int, spread: float
) -> float:
    """Correlate a gene: its values over zero, and the centred rank of the score in these cells."""
    n_zero = n_cells - len(values)
    if not len(values):
        return np.nan
    # The zeros share the lowest rank; the others come after them.
    own = _centred_ranks(values) + n_zero / 2
    zeros = -len(values) / 2
    covariance = own @ rank - zeros * rank.sum()
    variance = own @ own + n_zero * zeros**2
    return float(covariance / (np.sqrt(variance) * spread)) if variance else np.nan
