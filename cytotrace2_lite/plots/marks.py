"""What tells the groups of cells of one plot apart: colours, shapes, and names on the cells."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.plots._style import LABEL_COLORS, LEGEND_SIZE, MARKERS, SEED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from cytotrace2_lite.plots.drawing import Cells

__all__ = ["label_looks", "write_marks"]

_N_FIELDS = 20  # along each axis, where the densest place of a group is looked for


def label_looks(cells: Cells, index: NDArray[np.intp], n_labels: int) -> Iterator[tuple[str, str]]:
    """Choose colours and markers of labels.

    A colour is used again only after all others were. It then goes to the label that is farthest
    from its earlier uses, with the next marker.

    Parameters
    ----------
    cells
        Where they are drawn.
    index
        Number of the label of each cell; intp, shape (n_cells,), -1 for none.
    n_labels
        How many labels there are.

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
        yield LABEL_COLORS[color], MARKERS[len(uses[color]) % len(MARKERS)]
        uses[color].append(place)


def write_marks(
    ax: Axes, coordinates: NDArray[np.float64], index: NDArray[np.intp], marks: Mapping[int, str]
) -> None:
    """Write the mark of each group on its cells, where they are densest.

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
    """
    from matplotlib.patheffects import withStroke

    low = np.array([ax.get_xlim()[0], ax.get_ylim()[0]])
    span = np.array([ax.get_xlim()[1], ax.get_ylim()[1]]) - low
    unit = (coordinates - low) / span
    present = [k for k in marks if (index == k).any()]
    if not present:
        return
    width = 0.018 * max(len(marks[k]) for k in present) + 0.01
    places = _apart(np.array([_densest(unit[index == k]) for k in present]), width, 0.045)
    for k, place in zip(present, places, strict=True):
        ax.text(
            *place,
            marks[k],
            parse_math=False,
            transform=ax.transAxes,
            ha="center",
            va="center",
            fontsize=LEGEND_SIZE,
            fontweight="bold",
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


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


def _apart(places: NDArray[np.float64], width: float, height: float) -> NDArray[np.float64]:
    """Push texts away from each other and from the border of the axes.

    Parameters
    ----------
    places
        Where their middles should be, in the unit square; float64, shape (n_texts, 2).
    width, height
        Size of a text, as a share of the axes.

    Returns
    -------
    ndarray
        Where their middles are, as `places`. Texts may still overlap where there are too many.
    """
    size = np.array([width, height])
    # Two texts at one place would have no direction to be pushed in.
    places = places / size + np.random.RandomState(SEED).uniform(-1e-3, 1e-3, places.shape)
    for _ in range(200):
        places = places.clip(0.5, 1 / size - 0.5)
        offset = places[:, None] - places
        length = np.hypot(offset[..., 0], offset[..., 1])
        np.fill_diagonal(length, np.inf)
        overlap = np.clip(1 - length, 0, None)
        if not overlap.any():
            break
        places = places + 0.5 * (offset * (overlap / length)[..., None]).sum(axis=1)
    apart: NDArray[np.float64] = places * size
    return apart
