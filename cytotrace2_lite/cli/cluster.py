"""What `run --dask` adds: the connection, what is said of it, and several samples at a time."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from cytotrace2_lite.cli.interrupt import interrupt
from cytotrace2_lite.cli.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cytotrace2_lite.base.options import RunOptions
    from cytotrace2_lite.cli.interrupt import InterruptibleReporter
    from cytotrace2_lite.cluster import Cluster

__all__ = ["in_threads", "opened_cluster", "say_with"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_MOST_AT_A_TIME = 16  # samples: this process reads each, and keeps its values until they are sent
_SECONDS_BETWEEN_LOOKS = 0.3  # for signals


@contextmanager
def opened_cluster(
    where: str | None, options: RunOptions, *, quiet: bool
) -> Iterator[Cluster | None]:
    """Connect to the cluster of `--dask`.

    Parameters
    ----------
    where
        What the option says; None without it.
    options
        Cores and memory, which local workers share.
    quiet
        Whether nothing is said.

    Yields
    ------
    Cluster or None
        None without the option.

    Raises
    ------
    CytoTRACE2Error
        There is no such cluster, or distributed is not installed.
    """
    if where is None:
        yield None
        return
    from cytotrace2_lite.cluster import Cluster, connected

    with connected(where, options.max_cores, options.max_memory) as client:
        cluster = Cluster(client)
        say(f"Cluster: {cluster.describe()}", quiet=quiet)
        say_with(cluster, None, quiet=quiet)
        yield cluster


def say_with(
    cluster: Cluster | None, reporter: InterruptibleReporter | None, *, quiet: bool
) -> None:
    """Have a cluster say what happens to its workers.

    Parameters
    ----------
    cluster
        The cluster, if there is one.
    reporter
        Its line on the terminal is ended first.
    quiet
        Whether it is only written to the log.
    """
    if cluster is None:
        return

    def tell(text: str) -> None:
        if reporter is not None:
            reporter.finish()
        say(text, quiet=quiet)

    cluster.tell = tell


def in_threads(
    work: Callable[[Item], Answer],
    items: Sequence[Item],
    cluster: Cluster,
    done: Callable[[int, Future[Answer]], None],
) -> None:
    """Work on samples in threads, which wait for the cluster most of the time.

    A signal stops the cluster and thereby all threads; `done` is still called for those that were
    complete by then.

    Parameters
    ----------
    work
        Called with each item, in a thread.
    items
        The samples.
    cluster
        Whose workers score them.
    done
        Called in this thread with the index of an item and its finished future.

    Raises
    ------
    KeyboardInterrupt
        A signal came.
    """
    with ThreadPoolExecutor(min(len(items), _MOST_AT_A_TIME)) as pool:
        pending = {pool.submit(work, item): number for number, item in enumerate(items)}
        try:
            while pending:
                finished, _ = wait(pending, _SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED)
                for future in sorted(finished, key=lambda one: pending[one]):
                    done(pending.pop(future), future)
                interrupt.stop_if_asked()
        except BaseException:
            cluster.stop()
            pool.shutdown(cancel_futures=True)
            for future, number in pending.items():
                if not future.cancelled() and future.exception() is None:
                    done(number, future)
            raise
