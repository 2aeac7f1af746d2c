"""The inputs of the model's graph: 64 cells at a time, as dense arrays and as lists of genes.

A network needs `relu(threshold - rank)` of every gene, with a threshold of its own. The networks
("modules") are sorted by threshold and cut into bands. The start of a band is the lowest rank that
is not below all of its thresholds. A gene with a rank below the start counts in all modules of the
band, with

    threshold - rank = (start - rank) + (threshold - start)

which is one dense product for all modules, and a second one of whether the rank is below the start.
A gene with a rank of the last threshold or more counts in none. For the few genes in between, each
module is computed on its own: these genes are listed, up to four of equal rank and cell together,
which is called a chunk here and in the graph.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = [
    "BAND_MODULES",
    "CHUNK_GENES",
    "TILE_CELLS",
    "TileFeed",
    "band_start",
    "bands",
    "threshold_ceiling",
]

# The last bits of scores depend on these, as they set the order in which float32 terms are added.

#: Cells in one run of the session, always: the score of a cell must not depend on how many other
#: cells there are, or which.
TILE_CELLS = 64
#: Modules in a band, as many columns as matrix products are fast with. Built into model files.
BAND_MODULES = 16
#: Genes in a chunk, at most. Built into model files.
CHUNK_GENES = 4


def bands(threshold: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Cut the modules into bands of neighbouring thresholds.

    Parameters
    ----------
    threshold
        Threshold of each module, float64, shape (n_modules,).

    Returns
    -------
    list of ndarray
        Indices of the modules of each band, intp, in ascending order of their thresholds. Bands
        have 16 modules; only the first has as many more as are left over, or all if they are fewer.
    """
    order = np.argsort(threshold, kind="stable")
    n_modules = len(order)
    first = n_modules if n_modules < BAND_MODULES else n_modules % BAND_MODULES + BAND_MODULES
    return np.split(order, range(first, n_modules, BAND_MODULES))


def band_start(threshold: NDArray[np.float64]) -> float:
    """Find the lowest rank that is not below all thresholds of a band.

    Parameters
    ----------
    threshold
        Thresholds of the modules of the band, float64, shape (n_modules,).

    Returns
    -------
    float
        A whole or half number, as ranks are.
    """
    return math.ceil(2 * float(threshold.min())) / 2


def threshold_ceiling(threshold: NDArray[np.float64]) -> int:
    """Round the highest threshold up: genes of this rank or more count in no module.

    Parameters
    ----------
    threshold
        Threshold of each module, float64, shape (n_modules,).

    Returns
    -------
    int
        The smallest whole number that no threshold exceeds.
    """
    return math.ceil(float(threshold.max()))


