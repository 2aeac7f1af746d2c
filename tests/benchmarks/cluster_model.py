"""Compute how long a cluster of Dask takes, from figures measured on one machine.

    python tests/benchmarks/cluster_model.py

A run has three parts. The starting process opens the file, computes its digest, and collects the
scores: that is not shared. The workers read the file and split it by batch, then they score; both
are shared evenly, in whole batches. The measured figures are of data of `make_data.py`. What is not
in the model: a file system or network that many workers share, workers that wait for memory, other
users.
"""

from __future__ import annotations

import math

# Measured, seconds of one core (docs/cluster.md says how).
SECONDS_TO_SCORE = {10_000: 1.35e-3}  # a cell of a batch of 10,000
SECONDS_TO_READ = 2e-4  # a cell, by a worker, splitting included
# Of the starting process: digest at 700 MB/s, names, random split, results.
BYTES_PER_CELL = 22_500
SECONDS_OF_DRIVER = BYTES_PER_CELL / 700e6 + 3e-5  # a cell
SECONDS_OF_TASK = 1e-3  # of Dask's scheduler, and of the submitting process
SECONDS_TO_START = 5.0
BYTES_MOVED_PER_CELL = 8_700
BYTES_PER_SECOND = 500e6  # between two workers
# As in `cluster/reading.py`.
VALUES_PER_CELL = 2_400
VALUES_PER_BLOCK, MOST_VALUES_PER_BLOCK = 1 << 24, 1 << 27
MOST_PIECES = 20_000
CELLS_PER_FILE = 10_000_000  # more would be too many tasks


def n_tasks(n_cells: int, n_batches: int) -> float:
    """Count the tasks of Dask: a piece for each block and batch of a file, and the batches."""
    n_files = math.ceil(n_cells / CELLS_PER_FILE)
    n_values, of_file = n_cells * VALUES_PER_CELL / n_files, n_batches / n_files
    size = max(VALUES_PER_BLOCK, n_values / max(1, MOST_PIECES / of_file))
    blocks = math.ceil(n_values / min(size, MOST_VALUES_PER_BLOCK))
    return n_files * (blocks * of_file + of_file)


def seconds(n_cells: int, n_workers: int, threads: int = 4, batch: int = 10_000) -> float:
    """Compute the time of a run from the start to the results."""
    n_batches = math.ceil(n_cells / batch)
    speed = 1 / (1 - 0.8 + 0.8 / threads)  # of a batch; docs/benchmarks.md
    rounds = math.ceil(n_batches / n_workers)
    scoring = rounds * batch * SECONDS_TO_SCORE[batch] / speed
    reading = n_cells * SECONDS_TO_READ / (n_workers * threads)
    moving = n_cells * BYTES_MOVED_PER_CELL * (1 - 1 / n_workers) / (n_workers * BYTES_PER_SECOND)
    tasks = n_tasks(n_cells, n_batches) * SECONDS_OF_TASK
    driver = n_cells * SECONDS_OF_DRIVER
    return SECONDS_TO_START + max(driver, reading + tasks) + moving + scoring


def shown(value: float) -> str:
    """Write a time."""
    if value < 90:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"


if __name__ == "__main__":
    print("| cells | 1 worker | 10 workers | 100 workers |\n|---|---|---|---|")
    for n_cells in (1_000_000, 10_000_000, 100_000_000):
        times = " | ".join(shown(seconds(n_cells, n)) for n in (1, 10, 100))
        print(f"| {n_cells:,} | {times} |")
