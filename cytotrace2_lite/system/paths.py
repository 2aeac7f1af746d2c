"""Paths as users write them. Nothing heavy is imported here: `--help` needs it."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["expanded"]


def expanded(path: Any) -> Any:
    """Put the home directory in the place of a leading "~", as a shell does.

    Parameters
    ----------
    path
        A path, or anything else, which is returned as it is.

    Returns
    -------
    Any
        The path; as it was where there is such a file, or no such home directory.
    """
    if isinstance(path, (str, os.PathLike)):
        text = os.fspath(path)
        if isinstance(text, str) and text.startswith("~") and not os.path.lexists(text):
            return os.path.expanduser(text)  # noqa: PTH111 (Path.expanduser raises)
    return path
