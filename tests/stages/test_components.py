"""Principal components against the full decomposition, few cells and many, and at their edges."""

import numpy as np
import pytest
from helpers.counts import distances_between, random_counts, structured_counts
from scipy.sparse import csr_array

from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.stages import components as pca
from cytotrace2_lite.stages import krylov, preprocess, standardised
from cytotrace2_lite.stages.standardised import standardise


def exact_components(counts, k):
    cells = preprocess.log2_cpm(counts).toarray()
    cells = (cells - cells.mean(axis=1, keepdims=True)) / cells.std(axis=1, keepdims=True)
    left, singular, _ = np.linalg.svd(cells - cells.mean(axis=0), full_matrices=False)
    return left[:, :k] * singular[:k]


def components(counts, **options):
    return pca.principal_components(standardise(counts, **options), 30, **options)


@pytest.fixture(params=["matrix", "products"])
def way(request, monkeypatch):
    """Few cells' components come from the Gram matrix, many cells' from products with it."""
    if request.param == "products":
        monkeypatch.setattr(pca, "_MAX_CELLS_OF_MATRIX", 0)


@pytest.mark.usefixtures("way")
class TestComponents:
    @pytest.mark.parametrize("n_cells", [31, 40, 100, 173, 400])
    def test_equal_to_the_full_decomposition(self, n_cells):
        counts = structured_counts(n_cells)
        ours = components(counts)
        theirs = exact_components(counts, 30)
        assert ours.shape == (n_cells, 30)
        signs = np.sign((ours * theirs).sum(axis=0))
        np.testing.assert_allclose(ours * signs, theirs, rtol=0, atol=1e-8 * np.abs(theirs).max())

    @pytest.mark.parametrize("rounded", [False, True])
    def test_the_residual_is_as_promised(self, rounded, monkeypatch):
        counts = structured_counts(300)
        cells = preprocess.log2_cpm(counts).toarray()
        if rounded:
            monkeypatch.setattr(standardised, "_MAX_EXACT_VALUES", 0)
            cells = np.rint(cells * 2**26) / 2**26
        ours = components(counts)
        cells = (cells - cells.mean(axis=1, keepdims=True)) / cells.std(axis=1, keepdims=True)
        cells -= cells.mean(axis=0)
        gram = cells @ cells.T
        values = (ours**2).sum(axis=0)
        vectors = ours / np.sqrt(values)
        residual = np.linalg.norm(gram @ vectors - vectors * values, axis=0)
        assert residual.max() <= krylov.MAX_RESIDUAL * values[0] * 1.1

    @pytest.mark.parametrize("n_cells", [100, 400])
    def test_rounding_does_not_matter(self, n_cells, monkeypatch):
        counts = structured_counts(n_cells)
        exact = distances_between(components(counts))
        monkeypatch.setattr(standardised, "_MAX_EXACT_VALUES", 0)
        assert standardise(counts).dense[0].dtype == np.int32
        ours = distances_between(components(counts))
        np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-8 * exact.max())

    def test_fails_rather_than_return_less(self, monkeypatch):
        monkeypatch.setattr(pca, "_MAX_CELLS_OF_MATRIX", 0)
        monkeypatch.setattr(krylov, "_MAX_BASIS", 60)
        with pytest.raises(CytoTRACE2Error, match="did not converge: residual"):
            components(structured_counts(400))

    def test_copies_of_a_few_cells(self):
        # Rank 9: the other components are zero, and copies lie exactly on one another.
        counts = structured_counts(10)[np.arange(120) % 10]
        ours = components(counts)
        expected = distances_between(exact_components(counts, 9))
        np.testing.assert_allclose(distances_between(ours), expected, rtol=0, atol=1e-6)

    def test_identical_cells(self):
        ours = components(structured_counts(1)[np.zeros(120, int)])
        np.testing.assert_array_equal(ours, 0)

    def test_many_equal_components(self):
        # Cells that share no gene: all components are equally large.
        counts = csr_array(np.kron(np.eye(110), np.ones((1, 100))))
        ours = components(counts)
        sizes = (ours**2).sum(axis=0)
        np.testing.assert_allclose(sizes, sizes[0], rtol=1e-10)

    @pytest.mark.parametrize("n_groups", [10, 20, 31, 40])
    def test_groups_of_identical_cells(self, n_groups):
        # Equal groups without a common gene: n_groups - 1 components of one size, the rest zero.
        counts = csr_array(np.kron(np.eye(n_groups), np.ones((8, 100))))
        ours = components(counts)
        sizes = (ours**2).sum(axis=0)
        n_components = min(n_groups - 1, 30)
        np.testing.assert_allclose(sizes[:n_components], sizes[0], rtol=1e-10)
        np.testing.assert_array_equal(sizes[n_components:], 0)

    def test_a_constant_cell(self):
        counts = random_counts(120, 500).toarray()
        counts[7] = 3.0
        ours = components(csr_array(counts))
        assert np.isfinite(ours).all()
        cells = preprocess.log2_cpm(csr_array(counts)).toarray()
        cells -= cells.mean(axis=1, keepdims=True)
        std = cells.std(axis=1, keepdims=True)
        std[7] = 1
        cells = cells / std
        cells[7] = 0
        left, singular, _ = np.linalg.svd(cells - cells.mean(axis=0), full_matrices=False)
        expected = distances_between(left[:, :30] * singular[:30])
        np.testing.assert_allclose(distances_between(ours), expected, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("rounded", [False, True])
    def test_threads_do_not_matter(self, rounded, monkeypatch):
        if rounded:
            monkeypatch.setattr(standardised, "_MAX_EXACT_VALUES", 0)
        counts = structured_counts(250)
        whole = distances_between(components(counts))
        # Parts so small that there are several of every kind.
        for limit in (
            *("_VALUES_PER_STEP", "_DENSE_VALUES_PER_PART", "_SPARSE_VALUES_PER_PART"),
            "_VALUES_PER_CALL",
        ):
            monkeypatch.setattr(standardised, limit, 10_000)
        monkeypatch.setattr(standardised, "_MULTIPLICATIONS_PER_PRODUCT", 10_000)
        monkeypatch.setattr(krylov, "_ENTRIES_PER_PART", 100)
        cells = standardise(counts)
        assert len(cells.dense) > 2
        assert len(cells.sparse) > 2
        one = components(counts, threads=1)
        for threads in (2, 4):
            np.testing.assert_array_equal(components(counts, threads=threads), one)
        parted = distances_between(one)
        np.testing.assert_allclose(parted, whole, rtol=0, atol=1e-9 * whole.max())


class TestFloat32Products:
    @pytest.fixture(autouse=True)
    def columns(self, monkeypatch):
        """Count the vectors multiplied in each type."""
        monkeypatch.setattr(pca, "_MAX_CELLS_OF_MATRIX", 0)
        columns = {np.float64: 0, np.float32: 0}
        gram_product = pca.gram_product

        def counted(cells, vectors, pool, scratch, dtype):
            columns[dtype] += len(vectors)
            return gram_product(cells, vectors, pool, scratch, dtype)

        monkeypatch.setattr(pca, "gram_product", counted)
        return columns

    @pytest.mark.parametrize("rounded", [False, True])
    def test_do_not_show(self, rounded, columns, monkeypatch):
        if rounded:
            monkeypatch.setattr(standardised, "_MAX_EXACT_VALUES", 0)
        counts = structured_counts(700)
        ours = distances_between(components(counts))
        assert columns[np.float32] > 0.2 * columns[np.float64]
        n_columns = sum(columns.values())
        monkeypatch.setattr(pca, "_FLOAT32_RESIDUAL", 0.0)
        columns.update({np.float64: 0, np.float32: 0})
        exact = distances_between(components(counts))
        assert columns[np.float32] == 0
        assert n_columns <= columns[np.float64] + 2 * standardised.VECTORS_PER_PRODUCT
        np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-10 * exact.max())

    def test_are_given_up_where_they_do_not_suffice(self, columns, monkeypatch):
        counts = structured_counts(400)
        monkeypatch.setattr(pca, "_FLOAT32_RESIDUAL", 1.0)
        ours = components(counts)
        assert columns[np.float32] > 0
        monkeypatch.setattr(pca, "_FLOAT32_RESIDUAL", 0.0)
        np.testing.assert_array_equal(ours, components(counts))
