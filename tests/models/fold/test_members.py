"""Reading members and control genes: what is refused, and how."""

import numpy as np
import pytest
from helpers import synthetic_ensemble, torch_format

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.genes import N_FEATURES
from cytotrace2_lite.models.fold.members import member_files, read_background, read_member


def test_members_are_in_natural_order(tmp_path):
    for number in range(1, 12):
        (tmp_path / f"model{number}.pt").touch()
    assert [path.name for path in member_files(tmp_path)] == [
        f"model{number}.pt" for number in range(1, 12)
    ]


def test_missing_members(tmp_path):
    with pytest.raises(ModelError, match="no such directory of ensemble members"):
        member_files(tmp_path / "none")
    with pytest.raises(ModelError, match="no ensemble member"):
        member_files(tmp_path)
    (tmp_path / "model1.pt").touch()
    (tmp_path / "model3.pt").touch()
    with pytest.raises(ModelError, match=r"member model2\.pt is missing\.$"):
        member_files(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("layers.3.out.bias"), "tensor layers.3.out.bias is missing."),
        (
            lambda s: s.pop("layers.0.weight"),
            "not an ensemble member: tensor layers.0.weight is missing.",
        ),
        (
            lambda s: s.update({"layers.0.weight": s["layers.0.weight"][:100]}),
            (
                "tensor layers.0.weight has shape (100, 24); ensemble members have "
                "(14271, number of gene sets)."
            ),
        ),
        (
            lambda s: s.update({"layers.0.weight": s["layers.0.weight"][:, :0]}),
            (
                "tensor layers.0.weight has shape (14271, 0); ensemble members have "
                "(14271, number of gene sets)."
            ),
        ),
        (
            lambda s: s.update({"layers.2.weight": s["layers.2.weight"][:, :9]}),
            "tensor layers.2.weight has shape (14271, 9), not (14271, 24).",
        ),
        (
            lambda s: s.update({"layers.5.out.weight": s["layers.5.out.weight"][:, :20]}),
            "tensor layers.5.out.weight has shape (1, 20), not (1, 48).",
        ),
        (
            lambda s: s["layers.2.weight"].__setitem__((3, 4), np.nan),
            "tensor layers.2.weight has values that are not finite.",
        ),
    ],
)
def test_unusable_members(tmp_path, change, message):
    state = synthetic_ensemble.member(0)
    change(state)
    path = torch_format.save(tmp_path / "model1.pt", state)
    with pytest.raises(ModelError) as caught:
        read_member(path)
    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("indices", "values", "shape", "message"),
    [
        ([[0], [1]], [1.0], (5, 5), "the background must be a sparse tensor of shape"),
        ([[0], [14271]], [1.0], (14271, 14271), "the background has indices outside 0 to 14270."),
        ([[0], [1]], [np.inf], (14271, 14271), "the background has values that are not finite."),
    ],
)
def test_unusable_background(tmp_path, indices, values, shape, message):
    path = torch_format.save_sparse(
        tmp_path / "background.pt", np.array(indices), np.array(values, np.float32), shape
    )
    with pytest.raises(ModelError) as caught:
        read_background(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_repeated_background_entries_add_up(tmp_path):
    indices = np.array([[3, 3, 0], [5, 5, 1]])
    path = torch_format.save_sparse(
        tmp_path / "background.pt", indices, np.ones(3, np.float32), (N_FEATURES, N_FEATURES)
    )
    background = read_background(path)
    assert background[3, 5] == 2
    assert background.sum() == 3
