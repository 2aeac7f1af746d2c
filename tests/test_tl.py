"""`ct2.tl`: run, called as scanpy's tools are."""

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest

import cytotrace2_lite as ct2

CELLS = ["c1", "c2", "c3", "c4"]
GENES = ["Actb", "Gapdh", "Sox17", "Pou5f1", "Nanog"]
VALUES = np.array([[5, 0, 30, 1, 0], [1, 2, 0, 0, 9], [0, 0, 0, 0, 0], [40, 3, 1, 0, 2]])
pytestmark = [
    pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning"),
    pytest.mark.filterwarnings("ignore:.*(infer_string|chained_assignment)"),  # of anndata
]


@pytest.fixture
def adata():
    anndata = pytest.importorskip("anndata", reason="anndata is not installed")
    return anndata.AnnData(
        VALUES.astype(float),
        obs=pd.DataFrame({"batch": list("xyxy")}, index=CELLS),
        var=pd.DataFrame(index=GENES),
    )


def test_it_has_the_arguments_of_run():
    tool, run = (inspect.signature(f).parameters for f in (ct2.tl.cytotrace2, ct2.run))
    # Of an AnnData, names and axes are known; plots have a place of their own; inplace is copy.
    without = {"data", "genes", "cells", "orientation", "embedding", "inplace"}
    assert set(tool) == (set(run) - without) | {"adata", "copy"}
    for name in set(tool) & set(run):
        assert tool[name] == run[name]


def test_it_writes_what_run_writes(adata, ensembles):
    expected = ct2.run(adata.copy(), model=ensembles["1.1.0"])
    assert ct2.tl.cytotrace2(adata, model=ensembles["1.1.0"], columns="CytoTRACE2_Score") is None
    np.testing.assert_array_equal(adata.obs["CytoTRACE2_Score"], expected.score)
    assert list(adata.obs) == ["batch", "CytoTRACE2_Score"]


def test_a_copy_leaves_the_given_object_as_it_is(adata, ensembles):
    copy = ct2.tl.cytotrace2(adata, model=ensembles["1.1.0"], copy=True, key_added="mine")
    assert type(copy) is type(adata)
    assert "mine_Score" in copy.obs
    assert list(adata.obs) == ["batch"]
    assert not adata.uns
    copy.X[0, 0] = 99
    assert adata.X[0, 0] == 5


def test_views_and_their_copies(adata, ensembles):
    view, other = adata[:2], adata[:, :4]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)  # anndata's own among them
        warnings.simplefilter("ignore", ct2.CytoTRACE2Warning)
        copy = ct2.tl.cytotrace2(view, model=ensembles["1.1.0"], copy=True)
        ct2.tl.cytotrace2(other, model=ensembles["1.1.0"])
    assert (view.is_view, copy.is_view, other.is_view) == (True, False, False)
    assert "CytoTRACE2_Score" not in view.obs
    assert "CytoTRACE2_Score" not in adata.obs
    assert {"CytoTRACE2_Score"} < set(copy.obs) & set(other.obs)


def test_the_copy_of_a_file_is_in_memory(adata, ensembles, tmp_path):
    anndata = pytest.importorskip("anndata")
    adata.write_h5ad(tmp_path / "x.h5ad")
    backed = anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")
    for given in (backed, backed[:3]):
        copy = ct2.tl.cytotrace2(given, model=ensembles["1.1.0"], copy=True)
        assert not copy.isbacked
        assert "CytoTRACE2_Score" in copy.obs
    backed.file.close()


def test_what_is_no_anndata():
    for data in (VALUES, "x.h5ad", None):
        with pytest.raises(ct2.UsageError) as caught:
            ct2.tl.cytotrace2(data)
        assert str(caught.value) == (
            f"tl.cytotrace2 takes an AnnData, not a {type(data).__name__}: ct2.run takes files, "
            "matrices and tables."
        )
