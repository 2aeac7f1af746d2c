"""From a directory of members to a model."""

import shutil

import numpy as np
import pytest
from helpers import synthetic_ensemble, torch_format

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.genes import N_FEATURES
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.models.fold.export import export
from cytotrace2_lite.models.fold.members import member_version


def test_export_is_reproducible(members, exported):
    _, again = export(members["1.0.0"], name="made-up", n_members=3)
    assert again == exported["1.0.0"][1]


def test_version_is_found_out_from_the_tensors(exported):
    assert exported["1.1.0"][0].architecture == "1.1.0"
    assert exported["1.0.0"][0].architecture == "1.0.0"


def with_gene_sets(state, n_sets):
    """The same member with only the first gene sets of each network."""
    columns = np.r_[:n_sets, 24 : 24 + n_sets]  # of both scores
    pick = {
        "weight": lambda values: values[:, :n_sets],
        "batchnorm.running_mean": lambda values: values[columns],
        "batchnorm.running_var": lambda values: values[columns],
        "out.weight": lambda values: values[:, columns],
    }
    return {
        name: np.ascontiguousarray(pick.get(name.split(".", 2)[2], np.asarray)(values))
        for name, values in state.items()
    }


@pytest.mark.parametrize("n_sets", [1, 11, 12, 23])
def test_any_number_of_gene_sets(members, tmp_path, n_sets):
    # Dropped sets and sets that weigh nothing come to the same, if no dropped one is the largest.
    whole = synthetic_ensemble.member(0)
    for k in range(6):
        layer = f"layers.{k}."
        sizes = (whole[f"{layer}weight"] > 0).sum(axis=0)
        order = np.argsort(-sizes)
        whole[f"{layer}weight"] = whole[f"{layer}weight"][:, order]
        for name in ("batchnorm.running_mean", "batchnorm.running_var"):
            whole[layer + name] = whole[layer + name][np.r_[order, 24 + order]]
        whole[f"{layer}out.weight"] = whole[f"{layer}out.weight"][:, np.r_[order, 24 + order]]
        whole[f"{layer}out.weight"][0, n_sets:24] = 0
        whole[f"{layer}out.weight"][0, 24 + n_sets :] = 0
    (tmp_path / "whole").mkdir()
    (tmp_path / "few").mkdir()
    torch_format.save(tmp_path / "whole" / "model1.pt", whole)
    few = tmp_path / "few" / "model1.pt"
    torch_format.save(few, with_gene_sets(whole, n_sets))
    assert member_version(few) == ("1.0.0" if n_sets == 12 else "1.1.0")
    background = members["1.1.0"] / "background.pt"
    expected, content = export(tmp_path / "whole", background=background, n_members=1)
    found, content = export(
        tmp_path / "few",
        background=background,
        n_members=1,
        architecture="1.1.0" if n_sets == 12 else None,
    )
    assert found.architecture == "1.1.0"
    for name in ("threshold", "rank_weight", "second_weight", "bias"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-12
        )
    model = tmp_path / "few.onnx"
    model.write_bytes(content)
    assert Ensemble.load(model).info.architecture == "1.1.0"


def test_twelve_gene_sets_of_version_1_1_0_are_not_taken_for_others(members, tmp_path):
    path = tmp_path / "model1.pt"
    torch_format.save(path, with_gene_sets(synthetic_ensemble.member(0), 12))
    with pytest.raises(ModelError) as caught:
        export(tmp_path, n_members=1)
    assert str(caught.value) == (
        f"{path}: tensor layers.0.batchnorm.running_mean has a negative mean of a share of genes, "
        "so this is no member of version 1.0.0. If it was trained with control genes, say so: "
        "tools/export_onnx.py --architecture 1.1.0."
    )
    with pytest.raises(ModelError, match=r"background\.pt is neither in this directory"):
        export(tmp_path, n_members=1, architecture="1.1.0")


def test_control_genes_of_members_that_seem_to_need_none(members, tmp_path):
    background = members["1.1.0"] / "background.pt"
    folder = tmp_path / "trained"
    shutil.copytree(members["1.0.0"], folder)
    message = (
        f"{folder}: there are control genes (background.pt), but members with 12 gene sets, which "
        "seem to be of version 1.0.0 and would not use them. Say which they are: "
        "tools/export_onnx.py --architecture 1.1.0 or 1.0.0."
    )
    with pytest.raises(ModelError) as caught:
        export(folder, background=background, n_members=3)
    assert str(caught.value) == message
    shutil.copy(background, folder)
    with pytest.raises(ModelError) as caught:
        export(folder, n_members=3)
    assert str(caught.value) == message
    for version in ("1.1.0", "1.0.0"):
        folded, _ = export(folder, n_members=3, architecture=version)
        assert folded.architecture == version


def test_members_of_version_1_1_0_are_not_of_1_0_0(members):
    path = members["1.1.0"] / "model1.pt"
    with pytest.raises(ModelError) as caught:
        export(members["1.1.0"], n_members=3, architecture="1.0.0")
    assert str(caught.value) == f"{path}: more or fewer gene sets than the 12 of version 1.0.0."


def test_members_of_different_numbers_of_gene_sets(members, tmp_path):
    torch_format.save(tmp_path / "model1.pt", synthetic_ensemble.member(0))
    torch_format.save(tmp_path / "model2.pt", with_gene_sets(synthetic_ensemble.member(1), 16))
    folded, _ = export(tmp_path, background=members["1.1.0"] / "background.pt", n_members=2)
    assert folded.rank_weight.shape == (N_FEATURES, 12)


def test_background_is_found_in_the_parent(members, tmp_path):
    inner = tmp_path / "models"
    shutil.copytree(members["1.1.0"], inner)
    shutil.move(inner / "background.pt", tmp_path / "background.pt")
    folded, _ = export(inner, n_members=3)
    assert folded.rank_weight.shape == (N_FEATURES, 18)
    (tmp_path / "background.pt").unlink()
    with pytest.raises(ModelError) as caught:
        export(inner, n_members=3)
    assert str(caught.value) == (
        f"{inner}: background.pt is neither in this directory nor in its parent; members of "
        "version 1.1.0 need it. Pass --background FILE."
    )


def test_another_number_of_members(members):
    with pytest.raises(ModelError, match=r"3 members, not 19\..*pass --members 3\.$"):
        export(members["1.1.0"])
    with pytest.raises(ModelError, match=r"3 members, not 17\."):
        export(members["1.0.0"])


def test_mixed_versions(members, tmp_path):
    torch_format.save(tmp_path / "model1.pt", synthetic_ensemble.member(0))
    torch_format.save(tmp_path / "model2.pt", synthetic_ensemble.member(0, "1.0.0"))
    with pytest.raises(ModelError, match=r"model2\.pt: a member of version 1\.0\.0 among"):
        export(tmp_path, n_members=2, background=members["1.1.0"] / "background.pt")
