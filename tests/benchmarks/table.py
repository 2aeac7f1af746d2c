"""Make the tables of speed in README.md and docs/benchmarks.md from recorded runs.

    python tests/benchmarks/table.py [--revision REVISION]

Each table is of one revision and one machine. Its place in a page is between `<!-- speed KIND
REVISION -->` and `<!-- end -->`; KIND is `readme`, `upstream` or `growth`. All are written anew
from `upstream.jsonl` and `growth.jsonl` beside this file, with --revision all of that one. It is
refused where the records of a revision are from several machines, or with several versions of the
libraries, or where a table would be empty. `<!-- speed earlier -->` is what was recorded with
other revisions, a table for each.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Record = dict[str, Any]
UPSTREAM = "cytotrace2-py 1.1.0.4"
UPSTREAM_RUNS, GROWTH_RUNS = (
    Path(__file__).with_name(f"{name}.jsonl") for name in ("upstream", "growth")
)
ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "docs/benchmarks.md")
MACHINE = ("machine", "processor", "cores", "python", "numpy", "scipy", "pyarrow", "onnxruntime")
_TABLE = re.compile(r"(<!-- speed (\w+) ?(\w*) -->\n).*?(?=\n<!-- end -->)", re.DOTALL)


def records_of(path: Path) -> dict[str, list[Record]]:
    """Read the runs that count, by revision, in the order they were made."""
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record.get("agree", True) and not record.get("options"):
            found[record["revision"].removesuffix("-dirty")].append(record)
    return found


def of_one(path: Path, revision: str) -> list[Record]:
    """Read the runs of a revision, which must be of one machine."""
    records = records_of(path).get(revision, [])
    for key in MACHINE:
        values = {record.get(key) for record in records}
        if len(values) > 1:
            sys.exit(
                f"{path.name}: runs of {revision} are of several machines or versions ({key}: "
                f"{', '.join(map(str, values))}). Give each its own file, or measure anew."
            )
    return records


def by_size(records: Iterable[Record]) -> dict[int, list[Record]]:
    """Sort runs by number of cells."""
    sizes: defaultdict[int, list[Record]] = defaultdict(list)
    for record in records:
        sizes[record["n_cells"]].append(record)
    return dict(sorted(sizes.items()))


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


def short(records: list[Record], which: str) -> str:
    """Time and memory of some runs, in few digits."""
    wall = statistics.median(record[which]["wall_s"] for record in records)
    peak = max(record[which]["peak_mb"] for record in records)
    return f"{wall:.{1 if wall < 10 else 0}f} s, {peak / 1000:.1f} GB"


def readme_table(upstream: list[Record], growth: list[Record]) -> list[str]:
    """Lines of the table of README.md."""
    lines = [f"| cells | {UPSTREAM} | cytotrace2_lite |", "|---|---|---|"]
    sizes = by_size(upstream)
    for size, records in sizes.items():
        lines.append(f"| {size:,} | {short(records, 'upstream')} | {short(records, 'lite')} |")
    for size, records in by_size(growth).items():
        if size > max(sizes, default=0):
            lines.append(f"| {size:,} | not measured | {short(records, 'lite')} |")
    return lines


def upstream_table(records: list[Record]) -> list[str]:
    """Lines of the table of runs in turns with cytotrace2-py."""
    lines = [
        f"| cells | {UPSTREAM} | cytotrace2_lite | faster, smaller by | pyarrow alone |",
        "|---|---|---|---|---|",
    ]
    for size, runs in by_size(records).items():
        ratios = [
            statistics.median(r["upstream"][key] / r["lite"][key] for r in runs)
            for key in ("wall_s", "peak_mb")
        ]
        lines.append(
            f"| {size:,} | {taken(runs, 'upstream')} | {taken(runs, 'lite')} "
            f"| {ratios[0]:.0f}, {ratios[1]:.0f} "
            f"| {seconds(r['read_by_pyarrow']['wall_s'] for r in runs)} |"
        )
    return lines


def growth_table(records: list[Record]) -> list[str]:
    """Lines of the table of runs on more and more cells."""
    lines = ["| cells | time, peak memory | of it reading |", "|---|---|---|"]
    for size, runs in by_size(records).items():
        read = seconds(r["lite_stages_s"]["read"] for r in runs)
        lines.append(f"| {size:,} | {taken(runs, 'lite')} | {read} |")
    return lines


def earlier(shown: set[tuple[str, str]]) -> list[str]:
    """Lines of a table for each revision that has no other one; `shown` are kinds and revisions."""
    lines = []
    kinds = (("upstream", UPSTREAM_RUNS, upstream_table), ("growth", GROWTH_RUNS, growth_table))
    for kind, path, make in kinds:
        for revision in records_of(path):
            if (kind, revision) not in shown:
                records = of_one(path, revision)
                lines += [f"{revision}, {records[0]['date']}:", "", *make(records), ""]
    return lines[:-1]


def table(kind: str, revision: str) -> list[str]:
    """Lines of a table of one revision."""
    upstream, growth = of_one(UPSTREAM_RUNS, revision), of_one(GROWTH_RUNS, revision)
    if kind == "growth":
        lines = growth_table(growth)
    elif kind == "upstream":
        lines = upstream_table(upstream)
    else:
        machines = {tuple(record.get(key) for key in MACHINE) for record in upstream + growth}
        if len(machines) > 1:
            sys.exit(f"{revision}: upstream.jsonl and growth.jsonl are of different machines.")
        lines = readme_table(upstream, growth)
    if len(lines) == 2:
        sys.exit(f"there are no runs of {revision} for the table {kind}.")
    return lines


def filled(pages: Sequence[str], revision: str | None = None) -> list[str]:
    """Make the tables of some pages anew.

    Parameters
    ----------
    pages
        Their texts.
    revision
        That all tables are to be of; by default each of the one that it is of.
    """
    kinds = {
        (kind, revision or of_page)
        for text in pages
        for _, kind, of_page in _TABLE.findall(text)
        if kind != "earlier"
    }

    def made(match: re.Match[str]) -> str:
        head, kind, of_page = match.groups()
        if kind == "earlier":
            return head + "\n" + "\n".join(earlier(kinds)) + "\n"
        of_page = revision or of_page
        lines = table(kind, of_page)
        return f"<!-- speed {kind} {of_page} -->\n\n" + "\n".join(lines) + "\n"

    return [_TABLE.sub(made, text) for text in pages]


def main() -> None:
    """Write the tables into the pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--revision")
    args = parser.parse_args()
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    for page, text in zip(PAGES, filled(texts, args.revision), strict=True):
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
