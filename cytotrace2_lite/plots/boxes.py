"""Box plots of the scores of groups of cells.

Source: cytotrace2_py 1.1.0.4 `plot_all_outputs` (order of the boxes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.base.potency import POTENCY_EDGES
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

__all__ = ["boxes_height", "draw_boxes"]


def boxes_height(names: Iterable[str]) -> float:
    """Say how high the axes must be for `draw_boxes`.

    Parameters
    ----------
    names
        Of the boxes.

    Returns
    -------
    float
        Inches.
    """
    return max(1.2, sum(map(_row_height, names)))


def draw_boxes(
    ax: Axes, groups: Sequence[tuple[str, NDArray[np.float64]]], model: str = ""
) -> None:
    """Draw a box per group, from the top down: quartiles, whiskers, points, number of cells.

    Parameters
    ----------
    ax
        Where to draw.
    groups
        Name of each group and scores of its cells, at least one; float64, from 0 to 1.
    model
        What the title calls the model; may be empty.
    """
    colormap, random = potency_colormap(), np.random.RandomState(SEED)
    size = float(np.clip(4000 / sum(len(scores) for _, scores in groups), 0.4, 4))
    y, centres, points = 0.0, [], []
    for name, scores in groups:
        height = _row_height(name)
        middle = y + height / 2
        centres.append(middle)
        y += height
        low, median, high = np.percentile(scores, [25, 50, 75])
        reach = 1.5 * (high - low)
        inside = scores[(scores >= low - reach) & (scores <= high + reach)]
        ax.hlines(middle, inside.min(), inside.max(), color="black", linewidth=0.8, zorder=2)
        ax.barh(middle, high - low, 0.2, low, color=colormap(median), edgecolor="black",
                linewidth=0.8, zorder=3)  # fmt: skip
        ax.vlines(median, middle - 0.1, middle + 0.1, color="black", linewidth=1.6, zorder=5)
        points.append(np.column_stack([scores, middle + random.uniform(-0.09, 0.09, len(scores))]))
        ax.text(1.01, middle, f"{len(scores):,}", transform=ax.get_yaxis_transform(),
                va="center", fontsize=LEGEND_SIZE)  # fmt: skip
    every = np.concatenate(points)
    ax.scatter(*every.T, s=size, color="black", alpha=0.25, linewidths=0, rasterized=True, zorder=4)
    ax.set(xlim=(0, 1), ylim=(y, 0))
    names = [wrap(name) for name, _ in groups]
    ax.set_yticks(centres, names, fontsize=LEGEND_SIZE, parse_math=False)
    ax.vlines(POTENCY_EDGES[1:-1], 0, y, color="grey", linewidth=0.5, zorder=1)
    ax.set_xlabel("Potency score", fontsize=TEXT_SIZE)
    ax.set_xticks(np.linspace(0, 1, 11))
    ax.tick_params(axis="x", labelsize=LEGEND_SIZE)
    ax.tick_params(axis="y", length=0)
    ax.spines[["right", "top"]].set_visible(False)
    potencies = ax.secondary_xaxis("top")
    potencies.spines["top"].set_visible(False)
    name_potencies(potencies.xaxis)
    ax.annotate(
        *("cells", (1.01, 1), (0, 7)),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=LEGEND_SIZE,
    )
    title = "Developmental potential by phenotype" + (f" ({model})" if model else "")
    ax.set_title(title, fontsize=TITLE_SIZE, pad=22, parse_math=False)


def _row_height(name: str) -> float:
    """Inches that a box and the lines of its name need."""
    return max(0.28, 0.16 * (wrap(name).count("\n") + 1) + 0.08)
