"""Principal components of cells, from the sparse matrix, to machine precision.

The cells are z-scored over their genes and the genes centred over the cells, which would make the
matrix dense. Both are rank-one corrections, so the matrix is only ever multiplied: a block Krylov
method with full reorthogonalisation finds the leading components of the (n_cells, n_cells) Gram
matrix, and every one returned is checked against that matrix.

Source: cytotrace2_py 1.1.0.4 `neighborhood_smoothing` (behaviour: scikit-learn's `scale` and `PCA`
with ARPACK); block Lanczos: Golub and Underwood, Mathematical Software III, 1977.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import CytoTRACE2Error

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from scipy.sparse import csc_array, csr_array

__all__ = ["MAX_RESIDUAL", "StandardisedCells", "principal_components", "standardise"]

#: Guaranteed for each component u with eigenvalue l of the Gram matrix G:
#: |G u - l u| <= MAX_RESIDUAL * l_max, or the rounding error of G u where that is larger,
#: 8 eps n_cells n_genes (cells that are all but equal; in real data it is 10 times smaller).
MAX_RESIDUAL = 1e-12
_BLOCK = 8
_PROBE_ROUNDS = 3
_MAX_BASIS = 3000
_GENES_PER_BLOCK = 512  # fixed: the partition must not depend on the number of threads
_DENSE_SHARE = 0.2
_VALUES_PER_STEP = 1 << 20


@dataclass(frozen=True)
class StandardisedCells:
    """Cells z-scored over their genes, as products with them need it, without the dense matrix.

    Attributes
    ----------
    blocks
        log2(CPM + 1) of the genes expressed at all, genes x cells, in blocks of genes of like
        density: the dense ones as plain arrays, the others as CSR.
    scale, shift
        1 / standard deviation and mean / standard deviation of each cell over all genes; float64,
        shape (n_cells, 1).
    n_genes
        Number of genes, those of no block included.
    """

    blocks: list[NDArray[np.float64] | csr_array]
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    n_genes: int


def standardise(log2_cpm: csc_array) -> StandardisedCells:
    """Prepare the cells of a batch for `principal_components`.

    Parameters
    ----------
    log2_cpm
        log2(CPM + 1), CSC, shape (n_cells, n_genes). It is not needed any more afterwards.

    Returns
    -------
    StandardisedCells
        The same cells, z-scored with the population standard deviation.
    """
    n_cells, n_genes = log2_cpm.shape
    cell, data = log2_cpm.indices, log2_cpm.data
    mean = np.bincount(cell, data, n_cells) / n_genes
    n_zeros = n_genes - np.bincount(cell, minlength=n_cells)
    squares = n_zeros * mean**2
    for start in range(0, len(data), _VALUES_PER_STEP):
        step = slice(start, start + _VALUES_PER_STEP)
        squares += np.bincount(cell[step], (data[step] - mean[cell[step]]) ** 2, n_cells)
    std = np.sqrt(squares / n_genes)
    std[std <= 1e-12 * mean] = 1.0  # a constant cell, as scikit-learn has it
    return StandardisedCells(
        _gene_blocks(log2_cpm), 1 / std[:, None], (mean / std)[:, None], n_genes
    )


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
    with ThreadPoolExecutor(threads) as pool:
        eigenvalues, vectors = _leading_eigenpairs(
            lambda operand: _gram(cells, operand, pool), n_cells, n_components, noise
        )
    return vectors * np.sqrt(eigenvalues)


def _gram(
    cells: StandardisedCells, vectors: NDArray[np.float64], pool: ThreadPoolExecutor
) -> NDArray[np.float64]:
    """Product with C Z Z' C, where Z holds the z-scored cells and C centres over them."""
    vectors = vectors - vectors.mean(axis=0)
    scaled, constant = cells.scale * vectors, (cells.shift * vectors).sum(axis=0)

    def through(block: NDArray[np.float64] | csr_array) -> tuple[Any, Any]:
        on_genes = block @ scaled - constant
        return block.T @ on_genes, on_genes.sum(axis=0)

    on_cells = np.zeros_like(vectors)
    # The genes that no cell expresses are all alike.
    total = -constant * (cells.n_genes - sum(block.shape[0] for block in cells.blocks))
    for part, part_total in pool.map(through, cells.blocks):
        on_cells += part
        total += part_total
    on_cells = cells.scale * on_cells - cells.shift * total
    centred: NDArray[np.float64] = on_cells - on_cells.mean(axis=0)
    return centred


