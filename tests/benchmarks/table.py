"""Print the tables of docs/benchmarks.md from recorded runs.

    python tests/benchmarks/table.py [UPSTREAM.jsonl GROWTH.jsonl]

By default from those recorded beside this file.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

Record = dict[str, Any]
UPSTREAM = "cytotrace2-py 1.1.0.4"
RECORDED = [Path(__file__).with_name(f"{name}.jsonl") for name in ("upstream", "growth")]


def by_size(path: Path) -> dict[tuple[str, str], list[Record]]:
    """Read the runs that count, by number of cells and revision, in the order they were made."""
    sizes: defaultdict[tuple[int, str], list[Record]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record.get("agree", True):
            sizes[record["n_cells"], record["revision"].removesuffix("-dirty")].append(record)
    by_cells = sorted(sizes.items(), key=lambda item: item[0][0])
    return {(f"{n_cells:,}", revision): records for (n_cells, revision), records in by_cells}


def seconds(values: Iterable[float]) -> str:
    """Median, and range where there are several; two or three digits."""
    ordered = sorted(values)
    median = statistics.median(ordered)
    digits = 2 if median < 2 else 1 if median < 20 else 0
    if len(ordered) == 1:
        return f"{median:.{digits}f} s"
    return f"{median:.{digits}f} s ({ordered[0]:.{digits}f} to {ordered[-1]:.{digits}f})"


def megabytes(value: float) -> str:
    """In MB, from 10 GB on in GB."""
    return f"{value:.0f} MB" if value < 10_000 else f"{value / 1000:.1f} GB"


def taken(records: list[Record], which: str) -> str:
    """Time and memory of some runs."""
    wall = seconds(record[which]["wall_s"] for record in records)
    return f"{wall}, {megabytes(max(record[which]['peak_mb'] for record in records))}"


def upstream_table(path: Path) -> list[str]:
    """Lines of the table of runs in turns with cytotrace2-py."""
    lines = [
        f"| cells | revision | {UPSTREAM} | cytotrace2_lite | faster, smaller by | pyarrow alone |",
        "|---|---|---|---|---|---|",
    ]
    for size, records in by_size(path).items():
        ratios = [
            statistics.median(r["upstream"][key] / r["lite"][key] for r in records)
            for key in ("wall_s", "peak_mb")
        ]
        lines.append(
            f"| {' | '.join(size)} | {taken(records, 'upstream')} | {taken(records, 'lite')} "
            f"| {ratios[0]:.0f}, {ratios[1]:.0f} "
            f"| {seconds(r['read_by_pyarrow']['wall_s'] for r in records)} |"
        )
    return lines


def growth_table(path: Path) -> list[str]:
    """Lines of the table of runs on more and more cells."""
    lines = ["| cells | revision | time, peak memory | of it reading |", "|---|---|---|---|"]
    for size, records in by_size(path).items():
        read = seconds(r["lite_stages_s"]["read"] for r in records)
        lines.append(f"| {' | '.join(size)} | {taken(records, 'lite')} | {read} |")
    return lines


def main() -> None:
    """Print both tables."""
    upstream, growth = map(Path, sys.argv[1:3] or RECORDED)
    print("\n".join([*upstream_table(upstream), "", *growth_table(growth)]))


if __name__ == "__main__":
    main()