class TileFeed:
    """Makes the inputs of the model for one tile after the other; for use by one thread.

    The memory for a tile is allocated once: for memory that is allocated again for every tile, the
    system would take more time than the work does.

    Parameters
    ----------
    threshold
        Threshold of each module, as the model holds it; float64, shape (n_modules,).
    inputs
        Names of the inputs of the model: `log2_cpm` (architecture 1.1.0) and `n_under` (1.0.0) are
        made only where the model has them.
    n_features
        Number of genes.
    """

    def __init__(
        self, threshold: NDArray[np.float64], inputs: frozenset[str], n_features: int
    ) -> None:
        starts = np.array([band_start(threshold[band]) for band in bands(threshold)])
        # Ranks are whole or half numbers. A key is twice the rank, from the lowest start on.
        self._lowest = starts[0]
        self._start_keys = (2 * (starts - self._lowest)).astype(np.uint16)
        self._ceiling = threshold_ceiling(threshold)
        self._end_key = np.uint16(2 * (self._ceiling - self._lowest))
        self._n_features = n_features
        self._under = np.empty((TILE_CELLS, n_features + 1), np.float32)
        self._log2_cpm = (
            np.empty((TILE_CELLS, n_features), np.float32) if "log2_cpm" in inputs else None
        )
        self._n_under = _CountsUnder(threshold) if "n_under" in inputs else None

    def __call__(
        self, log2_cpm: csr_array, rank: NDArray[np.float32], start: int
    ) -> dict[str, NDArray[Any]]:
        """Make the inputs of a tile.

        If fewer than 64 cells are left, the last rows of the tile have no genes. Ignore what the
        model says of them.

        Parameters
        ----------
        log2_cpm
            log2(CPM + 1), float64 CSR, shape (n_cells, n_features).
        rank
            Rank of each stored value of `log2_cpm` in its cell, float32, shape (n_values,).
        start
            Index of the first cell of the tile.

        Returns
        -------
        dict
            Arrays by the names of the model's inputs. The next call overwrites `under` and
            `log2_cpm`.

            - `under`: how far a rank is below the ceiling of the thresholds; 0 for a gene that is
              not expressed, below 0 for ranks over it. float32, shape (64, n_features + 1); the
              last column is 0.
            - `log2_cpm` (1.1.0): float32, shape (64, n_features).
            - `n_under` (1.0.0): number of genes whose rank is below the threshold of each module,
              at least 1; float32, shape (64, n_modules).
            - for each band i, its chunks in order of rank: `gene_i`, indices of their genes, filled
              up with n_features, int32, shape (n_chunks, 4); `rank_i`, their rank and a 1, float32,
              shape (n_chunks, 2); `cell_i`, their row of the tile, int64, shape (n_chunks, 1).
        """
        stops = log2_cpm.indptr[start : start + TILE_CELLS + 1].astype(np.int32)
        values = slice(*stops[[0, -1]].tolist())
        stops = np.pad(stops - stops[0], (0, TILE_CELLS + 1 - len(stops)), mode="edge")
        gene, rank = log2_cpm.indices[values], rank[values]

        feed: dict[str, NDArray[Any]] = {"under": self._under}
        _fill(self._under, np.float32(self._ceiling) - rank, gene, stops)
        if self._log2_cpm is not None:
            feed["log2_cpm"] = self._log2_cpm
            _fill(self._log2_cpm, log2_cpm.data[values].astype(np.float32), gene, stops)
        cell = np.repeat(np.arange(TILE_CELLS, dtype=np.uint8), np.diff(stops))
        if self._n_under is not None:
            feed["n_under"] = self._n_under(rank, cell)
        feed.update(self._chunks(gene, rank, cell))
        return feed

    def _chunks(
        self, gene: NDArray[np.int32], rank: NDArray[np.float32], cell: NDArray[np.uint8]
    ) -> dict[str, NDArray[Any]]:
        """List the genes ranked inside each band, in chunks of one rank and cell.

        Parameters
        ----------
        gene, rank, cell
            Gene, rank and row of the tile of each stored value; shape (n_values,), in order of
            `cell`.

        Returns
        -------
        dict
            `gene_i`, `rank_i` and `cell_i` of each band, as `__call__` describes them.
        """
        # Small whole numbers, because they are sorted fast. For ranks below the lowest start, the
        # subtraction wraps around to large numbers.
        key = (rank + rank).astype(np.uint16)
        key -= np.uint16(2 * self._lowest)
        inside = np.flatnonzero(key < self._end_key)
        # No band may have an empty list, or one of a single chunk: onnxruntime may add up a single
        # one in another order. So the first two cells get a chunk without genes in every band.
        n_bands = len(self._start_keys)
        key = np.append(key.take(inside), np.tile(self._start_keys, 2))
        cell = np.append(cell.take(inside), np.repeat(np.arange(2, dtype=np.uint8), n_bands))
        gene = np.append(gene.take(inside), np.full(2 * n_bands, self._n_features, np.int32))
        order = key.argsort(kind="stable")  # stable: values of one cell stay together
        key, cell, gene = key.take(order), cell.take(order), gene.take(order)

        is_first = np.append(True, (key[1:] != key[:-1]) | (cell[1:] != cell[:-1]))
        first = np.flatnonzero(is_first)  # of each run of equal key and cell
        n_equal = np.diff(first, append=len(key))
        n_chunks = -(-n_equal // CHUNK_GENES)
        n_before = np.cumsum(n_chunks) - n_chunks
        place = np.arange(len(key)) + np.repeat(CHUNK_GENES * n_before - first, n_equal)
        chunk = np.full(
            (n_before[-1] + n_chunks[-1], CHUNK_GENES), self._n_features, dtype=np.int32
        )
        chunk.ravel()[place] = gene

        of_chunk = np.repeat(first, n_chunks)
        key, cell = key.take(of_chunk), cell.take(of_chunk)
        rank_and_one = np.ones((len(key), 2), np.float32)
        rank_and_one[:, 0] = key / 2 + self._lowest
        cells = cell.astype(np.int64)[:, None]
        feed: dict[str, NDArray[Any]] = {}
        edges = [*key.searchsorted(self._start_keys).tolist(), len(key)]
        for band, (begin, end) in enumerate(pairwise(edges)):
            feed[f"gene_{band}"] = chunk[begin:end]
            feed[f"rank_{band}"] = rank_and_one[begin:end]
            feed[f"cell_{band}"] = cells[begin:end]
        return feed


class _CountsUnder:
    """Counts how many genes of each cell have a rank below each threshold.

    Parameters
    ----------
    threshold
        Threshold of each module, float64, shape (n_modules,).
    """

    def __init__(self, threshold: NDArray[np.float64]) -> None:
        order = np.argsort(threshold, kind="stable")
        self._place = np.argsort(order)
        ranks = np.arange(2 * threshold_ceiling(threshold)) / 2
        # How many of the thresholds each rank, at twice its value, is not below.
        self._n_reached = threshold[order].searchsorted(ranks, "right")

    def __call__(self, rank: NDArray[np.float32], cell: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Count them for the cells of a tile.

        Parameters
        ----------
        rank, cell
            Rank and row of the tile of each value; shape (n_values,).

        Returns
        -------
        ndarray
            float32, shape (64, n_modules); at least 1, as shares are divided by it.
        """
        n_modules = len(self._place)
        key = (rank + rank).astype(np.uint16)
        counts = np.flatnonzero(key < len(self._n_reached))
        level = self._n_reached.take(key.take(counts))
        level += cell.take(counts).astype(np.intp) * (n_modules + 1)
        n = np.bincount(level, minlength=TILE_CELLS * (n_modules + 1))
        n_under = np.cumsum(n.reshape(TILE_CELLS, -1), axis=1)[:, self._place]
        return np.maximum(n_under, 1).astype(np.float32)


def _fill(
    tile: NDArray[np.float32],
    values: NDArray[np.float32],
    gene: NDArray[np.int32],
    stops: NDArray[np.int32],
) -> None:
    """Write values into a dense tile, and zeros everywhere else.

    Parameters
    ----------
    tile
        Written to; shape (64, n_columns).
    values, gene
        Values and their columns, by cell; shape (n_values,).
    stops
        Where the values of each cell begin and end; shape (65,).
    """
    from scipy.sparse import csr_array

    csr_array((values, gene, stops), shape=tile.shape).toarray(out=tile)
