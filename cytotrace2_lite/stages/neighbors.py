"""Find the nearest neighbours of each cell, and smooth the scores over those that agree.

Source: cytotrace2_py 1.1.0.4 `neighborhood_smoothing_single_chunk`, `shortest_consensus`
(behaviour).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.system.caches import prepare_caches
from cytotrace2_lite.system.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["MAX_EXACT", "N_COMPONENTS", "N_NEIGHBORS", "nearest_neighbors", "smooth_over_neighbors"]

# These change the results.
N_COMPONENTS = 30
N_NEIGHBORS = 30
#: Batches of more cells get approximate neighbours. The time for exact ones grows with the square
#: of the number of cells; for 100,000 it is about that of pynndescent and of what it compiles at
#: its first use.
MAX_EXACT = 100_000
_DESCENT_NEIGHBORS = 60  # asked for, so that (nearly) all of the first 30 are there
_DESCENT_SEED = 14
_DESCENT_CELLS_PER_STEP = 512  # may move the last bit of a distance

# Only speed and memory depend on these: what is found is the same.
_DISTANCES_PER_STEP = 1 << 21
_N_CANDIDATES = 48  # whose distances are computed exactly
_SAMPLE_STRIDE, _SAMPLE_RANK = 8, 16  # see `_smallest`

# Error of float32 in |y|^2 - 2 x.y as a share of |x|^2 + the largest |y|^2, for 30 components.
# A smaller one would lose neighbours.
_ROUNDING = 40 * float(np.finfo(np.float32).eps)


def nearest_neighbors(
    coordinates: NDArray[np.float64],
    *,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find the 30 nearest cells of each cell, itself included, by Euclidean distance.

    Neighbours are exact for up to `MAX_EXACT` cells. For more cells they are found by nearest
    neighbour descent, which misses a few; the distances, and the largest one of each cell, are
    exact all the same.

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
    if n_cells > MAX_EXACT:
        return _by_descent(coordinates, threads, progress)
    neighbors = np.empty((n_cells, N_NEIGHBORS), dtype=np.intp)
    distances = np.empty((n_cells, N_NEIGHBORS))
    # Candidates are found by |y|^2 - 2 x.y in float32, with one product of matrices. In each row
    # that is |x - y|^2 but for a constant. Their distances are then computed in float64.
    squared = np.einsum("ij,ij->i", coordinates, coordinates)
    single = coordinates.astype(np.float32)
    others = np.column_stack([-2 * single, squared.astype(np.float32)]).T
    rounding = _ROUNDING * (squared + squared.max())

    def find(start: int) -> None:
        rows = slice(start, start + cells_per_step)
        cells = coordinates[rows]
        approximate = np.column_stack([single[rows], np.ones(len(cells), np.float32)]) @ others
        candidates, beyond = _smallest(approximate, min(n_cells, _N_CANDIDATES))
        distance = _distances(cells[:, None], coordinates[candidates])
        order = np.argsort(distance, axis=1, kind="stable")[:, :N_NEIGHBORS]
        found = np.take_along_axis(candidates, order, axis=1)
        nearest = np.take_along_axis(distance, order, axis=1)
        # Where many distances are nearly equal, a cell that is no candidate may be as near as the
        # last one found: then the distances to all cells are computed.
        for row in np.flatnonzero(
            nearest[:, -1] ** 2 >= beyond + squared[rows] - rounding[rows]
        ).tolist():
            every = _distances(cells[row], coordinates)
            found[row] = np.argsort(every, kind="stable")[:N_NEIGHBORS]
            nearest[row] = every[found[row]]
        neighbors[rows] = found
        scale = _largest_distances(approximate, rounding[rows], cells, coordinates)[:, None]
        distances[rows] = np.divide(nearest, scale, out=np.zeros_like(nearest), where=scale > 0)
        if progress is not None:
            progress(len(cells))

    cells_per_step = max(1, _DISTANCES_PER_STEP // n_cells)
    for _ in in_order(find, range(0, n_cells, cells_per_step), threads):
        pass
    return neighbors, distances


def _by_descent(
    coordinates: NDArray[np.float64], threads: int, progress: Callable[[int], None] | None
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find neighbours as `nearest_neighbors` does, but a few may be missed."""
    prepare_caches()
    from pynndescent import NNDescent  # the import takes seconds
    from scipy.spatial.distance import cdist

    n_cells = len(coordinates)
    index = NNDescent(
        coordinates.astype(np.float32),
        n_neighbors=_DESCENT_NEIGHBORS,
        random_state=_DESCENT_SEED,
        n_jobs=threads,
    )
    found = index.neighbor_graph[0].astype(np.intp)
    del index
    itself = np.arange(n_cells)
    # Among many cells that are nearly equal, a cell may miss itself.
    misses_itself = (found != itself[:, None]).all(axis=1)
    found[misses_itself, -1] = itself[misses_itself]
    found.sort(axis=1)
    neighbors = np.empty((n_cells, N_NEIGHBORS), dtype=np.intp)
    distances = np.empty((n_cells, N_NEIGHBORS))
    # From the centre outwards, so that the cells of a step have much the same farthest ones.
    radius = np.sqrt(np.einsum("ij,ij->i", coordinates, coordinates))
    outwards = np.argsort(radius, kind="stable")

    def find(start: int) -> None:
        rows = outwards[start : start + _DESCENT_CELLS_PER_STEP]
        cells = coordinates[rows]
        distance = _distances(cells[:, None], coordinates[found[rows]])
        order = np.argsort(distance, axis=1, kind="stable")[:, :N_NEIGHBORS]
        neighbors[rows] = np.take_along_axis(found[rows], order, axis=1)
        largest = np.zeros(len(rows))
        for stop in range(n_cells, 0, -_DESCENT_CELLS_PER_STEP):
            # No cell nearer to the centre than these can be farther away.
            if (radius[rows] + radius[outwards[stop - 1]] <= largest).all():
                break
            others = coordinates[outwards[max(stop - _DESCENT_CELLS_PER_STEP, 0) : stop]]
            np.maximum(largest, cdist(cells, others).max(axis=1), out=largest)
        scale = largest[:, None]
        nearest = np.take_along_axis(distance, order, axis=1)
        distances[rows] = np.divide(nearest, scale, out=np.zeros_like(nearest), where=scale > 0)
        if progress is not None:
            progress(len(rows))

    for _ in in_order(find, range(0, n_cells, _DESCENT_CELLS_PER_STEP), threads):
        pass
    return neighbors, distances


