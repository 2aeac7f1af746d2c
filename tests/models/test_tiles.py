"""The inputs of the model's graph have the shapes and values that ranks and log2 CPM give."""

import numpy as np
import pytest
from helpers.counts import random_counts

from cytotrace2_lite.genes import N_FEATURES
from cytotrace2_lite.models.tiles import (
    BAND_MODULES,
    CHUNK_GENES,
    TILE_CELLS,
    TileFeed,
    band_start,
    bands,
    threshold_ceiling,
)
from cytotrace2_lite.stages import preprocess

THRESHOLD = np.random.RandomState(3).uniform(60, 400, 2 * BAND_MODULES + 4)


@pytest.mark.parametrize(
    ("n_modules", "sizes"), [(6, [6]), (16, [16]), (18, [18]), (32, [16, 16]), (36, [20, 16])]
)
def test_bands(n_modules, sizes):
    threshold = np.random.RandomState(0).permutation(n_modules) + 10.0
    found = bands(threshold)
    assert [len(band) for band in found] == sizes
    np.testing.assert_array_equal(threshold[np.concatenate(found)], np.arange(n_modules) + 10)


@pytest.mark.parametrize(
    ("threshold", "start", "ceiling"),
    [([10.0, 12.0], 10, 12), ([10.2, 12.1], 10.5, 13), ([10.6, 10.7], 11, 11)],
)
def test_start_and_ceiling(threshold, start, ceiling):
    assert band_start(np.array(threshold)) == start
    assert threshold_ceiling(np.array(threshold)) == ceiling


@pytest.mark.parametrize("second", ["log2_cpm", "n_under"])
@pytest.mark.parametrize("start", [0, TILE_CELLS])
def test_feed(second, start):
    counts = random_counts(TILE_CELLS + 3, 500)
    log2_cpm, rank = preprocess.log2_cpm(counts), preprocess.rank_expressed(counts)
    dense = preprocess.rank_all(counts)[start : start + TILE_CELLS]
    feed = TileFeed(THRESHOLD, frozenset({"under", second}), N_FEATURES)
    feed(log2_cpm, rank, 0)
    tile = feed(log2_cpm, rank, start)

    assert tile["under"].shape == (TILE_CELLS, N_FEATURES + 1)
    assert not tile["under"][:, -1].any()
    assert not tile["under"][len(dense) :].any()
    expressed = counts[start : start + TILE_CELLS].toarray() > 0
    under = np.where(expressed, threshold_ceiling(THRESHOLD) - dense, 0)
    np.testing.assert_array_equal(tile["under"][: len(dense), :-1], under)
    if second == "log2_cpm":
        expected = log2_cpm[start : start + TILE_CELLS].toarray().astype(np.float32)
        np.testing.assert_array_equal(tile["log2_cpm"][: len(dense)], expected)
        assert not tile["log2_cpm"][len(dense) :].any()
        assert "n_under" not in tile
    else:
        expected = (dense[:, :, None] < THRESHOLD).sum(axis=1)
        np.testing.assert_array_equal(tile["n_under"][: len(dense)], np.maximum(expected, 1))
        assert (tile["n_under"][len(dense) :] == 1).all()
        assert "log2_cpm" not in tile

    cut = bands(THRESHOLD)
    starts = [*(band_start(THRESHOLD[band]) for band in cut), threshold_ceiling(THRESHOLD)]
    for i in range(len(cut)):
        gene, ranked, cell = (tile[f"{name}_{i}"] for name in ("gene", "rank", "cell"))
        assert gene.shape == (len(gene), CHUNK_GENES)
        assert ranked.shape == (len(gene), 2)
        assert cell.shape == (len(gene), 1)
        assert [part.dtype for part in (gene, ranked, cell)] == [np.int32, np.float32, np.int64]
        assert len(gene) >= 2
        assert (ranked[:, 1] == 1).all()
        assert (np.diff(ranked[:, 0]) >= 0).all()
        listed = {
            (c, g, r)
            for (c,), genes, (r, _) in zip(
                cell.tolist(), gene.tolist(), ranked.tolist(), strict=True
            )
            for g in genes
            if g < N_FEATURES
        }
        inside = (dense >= starts[i]) & (dense < starts[i + 1]) & expressed
        rows, columns = np.nonzero(inside)
        expected = zip(rows.tolist(), columns.tolist(), dense[inside].tolist(), strict=True)
        assert listed == set(expected)
