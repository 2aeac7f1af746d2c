"""Cells z-scored over their genes, as products with them need it, without the dense matrix.

Z-scores of sparse values are dense, but they are the sparse values times a scale, less a shift of
each cell. So only these three are kept; `gram` multiplies with them.

The values of many cells are kept in 32-bit fixed point: half the memory of float64, with a
rounding error of 7e-9, which moves the coordinates by less than upstream's own rounding does.

Source: cytotrace2_py 1.1.0.4 `neighborhood_smoothing` (behaviour: scikit-learn's `scale`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.stages._gram_kernels import (
    CELLS_PER_TILE,
    GENES_PER_GROUP,
    KERNELS,
    UNIT,
    for_cells,
)
from cytotrace2_lite.stages.preprocess import log2_cpm
from cytotrace2_lite.system.compiler import may_compile
from cytotrace2_lite.system.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from scipy.sparse import csc_array, csr_array

    from cytotrace2_lite.counts import Counts

__all__ = ["FewCells", "ManyCells", "compile_ahead", "scale_and_shift", "standardise"]

# These move the last bits of the results: how the values are kept.
_MAX_FEW = 1024  # cells; up to so many the Gram matrix itself is faster than its products
_DENSE_SHARE = 0.4  # of the cells; from there on a product with all of them is faster

# Only speed and memory depend on this.
_PARTS = 16  # of the cells; so many threads can share the work
_VALUES_PER_STEP = 1 << 18


@dataclass(frozen=True, eq=False)
class FewCells:
    """Cells z-scored over their genes, for the Gram matrix itself.

    Attributes
    ----------
    scale, shift
        1 / standard deviation and mean / standard deviation of log2(CPM + 1) of each cell over all
        genes; float64, shape (n_cells, 1).
    log2_cpm
        log2(CPM + 1), float64 CSC, shape (n_cells, n_genes).
    """

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    log2_cpm: csc_array

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return int(self.log2_cpm.shape[1])


@dataclass(frozen=True, eq=False)
class ManyCells:
    """Cells z-scored over their genes, as products with their Gram matrix need it.

    Attributes
    ----------
    scale, shift
        As those of few cells.
    n_genes
        Number of genes.
    n_unexpressed
        Number of genes that no cell expresses, without those that `dense` is filled up with.
    unit
        What the values are multiples of.
    dense
        log2(CPM + 1) in these units of the genes that many cells express; int32, shape (n_groups,
        n_filled, 8), that of gene 8 i + k in cell j at [i, j, k]. Genes are filled up with zeros to
        a whole group, cells to whole tiles.
    values
        The same of the other genes that any cell expresses, gene by gene, without zeros, but for
        one at the end of a gene with an odd number of values; int32, shape (n_values,).
    cells
        The cell of each of `values`; uint16, or int32 where there are more than 65,536 cells.
    first
        Where the values of each gene begin, and the last end; int64, shape (n_sparse_genes + 1,).
    """

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    n_genes: int
    n_unexpressed: int
    unit: float
    dense: NDArray[np.int32]
    values: NDArray[np.int32]
    cells: NDArray[np.uint16] | NDArray[np.int32]
    first: NDArray[np.int64]


def standardise(counts: Counts | csr_array, *, threads: int = 1) -> FewCells | ManyCells:
    """Prepare the cells of a batch for `principal_components`.

    Parameters
    ----------
    counts
        Counts or CPM/TPM over the features, shape (n_cells, n_features), values > 0, at least
        one in each cell.
    threads
        How many threads share the cells. The result does not depend on it.

    Returns
    -------
    FewCells or ManyCells
        log2(CPM + 1) of the same cells, z-scored with the population standard deviation.

    Raises
    ------
    CytoTRACE2Error
        The cells are many, and the system does not let programs run code that they have made.
    """
    if counts.shape[0] > _MAX_FEW:
        return _many_cells(counts, threads)
    log2 = log2_cpm(counts[:])
    return FewCells(*scale_and_shift(log2), log2.tocsc())


def compile_ahead(n_cells: int) -> None:
    """Have compiled what a batch of so many cells needs, while the calling thread goes on."""
    if n_cells > _MAX_FEW:
        KERNELS.compile_ahead()


def _many_cells(counts: Counts | csr_array, threads: int) -> ManyCells:
    if not may_compile():
        raise CytoTRACE2Error(
            "this system does not let programs run code that they compile (SELinux, or "
            "MemoryDenyWriteExecute of systemd, can forbid it), which batches of more than "
            f"{_MAX_FEW:,} cells need. Allow it, or choose a batch size of up to 1,000."
        )
    n_cells, n_genes = counts.shape
    parts = _split(counts.indptr, 0, n_cells, -(-int(counts.indptr[-1]) // _PARTS))

    def steps(part: slice) -> Iterator[tuple[slice, csr_array]]:
        for cells in _split(counts.indptr, part.start, part.stop, _VALUES_PER_STEP):
            yield cells, counts[cells]

    def expressing(part: slice) -> NDArray[np.intp]:
        n = np.zeros(n_genes, dtype=np.intp)
        for _, some in steps(part):
            n += np.bincount(some.indices, minlength=n_genes)
        return n

    n_expressing = np.stack(list(in_order(expressing, parts, threads)))
    order = np.argsort(-n_expressing.sum(axis=0), kind="stable")
    n_expressing = n_expressing[:, order]
    sizes = n_expressing.sum(axis=0)
    n_dense = int(np.count_nonzero(sizes > _DENSE_SHARE * n_cells))
    n_expressed = int(np.count_nonzero(sizes))
    place = np.empty(n_genes, dtype=np.int32)
    place[order] = np.arange(n_genes, dtype=np.int32)
    # The genes that fill up the last group are like those that no cell expresses.
    n_groups, n_tiles = -(-n_dense // GENES_PER_GROUP), -(-n_cells // CELLS_PER_TILE)
    n_unexpressed = n_genes - n_expressed - (n_groups * GENES_PER_GROUP - n_dense)
    dense = np.zeros((n_groups, n_tiles * CELLS_PER_TILE, GENES_PER_GROUP), dtype=np.int32)
    sparse_sizes = sizes[n_dense:n_expressed]
    first = np.concatenate([[0], np.cumsum(sparse_sizes + sparse_sizes % 2)]).astype(np.int64)
    values = np.zeros(first[-1], dtype=np.int32)
    cell_of = np.zeros(first[-1], dtype=np.uint16 if n_cells <= 1 << 16 else np.int32)
    # Where each part begins in each sparse gene, so that threads can pack parts at once.
    before = np.cumsum(n_expressing, axis=0) - n_expressing
    free = np.add(first[:-1], before[:, n_dense:n_expressed], order="C")
    sums = np.empty((n_cells, 3), dtype=np.int64)
    pack = KERNELS[for_cells("pack", cell_of)]

    def pack_part(number: int) -> None:
        for cells, some in steps(parts[number]):
            log2 = log2_cpm(some)
            genes, indptr = (a.astype(np.int32, copy=False) for a in (log2.indices, log2.indptr))
            pack(
                *(log2.data.ctypes.data, genes.ctypes.data, indptr.ctypes.data),
                *(len(indptr) - 1, cells.start, n_genes, place.ctypes.data),
                *(n_dense, dense.shape[1], dense.ctypes.data, free[number].ctypes.data),
                *(values.ctypes.data, cell_of.ctypes.data, sums[cells].ctypes.data),
            )

    for _ in in_order(pack_part, range(len(parts)), threads):
        pass
    mean = sums[:, :1] * (UNIT / n_genes)
    low, high = (sums[:, i : i + 1].view(np.uint64).astype(np.float64) for i in (1, 2))
    std = np.sqrt(low + high * 2.0**64) * (UNIT / n_genes)
    return ManyCells(
        *_of_moments(mean, std), n_genes, n_unexpressed, UNIT, dense, values, cell_of, first
    )


def scale_and_shift(log2_cpm: csr_array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return 1 / standard deviation and mean / standard deviation of each cell over all genes.

    Parameters
    ----------
    log2_cpm
        log2(CPM + 1), CSR, shape (n_cells, n_genes).

    Returns
    -------
    scale, shift : ndarray
        float64, shape (n_cells, 1).
    """
    from scipy.sparse import csr_array

    n_genes = log2_cpm.shape[1]
    n_values = np.diff(log2_cpm.indptr)
    mean = log2_cpm.sum(axis=1) / n_genes
    squares = log2_cpm.data - np.repeat(mean, n_values)
    squares *= squares
    about = csr_array((squares, log2_cpm.indices, log2_cpm.indptr), shape=log2_cpm.shape)
    std = np.sqrt((about.sum(axis=1) + (n_genes - n_values) * mean**2) / n_genes)
    return _of_moments(mean[:, None], std[:, None])


def _of_moments(
    mean: NDArray[np.float64], std: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scale and shift of cells of this mean and standard deviation."""
    std[std <= 1e-12 * mean] = 1.0  # a constant cell, as scikit-learn has it
    return 1 / std, mean / std


def _split(indptr: NDArray[np.integer[Any]], start: int, stop: int, n_values: int) -> list[slice]:
    """Split the cells from start to stop into slices of about so many values."""
    first = np.searchsorted(indptr, np.arange(indptr[start], indptr[stop], n_values))
    bounds = np.unique(np.append(first, stop)).tolist()
    return [slice(*pair) for pair in itertools.pairwise(bounds)]
