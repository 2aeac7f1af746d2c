"""Measure how the work of a run is shared by its threads.

    python tests/benchmarks/threads.py DATA.h5ad [--threads 1 2 8]

The processor time of each thread is read until a stage says that it is done. The first thread
hands out the work, and does what is not shared. So a stage takes at least the time of the first
thread and that of the busiest other one: that can be measured also where more threads than cores
are used, or others use the machine. Linux only.
"""

from __future__ import annotations

import argparse
import os
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import cytotrace2_lite as ct2

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS_BETWEEN_LOOKS = 0.05
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of_threads() -> dict[int, float]:
    """Seconds of each thread of this process."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            fields = (task / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(task.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
    return found


def watched(work: Callable[[Callable[[ct2.Progress], None]], object]) -> dict[str, list[float]]:
    """Do something; give the seconds of each thread by stage, those of the first thread first."""
    spent: defaultdict[str, defaultdict[int, float]] = defaultdict(lambda: defaultdict(float))
    pending: defaultdict[int, float] = defaultdict(float)
    before = cpu_of_threads()
    done, lock = threading.Event(), threading.Lock()

    def look(stage: str | None = None) -> None:
        with lock:
            for thread, seconds in cpu_of_threads().items():
                pending[thread] += seconds - before.get(thread, 0.0)
                before[thread] = seconds
            if stage is not None:
                for thread, seconds in pending.items():
                    spent[stage][thread] += seconds
                pending.clear()

    def watch() -> None:
        while not done.wait(_SECONDS_BETWEEN_LOOKS):
            look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work(lambda event: look(event.stage))
    finally:
        look("rest")
        done.set()
        watcher.join()
    first = os.getpid()
    return {
        stage: [threads[first]]
        + [value for one, value in threads.items() if one not in (first, watcher.native_id)]
        for stage, threads in spent.items()
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 8])
    args = parser.parse_args()
    print("| threads | stage | first thread | all others | first and busiest other |")
    print("|---|---|---|---|---|")
    for n in args.threads:
        stages = watched(lambda tell, n=n: ct2.run(args.data, max_cores=n, progress=tell))  # type: ignore[misc]
        stages["all"] = [
            sum(threads[0] for threads in stages.values()),
            sum(sum(threads[1:]) for threads in stages.values()),
        ]
        path = 0.0
        for stage, (first, *others) in stages.items():
            longest = first + max(others, default=0) if stage != "all" else path
            path += longest
            print(f"| {n} | {stage} | {first:.2f} | {sum(others):.2f} | {longest:.2f} |")


if __name__ == "__main__":
    main()
