"""What tells the groups of cells of one plot apart: colours, shapes, and names on the cells."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.plots._style import (
    LABEL_COLORS,
    LEGEND_SIZE,
    MARKERS,
    OUTLINE_COLOR,
    SHADES,
    shaded,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from cytotrace2_lite.plots.drawing import Cells

__all__ = ["label_looks", "write_marks"]

_N_FIELDS = 20  # along each axis, where the densest place of a group is looked for
_N_PLACES = 100  # along each axis, where a text may be
_REACH = 0.22  # how far a text goes to a place without cells, as a share of the axes
_BESIDE, _LEAST_LINE = 0.03, 0.012  # shares of the axes
_LINE = {"arrowstyle": "-", "color": OUTLINE_COLOR, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 0}


def label_looks(
    cells: Cells, index: NDArray[np.intp], n_labels: int, *, with_shapes: bool = True
) -> Iterator[tuple[str, str]]:
    """Choose colours and markers of labels.

    A colour is used again only after all others were. It then goes to the label that is farthest
    from its earlier uses, with the next marker, or lighter and darker without markers.

    Parameters
    ----------
    cells
        Where they are drawn.
    index
        Number of the label of each cell; intp, shape (n_cells,), -1 for none.
    n_labels
        How many labels there are.
    with_shapes
        Whether points are large enough to have different shapes.

    Yields
    ------
    color, marker : str
        Of each label.
    """
    coordinates, drawn = cells.coordinates, cells.drawn
    unit = coordinates - coordinates[drawn].min(axis=0)
    unit /= unit[drawn].max(axis=0).clip(np.finfo(float).tiny)
    uses: list[list[NDArray[np.float64]]] = [[] for _ in LABEL_COLORS]
    for k in range(n_labels):
        own = drawn & (index == k)
        place = _densest(unit[own]) if own.any() else np.zeros(2)
        nearest = [
            min((float(np.hypot(*(place - other))) for other in places), default=math.inf)
            for places in uses
        ]
        color = int(np.argmax(nearest))
        n_uses = len(uses[color])
        if with_shapes:
            yield LABEL_COLORS[color], MARKERS[n_uses % len(MARKERS)]
        else:
            yield shaded(LABEL_COLORS[color], SHADES[n_uses % len(SHADES)]), MARKERS[0]
        uses[color].append(place)


def write_marks(
    ax: Axes,
    coordinates: NDArray[np.float64],
    index: NDArray[np.intp],
    marks: Mapping[int, str],
    size: float,
) -> None:
    """Write the mark of each group near its cells, where it covers few; a line leads to them.

    Parameters
    ----------
    ax
        Where the cells are drawn; its limits are set already.
    coordinates
        Of the cells that are drawn; float64, shape (n_shown, 2).
    index
        Number of the group of each; intp, shape (n_shown,).
    marks
        Text by number of the group. A group without cells gets none.
    size
        Area of the point of a cell, in square points.
    """
    from matplotlib.patheffects import withStroke

    low = np.array([ax.get_xlim()[0], ax.get_ylim()[0]])
    span = np.array([ax.get_xlim()[1], ax.get_ylim()[1]]) - low
    unit = (coordinates - low) / span
    present = [k for k in marks if (index == k).any()]
    if not present:
        return
    extent, dpi = ax.get_window_extent(), ax.figure.dpi
    inches = np.array([extent.width, extent.height]) / dpi
    texts = np.array([(0.08 * len(marks[k]) + 0.05, 0.17) for k in present])
    sizes = (texts + math.sqrt(size) / 72) / inches  # a point is covered with its rim
    anchors = np.array([_densest(unit[index == k]) for k in present])
    places = _free_places(unit, anchors, sizes)
    halo = [withStroke(linewidth=2.5, foreground="white")]
    for k, anchor, place, own in zip(present, anchors, places, sizes, strict=True):
        near = (np.abs(unit - place) < own / 2 + _BESIDE).all(axis=1)
        # No line where it is seen whose cells are beside the text.
        is_away = (index[near] == k).sum() * 2 <= near.sum()
        is_away &= (np.abs(anchor - place) > own / 2 + _LEAST_LINE).any()
        text = ax.annotate(
            marks[k],
            anchor,
            place,
            parse_math=False,
            xycoords="axes fraction",
            textcoords="axes fraction",
            ha="center",
            va="center",
            fontsize=LEGEND_SIZE,
            fontweight="bold",
            arrowprops=_LINE if is_away else None,
        )
        text.set_path_effects(halo)
        if is_away:
            text.arrow_patch.set_path_effects([withStroke(linewidth=2, foreground="white")])


def _free_places(
    points: NDArray[np.float64], anchors: NDArray[np.float64], sizes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Find places for texts that are near, and cover few points and no other text.

    Parameters
    ----------
    points
        In the unit square; float64, shape (n_points, 2).
    anchors
        What the texts belong to; float64, shape (n_texts, 2).
    sizes
        Width and height of each text, as shares of the square; float64, shape (n_texts, 2).

    Returns
    -------
    ndarray
        Where their middles are, as `anchors`. Texts overlap where there are too many.
    """
    edges = np.linspace(0, 1, _N_PLACES + 1)
    n_points, _, _ = np.histogram2d(points[:, 0], points[:, 1], bins=[edges, edges])
    # sums[i, j] is the number of points in all fields before i and j.
    sums = np.pad(n_points.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    middles = (edges[:-1] + edges[1:]) / 2
    grid = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1)
    places = anchors.copy()
    done: list[int] = []
    for k in np.argsort(-sizes[:, 0], kind="stable"):  # long texts find a place least easily
        half = sizes[k] / 2
        low = np.rint((middles[:, None] - half) * _N_PLACES).astype(int).clip(0, _N_PLACES)
        high = np.rint((middles[:, None] + half) * _N_PLACES).astype(int).clip(0, _N_PLACES)
        covered = (
            sums[np.ix_(high[:, 0], high[:, 1])]
            - sums[np.ix_(low[:, 0], high[:, 1])]
            - sums[np.ix_(high[:, 0], low[:, 1])]
            + sums[np.ix_(low[:, 0], low[:, 1])]
        )
        distance = np.hypot(*np.moveaxis(grid - anchors[k], -1, 0))
        most = covered[distance < _REACH].max(initial=1)
        cost = distance + _REACH * np.sqrt(np.minimum(covered / most, 1))
        cost[(np.abs(grid - 0.5) > 0.5 - half).any(axis=-1)] += 10  # over the border
        for other in done:
            near = np.abs(grid - places[other]) < (sizes[k] + sizes[other]) / 2
            cost[near.all(axis=-1)] += 5
        places[k] = grid[np.unravel_index(cost.argmin(), cost.shape)]
        done.append(int(k))
    return places


def _densest(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find the densest place of points: the median of those in and around the fullest field.

    Parameters
    ----------
    points
        In the unit square; float64, shape (n_points, 2), at least one.

    Returns
    -------
    ndarray
        float64, shape (2,).
    """
    field = np.minimum((points * _N_FIELDS).astype(int), _N_FIELDS - 1)
    numbers, n_points = np.unique(field @ [_N_FIELDS, 1], return_counts=True)
    fullest = divmod(int(numbers[n_points.argmax()]), _N_FIELDS)
    near = (np.abs(field - fullest) <= 1).all(axis=1)
    middle: NDArray[np.float64] = np.median(points[near], axis=0)
    return middle
