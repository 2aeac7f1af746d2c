"""The Gram matrix of z-scored cells: products with it, and itself where cells are few.

It is C Z Z' C, where Z holds the z-scored cells, shape (n_cells, n_genes), and C centres over the
cells. Both the shift of the z-scores and the centring are corrections of rank one: the sparse
values are multiplied, and the products are corrected. All arithmetic is in float64, but for the
sums of products that are asked for in float32.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cytotrace2_lite.stages.standardised import (
    GENES_PER_PRODUCT,
    SparseGenes,
    cell_steps,
    genes_per_call,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import ThreadPoolExecutor

    from numpy.typing import NDArray

    from cytotrace2_lite.stages.standardised import Compressed, StandardisedCells

__all__ = ["Scratch", "gram_matrix", "gram_product"]

# This moves the last bits of the results.
_GENES_PER_STEP = 512  # of the Gram matrix

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


def gram_product(
    cells: StandardisedCells,
    vectors: NDArray[np.float64],
    pool: ThreadPoolExecutor,
    scratch: Scratch,
    dtype: type[_Float],
) -> NDArray[np.float64]:
    """Multiply vectors with the Gram matrix of the cells.

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
    n_steps, cells_per_step = cell_steps(n_cells)
    filled = np.zeros((n_vectors, n_steps * cells_per_step), dtype=dtype)
    filled[:, :n_cells] = scaled
    steps = filled.reshape(n_vectors, n_steps, cells_per_step).transpose(1, 0, 2).copy()

    def through_dense(part: NDArray[Any]) -> tuple[Any, Any]:
        return _through_dense(part, steps, constant, scratch)

    def through_sparse(part: SparseGenes) -> tuple[Any, Any]:
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


def gram_matrix(cells: StandardisedCells, pool: ThreadPoolExecutor) -> NDArray[np.float64]:
    """Compute the Gram matrix itself. For few cells that is faster than products with it.

    Parameters
    ----------
    cells
        The cells.
    pool
        Threads that share the genes. The result does not depend on their number.

    Returns
    -------
    ndarray
        float64, shape (n_cells, n_cells).
    """
    from scipy.sparse import csr_array

    scale, shift = cells.scale[:, 0], cells.shift[:, 0]

    def gram_of(part: NDArray[Any] | SparseGenes) -> NDArray[np.float64]:
        steps: Iterator[NDArray[Any]]
        if isinstance(part, SparseGenes):
            shape = (len(part.by_gene.indptr) - 1, len(scale))
            sparse = csr_array(_unpacked(part.by_gene, Scratch(), np.float64), shape=shape)
            starts = range(0, shape[0], _GENES_PER_STEP)
            steps = (sparse[start : start + _GENES_PER_STEP].toarray() for start in starts)
        else:
            starts = range(0, len(part), _GENES_PER_STEP)
            steps = (part[start : start + _GENES_PER_STEP] for start in starts)
        gram = np.zeros((len(scale), len(scale)))
        for step in steps:
            genes = step[:, : len(scale)] * (cells.unit * scale) - shift
            genes -= genes.mean(axis=1, keepdims=True)
            gram += genes.T @ genes
        return gram

    gram = np.zeros((len(scale), len(scale)))
    for part_of_gram in pool.map(gram_of, [*cells.dense, *cells.sparse]):
        gram += part_of_gram
    centred = shift - shift.mean()
    # The genes that no cell expresses are all alike.
    gram += cells.n_unexpressed * np.outer(centred, centred)
    return gram


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
        A part of `StandardisedCells.dense`; shape (n_genes_of_part, n_steps * cells_per_step).
    steps
        The scaled vectors, the cells split into steps; shape (n_steps, n_vectors, cells_per_step).
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
    n_steps, _, cells_per_step = steps.shape
    n_rows = genes_per_call(n_steps * cells_per_step)
    on_cells = np.zeros_like(steps)
    total = np.zeros_like(constant)
    dtype = steps.dtype.type
    products = np.empty((n_rows // GENES_PER_PRODUCT, *steps.shape), dtype=dtype)
    for start in range(0, len(part), n_rows):
        # Only a few genes are converted at a time: they stay in the cache for the way back.
        genes = scratch.converted(part[start : start + n_rows], dtype)
        genes = genes.reshape(-1, GENES_PER_PRODUCT, n_steps, cells_per_step)
        # One call each way for many small products: between calls, threads wait for each other.
        on_genes = np.matmul(steps, genes.transpose(0, 2, 3, 1)).sum(axis=1)
        on_genes -= constant[:, None]
        total += on_genes.sum(axis=(0, 2))
        back = np.matmul(on_genes[:, None], genes.transpose(0, 2, 1, 3), out=products[: len(genes)])
        for product in back:
            on_cells += product
    return on_cells, total


def _through_sparse(
    part: SparseGenes,
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
    on_genes = csc_array(_unpacked(part.by_cell, scratch, dtype), shape=shape) @ vectors
    on_genes -= constant
    on_cells = csc_array(_unpacked(part.by_gene, scratch, dtype), shape=shape[::-1]) @ on_genes
    return on_cells, on_genes.sum(axis=0)


def _unpacked(
    matrix: Compressed, scratch: Scratch, dtype: type[_Float]
) -> tuple[NDArray[_Float], NDArray[np.int32], NDArray[np.int32]]:
    """Give data, indices and pointers of a sparse matrix in the types that SciPy multiplies."""
    return (
        scratch.converted(matrix.data, dtype),
        scratch.converted(matrix.indices, np.int32),
        matrix.indptr,
    )
