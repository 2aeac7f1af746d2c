"""The matrix of a directory."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.text import first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ANY_MATRIX", "find_matrix"]

ANY_MATRIX = re.compile(r"(.*)\.mtx(\.gz|\.bz2|\.xz|\.zst)?", re.DOTALL)
_MATRIX = re.compile(r"(.*)matrix\.mtx(\.gz|\.bz2|\.xz|\.zst)?", re.DOTALL)


def find_matrix(directory: str) -> str:
    """Find the matrix of a directory.

    Parameters
    ----------
    directory
        The directory.

    Returns
    -------
    str
        The path of `matrix.mtx`, which may be compressed, and its name may have a prefix; or of the
        only other file whose name ends with `.mtx`.

    Raises
    ------
    InputError
        There is none, or more than one.
    """
    try:
        names = sorted(os.listdir(directory))  # noqa: PTH208 (a str, as given)
    except OSError as error:
        raise InputError(f"{directory}: cannot be read ({error.strerror}).") from None
    found = [name for name in names if _MATRIX.fullmatch(name)] or _matrices(names)
    if len(found) == 1:
        return os.path.join(directory, found[0])  # noqa: PTH118
    if found:
        raise InputError(
            f"{directory}: there are several matrices: {first_few(found, most=8)}. Give the path "
            "of one."
        )
    inside = [path for name in names for path in _with_matrix(directory, name, depth=3)]
    remedy = "Give the path of a table."
    if len(inside) == 1:
        remedy = f"There is one in {first_few(inside)}: give that."
    elif inside:
        remedy = f"There are some in {first_few(inside, most=8)}: give one of these."
    raise InputError(
        f"{directory}: this is a directory without matrix.mtx or matrix.mtx.gz. {remedy}"
    )


def _matrices(names: Sequence[str]) -> list[str]:
    return [name for name in names if ANY_MATRIX.fullmatch(name)]


def _with_matrix(parent: str, name: str, depth: int) -> list[str]:
    """List the directories that hold a matrix, from this one on, relative to the parent."""
    directory = os.path.join(parent, name)  # noqa: PTH118
    if os.path.islink(directory):  # noqa: PTH114 (it may lead in a circle)
        return []
    try:
        names = sorted(os.listdir(directory))  # noqa: PTH208
    except OSError:
        return []
    if _matrices(names):
        return [name]
    if depth == 1:
        return []
    below = [path for other in names for path in _with_matrix(directory, other, depth - 1)]
    return [os.path.join(name, path) for path in below]  # noqa: PTH118
