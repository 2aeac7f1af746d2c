"""Where models are kept on this machine, and under which names: the bundled and the installed ones.

An installed model is the file `NAME.onnx` in the user's models folder. Nothing here reads a model.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from cytotrace2_lite.errors import ModelError

__all__ = [
    "BUNDLED_MODEL",
    "BUNDLED_NAMES",
    "FOLDER_VARIABLE",
    "OFFICIAL_MODELS",
    "SUFFIX",
    "bundled_model",
    "installed_model",
    "installed_models",
    "is_file",
    "is_model_name",
    "models_folder",
    "remedy",
]

#: Name of the model that is part of the package.
BUNDLED_MODEL = "open"
#: Its names: that of whichever is bundled, and that of the one which is, as its file says.
BUNDLED_NAMES = (BUNDLED_MODEL, "open-2")
#: Names of the official models and their versions; where several are installed, the first is used.
OFFICIAL_MODELS = {"cytotrace2-1.1": "1.1.0", "cytotrace2-1.0": "1.0.0"}
#: Environment variable that names the models folder.
FOLDER_VARIABLE = "CT2_LITE_MODELS_DIR"
#: How the name of a model file ends.
SUFFIX = ".onnx"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


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
    package = Path(__file__).resolve().parents[1]
    # A wheel has the model inside the package; a checkout or editable install has it beside it.
    for folder in (package / "data", package.parent / "models"):
        path = folder / f"{BUNDLED_MODEL}{SUFFIX}"
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
        `CT2_LITE_MODELS_DIR` where it is set; else the folder `cytotrace2_lite/models` in
        `XDG_DATA_HOME` or `~/.local/share`, on macOS in `~/Library/Application Support`, on Windows
        in `%LOCALAPPDATA%`.

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
    # The XDG specification says that a relative path must be ignored.
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
        True for 1 to 64 lower-case letters, digits, `.`, `_` and `-`, of which the first is a
        letter or digit, if they do not end in `.onnx`.
    """
    return _NAME.fullmatch(name) is not None and not name.endswith(SUFFIX)


def installed_model(name: str) -> Path | None:
    """Path of an installed model.

    Parameters
    ----------
    name
        Its name.

    Returns
    -------
    Path or None
        A file that exists; None if no model of that name is installed.
    """
    if not is_model_name(name):
        return None
    try:
        path = models_folder() / f"{name}{SUFFIX}"
    except ModelError:  # no home directory, so there is nothing in it
        return None
    return path if is_file(path) else None


def installed_models() -> list[Path]:
    """List the installed models.

    Returns
    -------
    list of Path
        Sorted by name; empty where the folder is missing or cannot be read.
    """
    try:
        files = sorted(models_folder().iterdir())
    except (ModelError, OSError):
        return []
    return [path for path in files if path.suffix == SUFFIX and installed_model(path.stem)]


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


def is_file(path: Path) -> bool:
    """Tell whether there is a file that can be looked at.

    Parameters
    ----------
    path
        Any path.

    Returns
    -------
    bool
        False also where the path cannot be looked at: a folder that must not be entered, a name
        that is too long.
    """
    try:
        return path.is_file()
    except OSError:
        return False
