"""What Ctrl-C and its like do: end the command at once, but never between two files."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from cytotrace2_lite.cli.progress import StageReporter

if TYPE_CHECKING:
    from typing_extensions import Self

    from cytotrace2_lite.base.progress import Progress

__all__ = ["Interrupt", "InterruptibleReporter", "interrupt"]


class Interrupt:
    """What Ctrl-C does: stop, and be remembered, as a library may swallow the exception.

    Attributes
    ----------
    number
        The first signal that came.
    waits
        Whether it is remembered only.
    results_are_safe
        Whether what there is to stop is not the results.
    """

    number: int | None
    waits: bool
    results_are_safe: bool

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget, for another command of the same process."""
        self.number = None
        self.waits = self.results_are_safe = False

    @property
    def exit_code(self) -> int:
        """Exit code of a process that such a signal has ended."""
        return 128 + (self.number or signal.SIGINT)

    def __call__(self, number: int, _: object) -> None:
        """Take a signal, as its handler."""
        self.number = self.number or number
        if not self.waits:
            raise KeyboardInterrupt


#: That of this process.
interrupt = Interrupt()


class InterruptibleReporter(StageReporter):
    """Progress of a run that Ctrl-C ends, but while its results are put in place."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def __call__(self, event: Progress) -> None:
        """Take note of progress, and end the run where a signal has asked for it."""
        self.stop_if_asked()
        if event.stage != "write":
            super().__call__(event)
            return
        self.finish()
        # From here on it is a matter of milliseconds, and the answer must be one or the other.
        interrupt.waits = event.done == event.total

    def stop_if_asked(self) -> None:
        """Raise where a signal has asked the program to end."""
        if interrupt.number is not None:
            raise KeyboardInterrupt

    def results_are_safe(self) -> None:
        """Let Ctrl-C end what is left to do, which is not the results."""
        interrupt.results_are_safe = True
        interrupt.waits = False
        if interrupt.number is not None:
            raise KeyboardInterrupt
