"""Every stage against upstream's own output, fed with upstream's own input for that stage."""

import csv
import gzip
import hashlib
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from goldens import tables
from helpers import synthetic_ensemble
from scipy.sparse import csc_array

from cytotrace2_lite import genes
from cytotrace2_lite.base.parameters import Parameters
from cytotrace2_lite.base.potency import POTENCIES, potency_of
from cytotrace2_lite.models.ensemble import Prediction
from cytotrace2_lite.models.info import ModelInfo
from cytotrace2_lite.output.tables import COLUMNS
from cytotrace2_lite.pipeline import batches, prepare, score_cells
from cytotrace2_lite.read import read_expression
from cytotrace2_lite.result import Result
from cytotrace2_lite.stages import binning, diffusion, preprocess
from cytotrace2_lite.stages import components as pca
from cytotrace2_lite.stages import neighbors as knn
from cytotrace2_lite.stages.gene_sums import GeneSums
from cytotrace2_lite.stages.standardised import standardise

GOLDENS = Path(__file__).parent / "goldens"
WITH_NETWORKS = ("mouse_120", "human_aliases")


@pytest.fixture(scope="module", params=tables.CASES)
def case(request):
    return load(request.param)


def load(name):
    names, cells, values = tables.table(name)
    with np.load(GOLDENS / f"{name}.npz") as file:
        golden = {key: read_only(file[key]) for key in file}
    options = tables.DEFAULTS | tables.CASES[name]
    mapping = genes.map_genes(names, options["species"])
    counts = csc_array(values.T.astype(float))
    return SimpleNamespace(
        name=name,
        genes=names,
        cells=cells,
        values=values,
        golden=SimpleNamespace(**golden),
        options=options,
        mapping=mapping,
        counts=preprocess.counts_over_features(counts, mapping.feature, genes.N_FEATURES),
    )


def read_only(array):
    array.flags.writeable = False
    return array


def batches_of(case):
    """For each of upstream's batches: rows in the arrays of the golden, and its cells."""
    for number in range(case.golden.batch.max() + 1):
        rows = np.flatnonzero(case.golden.batch == number)
        yield rows, case.golden.cell[rows]


def test_the_goldens_are_of_these_tables(case):
    assert hashlib.sha256(tables.as_text(case.name)).hexdigest() == str(case.golden.table_sha256)
    assert json.loads(str(case.golden.options)).items() >= tables.CASES[case.name].items()


def test_the_goldens_are_not_vacuous(case):
    golden = case.golden
    assert len(set(golden.potency)) >= 3
    assert np.median(np.abs(golden.diffused - golden.raw_score)) > 0.005
    assert (len(case.cells) < 100) == (golden.score == golden.binned).all()
    if len(case.cells) >= 100:
        changed = potency_of(golden.score) != golden.potency
        assert changed.mean() > 0.1


def test_mapping(case):
    np.testing.assert_array_equal(case.mapping.feature, case.golden.feature_of_gene)


