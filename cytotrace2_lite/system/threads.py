"""Work shared among threads, whose BLAS is limited as that of the calling thread."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from cytotrace2_lite.system.blas import limit_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

__all__ = ["in_order", "thread_pool"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def thread_pool(threads: int) -> ThreadPoolExecutor:
    """Make a pool of threads that may call BLAS as the calling thread may.

    Parameters
    ----------
    threads
        How many, at least 1.

    Returns
    -------
    ThreadPoolExecutor
        To be used in a `with` statement, as its threads must end with the work.
    """
    return ThreadPoolExecutor(threads, initializer=limit_worker)


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
    with thread_pool(threads - caller_works) as pool:
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
