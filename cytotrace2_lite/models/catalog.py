"""Choose the model to use, and say what model files are. Nothing here uses the network."""

from __future__ import annotations

import os
import stat
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models import onnx_file
from cytotrace2_lite.models.installed import (
    BUNDLED_MODEL,
    BUNDLED_NAMES,
    OFFICIAL_MODELS,
    SUFFIX,
    bundled_model,
    installed_model,
    is_file,
    remedy,
)
from cytotrace2_lite.models.sealed import read_model

__all__ = [
    "MODEL_VARIABLE",
    "Choice",
    "ModelFile",
    "choose_model",
    "describe",
    "find_model",
    "open_to_all",
]

#: Environment variable that names the model to use.
MODEL_VARIABLE = "CT2_LITE_MODEL"


class Choice(NamedTuple):
    """The model that a run would use.

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
        Name by which it is found: that of the file without `.onnx`.
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
        Version of CytoTRACE 2 whose official files, by their digests, were folded; else empty.
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


_MOST_LINKS = 40  # on the way to one file, as systems have it


def find_model(model: str | os.PathLike[str] | None = None) -> Path:
    """Path of the model to use.

    Parameters
    ----------
    model
        A path or a name. Text with a path separator or the ending `.onnx` is a path. Any other text
        is the name of an installed model or of the bundled one, even if the working directory has a
        file of that name. None: what `CT2_LITE_MODEL` says, a path or a name; else the installed
        official model, 1.1 before 1.0; else the bundled model.

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
    named = os.environ.get(MODEL_VARIABLE)
    if named:
        try:
            return Choice(_locate(named), f"named by {MODEL_VARIABLE}")
        except ModelError as error:
            raise ModelError(f"{MODEL_VARIABLE}: {error}") from None
    for name in OFFICIAL_MODELS:
        path = installed_model(name)
        if path is not None:
            return Choice(path, "the installed official model")
    return Choice(bundled_model(), "the bundled model, as no official one is installed")


def _locate(model: str | os.PathLike[str]) -> Path:
    text = os.fspath(model)
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    if (
        isinstance(model, os.PathLike)
        or text.lower().endswith(SUFFIX)
        or any(separator in text for separator in separators)
    ):
        if is_file(Path(text)):
            return Path(text)
    elif text in BUNDLED_NAMES:
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
        if is_file(Path(text)):
            raise ModelError(
                f"{text}: no model of this name is installed. For the file, write "
                f"{os.curdir}{os.sep}{text}"
            )
    raise ModelError(
        f"{text}: no such model. Give the path of an .onnx file written by "
        f"tools/export_onnx.py, or {BUNDLED_MODEL!r} for the bundled model."
    )


def describe(path: Path) -> ModelFile:
    """Make sure that a model file is whole, and read what it says of itself.

    Parameters
    ----------
    path
        A model file.

    Returns
    -------
    ModelFile
        With `problem` filled in where the file cannot be used.
    """
    try:
        content, sha256 = read_model(path)
    except ModelError as error:
        return ModelFile(path.stem, path, problem=str(error))
    try:
        entries = onnx_file.metadata(content)
        described = ModelFile(
            name=path.stem,
            path=path,
            size=len(content),
            sha256=sha256,
            architecture=onnx_file.one_line(entries, "architecture"),
            licence=onnx_file.one_line(entries, "licence"),
            n_members=int(entries["n_members"]),
            official=onnx_file.one_line(entries, "official", ""),
        )
        if "thresholds" in entries:  # models of earlier versions of this package have none
            onnx_file.verify_graph(content)
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


def open_to_all(path: Path) -> Path | None:
    """Find what lets every user of the machine replace a model by another one.

    The digest in a model file does not protect against that: whoever makes another model on
    purpose gives it the right digest.

    Parameters
    ----------
    path
        A model file.

    Returns
    -------
    Path or None
        The file, or a directory on the way to it or to a symbolic link on that way, if all users
        may write it. None where there is none, and on Windows, where permissions do not tell. A
        directory with the sticky bit, as /tmp has, counts only if it is the models folder: there it
        is enough to add a file.
    """
    if sys.platform == "win32":
        return None
    folder = path.parent if installed_model(path.stem) == path else None
    for place in _places_on_the_way(path):
        try:
            mode = place.stat().st_mode
        except OSError:
            continue
        is_safe = mode & stat.S_ISVTX and place != (folder and folder.resolve())
        if mode & stat.S_IWOTH and not (stat.S_ISDIR(mode) and is_safe):
            return place
    return None


def _places_on_the_way(path: Path) -> list[Path]:
    """List the file and all directories that decide which file a path leads to, nearest first.

    Whoever may write one of them can put another file, or another link, in the place of the next.
    A symbolic link itself is as safe as the directory that it lies in.
    """
    whole = Path(os.path.abspath(path))  # noqa: PTH100 (Path.resolve follows the links at once)
    here = Path(whole.anchor)
    places, ahead, n_links = [here], deque(whole.parts[1:]), 0
    while ahead:
        part = ahead.popleft()
        place = here.parent if part == ".." else here / part
        if place.is_symlink() and n_links < _MOST_LINKS:
            n_links += 1
            target = place.readlink()
            if target.is_absolute():
                here = Path(target.anchor)
            ahead.extendleft(reversed(target.parts[len(Path(target.anchor).parts) :]))
            continue
        here = place
        places.append(here)
    return list(dict.fromkeys(reversed(places)))
