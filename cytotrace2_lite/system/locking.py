"""Locks on files, which end with the process that holds them, whatever ends it."""

from __future__ import annotations

import sys
from typing import IO

__all__ = ["try_lock"]

if sys.platform == "win32":

    def try_lock(file: IO[bytes]) -> bool:
        """Lock a file for as long as it is open.

        Parameters
        ----------
        file
            Open for writing.

        Returns
        -------
        bool
            False where another open file has it locked.
        """
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:

    def try_lock(file: IO[bytes]) -> bool:
        """Lock a file for as long as it is open.

        Parameters
        ----------
        file
            Open for writing.

        Returns
        -------
        bool
            False where another open file, of this or another process, has it locked.

        Raises
        ------
        OSError
            The file system has no locks.
        """
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
