"""The command line as a process: its threads, signals, errors and exit codes."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

import click

from cytotrace2_lite.cli.cohort import OUT_OF_MEMORY
from cytotrace2_lite.cli.group import cli
from cytotrace2_lite.cli.interrupt import SIGNAL_WORDS, interrupt, listening
from cytotrace2_lite.cli.log import log
from cytotrace2_lite.cli.progress import say
from cytotrace2_lite.cli.stdout import is_of_stdout, stdout_error
from cytotrace2_lite.errors import CytoTRACE2Error

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

# What the system says where memory is limited and a library is loaded or a thread started.
_SIGNS_OF_LITTLE_MEMORY = (
    "failed to map segment",
    "cannot allocate memory",
    "can't start new thread",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    0 done, 1 unexpected, a missing package, or results that cannot be written or differ (compare),
    2 usage, 3 input, 4 no usable genes, 5 model, 6 warnings (check --strict), 129 hung up, 130
    interrupted, 141 the reader of standard output has closed it, 143 terminated.

    Parameters
    ----------
    arguments
        Those of the process by default.
    """
    # Threads share work in fixed parts, so that results do not depend on how many there are; BLAS
    # would split sums by its own number. It reads these variables when NumPy is first imported.
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    if sys.stderr is None:  # closed by the caller
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 (for as long as the process lasts)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # An encoding that lacks a character, such as that of the locale C, costs no output.
        sys.stdout.reconfigure(errors="backslashreplace")
    log.words = sys.argv[1:] if arguments is None else arguments
    try:
        with listening():
            code = _exit_code(arguments)
        _end(code)
    finally:
        log.close()
    sys.exit(code)


def _end(code: int) -> None:
    """Say what a signal has left, and end the log."""
    if code == interrupt.exit_code:
        outcome = interrupt.outcome or (
            " while plotting: the results are complete."
            if interrupt.results_are_safe
            else ": no result was written."
        )
        say(SIGNAL_WORDS[code - 128] + outcome)
    log.write(f"exit code {code}")


def _exit_code(arguments: Sequence[str] | None) -> int:
    """Run the command line; say what went wrong."""
    try:
        return cli.main(arguments, prog_name="ct2-lite", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        log.write(f"Error: {error.format_message()}")
        return error.exit_code
    except CytoTRACE2Error as error:
        say(f"Error: {error}")
        return error.exit_code
    except MemoryError:
        return _out_of_memory()
    except (KeyboardInterrupt, click.Abort):
        return interrupt.exit_code
    except Exception as error:
        if isinstance(error, OSError) and is_of_stdout(error):
            say(f"Error: {stdout_error(error)}")
            return 1
        # NumPy turns a Ctrl-C into an ImportError while it is imported.
        if interrupt.number is not None:
            return interrupt.exit_code
        if any(sign in str(error).lower() for sign in _SIGNS_OF_LITTLE_MEMORY):
            return _out_of_memory()
        if log.is_open:
            import traceback

            log.write(traceback.format_exc())
        raise


def _out_of_memory() -> int:
    say(f"Error: {OUT_OF_MEMORY}")
    return 1
