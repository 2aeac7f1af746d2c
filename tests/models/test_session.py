"""A model whose session is opened while something else is done."""

import onnx
import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models import session
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.models.sealed import seal


@pytest.fixture
def disconnected(exported, tmp_path):
    """A model that is whole, but that onnxruntime cannot load."""
    model = onnx.load_from_string(exported["1.0.0"][1])
    del model.metadata_props[-1]
    del model.graph.node[3]
    path = tmp_path / "disconnected.onnx"
    path.write_bytes(seal(model.SerializeToString()))
    return path


def test_what_is_known_without_a_session_is_there_at_once(disconnected):
    ensemble = Ensemble.opening(disconnected)
    assert ensemble.info.n_members
    with pytest.raises(ModelError, match="onnxruntime cannot load the model"):
        ensemble.wait()
    with pytest.raises(ModelError, match="onnxruntime cannot load the model"):
        ensemble.wait(if_open=True)


def test_not_to_wait(model_files, monkeypatch):
    class Opening:
        is_open = False

        def __init__(self, *_):
            pass

        def wait(self):
            raise AssertionError

    monkeypatch.setattr("cytotrace2_lite.models.ensemble.Session", Opening)
    Ensemble.opening(model_files["1.1.0"]).wait(if_open=True)


def test_nothing_is_scored_with_a_model_that_cannot_be_loaded(disconnected, tiny_table):
    with pytest.raises(ModelError, match="onnxruntime cannot load the model"):
        ct2.run(tiny_table(), model=disconnected)


def test_no_memory(monkeypatch, model_files):
    import onnxruntime

    def fail(*_, **__):
        raise RuntimeError("std::bad_alloc")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    path = model_files["1.1.0"]
    with pytest.raises(MemoryError, match="onnxruntime ran out of memory"):
        session.Session(path.read_bytes(), path).wait()
