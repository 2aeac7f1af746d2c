"""Directories where numba and matplotlib keep what they have made ready.

In a container, on a cluster or for a user without a home there may be no place for them: numba then
refuses to be imported by umap-learn and pynndescent, and matplotlib warns. Such a process gets a
directory of its own, which it removes when it ends.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path

from cytotrace2_lite.errors import CytoTRACE2Error

__all__ = ["prepare_caches"]

_COMPILED = ("pynndescent", "umap")  # packages whose functions numba keeps beside them
_lock = threading.Lock()


def _new_lock() -> None:
    """Make the lock anew in a forked process: the thread that held it is not there any more."""
    global _lock  # noqa: PLW0603 (as the environment is: one for the process)
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_new_lock)


def prepare_caches() -> None:
    """See that numba and matplotlib have a cache; call it before either of them is imported.

    `NUMBA_CACHE_DIR` and `MPLCONFIGDIR` are set for this process where they are not, and where the
    default places cannot be written.

    Raises
    ------
    CytoTRACE2Error
        No temporary directory can be written either.
    """
    with _lock:
        missing = []
        if "NUMBA_CACHE_DIR" not in os.environ and not _numba_has_a_cache():
            missing.append("NUMBA_CACHE_DIR")
        if "MPLCONFIGDIR" not in os.environ and not _is_writable(_user_folder("config")):
            missing.append("MPLCONFIGDIR")
        if not missing:
            return
        try:
            folder = tempfile.mkdtemp(prefix="ct2-lite-cache-")
        except OSError as error:
            raise CytoTRACE2Error(
                "numba and matplotlib need a directory that can be written, and there is none "
                f"({error.strerror}). Set TMPDIR to one."
            ) from error
        atexit.register(_remove, folder, os.getpid())
        for variable in missing:
            os.environ[variable] = folder


def _numba_has_a_cache() -> bool:
    beside = []
    for package in _COMPILED:
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            beside.append(Path(spec.origin).parent / "__pycache__")
    return all(map(_is_writable, beside)) or _is_writable(_user_folder("cache"))


def _user_folder(kind: str) -> Path | None:
    """Where programs of this user keep files of a kind; None where there is no home."""
    variable = {"cache": "XDG_CACHE_HOME", "config": "XDG_CONFIG_HOME"}[kind]
    if sys.platform == "win32":
        variable = "LOCALAPPDATA"
    given = os.environ.get(variable, "") if sys.platform != "darwin" else ""
    if given:
        return Path(given)
    home = os.path.expanduser("~")  # noqa: PTH111 (Path.home raises where there is none)
    if not os.path.isabs(home):  # noqa: PTH117
        return None
    default = "Library/Caches" if sys.platform == "darwin" else f".{kind}"
    return Path(home, default)


def _is_writable(folder: Path | None) -> bool:
    """Tell whether files can be made in a directory, or it in the nearest one that there is."""
    if folder is None:
        return False
    for place in (folder, *folder.parents):
        if os.path.isdir(place):  # noqa: PTH112 (Path.is_dir raises where it may not look)
            try:
                with tempfile.TemporaryFile(dir=place):
                    return True
            except OSError:
                return False
    return False


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:  # not in a process forked from it
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
