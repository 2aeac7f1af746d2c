"""Networks that cannot be folded."""

import pytest
from helpers import synthetic_ensemble, torch_format

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.genes import N_FEATURES
from cytotrace2_lite.models.fold.export import fold_members
from cytotrace2_lite.models.fold.folded import fold_member
from cytotrace2_lite.models.fold.members import read_member


def test_gene_set_without_control_genes(members):
    from scipy.sparse import csr_array

    _, state = read_member(members["1.1.0"] / "model1.pt")
    with pytest.raises(ModelError, match=r"gene set 0 of layers\.0 has no control gene\.$"):
        fold_member(state, csr_array((N_FEATURES, N_FEATURES)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s["layers.1.weight"][:, 7].__isub__(10),
            "gene set 7 of layers.1 is empty.",
        ),
        (
            lambda s: s["layers.4.maxrank"].__iadd__(8),
            "layers.4 counts ranks up to",
        ),
        (
            lambda s: s["layers.0.batchnorm.running_var"].__isub__(100),
            "tensor layers.0.batchnorm.running_var has a negative value.",
        ),
    ],
)
def test_networks_that_cannot_be_folded(tmp_path, change, message):
    state = synthetic_ensemble.member(0, "1.0.0")
    change(state)
    path = torch_format.save(tmp_path / "model1.pt", state)
    with pytest.raises(ModelError) as caught:
        fold_members([path], "1.0.0", None)
    assert str(caught.value).startswith(f"{path}: {message}")
