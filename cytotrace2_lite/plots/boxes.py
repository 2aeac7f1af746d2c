"""Rows of groups of cells: boxes and violins of their scores, bars of their potencies.

Source: cytotrace2_py 1.1.0.4 `plot_all_outputs` (order of the boxes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES, POTENCY_COLORS, POTENCY_EDGES
from cytotrace2_lite.plots._style import (
    LEGEND_SIZE,
    SEED,
    TEXT_SIZE,
    TITLE_SIZE,
    name_potencies,
    potency_colormap,
    wrap,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["Group", "boxes_height", "draw_bars", "draw_boxes", "draw_violins"]

#: Name of a group, and the scores of its cells: float64, from 0 to 1.
Group = tuple[str, "NDArray[np.float64]"]

_N_HEIGHTS = 100  # where the outline of a violin is computed
_LEAST_SHARE = 0.07  # of a bar, that a number has room on


def boxes_height(names: Iterable[str]) -> float:
    """Say how high the axes must be for the functions below.

    Parameters
    ----------
    names
        Of the rows.

    Returns
    -------
    float
        Inches.
    """
    return max(1.2, sum(map(_row_height, names)))


def draw_boxes(ax: Axes, groups: Sequence[Group], title: str) -> None:
    """Draw a box per group, from the top down: quartiles, whiskers, points, number of cells.

    Parameters
    ----------
    ax
        Where to draw.
    groups
        At least one.
    title
        Of the axes.
    """
    colormap, random = potency_colormap(), np.random.RandomState(SEED)
    size = float(np.clip(4000 / sum(len(scores) for _, scores in groups), 0.4, 4))
    points = []
    for middle, (_, scores) in zip(_middles(groups), groups, strict=True):
        low, median, high = np.percentile(scores, [25, 50, 75])
        reach = 1.5 * (high - low)
        inside = scores[(scores >= low - reach) & (scores <= high + reach)]
        ax.hlines(middle, inside.min(), inside.max(), color="black", linewidth=0.8, zorder=2)
        ax.barh(middle, high - low, 0.2, low, color=colormap(median), edgecolor="black",
                linewidth=0.8, zorder=3)  # fmt: skip
        ax.vlines(median, middle - 0.1, middle + 0.1, color="black", linewidth=1.6, zorder=5)
        points.append(np.column_stack([scores, middle + random.uniform(-0.09, 0.09, len(scores))]))
    every = np.concatenate(points)
    ax.scatter(*every.T, s=size, color="black", alpha=0.25, linewidths=0, rasterized=True, zorder=4)
    _show_scores(ax, groups, title)


def draw_violins(ax: Axes, groups: Sequence[Group], title: str) -> None:
    """Draw a violin per group, from the top down: density, quartiles, number of cells.

    Parameters
    ----------
    ax, groups, title
        As for `draw_boxes`. Fewer than 10 cells, which have no density, are drawn as points.
    """
    from matplotlib.mlab import GaussianKDE

    colormap = potency_colormap()
    for middle, (_, scores) in zip(_middles(groups), groups, strict=True):
        low, median, high = np.percentile(scores, [25, 50, 75])
        color = colormap(median)
        if len(scores) < 10 or np.ptp(scores) < 1e-6:
            ax.scatter(scores, np.full(len(scores), middle), s=12, color=color, edgecolor="black",
                       linewidths=0.6, zorder=3)  # fmt: skip
            continue
        x = np.linspace(scores.min(), scores.max(), _N_HEIGHTS)
        density = GaussianKDE(scores).evaluate(x)
        half = 0.12 * density / density.max()
        ax.fill_between(x, middle - half, middle + half, facecolor=color, edgecolor="black",
                        linewidth=0.8, zorder=2)  # fmt: skip
        ax.hlines(middle, low, high, color="black", linewidth=2.4, zorder=3)
        ax.scatter([median], [middle], s=14, color="white", edgecolor="black", linewidths=0.8,
                   zorder=4)  # fmt: skip
    _show_scores(ax, groups, title)


def draw_bars(
    ax: Axes, rows: Sequence[tuple[str, NDArray[np.intp]]], title: str, *, with_legend: bool = True
) -> None:
    """Draw a bar per group, from the top down: the shares of the potencies, number of cells.

    Parameters
    ----------
    ax
        Where to draw.
    rows
        Name of each group, and number of its cells of each potency; shape (6,).
    title
        Of the axes.
    with_legend
        Whether a legend is drawn to the right.
    """
    from matplotlib.patches import Patch

    for middle, (_, n_cells) in zip(_middles(rows), rows, strict=True):
        shares = n_cells / max(n_cells.sum(), 1)
        starts = np.cumsum(shares) - shares
        ax.barh(np.full(6, middle), shares, 0.22, starts, color=POTENCY_COLORS, edgecolor="white",
                linewidth=0.6)  # fmt: skip
        for k, share in enumerate(shares):
            color = "white" if k in _DARK else "black"
            if share >= _LEAST_SHARE:
                ax.text(starts[k] + share / 2, middle, f"{share:.0%}", fontsize=LEGEND_SIZE - 1.5,
                        color=color, ha="center", va="center")  # fmt: skip
    _name_rows(ax, [(name, int(n.sum())) for name, n in rows], title)
    ax.set_xlabel("Cells", fontsize=TEXT_SIZE)
    ticks = np.linspace(0, 1, 6)
    ax.set_xticks(ticks, [f"{tick:.0%}" for tick in ticks], fontsize=LEGEND_SIZE)
    if with_legend:
        ax.legend(
            [Patch(color=color) for color in POTENCY_COLORS[::-1]],
            POTENCIES[::-1],
            title="Potency category",
            loc="upper left",
            bbox_to_anchor=(1.14, 1),
            borderaxespad=0,
            frameon=False,
            fontsize=LEGEND_SIZE,
            title_fontsize=TEXT_SIZE,
            alignment="left",
        )


_DARK = (0, 4, 5)  # positions of the potencies whose colours black numbers cannot be read on


def _middles(rows: Sequence[tuple[str, NDArray[np.generic]]]) -> NDArray[np.float64]:
    """Give the middles of rows from the top down, in inches."""
    heights = np.array([_row_height(name) for name, _ in rows])
    middles: NDArray[np.float64] = heights.cumsum() - heights / 2
    return middles


def _show_scores(ax: Axes, groups: Sequence[Group], title: str) -> None:
    """Make the axes of scores: potencies above, numbers below, rows to the left."""
    height = _name_rows(ax, [(name, len(scores)) for name, scores in groups], title, pad=22)
    ax.vlines(POTENCY_EDGES[1:-1], 0, height, color="grey", linewidth=0.5, zorder=1)
    ax.set_xlabel("Potency score", fontsize=TEXT_SIZE)
    ax.set_xticks(np.linspace(0, 1, 11))
    ax.tick_params(axis="x", labelsize=LEGEND_SIZE)
    potencies = ax.secondary_xaxis("top")
    potencies.spines["top"].set_visible(False)
    name_potencies(potencies.xaxis)


def _name_rows(ax: Axes, rows: Sequence[tuple[str, int]], title: str, pad: float = 22) -> float:
    """Write the names and numbers of cells of rows, and the title; give the height in inches."""
    heights = [_row_height(name) for name, _ in rows]
    whole = sum(heights)
    middles = np.cumsum(heights) - np.array(heights) / 2
    texts = [f"{n:,}" for _, n in rows]
    # Numbers end at one line, as far from the axes as the longest needs; a digit has 6 points.
    right = 6 * max(5, *map(len, texts)) + 6
    for middle, text in [*zip(middles, texts, strict=True)]:
        ax.annotate(
            text, (1, middle), (right, 0), xycoords=ax.get_yaxis_transform(), ha="right",
            va="center", textcoords="offset points", fontsize=LEGEND_SIZE, annotation_clip=False,
        )  # fmt: skip
    ax.annotate(
        "cells", (1, 1), (right, 7), xycoords="axes fraction", ha="right",
        textcoords="offset points", fontsize=LEGEND_SIZE, annotation_clip=False,
    )  # fmt: skip
    ax.set(xlim=(0, 1), ylim=(whole, 0))
    names = [wrap(name) for name, _ in rows]
    ax.set_yticks(middles, names, fontsize=LEGEND_SIZE, parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.spines[["right", "top"]].set_visible(False)
    ax.set_title(title, fontsize=TITLE_SIZE, pad=pad, parse_math=False)
    return whole


def _row_height(name: str) -> float:
    """Inches that a box and the lines of its name need."""
    return max(0.28, 0.16 * (wrap(name).count("\n") + 1) + 0.08)
