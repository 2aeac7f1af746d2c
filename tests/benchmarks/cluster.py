"""Measure runs by local workers of Dask against runs by one process.

    python tests/benchmarks/cluster.py WORK_DIR [--cells 10000 30000] [--workers 0 1 2 4]
                                       [--runs N] [--out cluster.jsonl] [-- OPTION ...]

Makes an `.h5ad` of each size in WORK_DIR where it is not there yet (see `make_data.py`), runs
`ct2-lite run` on it without plots, and appends one JSON line a run; 0 workers are one process. The
rounds are in turns. Processor time and memory are of all processes, the start of workers included;
`starting_cpu_s` is that of the process that starts, which with workers holds Dask's scheduler, too.
It ends with an error where two runs of one size differ in a byte. What follows `--` is passed to
`run`. Linux only; needs h5py and distributed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from make_data import h5ad_of
from measuring import append, environment, measure, parsed

# The last lines run after workers have ended, and been waited for.
_PROGRAM = """
import json, pathlib, resource, sys
from cytotrace2_lite.cli.main import main
if __name__ == "__main__":
    try:
        main(sys.argv[2:])
    finally:
        used = resource.getrusage(resource.RUSAGE_SELF)
        pathlib.Path(sys.argv[1]).write_text(str(used.ru_utime + used.ru_stime))
"""


def run(path: Path, n_cells: int, n_workers: int, options: list[str]) -> dict[str, Any]:
    """Run once; give what is recorded."""
    with tempfile.TemporaryDirectory() as out:
        program, used, results = (Path(out) / name for name in ("run.py", "cpu", "results"))
        program.write_text(_PROGRAM)
        arguments = ["run", str(path), "-dpl", "-o", str(results), *options]
        arguments += ["--dask", f"local:{n_workers}"] if n_workers else []
        taken = measure([sys.executable, str(program), str(used), *arguments])
        report = json.loads((results / "run.json").read_text())
        starting = round(float(used.read_text()), 2)
    return {
        "n_cells": n_cells,
        "bytes": path.stat().st_size,
        **environment(),
        "options": options,
        "n_workers": n_workers,
        "lite": taken,
        "starting_cpu_s": starting,
        "lite_stages_s": report["seconds"],
        "cluster": report.get("cluster"),
        "results_sha256": report["results_sha256"],
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 30_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("cluster.jsonl"))
    args, options = parsed(parser)
    for n_cells in args.cells:
        path = h5ad_of(args.work, n_cells)
        results = set()
        for n_workers in args.workers * args.runs:
            record = run(path, n_cells, n_workers, options)
            results.add(record["results_sha256"])
            append(record, args.out)
        if len(results) > 1:
            sys.exit(f"{path}: the results differ.")


if __name__ == "__main__":
    main()
