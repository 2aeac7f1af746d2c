"""The workers of a cluster: which there are, which are ready, and what each of them has to do."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.cluster import worker as at_worker
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.models.sealed import read_model
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from cytotrace2_lite.models.ensemble import Ensemble

__all__ = ["Workers"]

_SECONDS_BETWEEN_LOOKS = 1.0
_BATCHES_PER_WORKER = 2  # one that is scored, and one that is on its way meanwhile
#: Seconds without any worker, without one that can take a batch, and without a scheduler, after
#: which a run ends.
PATIENCE = {"worker": 120.0, "ready": 300.0, "scheduler": 40.0}


class Workers:
    """Workers that may score with a model; several threads may ask at a time.

    Parameters
    ----------
    client
        The connection.
    ensemble
        The model.

    Attributes
    ----------
    used
        Threads of each worker that has had work, by address.
    bytes_sent
        Of the model.
    """

    def __init__(self, client: Any, ensemble: Ensemble) -> None:
        self._client = client
        self._ensemble = ensemble
        self._lock = threading.RLock()
        self._threads: dict[str, int] = {}
        self._getting_ready: dict[str, Any] = {}
        self._ready: set[str] = set()
        self._busy: Counter[str] = Counter()
        self._looked = 0.0
        self._heard = self._had_some = self._had_ready = time.monotonic()
        self._versions: dict[str, str] | None = None
        self.used: dict[str, int] = {}
        self.bytes_sent = 0

    @property
    def are_ready(self) -> bool:
        """Whether a worker has the model."""
        with self._lock:
            return bool(self._ready)

    def take(self) -> tuple[str, int] | None:
        """Give the address and threads of a worker that has room for a batch; None if none has."""
        with self._lock:
            free = [name for name in self._ready if self._busy[name] < _BATCHES_PER_WORKER]
            if not free:
                return None
            address = min(free, key=lambda name: (self._busy[name], name))
            self._busy[address] += 1
            self.used[address] = self._threads[address]
            return address, self._threads[address]

    def give_back(self, address: str) -> None:
        """Take note that a worker has a batch less to do."""
        with self._lock:
            self._busy[address] = max(self._busy[address] - 1, 0)

    def are_there(self, address: str) -> bool:
        """Tell whether a worker was there when it was last looked for."""
        with self._lock:
            return address in self._threads

    def has_no_model(self, address: str) -> None:
        """Take note that a worker has started anew at its address."""
        with self._lock:
            self._ready.discard(address)

    def look(self) -> None:
        """Look for workers that have come or gone, unless that was just done.

        Raises
        ------
        CytoTRACE2Error
            The scheduler or all workers are gone, or a worker cannot be used.
        """
        with self._lock:
            now = time.monotonic()
            if now - self._looked < _SECONDS_BETWEEN_LOOKS and not self._getting_ready:
                return
            if now - self._looked >= _SECONDS_BETWEEN_LOOKS:
                self._looked = now
                self._find(now)
            for address, future in list(self._getting_ready.items()):
                if future.done():
                    del self._getting_ready[address]
                    self._make_ready(address, future)
            if self._ready:
                self._had_ready = now
            elif self._threads and now - self._had_ready > PATIENCE["ready"]:
                raise CytoTRACE2Error(
                    f"none of the {len(self._threads)} workers of the Dask cluster has taken the "
                    f"model for {PATIENCE['ready']:.0f} s: they are busy, paused for want of "
                    "memory, or cannot be reached. Nothing was written."
                )

    def _find(self, now: float) -> None:
        """Ask the scheduler for its workers; send the model to new ones."""
        found = self._ask()
        if found is None:
            if now - self._heard > PATIENCE["scheduler"] or self._client.status == "closed":
                raise CytoTRACE2Error(
                    "the scheduler of the Dask cluster no longer answers: nothing was written. "
                    "Start the cluster and the run again."
                )
            return
        self._heard = now
        gone = set(self._threads) - set(found)
        for address in gone:
            self._ready.discard(address)
            self._getting_ready.pop(address, None)
            self._busy.pop(address, None)
        self._threads = found
        if found:
            self._had_some = now
        elif now - self._had_some > PATIENCE["worker"]:
            raise CytoTRACE2Error(
                f"the Dask cluster has had no worker for {PATIENCE['worker']:.0f} s: nothing was "
                "written. Start some (or cluster.scale), wait for them "
                "(client.wait_for_workers), and run again."
            )
        for address in set(found) - self._ready - set(self._getting_ready):
            self._getting_ready[address] = self._client.submit(
                at_worker.get_ready,
                str(self._ensemble.file),
                self._ensemble.info,
                workers=[address],
                pure=False,
                priority=100,
            )

    def _ask(self) -> dict[str, int] | None:
        """Give the threads of each worker; None where the scheduler does not answer."""
        if self._client.status != "running":
            return None
        try:
            found = self._client.sync(self._client.scheduler.ncores, callback_timeout=10)
        except Exception:  # noqa: BLE001 (of the operating system, time, or closed connections)
            return None
        return {str(address): int(threads) for address, threads in found.items()}

    def _make_ready(self, address: str, future: Any) -> None:
        """Hear what a worker says of itself; send it the model, if it has none."""
        if future.status == "error":
            raise _refusal(address, future)
        if future.status != "finished":  # it is gone
            return
        try:
            answer = future.result(timeout=30)
        except Exception:  # noqa: BLE001 (it has just gone)
            return
        if isinstance(answer, at_worker.Readiness):
            self._check_versions(address, answer.versions)
            if not answer.has_model:
                content = read_model(self._ensemble.file).content
                try:
                    sent = self._client.scatter(content, workers=[address], hash=False)
                except Exception:  # noqa: BLE001 (it has just gone)
                    return
                self.bytes_sent += len(content)
                self._getting_ready[address] = self._client.submit(
                    at_worker.take_model,
                    sent,
                    self._ensemble.info,
                    workers=[address],
                    pure=False,
                    priority=100,
                )
                return
        elif not answer:
            raise CytoTRACE2Error(
                f"{self._ensemble.file}: the model was replaced by another one since it was "
                "loaded. Start the run again."
            )
        self._ready.add(address)

    def _check_versions(self, address: str, found: dict[str, str]) -> None:
        """Refuse a worker whose scores may have other last bits."""
        if self._versions is None:
            self._versions = at_worker.versions()
        for name, version in self._versions.items():
            if found.get(name) != version:
                raise CytoTRACE2Error(
                    f"the worker {address} has {name} {found.get(name)}, and this process has "
                    f"{version}: the scores would depend on where they are computed. Give all "
                    "workers and this process the same environment."
                )


def _refusal(address: str, future: Any) -> CytoTRACE2Error:
    error = future.exception(timeout=30)
    return CytoTRACE2Error(
        f"the worker {address} cannot be used ({type(error).__name__}: {shown(str(error))}). "
        "Workers and scheduler need the same packages as this process: "
        "pip install 'cytotrace2-lite[dask]'."
    )