def test_ranks_and_log2(case):
    golden = case.golden
    _, cells = next(batches_of(case))
    counts = case.counts[cells[golden.example_cells]]
    log2_cpm = preprocess.log2_cpm(counts)
    np.testing.assert_array_equal(log2_cpm.indptr, golden.example_indptr)
    np.testing.assert_array_equal(log2_cpm.indices, golden.example_features)
    np.testing.assert_allclose(log2_cpm.data, golden.example_log2, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(preprocess.rank_expressed(counts), golden.example_rank)
    every = preprocess.rank_all(counts)
    for cell, zero_rank in enumerate(golden.example_zero_rank):
        expressed = golden.example_features[slice(*golden.example_indptr[cell : cell + 2])]
        assert set(np.delete(every[cell], expressed)) == {zero_rank}


def test_batches(case):
    split = batches(len(case.cells), case.options["batch_size"], case.options["seed"])
    expected = [cells for _, cells in batches_of(case)]
    assert len(split) == len(expected)
    for ours, theirs in zip(split, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_variable_genes(case):
    for number, (_, cells) in enumerate(batches_of(case)):
        sums = GeneSums.of(preprocess.log2_cpm(case.counts[cells]))
        ours = diffusion.variable_genes(sums)
        assert len(ours) == 1000
        varying = set(ours[sums.dispersion()[ours] > 0].tolist())
        theirs = set(case.golden.top_genes[number].tolist()) - {-1}
        assert varying == theirs


def test_diffusion(case):
    for rows, cells in batches_of(case):
        counts = case.counts[cells]
        ours = diffusion.diffuse(
            counts,
            case.golden.raw_score[rows],
            diffusion.variable_genes(GeneSums.of(preprocess.log2_cpm(counts))),
            group_size=case.options["smooth_batch_size"],
            seed=case.options["seed"],
        )
        np.testing.assert_allclose(ours, case.golden.diffused[rows], rtol=0, atol=1e-9)


def test_binning(case):
    for rows, _ in batches_of(case):
        ours = binning.spread(case.golden.diffused[rows], case.golden.potency[rows])
        np.testing.assert_array_equal(ours, case.golden.binned[rows])


def test_binning_of_ties():
    with np.load(GOLDENS / "binning_ties.npz") as golden:
        assert len(set(golden["diffused"])) < len(golden["diffused"])
        ours = binning.spread(golden["diffused"], golden["potency"])
        np.testing.assert_array_equal(ours, golden["binned"])


def test_components(case):
    if not hasattr(case.golden, "pca") or np.isnan(case.golden.pca).any():
        pytest.skip("upstream computes no components for this case, or they are not kept")
    ours = pca.principal_components(standardise(case.counts[case.golden.cell]), 30)
    theirs = case.golden.pca
    signs = np.sign((ours * theirs).sum(axis=0))
    np.testing.assert_allclose(ours * signs, theirs, rtol=0, atol=1e-9 * np.abs(theirs).max())


def test_neighbors_and_score(case):
    golden = case.golden
    if len(case.cells) < 100:
        pytest.skip("fewer than 100 cells are not smoothed over neighbours")
    for rows, cells in batches_of(case):
        coordinates = (
            golden.pca[rows]
            if hasattr(golden, "pca")
            else pca.principal_components(standardise(case.counts[cells]), 30)
        )
        neighbors, distances = knn.nearest_neighbors(coordinates)
        np.testing.assert_array_equal(neighbors, golden.neighbors[rows])
        np.testing.assert_allclose(distances, golden.neighbor_distances[rows], rtol=0, atol=1e-7)
        given = knn.smooth_over_neighbors(
            golden.binned[rows],
            golden.neighbors[rows].astype(np.intp),
            golden.neighbor_distances[rows].astype(np.float64),
            potency_of,
        )
        exact = golden.neighbor_distances.dtype == np.float64
        np.testing.assert_allclose(given, golden.score[rows], rtol=0, atol=1e-9 if exact else 2e-8)
        # Upstream's rounding puts a cell up to 1e-8 away from itself, hence the wider tolerance.
        ours = knn.smooth_over_neighbors(golden.binned[rows], neighbors, distances, potency_of)
        np.testing.assert_allclose(ours, golden.score[rows], rtol=0, atol=5e-8)
        np.testing.assert_array_equal(potency_of(ours), potency_of(golden.score[rows]))


@pytest.mark.parametrize("name", WITH_NETWORKS)
@pytest.mark.parametrize("version", ["1.1.0", "1.0.0"])
def test_networks(name, version, exported, ensembles):
    case = load(name)
    short = f"v{version.replace('.', '')}"
    logits = getattr(case.golden, f"{short}_logits")
    expected = np.concatenate(logits, axis=1)
    log2_cpm, rank = preprocess.log2_cpm(case.counts), preprocess.rank_expressed(case.counts)
    dense = preprocess.rank_all(case.counts)
    folded, _ = exported[version]
    np.testing.assert_allclose(
        folded.logits(dense, log2_cpm.toarray()), expected, rtol=0, atol=1e-9
    )
    prediction = ensembles[version].predict(log2_cpm, rank)
    probabilities = getattr(case.golden, f"{short}_probabilities")
    score = getattr(case.golden, f"{short}_score")
    np.testing.assert_allclose(prediction.probabilities, probabilities, rtol=0, atol=5e-5)
    np.testing.assert_array_equal(prediction.potency, probabilities.argmax(axis=1))
    np.testing.assert_allclose(prediction.score, score, rtol=0, atol=5e-6)
    assert len(set(prediction.potency)) >= 4
    if version == "1.1.0":  # in float32 no worse than upstream's own float32
        ours = np.abs(prediction.score - score).max()
        assert ours <= np.abs(case.golden.raw_score - score).max()


class Given:
    """An ensemble that gives what upstream's gave."""

    def __init__(self, case):
        self.case, self.done = case, 0
        self.info = ModelInfo("given", "", "1.1.0", 0, "", "", ())

    def predict_counts(self, counts, *, threads, progress, sums):
        sums.add(GeneSums.of(preprocess.log2_cpm(counts[:])))
        rows = slice(self.done, self.done + counts.shape[0])
        self.done = rows.stop
        golden = self.case.golden
        return Prediction(
            golden.probabilities[rows], golden.raw_score[rows], golden.potency[rows].astype(np.intp)
        )


@pytest.mark.parametrize("threads", [1, 2])
def test_pipeline_from_upstreams_raw_scores(case, tmp_path, threads):
    expression, _ = read_expression(case.values.T, genes=case.genes, cells=case.cells)
    data = prepare(expression, case.options["species"])
    scores = score_cells(data, Given(case), Parameters(max_cores=threads, **case.options))
    Result(**vars(scores)).write(tmp_path)
    compare(tmp_path / "cytotrace2_results.txt", case.name, off=5e-8)


@pytest.mark.parametrize("name", [n for n in tables.CASES if n not in {"lone_cell", "ties"}])
def test_end_to_end_with_the_made_up_ensemble(name, ensembles, tmp_path):
    case = load(name)
    expression, _ = read_expression(case.values.T, genes=case.genes, cells=case.cells)
    data = prepare(expression, case.options["species"])
    scores = score_cells(data, ensembles["1.1.0"], Parameters(**case.options))
    Result(**vars(scores)).write(tmp_path)
    # Upstream's float32 raw scores may swap cells whose scores are nearly the same.
    swaps = 3 if name == "batches" else 0
    compare(tmp_path / "cytotrace2_results.txt", name, off=5e-8, swaps=swaps)


def compare(path, name, *, off, swaps=0):
    ours = list(csv.reader(io.StringIO(path.read_text()), delimiter="\t"))
    text = gzip.decompress((GOLDENS / f"{name}_results.txt.gz").read_bytes()).decode()
    theirs = list(csv.reader(io.StringIO(text), delimiter="\t"))
    assert ours[0] == theirs[0] == ["", *COLUMNS]
    assert [row[0] for row in ours] == [row[0] for row in theirs]
    for position, column in enumerate(COLUMNS, 1):
        mine, other = ([row[position] for row in rows[1:]] for rows in (ours, theirs))
        if column.endswith("Potency"):
            assert mine == other
            assert set(mine) <= set(POTENCIES)
        else:
            difference = np.abs(np.array(mine, float) - np.array(other, float))
            assert np.count_nonzero(difference > off) <= swaps * 30, column
            # Two neighbouring cells of a category of this size.
            assert difference.max() <= 5e-3, column
            assert np.median(difference) <= 1e-8, column


def test_the_made_up_ensemble_is_the_one_of_the_goldens():
    with np.load(GOLDENS / "synthetic_calibration.npz") as calibration:
        for version in ("1.1.0", "1.0.0"):
            digests = calibration[f"v{version.replace('.', '')}_sha256"]
            for index, expected in enumerate(digests):
                state = synthetic_ensemble.raw_member(index, version)
                assert synthetic_ensemble.digest(state) == expected
