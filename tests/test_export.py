"""Members to model: what is folded, what is refused, what the file says of itself."""

import json
import shutil

import numpy as np
import onnxruntime
import pytest
import synthetic_ensemble
import torch_format

from cytotrace2_lite.errors import CytoTRACE2Error, ModelError
from cytotrace2_lite.genes import N_FEATURES, features
from cytotrace2_lite.models.catalog import read_model, seal
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.models.fold import export as exporter


def one_member(tmp_path, change, version="1.1.0"):
    state = synthetic_ensemble.member(0, version)
    change(state)
    return torch_format.save(tmp_path / "model1.pt", state)


def test_model_describes_itself(model_files):
    session = onnxruntime.InferenceSession(
        read_model(model_files["1.1.0"]), providers=["CPUExecutionProvider"]
    )
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["name"] == "made-up"
    assert metadata["architecture"] == "1.1.0"
    assert metadata["n_members"] == "3"
    assert metadata["features"].split("\n") == list(features())
    names = [source["name"] for source in json.loads(metadata["sources"])]
    assert names == ["model1.pt", "model2.pt", "model3.pt", "background.pt"]
    shapes = {tensor.name: tensor.shape for tensor in session.get_inputs()}
    assert shapes["log2_cpm"] == ["cells", N_FEATURES]


def test_export_is_reproducible(members, exported):
    _, again = exporter.export(members["1.0.0"], name="made-up", n_members=3)
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
    assert exporter.member_version(few) == ("1.0.0" if n_sets == 12 else "1.1.0")
    background = members["1.1.0"] / "background.pt"
    expected, content = exporter.export(tmp_path / "whole", background=background, n_members=1)
    found, content = exporter.export(
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
        exporter.export(tmp_path, n_members=1)
    assert str(caught.value) == (
        f"{path}: tensor layers.0.batchnorm.running_mean has a negative mean of a share of genes, "
        "so this is no member of version 1.0.0. If it was trained with control genes, say so: "
        "tools/export_onnx.py --architecture 1.1.0."
    )
    with pytest.raises(ModelError, match=r"background\.pt is neither in this directory"):
        exporter.export(tmp_path, n_members=1, architecture="1.1.0")


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
        exporter.export(folder, background=background, n_members=3)
    assert str(caught.value) == message
    shutil.copy(background, folder)
    with pytest.raises(ModelError) as caught:
        exporter.export(folder, n_members=3)
    assert str(caught.value) == message
    for version in ("1.1.0", "1.0.0"):
        folded, _ = exporter.export(folder, n_members=3, architecture=version)
        assert folded.architecture == version


def test_members_of_version_1_1_0_are_not_of_1_0_0(members):
    path = members["1.1.0"] / "model1.pt"
    with pytest.raises(ModelError) as caught:
        exporter.export(members["1.1.0"], n_members=3, architecture="1.0.0")
    assert str(caught.value) == f"{path}: more or fewer gene sets than the 12 of version 1.0.0."


def test_members_of_different_numbers_of_gene_sets(members, tmp_path):
    torch_format.save(tmp_path / "model1.pt", synthetic_ensemble.member(0))
    torch_format.save(tmp_path / "model2.pt", with_gene_sets(synthetic_ensemble.member(1), 16))
    folded, _ = exporter.export(
        tmp_path, background=members["1.1.0"] / "background.pt", n_members=2
    )
    assert folded.rank_weight.shape == (N_FEATURES, 12)


def test_background_is_found_in_the_parent(members, tmp_path):
    inner = tmp_path / "models"
    shutil.copytree(members["1.1.0"], inner)
    shutil.move(inner / "background.pt", tmp_path / "background.pt")
    folded, _ = exporter.export(inner, n_members=3)
    assert folded.rank_weight.shape == (N_FEATURES, 18)
    (tmp_path / "background.pt").unlink()
    with pytest.raises(ModelError) as caught:
        exporter.export(inner, n_members=3)
    assert str(caught.value) == (
        f"{inner}: background.pt is neither in this directory nor in its parent; members of "
        "version 1.1.0 need it. Pass --background FILE."
    )


def test_members_are_in_natural_order(tmp_path):
    for number in range(1, 12):
        (tmp_path / f"model{number}.pt").touch()
    assert [path.name for path in exporter.member_files(tmp_path)] == [
        f"model{number}.pt" for number in range(1, 12)
    ]


def test_missing_members(members, tmp_path):
    with pytest.raises(ModelError, match="no such directory of ensemble members"):
        exporter.member_files(tmp_path / "none")
    with pytest.raises(ModelError, match="no ensemble member"):
        exporter.member_files(tmp_path)
    with pytest.raises(ModelError, match=r"3 members, not 19\..*pass --members 3\.$"):
        exporter.export(members["1.1.0"])
    with pytest.raises(ModelError, match=r"3 members, not 17\."):
        exporter.export(members["1.0.0"])
    (tmp_path / "model1.pt").touch()
    (tmp_path / "model3.pt").touch()
    with pytest.raises(ModelError, match=r"member model2\.pt is missing\.$"):
        exporter.member_files(tmp_path)


def test_mixed_versions(members, tmp_path):
    torch_format.save(tmp_path / "model1.pt", synthetic_ensemble.member(0))
    torch_format.save(tmp_path / "model2.pt", synthetic_ensemble.member(0, "1.0.0"))
    with pytest.raises(ModelError, match=r"model2\.pt: a member of version 1\.0\.0 among"):
        exporter.export(tmp_path, n_members=2, background=members["1.1.0"] / "background.pt")


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
    path = one_member(tmp_path, change)
    with pytest.raises(ModelError) as caught:
        exporter.read_member(path)
    assert str(caught.value) == f"{path}: {message}"


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
    path = one_member(tmp_path, change, "1.0.0")
    with pytest.raises(ModelError) as caught:
        exporter.export(tmp_path, n_members=1)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_gene_set_without_control_genes(members):
    from scipy.sparse import csr_array

    _, state = exporter.read_member(members["1.1.0"] / "model1.pt")
    with pytest.raises(ModelError, match=r"gene set 0 of layers\.0 has no control gene\.$"):
        exporter.fold_member(state, csr_array((N_FEATURES, N_FEATURES)))


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
        exporter.read_background(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_repeated_background_entries_add_up(tmp_path):
    indices = np.array([[3, 3, 0], [5, 5, 1]])
    path = torch_format.save_sparse(
        tmp_path / "background.pt", indices, np.ones(3, np.float32), (N_FEATURES, N_FEATURES)
    )
    background = exporter.read_background(path)
    assert background[3, 5] == 2
    assert background.sum() == 3


def test_without_onnx(exported, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(CytoTRACE2Error, match=r"pip install 'cytotrace2-lite\[export\]'$"):
        exporter.to_onnx(exported["1.0.0"][0], {})


def test_seal_is_a_valid_onnx_entry(exported):
    import onnx

    model = onnx.load_from_string(exported["1.0.0"][1])
    entry = model.metadata_props[-1]
    assert entry.key == "cytotrace2_lite.sha256"
    assert seal(exported["1.0.0"][1][: -len(seal(b""))]) == exported["1.0.0"][1]
    assert len(entry.value) == 64
