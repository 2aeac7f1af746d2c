"""Axes, and cells drawn on them as points.

Points are drawn in random order, so that no group of cells covers another, and with an outline, so
that light colours stand out. In PDF and SVG they are pixels: a file with an object per cell would
be large and slow to show.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.plots._style import (
    MISSING_COLOR,
    OUTLINE_COLOR,
    SEED,
    TEXT_SIZE,
    one_line,
)
from cytotrace2_lite.system.caches import prepare_caches

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = [
    "MAP_WIDTH",
    "Cells",
    "axes_for",
    "draw_points",
    "point_size",
    "prepare_axes",
    "require_matplotlib",
]

#: Inches; the least width of the picture of a map, so that maps in pictures of one width are of
#: one size.
MAP_WIDTH = 7.4

_SIDE = 4.5  # inches, of the square axes
_LONGEST_AXIS_NAME = 60


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells and where they are drawn.

    Attributes
    ----------
    coordinates
        float64, shape (n_cells, 2); NaN for a cell that is not drawn. At least one cell is drawn.
    axes
        Names of the two axes.
    known
        Which cells have the value to be shown; bool, shape (n_cells,). The others are grey.
    """

    coordinates: NDArray[np.float64]
    axes: tuple[str, str]
    known: NDArray[np.bool_]

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """Which cells have coordinates; bool, shape (n_cells,)."""
        finite = np.isfinite(self.coordinates)
        return finite[:, 0] & finite[:, 1]

    def in_random_order(self) -> NDArray[np.intp]:
        """List the cells that have coordinates and a value, in the order to draw them in.

        Returns
        -------
        ndarray
            Positions of cells; intp, shape (n_shown,). The order is the same every time.
        """
        shown = np.flatnonzero(self.known & self.drawn)
        return np.random.RandomState(SEED).permutation(shown)


def require_matplotlib() -> None:
    """Import matplotlib.

    Raises
    ------
    CytoTRACE2Error
        It is not installed.
    """
    prepare_caches()
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise CytoTRACE2Error(
            "Plots need the package matplotlib: pip install 'cytotrace2-lite[plot]'."
        ) from error


@contextlib.contextmanager
def axes_for(
    ax: Axes | None, width: float = _SIDE, height: float = _SIDE, least_width: float = 0.0
) -> Generator[Axes, None, None]:
    """Give axes to draw on.

    Parameters
    ----------
    ax
        Axes of the caller, which are used as they are. With None, a figure is made. At the end of
        the context it gets the size that everything drawn on it needs. A notebook shows it.
    width, height
        Of new axes, in inches.
    least_width
        Of the picture of new axes, in inches.

    Yields
    ------
    matplotlib.axes.Axes
        To draw on.

    Raises
    ------
    CytoTRACE2Error
        matplotlib is not installed.
    """
    require_matplotlib()
    if ax is not None:
        yield ax
        return
    from matplotlib.backends.backend_agg import RendererAgg

    from cytotrace2_lite.plots.notebook import PlotAxes, PlotFigure, show_later

    figure = PlotFigure(figsize=(width, height))
    ax = figure.add_axes((0, 0, 1, 1), axes_class=PlotAxes)
    yield ax
    # What measures texts needs no pixels of its own.
    box, margin = figure.get_tightbbox(RendererAgg(1, 1, figure.dpi)), 0.1
    whole = max(box.width + 2 * margin, least_width), box.height + 2 * margin
    figure.set_size_inches(*whole)
    ax.set_position(
        (
            (margin - box.x0) / whole[0],
            (margin - box.y0) / whole[1],
            width / whole[0],
            height / whole[1],
        )
    )
    # Over the picture, which legend or names of rows make wider than the axes.
    ax.title.set_x((whole[0] / 2 - margin + box.x0) / width)
    show_later(figure)


def point_size(cells: Cells) -> float:
    """Choose the area of a point, in square points: the more cells, the smaller.

    Parameters
    ----------
    cells
        The cells.

    Returns
    -------
    float
        From 0.4 to 24.
    """
    return float(np.clip(2 * (30_000 / cells.drawn.sum()) ** 0.7, 0.4, 24))


def prepare_axes(ax: Axes, cells: Cells) -> float:
    """Set the limits and names of axes, and draw the cells without a value.

    Parameters
    ----------
    ax
        Where to draw.
    cells
        The cells.

    Returns
    -------
    float
        Area of a point, as `point_size` chooses it.
    """
    drawn = cells.drawn
    size = point_size(cells)
    for axis, name, values in zip("xy", cells.axes, cells.coordinates[drawn].T, strict=True):
        low, high = float(values.min()), float(values.max())
        margin = 0.04 * (high - low) or 1.0
        ax.set(**{f"{axis}lim": (low - margin, high + margin), f"{axis}ticks": []})
        label = one_line(name)[:_LONGEST_AXIS_NAME]
        getattr(ax, f"set_{axis}label")(label, fontsize=TEXT_SIZE, parse_math=False)
    ax.set_box_aspect(1)
    ax.spines[["right", "top"]].set_visible(False)
    missing = np.flatnonzero(drawn & ~cells.known)
    if len(missing):
        _add_collection(ax, cells.coordinates[missing], MISSING_COLOR, size)
    return size


def draw_points(
    ax: Axes,
    coordinates: NDArray[np.float64],
    colors: NDArray[np.float64],
    size: float,
    markers: Sequence[str] = ("o",),
    marker: NDArray[np.intp] | None = None,
) -> None:
    """Draw points with an outline.

    Parameters
    ----------
    ax
        Where to draw.
    coordinates
        float64, shape (n_points, 2), in the order in which they are drawn.
    colors
        RGBA values from 0 to 1, shape (n_points, 4).
    size
        Area of a point without its outline, in square points.
    markers
        Shapes of points, as matplotlib names them.
    marker
        Position in `markers` of the shape of each point, shape (n_points,); by default all points
        have the first.
    """
    outlined = (math.sqrt(size) + min(0.8, 0.25 * math.sqrt(size))) ** 2
    _add_collection(ax, coordinates, OUTLINE_COLOR, outlined, markers, marker)
    _add_collection(ax, coordinates, colors, size, markers, marker)


def _add_collection(
    ax: Axes,
    coordinates: NDArray[np.float64],
    colors: Any,
    size: float,
    markers: Sequence[str] = ("o",),
    marker: NDArray[np.intp] | None = None,
) -> None:
    """Draw points of several shapes in the order given; `Axes.scatter` has one shape per call."""
    from matplotlib.collections import PathCollection
    from matplotlib.markers import MarkerStyle
    from matplotlib.transforms import IdentityTransform

    styles = [MarkerStyle(name) for name in markers]
    paths = [style.get_path().transformed(style.get_transform()) for style in styles]
    if marker is not None and len(set(markers)) > 1:
        paths = [paths[k] for k in marker]
    points = PathCollection(
        paths[: max(len(coordinates), 1)],
        [size],
        offsets=coordinates,
        offset_transform=ax.transData,
        facecolors=colors,
        edgecolors="none",
        rasterized=True,
    )
    points.set_transform(IdentityTransform())
    ax.add_collection(points, autolim=False)
