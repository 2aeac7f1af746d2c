"""The command `ct2-lite compare`."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from cytotrace2_lite.cli.stdout import stdout_error
from cytotrace2_lite.errors import CytoTRACE2Error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cytotrace2_lite.output.comparison import Comparison

__all__ = ["compare"]

_BEYOND = 1


class _NotComparedError(CytoTRACE2Error):
    """The comparison was not made, or cannot be told; its code does not mean "differ"."""

    exit_code = 3


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "-t",
    "--tolerance",
    type=float,
    default=1e-6,
    show_default=True,
    help="Largest difference of a number.",
)
@click.option(
    "-l",
    "--labels",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="How many cells of a column may have another label.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def compare(
    ctx: click.Context, *, a: str, b: str, tolerance: float, labels: int, as_json: bool
) -> None:
    """Compare two results files, A and B, of ct2-lite or of CytoTRACE 2 itself.

    Cells are matched by name. Compared are upstream's five columns, and the extra ones that both
    files have. Ends with 0 where both have the same cells and all differences are within the
    tolerances, with 1 where not, with 3 where a file cannot be used or the comparison cannot be
    written.
    """
    from cytotrace2_lite.output.comparison import compare as compare_results

    try:
        result = compare_results(a, b, tolerance=tolerance, labels=labels)
        click.echo(_as_json(result) if as_json else _as_text(result))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _NotComparedError(str(stdout_error(error))) from error
    except MemoryError as error:
        raise _NotComparedError("out of memory. Use a machine with more.") from error
    ctx.exit(0 if result.within else _BEYOND)


def _as_json(result: Comparison) -> str:
    document = asdict(result) | {"within": result.within}
    for column in document["numbers"]:
        for name, value in column.items():
            if isinstance(value, float) and math.isnan(value):
                column[name] = None
    return json.dumps(document, indent=2)


def _as_text(result: Comparison) -> str:
    rows = [("", "largest", "median", f"over {result.tolerance:g}", "Spearman")]
    rows += [
        (
            column.name,
            _figure(column.largest, ".2g"),
            _figure(column.median, ".2g"),
            f"{column.n_beyond:,}",
            _figure(column.spearman, ".9f"),
        )
        for column in result.numbers
    ]
    lines = [f"{result.n_cells:,} cells in both", "", *_table(rows), ""]
    for labels in result.labels:
        lines.append(f"{labels.name}: {labels.n_moved:,} of {labels.n_cells:,} labels moved")
        moves = [
            (f"{one or 'none'} -> {other or 'none'}", f"{n:,}") for one, other, n in labels.moves
        ]
        lines += [f"    {line}" for line in _table(moves)]
    only = {"first": result.columns_only_in_a, "second": result.columns_only_in_b}
    lines += [
        f"Not compared, in the {which} only: {', '.join(columns)}"
        for which, columns in only.items()
        if columns
    ]
    lines.append("")
    if result.within:
        lines.append(
            f"Within the tolerances: {result.tolerance:g}, {result.allowed_labels} labels."
        )
    else:
        lines += ["Beyond the tolerances:", *(f"  {sentence}" for sentence in result.beyond)]
    return "\n".join(lines)


def _figure(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if position else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
