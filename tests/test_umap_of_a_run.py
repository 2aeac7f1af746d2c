"""The UMAP of a run: what is kept for it, and where it is written."""

import shutil

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("h5py")

import h5py

import cytotrace2_lite as ct2
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.directory import score_to_directory
from cytotrace2_lite.metadata.coordinates import read_embedding
from cytotrace2_lite.plots import umap, write_plots

if not umap.is_installed():
    pytest.skip("neither scranpy nor umap-learn is installed", allow_module_level=True)


@pytest.fixture
def path(tmp_path):
    """120 cells in a file that has coordinates of an earlier run."""
    path = tmp_path / "in.h5ad"
    values = np.random.RandomState(0).poisson(1.0, (120, 300)).astype(np.float32)
    text = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        file["X"] = values
        file["X"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        names = {"obs": [f"c{k}" for k in range(120)], "var": ct2.genes.features()[:300]}
        for name, index in names.items():
            group = file.create_group(name)
            group.create_dataset("_index", data=index, dtype=text)
            group["_index"].attrs.update(
                {"encoding-type": "string-array", "encoding-version": "0.2.0"}
            )
            group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0"})
            group.attrs["_index"] = "_index"
            group.attrs.create("column-order", [], dtype=text)
        file["obsm/X_cytotrace2_umap"] = np.zeros((120, 2))
        file["obsm/X_pca"] = values[:, :3]
    return path


def score(path, ensembles, tmp_path, **options):
    return score_to_directory(
        path, tmp_path / "out", RunOptions(model=ensembles["1.1.0"]), **options
    )


@pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")
def test_one_batch_keeps_no_counts(path, ensembles, tmp_path):
    scored = score(path, ensembles, tmp_path)
    assert scored.counts.n_bytes == 0
    layout = umap.compute_umap(scored.counts, scored.result.components)
    assert np.isfinite(layout.coordinates).all()
    of_api = ct2.run(path, model=ensembles["1.1.0"], embedding="umap")
    np.testing.assert_array_equal(of_api.embedding.coordinates, layout.coordinates)


def test_several_batches_keep_them(ensembles, tmp_path, path, monkeypatch):
    monkeypatch.setattr("cytotrace2_lite.pipeline.MIN_CELLS_FOR_BATCHES", 100)
    model = RunOptions(model=ensembles["1.1.0"], batch_size=100)
    scored = score_to_directory(path, tmp_path / "out", model)
    assert scored.result.components is None
    assert scored.counts.n_bytes > 0


def test_a_copy_of_the_input_has_it(path, ensembles, tmp_path):
    scored = score(path, ensembles, tmp_path, write_h5ad=tmp_path / "copy.h5ad")
    paths, problems = write_plots(
        scored.result, scored.counts, None, tmp_path / "out", computed=scored.umap
    )
    assert (len(paths), problems) == (3, [])
    written, _ = read_embedding(tmp_path / "out" / "cytotrace2_umap.tsv")
    with h5py.File(tmp_path / "copy.h5ad") as file:
        item = file["obsm/X_cytotrace2_umap"]
        np.testing.assert_array_equal(item[()], scored.umap.coordinates)
        np.testing.assert_allclose(item[()], list(written.values()), atol=1e-5)
        assert dict(item.attrs) == {"encoding-type": "array", "encoding-version": "0.2.0"}
        assert "X_pca" in file["obsm"]


def test_without_one_that_of_an_earlier_run_goes(path, ensembles, tmp_path, monkeypatch):
    score(path, ensembles, tmp_path, write_h5ad=tmp_path / "copy.h5ad", keep_counts=False)
    monkeypatch.setattr(umap, "compute_umap", lambda *_, **__: 1 / 0)
    shutil.copy(path, tmp_path / "second.h5ad")
    scored = score(
        tmp_path / "second.h5ad", ensembles, tmp_path, write_h5ad=tmp_path / "copy_2.h5ad"
    )
    assert scored.umap is None
    for name in ("copy.h5ad", "copy_2.h5ad"):
        with h5py.File(tmp_path / name) as file:
            assert list(file["obsm"]) == ["X_pca"]
