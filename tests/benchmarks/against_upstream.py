"""Run cytotrace2-py and cytotrace2_lite in turns on one table, and compare time, memory, results.

    python tests/benchmarks/against_upstream.py TABLE SPECIES MODEL.onnx UPSTREAM_PYTHON
                                                [--runs N] [--out results.jsonl]

MODEL.onnx must be folded from the members in the resources of UPSTREAM_PYTHON's cytotrace2_py. This
interpreter runs cytotrace2_lite. Plots are off on both sides. Each run appends one JSON line; a
pair whose results disagree is marked and the exit code is 1. Linux only.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

CODE = "from cytotrace2_lite.cli import main; main()"
UPSTREAM_CODE = "from cytotrace2_py.cytotrace2_py import run_cytotrace2; run_cytotrace2()"


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
        while not done.wait(0.1):
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


def differences(one: Path, other: Path) -> dict[str, float]:
    """Give the number of labels that differ and the largest and median difference of numbers."""
    tables = []
    for path in (one, other):
        with path.open(newline="") as file:
            tables.append(list(csv.reader(file, delimiter="\t")))
    if [row[0] for row in tables[0]] != [row[0] for row in tables[1]]:
        sys.exit("the cells of the two results differ")
    labels, numbers = 0, []
    for i, name in enumerate(tables[0][0]):
        a, b = ([row[i] for row in table[1:]] for table in tables)
        if name.endswith("Potency"):
            labels += sum(x != y for x, y in zip(a, b, strict=True))
        elif name:
            numbers.append(np.abs(np.array(a, float) - np.array(b, float)))
    every = np.concatenate(numbers)
    return {
        "labels_off": labels,
        "largest": float(every.max()),
        "median": float(np.median(every)),
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("species")
    parser.add_argument("model", type=Path)
    parser.add_argument("upstream_python")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmark.jsonl"))
    args = parser.parse_args()
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    ).stdout.strip()
    agree = True
    ratios = []
    for number in range(args.runs):
        with tempfile.TemporaryDirectory() as work:
            options = ["-f", str(args.table), "-sp", args.species, "-dpl"]
            upstream, ours = Path(work) / "upstream", Path(work) / "ours"
            record: dict[str, object] = {
                "table": args.table.name,
                "bytes": args.table.stat().st_size,
                "run": number + 1,
                "revision": revision,
                "python": platform.python_version(),
                "cores": len(os.sched_getaffinity(0)),
            }
            theirs = measure(
                [args.upstream_python, "-c", UPSTREAM_CODE, *options, "-o", str(upstream)]
            )
            mine = measure(
                [
                    sys.executable,
                    "-c",
                    CODE,
                    "run",
                    *options,
                    "-o",
                    str(ours),
                    "-m",
                    str(args.model),
                ]
            )
            off = differences(upstream / "cytotrace2_results.txt", ours / "cytotrace2_results.txt")
            report = json.loads((ours / "run.json").read_text())
        record |= {"upstream": theirs, "lite": mine, "lite_stages_s": report["seconds"]}
        record |= {"differences": off, "n_cells": report["input"]["n_cells"]}
        agree &= off["labels_off"] <= 0.002 * report["input"]["n_cells"]
        agree &= off["median"] <= 1e-8 and off["largest"] <= 1e-4
        record["agree"] = agree
        ratios.append([theirs[key] / mine[key] for key in ("wall_s", "peak_mb")])
        with args.out.open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(json.dumps(record))
    wall, memory = np.median(ratios, axis=0)
    print(f"median ratio upstream / lite: {wall:.1f} in time, {memory:.1f} in memory")
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
