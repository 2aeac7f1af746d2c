"""Neighbours against all distances, and their agreement on a category."""

import numpy as np
import pytest
from helpers.counts import distances_between

from cytotrace2_lite.base.potency import potency_of
from cytotrace2_lite.stages import neighbors as knn


@pytest.mark.parametrize("n_cells", [30, 59, 60, 61, 100, 700])
def test_equal_to_sorting_all_distances(n_cells):
    coordinates = np.random.RandomState(0).standard_normal((n_cells, 30))
    neighbors, distances = knn.nearest_neighbors(coordinates, threads=2)
    every = distances_between(coordinates)
    expected = np.argsort(every, axis=1, kind="stable")[:, :30]
    np.testing.assert_array_equal(neighbors, expected)
    share = np.take_along_axis(every, expected, axis=1) / every.max(axis=1, keepdims=True)
    np.testing.assert_allclose(distances, share, rtol=0, atol=1e-14)


def test_a_sample_says_much_or_little_about_its_row():
    random = np.random.RandomState(0)
    # Clusters of very different sizes and widths.
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
def test_descent_finds_nearly_all_neighbors(monkeypatch):
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
def test_more_equal_cells_than_candidates(spread):
    random = np.random.RandomState(0)
    coordinates = random.standard_normal((300, 30)) * 200
    equal = random.permutation(300)[:200]
    coordinates[equal] = coordinates[equal[0]] + spread * random.standard_normal((200, 30))
    neighbors, _ = knn.nearest_neighbors(coordinates)
    expected = np.argsort(distances_between(coordinates), axis=1, kind="stable")[:, :30]
    np.testing.assert_array_equal(neighbors, expected)


def test_far_from_the_origin():
    # |x|^2 + |y|^2 - 2 x.y alone would lose these distances.
    coordinates = np.random.RandomState(0).standard_normal((200, 3)) * 1e-3 + 1e3
    neighbors, _ = knn.nearest_neighbors(coordinates)
    expected = np.argsort(distances_between(coordinates), axis=1, kind="stable")[:, :30]
    np.testing.assert_array_equal(neighbors, expected)


def test_agreement():
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
