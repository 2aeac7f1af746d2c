"""Cells z-scored over their genes, and products with them, without the dense matrix.

The cells are z-scored over their genes and the genes centred over the cells, which would make the
matrix dense. Both are corrections of rank one, so the sparse matrix is multiplied and the products
are corrected.

The values of many cells are kept in 32-bit fixed point: half the memory of float64, with a
rounding error of 7e-9, which moves the coordinates by less than upstream's own rounding does. All
arithmetic is in float64, but for products that are asked for in float32.

Source: cytotrace2_py 1.1.0.4 `neighborhood_smoothing` (behaviour: scikit-learn's `scale`).
"""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from cytotrace2_lite.stages.preprocess import log2_cpm
from cytotrace2_lite.system.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from cytotrace2_lite.counts import Counts

__all__ = [
    "VECTORS_PER_PRODUCT",
    "Scratch",
    "StandardisedCells",
    "gram_matrix",
    "gram_product",
    "scale_and_shift",
    "standardise",
]

# All numbers from here to `_VALUES_PER_CALL` move the last bits of the results: how the values are
# kept, and fixed partitions, which decide the order of sums. So none depends on the number of
# threads.
#: How many vectors `gram_product` is best given at a time. With 4 the components are found in a
#: quarter fewer vectors, but each of 8 costs a third less.
VECTORS_PER_PRODUCT = 8
_UNIT = 2.0**-26  # of the fixed point; log2(1e6 + 1) < 20 is less than 2**31 of them
_MAX_EXACT_VALUES = 1 << 22  # more of them take more time and memory as float64 (about 1,000 cells)
_DENSE_SHARE = 0.2  # of the cells; from 0.13 on dense is faster, but takes more memory
_DENSE_VALUES_PER_PART = 1 << 21
_SPARSE_VALUES_PER_PART = 1 << 18
_GENES_PER_STEP = 512
# Up to 100**3 multiplications OpenBLAS works in place, without packing its operands first.
_MULTIPLICATIONS_PER_PRODUCT = 1_000_000
_GENES_PER_PRODUCT = 32
_VALUES_PER_CALL = 640_000

# Only speed and memory depend on this.
_VALUES_PER_STEP = 1 << 17

_Scalar = TypeVar("_Scalar", bound=np.generic)
_Float = TypeVar("_Float", np.float64, np.float32)


class Scratch(threading.local):
    """Memory that each thread uses again and again: fresh pages cost more than a conversion."""

    def __init__(self) -> None:
        self.memory: dict[type[np.generic], NDArray[Any]] = {}

    def converted(self, array: NDArray[Any], dtype: type[_Scalar]) -> NDArray[_Scalar]:
        """Return the array as this type: itself, or a copy in memory that the next call reuses."""
        if array.dtype == dtype:
            return array
        memory = self.memory.get(dtype)
        if memory is None or memory.size < array.size:
            memory = self.memory[dtype] = np.empty(array.size, dtype=dtype)
        copy = memory[: array.size].reshape(array.shape)
        np.copyto(copy, array)
        return copy


class _Compressed(NamedTuple):
    """A sparse matrix, compressed along one axis: narrow values and indices, int32 pointers."""

    data: NDArray[np.int32] | NDArray[np.float64]
    indices: NDArray[np.uint16] | NDArray[np.int32]
    indptr: NDArray[np.int32]

    def unpacked(
        self, scratch: Scratch, dtype: type[_Float]
    ) -> tuple[NDArray[_Float], NDArray[np.int32], NDArray[np.int32]]:
        """Give data, indices and pointers as SciPy multiplies them."""
        return (
            scratch.converted(self.data, dtype),
            scratch.converted(self.indices, np.int32),
            self.indptr,
        )


