"""Find model files, make sure they are whole, and say what they are.

A model is one `.onnx` file whose last bytes are a metadata entry with the SHA-256 of all bytes
before it. Protocol-buffer messages may be continued by appending, so the file stays valid ONNX; a
truncated or altered one no longer ends in its own digest.

An installed model is `NAME.onnx` in the models folder of the user. Nothing here uses the network.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models import onnx_file

__all__ = [
    "BUNDLED_MODEL",
    "FOLDER_VARIABLE",
    "MODEL_VARIABLE",
    "OFFICIAL_MODELS",
    "Choice",
    "ModelFile",
    "bundled_model",
    "choose_model",
    "describe",
    "find_model",
    "installed_model",
    "installed_models",
    "is_model_name",
    "models_folder",
    "open_to_all",
    "read_model",
    "remedy",
    "seal",
]

BUNDLED_MODEL = "open"
#: Names of the official models and their versions; where several are installed, the first is used.
OFFICIAL_MODELS = {"cytotrace2-1.1": "1.1.0", "cytotrace2-1.0": "1.0.0"}
#: Environment variable that names the model to use.
MODEL_VARIABLE = "CT2_LITE_MODEL"
#: Environment variable that names the models folder.
FOLDER_VARIABLE = "CT2_LITE_MODELS_DIR"

_DIGEST_KEY = b"cytotrace2_lite.sha256"
# ModelProto.metadata_props is field 14 (tag 0x72), its key field 1 (0x0a), its value 2 (0x12).
_TRAILER_HEAD = (
    bytes([0x72, 4 + len(_DIGEST_KEY) + 64, 0x0A, len(_DIGEST_KEY)])
    + _DIGEST_KEY
    + bytes([0x12, 64])
)
_SUFFIX = ".onnx"
_LARGEST = 1 << 30
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Choice(NamedTuple):
    """The model a run would use.

    Attributes
    ----------
    path
        Its file.
    reason
        Why this one, as a phrase: `"named by CT2_LITE_MODEL"`.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class ModelFile:
    """What a model file says of itself, read without onnxruntime.

    Attributes
    ----------
    name
        Under which it is found: the file's name without `.onnx`.
    path
        The file.
    size
        In bytes; 0 where the file cannot be read.
    sha256
        Digest of the file.
    architecture, licence
        As stated in the file.
    n_members
        Number of folded networks per potency.
    official
        Version of the official ensemble whose files, by their digests, were folded; else empty.
    problem
        Why the file cannot be used; empty where it can. Then the other fields may be empty.
    """

    name: str
    path: Path
    size: int = 0
    sha256: str = ""
    architecture: str = ""
    licence: str = ""
    n_members: int = 0
    official: str = ""
    problem: str = ""


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
        A `.onnx` file written by `ct2-lite models install` or `tools/export_onnx.py`.

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
        with path.open("rb") as file:
            content = file.read(_LARGEST)  # the path may be one of a device that never ends
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
    body = memoryview(content)[: -len(_TRAILER_HEAD) - 64]
    if hashlib.sha256(body).hexdigest().encode() != content[-64:]:
        raise ModelError(
            f"{path}: the model was altered after it was written (its SHA-256 does not match). "
            f"{remedy(path)}"
        )
    return content


def find_model(model: str | os.PathLike[str] | None = None) -> Path:
    """Path of the model to use.

    Parameters
    ----------
    model
        A path or a name. Text with a path separator or the ending `.onnx` is a path, any other the
        name of an installed model or of the bundled one, whatever files the working directory has.
        None: what `CT2_LITE_MODEL` says, path or name; else the installed official model, 1.1
        before 1.0; else the bundled model.

    Returns
    -------
    Path
        A file that exists.

    Raises
    ------
    ModelError
        There is no such file and no model of that name.
    """
    return choose_model(model).path


def choose_model(model: str | os.PathLike[str] | None = None) -> Choice:
    """Choose the model to use, and say why.

    Parameters
    ----------
    model
        As for `find_model`.

    Returns
    -------
    Choice
        A file that exists, and the reason.

    Raises
    ------
    ModelError
        There is no such file and no model of that name.
    """
    if model is not None:
        return Choice(_locate(model), "as asked for")
    wanted = os.environ.get(MODEL_VARIABLE)
    if wanted:
        try:
            return Choice(_locate(wanted), f"named by {MODEL_VARIABLE}")
        except ModelError as error:
            raise ModelError(f"{MODEL_VARIABLE}: {error}") from None
    for name in OFFICIAL_MODELS:
        path = installed_model(name)
        if path is not None:
            return Choice(path, "the installed official model")
    return Choice(bundled_model(), "the bundled model, as no official one is installed")


def bundled_model() -> Path:
    """Path of the model that is part of the package.

    Returns
    -------
    Path
        A file that exists.

    Raises
    ------
    ModelError
        This installation lacks it.
    """
    package = Path(__file__).resolve().parent.parent
    # The wheel carries the model inside the package; a checkout or editable install, beside it.
    for folder in (package / "data", package.parent / "models"):
        path = folder / f"{BUNDLED_MODEL}{_SUFFIX}"
        if path.is_file():
            return path
    raise ModelError(
        "the bundled model open.onnx is missing from this installation. Reinstall cytotrace2-lite."
    )


