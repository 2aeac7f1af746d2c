"""Compare the estimate of time and memory with what runs take, to calibrate `checks.resources`.

    python tests/benchmarks/estimate.py SPECIES THREADS TABLE [TABLE ...]

Each table is read, estimated and scored in a process of its own. Times are processor seconds, so
that other work on the machine does not matter. They are the sum over all threads and are compared
with the estimate for one thread; memory is compared with the estimate for THREADS threads.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings


def measure(species: str, threads: int, table: str) -> None:
    """Score one table; print estimated and actual seconds and gigabytes."""
    time.perf_counter = time.process_time
    import numpy as np

    from cytotrace2_lite import genes, pipeline
    from cytotrace2_lite.base.parameters import Parameters
    from cytotrace2_lite.checks import resources
    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.read import read_expression
    from cytotrace2_lite.system import machine

    warnings.simplefilter("ignore")
    ensemble = Ensemble.load()
    parameters = Parameters(species=species, max_cores=threads)
    expression, _ = read_expression(table, lambda names: genes.is_known(names, species))
    data = pipeline.prepare(expression, species)
    del expression
    n_cells = len(data.cells)
    batches = pipeline.batches(n_cells, parameters.batch_size, parameters.seed)
    seconds, _ = resources.estimate(data.counts, batches, 1)
    _, memory = resources.estimate(data.counts, batches, threads)
    started = time.process_time()
    pipeline.score_cells(data, ensemble, parameters)
    row = {
        "cells": n_cells,
        "genes_per_cell": float(np.median(data.counts.genes_per_cell)),
        "estimated_s": round(seconds, 1),
        "actual_s": round(time.process_time() - started, 1),
        "estimated_GB": round(memory / 1e9, 2),
        "actual_GB": round((machine.peak_memory() or 0) / 1e9, 2),
    }
    print(table, json.dumps(row), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        measure(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        for table in sys.argv[3:]:
            command = [sys.executable, __file__, "--one", *sys.argv[1:3], table]
            subprocess.run(command, check=True)
