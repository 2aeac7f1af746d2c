"""What the machine gives this process: processors and memory, and the memory it took."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

__all__ = ["available_cores", "available_memory", "peak_memory", "release_memory"]

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = (
    Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
    Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)
_CGROUP_MEMORY = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_MEMORY = Path("/proc/meminfo")
_OWN_MEMORY = Path("/proc/self/statm")


def available_cores() -> int:
    """Count the processors that affinity and cgroup limits leave to this process.

    Returns
    -------
    int
        At least 1.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS or Windows
        cores = os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(cores, int(quota)) if quota else cores)


def _cgroup_quota() -> float | None:
    try:
        if _CGROUP_V2.is_file():
            quota, period = _CGROUP_V2.read_text().split()
        else:
            quota, period = (path.read_text().strip() for path in _CGROUP_V1)
        return None if quota in {"max", "-1"} else int(quota) / int(period)
    except (OSError, ValueError):  # no such limit, or none that can be read
        return None


def peak_memory() -> int | None:
    """Largest memory this process has held at a time.

    Returns
    -------
    int or None
        Resident bytes; None where the system does not tell (Windows).
    """
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def available_memory() -> int | None:
    """Memory this process may come to hold, what it holds already included.

    Returns
    -------
    int or None
        Bytes, by what the system has free and by cgroup limits; None where the system does not
        tell (macOS, Windows).
    """
    try:
        lines = _MEMORY.read_text().splitlines()
        free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
        held = int(_OWN_MEMORY.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    return min([free * 1024 + held, *_cgroup_memory()])


def release_memory() -> None:
    """Give back to the system what was freed: the C library keeps much of it for later.

    Only glibc has a call for this, and only there it is needed.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _cgroup_memory() -> list[int]:
    limits = []
    for path in _CGROUP_MEMORY:
        with contextlib.suppress(OSError, ValueError):  # no such limit, or "max"
            limits.append(int(path.read_text()))
    return limits
