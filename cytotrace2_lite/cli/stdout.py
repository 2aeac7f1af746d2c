"""Standard output of `ct2-lite`, which is for results and nothing else."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback

from cytotrace2_lite.errors import OutputError, UsageError

__all__ = [
    "abandon_stdout",
    "check_stdout",
    "is_of_stdout",
    "stdout_error",
    "write_stdout",
]


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
        raise stdout_error(error) from error


def stdout_error(error: OSError) -> OutputError:
    """Make the error of standard output that cannot be written, and write no more to it.

    Parameters
    ----------
    error
        Of a write, but not that nobody reads it.

    Returns
    -------
    OutputError
        To be raised.
    """
    abandon_stdout()
    return OutputError(
        f"standard output: cannot be written ({error.strerror}). What was written is not complete."
    )


def is_of_stdout(error: Exception) -> bool:
    """Tell whether an error is one of writing to standard output, with which click writes."""
    frames = traceback.walk_tb(error.__traceback__)
    return isinstance(error, OSError) and any(
        frame.f_globals.get("__name__") == "click.utils" for frame, _ in frames
    )


def abandon_stdout() -> None:
    """Discard what is left in the buffer: Python would report an error for it at its end."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
