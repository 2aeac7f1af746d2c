"""An explanation in the AnnData that was explained, and the file of `--cells`."""

import warnings

import numpy as np
import pandas as pd
import pytest

import cytotrace2_lite as ct2

CELLS = ["c1", "c2", "c3", "c4"]
GENES = ["Actb", "Gapdh", "Unknown", "Sox17", "Pou5f1", "Nanog"]
VALUES = np.array(
    [[5, 0, 2, 30, 1, 0], [1, 2, 1, 0, 0, 9], [0, 0, 0, 0, 0, 0], [40, 3, 0, 1, 0, 2]]
)
KEY = "cytotrace2_shares"
pytestmark = [
    pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning"),
    pytest.mark.filterwarnings("ignore:.*(infer_string|chained_assignment)"),  # of anndata
]


class FakeAnnData:
    X = VALUES

    def __init__(self, genes=GENES, cells=CELLS):
        self.obs = pd.DataFrame({"group": list("aabb")[: len(cells)]}, index=cells)
        self.var = pd.DataFrame(index=genes)
        self.uns, self.layers, self.varm, self.obsm = {}, {}, {}, {}

    obs_names = property(lambda self: self.obs.index)
    var_names = property(lambda self: self.var.index)


@pytest.fixture(scope="module")
def explanation(ensembles):
    return ct2.explain(FakeAnnData(), groups="group", model=ensembles["1.1.0"])


def check(adata, explanation):
    """Everything is at its gene and its cell, and adds up as the shares do."""
    table = adata.varm[KEY]
    assert list(table.columns) == list(explanation.groups)
    position = {name: i for i, name in enumerate(explanation.genes) if name}
    for k, group in enumerate(explanation.groups):
        for gene in adata.var_names:
            share = explanation.mean_shares[k, position[gene]] if gene in position else 0
            assert table.loc[gene, group] == share
    shares = np.asarray(adata.layers[KEY])
    assert shares.dtype == np.float32
    expected = explanation.shares()
    for column, gene in enumerate(adata.var_names):
        own = expected[:, position[gene]] if gene in position else np.zeros(len(CELLS))
        np.testing.assert_array_equal(shares[:, column], own)
    # Genes that the input lacks have no place in it; they add what the reference has of them.
    lacking = expected[:, [i for i, name in enumerate(explanation.genes) if not name]].sum(axis=1)
    total = shares.sum(axis=1) + lacking + explanation.reference.score
    np.testing.assert_allclose(total, explanation.raw_score, rtol=0, atol=1e-6)


def test_means_and_shares_are_written(explanation):
    adata = FakeAnnData()
    explanation.to_anndata(adata)
    assert not adata.layers
    explanation.to_anndata(adata, layer=True)
    check(adata, explanation)
    made_by = adata.uns["cytotrace2_explanation"]
    assert (made_by["of"], made_by["reference"]) == ("score", "all")
    assert made_by["groups"].tolist() == list(explanation.groups)


def test_genes_named_by_a_column_of_var(ensembles):
    adata = FakeAnnData([f"ENSG{k}" for k in range(len(GENES))])
    adata.var["symbol"] = GENES
    explanation = ct2.explain(adata, groups="group", model=ensembles["1.1.0"])
    explanation.to_anndata(adata)
    genes = np.array(GENES)
    position = explanation.genes.index("Nanog")
    found = adata.varm[KEY].to_numpy()[genes == "Nanog"]
    np.testing.assert_array_equal(found[0], explanation.mean_shares[:, position])


def test_other_cells_or_genes(explanation):
    with pytest.raises(ct2.UsageError) as caught:
        explanation.to_anndata(FakeAnnData(cells=CELLS[::-1]))
    assert str(caught.value) == "the AnnData has other cells than those that were explained."
    with pytest.raises(ct2.UsageError, match=r"^the AnnData has none of the genes that were expl"):
        explanation.to_anndata(FakeAnnData(list("abcdef")))


def test_a_real_one_and_a_view_of_it(explanation, tmp_path):
    anndata = pytest.importorskip("anndata", reason="anndata is not installed")
    given = FakeAnnData()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        whole = anndata.AnnData(VALUES.astype(float), obs=given.obs, var=given.var)
        order = [5, 0, 1, 2, 3, 4]
        view = whole[:, order]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        explanation.to_anndata(view, layer=True)
    assert not view.is_view
    assert KEY not in whole.varm
    check(view, explanation)
    view.write_h5ad(tmp_path / "x.h5ad")
    check(anndata.read_h5ad(tmp_path / "x.h5ad"), explanation)
