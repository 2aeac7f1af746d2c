"""Signs of life during a call that gives none, as while a library compiles itself."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["heartbeat"]

_JOIN_SECONDS = 5.0


@contextmanager
def heartbeat(beat: Callable[[float], None], interval: float = 1.0) -> Iterator[None]:
    """Call a function again and again, from another thread, while a block of code runs.

    Parameters
    ----------
    beat
        Called with the seconds since the block began, from 0 on. What it raises ends the beats and
        not the block: a signal reaches the main thread by itself.
    interval
        Seconds between two calls.
    """
    over = threading.Event()
    begun = time.monotonic()

    def work() -> None:
        try:
            beat(0.0)
            while not over.wait(interval):
                beat(time.monotonic() - begun)
        except BaseException:  # noqa: BLE001, S110 (as above)
            pass

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_JOIN_SECONDS)
