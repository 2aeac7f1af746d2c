"""Cells drawn by group with a legend, or by value with a colour bar."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from cytotrace2_lite.base.potency import POTENCY_EDGES
from cytotrace2_lite.plots._style import (
    LEGEND_SIZE,
    MISSING_COLOR,
    OUTLINE_COLOR,
    TEXT_SIZE,
    name_potencies,
    wrap,
)
from cytotrace2_lite.plots.drawing import draw_points, prepare_axes
from cytotrace2_lite.plots.marks import write_marks

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray

    from cytotrace2_lite.plots.drawing import Cells

__all__ = ["Group", "draw_groups", "draw_values", "show_potencies", "shows_shapes"]

_SMALLEST_SHAPE = 4.0  # points across; of smaller points, many of a shape fuse to one area


def shows_shapes(size: float) -> bool:
    """Tell whether points of an area in square points are large enough to have shapes."""
    return size >= _SMALLEST_SHAPE**2


class Group(NamedTuple):
    """Cells that look alike, and their entry in the legend.

    Attributes
    ----------
    label
        What the legend calls them.
    color, marker
        How they are drawn.
    mark
        What is written on them; "" for nothing. The legend has it, too, where it is another text
        than the label.
    """

    label: str
    color: str
    marker: str
    mark: str


def draw_groups(
    ax: Axes, cells: Cells, index: NDArray[np.intp], groups: Sequence[Group], missing: str
) -> None:
    """Draw cells in the colours of their groups, with a legend to the right.

    Parameters
    ----------
    ax
        Where to draw.
    cells
        The cells; `known` are those of a group.
    index
        Number of the group of each cell; intp, shape (n_cells,).
    groups
        In the order of the legend, which also has the groups without cells.
    missing
        What the legend calls the other cells.
    """
    from matplotlib.colors import to_rgba_array
    from matplotlib.lines import Line2D

    size = prepare_axes(ax, cells)
    shown = cells.in_random_order()
    markers = [group.marker if shows_shapes(size) else "o" for group in groups]
    colors = to_rgba_array([group.color for group in groups])
    draw_points(ax, cells.coordinates[shown], colors[index[shown]], size, markers, index[shown])
    marks = {k: group.mark for k, group in enumerate(groups) if group.mark}
    write_marks(ax, cells.coordinates[shown], index[shown], marks, size)

    handles, texts = [], []
    for k, group in enumerate(groups):
        style = {"marker": markers[k], "markeredgecolor": OUTLINE_COLOR, "markeredgewidth": 0.5}
        handles.append(Line2D([], [], linestyle="", markersize=7, color=group.color, **style))
        texts.append(_legend_text(group, int((cells.known & (index == k)).sum())))
    n_missing = int((~cells.known).sum())
    if n_missing:
        handles.append(Line2D([], [], linestyle="", marker="o", color=MISSING_COLOR))
        texts.append(f"{missing} ({n_missing:,})")
    n_lines = sum(text.count("\n") + 1 for text in texts)
    inches = ax.get_window_extent().height / ax.figure.dpi
    n_columns = math.ceil(n_lines * 1.3 * LEGEND_SIZE / 72 / inches)
    legend = ax.legend(
        handles,
        [str(k) for k in range(len(texts))],
        loc="upper left",
        bbox_to_anchor=(1.02, 1),
        borderaxespad=0,
        frameon=False,
        fontsize=LEGEND_SIZE,
        title_fontsize=TEXT_SIZE,
        alignment="left",
        handletextpad=0.4,
        ncols=n_columns,
    )
    # Set afterwards: matplotlib leaves out a label that begins with "_", and takes "$" for maths.
    for artist, text in zip(legend.get_texts(), texts, strict=True):
        artist.set_parse_math(False)
        artist.set_text(text)


def _legend_text(group: Group, n_cells: int) -> str:
    """Put together mark, label and number of cells; further lines of a label are indented."""
    number = f"{group.mark}  " if group.mark not in {"", group.label} else ""
    indent = "  " * len(group.mark) + "  " if number else ""  # a digit is two spaces wide
    label = wrap(group.label).replace("\n", f"\n{indent}")
    return f"{number}{label} ({n_cells:,})"


def draw_values(
    ax: Axes,
    cells: Cells,
    values: NDArray[np.float64],
    colormap: Colormap,
    title: str,
    left: float = 1.05,
) -> Axes:
    """Draw cells in the colours of their values, with a colour bar to the right.

    Parameters
    ----------
    ax
        Where to draw.
    cells
        The cells.
    values
        From 0 to 1; float64, shape (n_cells,).
    colormap
        Their colours.
    title
        Of the colour bar.
    left
        Where the colour bar starts, in widths of the axes.

    Returns
    -------
    matplotlib.axes.Axes
        The colour bar.
    """
    from matplotlib.cm import ScalarMappable

    size = prepare_axes(ax, cells)
    shown = cells.in_random_order()
    draw_points(ax, cells.coordinates[shown], colormap(values[shown]), size)
    bar: Axes = ax.inset_axes((left, 0, 0.05, 0.92))
    colors = ax.figure.colorbar(ScalarMappable(cmap=colormap), cax=bar)
    colors.outline.set_linewidth(0.6)
    # As vectors, a colour bar is hundreds of stripes, between which many viewers show seams.
    colors.solids.set_rasterized(True)
    bar.set_title(title, fontsize=TEXT_SIZE, loc="left", pad=10)
    bar.tick_params(labelsize=LEGEND_SIZE)
    return bar


def show_potencies(bar: Axes) -> None:
    """Write the potencies and their bounds on a colour bar of scores.

    Parameters
    ----------
    bar
        The colour bar, as `draw_values` returns it.
    """
    name_potencies(bar.yaxis)
    bar.hlines(POTENCY_EDGES[1:-1], 0, 1, color="black", linewidth=0.6)
    bounds = bar.secondary_yaxis("left")
    bounds.set_yticks(POTENCY_EDGES, [f"{bound:.2f}" for bound in POTENCY_EDGES])
    bounds.tick_params(labelsize=LEGEND_SIZE)
