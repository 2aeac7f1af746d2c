"""Standard output of `ct2-lite`: results and nothing else, until nobody reads it any more."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

import click

from cytotrace2_lite.errors import OutputError, UsageError

__all__ = ["QuietGroup", "check_stdout", "write_stdout"]

_CLOSED_PIPE = 128 + 13  # as shells report a process that SIGPIPE ended


class QuietGroup(click.Group):
    """Commands that end without a word where the reader of a pipe has gone, as after `| head`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _abandon_stdout()
            ctx.exit(_CLOSED_PIPE)


def check_stdout(file_format: str) -> None:
    """See that results can go to standard output, before there are any.

    Parameters
    ----------
    file_format
        One of `cytotrace2_lite.output.tables.FORMATS`.

    Raises
    ------
    UsageError
        It is a terminal, and the format is for programs.
    OutputError
        It is closed.
    """
    if sys.stdout is None:
        raise OutputError("standard output is closed. Name a directory (-o/--output-dir).")
    if file_format != "txt" and sys.stdout.isatty():
        raise UsageError(
            f"--format {file_format} is not for a terminal: send standard output to a file or a "
            "program, or name a directory (-o/--output-dir)."
        )


def write_stdout(content: bytes) -> None:
    """Write results to standard output.

    Parameters
    ----------
    content
        All of them.

    Raises
    ------
    BrokenPipeError
        Nobody reads it any more.
    OutputError
        It cannot be written, as where a disk is full.
    """
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _abandon_stdout()
        raise OutputError(
            f"standard output: cannot be written ({error.strerror}). What is there is not whole."
        ) from error


def _abandon_stdout() -> None:
    """Let what is left in the buffer go nowhere, or Python complains of it when it ends."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
