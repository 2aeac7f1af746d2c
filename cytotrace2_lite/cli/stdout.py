"""Standard output of `ct2-lite`, which is for results and nothing else."""

from __future__ import annotations

import contextlib
import os
import sys

from cytotrace2_lite.errors import OutputError, UsageError

__all__ = ["abandon_stdout", "check_stdout", "write_stdout"]


def check_stdout(file_format: str) -> None:
    """Check that results can go to standard output, before any are computed.

    Parameters
    ----------
    file_format
        One of `cytotrace2_lite.output.tables.FORMATS`.

    Raises
    ------
    UsageError
        Standard output is a terminal, and the format is binary.
    OutputError
        Standard output is closed.
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
        The whole file.

    Raises
    ------
    BrokenPipeError
        The reader has closed it.
    OutputError
        It cannot be written, as on a full disk.
    """
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon_stdout()
        raise OutputError(
            f"standard output: cannot be written ({error.strerror}). "
            "What was written is not complete."
        ) from error


def abandon_stdout() -> None:
    """Discard what is left in the buffer: Python would report an error for it at its end."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
