"""Smooth the scores along the correlation of cells.

Source: cytotrace2_py 1.1.0.4 `top_var_genes`, `get_markov_matrix`, `smoothing_by_diffusion`
(behaviour); the method is CytoTRACE's (Gulati et al., Science 2020, doi 10.1126/science.aax0249).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.stages.preprocess import log2_cpm_of_genes
from cytotrace2_lite.system.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from cytotrace2_lite.counts import Counts
    from cytotrace2_lite.stages.gene_sums import GeneSums

__all__ = ["diffuse", "smoothing_groups", "variable_genes"]

# The method, as upstream has it.
N_VARIABLE_GENES = 1000
_RESTART = 0.1  # weight of the score before smoothing
_TOLERANCE = 1e-6  # mean change of a round, as a share of the mean score
_MAX_ROUNDS = 10_000

# Only memory depends on this.
_CELLS_PER_STEP = 256


def variable_genes(sums: GeneSums) -> NDArray[np.intp]:
    """Find the 1,000 genes of largest dispersion; constant genes fill up.

    Parameters
    ----------
    sums
        Those of the cells of the batch.

    Returns
    -------
    ndarray
        Indices of the genes in order of their dispersion; intp, shape (1000,).
    """
    return np.argsort(sums.dispersion(), kind="stable")[-N_VARIABLE_GENES:]


def smoothing_groups(n_cells: int, group_size: int, seed: int) -> list[NDArray[np.intp]]:
    """Split the cells of a batch at random into groups that are smoothed by themselves.

    Parameters
    ----------
    n_cells
        Number of cells.
    group_size
        Largest number of cells in a group.
    seed
        Seed of the shuffle.

    Returns
    -------
    list of ndarray
        Cell indices of each group.
    """
    n_groups = 1 if group_size > n_cells else math.ceil(n_cells / group_size)
    order = np.arange(n_cells)
    np.random.RandomState(seed).shuffle(order)
    return np.array_split(order, n_groups)


def diffuse(
    counts: Counts | csr_array,
    score: NDArray[np.floating],
    variable: NDArray[np.intp],
    *,
    group_size: int = 1000,
    seed: int = 14,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Smooth the scores of a batch by diffusion with restart, group by group.

    Parameters
    ----------
    counts
        Counts or CPM/TPM, shape (n_cells, n_genes), a value in every cell.
    score
        Score of each cell before smoothing; shape (n_cells,). It is multiplied with its weight in
        its own precision, as upstream does with float32.
    variable
        The genes that tell how cells are correlated; shape (n_variable_genes,).
    group_size
        Largest number of cells smoothed together.
    seed
        Seed of the split into groups.
    threads
        How many threads share the groups. The result does not depend on it.
    progress
        Called with the number of cells done since the last call, from any thread.

    Returns
    -------
    ndarray
        Smoothed scores; float64, shape (n_cells,).

    Notes
    -----
    Differs: upstream fails on a group of one cell; here it keeps its score.
    """
    column = np.full(counts.shape[1], -1)
    column[variable] = np.arange(len(variable))
    smoothed = np.asarray(score, dtype=np.float64).copy()

    def smooth(group: NDArray[np.intp]) -> None:
        if len(group) > 1:
            expression = np.zeros((len(group), len(variable)))
            for start in range(0, len(group), _CELLS_PER_STEP):
                some = counts[group[start : start + _CELLS_PER_STEP]]
                cells, genes, log2 = log2_cpm_of_genes(some, column >= 0)
                expression[start + cells, column[genes]] = log2
            smoothed[group] = _diffuse_group(expression, score[group])
        if progress is not None:
            progress(len(group))

    for _ in in_order(smooth, smoothing_groups(len(score), group_size, seed), threads):
        pass
    return smoothed


def _diffuse_group(
    expression: NDArray[np.float64], score: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Smooth the scores of one group.

    Parameters
    ----------
    expression
        log2(CPM + 1) of the variable genes; shape (n_cells, n_variable_genes). Overwritten.
    score
        Scores before smoothing; shape (n_cells,).

    Returns
    -------
    ndarray
        float64, shape (n_cells,).
    """
    # As np.corrcoef, which makes two copies of the expression.
    expression -= expression.mean(axis=1, keepdims=True)
    similarity = expression @ expression.T
    deviation = np.sqrt(similarity.diagonal())
    with np.errstate(divide="ignore", invalid="ignore"):  # cells that express none
        similarity /= deviation[:, None]
        similarity /= deviation
    np.clip(similarity, -1, 1, out=similarity)
    np.fill_diagonal(similarity, 0)
    similarity[np.isnan(similarity)] = 0
    similarity[similarity < max(similarity.mean(), 0)] = 0
    similarity /= similarity.sum(axis=1, keepdims=True) + 1e-5
    restart = _RESTART * score
    scale = score.mean() + 1e-6
    current: NDArray[np.floating] = score
    for _ in range(_MAX_ROUNDS):
        previous = current
        current = (1 - _RESTART) * (similarity @ previous) + restart
        if np.abs(current - previous).mean() / scale < _TOLERANCE:
            break
    return current.astype(np.float64, copy=False)
