"""What a model file says of itself."""

import json
import sys

import onnxruntime
import pytest

from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.genes import N_FEATURES, features
from cytotrace2_lite.models.fold.graph import to_onnx
from cytotrace2_lite.models.sealed import read_model, seal


def test_model_describes_itself(model_files):
    session = onnxruntime.InferenceSession(
        read_model(model_files["1.1.0"]).content, providers=["CPUExecutionProvider"]
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


def test_without_onnx(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CytoTRACE2Error, match=r"pip install 'cytotrace2-lite\[export\]'$"):
        to_onnx(exported["1.0.0"][0], {})


def test_seal_is_a_valid_onnx_entry(exported):
    import onnx

    model = onnx.load_from_string(exported["1.0.0"][1])
    entry = model.metadata_props[-1]
    assert entry.key == "cytotrace2_lite.sha256"
    assert seal(exported["1.0.0"][1][: -len(seal(b""))]) == exported["1.0.0"][1]
    assert len(entry.value) == 64