class _SparseGenes(NamedTuple):
    """A part of the sparse genes, shape (n_genes_of_part, n_cells), twice.

    SciPy's product is twice as fast where consecutive values go to different places of the
    result: from genes to cells that is so in the order of the genes, and from cells to genes in
    the order of the cells.
    """

    by_gene: _Compressed
    by_cell: _Compressed


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
    sparse: list[_SparseGenes]


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

    with ThreadPoolExecutor(threads) as pool:
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
        n_steps, length = _cell_steps(n_cells)
        width = n_steps * length
        n_rows = -(-n_dense // _GENES_PER_PRODUCT) * _GENES_PER_PRODUCT
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
    per_call = _genes_per_call(width)
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


def gram_product(
    cells: StandardisedCells,
    vectors: NDArray[np.float64],
    pool: ThreadPoolExecutor,
    scratch: Scratch,
    dtype: type[_Float],
) -> NDArray[np.float64]:
    """Multiply vectors with the Gram matrix of the cells.

    That is C Z Z' C, where Z holds the z-scored cells, shape (n_cells, n_genes), and C centres
    over the cells.

    Parameters
    ----------
    cells
        The cells.
    vectors
        One in each row, for which BLAS is faster; float64, shape (n_vectors, n_cells).
    pool
        Threads that share the genes. The result does not depend on their number.
    scratch
        Memory, best the same for all products with these cells.
    dtype
        np.float64 or np.float32: the type of the sums over cells and genes. All else is float64.

    Returns
    -------
    ndarray
        float64, shape (n_vectors, n_cells).
    """
    scale, shift = cells.scale[:, 0], cells.shift[:, 0]
    vectors = vectors - vectors.mean(axis=1, keepdims=True)
    scaled, constant = vectors * (cells.unit * scale), (vectors @ shift).astype(dtype)
    columns = np.ascontiguousarray(scaled.T, dtype=dtype)

    # The cells of the dense genes are filled up with some that express nothing.
    n_vectors, n_cells = scaled.shape
    n_steps, length = _cell_steps(n_cells)
    filled = np.zeros((n_vectors, n_steps * length), dtype=dtype)
    filled[:, :n_cells] = scaled
    steps = filled.reshape(n_vectors, n_steps, length).transpose(1, 0, 2).copy()

    def through_dense(part: NDArray[Any]) -> tuple[Any, Any]:
        return _through_dense(part, steps, constant, scratch)

    def through_sparse(part: _SparseGenes) -> tuple[Any, Any]:
        return _through_sparse(part, columns, constant, scratch)

    parts = pool.map(through_dense, cells.dense), pool.map(through_sparse, cells.sparse)
    from_dense, total = np.zeros(steps.shape), np.zeros(n_vectors)
    for part, part_total in parts[0]:
        from_dense += part
        total += part_total
    from_sparse = np.zeros(columns.shape)
    for part, part_total in parts[1]:
        from_sparse += part
        total += part_total
    on_cells = from_dense.transpose(1, 0, 2).reshape(n_vectors, -1)[:, :n_cells]
    on_cells += from_sparse.T
    total -= constant * cells.n_unexpressed  # the genes that no cell expresses are all alike
    on_cells *= cells.unit * scale
    on_cells -= total[:, None] * shift
    on_cells -= on_cells.mean(axis=1, keepdims=True)
    return on_cells


def _through_dense(
    part: NDArray[Any],
    steps: NDArray[_Float],
    constant: NDArray[_Float],
    scratch: Scratch,
) -> tuple[NDArray[_Float], NDArray[_Float]]:
    """Multiply vectors on the cells with a part of the dense genes, and the result back.

    Parameters
    ----------
    part
        A part of `StandardisedCells.dense`; shape (n_genes_of_part, n_steps * n_cells_of_step).
    steps
        The scaled vectors, the cells split into steps; shape (n_steps, n_vectors, n_cells_of_step).
    constant
        What the shift of the cells takes off each gene; shape (n_vectors,).
    scratch
        Memory.

    Returns
    -------
    on_cells : ndarray
        The vectors on the genes, multiplied back; of the shape of `steps`.
    total : ndarray
        Sum of the vectors on the genes; shape (n_vectors,).
    """
    n_steps, _, length = steps.shape
    n_rows = _genes_per_call(n_steps * length)
    on_cells = np.zeros_like(steps)
    total = np.zeros_like(constant)
    dtype = steps.dtype.type
    products = np.empty((n_rows // _GENES_PER_PRODUCT, *steps.shape), dtype=dtype)
    for start in range(0, len(part), n_rows):
        # Only a few genes are converted at a time: they stay in the cache for the way back.
        genes = scratch.converted(part[start : start + n_rows], dtype)
        genes = genes.reshape(-1, _GENES_PER_PRODUCT, n_steps, length)
        # One call each way for many small products: between calls, threads wait for each other.
        on_genes = np.matmul(steps, genes.transpose(0, 2, 3, 1)).sum(axis=1)
        on_genes -= constant[:, None]
        total += on_genes.sum(axis=(0, 2))
        back = np.matmul(on_genes[:, None], genes.transpose(0, 2, 1, 3), out=products[: len(genes)])
        for product in back:
            on_cells += product
    return on_cells, total


def _through_sparse(
    part: _SparseGenes,
    vectors: NDArray[_Float],
    constant: NDArray[_Float],
    scratch: Scratch,
) -> tuple[NDArray[_Float], NDArray[_Float]]:
    """Do what `_through_dense` does, with a part of the sparse genes and vectors as columns.

    Parameters
    ----------
    part
        A part of `StandardisedCells.sparse`.
    vectors
        The scaled vectors; shape (n_cells, n_vectors).
    constant, scratch
        As for `_through_dense`.

    Returns
    -------
    on_cells : ndarray
        Shape (n_cells, n_vectors).
    total : ndarray
        Shape (n_vectors,).
    """
    from scipy.sparse import csc_array

    shape, dtype = (len(part.by_gene.indptr) - 1, len(vectors)), vectors.dtype.type
    on_genes = csc_array(part.by_cell.unpacked(scratch, dtype), shape=shape) @ vectors
    on_genes -= constant
    on_cells = csc_array(part.by_gene.unpacked(scratch, dtype), shape=shape[::-1]) @ on_genes
    return on_cells, on_genes.sum(axis=0)


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


def _cell_steps(n_cells: int) -> tuple[int, int]:
    """Find in how many steps, of how many cells each, dense genes are multiplied."""
    n_multiplications = VECTORS_PER_PRODUCT * _GENES_PER_PRODUCT * n_cells
    n_steps = -(-n_multiplications // _MULTIPLICATIONS_PER_PRODUCT)
    return n_steps, -(-n_cells // n_steps)


def _genes_per_call(n_cells: int) -> int:
    """Find how many dense genes one call multiplies."""
    return max(_VALUES_PER_CALL // (_GENES_PER_PRODUCT * n_cells), 1) * _GENES_PER_PRODUCT


def _slices(n: int, length: int) -> list[slice]:
    """Split n rows into parts or steps of this length; the last may be shorter."""
    return [slice(start, min(start + length, n)) for start in range(0, n, length)]


def _narrowest(n: int) -> type[np.uint16 | np.int32]:
    """Give the smallest type that holds indices below n."""
    return np.uint16 if n <= 1 << 16 else np.int32


def _sparse_genes(
    data: NDArray[Any], indices: NDArray[Any], starts: NDArray[np.intp], n_cells: int
) -> _SparseGenes:
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
    by_gene = _Compressed(data[values], indices[values], indptr)
    n_genes = len(starts) - 1
    turned = csr_array(
        (by_gene.data, by_gene.indices.astype(np.int32), indptr), shape=(n_genes, n_cells)
    ).tocsc()
    by_cell = _Compressed(turned.data, turned.indices.astype(_narrowest(n_genes)), turned.indptr)
    return _SparseGenes(by_gene, by_cell)


def gram_matrix(cells: StandardisedCells, pool: ThreadPoolExecutor) -> NDArray[np.float64]:
    """Compute the Gram matrix itself: for few cells that is faster than products with it.

    Parameters
    ----------
    cells
        The cells.
    pool
        Threads that share the genes. The result does not depend on their number.

    Returns
    -------
    ndarray
        C Z Z' C, see `gram_product`; float64, shape (n_cells, n_cells).
    """
    from scipy.sparse import csr_array

    scale, shift = cells.scale[:, 0], cells.shift[:, 0]

    def of(part: NDArray[Any] | _SparseGenes) -> NDArray[np.float64]:
        steps: Iterator[NDArray[Any]]
        if isinstance(part, _SparseGenes):
            shape = (len(part.by_gene.indptr) - 1, len(scale))
            sparse = csr_array(part.by_gene.unpacked(Scratch(), np.float64), shape=shape)
            steps = (sparse[some].toarray() for some in _slices(shape[0], _GENES_PER_STEP))
        else:
            steps = (part[some] for some in _slices(len(part), _GENES_PER_STEP))
        gram = np.zeros((len(scale), len(scale)))
        for step in steps:
            genes = step[:, : len(scale)] * (cells.unit * scale) - shift
            genes -= genes.mean(axis=1, keepdims=True)
            gram += genes.T @ genes
        return gram

    gram = np.zeros((len(scale), len(scale)))
    for part_of_gram in pool.map(of, [*cells.dense, *cells.sparse]):
        gram += part_of_gram
    centred = shift - shift.mean()
    # The genes that no cell expresses are all alike.
    gram += cells.n_unexpressed * np.outer(centred, centred)
    return gram
