"""Colours, marker shapes and sizes of the plots, and how they show text.

Source: cytotrace2_py 1.1.0.4 `plot_all_outputs` (colours of the relative order).
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.base.potency import POTENCIES, POTENCY_COLORS, POTENCY_EDGES
from cytotrace2_lite.text import printable

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray

__all__ = [
    "LABEL_COLORS",
    "LEGEND_SIZE",
    "MARKERS",
    "MISSING_COLOR",
    "OUTLINE_COLOR",
    "POTENCY_COLORS",
    "RELATIVE_COLORS",
    "SEED",
    "SHADES",
    "TEXT_SIZE",
    "TITLE_SIZE",
    "name_potencies",
    "one_line",
    "potency_colormap",
    "relative_colormap",
    "shaded",
    "wrap",
]

#: Colours of the relative order, from 0 to 1.
RELATIVE_COLORS = ("#000004", "#3B0F70", "#8C2981", "#DE4968", "#FE9F6D", "#FCFDBF")
#: Colours of labels: Paul Tol's "muted" scheme, which people with any colour vision can tell apart.
LABEL_COLORS = (
    *("#332288", "#DDCC77", "#117733", "#88CCEE", "#CC6677"),
    *("#44AA99", "#882255", "#999933", "#AA4499"),
)
#: How much white (above 0) or black (below) is mixed to a colour that is used again where all
#: points have one shape.
SHADES = (0.0, 0.45, -0.4)
#: Shapes of points, as matplotlib names them.
MARKERS = "os^DvP"
#: Colour of cells without a value.
MISSING_COLOR = "#D9D9D9"
#: Colour of the outline of points: light colours stand out by it.
OUTLINE_COLOR = "#404040"

#: Font sizes, in points.
TITLE_SIZE, TEXT_SIZE, LEGEND_SIZE = 12, 10, 9
#: Seed of everything that is drawn at random.
SEED = 14


def potency_colormap() -> Colormap:
    """Make the colour map of scores.

    Returns
    -------
    matplotlib.colors.Colormap
        For scores from 0 to 1. The middle of a potency's range has the colour of the potency;
        between the middles colours are interpolated. Below the lowest middle and above the highest
        the colour stays the same.
    """
    from matplotlib.colors import LinearSegmentedColormap

    nodes = [0.0, *_middles(), 1.0]
    colors = [POTENCY_COLORS[0], *POTENCY_COLORS, POTENCY_COLORS[-1]]
    return LinearSegmentedColormap.from_list(
        "potency", list(zip(nodes, colors, strict=True)), N=1200
    )


def relative_colormap() -> Colormap:
    """Make the colour map of the relative order.

    Returns
    -------
    matplotlib.colors.Colormap
        For values from 0 to 1.
    """
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("relative order", RELATIVE_COLORS)


def name_potencies(axis: Any) -> None:
    """Write the name of each potency at the middle of its range of scores.

    Parameters
    ----------
    axis
        A `matplotlib.axis.Axis` of scores.
    """
    axis.set_ticks(_middles(), POTENCIES)
    axis.set_tick_params(length=0, labelsize=LEGEND_SIZE)


def one_line(text: str) -> str:
    """Replace all white space between words by single spaces, and escape what is not printable.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    str
        One line.
    """
    return printable(" ".join(text.split()))


def shaded(color: str, shade: float) -> str:
    """Mix a colour with white or black.

    Parameters
    ----------
    color
        As "#RRGGBB".
    shade
        The share of white, from 0 to 1, or, below 0, that of black.

    Returns
    -------
    str
        As "#RRGGBB".
    """
    goal = 255 if shade > 0 else 0
    parts = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(part + abs(shade) * (goal - part)):02X}" for part in parts)


def wrap(text: str) -> str:
    """Break a label into at most three lines of at most 30 characters.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    str
        It ends in "…" where something was cut off.
    """
    return textwrap.fill(one_line(text), 30, max_lines=3, placeholder=" …")


def _middles() -> NDArray[np.float64]:
    """Middles of the potencies' ranges of scores, shape (6,)."""
    middles: NDArray[np.float64] = (POTENCY_EDGES[:-1] + POTENCY_EDGES[1:]) / 2
    return middles
