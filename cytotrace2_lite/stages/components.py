"""Principal components of cells, from the sparse matrix, to machine precision.

The cells are z-scored over their genes and the genes centred over the cells, which would make the
matrix dense. Both are rank-one corrections, so the matrix is only ever multiplied: a block Krylov
method with full reorthogonalisation finds the leading components of the (n_cells, n_cells) Gram
matrix, and every one returned is checked against that matrix.

The matrix of many cells is kept in 32-bit fixed point: half the memory of float64, and a rounding
error of 7e-9 that moves the coordinates by less than upstream's own rounding does. All arithmetic
is in float64, but for the products of the last quarter of the vectors: what those add to a
component is so small that float32 does not show in it.

Source: cytotrace2_py 1.1.0.4 `neighborhood_smoothing` (behaviour: scikit-learn's `scale` and `PCA`
with ARPACK); block Lanczos: Golub and Underwood, Mathematical Software III, 1977; products that
may be the less exact the further it has converged: Simoncini and Szyld, SIAM J. Sci. Comput. 25,
2003, and Simoncini, SIAM J. Numer. Anal. 43, 2005 (eigenvalues).
"""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.stages.preprocess import log2_cpm
from cytotrace2_lite.system.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from cytotrace2_lite.counts import Counts

__all__ = [
    "MAX_RESIDUAL",
    "StandardisedCells",
    "principal_components",
    "scale_and_shift",
    "standardise",
]

#: Guaranteed for each component u with eigenvalue l of the Gram matrix G:
#: |G u - l u| <= MAX_RESIDUAL * l_max, or the rounding error of G u where that is larger,
#: 8 eps n_cells n_genes (cells that are all but equal; in real data it is 10 times smaller).
#: G is that of the values as they are kept, see above.
MAX_RESIDUAL = 1e-12
_UNIT = 2.0**-26  # of the fixed point; log2(1e6 + 1) < 20 is less than 2**31 of them
_MAX_EXACT_VALUES = 1 << 22  # beyond, it takes more time and memory (about 1,000 cells)
# A block of 4 finds them in a quarter fewer columns, but a column of 8 costs a third less.
_BLOCK = 8
_MAX_CELLS_OF_MATRIX = 1024  # up to these the Gram matrix itself is faster than its products
_PROBE_BLOCK, _PROBE_ROUNDS = 4, 4
_CHECKED_AT_ONCE = 10
# From this residual (a share of l_max) on, products in float32 are exact enough: their errors, 1e-7
# to 2e-7, add this times 1e-7 (real data) to 6e-7 (an all but flat spectrum) to the final one.
_FLOAT32_RESIDUAL = 3e-7
_MAX_BASIS = 3000
_DENSE_SHARE = 0.2  # from 0.13 on dense is faster, but takes more memory
_SHRUNK, _MAX_PASSES = 0.1, 3
_WELL_CONDITIONED = 1e-3
_Scalar = TypeVar("_Scalar", bound=np.generic)
_Float = TypeVar("_Float", np.float64, np.float32)
# All partitions are fixed: they must not depend on the number of threads.
_VALUES_PER_STEP = 1 << 17
_DENSE_VALUES_PER_PART = 1 << 21
_SPARSE_VALUES_PER_PART = 1 << 18
_CELLS_PER_PART = 1024
_GENES_PER_STEP = 512
# Up to 100**3 multiplications OpenBLAS works in place, without packing its operands first.
_MULTIPLICATIONS_PER_PRODUCT = 1_000_000
_GENES_PER_PRODUCT = 32
_VALUES_PER_CALL = 640_000


class _Scratch(threading.local):
    """Memory that a thread keeps from task to task: fresh pages cost more than a conversion."""

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
        self, scratch: _Scratch, dtype: type[_Float]
    ) -> tuple[NDArray[_Float], NDArray[np.int32], NDArray[np.int32]]:
        return (
            scratch.converted(self.data, dtype),
            scratch.converted(self.indices, np.int32),
            self.indptr,
        )


