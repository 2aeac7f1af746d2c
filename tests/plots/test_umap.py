"""The UMAP of the cells."""

import re
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("scranpy") is None and find_spec("umap") is None:  # importing them takes seconds
    pytest.skip("neither scranpy nor umap-learn is installed", allow_module_level=True)

from helpers.counts import as_counts, random_counts
from scipy.sparse import csr_array, vstack

import cytotrace2_lite as ct2
from cytotrace2_lite.genes import features
from cytotrace2_lite.metadata.coordinates import Embedding
from cytotrace2_lite.plots import umap
from cytotrace2_lite.stages import components as pca
from cytotrace2_lite.stages import neighbors as knn
from cytotrace2_lite.stages import preprocess
from cytotrace2_lite.stages.standardised import standardise

PACKAGES = {"scranpy": "_by_umappp", "umap": "_by_umap_learn"}
PACKAGES = {name: layout for name, layout in PACKAGES.items() if find_spec(name) is not None}


@pytest.fixture(params=PACKAGES)
def package(request, monkeypatch):
    """The package that lays out, as if it alone were installed."""
    monkeypatch.setattr(umap, "find_spec", lambda name: find_spec(name) and name == request.param)
    return request.param


class TestUmap:
    def test_the_same_for_any_number_of_threads(self, package):
        counts = random_counts(200, 300)
        one, two = (
            umap.compute_umap(as_counts(counts)),
            umap.compute_umap(as_counts(counts), threads=2),
        )
        np.testing.assert_array_equal(one.coordinates, two.coordinates)
        assert one.axes == ("UMAP 1", "UMAP 2")
        assert np.isfinite(one.coordinates).all()

    def test_cells_without_counts_and_beyond_the_limit(self, monkeypatch):
        counts = random_counts(120, 300)
        counts.data[counts.indptr[7] : counts.indptr[8]] = 0
        counts.eliminate_zeros()
        coordinates = umap.compute_umap(as_counts(counts)).coordinates
        assert np.flatnonzero(np.isnan(coordinates).any(axis=1)).tolist() == [7]
        monkeypatch.setattr(umap, "MAX_CELLS", 50)
        coordinates = umap.compute_umap(as_counts(counts)).coordinates
        assert np.isfinite(coordinates).all(axis=1).sum() == 50
        assert np.isnan(coordinates[7]).all()

    def test_projection_on_the_components_of_a_sample(self, monkeypatch):
        counts = random_counts(130, 300)
        cells = np.arange(130)
        monkeypatch.setattr(umap, "_SAMPLE_SIZE", 60)
        monkeypatch.setattr(umap, "_CELLS_PER_STEP", 50)
        projected = umap._principal_components(counts, cells, 1)
        sample = np.sort(np.random.RandomState(14).choice(cells, 60, replace=False))
        expected = pca.principal_components(standardise(counts[sample]), 30)
        np.testing.assert_allclose(projected[sample], expected, atol=1e-9 * np.abs(expected).max())
        # All others by the dense algebra.
        dense = preprocess.log2_cpm(counts).toarray()
        z = (dense - dense.mean(axis=1, keepdims=True)) / dense.std(axis=1, keepdims=True)
        z -= z[sample].mean(axis=0)
        loadings = z[sample].T @ expected / (expected**2).sum(axis=0)
        np.testing.assert_allclose(projected, z @ loadings, atol=1e-8 * np.abs(expected).max())

    @pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")
    def test_components_of_the_run_in_place_of_counts(self):
        counts = random_counts(150, 300)
        counts.data[counts.indptr[7] : counts.indptr[8]] = 0
        counts.eliminate_zeros()
        result = ct2.run(counts, genes=features())
        assert result.components.shape == (150, 30)
        assert np.flatnonzero(np.isnan(result.components).any(axis=1)).tolist() == [7]
        layout = umap.compute_umap(as_counts(counts), result.components)
        np.testing.assert_array_equal(
            layout.coordinates, umap.compute_umap(as_counts(counts)).coordinates
        )

    @pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")
    def test_a_run_of_several_batches_has_no_components_of_all(self):
        counts, genes = random_counts(240, 300), features()
        samples = np.repeat(["a", "b"], 120)
        assert ct2.run(counts, genes=genes, batches=samples).components is None
        assert ct2.run(counts[:99], genes=genes).components is None

    @pytest.mark.parametrize("layout", PACKAGES.values())
    def test_groups_far_apart_need_no_warning(self, layout):
        random = np.random.RandomState(0)
        # Nobody's nearest 15 are in another group; a warning would be an error here.
        components = np.vstack([random.normal(i * 1000, 1, (40, 30)) for i in range(8)])
        neighbors, distances = knn.nearest_neighbors(components)
        found = getattr(umap, layout)(components, neighbors[:, :15], distances[:, :15])
        assert np.isfinite(found).all()
        centres = found.reshape(8, 40, 2).mean(axis=1)
        nearest = np.linalg.norm(found[:, None] - centres, axis=2).argmin(axis=1)
        np.testing.assert_array_equal(nearest, np.repeat(np.arange(8), 40))

    def test_equal_cells_get_coordinates(self, package):
        rows = random_counts(2, 300)
        counts = csr_array(vstack([rows[[0] * 30], rows[[1] * 30]]))
        assert np.isfinite(umap.compute_umap(as_counts(counts)).coordinates).all()

    def test_keeps_like_cells_together(self, package):
        first, second = random_counts(60, 300, seed=1), random_counts(60, 300, seed=1)
        second = second[:, ::-1]
        counts = csr_array(vstack([first + first[[0] * 60], second + second[[0] * 60]]))
        counts.sort_indices()
        coordinates = umap.compute_umap(as_counts(counts)).coordinates
        centres = coordinates[:60].mean(axis=0), coordinates[60:].mean(axis=0)
        distance = [np.linalg.norm(coordinates - centre, axis=1) for centre in centres]
        assert ((distance[0] < distance[1]) == (np.arange(120) < 60)).all()

    def test_without_the_package(self, monkeypatch):
        monkeypatch.setattr(umap, "find_spec", lambda _: None)
        with pytest.raises(ct2.CytoTRACE2Error, match=r"^A UMAP needs scranpy or umap-learn: pip"):
            ct2.run(np.ones((3, 1)), genes=["Actb"], embedding="umap")

    def test_which_cells_are_left_out(self, monkeypatch):
        counts = random_counts(40, 300)
        counts.data[: counts.indptr[3]] = 0
        counts.eliminate_zeros()
        assert umap.left_out(as_counts(counts)) is None
        monkeypatch.setattr(umap, "MAX_CELLS", 37)
        assert umap.left_out(as_counts(counts)) is None  # three have no counts
        monkeypatch.setattr(umap, "MAX_CELLS", 36)
        assert str(umap.left_out(as_counts(counts))) == (
            "a random 36 of the 40 cells are in the UMAP plots; --embedding "
            "(embedding= in Python) can show all."
        )


@pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")
def test_run_warns_of_cells_that_are_left_out(ensembles, monkeypatch):
    values = np.random.RandomState(0).poisson(1, (40, 5)) + 1
    layout = Embedding(np.zeros((40, 2)), ("UMAP 1", "UMAP 2"))
    monkeypatch.setattr(umap, "MAX_CELLS", 36)
    monkeypatch.setattr("cytotrace2_lite.api.require_umap", lambda: None)
    monkeypatch.setattr("cytotrace2_lite.api.compute_umap", lambda *_, **__: layout)
    options = {"genes": ["Actb", "Gapdh", "Sox17", "Pou5f1", "Nanog"], "model": ensembles["1.1.0"]}
    message = (
        "a random 36 of the 40 cells are in the UMAP plots; --embedding (embedding= in Python)"
    )
    with pytest.warns(ct2.PlotWarning, match=f"^{re.escape(message)}") as caught:
        result = ct2.run(values, embedding="umap", **options)
    assert result.warnings[-1] is caught[-1].message
    assert caught[-1].filename == __file__
    assert result.embedding is layout
    plain = ct2.run(values, **options)
    assert not any(isinstance(warning, ct2.PlotWarning) for warning in plain.warnings)
