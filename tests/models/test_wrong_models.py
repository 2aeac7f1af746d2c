"""Models that cannot be used: the exact message of each."""

import pytest
from helpers.wrong_inputs import CASE, TABLE

from cytotrace2_lite.models.sealed import seal

CASES = [
    pytest.param(
        {"t": TABLE},
        "check t -m none.onnx",
        5,
        (
            "none.onnx: no such model. Give the path of an .onnx file written by "
            "tools/export_onnx.py, or 'open' for the bundled model."
        ),
        id="no model",
    ),
    pytest.param(
        {"t": TABLE},
        "check t -m none",
        5,
        (
            "none: no such model. Give the path of an .onnx file written by tools/export_onnx.py, "
            "or 'open' for the bundled model."
        ),
        id="no model of the name",
    ),
    pytest.param(
        {"t": TABLE, "m.onnx": b"x"},
        "check t -m ./m.onnx",
        5,
        (
            "m.onnx: not a cytotrace2_lite model, or truncated (1 bytes). Copy the file again, or "
            "export it anew with tools/export_onnx.py."
        ),
        id="text for a model",
    ),
    pytest.param(
        {"t": TABLE, "m.onnx": seal(b"x").replace(b"x", b"y", 1)},
        "check t -m ./m.onnx",
        5,
        (
            "m.onnx: the model was altered after it was written (its SHA-256 does not match). Copy "
            "the file again, or export it anew with tools/export_onnx.py."
        ),
        id="an altered model",
    ),
    pytest.param(
        {"t": TABLE, "m.onnx": seal(b"")},
        "check t -m ./m.onnx",
        5,
        "m.onnx: the model does not describe itself as this version expects. Copy the file again, "
        "or export it anew with tools/export_onnx.py.",
        id="a model of nothing",
    ),
    pytest.param(
        {"t": TABLE, "m.onnx": seal(b"\xff" * 9)},
        "check t -m ./m.onnx",
        5,
        "m.onnx: the file is damaged or is no ONNX model.",
        id="bytes for a model",
    ),
]


@pytest.mark.parametrize(CASE, CASES)
def test_message(refusals, files, words, code, message):
    refusals.check(files, words, code, message)


def test_there_are_many():
    assert len(CASES) >= 6
