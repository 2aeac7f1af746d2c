"""Smooth the scores over the nearest neighbours of each cell, as many as agree.

Source: cytotrace2_py 1.1.0.4 `neighborhood_smoothing_single_chunk`, `shortest_consensus`
(behaviour).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["N_COMPONENTS", "N_NEIGHBORS", "nearest_neighbors", "smooth_over_neighbors"]

N_COMPONENTS = 30
N_NEIGHBORS = 30
_ROWS_PER_TASK = 256  # fixed: the partition must not depend on the number of threads


def nearest_neighbors(
    coordinates: NDArray[np.float64],
    *,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find the 30 nearest cells of each cell, itself included, by exact Euclidean distance.

    Parameters
    ----------
    coordinates
        Principal components of the cells; float64, shape (n_cells, n_components), at least 30
        cells.
    threads
        How many threads share the cells. The result does not depend on it.
    progress
        Called with the number of cells done since the last call, from any thread.

    Returns
    -------
    neighbors : ndarray
        Cell indices, nearest first, equal distances in the order of the cells; intp,
        shape (n_cells, 30).
    distances : ndarray
        Distance as a share of the largest distance of the cell, all 0 where that is 0; float64,
        shape (n_cells, 30).
    """
    n_cells = len(coordinates)
    squared = np.einsum("ij,ij->i", coordinates, coordinates)
    # The expansion |x|^2 + |y|^2 - 2 x.y only picks candidates; it rounds near zero.
    n_candidates = min(n_cells, 2 * N_NEIGHBORS)
    neighbors = np.empty((n_cells, N_NEIGHBORS), dtype=np.intp)
    distances = np.empty((n_cells, N_NEIGHBORS))

    def run(start: int) -> None:
        rows = slice(start, start + _ROWS_PER_TASK)
        cells = coordinates[rows]
        approximate = squared - 2 * (cells @ coordinates.T)  # + |x|^2, the same in a row
        farthest = coordinates[approximate.argmax(axis=1)] - cells
        largest = np.sqrt(np.einsum("ij,ij->i", farthest, farthest))
        candidates = np.argpartition(approximate, n_candidates - 1, axis=1)[:, :n_candidates]
        candidates.sort(axis=1)
        offset = coordinates[candidates] - cells[:, None]
        distance = np.sqrt(np.einsum("ijk,ijk->ij", offset, offset))
        order = np.argsort(distance, axis=1, kind="stable")[:, :N_NEIGHBORS]
        found = np.take_along_axis(candidates, order, axis=1)
        nearest = np.take_along_axis(distance, order, axis=1)
        if n_candidates < n_cells:
            # A cell left out may be as near as the last one found, when many are all but equal.
            beyond = np.take_along_axis(approximate, candidates, axis=1).max(axis=1)
            rounding = 64 * np.finfo(np.float64).eps * (squared[rows] + squared.max())
            for row in np.flatnonzero(nearest[:, -1] ** 2 >= beyond + squared[rows] - rounding):
                offset = coordinates - cells[row]
                every = np.sqrt(np.einsum("ij,ij->i", offset, offset))
                found[row] = np.argsort(every, kind="stable")[:N_NEIGHBORS]
                nearest[row] = every[found[row]]
        neighbors[rows] = found
        scale = largest[:, None]
        distances[rows] = np.divide(nearest, scale, out=np.zeros_like(nearest), where=scale > 0)
        if progress is not None:
            progress(len(cells))

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(run, range(0, n_cells, _ROWS_PER_TASK)):
            pass
    return neighbors, distances


def smooth_over_neighbors(
    score: NDArray[np.float64],
    neighbors: NDArray[np.intp],
    distances: NDArray[np.float64],
    category: Callable[[NDArray[np.float64]], NDArray[np.intp]],
) -> NDArray[np.float64]:
    """Weighted mean of the scores of the fewest neighbours that agree on the category.

    With i the smallest of 2 to 15 for which the mean scores of the first i neighbours and of the
    next i fall into one category (2 where there is none), the first 2 i neighbours count, weighted
    by (1 - distance)^2.

    Parameters
    ----------
    score
        Score of each cell after binning; shape (n_cells,).
    neighbors, distances
        As `nearest_neighbors` returns them; shape (n_cells, 30).
    category
        Function from scores to categories.

    Returns
    -------
    ndarray
        One score per row of `neighbors`; float64, shape (n_cells,), in [0, 1].
    """
    of_neighbors = score[neighbors]
    agreed = np.full(len(neighbors), 2)
    for i in range(N_NEIGHBORS // 2, 1, -1):
        first = category(of_neighbors[:, :i].mean(axis=1))
        following = category(of_neighbors[:, i : 2 * i].mean(axis=1))
        agreed[first == following] = i
    weight = (1 - distances) ** 2
    weight[np.arange(N_NEIGHBORS) >= 2 * agreed[:, None]] = 0
    total: NDArray[np.float64] = (of_neighbors * weight).sum(axis=1)
    mean: NDArray[np.float64] = total / weight.sum(axis=1)
    return mean
