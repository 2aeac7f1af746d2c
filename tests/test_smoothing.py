"""Principal components, neighbours, binning and diffusion at their edges."""

import numpy as np
import pytest
from helpers.counts import random_counts
from scipy.sparse import csr_array

from cytotrace2_lite.base.potency import potency_of
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.stages import binning, diffusion, preprocess
from cytotrace2_lite.stages import components as pca
from cytotrace2_lite.stages import neighbors as knn


def exact_components(counts, k):
    cells = preprocess.log2_cpm(counts).toarray()
    cells = (cells - cells.mean(axis=1, keepdims=True)) / cells.std(axis=1, keepdims=True)
    left, singular, _ = np.linalg.svd(cells - cells.mean(axis=0), full_matrices=False)
    return left[:, :k] * singular[:k]


def components(counts, **options):
    return pca.principal_components(pca.standardise(counts, **options), 30, **options)


def distances_between(coordinates):
    offset = coordinates[:, None] - coordinates[None]
    return np.sqrt((offset**2).sum(axis=2))


def structured_counts(n_cells, seed=0):
    """Cells of a few types, so that the leading components stand out from the rest."""
    counts = random_counts(n_cells, 500, seed)
    random = np.random.RandomState(seed)
    types = random.gamma(0.3, 1, (8, 14271))
    counts.data *= 1 + np.round(20 * types[np.repeat(np.arange(n_cells) % 8, 500), counts.indices])
    common = csr_array(random.poisson(2, (n_cells, 200)))  # most cells express these
    common.resize(counts.shape)
    counts += common
    return counts


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
            monkeypatch.setattr(pca, "_MAX_EXACT_VALUES", 0)
            cells = np.rint(cells * 2**26) / 2**26
        ours = components(counts)
        cells = (cells - cells.mean(axis=1, keepdims=True)) / cells.std(axis=1, keepdims=True)
        cells -= cells.mean(axis=0)
        gram = cells @ cells.T
        values = (ours**2).sum(axis=0)
        vectors = ours / np.sqrt(values)
        residual = np.linalg.norm(gram @ vectors - vectors * values, axis=0)
        assert residual.max() <= pca.MAX_RESIDUAL * values[0] * 1.1

    @pytest.mark.parametrize("n_cells", [100, 400])
    def test_rounding_does_not_matter(self, n_cells, monkeypatch):
        counts = structured_counts(n_cells)
        exact = distances_between(components(counts))
        monkeypatch.setattr(pca, "_MAX_EXACT_VALUES", 0)
        assert pca.standardise(counts).dense[0].dtype == np.int32
        ours = distances_between(components(counts))
        np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-8 * exact.max())

    def test_fails_rather_than_return_less(self, monkeypatch):
        monkeypatch.setattr(pca, "_MAX_CELLS_OF_MATRIX", 0)
        monkeypatch.setattr(pca, "_MAX_BASIS", 60)
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
            monkeypatch.setattr(pca, "_MAX_EXACT_VALUES", 0)
        counts = structured_counts(250)
        whole = distances_between(components(counts))
        # Parts so small that there are several of every kind.
        for limit in (
            *("_VALUES_PER_STEP", "_DENSE_VALUES_PER_PART", "_SPARSE_VALUES_PER_PART"),
            "_VALUES_PER_CALL",
        ):
            monkeypatch.setattr(pca, limit, 10_000)
        monkeypatch.setattr(pca, "_MULTIPLICATIONS_PER_PRODUCT", 10_000)
        monkeypatch.setattr(pca, "_CELLS_PER_PART", 100)
        cells = pca.standardise(counts)
        assert len(cells.dense) > 2
        assert len(cells.sparse) > 2
        one = components(counts, threads=1)
        for threads in (2, 4):
            np.testing.assert_array_equal(components(counts, threads=threads), one)
        parted = distances_between(one)
        np.testing.assert_allclose(parted, whole, rtol=0, atol=1e-9 * whole.max())

    def test_input_is_left_alone(self):
        counts = structured_counts(120)
        for part in (counts.data, counts.indices, counts.indptr):
            part.flags.writeable = False
        components(counts)
        diffusion.diffuse(counts, np.linspace(0, 1, 120))


