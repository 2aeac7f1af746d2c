"""The leading eigenpairs of a symmetric operator that is only known by its products with vectors.

A block Krylov method with full reorthogonalisation: in each round the newest orthonormal vectors
of a basis are multiplied, and what lies outside the basis of their images becomes the next ones.
The eigenpairs of the operator projected on the basis converge to those of the operator, the
largest first. It is the block Lanczos method, but every coefficient is computed, which costs
little here and keeps rounding errors from growing.

Vectors are the rows of arrays.

Source: Golub and Underwood, Mathematical Software III, 1977 (block Lanczos).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor

    from numpy.typing import NDArray

__all__ = [
    "MAX_RESIDUAL",
    "eigenpairs_of_matrix",
    "largest_residual",
    "leading_eigenpairs",
    "tolerance",
]

#: Guaranteed for each eigenpair u, l of an operator G by those who check it with `tolerance`:
#: |G u - l u| <= MAX_RESIDUAL * l_max, or the rounding error of G u where that is larger. It moves
#: scores by up to 4e-10; upstream's own distances carry 5e-8.
MAX_RESIDUAL = 1e-9

# These move the last bits of the results.
_MAX_BASIS = 3000  # vectors; what has not converged by then never does
_PROBE_VECTORS, _PROBE_ROUNDS = 4, 4  # vectors, and rounds, that look for what was overlooked
_SHRUNK, _MAX_PASSES = 0.1, 3  # of orthogonalisation
_WELL_CONDITIONED = 1e-3  # ratio of the shortest length to the longest
_ENTRIES_PER_PART = 1024  # of every vector, at most; fixed, whatever the number of threads

# Only memory depends on this.
_CHECKED_AT_ONCE = 16


def tolerance(values: NDArray[np.float64], noise: float) -> float:
    """Give the residual that is allowed.

    Parameters
    ----------
    values
        Eigenvalues, ascending; shape (k,).
    noise
        Bound of the rounding error of a product with a unit vector.
    """
    return max(MAX_RESIDUAL * float(values[-1]), noise)


def largest_residual(
    product: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    values: NDArray[np.float64],
    vectors: NDArray[np.float64],
) -> float:
    """Compute the largest |G u - l u| of some eigenpairs.

    Parameters
    ----------
    product
        The operator G.
    values
        Eigenvalues l; shape (k,).
    vectors
        Their eigenvectors u, of unit length; shape (k, n).
    """
    errors = []
    for start in range(0, len(values), _CHECKED_AT_ONCE):
        some = slice(start, start + _CHECKED_AT_ONCE)
        difference = product(vectors[some]) - vectors[some] * values[some, None]
        errors.append(np.linalg.norm(difference, axis=1))
    return float(np.concatenate(errors).max())


def eigenpairs_of_matrix(
    matrix: NDArray[np.float64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the largest eigenpairs of a symmetric matrix that is at hand as such.

    Parameters
    ----------
    matrix
        Shape (n, n).
    k
        How many.

    Returns
    -------
    values : ndarray
        Eigenvalues, ascending; float64, shape (k,).
    vectors : ndarray
        Eigenvectors of unit length, as columns; float64, shape (n, k).
    """
    from scipy.linalg import eigh

    n = len(matrix)
    values, vectors = eigh(matrix, subset_by_index=[n - k, n - 1])
    return values, vectors


