"""Sums of the shares over groups of cells, some cells at a time.

The counts are gone through twice: for the mean contributions of the reference, and for the shares.
What is held is one vector over the genes per group, whatever the number of cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.explanation.shares import (
    CELLS_PER_STEP,
    Expressed,
    MeanContributions,
    Shares,
    value_of,
)
from cytotrace2_lite.stages.preprocess import log2_cpm, rank_expressed
from cytotrace2_lite.system.blas import one_blas_thread
from cytotrace2_lite.system.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cytotrace2_lite.counts import Counts
    from cytotrace2_lite.explanation.shares import Reference
    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.models.weights import Weights

__all__ = ["GroupSums", "expressed", "mean_cell", "sum_by_group"]


@dataclass(frozen=True, eq=False)
class GroupSums:
    """Sums over the cells of each group; the last row is of the cells that have no group.

    Attributes
    ----------
    value
        Of each cell, what is explained: the score or the probability; NaN for a cell without
        counts; float64, shape (n_cells,).
    n_cells
        Cells with counts; int64, shape (n_groups + 1,).
    total
        Sum of `value`; float64, shape (n_groups + 1,).
    share
        Sums of the shares; float64, shape (n_groups + 1, 14271).
    added
        Sums of what the expression of each gene adds, the part of the shares that is left where
        the reference is not taken off; float64, shape (n_groups + 1, 14271).
    n_expressing
        How many cells express each gene; float64, shape (n_groups + 1, 14271).
    log2_cpm
        Sums of log2(CPM + 1); float64, shape (n_groups + 1, 14271).
    """

    value: NDArray[np.float64]
    n_cells: NDArray[np.int64]
    total: NDArray[np.float64]
    share: NDArray[np.float64]
    added: NDArray[np.float64]
    n_expressing: NDArray[np.float64]
    log2_cpm: NDArray[np.float64]


def expressed(counts: Counts, cells: NDArray[np.intp]) -> Expressed:
    """Give some cells as the model sees them.

    Parameters
    ----------
    counts
        Expression over the model's features, shape (n_cells, 14271).
    cells
        Which cells.

    Returns
    -------
    Expressed
        log2 CPM and ranks.
    """
    some = counts[cells]
    return Expressed(log2_cpm(some), rank_expressed(some))


def mean_cell(
    counts: Counts,
    weights: Weights,
    cells: NDArray[np.intp],
    *,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Reference:
    """Make the mean cell of some cells.

    Parameters
    ----------
    counts
        Expression over the model's features.
    weights
        The model.
    cells
        Which cells, at least one, all with counts.
    threads
        How many share the work. The result does not depend on it.
    progress
        Called with the number of cells done since the last call.

    Returns
    -------
    Reference
        The mean contribution of each gene to each module.
    """
    mean = MeanContributions(weights)
    for some in in_order(lambda step: expressed(counts, step), _steps(cells), threads):
        mean.add(some)
        if progress is not None:
            progress(some.log2_cpm.shape[0])
    return mean.reference()


def sum_by_group(
    counts: Counts,
    ensemble: Ensemble,
    shares: Shares,
    of_cell: NDArray[np.intp],
    n_groups: int,
    *,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> GroupSums:
    """Add up the shares of the cells of each group.

    Parameters
    ----------
    counts
        Expression over the model's features.
    ensemble
        The model, loaded.
    shares
        What divides the values of cells among the genes.
    of_cell
        Position of each cell's group, -1 for none; shape (n_cells,).
    n_groups
        Number of groups.
    threads
        How many share the work. The result does not depend on it.
    progress
        As for `mean_cell`.

    Returns
    -------
    GroupSums
        Of each group, and of the cells without one.
    """
    n_features = counts.shape[1]
    n_rows = n_groups + 1
    row = np.where(of_cell < 0, n_groups, of_cell)
    sums = GroupSums(
        value=np.full(counts.shape[0], np.nan),
        n_cells=np.zeros(n_rows, np.int64),
        total=np.zeros(n_rows),
        share=np.zeros((n_rows, n_features)),
        added=np.zeros((n_rows, n_features)),
        n_expressing=np.zeros((n_rows, n_features)),
        log2_cpm=np.zeros((n_rows, n_features)),
    )
    gradient_sums = np.zeros((n_rows, shares.weights.n_modules))

    def measure(step: NDArray[np.intp]) -> tuple[NDArray[np.intp], list[_Part]]:
        step = step[np.argsort(row[step], kind="stable")]  # the cells of a group side by side
        some = expressed(counts, step)
        logits = ensemble.logits(*some)
        gradients = shares.gradients(logits)
        added = shares.of_expressed(some, gradients)
        value = value_of(logits, shares.target)
        edges = np.flatnonzero(np.diff(row[step], prepend=-1, append=n_rows))
        parts = []
        for first, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            stored = slice(some.log2_cpm.indptr[first], some.log2_cpm.indptr[stop])
            gene = some.log2_cpm.indices[stored]
            parts.append(
                _Part(
                    int(row[step[first]]),
                    value[first:stop],
                    gradients[first:stop].sum(axis=0),
                    np.bincount(gene, added[stored], minlength=n_features),
                    np.bincount(gene, minlength=n_features),
                    np.bincount(gene, some.log2_cpm.data[stored], minlength=n_features),
                )
            )
        return step, parts

    has_counts = np.flatnonzero(counts.genes_per_cell)
    with one_blas_thread():
        for step, parts in in_order(measure, _steps(has_counts), threads):
            sums.value[step] = np.concatenate([part.value for part in parts])
            for part in parts:
                sums.n_cells[part.row] += len(part.value)
                sums.total[part.row] += part.value.sum()
                gradient_sums[part.row] += part.gradient
                sums.added[part.row] += part.added
                sums.n_expressing[part.row] += part.n_expressing
                sums.log2_cpm[part.row] += part.log2_cpm
            if progress is not None:
                progress(len(step))
        np.subtract(sums.added, shares.of_reference(gradient_sums), out=sums.share)
    return sums


@dataclass(frozen=True, eq=False)
class _Part:
    """Sums over the cells of one row of `GroupSums` in one step."""

    row: int
    value: NDArray[np.float64]
    gradient: NDArray[np.float64]
    added: NDArray[np.number[Any]]
    n_expressing: NDArray[np.number[Any]]
    log2_cpm: NDArray[np.number[Any]]


def _steps(cells: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(cells), CELLS_PER_STEP):
        yield cells[start : start + CELLS_PER_STEP]