class TestFloat32Products:
    @pytest.fixture(autouse=True)
    def columns(self, monkeypatch):
        """Count the vectors multiplied in each type."""
        monkeypatch.setattr(pca, "_MAX_CELLS_OF_MATRIX", 0)
        columns = {np.float64: 0, np.float32: 0}
        gram_product = pca._gram_product

        def counted(cells, vectors, pool, scratch, dtype):
            columns[dtype] += len(vectors)
            return gram_product(cells, vectors, pool, scratch, dtype)

        monkeypatch.setattr(pca, "_gram_product", counted)
        return columns

    @pytest.mark.parametrize("rounded", [False, True])
    def test_do_not_show(self, rounded, columns, monkeypatch):
        if rounded:
            monkeypatch.setattr(pca, "_MAX_EXACT_VALUES", 0)
        counts = structured_counts(700)
        ours = distances_between(components(counts))
        assert columns[np.float32] > 0.2 * columns[np.float64]
        n_columns = sum(columns.values())
        monkeypatch.setattr(pca, "_FLOAT32_RESIDUAL", 0.0)
        columns.update({np.float64: 0, np.float32: 0})
        exact = distances_between(components(counts))
        assert columns[np.float32] == 0
        assert n_columns <= columns[np.float64] + 2 * pca._BLOCK
        np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-10 * exact.max())

    def test_are_given_up_where_they_do_not_suffice(self, columns, monkeypatch):
        counts = structured_counts(400)
        monkeypatch.setattr(pca, "_FLOAT32_RESIDUAL", 1.0)
        ours = components(counts)
        assert columns[np.float32] > 0
        monkeypatch.setattr(pca, "_FLOAT32_RESIDUAL", 0.0)
        np.testing.assert_array_equal(ours, components(counts))


class TestNeighbors:
    @pytest.mark.parametrize("n_cells", [30, 59, 60, 61, 100, 700])
    def test_equal_to_sorting_all_distances(self, n_cells):
        coordinates = np.random.RandomState(0).standard_normal((n_cells, 30))
        neighbors, distances = knn.nearest_neighbors(coordinates, threads=2)
        every = distances_between(coordinates)
        expected = np.argsort(every, axis=1, kind="stable")[:, :30]
        np.testing.assert_array_equal(neighbors, expected)
        share = np.take_along_axis(every, expected, axis=1) / every.max(axis=1, keepdims=True)
        np.testing.assert_allclose(distances, share, rtol=0, atol=1e-14)

    def test_candidates_told_off_by_a_sample(self):
        random = np.random.RandomState(0)
        # Groups of very different sizes and widths: samples say much or nothing of a row.
        sizes, widths = [40, 200, 760], [0.01, 3, 50]
        coordinates = np.vstack(
            [
                random.normal(100 * i, width, (size, 30))
                for i, (size, width) in enumerate(zip(sizes, widths, strict=True))
            ]
        )
        for order in (np.arange(1000), random.permutation(1000)):
            cells = coordinates[order]
            neighbors, distances = knn.nearest_neighbors(cells)
            every = distances_between(cells)
            expected = np.argsort(every, axis=1, kind="stable")[:, :30]
            np.testing.assert_array_equal(neighbors, expected)
            share = np.take_along_axis(every, expected, axis=1) / every.max(axis=1, keepdims=True)
            np.testing.assert_allclose(distances, share, rtol=0, atol=1e-14)

    @pytest.mark.slow
    def test_descent_finds_nearly_all_neighbors(self, monkeypatch):
        random = np.random.RandomState(0)
        coordinates = random.standard_normal((3000, 30)) * np.linspace(10, 1, 30)
        coordinates[:100] = coordinates[0]  # more equal cells than neighbours are asked for
        exact, distances = knn.nearest_neighbors(coordinates)
        monkeypatch.setattr(knn, "MAX_EXACT", 1000)
        found, at = knn.nearest_neighbors(coordinates, threads=2)
        recall = np.mean([len(set(a) & set(b)) / 30 for a, b in zip(exact, found, strict=True)])
        assert recall >= 0.96  # which of the 100 are found is chance
        assert (
            np.mean([len(set(a) & set(b)) for a, b in zip(exact[100:], found[100:], strict=True)])
            >= 0.99 * 30
        )
        same = exact == found
        np.testing.assert_allclose(at[same], distances[same], rtol=0, atol=1e-14)
        again = knn.nearest_neighbors(coordinates, threads=2)
        np.testing.assert_array_equal(again[0], found)

    @pytest.mark.parametrize("spread", [0.0, 1e-7])
    def test_more_equal_cells_than_candidates(self, spread):
        random = np.random.RandomState(0)
        coordinates = random.standard_normal((300, 30)) * 200
        equal = random.permutation(300)[:200]
        coordinates[equal] = coordinates[equal[0]] + spread * random.standard_normal((200, 30))
        neighbors, _ = knn.nearest_neighbors(coordinates)
        expected = np.argsort(distances_between(coordinates), axis=1, kind="stable")[:, :30]
        np.testing.assert_array_equal(neighbors, expected)

    def test_far_from_the_origin(self):
        # |x|^2 + |y|^2 - 2 x.y alone would lose these distances.
        coordinates = np.random.RandomState(0).standard_normal((200, 3)) * 1e-3 + 1e3
        neighbors, _ = knn.nearest_neighbors(coordinates)
        expected = np.argsort(distances_between(coordinates), axis=1, kind="stable")[:, :30]
        np.testing.assert_array_equal(neighbors, expected)

    def test_agreement(self):
        category = potency_of
        neighbors = np.tile(np.arange(30), (3, 1))
        distances = np.zeros((3, 30))
        # The first two and the next two agree: four count.
        score = np.r_[np.full(4, 0.1), np.full(26, 0.9)]
        ours = knn.smooth_over_neighbors(score, neighbors, distances, category)
        np.testing.assert_allclose(ours, 0.1)
        # 2 | 2 and 3 | 3 disagree, 4 | 4 agree: eight count.
        score = np.r_[0.1, 0.1, 0.9, 0.9, 0.45, 0.5, 0.5, 0.48, np.full(22, 0.95)]
        ours = knn.smooth_over_neighbors(score, neighbors, distances, category)
        np.testing.assert_allclose(ours, score[:8].mean())
        # None agrees: four count.
        score = np.r_[np.full(2, 0.1), np.linspace(0.3, 1, 28)]
        ours = knn.smooth_over_neighbors(score, neighbors, distances, category)
        np.testing.assert_allclose(ours, score[:4].mean())


