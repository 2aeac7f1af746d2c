"""Targets of models: members as PyTorch files, pickles in them, and model files."""

import io
import tempfile
from pathlib import Path

import numpy as np
from fuzz.checks import GENES, ours
from helpers import torch_format

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.models import onnx_file
from cytotrace2_lite.models.catalog import describe
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.models.fold.torch_file import SparseTensor, Tensor, TorchFile
from cytotrace2_lite.models.sealed import seal


def run_torch(data, folder):
    path = folder / "model.pt"
    path.write_bytes(data)
    with ours(), TorchFile(path) as file:
        content = file.content
        tensors = content.values() if isinstance(content, dict) else [content]
        for tensor in tensors:
            for part in (
                [tensor.indices, tensor.values] if isinstance(tensor, SparseTensor) else [tensor]
            ):
                assert isinstance(part, Tensor)
                # A view may repeat its values: so many are of no ensemble, and tests are short.
                if np.prod(part.shape, dtype=float) < 1e6:
                    assert file.read(part).shape == part.shape


def torch_seeds():
    seeds = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.pt")
        state = {
            "a.weight": np.arange(6, dtype="f4").reshape(2, 3),
            "n": np.array(3, "i8"),
            "bias": np.zeros(2, "f8"),
        }
        torch_format.save(path, state)
        seeds.append(path.read_bytes())
        indices = np.array([[0, 1], [1, 0]])
        torch_format.save_sparse(path, indices, np.ones(2, "f4"), (2, 2))
        seeds.append(path.read_bytes())
    return seeds


def run_pickle(data, folder):
    """The pickle of a PyTorch file alone, in an archive that is sound."""
    path = folder / "model.pt"
    arrays = (np.arange(6, dtype="f4"), np.array([3]), np.zeros(2))
    torch_format.write_archive(path, data, arrays)
    run_torch(path.read_bytes(), folder)


def pickle_seeds():
    import zipfile

    return [zipfile.ZipFile(io.BytesIO(seed)).read("archive/data.pkl") for seed in torch_seeds()]


def small_model():
    """A sound model of no ensemble: what is in a model file, with a handful of genes."""
    from onnx import TensorProto, helper

    shapes = {"gene": ("cell", "expressed"), "rank": ("cell", "expressed")}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in shapes
    ]
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ("cell", 6))
    weights = helper.make_tensor("w", TensorProto.FLOAT, (3, 6), np.arange(18.0))
    nodes = [
        helper.make_node("Relu", ["rank"], ["positive"]),
        helper.make_node("MatMul", ["positive", "w"], ["product"]),
        helper.make_node("Softmax", ["product"], ["probabilities"], axis=-1),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "model", inputs, [output], [weights]),
        opset_imports=[helper.make_opsetid("", onnx_file.OPSET)],
        ir_version=9,
    )
    entries = {
        "name": "small",
        "licence": "none",
        "architecture": "1.1.0",
        "n_members": "3",
        "sources": "[]",
        "potencies": "\n".join(POTENCIES),
        "max_rank": "100.0",
        "check_scores": "[0.5]",
        "features": "\n".join(GENES),
    }
    helper.set_model_props(model, entries)
    return model.SerializeToString()


def run_onnx(data, folder):
    path = folder / "model.onnx"
    for content in (data, seal(data)):
        path.write_bytes(content)
        described = describe(path)
        assert isinstance(described.problem, str)
        with ours():
            onnx_file.verify_graph(content)
        with ours():
            Ensemble.load(path)
