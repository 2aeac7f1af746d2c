"""`ct2.pl`: plots of what is in the obs and obsm of an AnnData."""

import io

import numpy as np
import pandas as pd
import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite import pl
from cytotrace2_lite.metadata.coordinates import Embedding
from cytotrace2_lite.output.anndata import annotate

pytest.importorskip("matplotlib", reason="the extra plot is not installed")

GENES = ["Actb", "Gapdh", "Sox17", "Pou5f1", "Nanog"]
CELLS = [f"c{i}" for i in range(40)]
VALUES = np.random.RandomState(0).poisson(2, (40, 5))
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")


class FakeAnnData:
    X = VALUES

    def __init__(self):
        self.obs = pd.DataFrame({"cluster": list("xyzx") * 10}, index=CELLS)
        self.obs["cluster"] = self.obs["cluster"].astype("category")
        self.var = pd.DataFrame(index=GENES)
        self.uns, self.layers = {}, {}
        self.obsm = {"X_umap": VALUES[:, :2] * 1.0, "spatial": VALUES[:, 2:4] * 1.0}

    obs_names = property(lambda self: self.obs.index)


@pytest.fixture(scope="module")
def result(ensembles):
    return ct2.run(VALUES, genes=GENES, cells=CELLS, model=ensembles["1.1.0"])


@pytest.fixture
def adata(result):
    adata = FakeAnnData()
    annotate(adata, result)
    return adata


def picture(axes):
    content = io.BytesIO()
    axes.figure.savefig(content, format="png", dpi=50)
    return content.getvalue()


@pytest.mark.parametrize("name", ["potency_category", "potency_score", "relative_order"])
def test_the_same_picture_as_of_the_result(adata, result, name):
    layout = Embedding(adata.obsm["X_umap"], ("UMAP 1", "UMAP 2"))
    drawn = getattr(pl, name)(adata)
    assert drawn.get_title() == f"{name.replace('_', ' ').capitalize()} (made-up model)"
    assert picture(drawn) == picture(getattr(result.plot, name)(embedding=layout))


def test_by_phenotype(adata, result):
    expected = picture(result.plot.potency_by_phenotype(adata.obs["cluster"]))
    assert picture(pl.potency_by_phenotype(adata, "cluster")) == expected
    assert pl.phenotype(adata, "cluster", basis="spatial").get_xlabel() == "SPATIAL 1"
    for name in ("violins_by_phenotype", "composition"):
        expected = picture(getattr(result.plot, name)(adata.obs["cluster"]))
        assert picture(getattr(pl, name)(adata, "cluster")) == expected


def test_figures_of_several_plots(adata, result):
    panel = pl.panel(adata, "cluster")
    assert [ax.get_title().partition(" (")[0] for ax in panel.axes if ax.get_title()] == [
        *("Potency category", "Potency score", "Relative order", "Phenotype"),
        *("Potency by phenotype", *["Developmental potential by phenotype"] * 2),
    ]
    bars, violins = pl.samples(adata, "cluster").axes
    for ax in (bars, violins):
        assert [text.get_text() for text in ax.get_yticklabels()] == ["x", "y", "z"]


def test_another_key_and_axes_of_the_caller(result):
    from matplotlib.figure import Figure

    adata = FakeAnnData()
    annotate(adata, result, key_added="mine", columns=["CytoTRACE2_Score"])
    ax = Figure().add_subplot()
    assert pl.potency_score(adata, key="mine", ax=ax) is ax
    assert pl.potency_by_phenotype(adata, "cluster", key="mine").get_xlabel() == "Potency score"


def test_what_is_missing(adata):
    for call, message in (
        (
            lambda: pl.potency_score(FakeAnnData()),
            "obs has no column 'CytoTRACE2_Score': run ct2.tl.cytotrace2(adata) first, with",
        ),
        (
            lambda: pl.potency_category(adata, basis="tsne"),
            "obsm has no array 'X_tsne'. Its arrays are 'X_umap', 'spatial'.",
        ),
        (
            lambda: pl.potency_by_phenotype(adata, "none"),
            "obs has no column 'none'. Its columns are 'cluster', 'CytoTRACE2_Score'",
        ),
        (
            lambda: pl.phenotype(VALUES, "cluster"),
            "ct2.pl draws what is in an AnnData, not a ndarray.",
        ),
    ):
        with pytest.raises(ct2.UsageError) as caught:
            call()
        assert str(caught.value).startswith(message)