class TestBinning:
    def test_ranges(self):
        score = np.random.RandomState(0).rand(60)
        potency = np.arange(60) % 6
        ours = binning.spread(score, potency)
        for k in range(6):
            cells = potency == k
            assert ours[cells].min() == k / 6 + 1e-8
            assert abs(ours[cells].max() - ((k + 1) / 6 - 1e-8)) < 1e-15
            np.testing.assert_array_equal(np.argsort(ours[cells]), np.argsort(score[cells]))

    def test_a_lone_cell_gets_the_lower_end(self):
        assert binning.spread(np.array([0.7]), np.array([3])) == 3 / 6 + 1e-8

    def test_potency_edges(self):
        edges = np.linspace(0, 1, 7)
        np.testing.assert_array_equal(potency_of(edges), [0, 0, 1, 2, 3, 4, 5])
        above = np.nextafter(edges[:-1], 2)
        np.testing.assert_array_equal(potency_of(above), range(6))


class TestDiffusion:
    def test_a_group_of_one_cell_keeps_its_score(self):
        score = np.array([0.1, 0.5, 0.9])
        ours = diffusion.diffuse(structured_counts(3), score, group_size=1)
        np.testing.assert_array_equal(ours, score)

    def test_groups(self):
        groups = diffusion.smoothing_groups(2500, 1000, 14)
        assert [len(group) for group in groups] == [834, 833, 833]
        assert sorted(np.concatenate(groups)) == list(range(2500))
        assert len(diffusion.smoothing_groups(999, 1000, 14)) == 1
        assert len(diffusion.smoothing_groups(1000, 1000, 14)) == 1

    def test_dispersion(self):
        counts = structured_counts(50).toarray()
        counts[:, 5] = 0
        counts[:, 5] = counts.sum(axis=1)  # constant, but expressed: half of all
        dense = np.log2(1e6 * counts / counts.sum(axis=1, keepdims=True) + 1)
        ours = diffusion.dispersion(csr_array(counts))
        mean = dense.mean(axis=0)
        expected = np.divide(dense.var(axis=0), mean, out=np.zeros_like(mean), where=mean > 0)
        np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-13)
        assert ours[5] == 0

    def test_threads_do_not_matter(self):
        score = np.random.RandomState(0).rand(300)
        one = diffusion.diffuse(structured_counts(300), score, group_size=70)
        three = diffusion.diffuse(structured_counts(300), score, group_size=70, threads=3)
        np.testing.assert_array_equal(one, three)

    def test_global_random_state_is_left_alone(self):
        np.random.seed(1)  # noqa: NPY002 (the global state is what is tested)
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        diffusion.diffuse(structured_counts(120), np.linspace(0, 1, 120))
        components(structured_counts(120))
        np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