class _SparseGenes(NamedTuple):
    """Some genes, genes x cells, twice.

    SciPy's product is twice as fast where consecutive values go to different places of the
    result: from genes to cells that is so in the order of the genes, and the other way round.
    """

    by_gene: _Compressed
    by_cell: _Compressed


@dataclass(frozen=True)
class StandardisedCells:
    """Cells z-scored over their genes, as products with them need it, without the dense matrix.

    Attributes
    ----------
    scale, shift
        1 / standard deviation and mean / standard deviation of log2(CPM + 1) of each cell over all
        genes; float64, shape (n_cells, 1).
    n_genes, n_unexpressed
        Number of genes, and of those that no cell expresses, less those that fill `dense` up.
    unit
        1, or what the values are multiples of.
    dense
        log2(CPM + 1) in these units of the genes that many cells express, genes x cells, in parts;
        float64, or int32 where it is rounded. Filled up with zeros to whole products.
    sparse
        The same of the other genes expressed at all.
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
        # Whole products: the genes and cells that fill them up are like genes no cell expresses.
        n_stretches, length = _stretches(n_cells)
        width = n_stretches * length
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
                lambda part: _sparse_genes(data, indices, starts[part], n_cells),
                [slice(a, b + 1) for a, b in itertools.pairwise(bounds)],
            )
        )
    per_call = _rows_per_call(width)
    parts = _slices(n_rows, max(_DENSE_VALUES_PER_PART // width // per_call, 1) * per_call)
    n_unexpressed = n_genes - n_expressed - (n_rows - n_dense)
    return StandardisedCells(
        scale, shift, n_genes, n_unexpressed, unit, [dense[some] for some in parts], sparse
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


def principal_components(
    cells: StandardisedCells,
    n_components: int,
    *,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Coordinates of the cells on their leading principal components.

    Parameters
    ----------
    cells
        The cells of a batch, as `standardise` gives them.
    n_components
        Number of components, less than n_cells.
    threads
        How many threads share the products. The result does not depend on it.

    Returns
    -------
    ndarray
        float64, shape (n_cells, n_components); the signs of the components are arbitrary.

    Raises
    ------
    CytoTRACE2Error
        The components did not converge as `MAX_RESIDUAL` says. Nothing less is ever returned.
    """
    n_cells = len(cells.scale)
    # The trace of the Gram matrix before centring is n_cells * n_genes.
    noise = 8 * np.finfo(np.float64).eps * n_cells * cells.n_genes
    scratch = _Scratch()
    with ThreadPoolExecutor(threads) as pool:

        def product(
            operand: NDArray[np.float64], dtype: type[Any] = np.float64
        ) -> NDArray[np.float64]:
            return _gram_product(cells, operand, pool, scratch, dtype)

        if n_cells <= _MAX_CELLS_OF_MATRIX:
            values, columns = _largest(_gram_matrix(cells, pool), n_components)
            vectors = columns.T
            error = _residual(product, values, vectors)
        else:
            for float32_residual in (_FLOAT32_RESIDUAL, 0.0):
                values, vectors = _leading_eigenpairs(
                    product, n_cells, n_components, noise, float32_residual, pool
                )
                error = _residual(product, values, vectors)
                if error <= _tolerance(values, noise):
                    break  # else float32 was too rough
    tolerance = _tolerance(values, noise)
    if not error <= tolerance:
        raise CytoTRACE2Error(
            f"the principal components of {n_cells} cells did not converge: residual {error:.1e}, "
            f"at most {tolerance:.1e} is required. Please report this dataset."
        )
    lengths = np.sqrt(np.where(values > noise, values, 0.0))
    return np.ascontiguousarray((vectors * lengths[:, None])[::-1].T)


def _steps(indptr: NDArray[Any]) -> list[slice]:
    """Cells in steps of about _VALUES_PER_STEP values."""
    bounds = _bounds(indptr, _VALUES_PER_STEP)
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]


def _bounds(indptr: NDArray[Any], n_values: int) -> list[int]:
    """First row of each part of a compressed matrix of about so many values, and of none."""
    first = np.searchsorted(indptr, np.arange(0, indptr[-1], n_values))
    bounds: list[int] = np.unique(np.append(first, len(indptr) - 1)).tolist()
    return bounds


