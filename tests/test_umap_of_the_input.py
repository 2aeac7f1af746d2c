"""Plots are drawn at the UMAP that a `.h5ad` brings, where nothing else is asked."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.directory import score_to_directory

DATA = Path(__file__).parent / "data"
h5py = pytest.importorskip("h5py")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "in.h5ad"
    shutil.copy(DATA / "anndata_0.12.19.h5ad", path)
    with h5py.File(path, "r+") as file:
        if "obsm/X_umap" in file:
            del file["obsm/X_umap"]
        file["obsm/X_umap"] = np.arange(12.0).reshape(4, 3)
    return path


def score(path, out, ensembles, **options):
    scored = score_to_directory(path, out, RunOptions(model=ensembles["1.1.0"]), **options)
    return scored, json.loads((out / "run.json").read_text())


def test_by_default(path, tmp_path, ensembles):
    scored, report = score(path, tmp_path / "out", ensembles)
    np.testing.assert_array_equal(
        scored.result.embedding.coordinates, np.arange(12.0).reshape(4, 3)[:, :2]
    )
    assert report["embedding"] == "X_umap"
    (note,) = (found for found in report["findings"] if found["code"] == "coordinates")
    assert note["what"] == "plots are drawn at obsm['X_umap'] of the input"


@pytest.mark.parametrize("options", [{"embedding": "umap"}, {"keep_counts": False}])
def test_not_where_something_else_is_asked(path, tmp_path, ensembles, options):
    scored, report = score(path, tmp_path / "out", ensembles, **options)
    assert scored.result.embedding is None
    assert "embedding" not in report


@pytest.mark.parametrize("values", [np.ones((4, 1)), None])
def test_not_where_it_cannot_be_drawn(path, tmp_path, ensembles, values):
    with h5py.File(path, "r+") as file:
        del file["obsm/X_umap"]
        if values is not None:
            file["obsm/X_umap"] = values
    scored, _ = score(path, tmp_path / "out", ensembles)
    assert scored.result.embedding is None
