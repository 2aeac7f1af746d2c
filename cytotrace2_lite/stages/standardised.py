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
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cytotrace2_lite.stages.preprocess import log2_cpm
from cytotrace2_lite.system.threads import in_order, thread_pool

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from cytotrace2_lite.counts import Counts

__all__ = [
    "GENES_PER_PRODUCT",
    "VECTORS_PER_PRODUCT",
    "Compressed",
    "SparseGenes",
    "StandardisedCells",
    "cell_steps",
    "genes_per_call",
    "scale_and_shift",
    "standardise",
]

# These move the last bits of the results: how the values are kept, and fixed partitions, in which
# sums are taken. So none may depend on the number of threads.
_UNIT = 2.0**-26  # of the fixed point; log2(1e6 + 1) < 20 is less than 2**31 of them
_MAX_EXACT_VALUES = 1 << 22  # more of them take more time and memory as float64 (about 1,000 cells)
_DENSE_SHARE = 0.2  # of the cells; from 0.13 on dense is faster, but takes more memory
_DENSE_VALUES_PER_PART = 1 << 21
_SPARSE_VALUES_PER_PART = 1 << 18
#: How many vectors are best multiplied together. With 4 the components are found in a quarter fewer
#: vectors, but each of 8 costs a third less.
VECTORS_PER_PRODUCT = 8
#: How many dense genes they are multiplied with in one product of matrices.
GENES_PER_PRODUCT = 32
# Up to 100**3 multiplications OpenBLAS works in place, without packing its operands first.
_MULTIPLICATIONS_PER_PRODUCT = 1_000_000
_VALUES_PER_CALL = 640_000

# Only speed and memory depend on this.
_VALUES_PER_STEP = 1 << 17


class Compressed(NamedTuple):
    """A sparse matrix, compressed along one axis, with values and indices of small types."""

    data: NDArray[np.int32] | NDArray[np.float64]
    indices: NDArray[np.uint16] | NDArray[np.int32]
    indptr: NDArray[np.int32]


class SparseGenes(NamedTuple):
    """A part of the sparse genes, shape (n_genes_of_part, n_cells), twice.

    SciPy's product is twice as fast where consecutive values go to different places of the
    result: from genes to cells that is so in the order of the genes, and from cells to genes in
    the order of the cells.
    """

    by_gene: Compressed
    by_cell: Compressed


@dataclass(frozen=True, eq=False)
class StandardisedCells:
    """Cells z-scored over their genes, as products with them need it, without the dense matrix.

    Attributes
    ----------
    scale, shift
        1 / standard deviation and mean / standard deviation of log2(CPM + 1) of each cell over all
        genes; float64, shape (n_cells, 1).
    n_genes
        Number of genes.
    n_unexpressed
        Number of genes that no cell expresses, without those that `dense` is filled up with.
    unit
        1, or what the values are multiples of.
    dense
        log2(CPM + 1) in these units of the genes that many cells express, in parts of shape
        (n_genes_of_part, n_cells); float64, or int32 where it is rounded. Genes and cells are
        filled up with zeros to whole products.
    sparse
        The same of the other genes that any cell expresses, not filled up.
    """

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    n_genes: int
    n_unexpressed: int
    unit: float
    dense: list[NDArray[np.int32] | NDArray[np.float64]]
    sparse: list[SparseGenes]


