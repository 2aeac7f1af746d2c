"""The program `ct2-lite`: signals, exit codes."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from cytotrace2_lite.cli.group import cli
from cytotrace2_lite.cli.interrupt import interrupt
from cytotrace2_lite.cli.progress import say
from cytotrace2_lite.errors import CytoTRACE2Error

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["cli", "main"]

# What ends a command on purpose; the exit code is that of a process such a signal has killed.
_ENDINGS = {
    getattr(signal, name): word
    for name, word in (("SIGINT", "Interrupted"), ("SIGTERM", "Terminated"), ("SIGHUP", "Hung up"))
    if hasattr(signal, name)  # Windows lacks one
}
# What libraries say that are loaded, or start a thread, where the memory of the process is limited.
_SIGNS_OF_LITTLE_MEMORY = (
    "failed to map segment",
    "cannot allocate memory",
    "can't start new thread",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    0 done, 1 unexpected, a missing package, or results that cannot be written or differ (compare),
    2 usage, 3 input, 4 no usable genes, 5 model, 6 warnings (check --strict), 129 hung up, 130
    interrupted, 141 nobody reads standard output any more, 143 terminated.

    Parameters
    ----------
    arguments
        Those of the process by default.
    """
    # Threads share work in fixed parts, so that results do not depend on their number; BLAS would
    # split sums by its own. It reads this when NumPy is first imported.
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    if sys.stderr is None:  # closed by the caller
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 (for as long as the process lasts)
    # Not where the caller has a signal ignored, as Ctrl-C for a job in the background.
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    handlers = {number: signal.getsignal(number) for number in _ENDINGS}
    handlers = {number: handler for number, handler in handlers.items() if handler in defaults}
    interrupt.reset()
    for number in handlers:
        signal.signal(number, interrupt)
    try:
        code = cli.main(arguments, prog_name="ct2-lite", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except CytoTRACE2Error as error:
        say(f"Error: {error}")
        code = error.exit_code
    except MemoryError:
        code = _out_of_memory()
    except (KeyboardInterrupt, click.Abort):
        code = interrupt.exit_code
    except Exception as error:
        # NumPy makes an ImportError of a Ctrl-C while it is imported.
        if interrupt.number is not None:
            code = interrupt.exit_code
        elif any(sign in str(error).lower() for sign in _SIGNS_OF_LITTLE_MEMORY):
            code = _out_of_memory()
        else:
            raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if code == interrupt.exit_code:
        word = _ENDINGS[signal.Signals(code - 128)]
        outcome = (
            " while plotting: the results are complete."
            if interrupt.results_are_safe
            else ": no result was written."
        )
        say(word + outcome)
    sys.exit(code)


def _out_of_memory() -> int:
    say("Error: out of memory. Use a machine with more, or a smaller -bs/--batch-size.")
    return 1
