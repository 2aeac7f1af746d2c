"""Cells as the graph of a model takes them: some at a time, dense and as lists of genes.

A network needs `relu(threshold - rank)` of every gene, with a threshold of its own. The networks
("modules") are sorted by threshold and cut into bands. Most genes rank under all thresholds of a
band or over all of them; under them, with the lowest rank of the band as its start,

    threshold - rank = (start - rank) + (threshold - start)

is one dense product for all modules of the band, and another for whether a gene ranks under the
start. Only for the few genes ranked inside of the band each module makes a difference of its own:
they are listed, those of equal rank together.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = ["BAND_MODULES", "CHUNK_GENES", "TILE_CELLS", "TileFeed", "band_start", "bands", "top"]

#: Cells in a run of the session, always: the order in which float32 terms are added, and so the
#: last bit of a score, must not depend on how many other cells there are, or which.
TILE_CELLS = 64
#: Modules in a band: as many columns as matrix products are fast with.
BAND_MODULES = 16
#: Genes of one rank that are listed together.
CHUNK_GENES = 4


def bands(threshold: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Cut the modules into bands of neighbouring thresholds.

    Parameters
    ----------
    threshold
        Threshold of each module, shape (n_modules,).

    Returns
    -------
    list of ndarray
        Modules of each band, in ascending order of the thresholds; the first has the odd ones.
    """
    order = np.argsort(threshold, kind="stable")
    n_modules = len(order)
    first = n_modules if n_modules < BAND_MODULES else n_modules % BAND_MODULES + BAND_MODULES
    return np.split(order, range(first, n_modules, BAND_MODULES))


def band_start(threshold: NDArray[np.float64]) -> float:
    """Find the lowest rank that is not under all thresholds of a band.

    Parameters
    ----------
    threshold
        Thresholds of the modules of the band.

    Returns
    -------
    float
        A whole or half number, as ranks are.
    """
    return math.ceil(2 * float(threshold.min())) / 2


def top(threshold: NDArray[np.float64]) -> int:
    """Find a whole number that no threshold exceeds.

    Parameters
    ----------
    threshold
        Threshold of each module.

    Returns
    -------
    int
        The smallest.
    """
    return math.ceil(float(threshold.max()))


class TileFeed:
    """Makes the inputs of one tile after the other; for one thread.

    Parameters
    ----------
    threshold
        Threshold of each module, as the model holds it; shape (n_modules,).
    inputs
        Names of the inputs of the model.
    n_features
        Number of genes.
    """

    def __init__(
        self, threshold: NDArray[np.float64], inputs: frozenset[str], n_features: int
    ) -> None:
        starts = np.array([band_start(threshold[band]) for band in bands(threshold)])
        self._lowest = starts[0]
        self._start_keys = (2 * (starts - self._lowest)).astype(np.uint16)
        self._top = top(threshold)
        self._end_key = np.uint16(2 * (self._top - self._lowest))
        self._n_features = n_features
        # Of memory that is asked for anew for every tile, the system costs more than the work.
        self._under = np.empty((TILE_CELLS, n_features + 1), np.float32)
        self._log2_cpm = (
            np.empty((TILE_CELLS, n_features), np.float32) if "log2_cpm" in inputs else None
        )
        self._n_under = _CountsUnder(threshold) if "n_under" in inputs else None

    def __call__(
        self, log2_cpm: csr_array, rank: NDArray[np.float32], start: int
    ) -> dict[str, NDArray[Any]]:
        """Make the inputs of a tile; cells and genes it does not fill add exactly nothing.

        Parameters
        ----------
        log2_cpm, rank
            As for `cytotrace2_lite.models.ensemble.Ensemble.predict`.
        start
            First cell.

        Returns
        -------
        dict
            Arrays by the names of the inputs. The next call overwrites some of them.
        """
        stops = log2_cpm.indptr[start : start + TILE_CELLS + 1].astype(np.int32)
        values = slice(*stops[[0, -1]].tolist())
        stops = np.pad(stops - stops[0], (0, TILE_CELLS + 1 - len(stops)), mode="edge")
        gene, rank = log2_cpm.indices[values], rank[values]

        feed: dict[str, NDArray[Any]] = {"under": self._under}
        _fill(self._under, np.float32(self._top) - rank, gene, stops)
        if self._log2_cpm is not None:
            feed["log2_cpm"] = self._log2_cpm
            _fill(self._log2_cpm, log2_cpm.data[values].astype(np.float32), gene, stops)
        cell = np.repeat(np.arange(TILE_CELLS, dtype=np.uint8), np.diff(stops))
        if self._n_under is not None:
            feed["n_under"] = self._n_under(rank, cell)
        feed.update(self._lists(gene, rank, cell))
        return feed

    def _lists(
        self, gene: NDArray[np.int32], rank: NDArray[np.float32], cell: NDArray[np.uint8]
    ) -> dict[str, NDArray[Any]]:
        """List the genes ranked inside of each band, in chunks of one rank and cell."""
        # Small whole numbers, for they sort fast; those under the lowest start become large.
        key = (rank + rank).astype(np.uint16)
        key -= np.uint16(2 * self._lowest)
        inside = np.flatnonzero(key < self._end_key)
        # No list may be empty, nor have a single chunk: onnxruntime could add up that in another
        # order. So two cells have in every list a gene that is none.
        n_bands = len(self._start_keys)
        key = np.append(key.take(inside), np.tile(self._start_keys, 2))
        cell = np.append(cell.take(inside), np.repeat(np.arange(2, dtype=np.uint8), n_bands))
        gene = np.append(gene.take(inside), np.full(2 * n_bands, self._n_features, np.int32))
        order = key.argsort(kind="stable")  # cells were and stay in order
        key, cell, gene = key.take(order), cell.take(order), gene.take(order)

        is_first = np.append(True, (key[1:] != key[:-1]) | (cell[1:] != cell[:-1]))
        first = np.flatnonzero(is_first)
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
    """How many genes of each cell rank under each threshold."""

    def __init__(self, threshold: NDArray[np.float64]) -> None:
        order = np.argsort(threshold, kind="stable")
        self._place = np.argsort(order)
        ranks = np.arange(2 * top(threshold)) / 2
        self._n_reached = threshold[order].searchsorted(ranks, "right")

    def __call__(self, rank: NDArray[np.float32], cell: NDArray[np.uint8]) -> NDArray[np.float32]:
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
    from scipy.sparse import csr_array

    csr_array((values, gene, stops), shape=tile.shape).toarray(out=tile)
