"""The log file of a command (`--log`): what goes to standard error, with times, also with `-q`."""

from __future__ import annotations

import contextlib
import re
import stat
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cytotrace2_lite._version import __version__
from cytotrace2_lite.errors import OutputError, UsageError
from cytotrace2_lite.system.paths import expanded
from cytotrace2_lite.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

__all__ = ["log", "open_log"]

# How each line begins.
_TIME = "%Y-%m-%dT%H:%M:%S%z"
_LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} ")
_LENGTH_OF_TIME = 25


class _Log:
    """The log of this process, if there is one.

    Lines are appended, each by one call of the system, so that those of several processes that
    write to one file do not mix. A full disk is no reason to lose results: such lines are lost.

    Attributes
    ----------
    words
        The command line, which the log begins with.
    """

    words: Sequence[str]

    def __init__(self) -> None:
        self.words = ()
        self._file: IO[bytes] | None = None

    @property
    def is_open(self) -> bool:
        """Whether lines are kept."""
        return self._file is not None

    def open(self, path: str) -> None:
        """Append to a file from now on.

        Parameters
        ----------
        path
            Made, with its directory, where it does not exist.

        Raises
        ------
        UsageError
            The file has something else in it.
        OutputError
            It cannot be written.
        """
        import shlex

        self.close()
        file: IO[bytes] | None = None
        try:
            place = Path(expanded(path))
            place.parent.mkdir(parents=True, exist_ok=True)
            file = place.open("ab+", buffering=0)
            if stat.S_ISREG(place.stat().st_mode):
                file.seek(0)
                start = file.read(_LENGTH_OF_TIME)
                if start and not _LINE.match(start):
                    file.close()
                    raise UsageError(
                        f"{path}: this file is not a log of ct2-lite, to which --log would append. "
                        "Give the log another name."
                    )
        except (OSError, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            if file is not None:
                file.close()
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                f"{path}: cannot write the log ({reason}). Choose another place for it (--log)."
            ) from error
        self._file = file
        self.write(f"{shlex.join(['ct2-lite', *self.words])} (version {__version__})")

    def write(self, text: str) -> None:
        """Add lines, if there is a log.

        Parameters
        ----------
        text
            Of one or more lines.
        """
        if self._file is None:
            return
        now = time.strftime(_TIME)
        lines = [line for line in printable(text, keep="\n").split("\n") if line.strip()]
        content = "".join(f"{now} {line.rstrip()}\n" for line in lines)
        with contextlib.suppress(OSError):
            self._file.write(content.encode(errors="backslashreplace"))

    def close(self) -> None:
        """End the log."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()


#: That of this process.
log = _Log()


def open_log(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Open the log that the option `--log` names, before anything else is done."""
    del ctx, param
    if value is not None:
        log.open(value)
