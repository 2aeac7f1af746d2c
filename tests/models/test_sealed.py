"""A model file that lost or changed a byte is refused."""

import numpy as np
import pytest

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.models.sealed import read_model


def test_every_single_byte_counts(exported, tmp_path):
    content = exported["1.0.0"][1]
    path = tmp_path / "model.onnx"
    for at in [*np.linspace(0, len(content) - 200, 20).astype(int), *range(-100, 0)]:
        altered = bytearray(content)
        altered[at] ^= 1
        path.write_bytes(altered)
        with pytest.raises(ModelError, match=r"altered|not a cytotrace2_lite model"):
            read_model(path)


def test_truncated(exported, tmp_path):
    content = exported["1.0.0"][1]
    path = tmp_path / "model.onnx"
    for length in (0, 1, 50, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError) as caught:
            Ensemble.load(path)
        assert str(caught.value) == (
            f"{path}: not a cytotrace2_lite model, or truncated ({length} bytes). "
            "Copy the file again, or export it anew with tools/export_onnx.py."
        )


def test_altered(exported, tmp_path):
    content = bytearray(exported["1.0.0"][1])
    content[len(content) // 2] ^= 255
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        Ensemble.load(path)
    assert str(caught.value) == (
        f"{path}: the model was altered after it was written (its SHA-256 does not match). "
        "Copy the file again, or export it anew with tools/export_onnx.py."
    )


def test_unreadable(tmp_path):
    with pytest.raises(ModelError, match="cannot read the model"):
        read_model(tmp_path)
