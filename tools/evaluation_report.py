"""The report of `evaluate.py`: tables of figures, as text or Markdown, and a plot."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Any

from evaluation_figures import PSEUDOTIME, SCORES

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import CytoTRACE2Error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # colour-blind safe


def tables(report: Mapping[str, Any]) -> list[tuple[str, list[list[str]]]]:
    """Give the figures as titled tables with a row for each dataset."""
    every = list(report["datasets"])
    several = [name for name in every if len(report["datasets"][name]["potencies"]) > 1]
    single = [name for name in every if name not in several]
    timed = [name for name in every if report["datasets"][name]["pseudotime"]]
    shares = [f"{share:g}" for share in report["settings"]["downsample"]]
    models = report["models"].values()
    levels = {
        "MAE": both("mean_absolute_error"),
        "exact": both("exact"),
        "within 1": both("within_one"),
    }
    planned: list[tuple[str, list[str], dict[str, Callable[[Mapping[str, Any]], str]]]] = [
        (
            "Rank correlation of score and potency, raw / smoothed",
            several,
            {"Spearman": both("spearman"), "Kendall": both("kendall")},
        ),
        (
            f"Spearman correlation of score and -{PSEUDOTIME}, raw / smoothed",
            timed,
            {"": both("spearman_pseudotime")},
        ),
        ("Distance of score and k/5, and categories, raw / smoothed", every, levels),
        ("Median score of each potency, raw / smoothed", several, {"": medians}),
        ("Median score of datasets of one potency, raw / smoothed", single, {"": medians}),
        (
            "Spread of the members: mean, correlation with the error, error in thirds",
            every,
            {"": spread},
        ),
        (
            "Area under the curve, raw / smoothed",
            [
                n
                for n in every
                if any(m["datasets"][n] and m["datasets"][n]["areas"] for m in models)
            ],
            {"": areas},
        ),
        (
            "Spearman correlation of scores at a share of the depth and in full, raw / smoothed",
            every if shares else [],
            {share: partial(sampled, share) for share in shares},
        ),
    ]
    found = [(title, table(report, names, columns)) for title, names, columns in planned if names]
    unseen = report["unseen"]
    if unseen:
        n = len(unseen["datasets"])
        title = f"Means of {n} datasets that no model was trained on, 95 % intervals"
        found.insert(0, (title, interval_table(unseen)))
    return found


def table(
    report: Mapping[str, Any],
    names: Sequence[str],
    columns: Mapping[str, Callable[[Mapping[str, Any]], str]],
) -> list[list[str]]:
    """Rows of a table: a head, some datasets, and the means where there are any."""
    models = report["models"]
    heads = [f"{label} {column}".strip() for column in columns for label in models]
    rows = [["dataset", "cells", *heads]]
    for name in names:
        dataset, row = report["datasets"][name], []
        for give in columns.values():
            for model in models.values():
                figures = model["datasets"][name]
                if figures is None:
                    row.append("no blind member")
                else:
                    row.append(give(figures) + ("*" if figures["in_sample"] else ""))
        potencies = ", ".join(f"{n:,} {p[0]}" for p, n in dataset["potencies"].items())
        rows.append([name if dataset["whole_numbers"] else f"{name} ~", potencies, *row])
    means = [give(model["overall"]) for give in columns.values() for model in models.values()]
    n_common = len(set(names) & set(report["common"]))
    if any(means) and n_common > 1:
        rows.append([f"mean of {n_common}", "", *means])
    return rows


def both(key: str) -> Callable[[Mapping[str, Any]], str]:
    """Give the function that shows a figure of the raw and of the smoothed score."""

    def give(figures: Mapping[str, Any]) -> str:
        found = [figures[score][key] for score in SCORES if key in figures[score]]
        return " / ".join(map(number, found))

    return give


def medians(figures: Mapping[str, Any]) -> str:
    """Show the median scores, raw and smoothed."""
    return " / ".join(
        ", ".join(f"{p[0]} {value:.2f}" for p, value in figures[score].get("median", {}).items())
        for score in SCORES
    ).strip(" /")


def sampled(share: str, figures: Mapping[str, Any]) -> str:
    """Show the correlation at a share of the depth."""
    return " / ".join(number(figures["downsampled"][share][score]) for score in SCORES)


def spread(figures: Mapping[str, Any]) -> str:
    """Show how far the members are apart, and how the error grows with it."""
    found = figures.get("spread")
    if found is None:
        return ""
    low, high = found["error_low"], found["error_high"]
    return f"{found['mean']:.3f}, {number(found['spearman'])}, {low:.2f} to {high:.2f}"


def areas(figures: Mapping[str, Any]) -> str:
    """Show the areas under the curve that were asked for."""
    return "; ".join(
        f"{a['above']} over {a['below']}: {a['raw']:.2f} / {a['smoothed']:.2f}"
        for a in figures.get("areas", ())
    )


def interval_table(unseen: Mapping[str, Any]) -> list[list[str]]:
    """Rows of the means over unseen datasets, with their intervals."""
    first = unseen["raw"]["spearman"]
    heads = [*first["models"], *(f"{label}, difference" for label in first["differences"])]
    rows = [["", *heads]]
    for figure, name in (("spearman", "Spearman"), ("mean_absolute_error", "MAE")):
        for score in SCORES:
            found = unseen[score][figure]
            shown = [
                f"{value:.3f} ({low:.3f} to {high:.3f})"
                for kind in ("models", "differences")
                for value, low, high in found[kind].values()
            ]
            rows.append([f"{name}, {score}", *shown])
    return rows


def number(value: float | None) -> str:
    """Show a figure."""
    return "-" if value is None else f"{value:.2f}"


def confusion_table(figures: Mapping[str, Any]) -> list[list[str]]:
    """Rows of the confusion matrices, raw and smoothed, of the potencies that were published."""
    letters = [potency[0] for potency in POTENCIES]
    rows = [["published", *(f"{score} {letter}" for score in SCORES for letter in letters)]]
    for potency in figures["raw"]["median"]:
        k = POTENCIES.index(potency)
        counts = [n for score in SCORES for n in figures[score]["confusion"][k]]
        rows.append([potency, *map(str, counts)])
    return rows


def show(report: Mapping[str, Any], *, markdown: bool) -> str:
    """Give the report for standard output; the confusion matrices are in the text only."""
    parts = [
        f"### {title}\n\n{pipes(rows)}" if markdown else f"{title}\n\n{aligned(rows)}"
        for title, rows in tables(report)
    ]
    if not markdown:
        for label, model in report["models"].items():
            parts += [
                f"Predicted potencies of {name}, {label}\n\n{aligned(confusion_table(figures))}"
                for name, figures in model["datasets"].items()
                if figures is not None
            ]
    notes = ["Letters: " + ", ".join(f"{p[0]} {p}" for p in reversed(POTENCIES)) + "."]
    if any(f and f["in_sample"] for m in report["models"].values() for f in m["datasets"].values()):
        notes.append("* the model was trained on this dataset.")
    if not all(dataset["whole_numbers"] for dataset in report["datasets"].values()):
        notes.append("~ not whole numbers: down-sampled by Poisson instead of binomial samples.")
    return "\n\n".join([*parts, "  \n".join(notes)])


def pipes(rows: Sequence[Sequence[str]]) -> str:
    """Give rows as a Markdown table."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Give rows as text in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def load_matplotlib() -> Any:
    """Import the figure of matplotlib, which only --plot needs."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CytoTRACE2Error(
            "--plot needs the package matplotlib, which is not installed: pip install matplotlib"
        ) from error
    return Figure


def draw(report: Mapping[str, Any], file_format: str) -> bytes:
    """Draw Spearman correlation and mean absolute error of every dataset, models side by side.

    Parameters
    ----------
    report
        As `evaluate` returns it.
    file_format
        "png", "svg", "pdf" or what else matplotlib writes.

    Returns
    -------
    bytes
        The content of the file.
    """
    models, every = report["models"], list(report["datasets"])
    several = [name for name in every if len(report["datasets"][name]["potencies"]) > 1]
    figure = load_matplotlib()(figsize=(11, 2 + 0.4 * len(every)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    for axes, key, names, title in (
        (left, "spearman", several, "Spearman correlation with the published potency"),
        (right, "mean_absolute_error", every, "mean absolute error of the score against k/5"),
    ):
        for i, (colour, model) in enumerate(zip(COLOURS, models.values(), strict=False)):
            for row, name in enumerate(names):
                figures = model["datasets"][name]
                values = [figures[score][key] for score in SCORES] if figures else []
                y = row + 0.5 * ((i + 0.5) / len(models) - 0.5)
                if not values or None in values:
                    continue
                axes.plot(values, [y, y], color=colour, lw=1.5, zorder=2)
                axes.plot(values[0], y, "o", color=colour, ms=5, zorder=3)
                axes.plot(values[1], y, "o", color=colour, mfc="none", ms=9, mew=1.5, zorder=3)
                if figures["in_sample"]:
                    axes.annotate(
                        "*", (max(values), y), (6, -5), textcoords="offset points", color=colour
                    )
        for row in range(len(names)):
            axes.axhspan(row - 0.5, row + 0.5, color="0.95" if row % 2 else "white", zorder=0)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
        axes.grid(axis="x", color="0.85", zorder=1)
        axes.set_xlabel(title)
        axes.tick_params(axis="y", length=0)
        axes.axvline(0, color="0.4", lw=1, zorder=1)
        axes.set_xlim(right=1.03 if axes is left else None)
    keys = [
        *((label, colour, colour, 7) for colour, label in zip(COLOURS, models, strict=False)),
        ("raw", "0.3", "0.3", 5),
        ("smoothed", "0.3", "none", 9),
    ]
    for label, edge, face, size in keys:
        left.plot([], [], "o", color=edge, mfc=face, mew=1.5, ms=size, label=label)
    starred = any(
        f and f["in_sample"] for model in models.values() for f in model["datasets"].values()
    )
    figure.legend(
        loc="outside upper center",
        ncols=len(keys),
        frameon=False,
        title="* the model was trained on this dataset" if starred else None,
    )
    content = io.BytesIO()
    figure.savefig(content, format=file_format, dpi=150)
    return content.getvalue()
