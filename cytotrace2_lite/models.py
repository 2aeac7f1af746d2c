"""Find model files and make sure they are whole.

A model is one `.onnx` file whose last bytes are a metadata entry with the SHA-256 of all bytes
before it. Protocol-buffer messages may be continued by appending, so the file stays valid ONNX; a
truncated or altered one no longer ends in its own digest.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cytotrace2_lite.errors import ModelError

__all__ = ["BUNDLED_MODEL", "find_model", "read_model", "seal"]

BUNDLED_MODEL = "open"

_DIGEST_KEY = b"cytotrace2_lite.sha256"
# ModelProto.metadata_props is field 14 (tag 0x72), its key field 1 (0x0a), its value 2 (0x12).
_TRAILER_HEAD = (
    bytes([0x72, 4 + len(_DIGEST_KEY) + 64, 0x0A, len(_DIGEST_KEY)])
    + _DIGEST_KEY
    + bytes([0x12, 64])
)


def seal(body: bytes) -> bytes:
    """Append to a serialised ONNX model the digest that `read_model` checks.

    Parameters
    ----------
    body
        A serialised `onnx.ModelProto`.

    Returns
    -------
    bytes
        The content of a model file.
    """
    return body + _TRAILER_HEAD + hashlib.sha256(body).hexdigest().encode()


def read_model(path: Path) -> bytes:
    """Read a model file and check that no byte of it was lost or altered.

    Parameters
    ----------
    path
        A `.onnx` file written by `tools/export_onnx.py`.

    Returns
    -------
    bytes
        The content of the file.

    Raises
    ------
    ModelError
        The file cannot be read, is no model of this package, or is truncated or altered.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: cannot read the model ({error.strerror}). Give the path of an .onnx file "
            "written by tools/export_onnx.py, or leave the option out to use the bundled model."
        ) from error
    if content[-len(_TRAILER_HEAD) - 64 : -64] != _TRAILER_HEAD:
        raise ModelError(
            f"{path}: not a cytotrace2_lite model, or truncated ({len(content)} bytes). "
            "Copy the file again, or export it anew with tools/export_onnx.py."
        )
    body = content[: -len(_TRAILER_HEAD) - 64]
    if seal(body) != content:
        raise ModelError(
            f"{path}: the model was altered after it was written (its SHA-256 does not match). "
            "Copy the file again, or export it anew with tools/export_onnx.py."
        )
    return content


def find_model(model: str | os.PathLike[str] | None = None) -> Path:
    """Path of the model to use.

    Parameters
    ----------
    model
        The path of an `.onnx` file, the name of a bundled model, or None for the bundled one.

    Returns
    -------
    Path
        A file that exists.

    Raises
    ------
    ModelError
        There is no such file and no model of that name.
    """
    if model is not None:
        path = Path(model)
        if path.is_file():
            return path
        if str(model) != BUNDLED_MODEL:
            raise ModelError(
                f"{os.fspath(model)}: no such model. Give the path of an .onnx file written by "
                f"tools/export_onnx.py, or {BUNDLED_MODEL!r} for the bundled model."
            )
    package = Path(__file__).resolve().parent
    # The wheel carries the model inside the package; a checkout or editable install, beside it.
    for folder in (package / "models", package.parent / "models"):
        path = folder / f"{BUNDLED_MODEL}.onnx"
        if path.is_file():
            return path
    raise ModelError(
        "the bundled model open.onnx is missing from this installation. Reinstall cytotrace2-lite."
    )