def _gene_blocks(log2_cpm: csc_array) -> list[NDArray[np.float64] | csr_array]:
    """Genes x cells in blocks of genes of like density, the dense ones as plain arrays.

    A plain array takes less memory than a sparse one from a density of 2/3 on, and less time from
    about 1/5 on.
    """
    by_gene = log2_cpm.T
    expressed = np.diff(by_gene.indptr)
    order = np.argsort(-expressed, kind="stable")[: np.count_nonzero(expressed)]
    blocks = []
    for start in range(0, len(order), _GENES_PER_BLOCK):
        block = by_gene[order[start : start + _GENES_PER_BLOCK]]
        dense = block.nnz > _DENSE_SHARE * block.shape[0] * block.shape[1]
        blocks.append(block.toarray() if dense else block)
    return blocks


def _leading_eigenpairs(
    product: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    n: int,
    k: int,
    noise: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Largest k eigenpairs of a symmetric positive semi-definite operator on n-vectors.

    `noise` bounds the rounding error of a product with a unit vector: an eigenvalue below is zero.
    """
    from scipy.linalg import eigh

    random = np.random.RandomState(0)
    limit = min(n, _MAX_BASIS)
    basis = np.empty((n, limit), order="F")
    projected = np.zeros((limit, limit))
    size, next_check, settled = 0, k, None
    block = _orthonormal(random.standard_normal((n, min(_BLOCK, limit))), basis[:, :0], 0.0)
    while True:
        image = product(block)
        old, size = size, size + block.shape[1]
        basis[:, old:size] = block
        rest, coefficients = _orthogonalise(image, basis[:, :size])
        projected[:size, old:size] = coefficients
        projected[old:size, :size] = coefficients.T
        if size >= next_check or size == limit:
            values, ritz = eigh(projected[:size, :size], subset_by_index=[size - k, size - 1])
            tolerance = max(MAX_RESIDUAL * values[-1], noise)
            residual = np.linalg.norm(rest @ ritz[old:], axis=0).max()
            if size == limit:
                break
            next_check = int(1.05 * size)
            if residual <= tolerance / 2:
                # Eigenpairs, but maybe not the largest ones: a block of 8 sees 8 copies of a
                # repeated eigenvalue. Fresh random vectors would find the others.
                if settled is not None and (values - settled).max() <= tolerance:
                    break
                settled, next_check = values, size + _PROBE_ROUNDS * _BLOCK
                rest = _orthogonalise(random.standard_normal((n, _BLOCK)), basis[:, :size])[0]
        block = _orthonormal(rest, basis[:, :size], noise)
        if not block.shape[1]:  # the vectors so far span all that the start block could reach
            fresh = _orthogonalise(random.standard_normal((n, _BLOCK)), basis[:, :size])[0]
            block = _orthonormal(fresh, basis[:, :size], 0.0)
        block = block[:, : limit - size]
    vectors = basis[:, :size] @ ritz
    error = np.linalg.norm(product(vectors) - vectors * values, axis=0).max()
    if not error <= tolerance:
        raise CytoTRACE2Error(
            f"the principal components of {n} cells did not converge: residual {error:.1e} after "
            f"{size} Krylov vectors, at most {tolerance:.1e} is required. Please report this "
            "dataset."
        )
    return np.where(values > noise, values, 0.0)[::-1], vectors[:, ::-1]


def _orthogonalise(
    vectors: NDArray[np.float64], basis: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Part of the vectors outside an orthonormal basis, and their coefficients in it."""
    coefficients = basis.T @ vectors
    rest = vectors - basis @ coefficients
    # Once more: a single pass leaves rounding errors that grow from round to round.
    correction = basis.T @ rest
    return rest - basis @ correction, coefficients + correction


def _orthonormal(
    vectors: NDArray[np.float64], basis: NDArray[np.float64], noise: float
) -> NDArray[np.float64]:
    """Orthonormal vectors that span the given ones, which lie outside a basis, down to `noise`."""
    from scipy.linalg import qr

    q, r, _ = qr(vectors, mode="economic", pivoting=True)
    lengths = np.abs(np.diag(r))  # decreasing
    kept: NDArray[np.float64] = q[:, lengths > noise]
    if kept.size and lengths[kept.shape[1] - 1] < 1e-3 * lengths[0]:
        # Normalising short vectors has blown up what they had left of the basis.
        kept = qr(_orthogonalise(kept, basis)[0], mode="economic")[0]
    return kept
