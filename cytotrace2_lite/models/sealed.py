"""Model files that show whether they are whole: the last bytes hold the digest of all others.

The digest is a metadata entry of the ONNX model. A protocol-buffer message may be continued by
appending to it, so that a sealed file is still valid ONNX. A truncated or altered file no longer
ends in its own digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models.installed import remedy

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SealedModel", "read_model", "seal"]

_DIGEST_KEY = b"cytotrace2_lite.sha256"
# ModelProto.metadata_props is field 14 (tag 0x72), its key field 1 (0x0a), its value 2 (0x12).
_TRAILER_HEAD = (
    bytes([0x72, 4 + len(_DIGEST_KEY) + 64, 0x0A, len(_DIGEST_KEY)])
    + _DIGEST_KEY
    + bytes([0x12, 64])
)
_LARGEST = 1 << 30  # bytes


class SealedModel(NamedTuple):
    """The content of a model file, and its SHA-256."""

    content: bytes
    sha256: str


def seal(body: bytes) -> bytes:
    """Append to a serialised ONNX model the digest that `read_model` compares.

    Parameters
    ----------
    body
        A serialised `onnx.ModelProto`.

    Returns
    -------
    bytes
        The content of a model file.
    """
    import hashlib  # here, as it brings OpenSSL, which --help does not need

    return body + _TRAILER_HEAD + hashlib.sha256(body).hexdigest().encode()


def read_model(path: Path) -> SealedModel:
    """Read a model file and make sure that no byte of it was lost or altered.

    Parameters
    ----------
    path
        An `.onnx` file written by `ct2-lite models install` or `tools/export_onnx.py`.

    Returns
    -------
    SealedModel
        The content of the file, and the digest of all of it.

    Raises
    ------
    ModelError
        The file cannot be read, is not a model of this package, or is truncated or altered.
    """
    import hashlib

    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST)  # with a limit: the path may be a device without an end
    except OSError as error:
        raise ModelError(
            f"{path}: cannot read the model ({error.strerror}). Give the path of an .onnx file "
            "written by tools/export_onnx.py, or leave the option out to use the bundled model."
        ) from error
    if content[-len(_TRAILER_HEAD) - 64 : -64] != _TRAILER_HEAD:
        raise ModelError(
            f"{path}: not a cytotrace2_lite model, or truncated ({len(content)} bytes). "
            f"{remedy(path)}"
        )
    end = len(content) - len(_TRAILER_HEAD) - 64
    digest = hashlib.sha256(memoryview(content)[:end])
    if digest.hexdigest().encode() != content[-64:]:
        raise ModelError(
            f"{path}: the model was altered after it was written (its SHA-256 does not match). "
            f"{remedy(path)}"
        )
    digest.update(content[end:])
    return SealedModel(content, digest.hexdigest())
