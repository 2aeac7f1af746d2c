"""The eigensolver on operators whose eigenpairs are known."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cytotrace2_lite.stages import krylov

EPS = np.finfo(np.float64).eps


def with_eigenvalues(values, seed=0):
    """A symmetric matrix with these eigenvalues."""
    random = np.random.RandomState(seed)
    vectors, _ = np.linalg.qr(random.standard_normal((len(values), len(values))))
    return (vectors * values) @ vectors.T


def solved(matrix, k, *, block_size=8, threads=1):
    """Eigenpairs, and their residual as a share of what is allowed."""

    def product(vectors):
        return vectors @ matrix

    noise = 8 * EPS * np.trace(matrix)
    with ThreadPoolExecutor(threads) as pool:
        values, vectors = krylov.leading_eigenpairs(
            product,
            len(matrix),
            k,
            block_size=block_size,
            noise=noise,
            pool=pool,
        )
    residual = krylov.largest_residual(product, values, vectors)
    return values, vectors, residual / krylov.tolerance(values, noise)


def leading(matrix, k, **options):
    values, vectors, residual = solved(matrix, k, **options)
    assert residual <= 1
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(k), rtol=0, atol=1e-12)
    return values, vectors


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(1, 100, 400),
        0.8 ** np.arange(400),
        np.r_[np.full(20, 5.0), np.linspace(0, 4, 380)],  # more copies than a block has vectors
        np.r_[np.arange(1.0, 10), np.zeros(391)],  # of lower rank than is asked for
        np.ones(400),
    ],
    ids=["even", "steep", "repeated", "rank 9", "all equal"],
)
@pytest.mark.parametrize("block_size", [4, 8])
def test_equal_to_the_eigenvalues(values, block_size):
    found, _ = leading(with_eigenvalues(values), 15, block_size=block_size)
    expected = np.sort(values)[-15:]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * expected[-1])


def test_as_many_as_there_are():
    values = np.arange(1.0, 32)
    found, _ = leading(with_eigenvalues(values), 30)
    np.testing.assert_allclose(found, values[1:], rtol=1e-12)


def test_threads_do_not_matter(monkeypatch):
    monkeypatch.setattr(krylov, "_ENTRIES_PER_PART", 50)
    matrix = with_eigenvalues(np.linspace(1, 100, 400))
    one = leading(matrix, 15)
    for ours, theirs in zip(leading(matrix, 15, threads=3), one, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_full_basis_gives_what_there_is(monkeypatch):
    monkeypatch.setattr(krylov, "_MAX_BASIS", 40)
    values, vectors, residual = solved(with_eigenvalues(np.linspace(1, 100, 400)), 15)
    assert (values.shape, vectors.shape) == ((15,), (15, 400))
    assert residual > 1