def models_folder() -> Path:
    """Folder of the user's installed models, which need not exist.

    Returns
    -------
    Path
        `CT2_LITE_MODELS_DIR` where it is set, else `cytotrace2_lite/models` where the platform
        keeps the data of programs: `XDG_DATA_HOME` or `~/.local/share`; `~/Library/Application
        Support` on macOS; `%LOCALAPPDATA%` on Windows.

    Raises
    ------
    ModelError
        The user has no home directory.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_DATA_HOME"
    data = os.environ.get(variable, "") if sys.platform != "darwin" else ""
    # The XDG specification: a relative path is to be ignored.
    if not Path(data).is_absolute():
        try:
            home = Path.home()
        except RuntimeError as error:
            raise ModelError(
                f"there is no home directory to keep models in. Set {FOLDER_VARIABLE} to a folder."
            ) from error
        default = {"win32": "AppData/Local", "darwin": "Library/Application Support"}
        data = str(home / default.get(sys.platform, ".local/share"))
    return Path(data) / "cytotrace2_lite" / "models"


def is_model_name(name: str) -> bool:
    """Tell whether a model can be installed under a name.

    Parameters
    ----------
    name
        Any text.

    Returns
    -------
    bool
        True for up to 64 lower-case letters, digits, `.`, `_` and `-`, the first a letter or digit,
        that do not end in `.onnx`.
    """
    return _NAME.fullmatch(name) is not None and not name.endswith(_SUFFIX)


def installed_model(name: str) -> Path | None:
    """Path of an installed model.

    Parameters
    ----------
    name
        Its name.

    Returns
    -------
    Path or None
        A file that exists, or None where no model of that name is installed.
    """
    if not is_model_name(name):
        return None
    try:
        path = models_folder() / f"{name}{_SUFFIX}"
    except ModelError:  # no home directory, so nothing in it
        return None
    return path if _is_file(path) else None


def open_to_all(path: Path) -> Path | None:
    """Find what lets anybody on the machine put another model in place of one.

    Whoever makes a model on purpose gives it the right digest, so that the digest does not help.

    Parameters
    ----------
    path
        A model file.

    Returns
    -------
    Path or None
        The file, or the nearest directory on the way to it, that all may write; None where there
        is none, and on Windows, where permissions do not tell. Directories with the sticky bit, as
        /tmp has, count only as the models folder: there it is enough to add a file.
    """
    if sys.platform == "win32":
        return None
    folder = path.parent if installed_model(path.stem) == path else None
    whole = path.resolve()
    for place in (whole, *whole.parents):
        try:
            mode = place.stat().st_mode
        except OSError:
            continue
        is_safe = mode & stat.S_ISVTX and place != (folder and folder.resolve())
        if mode & stat.S_IWOTH and not (stat.S_ISDIR(mode) and is_safe):
            return place
    return None


def installed_models() -> list[Path]:
    """List the installed models.

    Returns
    -------
    list of Path
        By name; nothing where the folder is missing or cannot be read.
    """
    try:
        files = sorted(models_folder().iterdir())
    except (ModelError, OSError):
        return []
    return [path for path in files if path.suffix == _SUFFIX and installed_model(path.stem)]


def describe(path: Path) -> ModelFile:
    """Check a model file and read what it says of itself.

    Parameters
    ----------
    path
        A model file.

    Returns
    -------
    ModelFile
        With `problem` filled in where it cannot be used.
    """
    try:
        content = read_model(path)
    except ModelError as error:
        return ModelFile(path.stem, path, problem=str(error))
    try:
        entries = onnx_file.metadata(content)
        described = ModelFile(
            name=path.stem,
            path=path,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            architecture=onnx_file.one_line(entries, "architecture"),
            licence=onnx_file.one_line(entries, "licence"),
            n_members=int(entries["n_members"]),
            official=onnx_file.one_line(entries, "official", ""),
        )
        if "thresholds" in entries:  # a model of an earlier version of this package has none
            onnx_file.check_graph(content)
            return described
    except ModelError as error:
        return ModelFile(path.stem, path, problem=f"{path}: {error}")
    except (KeyError, ValueError):
        pass
    return ModelFile(
        path.stem,
        path,
        problem=f"{path}: the model does not describe itself as this version expects. "
        f"{remedy(path)}",
    )


def _locate(model: str | os.PathLike[str]) -> Path:
    text = os.fspath(model)
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    if (
        isinstance(model, os.PathLike)
        or text.lower().endswith(_SUFFIX)
        or any(separator in text for separator in separators)
    ):
        if _is_file(Path(text)):
            return Path(text)
    elif text == BUNDLED_MODEL:
        return bundled_model()
    else:
        path = installed_model(text)
        if path is not None:
            return path
        if text in OFFICIAL_MODELS:
            raise ModelError(
                f"{text}: this official model is not installed. "
                f"Install it with: ct2-lite models install {text}"
            )
        if _is_file(Path(text)):
            raise ModelError(
                f"{text}: no model of this name is installed. For the file, write "
                f"{os.curdir}{os.sep}{text}"
            )
    raise ModelError(
        f"{text}: no such model. Give the path of an .onnx file written by "
        f"tools/export_onnx.py, or {BUNDLED_MODEL!r} for the bundled model."
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that must not be entered, a name that is too long
        return False


def remedy(path: Path) -> str:
    """Say what to do about a model file that cannot be used.

    Parameters
    ----------
    path
        The model file.

    Returns
    -------
    str
        A sentence.
    """
    if installed_model(path.stem) != path:
        return "Copy the file again, or export it anew with tools/export_onnx.py."
    if path.stem in OFFICIAL_MODELS:
        return f"Install it anew: ct2-lite models install {path.stem}"
    return f"Remove it (ct2-lite models remove {path.stem}) and install it again."
