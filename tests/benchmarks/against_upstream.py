"""Run cytotrace2-py and cytotrace2_lite in turns on one table, and compare time, memory, results.

    python tests/benchmarks/against_upstream.py TABLE SPECIES MODEL.onnx UPSTREAM_PYTHON
                                                [--runs N] [--out results.jsonl]

MODEL.onnx must be folded from the members in the resources of UPSTREAM_PYTHON's cytotrace2_py. This
interpreter runs cytotrace2_lite, and pyarrow's CSV reader on the same table for comparison. Plots
are off on both sides. Both start with their libraries and the table in the system's cache: of
cytotrace2_lite the second of two runs counts, and the first is recorded, too; cytotrace2-py is
imported, and its models and the table are read. Each pair appends one JSON line; one whose results
disagree is marked, does not count, and the exit code is 1. Linux only.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measuring import LITE, append, environment, measure

# What a program reads is read before its turn: while the other one runs for minutes, the system may
# give the memory of its libraries and of the table to something else.
WARM_UPSTREAM_CODE = """
import sys
from pathlib import Path
import cytotrace2_py.cytotrace2_py
package = Path(cytotrace2_py.cytotrace2_py.__file__).parent
for path in [Path(sys.argv[1]), *package.rglob("*")]:
    if path.is_file():
        path.read_bytes()
"""
UPSTREAM_CODE = "from cytotrace2_py.cytotrace2_py import run_cytotrace2; run_cytotrace2()"
# The block size with which it is fastest; the types of columns are inferred.
PYARROW_CODE = """
import sys
from pyarrow import csv
csv.read_csv(
    sys.argv[1],
    read_options=csv.ReadOptions(block_size=1 << 26),
    parse_options=csv.ParseOptions(delimiter="\\t"),
)
"""


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


def run_pair(args: argparse.Namespace) -> dict[str, Any]:
    """Run both once; give time, memory and how far the results are apart."""
    with tempfile.TemporaryDirectory() as work:
        options = ["-f", str(args.table), "-sp", args.species, "-dpl"]
        upstream, ours = Path(work) / "upstream", Path(work) / "ours"
        measure([args.upstream_python, "-c", WARM_UPSTREAM_CODE, str(args.table)])
        theirs = measure([args.upstream_python, "-c", UPSTREAM_CODE, *options, "-o", str(upstream)])
        run = [*LITE, "run", *options, "-o", str(ours), "-m", str(args.model)]
        mine_at_first, mine = measure(run), measure(run)
        read = measure([sys.executable, "-c", PYARROW_CODE, str(args.table)])
        name = "cytotrace2_results.txt"
        off = differences(upstream / name, ours / name)
        report = json.loads((ours / "run.json").read_text())
    n_cells = report["input"]["n_cells"]
    agree = off["labels_off"] <= 0.002 * n_cells and off["median"] <= 1e-8
    return {
        "n_cells": n_cells,
        "upstream": theirs,
        "lite": mine,
        "lite_at_first": mine_at_first,
        "read_by_pyarrow": read,
        "lite_stages_s": report["seconds"],
        "differences": off,
        "agree": agree and off["largest"] <= 1e-4,
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
    about = {"table": args.table.name, "bytes": args.table.stat().st_size, **environment()}
    records = []
    for number in range(args.runs):
        record = about | {"run": number + 1} | run_pair(args)
        records.append(record)
        append(record, args.out)
    counted = [record for record in records if record["agree"]]
    if counted:
        ratios = [
            [record["upstream"][key] / record["lite"][key] for key in ("wall_s", "peak_mb")]
            for record in counted
        ]
        wall, memory = np.median(ratios, axis=0)
        print(f"median ratio upstream / lite: {wall:.1f} in time, {memory:.1f} in memory")
    sys.exit(0 if len(counted) == len(records) else 1)


if __name__ == "__main__":
    main()
