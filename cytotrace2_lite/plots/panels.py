"""Figures of several plots: all plots of a result, and samples side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES, potency_of
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.plots._style import one_line
from cytotrace2_lite.plots.boxes import boxes_height, draw_bars, draw_violins
from cytotrace2_lite.plots.drawing import require_matplotlib

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from cytotrace2_lite.plots.boxes import Group

__all__ = ["ROW_WIDTH", "count_potencies", "draw_panel", "draw_samples", "titled"]

#: Inches, of axes of rows.
ROW_WIDTH = 6.5
_MAP = 4.5  # inches, of the side of a map
_APART, _ABOVE, _LEFT = 0.75, 0.55, 0.5  # inches between plots, and around them
_MOST_SAMPLES = 100


def titled(title: str, model: str) -> str:
    """Put a title and the name of the model together.

    Parameters
    ----------
    title
        What is shown.
    model
        As `Scores.model_label`; may be empty.

    Returns
    -------
    str
        One line.
    """
    return one_line(f"{title} ({model})" if model else title)


def count_potencies(scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """Count the cells of each potency.

    Parameters
    ----------
    scores
        `CytoTRACE2_Score`; float64, shape (n_cells,), none missing.

    Returns
    -------
    ndarray
        intp, shape (6,).
    """
    return np.bincount(potency_of(scores), minlength=len(POTENCIES))


def draw_panel(
    maps: Sequence[Callable[[Axes], Axes]],
    rows: Sequence[Callable[[Axes], Axes]],
    height: float,
) -> Figure:
    """Draw maps in two columns, and plots of rows below them.

    Parameters
    ----------
    maps
        Each draws a map on axes.
    rows
        Each draws rows on axes.
    height
        Of axes of rows, in inches.

    Returns
    -------
    matplotlib.figure.Figure
        As large as all of them need.
    """
    axes = [((_MAP, _MAP), draw) for draw in maps] + [((ROW_WIDTH, height), draw) for draw in rows]
    return _figure(axes, 2)


def draw_samples(groups: Sequence[Group], model: str) -> Figure:
    """Draw samples side by side: bars of their potencies, and violins of their scores.

    Parameters
    ----------
    groups
        Name of each sample and the scores of its cells, none missing.
    model
        As `Scores.model_label`.

    Returns
    -------
    matplotlib.figure.Figure
        With two axes, each with a row per sample.

    Raises
    ------
    CytoTRACE2Error
        matplotlib is not installed.
    UsageError
        There is no sample, or too many.
    """
    if not groups:
        raise UsageError("no cell has both a sample and a score.")
    if len(groups) > _MOST_SAMPLES:
        raise UsageError(
            f"there are {len(groups)} samples; the plot can show at most {_MOST_SAMPLES}."
        )
    size = (ROW_WIDTH, boxes_height(name for name, _ in groups))
    bars = [(name, count_potencies(scores)) for name, scores in groups]
    return _figure(
        [
            (size, lambda ax: draw_bars(ax, bars, titled("Potency by sample", model))),
            (
                size,
                lambda ax: draw_violins(
                    ax, groups, titled("Developmental potential by sample", model)
                ),
            ),
        ],
        2,
    )


def _figure(axes: Sequence[tuple[tuple[float, float], Callable[[Axes], Any]]], n: int) -> Figure:
    """Draw axes of given sizes, n side by side; each column is as wide as its plots need."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import RendererAgg

    from cytotrace2_lite.plots.notebook import PlotFigure, show_later

    figure = PlotFigure(figsize=(20, 20))
    renderer = RendererAgg(1, 1, figure.dpi)  # to measure with: it needs no pixels
    drawn, boxes = [], []
    for k, ((width, height), draw) in enumerate(axes):
        ax = figure.add_axes((0, 0, width / 20, height / 20), label=str(k))
        draw(ax)
        drawn.append(ax)
        box = ax.get_tightbbox(renderer)
        boxes.append(np.array([box.x0, box.y0, box.x1, box.y1]) / figure.dpi)
    left = [max(-box[0] for box in boxes[column::n]) for column in range(n)]
    right = [max(box[2] for box in boxes[column::n]) for column in range(n)]
    lines = [boxes[start : start + n] for start in range(0, len(boxes), n)]
    tops = [max(b[3] for b in line) for line in lines]
    bottoms = [max(-b[1] for b in line) for line in lines]
    gap, margin = 0.25, 0.1
    whole = (
        sum(left) + sum(right) + gap * (n - 1) + 2 * margin,
        sum(tops) + sum(bottoms) + gap * (len(lines) - 1) + 2 * margin,
    )
    figure.set_size_inches(*whole)
    y = whole[1] - margin
    for line, top, bottom in zip(range(len(lines)), tops, bottoms, strict=True):
        x = margin
        y -= top
        for column, ax in enumerate(drawn[line * n : line * n + n]):
            x += left[column]
            width, height = axes[line * n + column][0]
            # Plots of a line begin at one height.
            ax.set_position((x / whole[0], y / whole[1], width / whole[0], height / whole[1]))
            x += right[column] + gap
        y -= bottom + gap
    show_later(figure)
    return figure
