"""Smooth the scores along the correlation of cells.

Source: cytotrace2_py 1.1.0.4 `top_var_genes`, `get_markov_matrix`, `smoothing_by_diffusion`
(behaviour); the method is CytoTRACE's (Gulati et al., Science 2020, doi 10.1126/science.aax0249).
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from scipy.sparse import csc_array

__all__ = ["diffuse", "dispersion", "smoothing_groups", "variable_genes"]

N_VARIABLE_GENES = 1000
_RESTART = 0.1
_TOLERANCE = 1e-6
_MAX_ROUNDS = 10_000


def dispersion(log2_cpm: csc_array) -> NDArray[np.float64]:
    """Variance over mean of each gene.

    Parameters
    ----------
    log2_cpm
        log2(CPM + 1), CSC, shape (n_cells, n_genes).

    Returns
    -------
    ndarray
        Population variance / mean, 0 for a gene that is the same in all cells; float64,
        shape (n_genes,).
    """
    n_cells, n_genes = log2_cpm.shape
    ratio = np.zeros(n_genes)
    for gene, (start, stop) in enumerate(pairwise(log2_cpm.indptr.tolist())):
        values = log2_cpm.data[start:stop]
        n_zeros = n_cells - (stop - start)
        # Next to a huge value, log2 CPM of a small one is 0.
        if len(values) and values.max() > 0 and (n_zeros or values.min() < values.max()):
            mean = values.sum() / n_cells
            variance = (((values - mean) ** 2).sum() + n_zeros * mean**2) / n_cells
            ratio[gene] = variance / mean
    return ratio


def variable_genes(log2_cpm: csc_array) -> NDArray[np.intp]:
    """Find the 1,000 genes of largest dispersion; constant genes fill up.

    Parameters
    ----------
    log2_cpm
        log2(CPM + 1), CSC, shape (n_cells, n_genes).

    Returns
    -------
    ndarray
        Indices of the genes in order of their dispersion; intp, shape (1000,).
    """
    return np.argsort(dispersion(log2_cpm), kind="stable")[-N_VARIABLE_GENES:]


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
    log2_cpm: csc_array,
    score: NDArray[np.floating],
    *,
    group_size: int = 1000,
    seed: int = 14,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Smooth the scores of a batch by diffusion with restart, group by group.

    Parameters
    ----------
    log2_cpm
        log2(CPM + 1), CSC, shape (n_cells, n_genes), with a value in every cell.
    score
        Score of each cell before smoothing; shape (n_cells,). Its share of the result is computed
        in its own precision, as upstream does with float32.
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
    variable = log2_cpm[:, variable_genes(log2_cpm)].tocsr()
    smoothed = np.asarray(score, dtype=np.float64).copy()

    def run(group: NDArray[np.intp]) -> None:
        if len(group) > 1:
            smoothed[group] = _diffuse_group(variable[group].toarray(), score[group])
        if progress is not None:
            progress(len(group))

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(run, smoothing_groups(len(score), group_size, seed)):
            pass
    return smoothed


def _diffuse_group(
    expression: NDArray[np.float64], score: NDArray[np.floating]
) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):  # a cell without any of the genes
        similarity: NDArray[np.float64] = np.atleast_2d(np.corrcoef(expression))
    np.fill_diagonal(similarity, 0)
    np.nan_to_num(similarity, copy=False, nan=0.0)
    similarity[similarity < max(similarity.mean(), 0)] = 0
    transition = similarity / (similarity.sum(axis=1, keepdims=True) + 1e-5)
    restart = _RESTART * score
    scale = score.mean() + 1e-6
    current: NDArray[np.floating] = score
    for _ in range(_MAX_ROUNDS):
        previous = current
        current = (1 - _RESTART) * (transition @ previous) + restart
        if np.abs(current - previous).mean() / scale < _TOLERANCE:
            break
    return current.astype(np.float64, copy=False)
