"""Ctrl-C and other signals that end a command: it stops, or finishes putting results in place."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cytotrace2_lite.cli.progress import StageReporter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from cytotrace2_lite.base.progress import Progress

__all__ = ["SIGNAL_WORDS", "InterruptibleReporter", "interrupt", "listening"]

#: What is said of each signal that ends a command on purpose. The exit code is that of a process
#: killed by the signal: 128 more than its number.
SIGNAL_WORDS: dict[int, str] = {
    getattr(signal, name): word
    for name, word in (("SIGINT", "Interrupted"), ("SIGTERM", "Terminated"), ("SIGHUP", "Hung up"))
    if hasattr(signal, name)  # Windows lacks SIGHUP
}


class _Interrupt:
    """The handler of these signals; it remembers the first, as a library may hide the exception.

    Attributes
    ----------
    number
        The first signal that came; None before.
    waits
        Whether a signal is only remembered, and does not stop the command.
    results_are_safe
        Whether all results are written, so that only plots are lost.
    outcome
        What a signal leaves of several samples; "" for one dataset.
    """

    number: int | None
    waits: bool
    results_are_safe: bool
    outcome: str

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all, for another command in the same process."""
        self.number = None
        self.waits = self.results_are_safe = False
        self.outcome = ""

    @property
    def exit_code(self) -> int:
        return 128 + (self.number or signal.SIGINT)

    def __call__(self, number: int, _: object) -> None:
        self.number = self.number or number
        if not self.waits:
            raise KeyboardInterrupt

    def stop_if_asked(self) -> None:
        """Raise KeyboardInterrupt where a signal came and the command still works."""
        if self.number is not None:
            raise KeyboardInterrupt


#: That of this process.
interrupt = _Interrupt()


@contextmanager
def listening() -> Iterator[None]:
    """Handle the signals with `interrupt`; the handlers of before are put back afterwards.

    A signal that the caller has ignored stays ignored, as Ctrl-C for a job in the background.
    """
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    handlers = {number: signal.getsignal(number) for number in SIGNAL_WORDS}
    handlers = {number: handler for number, handler in handlers.items() if handler in defaults}
    interrupt.reset()
    for number in handlers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class InterruptibleReporter(StageReporter):
    """Progress of a run, which a signal can stop, except while results are put in place."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def __call__(self, event: Progress) -> None:
        """Show progress; stop the run where a signal came."""
        interrupt.stop_if_asked()
        if event.stage != "write":
            super().__call__(event)
            return
        self.finish()
        # From here on it takes milliseconds, and the files are all of this run or all of before.
        interrupt.waits = event.done == event.total

    def results_are_safe(self) -> None:
        """Let a signal stop what follows: the results are complete."""
        interrupt.results_are_safe = True
        interrupt.waits = False
        interrupt.stop_if_asked()
