"""Locks on files, which end with the process that holds them, however it ends."""

from __future__ import annotations

import sys
from typing import IO

__all__ = ["try_lock"]


def try_lock(file: IO[bytes]) -> bool | None:
    """Lock a file for as long as it is open.

    Parameters
    ----------
    file
        Open for writing.

    Returns
    -------
    bool or None
        True where it is locked now; False where another open file, of this or another process, has
        it locked; None where the file system has no locks.
    """
    try:
        return _lock(file)
    except OSError:
        return None


if sys.platform == "win32":

    def _lock(file: IO[bytes]) -> bool:
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:

    def _lock(file: IO[bytes]) -> bool:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
