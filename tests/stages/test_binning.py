"""The cells of a category spread evenly over its range."""

import numpy as np

from cytotrace2_lite.base.potency import potency_of
from cytotrace2_lite.stages import binning


def test_ranges():
    score = np.random.RandomState(0).rand(60)
    potency = np.arange(60) % 6
    ours = binning.spread(score, potency)
    for k in range(6):
        cells = potency == k
        assert ours[cells].min() == k / 6 + 1e-8
        assert abs(ours[cells].max() - ((k + 1) / 6 - 1e-8)) < 1e-15
        np.testing.assert_array_equal(np.argsort(ours[cells]), np.argsort(score[cells]))


def test_a_lone_cell_gets_the_lower_end():
    assert binning.spread(np.array([0.7]), np.array([3])) == 3 / 6 + 1e-8


def test_potency_edges():
    edges = np.linspace(0, 1, 7)
    np.testing.assert_array_equal(potency_of(edges), [0, 0, 1, 2, 3, 4, 5])
    above = np.nextafter(edges[:-1], 2)
    np.testing.assert_array_equal(potency_of(above), range(6))
