"""What the machine gives this process: processors and memory, and the memory it took.

On Linux, control groups (cgroups) may allow less than the machine has: those of containers, of
systemd services, of Slurm jobs. A group is limited by all groups above it, too: the smallest limit
on the way up counts. Both versions of cgroups are read.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path, PurePosixPath

__all__ = ["available_cores", "available_memory", "peak_memory", "release_memory"]

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
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
    """Smallest number of processors that a control group allows; None without a limit."""
    quotas = []
    for group in _own_groups("cpu"):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = (group / "cpu.max").read_text().split()
            quotas.append(int(quota) / int(period))
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = (
                (group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
            )
            quotas.append(int(quota) / int(period))
    return min((quota for quota in quotas if quota > 0), default=None)  # -1: no limit


def _own_groups(controller: str) -> list[Path]:
    """Directories of the control groups of this process, from its own up to the root.

    Parameters
    ----------
    controller
        "cpu" or "memory"; each has groups of its own in version 1.

    Returns
    -------
    list of Path
        Of both versions, as either may have the limits; some may not exist.
    """
    groups = [_CGROUPS, _CGROUPS / controller]  # where containers have their own, whatever its name
    with contextlib.suppress(OSError, ValueError):
        for line in _OWN_CGROUPS.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:  # version 2, alone or beside version 1
                roots = [_CGROUPS, _CGROUPS / "unified"]
            elif controller in controllers.split(","):
                roots = [_CGROUPS / controllers, _CGROUPS / controller]
            else:
                continue
            own = PurePosixPath(path.lstrip("/"))
            if ".." not in own.parts:  # else it lies outside of what this process can see
                groups += [root / group for root in roots for group in (own, *own.parents)]
    return list(dict.fromkeys(groups))


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
    """Bytes of memory that control groups allow; only those that have a limit."""
    limits = []
    for group in _own_groups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with contextlib.suppress(OSError, ValueError):  # no such limit, or "max"
                limits.append(int((group / name).read_text()))
    return limits
