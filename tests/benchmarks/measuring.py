"""What the benchmarks share: a command, its time, and the memory of its whole process tree."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

LITE = [sys.executable, "-m", "cytotrace2_lite"]


def parsed(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, list[str]]:
    """Parse the command line; what follows `--` is for the program that is measured."""
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    return parser.parse_args(given[:end]), given[end + 1 :]


def append(record: dict[str, Any], path: Path) -> None:
    """Print a record, and append it to a file: a JSON line of both."""
    line = json.dumps(record)
    with path.open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)


def environment() -> dict[str, Any]:
    """What ran where: revision, versions, processor, and a short digest that names the machine."""
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    ).stdout.strip()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line for line in lines if line.startswith("model name")), ":")
    about = [
        line for line in lines if line.startswith(("cpu family", "model", "stepping", "cache"))
    ]
    named = "\n".join([platform.node(), platform.release(), *sorted(set(about))])
    libraries = ("numpy", "scipy", "pyarrow", "onnxruntime")
    return {
        "revision": revision,
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
        "processor": processor.partition(":")[2].strip(),
        "machine": hashlib.sha256(named.encode()).hexdigest()[:8],
        "cores": len(os.sched_getaffinity(0)),
        "date": time.strftime("%Y-%m-%d"),
    }


def tree_memory(pid: int) -> int:
    """Proportional resident bytes of a process and all its descendants, 0 once it has ended."""
    total, queue = 0, [pid]
    while queue:
        process = Path("/proc") / str(queue.pop())
        try:
            for line in (process / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
            for task in (process / "task").iterdir():
                queue += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return total


def measure(arguments: list[str]) -> dict[str, float]:
    """Run a command; give wall and CPU seconds and the peak memory of its process tree."""
    started = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak, done = [0], threading.Event()

    def watch() -> None:
        # Each look takes the system time that grows with the memory, so not too often.
        while not done.wait(0.5):
            peak[0] = max(peak[0], tree_memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    error = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    done.set()
    watcher.join()
    if status:
        sys.exit(f"{arguments} failed:\n{error.decode()}")
    return {
        "wall_s": round(wall, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        # Sampling may miss a short peak of one process, ru_maxrss the sum of several.
        "peak_mb": round(max(peak[0], usage.ru_maxrss * 1024) / 1e6),
    }
