"""What holds for all stages: inputs and the global random state are left alone."""

import numpy as np
import pytest
from helpers.counts import structured_counts

from cytotrace2_lite.stages import components, diffusion, neighbors, preprocess, standardised
from cytotrace2_lite.stages.gene_sums import GeneSums


def smoothed(counts, threads=1):
    """Result of every stage for some cells."""
    score = np.random.RandomState(0).rand(counts.shape[0])
    cells = standardised.standardise(counts, threads=threads)
    variable = diffusion.variable_genes(GeneSums.of(preprocess.log2_cpm(counts)))
    coordinates = components.principal_components(cells, 30, threads=threads)
    return (
        preprocess.rank_expressed(counts),
        diffusion.diffuse(counts, score, variable, group_size=70, threads=threads),
        coordinates,
        *neighbors.nearest_neighbors(coordinates, threads=threads),
    )


def test_input_is_left_alone():
    counts = structured_counts(120)
    for array in (counts.data, counts.indices, counts.indptr):
        array.flags.writeable = False
    smoothed(counts)


def test_global_random_state_is_left_alone():
    np.random.seed(1)  # noqa: NPY002 (the global state is what is tested)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    smoothed(structured_counts(120))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("module", "constant", "value"),
    [
        (preprocess, "_CELLS_PER_STEP", 7),
        (diffusion, "_CELLS_PER_STEP", 7),
        (standardised, "_VALUES_PER_STEP", 10_000),
        (neighbors, "_DISTANCES_PER_STEP", 10_000),
        (neighbors, "_N_CANDIDATES", 40),
        (neighbors, "_SAMPLE_RANK", 8),
        (neighbors, "_SAMPLE_STRIDE", 4),
    ],
)
def test_what_changes_speed_alone_moves_no_bit(module, constant, value, monkeypatch):
    if module is standardised:  # few cells are not taken in steps
        monkeypatch.setattr(standardised, "_MAX_FEW", 0)
    counts = structured_counts(300)
    expected = smoothed(counts)
    assert getattr(module, constant) != value
    monkeypatch.setattr(module, constant, value)
    for ours, theirs in zip(smoothed(counts), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
