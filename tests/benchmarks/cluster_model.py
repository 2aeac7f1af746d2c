"""Fit the processor time of runs by local workers, and compute that of larger clusters from it.

    python tests/benchmarks/cluster_model.py CLUSTER.jsonl

The records are of `cluster.py`: of 1, 2 and 4 workers at three sizes or more, and of one process.
Least squares, with no term below 0, and b no less than Dask's own estimate (`SECONDS_PER_TASK`), as
runs on one machine have few tasks:

    starting process  = start + a * cells + b * tasks of Dask
    all workers       = start * workers + c * cells

The time of a larger cluster is computed for workers of one thread, as if nothing of it overlapped:
both starts, the starting process, and of the workers the one with the most batches. The network is
an assumption (`BYTES_PER_SECOND`), how many tasks there are follows from `cluster/reading.py`. What
is not in the model: a file system that many workers share, workers that wait for memory.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import nnls

BATCH = 10_000
BYTES_PER_SECOND = 125e6  # between two workers: 1 Gbit/s
SECONDS_PER_TASK = 1e-3  # docs.dask.org, best practices: up to a millisecond
# As in `cluster/reading.py`, for data of `make_data.py`.
VALUES_PER_CELL = 2_400
VALUES_PER_BLOCK, MOST_VALUES_PER_BLOCK = 1 << 24, 1 << 27
MOST_PIECES = 20_000
CELLS_PER_FILE = 10_000_000  # more would be too many tasks


class Model(NamedTuple):
    """What was fitted, in seconds of a core and bytes."""

    start: float
    driver_cell: float
    driver_task: float
    worker_start: float
    worker_cell: float
    moved_cell: float


def n_tasks(n_cells: int, n_batches: int) -> float:
    """Count the tasks of Dask: a piece for each block and batch of a file, and the batches."""
    n_files = math.ceil(n_cells / CELLS_PER_FILE)
    n_values, of_file = n_cells * VALUES_PER_CELL / n_files, n_batches / n_files
    size = max(VALUES_PER_BLOCK, n_values / max(1, MOST_PIECES / of_file))
    blocks = math.ceil(n_values / min(size, MOST_VALUES_PER_BLOCK))
    return n_files * (blocks * (of_file + 2) + of_file)


def tasks_of(n_cells: int) -> float:
    """Count the tasks of a run with the default size of batches."""
    return n_tasks(n_cells, math.ceil(n_cells / BATCH))


def fitted(records: list[dict[str, Any]]) -> Model:
    """Fit the model to runs with workers."""
    runs = [record for record in records if record["n_workers"]]
    cells = np.array([run["n_cells"] for run in runs], float)
    workers = np.array([run["n_workers"] for run in runs], float)
    tasks = np.array([tasks_of(run["n_cells"]) for run in runs])
    driver = np.array([run["starting_cpu_s"] for run in runs])
    others = np.array([run["lite"]["cpu_s"] for run in runs]) - driver
    # Relative errors, so that the largest size does not outweigh all others.
    of_driver = np.column_stack([np.ones(len(runs)), cells, tasks])
    start, cell, task = nnls(of_driver / driver[:, None], np.ones(len(runs)))[0]
    if task < SECONDS_PER_TASK:
        task = SECONDS_PER_TASK
        rest = (driver - task * tasks) / driver
        start, cell = nnls(of_driver[:, :2] / driver[:, None], rest)[0]
    of_workers = np.column_stack([workers, cells])
    worker_start, worker_cell = nnls(of_workers / others[:, None], np.ones(len(runs)))[0]
    several = [run for run in runs if run["cluster"]["n_workers"] > 1]
    shares = [1 - 1 / run["cluster"]["n_workers"] for run in several]
    moved = [
        run["cluster"]["bytes_between_workers"] / run["n_cells"] / share
        for run, share in zip(several, shares, strict=True)
    ]
    return Model(start, cell, task, worker_start, worker_cell, float(np.median(moved)))


def processor_time(model: Model, n_cells: int, n_workers: int) -> float:
    """Compute the processor time of all processes."""
    driver = model.start + model.driver_cell * n_cells + model.driver_task * tasks_of(n_cells)
    return driver + model.worker_start * n_workers + model.worker_cell * n_cells


def seconds(model: Model, n_cells: int, n_workers: int) -> float:
    """Compute the time of a run from the start to the results."""
    n_batches = math.ceil(n_cells / BATCH)
    cells = math.ceil(n_batches / n_workers) * n_cells / n_batches
    moved = model.moved_cell * cells * (1 - 1 / n_workers)
    driver = model.driver_cell * n_cells + model.driver_task * tasks_of(n_cells)
    starts = model.start + model.worker_start
    return starts + driver + model.worker_cell * cells + moved / BYTES_PER_SECOND


def shown(value: float) -> str:
    """Write a time."""
    if value < 90:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"


def measured_table(records: list[dict[str, Any]], model: Model) -> list[str]:
    """Lines of the table of what was measured."""
    lines = [
        "| cells | workers | processor time | of it starting process | ratio | fitted | memory |",
        "|---|---|---|---|---|---|---|",
    ]
    alone = {run["n_cells"]: run["lite"]["cpu_s"] for run in records if not run["n_workers"]}
    for run in sorted(records, key=lambda run: (run["n_cells"], run["n_workers"])):
        n_cells, n_workers, cpu = run["n_cells"], run["n_workers"], run["lite"]["cpu_s"]
        memory = f"{run['lite']['peak_mb'] / 1000:.1f} GB"
        if not n_workers:
            lines.append(f"| {n_cells:,} | one process | {cpu:.0f} s | | | | {memory} |")
            continue
        lines.append(
            f"| {n_cells:,} | {n_workers} | {cpu:.0f} s | {run['starting_cpu_s']:.0f} s "
            f"| {cpu / alone[n_cells]:.2f} | {processor_time(model, n_cells, n_workers):.0f} s "
            f"| {memory} |"
        )
    return lines


def computed_table(model: Model) -> list[str]:
    """Lines of the table of what is computed."""
    lines = ["| cells | 1 worker | 10 workers | 100 workers |", "|---|---|---|---|"]
    for n_cells in (1_000_000, 10_000_000, 100_000_000):
        times = " | ".join(shown(seconds(model, n_cells, n)) for n in (1, 10, 100))
        lines.append(f"| {n_cells:,} | {times} |")
    return lines


def main() -> None:
    """Print what was fitted, and both tables."""
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    model = fitted(records)
    for name, value in model._asdict().items():
        print(f"{name}: {value:.3g}")
    print("\n".join(["", *measured_table(records, model), "", *computed_table(model)]))


if __name__ == "__main__":
    main()