def _distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean distances of coordinates, over the last axis; the others are broadcast."""
    offset = one - other
    distance: NDArray[np.float64] = np.sqrt(np.einsum("...k,...k->...", offset, offset))
    return distance


def _smallest(numbers: NDArray[np.float32], n: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Find the n smallest numbers of each row.

    Partial sorting takes most of the time, so most numbers are left out first: those larger than
    the 17th smallest of every 8th number of the row, which is larger than about 128 numbers.

    Parameters
    ----------
    numbers
        Shape (n_rows, n_columns).
    n
        How many, at most n_columns.

    Returns
    -------
    columns : ndarray
        Their columns, ascending; intp, shape (n_rows, n).
    bound : ndarray
        A number of each row that no other number of the row is smaller than; float32,
        shape (n_rows,).
    """
    n_rows, n_columns = numbers.shape
    if n == n_columns:
        every = np.broadcast_to(np.arange(n), numbers.shape)
        return every, np.full(n_rows, np.inf, np.float32)
    bound = np.full(n_rows, np.inf, np.float32)
    if n_columns >= _SAMPLE_STRIDE * _SAMPLE_RANK:
        sample = numbers[:, ::_SAMPLE_STRIDE]
        bound = np.partition(sample, _SAMPLE_RANK, axis=1)[:, _SAMPLE_RANK]
    flat = np.flatnonzero(numbers <= bound[:, None])
    row = flat // n_columns
    sizes = np.bincount(row, minlength=n_rows)
    # The numbers that are left, at the front of rows as long as the longest.
    columns = np.zeros((n_rows, max(int(sizes.max()), n + 1)), np.intp)
    left = np.full(columns.shape, np.inf, np.float32)
    position = np.arange(len(flat)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    columns[row, position] = flat - row * n_columns
    left[row, position] = numbers.ravel()[flat]
    order = np.argpartition(left, n, axis=1)
    next_smallest = np.take_along_axis(left, order[:, [n]], axis=1)[:, 0]
    bound = np.minimum(next_smallest, bound)
    smallest = np.take_along_axis(columns, order[:, :n], axis=1)
    for too_few in np.flatnonzero(sizes < n).tolist():
        order = np.argpartition(numbers[too_few], n)
        smallest[too_few] = order[:n]
        bound[too_few] = numbers[too_few, order[n]]
    smallest.sort(axis=1)
    return smallest, bound


def _largest_distances(
    approximate: NDArray[np.float32],
    rounding: NDArray[np.float64],
    cells: NDArray[np.float64],
    coordinates: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Compute the distance of some cells to the cell farthest from each.

    Parameters
    ----------
    approximate
        Squared distances but for a constant of each row; shape (n, n_cells).
    rounding
        Bound of their error; shape (n,).
    cells
        Coordinates of these cells; shape (n, n_components).
    coordinates
        Those of all; shape (n_cells, n_components).

    Returns
    -------
    ndarray
        float64, shape (n,).
    """
    # All that may be the farthest one within rounding.
    least = approximate.max(axis=1) - 2 * rounding
    row, column = np.nonzero(approximate >= least.astype(np.float32)[:, None])
    first = np.flatnonzero(np.concatenate([[True], row[1:] != row[:-1]]))
    largest: NDArray[np.float64] = np.maximum.reduceat(
        _distances(cells[row], coordinates[column]), first
    )
    return largest


def smooth_over_neighbors(
    score: NDArray[np.float64],
    neighbors: NDArray[np.intp],
    distances: NDArray[np.float64],
    category: Callable[[NDArray[np.float64]], NDArray[np.intp]],
) -> NDArray[np.float64]:
    """Compute the weighted mean score of the fewest neighbours that agree on the category.

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
