"""A Dask cluster as an executor of batches.

Dask itself would repeat what a lost worker had to do, but not what was sent to it. Therefore each
batch goes to a worker that is chosen here, is kept until its scores are back, and goes to another
worker if the first is lost.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from cytotrace2_lite.cluster import worker as at_worker
from cytotrace2_lite.cluster.blocks import score_pieces
from cytotrace2_lite.cluster.connection import checked_client
from cytotrace2_lite.cluster.reading import Reading, RemoteBatch
from cytotrace2_lite.cluster.workers import Workers
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.pipeline import split_cells
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from cytotrace2_lite.base.parameters import Parameters
    from cytotrace2_lite.batch import BatchScores
    from cytotrace2_lite.counts import Counts
    from cytotrace2_lite.metadata.samples import Samples
    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.output.keys import ClusterReport

__all__ = ["Cluster"]

_MOST_LOSSES = 3  # of workers with one batch
_SECONDS_OF_WAITING = 0.5
_SECONDS_OF_FAILURES = 60  # to send anything
_SECONDS_FOR_SCORES = 120  # to arrive, once they are there


class Cluster:
    """Workers of Dask that score batches, for one run or several at a time.

    Parameters
    ----------
    client
        A `distributed.Client`.

    Attributes
    ----------
    tell
        Called with a line about what happens; from any thread.
    is_stopped
        Whether `stop` was called.

    Raises
    ------
    CytoTRACE2Error
        distributed is not installed, or the client cannot be used.
    """

    def __init__(self, client: Any) -> None:
        self._client = checked_client(client)
        self.tell: Callable[[str], None] = lambda _: None
        self._lock = threading.Lock()
        self._workers: dict[str, Workers] = {}  # by digest of the model
        self.is_stopped = False

    def describe(self) -> str:
        """Say in a few words which cluster it is."""
        threads = self._client.nthreads()
        noun = "worker" if len(threads) == 1 else "workers"
        return (
            f"{len(threads)} {noun} with {sum(threads.values())} threads at "
            f"{self._client.scheduler.address}"
        )

    def stop(self) -> None:
        """Have all runs end with an error soon, in whatever thread they are."""
        self.is_stopped = True

    def reading(
        self,
        ensemble: Ensemble,
        parameters: Parameters,
        orthologs: Mapping[str, str] | None,
        samples_of: Callable[[list[str]], Samples | None],
    ) -> Reading:
        """Have the workers read a file.

        Parameters
        ----------
        ensemble
            With which its cells will be scored.
        parameters
            How they are split into batches.
        orthologs
            As for `cytotrace2_lite.pipeline.prepare`.
        samples_of
            Called with the names of the cells; gives their samples.

        Returns
        -------
        Reading
            To be given to `Input.read`.
        """

        def split(names: list[str]) -> list[NDArray[np.intp]]:
            samples = samples_of(names)
            return [cells for _, cells in split_cells(len(names), parameters, samples)]

        workers = self._workers_with(ensemble)
        return Reading(self._client, workers, self.tell, parameters.species, orthologs, split)

    def _workers_with(self, ensemble: Ensemble) -> Workers:
        with self._lock:
            digest = ensemble.info.sha256
            if digest not in self._workers:
                self._workers[digest] = Workers(self._client, ensemble)
            return self._workers[digest]

    @contextmanager
    def scoring(self, ensemble: Ensemble, parameters: Parameters) -> Iterator[Scoring]:
        """Score with a model.

        Parameters
        ----------
        ensemble, parameters
            As for `cytotrace2_lite.batch.score_batch`; the number of threads is the workers'.

        Yields
        ------
        Scoring
            To be given to `score_cells` as `map`. What it has sent is dropped afterwards.
        """
        workers = self._workers_with(ensemble)
        scoring = Scoring(self, self._client, workers, ensemble.info.sha256, parameters)
        try:
            yield scoring
        finally:
            scoring.close()


@dataclass(eq=False)
class _Batch:
    """A batch, until its scores are there."""

    number: int
    counts: Counts | RemoteBatch
    address: str = ""
    answer: Any = None
    n_losses: int = 0
    sent: list[Any] = field(default_factory=list)  # kept, so that Dask keeps it

    def forget(self) -> None:
        """Let Dask drop it."""
        self.answer = None
        self.sent.clear()


class Scoring:
    """`map` over the batches of a run."""

    def __init__(
        self, cluster: Cluster, client: Any, workers: Workers, sha256: str, parameters: Parameters
    ) -> None:
        self._cluster = cluster
        self._client = client
        self._workers = workers
        self._sha256 = sha256
        self._parameters = parameters
        self._running: dict[int, _Batch] = {}  # in the order in which they were sent
        self._finished: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._used: dict[str, int] = {}
        self._n_retries = 0
        self._sends_fail_since: float | None = None
        self._read_by: Literal["driver", "workers"] = "driver"
        self._bytes_sent = self._bytes_received = self._bytes_between = 0

    def __call__(self, function: Any, items: Iterable[Any], /) -> Iterator[BatchScores]:
        """Give the scores of batches, in their order.

        Parameters
        ----------
        function
            Not used: a worker calls `score_batch` with its own copy of the model.
        items
            Have their counts as attribute `counts`. Two for each worker are taken ahead.

        Yields
        ------
        BatchScores
            One per item.

        Raises
        ------
        CytoTRACE2Error
            What the workers raise; the cluster is gone, or loses each worker that has a batch.
        """
        del function
        to_come = enumerate(items)
        again: deque[_Batch] = deque()
        done: dict[int, BatchScores] = {}
        next_number, next_batch = 0, next(to_come, None)
        while next_batch is not None or again or self._running or done:
            self._workers.look()
            while (again or next_batch is not None) and (place := self._workers.take()):
                if again:
                    batch = again.popleft()
                elif next_batch is not None:
                    batch = _Batch(next_batch[0], next_batch[1].counts)
                    next_batch = next(to_come, None)
                if not self._send(batch, *place):
                    self._workers.give_back(place[0])
                    again.append(batch)
                    break
            for batch, scores in self._collect():
                if scores is None:
                    again.append(batch)
                else:
                    done[batch.number] = scores
            while next_number in done:
                yield done.pop(next_number)
                next_number += 1

    def close(self) -> None:
        """Have the workers drop what is still running."""
        running = list(self._running.values())
        self._running.clear()
        if running:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                self._client.cancel([batch.answer for batch in running], force=True)
        for batch in running:
            self._workers.give_back(batch.address)
            batch.forget()

    def report(self) -> ClusterReport:
        """Say for `run.json` how the cluster was used."""
        return {
            "n_workers": len(self._used),
            "n_threads": sum(self._used.values()),
            "read_by": self._read_by,
            "n_retries": self._n_retries,
            "bytes_sent": self._bytes_sent + self._workers.bytes_sent,
            "bytes_received": self._bytes_received,
            "bytes_between_workers": self._bytes_between,
        }

    def _send(self, batch: _Batch, address: str, threads: int) -> bool:
        """Send a batch to a worker; tell whether that was possible."""
        self._used[address] = threads
        counts, sent = batch.counts, []
        try:
            if isinstance(counts, RemoteBatch):
                work: tuple[Any, ...] = (score_pieces, counts.cells, counts.pieces)
            else:
                sent = [self._client.scatter(counts, workers=[address], hash=False)]
                work = (at_worker.score, *sent)
            answer = self._client.submit(
                *work,
                self._sha256,
                replace(self._parameters, max_cores=threads),
                workers=[address],
                pure=False,
            )
        except Exception as error:  # the worker or the scheduler may be gone: `look` tells
            now = time.monotonic()
            self._sends_fail_since = self._sends_fail_since or now
            if now - self._sends_fail_since > _SECONDS_OF_FAILURES:
                raise CytoTRACE2Error(
                    f"no batch can be sent to the worker {address} "
                    f"({type(error).__name__}: {shown(str(error))}), nor to others. Nothing was "
                    "written."
                ) from error
            return False
        self._sends_fail_since = None
        if sent:
            self._bytes_sent += sys.getsizeof(counts)
        self._read_by = "driver" if sent else "workers"
        batch.address, batch.answer, batch.sent = address, answer, sent
        self._running[batch.number] = batch
        answer.add_done_callback(lambda _, number=batch.number: self._finished.put(number))
        return True

    def _collect(self) -> Iterator[tuple[_Batch, BatchScores | None]]:
        """Wait a moment for batches that are done or lost; the scores of a lost one are None."""
        with contextlib.suppress(queue.Empty):
            self._finished.get(timeout=_SECONDS_OF_WAITING)
        if self._cluster.is_stopped:
            raise CytoTRACE2Error("the run was stopped.")
        blamed: set[str] = set()
        for batch in list(self._running.values()):
            scores = None
            if batch.answer.done():
                scores = self._scores(batch)
            elif batch.answer.status != "lost" and self._workers.are_there(batch.address):
                continue
            del self._running[batch.number]
            self._workers.give_back(batch.address)
            if scores is None:
                self._lose(batch, is_first=batch.address not in blamed)
                blamed.add(batch.address)
            batch.forget()
            yield batch, scores

    def _scores(self, batch: _Batch) -> BatchScores | None:
        """Fetch the scores of a batch that is done; None where they are lost."""
        try:
            if batch.answer.status == "error":
                error = batch.answer.exception(timeout=_SECONDS_FOR_SCORES)
            elif batch.answer.status == "finished":
                scores: BatchScores | None
                scores = answer = batch.answer.result(timeout=_SECONDS_FOR_SCORES)
                if isinstance(answer, tuple):
                    scores, moved = answer
                    self._bytes_between += moved
                if scores is None:
                    self._workers.has_no_model(batch.address)
                else:
                    self._bytes_received += sum(
                        getattr(value, "nbytes", 0) for value in vars(scores).values()
                    )
                return scores
            else:
                return None
        except Exception:  # noqa: BLE001 (the worker has gone with them)
            return None
        if type(error).__name__ == "KilledWorker":
            return None
        if isinstance(error, CytoTRACE2Error):
            raise error
        n_cells = batch.counts.shape[0]
        if isinstance(error, MemoryError):
            raise CytoTRACE2Error(
                f"the worker {batch.address} ran out of memory with a batch of {n_cells:,} cells. "
                "Use a smaller -bs/--batch-size (batch_size in Python), or workers with more "
                "memory."
            )
        raise CytoTRACE2Error(
            f"the worker {batch.address} cannot score a batch of {n_cells:,} cells "
            f"({type(error).__name__}: {shown(str(error))})."
        ) from error

    def _lose(self, batch: _Batch, *, is_first: bool) -> None:
        """Take note that a worker was lost with a batch, unless it had another one to do first."""
        batch.n_losses += is_first
        self._n_retries += 1
        n_cells = batch.counts.shape[0]
        if batch.n_losses >= _MOST_LOSSES:
            raise CytoTRACE2Error(
                f"{_MOST_LOSSES} workers were lost one after the other with the same batch of "
                f"{n_cells:,} cells, the last at {batch.address}: most likely it takes more memory "
                "than a worker has. Use a smaller -bs/--batch-size (batch_size in Python), or "
                "workers with more memory."
            )
        self._cluster.tell(
            f"The worker {batch.address} is lost: batch {batch.number + 1} ({n_cells:,} cells) "
            "is sent to another one."
        )
