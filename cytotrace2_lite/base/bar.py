"""What `progress=True` shows: a bar of tqdm where it is installed, else lines on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.base.progress import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from cytotrace2_lite.base.progress import Progress

__all__ = ["reporting"]

_LINE_SECONDS = 30  # between two lines of one stage


@contextlib.contextmanager
def reporting(
    progress: Callable[[Progress], None] | bool | None,
) -> Generator[Callable[[Progress], None] | None, None, None]:
    """Give the function that is told of the progress of a run.

    Parameters
    ----------
    progress
        As for `cytotrace2_lite.run`: True shows a bar until the end of the context; a function is
        given as it is; None and False tell nobody.

    Yields
    ------
    callable or None
        For the stages of the run.
    """
    if progress is not True:
        yield None if progress is False else progress
        return
    tqdm = _tqdm()
    shown = _Lines() if tqdm is None else _Bar(tqdm)
    try:
        yield shown
    finally:
        shown.close()


def _tqdm() -> Any:
    """Give the bar for where we are, a notebook or a terminal; None where tqdm is missing."""
    try:
        with warnings.catch_warnings():
            # Without ipywidgets it takes the bar made of text, and need not say so.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm


class _Bar:
    """One bar for all stages, as stages take turns where there are several batches.

    Parameters
    ----------
    tqdm
        The class of the bar.
    """

    def __init__(self, tqdm: Any) -> None:
        self._bar = tqdm(desc=STAGES["read"], unit=" bytes", unit_scale=True)
        self._stage = ("read", 0, "bytes")

    def __call__(self, event: Progress) -> None:
        stage = (event.stage, event.total, event.unit)
        if event.stage not in STAGES:  # of writing there is nothing to see
            return
        if stage != self._stage:
            self._stage = stage
            self._bar.unit = f" {event.unit}"
            self._bar.set_description_str(STAGES[event.stage], refresh=False)
            self._bar.total = event.total or None  # which `reset` would keep
            self._bar.reset(event.total or None)
        self._bar.update(event.done - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.refresh()
        self._bar.close()


class _Lines:
    """A line for each stage that is done, and every half minute one for a stage that lasts."""

    def __init__(self) -> None:
        self._last: Progress | None = None
        self._seconds: dict[str, float] = {}
        self._entered = self._said = time.monotonic()

    def __call__(self, event: Progress) -> None:
        now = time.monotonic()
        if self._last is not None and self._last.stage != event.stage:
            self._leave(now)
        self._last = event
        if now - self._said >= _LINE_SECONDS and event.done:
            of = f" of {event.total:,}" if event.total else ""
            self._say(f"{event.done:,}{of} {event.unit}", now)

    def close(self) -> None:
        """Say of the last stage that it is done, if it is."""
        self._leave(time.monotonic())

    def _leave(self, now: float) -> None:
        event = self._last
        if event is None:
            return
        spent = self._seconds.get(event.stage, 0) + now - self._entered
        self._seconds[event.stage], self._entered = spent, now
        if event.done >= event.total:  # else another batch is to come, or an error came
            self._say(f"{spent:.1f} s", now)

    def _say(self, what: str, now: float) -> None:
        if self._last is not None and self._last.stage in STAGES:
            self._said = now
            with contextlib.suppress(OSError):  # nobody reading is no reason to lose results
                print(f"{STAGES[self._last.stage]}: {what}", file=sys.stderr, flush=True)  # noqa: T201
