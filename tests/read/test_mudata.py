"""MuData objects: the modality of gene expression is scored, and gets the results."""

import numpy as np
import pandas as pd
import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.read.mudata import anndata_of, is_mudata

CELLS = ["c1", "c2", "c3", "c4"]
GENES = ["Actb", "Gapdh", "Sox17", "Pou5f1", "Nanog"]
VALUES = np.array([[5, 0, 30, 1, 0], [1, 2, 0, 0, 9], [0, 0, 0, 0, 0], [40, 3, 1, 0, 2]])
pytestmark = [
    pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning"),
    pytest.mark.filterwarnings("ignore:.*(infer_string|chained_assignment)"),  # of anndata
]


class FakeAnnData:
    X = VALUES

    def __init__(self):
        self.obs = pd.DataFrame({"batch": list("xyxy")}, index=CELLS)
        self.var = pd.DataFrame(index=GENES)
        self.uns, self.layers, self.obsm = {}, {}, {"X_umap": np.arange(8.0).reshape(4, 2)}

    obs_names = property(lambda self: self.obs.index)


class FakeMuData:
    def __init__(self, *names):
        self._mod = {name: FakeAnnData() for name in names}
        self.obs = pd.DataFrame(index=CELLS)

    mod = property(lambda self: self._mod)
    obs_names = property(lambda self: self.obs.index)


def test_the_modality_rna_is_scored_and_annotated(ensembles):
    data = FakeMuData("prot", "rna")
    options = {"batches": "batch", "embedding": "X_umap", "model": ensembles["1.1.0"]}
    result = ct2.run(data, **options)
    alone = ct2.run(FakeAnnData(), **options)
    np.testing.assert_array_equal(result.score, alone.score)
    np.testing.assert_array_equal(data.mod["rna"].obs["CytoTRACE2_Score"], alone.score)
    assert list(data.mod["prot"].obs) == ["batch"]
    assert list(data.obs) == []
    read = result.info["input"]
    assert (read["format"], read["matrix"]) == ("MuData", "X of mod['rna']")
    assert tuple(read["other_matrices"]) == ("mod['prot']",)


@pytest.mark.parametrize("names", [("RNA", "prot"), ("airr", "gex"), ("rna", "RNA")])
def test_other_names_of_it(names):
    data = FakeMuData(*names)
    assert is_mudata(data)
    expected = "rna" if "rna" in names else next(n for n in names if n in {"RNA", "gex"})
    assert anndata_of(data) is data.mod[expected]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("atac", "prot"), "this MuData has no modality 'rna'; it has 'atac', 'prot'."),
        ((), "this MuData has no modality 'rna'; it is empty."),
        (("RNA", "gex"), "this MuData has several modalities for 'rna': 'RNA', 'gex'."),
    ],
)
@pytest.mark.parametrize("function", [ct2.run, ct2.check, ct2.explain, ct2.tl.cytotrace2])
def test_none_or_several(function, names, message):
    with pytest.raises(ct2.InputError) as caught:
        function(FakeMuData(*names))
    assert str(caught.value) == f'{message} Pass the one with the counts of genes, mdata["NAME"].'


def test_what_is_no_mudata():
    for data in (VALUES, FakeAnnData(), None, "file.h5mu"):
        assert not is_mudata(data)
    assert anndata_of(VALUES) is None


@pytest.mark.filterwarnings("ignore:::mudata", "ignore::FutureWarning", "ignore::UserWarning")
def test_a_real_one(ensembles):
    anndata, mudata = pytest.importorskip("anndata"), pytest.importorskip("mudata")
    rna = anndata.AnnData(VALUES * 1.0, pd.DataFrame(index=CELLS), pd.DataFrame(index=GENES))
    atac = anndata.AnnData(np.ones((4, 2)), pd.DataFrame(index=CELLS))
    data = mudata.MuData({"rna": rna, "atac": atac})
    copy = ct2.tl.cytotrace2(data, model=ensembles["1.1.0"], copy=True)
    assert isinstance(copy, mudata.MuData)
    assert "CytoTRACE2_Score" in copy["rna"].obs
    assert "CytoTRACE2_Score" not in data["rna"].obs
