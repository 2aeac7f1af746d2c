"""The Gram matrix of z-scored cells: products with it, and itself where cells are few.

It is C Z Z' C, where Z holds the z-scored cells, shape (n_cells, n_genes), and C centres over the
cells. Both the shift of the z-scores and the centring are corrections of rank one: the sparse
values are multiplied, and the products are corrected. All arithmetic is in float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.stages._gram_kernels import KERNELS, VECTORS_PER_PRODUCT, for_cells
from cytotrace2_lite.system.threads import in_order

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from numpy.typing import NDArray

    from cytotrace2_lite.stages.standardised import FewCells, ManyCells

__all__ = ["GramProduct", "gram_matrix"]

# These move the last bits of the results.
_PARTS = 8  # of the genes, whose products are added up; so many threads can share a product
_GENES_PER_STEP = 512  # of the Gram matrix

# Only speed depends on this.
_CELLS_PER_SUM = 1024  # of which products are added up at a time


class GramProduct:
    """Products of vectors with the Gram matrix of the cells.

    Parameters
    ----------
    cells
        The cells.
    pool
        Threads that share the genes. The result does not depend on their number.
    """

    def __init__(self, cells: ManyCells, pool: ThreadPoolExecutor) -> None:
        self._cells = cells
        self._pool = pool
        n_groups, n_filled, _ = cells.dense.shape
        values = np.linspace(0, cells.first[-1], _PARTS + 1)
        self._groups = np.linspace(0, n_groups, _PARTS + 1).astype(int)
        self._genes = np.searchsorted(cells.first, values)
        self._through_sparse = KERNELS[for_cells("sparse", cells.cells)]
        # Used again for each product: fresh pages cost as much as a part of it.
        self._vectors = _aligned(n_filled)
        self._on_cells = _aligned(_PARTS, n_filled)
        self._total = _aligned(_PARTS)

    def __call__(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiply.

        Parameters
        ----------
        vectors
            float64, shape (n_vectors, n_cells).

        Returns
        -------
        ndarray
            float64, shape (n_vectors, n_cells).
        """
        images = np.empty(vectors.shape)
        for first in range(0, len(vectors), VECTORS_PER_PRODUCT):
            some = vectors[first : first + VECTORS_PER_PRODUCT]
            images[first : first + VECTORS_PER_PRODUCT] = self._multiply(some).T[: len(some)]
        return images

    def _multiply(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiply up to 8 vectors; the images are columns, shape (n_cells, 8)."""
        cells, (n_vectors, n_cells) = self._cells, vectors.shape
        scale = cells.unit * cells.scale
        vectors = vectors - vectors.mean(axis=1, keepdims=True)
        self._vectors[:n_cells, :n_vectors] = vectors.T * scale
        self._vectors[:n_cells, n_vectors:] = 0
        constant = _aligned()  # what the shift of the cells takes off each gene
        constant[:n_vectors] = vectors @ cells.shift[:, 0]
        images = np.empty((n_cells, VECTORS_PER_PRODUCT))

        def add_up(start: int) -> None:
            some = slice(start, min(start + _CELLS_PER_SUM, n_cells))
            self._on_cells[:, some].sum(axis=0, out=images[some])

        list(self._pool.map(lambda part: self._through_genes(part, -constant), range(_PARTS)))
        list(self._pool.map(add_up, range(0, n_cells, _CELLS_PER_SUM)))
        # The genes that no cell expresses are all alike.
        total = self._total.sum(axis=0) - cells.n_unexpressed * constant
        images *= scale
        images -= cells.shift * total
        images -= images.mean(axis=0)
        return images

    def _through_genes(self, part: int, start: NDArray[np.float64]) -> None:
        """Multiply with a part of the genes, and back, into `_on_cells` and `_total`."""
        cells, on_cells, total = self._cells, self._on_cells[part], self._total[part]
        on_cells[:] = total[:] = 0
        vectors = self._vectors.ctypes.data, start.ctypes.data
        sums = on_cells.ctypes.data, total.ctypes.data
        begin, end = self._groups[part : part + 2]
        if begin < end:
            n_filled = cells.dense.shape[1]
            KERNELS["dense"](
                cells.dense[begin:].ctypes.data, end - begin, n_filled, *vectors, *sums
            )
        begin, end = self._genes[part : part + 2]
        if begin < end:
            values = cells.values.ctypes.data, cells.cells.ctypes.data
            self._through_sparse(
                *values, cells.first[begin:].ctypes.data, end - begin, *vectors, *sums
            )


def gram_matrix(cells: FewCells, threads: int) -> NDArray[np.float64]:
    """Compute the Gram matrix itself.

    Parameters
    ----------
    cells
        The cells.
    threads
        How many threads share the genes. The result does not depend on it.

    Returns
    -------
    ndarray
        float64, shape (n_cells, n_cells).
    """
    expressed = np.flatnonzero(np.diff(cells.log2_cpm.indptr))

    def gram_of(start: int) -> NDArray[np.float64]:
        some = cells.log2_cpm[:, expressed[start : start + _GENES_PER_STEP]].toarray()
        some *= cells.scale
        some -= cells.shift
        some -= some.mean(axis=0)
        part: NDArray[np.float64] = some @ some.T
        return part

    centred = cells.shift - cells.shift.mean()
    # The genes that no cell expresses are all alike.
    gram: NDArray[np.float64] = (cells.n_genes - len(expressed)) * (centred @ centred.T)
    for part in in_order(gram_of, range(0, len(expressed), _GENES_PER_STEP), threads):
        gram += part
    return gram


def _aligned(*shape: int) -> NDArray[np.float64]:
    """Make an array of zeros, shape (*shape, 8), whose rows do not straddle lines of the cache."""
    n_bytes = VECTORS_PER_PRODUCT * np.dtype(np.float64).itemsize
    memory = np.zeros(math.prod(shape) * n_bytes + n_bytes, dtype=np.uint8)
    skipped = -memory.ctypes.data % n_bytes
    return memory[skipped : skipped - n_bytes].view(np.float64).reshape(*shape, -1)
