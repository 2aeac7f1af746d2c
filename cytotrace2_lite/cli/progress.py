"""What the command line says on standard error while it works.

click's progress bar does not serve here: it wraps on narrow terminals, cannot leave a stage and
come back to it with the next batch, and in a log says nothing between start and end.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from cytotrace2_lite.base.progress import STAGES
from cytotrace2_lite.cli.log import log
from cytotrace2_lite.text import printable

if TYPE_CHECKING:
    from cytotrace2_lite.base.progress import Progress
    from cytotrace2_lite.models.install.installation import DownloadProgress

__all__ = ["DownloadReporter", "StageReporter", "say"]

_SHOW_SECONDS = 0.1  # between two states of a line on a terminal
_LOG_SECONDS = 30  # between two lines of a log
_LONG_SECONDS = 20  # of a UMAP, whose libraries compile at first
_FORESIGHT_SECONDS = 1  # before a guess is made at what is left
_LONGEST_BAR, _SHORTEST_BAR = 30, 5


def say(text: str, *, quiet: bool = False) -> None:
    """Write a line or more to standard error, and to the log.

    Parameters
    ----------
    text
        What is to be said.
    quiet
        Write it to the log only.
    """
    log.write(text)
    if not quiet:
        _echo(text)


def _echo(text: str, *, start: str = "", end: str = "\n") -> None:
    """Write to standard error; nobody reading it is no reason to lose results."""
    with contextlib.suppress(OSError):
        # What a file holds, or is called, must not move the cursor.
        click.echo(start + printable(text, keep="\n") + end, err=True, nl=False)


class _Line:
    """The last line of a terminal, rewritten in place; elsewhere only what ends it is written."""

    def __init__(self) -> None:
        self.on_terminal = sys.stderr.isatty()
        self._width = 0  # of what stands there
        self._shown = 0.0

    def show(self, text: str) -> None:
        """Show how things stand, if the last time was not just now."""
        now = time.monotonic()
        if self.on_terminal and now - self._shown >= _SHOW_SECONDS:
            text = text[: _columns()]
            _echo(text.ljust(self._width), start="\r", end="")
            self._width, self._shown = len(text), now

    def end(self, text: str) -> None:
        """Write a line for good, in place of what stands there."""
        start = "\r" if self._width else ""
        _echo(text.ljust(self._width), start=start)
        self._width = 0

    def leave(self) -> None:
        """Leave what stands there, and go on below it."""
        if self._width:
            _echo("")
        self._width = 0


@dataclass
class _Stage:
    """How far a stage is."""

    name: str
    started: float  # for the first time
    entered: float = 0.0  # for the last time
    spent: float = 0.0  # before that
    done: int = 0
    total: int = 0
    unit: str = ""

    def seconds(self, now: float) -> float:
        """Time spent in it, that for other stages between its batches left out."""
        return self.spent + now - self.entered

    def state(self, now: float) -> str:
        if self.unit == "seconds":
            hint = " (the first time after an installation takes longer)"
            return f"{self.done} s so far{hint if self.done >= _LONG_SECONDS else ''}"
        seconds = self.seconds(now)
        per_second = self.done / seconds if seconds else 0.0
        if self.unit == "bytes":
            done = f"{self.done / 1e6:,.1f} MB"
            of, rate = f"{self.total / 1e6:,.1f} MB", f"{per_second / 1e6:,.0f} MB/s"
        else:
            of = f"{self.total:,} {self.unit}"
            done, rate = f"{self.done:,}", f"{per_second:,.0f}/s"
        if not self.done:
            return ""
        if not self.total:
            return f"{done}, {rate}"
        done = f"{done.removesuffix(' MB')} of {of}, {rate}"
        # By the clock: the stages between two batches of this one take their time, too.
        lasted = now - self.started
        if lasted < _FORESIGHT_SECONDS:
            return done
        return f"{done}, {_clock(lasted / self.done * (self.total - self.done))} left"

    def bar(self, now: float) -> str:
        """Compose the line of a terminal, with a bar as long as there is room for."""
        label, state = STAGES[self.name], self.state(now)
        if not self.total:
            return f"{label} {state}"
        share = self.done / self.total
        room = min(_LONGEST_BAR, _columns() - len(f"{label} [] 100% {state}"))
        bar = f" [{'#' * int(room * share):<{room}}]" if room >= _SHORTEST_BAR else ""
        return f"{label}{bar} {share:4.0%} {state}"


class StageReporter:
    """One line per stage of a run.

    On a terminal, the line of a stage that lasts is a bar with cells done, rate and time left. In a
    log, such a stage has a line with these every half minute.

    Parameters
    ----------
    quiet
        Write nothing, except to the log.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._line = _Line()
        self._stages: dict[str, _Stage] = {}
        self._stage: _Stage | None = None
        self._started = self._logged = time.monotonic()

    def __call__(self, event: Progress) -> None:
        """Take note of progress."""
        if self._quiet and not log.is_open:
            return
        now = time.monotonic()
        stage = self._stage
        if stage is None or stage.name != event.stage:
            self._leave(now)
            started = now if self._stages else self._started
            stage = self._stages.setdefault(event.stage, _Stage(event.stage, started))
            stage.entered = started
            self._stage = stage
        _, stage.done, stage.total, stage.unit = event
        if self._line.on_terminal and not self._quiet:
            self._line.show(stage.bar(now))
        if now - self._logged >= _LOG_SECONDS and stage.done:
            text = f"{STAGES[stage.name]}: {stage.state(now)}"
            self._say(text, now, quiet=self._line.on_terminal)

    def finish(self) -> None:
        """Leave the line to others: the stages are done, or will never be."""
        self._leave(time.monotonic())
        self._line.leave()

    def _leave(self, now: float) -> None:
        stage, self._stage = self._stage, None
        if stage is None:
            return
        if stage.done >= stage.total:  # that of a pipe is 0
            self._say(f"{STAGES[stage.name]}: {stage.seconds(now):.1f} s", now)
        else:  # another batch is to come, or an error came
            stage.spent = stage.seconds(now)

    def _say(self, text: str, now: float, *, quiet: bool = False) -> None:
        log.write(text)
        if not (quiet or self._quiet):
            self._line.end(text)
        self._logged = now


class DownloadReporter:
    """Sentences, and one line per file, which counts up on a terminal."""

    def __init__(self) -> None:
        self._line = _Line()

    def __call__(self, event: str | DownloadProgress) -> None:
        """Say a sentence, or how far a file is."""
        if isinstance(event, str):
            self._line.leave()
            say(event)
            return
        text = f"{event.number:2}/{event.n_files} {event.n_bytes / 1e6:5.1f} MB  {event.name}"
        if event.done:
            self._line.end(text)
        else:
            self._line.show(text)


def _columns() -> int:
    """Width of a line that does not wrap."""
    return shutil.get_terminal_size().columns - 1


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