def leading_eigenpairs(
    product: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    n: int,
    k: int,
    *,
    block_size: int,
    noise: float,
    pool: ThreadPoolExecutor,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the largest eigenpairs of an operator.

    What has not converged when the basis is full is returned as it is: check the residual.

    Parameters
    ----------
    product
        The operator, symmetric and positive semi-definite.
    n
        Length of its vectors.
    k
        How many eigenpairs, less than n.
    block_size
        How many vectors are multiplied together.
    noise
        Bound of the rounding error of a product with a unit vector: an eigenvalue below it is zero.
    pool
        Threads that share the work. The result does not depend on their number.

    Returns
    -------
    values : ndarray
        Eigenvalues, ascending; float64, shape (k,).
    vectors : ndarray
        Eigenvectors of unit length; float64, shape (k, n).
    """
    random = np.random.RandomState(0)
    limit = min(n, _MAX_BASIS)
    basis = np.empty((limit, n))  # memory is only taken for the rows that are used
    projected = np.zeros((limit, limit))  # the operator in the basis
    size = 0  # vectors in the basis
    recent = 0  # where the vectors begin that were multiplied in the round before
    next_check = k  # size of the basis
    previous = None  # size and residual at the check before
    settled = None  # eigenvalues at the first check that was passed
    newest = _orthonormal(random.standard_normal((min(block_size, limit), n)), basis[:0], 0.0, pool)
    while True:
        image = product(newest)
        old, size = size, size + len(newest)
        basis[old:size] = newest
        rest, coefficients = _orthogonalise(image, basis[:size], pool, recent)
        projected[:size, old:size] = coefficients
        projected[old:size, :size] = coefficients.T
        recent = old
        if size >= next_check or size == limit:
            # `combination` has the eigenvectors in terms of the basis; what the operator makes of
            # them lies in the basis but for the rest of the newest images.
            values, combination = eigenpairs_of_matrix(projected[:size, :size], k)
            allowed = tolerance(values, noise)
            residual = np.linalg.norm(rest.T @ combination[old:], axis=0).max()
            if size == limit:
                break
            goal = allowed / 2
            next_check, previous = _next_check(size, residual, goal, previous), (size, residual)
            if residual <= goal:
                # Eigenpairs, but maybe not the largest ones: of an eigenvalue that is repeated, a
                # block finds as many copies as it has vectors. Fresh random vectors would find
                # the others.
                if settled is not None and (values - settled).max() <= allowed:
                    break
                settled, next_check = values, size + _PROBE_ROUNDS * _PROBE_VECTORS
                fresh = random.standard_normal((_PROBE_VECTORS, n))
                rest = _orthogonalise(fresh, basis[:size], pool)[0]
        newest = _orthonormal(rest, basis[:size], noise, pool)
        if not len(newest):  # the basis spans all that can be reached from the first vectors
            fresh = _orthogonalise(random.standard_normal((block_size, n)), basis[:size], pool)[0]
            newest = _orthonormal(fresh, basis[:size], 0.0, pool)
        newest = newest[: limit - size]
    return values, combination.T @ basis[:size]


def _next_check(size: int, residual: float, goal: float, previous: tuple[int, float] | None) -> int:
    """Decide when to look at the eigenpairs again, from how the residual has shrunk so far.

    Parameters
    ----------
    size
        Vectors in the basis.
    residual
        Its residual.
    goal
        The residual that is aimed at.
    previous
        Size and residual at the check before, None at the first.

    Returns
    -------
    int
        Size of the basis at the next check.
    """
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
    """Split vectors into what lies in a basis and the rest.

    Most of an image lies in the vectors of the basis from `recent` on, which are taken off first.
    A pass leaves rounding errors as large as those of the vectors it started from, so another one
    follows where they have become much shorter. With a single pass, errors would grow from round
    to round.

    Parameters
    ----------
    vectors
        Shape (n_vectors, n).
    basis
        Orthonormal vectors; shape (size, n).
    pool
        Threads that share the work.
    recent
        The first vector of the basis that most of the vectors lies in; 0 where that is not known.

    Returns
    -------
    rest : ndarray
        What lies outside the basis; float64, shape (n_vectors, n).
    coefficients : ndarray
        Of the vectors in the basis; float64, shape (size, n_vectors).
    """
    coefficients = np.zeros((len(basis), len(vectors)))
    rest = vectors.copy()
    # An even number of parts, as most machines have an even number of cores.
    n_parts = 2 * -(-vectors.shape[1] // (2 * _ENTRIES_PER_PART))
    bounds = np.linspace(0, vectors.shape[1], n_parts + 1).astype(int).tolist()
    parts = list(itertools.starmap(slice, itertools.pairwise(bounds)))

    def take_off(some: NDArray[np.float64]) -> NDArray[np.float64]:
        """Subtract what lies in some vectors of the basis; give its coefficients."""

        def subtract(entries: slice) -> None:
            rest[:, entries] -= found @ some[:, entries]

        found = np.zeros((len(rest), len(some)))
        for part in pool.map(lambda entries: rest[:, entries] @ some[:, entries].T, parts):
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
    """Make orthonormal vectors that span given ones.

    Parameters
    ----------
    vectors
        Vectors outside the basis; shape (n_vectors, n).
    basis
        Orthonormal vectors; shape (size, n).
    noise
        Length up to which a vector is rounding error.
    pool
        Threads that share the work.

    Returns
    -------
    ndarray
        float64, shape (n_kept, n), with n_kept <= n_vectors: directions that are rounding error
        are left out.
    """
    from scipy.linalg import qr

    lengths = np.linalg.eigvalsh(vectors @ vectors.T)  # squared, ascending
    if lengths[0] > max(_WELL_CONDITIONED**2 * lengths[-1], noise**2):
        # Cholesky's method, twice for full precision, is ten times faster than a QR decomposition.
        for _ in range(2):
            vectors = np.linalg.inv(np.linalg.cholesky(vectors @ vectors.T)) @ vectors
        return vectors
    q, r, _ = qr(vectors.T, mode="economic", pivoting=True)
    lengths = np.abs(np.diag(r))  # decreasing
    kept: NDArray[np.float64] = q.T[lengths > noise]
    if kept.size and lengths[len(kept) - 1] < _WELL_CONDITIONED * lengths[0]:
        # Short vectors were made longer, and with them what rounding had left in the basis.
        kept = qr(_orthogonalise(kept, basis, pool)[0].T, mode="economic")[0].T
    return kept
