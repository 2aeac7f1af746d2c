"""What the command line says on standard error while it works.

click's progress bar is not used: it wraps on narrow terminals, cannot leave a stage and come back
to it with the next batch, and in a log says nothing between start and end.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from cytotrace2_lite.models.installed import BUNDLED_MODEL
from cytotrace2_lite.text import printable

if TYPE_CHECKING:
    from cytotrace2_lite.base.progress import Progress
    from cytotrace2_lite.models.ensemble import ModelInfo
    from cytotrace2_lite.models.install.download import DownloadProgress

__all__ = ["DownloadReporter", "StageReporter", "model_line", "say"]

_SHOW_SECONDS = 0.1  # between two states of a line on a terminal
_LOG_SECONDS = 30  # between two lines of a log
_FORESIGHT_SECONDS = 1  # before the time that is left is estimated
_LONGEST_BAR, _SHORTEST_BAR = 30, 5
_STAGES = {
    "read": "Reading and checking",
    "preprocess": "Ranking genes",
    "predict": "Predicting potency",
    "diffuse": "Smoothing by diffusion",
    "components": "Principal components",
    "neighbors": "Smoothing over neighbours",
    "embed": "UMAP",
    "draw": "Drawing plots",
}


def say(text: str, *, start: str = "", end: str = "\n") -> None:
    """Write to standard error. That it cannot be written is no reason to lose results."""
    with contextlib.suppress(OSError):
        # The names and contents of files must not move the cursor.
        click.echo(start + printable(text, keep="\n") + end, err=True, nl=False)


def model_line(info: ModelInfo) -> str:
    """Describe a model in one line.

    Parameters
    ----------
    info
        What the model says of itself.

    Returns
    -------
    str
        Name, number of members, digest, and what its scores are not.
    """
    notes = []
    if info.official:
        notes.append(f"official CytoTRACE 2 weights, version {info.official}")
    if info.name == BUNDLED_MODEL:
        notes.append("an open ensemble, not the official CytoTRACE 2 weights")
    if info.architecture != "1.1.0":
        notes.append(
            f"architecture {info.architecture} in the pipeline of 1.1.0, "
            "which smooths on log2 CPM, not on ranks"
        )
    note = f" ({'; '.join(notes)})" if notes else ""
    return f"Model: {info.name}{note}, {info.n_members} members, SHA-256 {info.sha256[:12]}"


class _Line:
    """The last line of a terminal, rewritten in place; elsewhere only lines that stay."""

    def __init__(self) -> None:
        self.on_terminal = sys.stderr.isatty()
        self._width = 0  # of the text on the line
        self._shown = 0.0  # when it was last rewritten

    def show(self, text: str) -> None:
        """Show a state, unless the last one was shown just now."""
        now = time.monotonic()
        if self.on_terminal and now - self._shown >= _SHOW_SECONDS:
            text = text[: _columns()]
            say(text.ljust(self._width), start="\r", end="")
            self._width, self._shown = len(text), now

    def end(self, text: str) -> None:
        """Replace the text by a line that stays."""
        start = "\r" if self._width else ""
        say(text.ljust(self._width), start=start)
        self._width = 0

    def leave(self) -> None:
        """Leave the text as it is, and go on below it."""
        if self._width:
            say("")
        self._width = 0


@dataclass
class _Stage:
    """How far a stage is."""

    name: str
    started: float  # when it was entered for the first time
    entered: float = 0.0  # when it was entered for the last time
    spent: float = 0.0  # seconds in it before that
    done: int = 0
    total: int = 0
    unit: str = ""

    def seconds(self, now: float) -> float:
        """Time spent in it, without that of other stages between its batches."""
        return self.spent + now - self.entered

    def state(self, now: float) -> str:
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
        # By the clock, as the stages between two batches of this one take time, too.
        lasted = now - self.started
        if lasted < _FORESIGHT_SECONDS:
            return done
        return f"{done}, {_clock(lasted / self.done * (self.total - self.done))} left"

    def bar(self, now: float) -> str:
        """Compose the line of a terminal, with a bar as long as there is room for."""
        label, state = _STAGES[self.name], self.state(now)
        if not self.total:
            return f"{label} {state}"
        share = self.done / self.total
        room = min(_LONGEST_BAR, _columns() - len(f"{label} [] 100% {state}"))
        bar = f" [{'#' * int(room * share):<{room}}]" if room >= _SHORTEST_BAR else ""
        return f"{label}{bar} {share:4.0%} {state}"


class StageReporter:
    """One line per stage of a run.

    On a terminal, a stage at work is a bar with cells done, rate and time left. In a log, it writes
    a line with these every half minute.

    Parameters
    ----------
    quiet
        Write nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._line = _Line()
        self._stages: dict[str, _Stage] = {}
        self._stage: _Stage | None = None
        self._started = self._logged = time.monotonic()

    def __call__(self, event: Progress) -> None:
        """Take note of progress."""
        if self._quiet:
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
        if self._line.on_terminal:
            self._line.show(stage.bar(now))
        elif now - self._logged >= _LOG_SECONDS and stage.done:
            self._say(f"{_STAGES[stage.name]}: {stage.state(now)}", now)

    def finish(self) -> None:
        """End the line, so that others can write: the stages are done, or an error has come."""
        self._leave(time.monotonic())
        self._line.leave()

    def _leave(self, now: float) -> None:
        stage, self._stage = self._stage, None
        if stage is None:
            return
        if stage.done >= stage.total:  # which is 0 for a pipe
            self._say(f"{_STAGES[stage.name]}: {stage.seconds(now):.1f} s", now)
        else:  # another batch follows, or an error has come
            stage.spent = stage.seconds(now)

    def _say(self, text: str, now: float) -> None:
        self._line.end(text)
        self._logged = now


class DownloadReporter:
    """Progress of downloads: sentences, and a line per file, which is rewritten on a terminal."""

    def __init__(self) -> None:
        self._line = _Line()

    def __call__(self, event: str | DownloadProgress) -> None:
        """Say a sentence, or how much of a file has come."""
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
    """Width of the longest line that does not wrap."""
    return shutil.get_terminal_size().columns - 1


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