def _stretches(n_cells: int) -> tuple[int, int]:
    """Find in how many stretches, of which length, the cells of dense genes are multiplied."""
    n_stretches = -(-_BLOCK * _GENES_PER_PRODUCT * n_cells // _MULTIPLICATIONS_PER_PRODUCT)
    return n_stretches, -(-n_cells // n_stretches)


def _rows_per_call(n_cells: int) -> int:
    """Count the dense genes that are multiplied at a time."""
    return max(_VALUES_PER_CALL // (_GENES_PER_PRODUCT * n_cells), 1) * _GENES_PER_PRODUCT


def _slices(n: int, length: int) -> list[slice]:
    return [slice(start, min(start + length, n)) for start in range(0, n, length)]


def _narrowest(n: int) -> type[np.uint16 | np.int32]:
    """Type of indices below n."""
    return np.uint16 if n <= 1 << 16 else np.int32


def _sparse_genes(
    data: NDArray[Any], indices: NDArray[Any], starts: NDArray[np.intp], n_cells: int
) -> _SparseGenes:
    """Part of the sparse genes, whose values start at `starts`."""
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


def _gram_matrix(cells: StandardisedCells, pool: ThreadPoolExecutor) -> NDArray[np.float64]:
    """Return the matrix C Z Z' C itself: few cells' components are found faster from it."""
    from scipy.sparse import csr_array

    scale, shift = cells.scale[:, 0], cells.shift[:, 0]

    def of(part: NDArray[Any] | _SparseGenes) -> NDArray[np.float64]:
        tiles: Iterator[NDArray[Any]]
        if isinstance(part, _SparseGenes):
            shape = (len(part.by_gene.indptr) - 1, len(scale))
            sparse = csr_array(part.by_gene.unpacked(_Scratch(), np.float64), shape=shape)
            tiles = (sparse[some].toarray() for some in _slices(shape[0], _GENES_PER_STEP))
        else:
            tiles = (part[some] for some in _slices(len(part), _GENES_PER_STEP))
        gram = np.zeros((len(scale), len(scale)))
        for tile in tiles:
            genes = tile[:, : len(scale)] * (cells.unit * scale) - shift
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


def _largest(
    matrix: NDArray[np.float64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Largest k eigenvalues of a symmetric matrix, ascending, and their vectors as columns."""
    from scipy.linalg import eigh

    n = len(matrix)
    values, vectors = eigh(matrix, subset_by_index=[n - k, n - 1])
    return values, vectors


def _tolerance(values: NDArray[np.float64], noise: float) -> float:
    """Residual that is allowed, of ascending eigenvalues; see `MAX_RESIDUAL`."""
    return max(MAX_RESIDUAL * float(values[-1]), noise)


def _residual(
    product: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    values: NDArray[np.float64],
    vectors: NDArray[np.float64],
) -> float:
    """Largest |G u - l u| of some eigenpairs."""
    errors = [
        np.linalg.norm(product(vectors[some]) - vectors[some] * values[some, None], axis=1)
        for some in _slices(len(values), _CHECKED_AT_ONCE)
    ]
    return float(np.concatenate(errors).max())


def _gram_product(
    cells: StandardisedCells,
    vectors: NDArray[np.float64],
    pool: ThreadPoolExecutor,
    scratch: _Scratch,
    dtype: type[_Float],
) -> NDArray[np.float64]:
    """Product with C Z Z' C, where Z holds the z-scored cells and C centres over them.

    The sums over cells and genes are of type `dtype`, all else is float64. The vectors are rows
    here and below: BLAS is faster on them so.
    """
    scale, shift = cells.scale[:, 0], cells.shift[:, 0]
    vectors = vectors - vectors.mean(axis=1, keepdims=True)
    scaled, constant = vectors * (cells.unit * scale), (vectors @ shift).astype(dtype)
    columns = np.ascontiguousarray(scaled.T, dtype=dtype)

    # The cells of the dense genes are filled up with some that have nothing.
    n_vectors, n_cells = scaled.shape
    n_stretches, length = _stretches(n_cells)
    filled = np.zeros((n_vectors, n_stretches * length), dtype=dtype)
    filled[:, :n_cells] = scaled
    stretches = filled.reshape(n_vectors, n_stretches, length).transpose(1, 0, 2).copy()

    def through_dense(part: NDArray[Any]) -> tuple[Any, Any]:
        return _through_dense(part, stretches, constant, scratch)

    def through_sparse(part: _SparseGenes) -> tuple[Any, Any]:
        return _through_sparse(part, columns, constant, scratch)

    parts = pool.map(through_dense, cells.dense), pool.map(through_sparse, cells.sparse)
    from_dense, total = np.zeros(stretches.shape), np.zeros(n_vectors)
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
    stretches: NDArray[_Float],
    constant: NDArray[_Float],
    scratch: _Scratch,
) -> tuple[NDArray[_Float], NDArray[_Float]]:
    """From the cells to some genes, and back; and the sum over the genes between.

    The cells come, and go back, in stretches: shape (n_stretches, n_vectors, n_cells_of_stretch).
    """
    n_stretches, _, length = stretches.shape
    n_rows = _rows_per_call(n_stretches * length)
    on_cells = np.zeros_like(stretches)
    total = np.zeros_like(constant)
    dtype = stretches.dtype.type
    products = np.empty((n_rows // _GENES_PER_PRODUCT, *stretches.shape), dtype=dtype)
    for start in range(0, len(part), n_rows):
        # Converted a few at a time, which stay in the cache for the way back.
        genes = scratch.converted(part[start : start + n_rows], dtype)
        genes = genes.reshape(-1, _GENES_PER_PRODUCT, n_stretches, length)
        # One call each way for many small products: between calls, threads wait for each other.
        on_genes = np.matmul(stretches, genes.transpose(0, 2, 3, 1)).sum(axis=1)
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
    scratch: _Scratch,
) -> tuple[NDArray[_Float], NDArray[_Float]]:
    """Do the same as `_through_dense`, with the vectors as columns."""
    from scipy.sparse import csc_array

    shape, dtype = (len(part.by_gene.indptr) - 1, len(vectors)), vectors.dtype.type
    on_genes = csc_array(part.by_cell.unpacked(scratch, dtype), shape=shape) @ vectors
    on_genes -= constant
    on_cells = csc_array(part.by_gene.unpacked(scratch, dtype), shape=shape[::-1]) @ on_genes
    return on_cells, on_genes.sum(axis=0)


def _leading_eigenpairs(
    product: Callable[..., NDArray[np.float64]],
    n: int,
    k: int,
    noise: float,
    float32_residual: float,
    pool: ThreadPoolExecutor,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Largest k eigenpairs of a symmetric positive semi-definite operator on n-vectors, ascending.

    `noise` bounds the rounding error of a product with a unit vector: an eigenvalue below is zero.
    Vectors are rows. What has not converged at _MAX_BASIS vectors is returned as it is. Products
    are asked for in float32 once the residual is at most the given share of the largest eigenvalue.
    """
    random = np.random.RandomState(0)
    limit = min(n, _MAX_BASIS)
    basis = np.empty((limit, n))  # memory is only taken for the rows that are used
    projected = np.zeros((limit, limit))
    size, next_check, settled, previous = 0, k, None, None
    rough = False
    block = _orthonormal(random.standard_normal((min(_BLOCK, limit), n)), basis[:0], 0.0, pool)
    recent = 0
    while True:
        image = product(block, np.float32 if rough else np.float64)
        old, size = size, size + len(block)
        basis[old:size] = block
        rest, coefficients = _orthogonalise(image, basis[:size], pool, recent)
        if rough:
            # An exact image has nothing in earlier vectors: they weigh so much in the components
            # that rounding errors there, and only there, would count.
            coefficients[:recent] = 0
        projected[:size, old:size] = coefficients
        projected[old:size, :size] = coefficients.T
        recent = old
        if size >= next_check or size == limit:
            values, ritz = _largest(projected[:size, :size], k)
            tolerance = _tolerance(values, noise)
            residual = np.linalg.norm(rest.T @ ritz[old:], axis=0).max()
            if size == limit:
                break
            goal = tolerance / 2
            level = max(float32_residual * values[-1], goal)
            rough = settled is None and goal < residual <= level
            target = level if settled is None and residual > level else goal
            next_check, previous = _next_check(size, residual, target, previous), (size, residual)
            if residual <= goal:
                # Eigenpairs, but maybe not the largest ones: a block of 8 sees 8 copies of a
                # repeated eigenvalue. Fresh random vectors would find the others.
                if settled is not None and (values - settled).max() <= tolerance:
                    break
                settled, next_check = values, size + _PROBE_ROUNDS * _PROBE_BLOCK
                fresh = random.standard_normal((_PROBE_BLOCK, n))
                rest = _orthogonalise(fresh, basis[:size], pool)[0]
        block = _orthonormal(rest, basis[:size], noise, pool)
        if not len(block):  # the vectors so far span all that the start block could reach
            fresh = _orthogonalise(random.standard_normal((_BLOCK, n)), basis[:size], pool)[0]
            block = _orthonormal(fresh, basis[:size], 0.0, pool)
        block = block[: limit - size]
    return values, ritz.T @ basis[:size]


def _next_check(size: int, residual: float, goal: float, previous: tuple[int, float] | None) -> int:
    """Size of the basis at which to look again, from how the residual has shrunk so far."""
    following = size + size // 4
    if previous is not None and previous[1] > residual > goal:
        left = np.log(residual / goal) * (size - previous[0]) / np.log(previous[1] / residual)
        # Convergence gets faster, and a check costs less than a vector.
        following = min(following, size + int(0.5 * left))
    return following


def _orthogonalise(
    vectors: NDArray[np.float64],
    basis: NDArray[np.float64],
    pool: ThreadPoolExecutor,
    recent: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Part of the vectors outside an orthonormal basis, and their coefficients in it.

    Most of an image lies in the `recent` part of the basis, which is taken off first. What a pass
    leaves of the basis is rounding error of the lengths it started from, so another one follows
    where they shrank much: a single one's errors grow from round to round.
    """
    coefficients = np.zeros((len(basis), len(vectors)))
    rest = vectors.copy()
    parts = _slices(vectors.shape[1], _CELLS_PER_PART)

    def take_off(some: NDArray[np.float64]) -> NDArray[np.float64]:
        def subtract(cells: slice) -> None:
            rest[:, cells] -= found @ some[:, cells]

        found = np.zeros((len(rest), len(some)))
        for part in pool.map(lambda cells: rest[:, cells] @ some[:, cells].T, parts):
            found += part
        list(pool.map(subtract, parts))
        return found.T

    if recent:
        coefficients[recent:] = take_off(basis[recent:])
    for _ in range(_MAX_PASSES if len(basis) else 0):
        length = np.linalg.norm(rest, axis=1)
        coefficients += take_off(basis)
        if (np.linalg.norm(rest, axis=1) >= _SHRUNK * length).all():
            break
    return rest, coefficients


def _orthonormal(
    vectors: NDArray[np.float64],
    basis: NDArray[np.float64],
    noise: float,
    pool: ThreadPoolExecutor,
) -> NDArray[np.float64]:
    """Orthonormal vectors that span the given ones, which lie outside a basis, down to `noise`."""
    from scipy.linalg import qr

    lengths = np.linalg.eigvalsh(vectors @ vectors.T)  # squared, ascending
    if lengths[0] > max(_WELL_CONDITIONED**2 * lengths[-1], noise**2):
        # Cholesky's method, twice for full precision, is ten times faster.
        for _ in range(2):
            vectors = np.linalg.inv(np.linalg.cholesky(vectors @ vectors.T)) @ vectors
        return vectors
    q, r, _ = qr(vectors.T, mode="economic", pivoting=True)
    lengths = np.abs(np.diag(r))  # decreasing
    kept: NDArray[np.float64] = q.T[lengths > noise]
    if kept.size and lengths[len(kept) - 1] < _WELL_CONDITIONED * lengths[0]:
        # Normalising short vectors has blown up what they had left of the basis.
        kept = qr(_orthogonalise(kept, basis, pool)[0].T, mode="economic")[0].T
    return kept
