"""The connection to a Dask cluster, or one of processes on this machine."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.errors import CytoTRACE2Error, UsageError
from cytotrace2_lite.system.machine import available_cores, available_memory
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["checked_client", "connected", "require_distributed"]

_CONNECT_SECONDS = 30
_WORKER_SECONDS = 10  # to answer, or it is taken for lost
# Of local workers. By default, Dask has the C library give back all freed memory at once, and looks
# 100 times a second at what a worker does: together half of the processor time of a batch.
_CONFIGURATION = {
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": 1,
        "MKL_NUM_THREADS": 1,
        "OPENBLAS_NUM_THREADS": 1,
    },
    "distributed.worker.profile.enabled": False,
}
_BYTES_PER_WORKER = 3 << 30  # of a local one: room for a batch of 10,000 cells


def require_distributed() -> Any:
    """Import distributed.

    Raises
    ------
    CytoTRACE2Error
        It is not installed.
    """
    try:
        import distributed
    except ImportError as error:
        raise CytoTRACE2Error(
            "a cluster needs the package distributed (Dask): pip install 'cytotrace2-lite[dask]'."
        ) from error
    return distributed


def checked_client(client: Any) -> Any:
    """Make sure that a caller's client can be used.

    Parameters
    ----------
    client
        What was given.

    Returns
    -------
    distributed.Client
        The same.

    Raises
    ------
    UsageError
        It is none, is asynchronous, or is closed.
    CytoTRACE2Error
        distributed is not installed.
    """
    distributed = require_distributed()
    if not isinstance(client, distributed.Client):
        raise UsageError(
            f"client is a {type(client).__name__}; it must be a distributed.Client of Dask."
        )
    if client.asynchronous:
        raise UsageError("client is asynchronous. Make it without asynchronous=True.")
    if client.status != "running":
        raise UsageError(f"client is {client.status}: it is not connected to a scheduler.")
    return client


@contextmanager
def connected(
    where: str, max_cores: int | None = None, max_memory: int | None = None
) -> Iterator[Any]:
    """Connect to a cluster; workers of this machine end with it.

    Parameters
    ----------
    where
        The address of a scheduler, the path of its file (`.json`), or "local" for workers that are
        processes of this machine, "local:4" for four of them.
    max_cores, max_memory
        What local workers may take together, besides this process; None for what the machine has.

    Yields
    ------
    distributed.Client
        Connected.

    Raises
    ------
    UsageError
        `where` is no such thing.
    CytoTRACE2Error
        distributed is not installed, or nothing answers.
    """
    match = re.fullmatch(r"local(?::(\d{1,4}))?", where)
    if match:
        with _local(int(match[1]) if match[1] else None, max_cores, max_memory) as client:
            yield client
        return
    if where.startswith("local:") or not where.strip():
        raise UsageError(
            f"{shown(where)} is no cluster: give the address of a scheduler, the path of its file "
            "(.json), local, or local:WORKERS."
        )
    distributed = require_distributed()
    given: dict[str, str] = {"address": where}
    if where.endswith(".json"):
        if not os.path.isfile(where):  # noqa: PTH113 (a path as given may hold a NUL)
            raise UsageError(f"{shown(where)}: there is no such file of a Dask scheduler.")
        given = {"scheduler_file": where}
    with _quiet():
        try:
            client = distributed.Client(**given, timeout=_CONNECT_SECONDS, set_as_default=False)
        except ValueError as error:
            raise UsageError(
                f"{shown(where)} is no address of a Dask scheduler, such as tcp://host:8786 "
                f"({error})."
            ) from error
        except Exception as error:  # of the operating system, TLS, time, or other versions
            raise CytoTRACE2Error(
                f"{shown(where)}: no Dask scheduler that can be used answers there "
                f"({type(error).__name__}: {error}). Start one (dask scheduler), or correct the "
                "address."
            ) from error
        try:
            yield client
        finally:
            _close(client)


@contextmanager
def _local(n_workers: int | None, max_cores: int | None, max_memory: int | None) -> Iterator[Any]:
    distributed = require_distributed()
    cores = max_cores or available_cores()
    memory = max_memory or available_memory()
    if n_workers is None:
        fit = cores if memory is None else memory // _BYTES_PER_WORKER
        n_workers = max(1, min(cores, fit))
    if n_workers < 1:
        raise UsageError("local:0 is no cluster: give the number of workers, at least 1.")
    import dask

    with _quiet() as level, dask.config.set(_CONFIGURATION):
        try:
            cluster = distributed.LocalCluster(
                n_workers=n_workers,
                threads_per_worker=max(1, cores // n_workers),
                memory_limit="auto" if memory is None else memory // n_workers,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs=level,
            )
        except Exception as error:  # what processes, ports and other versions raise
            raise CytoTRACE2Error(
                f"{n_workers} workers cannot be started on this machine "
                f"({type(error).__name__}: {error})."
            ) from error
        try:
            client = distributed.Client(cluster, set_as_default=False, direct_to_workers=True)
            try:
                yield client
            finally:
                _close(client)
        finally:
            cluster.close()


@contextmanager
def _quiet() -> Iterator[int]:
    """Keep Dask from writing to standard error: what matters is said in our own words."""
    import logging

    import dask

    names = ("distributed", "tornado", "asyncio")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with dask.config.set({"distributed.comm.timeouts.connect": f"{_WORKER_SECONDS}s"}):
            yield logging.CRITICAL + 1
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _close(client: Any) -> None:
    import contextlib

    with contextlib.suppress(Exception):  # the scheduler may be gone
        client.close(timeout=5)
