"""Measure how time and memory grow with the number of cells.

    python tests/benchmarks/growth.py WORK_DIR [--cells 1000 10000 100000 ...] [--runs N]
                                      [--model MODEL.onnx] [--out growth.jsonl] [-- OPTION ...]

Makes an `.h5ad` of each size in WORK_DIR where it is not there yet (see `make_data.py`), runs
`ct2-lite run` on it without plots, and appends one JSON line a run. What follows `--` is passed to
`run`. Linux only; needs h5py.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from make_data import h5ad_of
from measuring import LITE, append, environment, measure, parsed

SIZES = [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--cells", type=int, nargs="+", default=SIZES)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--model", default="open")
    parser.add_argument("--out", type=Path, default=Path("growth.jsonl"))
    args, options = parsed(parser)
    for n_cells in args.cells:
        path = h5ad_of(args.work, n_cells)
        for number in range(args.runs):
            with tempfile.TemporaryDirectory() as out:
                command = [*LITE, "run", str(path), "-dpl", "-o", out, "-m", args.model]
                taken = measure([*command, *options])
                report = json.loads((Path(out) / "run.json").read_text())
            record = {
                "n_cells": n_cells,
                "bytes": path.stat().st_size,
                **environment(),
                "run": number + 1,
                "options": options,
                "model": report["model"]["name"],
                "lite": taken,
                "lite_stages_s": report["seconds"],
            }
            append(record, args.out)


if __name__ == "__main__":
    main()
