"""Work shared among threads: results in order, and BLAS kept out of it."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

__all__ = ["in_order", "one_blas_thread"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_lock = threading.Lock()
_n_inside = 0
_limits: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS from sharing products among threads of its own, while any thread is inside.

    Threads of this package share the work already: each of them would wait for those of all the
    others, and sums be split as the number of processors has it.

    Without threadpoolctl, nothing is done. pynndescent needs scikit-learn, which needs it, so it is
    there unless somebody took it away.
    """
    global _limits, _n_inside  # noqa: PLW0603 (as the setting is: one for the process)
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        yield
        return
    import scipy.linalg  # noqa: F401 (SciPy has a BLAS of its own, which must be loaded by now)

    with _lock:
        if not _n_inside:
            _limits = ThreadpoolController().limit(limits=1, user_api="blas")
        _n_inside += 1
    try:
        yield
    finally:
        with _lock:
            _n_inside -= 1
            if not _n_inside:
                _limits.restore_original_limits()


def in_order(
    function: Callable[[Item], Answer],
    items: Iterable[Item],
    threads: int,
    *,
    caller_works: bool = False,
) -> Iterator[Answer]:
    """Apply a function to items in threads; yield its answers in the order of the items.

    Unlike `ThreadPoolExecutor.map`, it takes an item only when it is about to be worked on: no
    more than ``threads + 1`` are in memory at a time, and the calling thread makes the next one
    while the others work.

    Parameters
    ----------
    function
        What is done with each item.
    items
        Taken one by one, in the calling thread.
    threads
        How many work at a time, at least 1; 1 is the calling thread.
    caller_works
        Whether making the items and using the answers is work for a thread, so that the calling
        one counts, too. Threads that take turns at one processor cost more than they do.

    Yields
    ------
    Answer
        One per item.
    """
    if threads == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads - caller_works) as pool:
        pending: deque[Future[Answer]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