def standardise(counts: Counts | csr_array, *, threads: int = 1) -> StandardisedCells:
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
    StandardisedCells
        log2(CPM + 1) of the same cells, z-scored with the population standard deviation.
    """
    from scipy.sparse import csr_array

    n_cells, n_genes = counts.shape
    steps = _steps(counts.indptr)
    scale, shift = np.empty((n_cells, 1)), np.empty((n_cells, 1))

    def expressing(cells: slice) -> NDArray[np.intp]:
        return np.bincount(counts[cells].indices, minlength=n_genes)

    def by_gene(cells: slice) -> tuple[NDArray[Any], NDArray[np.int32], NDArray[np.intp]]:
        log2 = log2_cpm(counts[cells])
        values = log2.data
        if not exact:
            values = np.rint(values / unit)
            np.multiply(values, unit, out=log2.data)
            values = values.astype(np.int32)
        scale[cells], shift[cells] = scale_and_shift(log2)
        step = csr_array((values, place[log2.indices], log2.indptr), shape=log2.shape).tocsc()
        dense[:n_dense, cells] = step[:, :n_dense].T.toarray()
        others = step[:, n_dense:n_expressed]
        return others.data, others.indices + np.int32(cells.start), np.diff(others.indptr)

    with thread_pool(threads) as pool:
        n_expressing = np.zeros(n_genes, dtype=np.intp)
        for n_values in pool.map(expressing, steps):
            n_expressing += n_values
        order = np.argsort(-n_expressing, kind="stable")
        sizes = n_expressing[order]
        n_dense = int(np.count_nonzero(sizes > _DENSE_SHARE * n_cells))
        n_expressed = int(np.count_nonzero(sizes))
        place = np.empty(n_genes, dtype=np.int32)
        place[order] = np.arange(n_genes, dtype=np.int32)
        starts = np.concatenate([[0], np.cumsum(sizes[n_dense:n_expressed])])
        exact = n_dense * n_cells + starts[-1] <= _MAX_EXACT_VALUES
        unit, dtype = (1.0, np.float64) if exact else (_UNIT, np.int32)
        # Filled up to whole products: the added genes are like those that no cell expresses.
        n_steps, cells_per_step = cell_steps(n_cells)
        width = n_steps * cells_per_step
        n_rows = -(-n_dense // GENES_PER_PRODUCT) * GENES_PER_PRODUCT
        dense = np.zeros((n_rows, width), dtype=dtype)
        data = np.empty(starts[-1], dtype=dtype)
        indices = np.empty(starts[-1], dtype=_narrowest(n_cells))
        free = starts[:-1].copy()
        for values, cell, n_values in in_order(by_gene, steps, threads):
            target = np.repeat(free - np.cumsum(n_values) + n_values, n_values)
            target += np.arange(len(target))
            data[target], indices[target] = values, cell
            free += n_values
        bounds = _bounds(starts, _SPARSE_VALUES_PER_PART)
        sparse = list(
            pool.map(
                lambda genes: _sparse_genes(data, indices, starts[genes], n_cells),
                [slice(a, b + 1) for a, b in itertools.pairwise(bounds)],
            )
        )
    per_call = genes_per_call(width)
    parts = _slices(n_rows, max(_DENSE_VALUES_PER_PART // width // per_call, 1) * per_call)
    n_unexpressed = n_genes - n_expressed - (n_rows - n_dense)
    return StandardisedCells(
        scale, shift, n_genes, n_unexpressed, unit, [dense[part] for part in parts], sparse
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
    std[std <= 1e-12 * mean] = 1.0  # a constant cell, as scikit-learn has it
    return 1 / std[:, None], (mean / std)[:, None]


def cell_steps(n_cells: int) -> tuple[int, int]:
    """Split the cells of dense genes into steps that a product of matrices takes.

    Returns
    -------
    n_steps, cells_per_step : int
        The last step is filled up.
    """
    n_multiplications = VECTORS_PER_PRODUCT * GENES_PER_PRODUCT * n_cells
    n_steps = -(-n_multiplications // _MULTIPLICATIONS_PER_PRODUCT)
    return n_steps, -(-n_cells // n_steps)


def genes_per_call(n_cells: int) -> int:
    """Count the dense genes that one call multiplies, in several products of matrices."""
    return max(_VALUES_PER_CALL // (GENES_PER_PRODUCT * n_cells), 1) * GENES_PER_PRODUCT


def _steps(indptr: NDArray[Any]) -> list[slice]:
    """Split cells into steps of about _VALUES_PER_STEP values."""
    bounds = _bounds(indptr, _VALUES_PER_STEP)
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]


def _bounds(indptr: NDArray[Any], n_values: int) -> list[int]:
    """Find the first row of each part of about so many values; the last number is the end.

    Parameters
    ----------
    indptr
        Where the values of each row begin, and end; shape (n_rows + 1,).
    n_values
        Values in a part, about.
    """
    first = np.searchsorted(indptr, np.arange(0, indptr[-1], n_values))
    bounds: list[int] = np.unique(np.append(first, len(indptr) - 1)).tolist()
    return bounds


def _slices(n: int, length: int) -> list[slice]:
    """Split n rows into parts of this length; the last may be shorter."""
    return [slice(start, min(start + length, n)) for start in range(0, n, length)]


def _narrowest(n: int) -> type[np.uint16 | np.int32]:
    """Give the smallest type that holds indices below n."""
    return np.uint16 if n <= 1 << 16 else np.int32


def _sparse_genes(
    data: NDArray[Any], indices: NDArray[Any], starts: NDArray[np.intp], n_cells: int
) -> SparseGenes:
    """Make a part of the sparse genes.

    Parameters
    ----------
    data, indices
        Values of all sparse genes, gene by gene, and their cells; shape (n_values,).
    starts
        Where the values of each gene of the part begin, and the last end; shape
        (n_genes_of_part + 1,).
    n_cells
        Number of cells.
    """
    from scipy.sparse import csr_array

    values = slice(starts[0], starts[-1])
    indptr = (starts - starts[0]).astype(np.int32)
    by_gene = Compressed(data[values], indices[values], indptr)
    n_genes = len(starts) - 1
    turned = csr_array(
        (by_gene.data, by_gene.indices.astype(np.int32), indptr), shape=(n_genes, n_cells)
    ).tocsc()
    by_cell = Compressed(turned.data, turned.indices.astype(_narrowest(n_genes)), turned.indptr)
    return SparseGenes(by_gene, by_cell)
