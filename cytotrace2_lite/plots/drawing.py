"""How the plots are drawn: axes, points, marks on them, legends, colour bars, boxes.

Points are rasterised in vector formats, drawn in random order so that no class covers another, and
outlined so that light colours stand out.

Source: cytotrace2_py 1.1.0.4 `plot_all_outputs` (colours, scales).
"""

from __future__ import annotations

import contextlib
import math
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES, POTENCY_EDGES
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.system.caches import prepare_caches
from cytotrace2_lite.text import printable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray

__all__ = [
    "MARKERS",
    "POTENCY_COLORS",
    "RELATIVE_COLORS",
    "Cells",
    "Class",
    "axes_for",
    "boxes_height",
    "draw_boxes",
    "draw_classes",
    "draw_values",
    "label_looks",
    "one_line",
    "potency_colormap",
    "show_potencies",
]

POTENCY_COLORS = ("#5E4FA2", "#66C2A5", "#E6F598", "#FEE08B", "#F46D43", "#9E0142")
RELATIVE_COLORS = ("#000004", "#3B0F70", "#8C2981", "#DE4968", "#FE9F6D", "#FCFDBF")
# Paul Tol's "muted" scheme, made to be told apart with any colour vision.
_LABEL_COLORS = (
    *("#332288", "#DDCC77", "#117733", "#88CCEE", "#CC6677"),
    *("#44AA99", "#882255", "#999933", "#AA4499"),
)
MARKERS = "os^DvP"
_MISSING_COLOR = "#D9D9D9"
_OUTLINE_COLOR = "#404040"

_SEED = 14
_SIDE = 4.5  # inches, of the square axes
TITLE_SIZE, _TEXT_SIZE, _LEGEND_SIZE = 12, 10, 9  # points
_LONGEST_AXIS_NAME = 60


class Cells(NamedTuple):
    """Cells and where they are drawn.

    Attributes
    ----------
    coordinates
        float64, shape (n_cells, 2); NaN for a cell that is not drawn, at least one is.
    axes
        Names of the two axes.
    known
        Which cells have the value to be shown, shape (n_cells,); the others are drawn in grey.
    """

    coordinates: NDArray[np.float64]
    axes: tuple[str, str]
    known: NDArray[np.bool_]


class Class(NamedTuple):
    """One entry of a legend; `mark`, where there is one, is written on its cells."""

    label: str
    color: str
    marker: str
    mark: str


@contextlib.contextmanager
def axes_for(
    ax: Axes | None, width: float = _SIDE, height: float = _SIDE
) -> Generator[Axes, None, None]:
    """Give axes to draw on.

    Parameters
    ----------
    ax
        These, or those of a new figure, which in the end gets the size that all on it needs.
    width, height
        Of new axes, in inches.

    Yields
    ------
    matplotlib.axes.Axes
        To draw on.

    Raises
    ------
    CytoTRACE2Error
        matplotlib is not installed.
    """
    prepare_caches()
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CytoTRACE2Error(
            "Plots need the package matplotlib: pip install 'cytotrace2-lite[plot]'."
        ) from error
    if ax is not None:
        yield ax
        return
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0, 0, 1, 1))
    yield ax
    box, margin = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer()), 0.1
    whole = box.width + 2 * margin, box.height + 2 * margin
    figure.set_size_inches(*whole)
    ax.set_position(
        (
            (margin - box.x0) / whole[0],
            (margin - box.y0) / whole[1],
            width / whole[0],
            height / whole[1],
        )
    )


def label_looks(cells: Cells, index: NDArray[np.intp], n_labels: int) -> Iterator[tuple[str, str]]:
    """Choose colours and markers of labels.

    Parameters
    ----------
    cells
        Where they are drawn.
    index
        Number of the label of each cell, shape (n_cells,).
    n_labels
        How many there are.

    Yields
    ------
    color, marker : str
        Of each label. A colour comes again only after all others, where it is farthest from its
        earlier uses, and with the next marker.
    """
    coordinates = cells.coordinates
    drawn = np.isfinite(coordinates).all(axis=1)
    unit = coordinates - coordinates[drawn].min(axis=0)
    unit /= unit[drawn].max(axis=0).clip(np.finfo(float).tiny)
    uses: list[list[NDArray[np.float64]]] = [[] for _ in _LABEL_COLORS]
    for k in range(n_labels):
        own = drawn & (index == k)
        place = _densest(unit[own]) if own.any() else np.zeros(2)
        nearest = [
            min((float(np.hypot(*(place - other))) for other in places), default=math.inf)
            for places in uses
        ]
        color = int(np.argmax(nearest))
        yield _LABEL_COLORS[color], MARKERS[len(uses[color]) % len(MARKERS)]
        uses[color].append(place)


def draw_classes(
    ax: Axes, cells: Cells, index: NDArray[np.intp], classes: Sequence[Class], missing: str
) -> None:
    """Draw cells in the colours of classes, with a legend to the right.

    Parameters
    ----------
    ax
        Where to draw.
    cells
        The cells; `known` are those of a class.
    index
        Number of the class of each cell, shape (n_cells,).
    classes
        In the order of the legend, those without cells included.
    missing
        What the legend calls the other cells.
    """
    from matplotlib.colors import to_rgba_array
    from matplotlib.lines import Line2D

    size = _prepare(ax, cells)
    shown = _shown(cells)
    # Shapes cannot be seen on points of less than 2.5 points.
    markers = [entry.marker if size >= 2.5**2 else "o" for entry in classes]
    colors = to_rgba_array([entry.color for entry in classes])
    _draw_points(ax, cells.coordinates[shown], colors[index[shown]], size, markers, index[shown])
    marks = {k: entry.mark for k, entry in enumerate(classes) if entry.mark}
    _write_marks(ax, cells.coordinates[shown], index[shown], marks)

    handles, texts = [], []
    for k, entry in enumerate(classes):
        style = {"marker": markers[k], "markeredgecolor": _OUTLINE_COLOR, "markeredgewidth": 0.5}
        handles.append(Line2D([], [], linestyle="", markersize=7, color=entry.color, **style))
        number = f"{entry.mark}  " if entry.mark not in {"", entry.label} else ""
        n_cells = int((cells.known & (index == k)).sum())
        indent = "  " * len(entry.mark) + "  " if number else ""  # a digit is two spaces wide
        label = _wrap(entry.label).replace("\n", f"\n{indent}")
        texts.append(f"{number}{label} ({n_cells:,})")
    n_missing = int((~cells.known).sum())
    if n_missing:
        handles.append(Line2D([], [], linestyle="", marker="o", color=_MISSING_COLOR))
        texts.append(f"{missing} ({n_missing:,})")
    n_lines = sum(text.count("\n") + 1 for text in texts)
    inches = ax.get_window_extent().height / ax.figure.dpi
    n_columns = math.ceil(n_lines * 1.3 * _LEGEND_SIZE / 72 / inches)
    legend = ax.legend(
        handles,
        [str(k) for k in range(len(texts))],
        loc="upper left",
        bbox_to_anchor=(1.02, 1),
        borderaxespad=0,
        frameon=False,
        fontsize=_LEGEND_SIZE,
        title_fontsize=_TEXT_SIZE,
        alignment="left",
        handletextpad=0.4,
        ncols=n_columns,
    )
    for artist, text in zip(legend.get_texts(), texts, strict=True):
        artist.set_parse_math(False)
        artist.set_text(text)


def draw_values(
    ax: Axes,
    cells: Cells,
    values: NDArray[np.float64],
    colormap: Colormap,
    title: str,
    left: float = 1.05,
) -> Axes:
    """Draw cells in the colours of their values.

    Parameters
    ----------
    ax
        Where to draw.
    cells
        The cells.
    values
        0 to 1, shape (n_cells,).
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

    size = _prepare(ax, cells)
    shown = _shown(cells)
    _draw_points(ax, cells.coordinates[shown], colormap(values[shown]), size)
    bar: Axes = ax.inset_axes((left, 0, 0.05, 0.92))
    colors = ax.figure.colorbar(ScalarMappable(cmap=colormap), cax=bar)
    colors.outline.set_linewidth(0.6)
    colors.solids.set_rasterized(True)  # hundreds of stripes, with seams in many viewers
    bar.set_title(title, fontsize=_TEXT_SIZE, loc="left", pad=10)
    bar.tick_params(labelsize=_LEGEND_SIZE)
    return bar


def _prepare(ax: Axes, cells: Cells) -> float:
    """Set up the axes, draw the cells without value, and return the size of points."""
    drawn = np.isfinite(cells.coordinates).all(axis=1)
    for axis, name, values in zip("xy", cells.axes, cells.coordinates[drawn].T, strict=True):
        low, high = float(values.min()), float(values.max())
        margin = 0.04 * (high - low) or 1.0
        ax.set(**{f"{axis}lim": (low - margin, high + margin), f"{axis}ticks": []})
        label = one_line(name)[:_LONGEST_AXIS_NAME]
        getattr(ax, f"set_{axis}label")(label, fontsize=_TEXT_SIZE, parse_math=False)
    ax.set_box_aspect(1)
    ax.spines[["right", "top"]].set_visible(False)
    ax.set_title("CytoTRACE 2", fontsize=TITLE_SIZE)
    size = float(np.clip(2 * (30_000 / drawn.sum()) ** 0.7, 0.4, 24))
    missing = np.flatnonzero(drawn & ~cells.known)
    if len(missing):
        _add_collection(ax, cells.coordinates[missing], _MISSING_COLOR, size)
    return size


def _shown(cells: Cells) -> NDArray[np.intp]:
    """List the cells to draw in random order: one class on top would hide the others."""
    shown = np.flatnonzero(cells.known & np.isfinite(cells.coordinates).all(axis=1))
    return np.random.RandomState(_SEED).permutation(shown)


def _draw_points(
    ax: Axes,
    coordinates: NDArray[np.float64],
    colors: NDArray[np.float64],
    size: float,
    markers: Sequence[str] = ("o",),
    marker: NDArray[Any] | None = None,
) -> None:
    outlined = (math.sqrt(size) + min(0.8, 0.25 * math.sqrt(size))) ** 2
    _add_collection(ax, coordinates, _OUTLINE_COLOR, outlined, markers, marker)
    _add_collection(ax, coordinates, colors, size, markers, marker)


def _add_collection(
    ax: Axes,
    coordinates: NDArray[np.float64],
    colors: Any,
    size: float,
    markers: Sequence[str] = ("o",),
    marker: NDArray[Any] | None = None,
) -> None:
    """Draw points of several shapes in the order given, which `scatter` cannot."""
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


def _write_marks(
    ax: Axes, coordinates: NDArray[np.float64], index: NDArray[Any], marks: Mapping[int, str]
) -> None:
    """Write on the cells of a class where they are densest."""
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
            fontsize=_LEGEND_SIZE,
            fontweight="bold",
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


def _densest(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of the points in and around the fullest of 20 x 20 fields."""
    field = np.minimum((points * 20).astype(int), 19)
    numbers, n_points = np.unique(field @ [20, 1], return_counts=True)
    fullest = divmod(int(numbers[n_points.argmax()]), 20)
    near = (np.abs(field - fullest) <= 1).all(axis=1)
    middle: NDArray[np.float64] = np.median(points[near], axis=0)
    return middle


def _apart(places: NDArray[np.float64], width: float, height: float) -> NDArray[np.float64]:
    """Push texts of a size, in the middle of places, away from each other and from the border."""
    size = np.array([width, height])
    # So that none coincide.
    places = places / size + np.random.RandomState(_SEED).uniform(-1e-3, 1e-3, places.shape)
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


def boxes_height(names: Iterable[str]) -> float:
    """Tell how high `draw_boxes` needs its axes.

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


def draw_boxes(ax: Axes, groups: Sequence[tuple[str, NDArray[np.float64]]]) -> None:
    """Draw a box of scores per group, from the top down.

    Parameters
    ----------
    ax
        Where to draw.
    groups
        Names and scores, at least one each.
    """
    colormap, random = potency_colormap(), np.random.RandomState(_SEED)
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
                va="center", fontsize=_LEGEND_SIZE)  # fmt: skip
    every = np.concatenate(points)
    ax.scatter(*every.T, s=size, color="black", alpha=0.25, linewidths=0, rasterized=True, zorder=4)
    ax.set(xlim=(0, 1), ylim=(y, 0))
    names = [_wrap(name) for name, _ in groups]
    ax.set_yticks(centres, names, fontsize=_LEGEND_SIZE, parse_math=False)
    ax.vlines(POTENCY_EDGES[1:-1], 0, y, color="grey", linewidth=0.5, zorder=1)
    ax.set_xlabel("Potency score", fontsize=_TEXT_SIZE)
    ax.set_xticks(np.linspace(0, 1, 11))
    ax.tick_params(axis="x", labelsize=_LEGEND_SIZE)
    ax.tick_params(axis="y", length=0)
    ax.spines[["right", "top"]].set_visible(False)
    potencies = ax.secondary_xaxis("top")
    potencies.spines["top"].set_visible(False)
    _name_potencies(potencies.xaxis)
    ax.annotate(
        *("cells", (1.01, 1), (0, 7)),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=_LEGEND_SIZE,
    )
    ax.set_title("Developmental potential by phenotype", fontsize=TITLE_SIZE, pad=22)


def _row_height(name: str) -> float:
    return max(0.28, 0.16 * (_wrap(name).count("\n") + 1) + 0.08)


def potency_colormap() -> Colormap:
    """Make the colour map of scores.

    Returns
    -------
    matplotlib.colors.Colormap
        For 0 to 1: the colour of each category in the middle of its range, and beyond the
        outermost middles.
    """
    from matplotlib.colors import LinearSegmentedColormap

    bounds = POTENCY_EDGES
    nodes = [0.0, *(bounds[:-1] + bounds[1:]) / 2, 1.0]
    colors = [POTENCY_COLORS[0], *POTENCY_COLORS, POTENCY_COLORS[-1]]
    return LinearSegmentedColormap.from_list(
        "potency", list(zip(nodes, colors, strict=True)), N=1200
    )


def show_potencies(bar: Axes) -> None:
    """Write the categories and their bounds on a colour bar of scores.

    Parameters
    ----------
    bar
        The colour bar, as `draw_values` returns it.
    """
    _name_potencies(bar.yaxis)
    bar.hlines(POTENCY_EDGES[1:-1], 0, 1, color="black", linewidth=0.6)
    bounds = bar.secondary_yaxis("left")
    bounds.set_yticks(POTENCY_EDGES, [f"{bound:.2f}" for bound in POTENCY_EDGES])
    bounds.tick_params(labelsize=_LEGEND_SIZE)


def one_line(text: str) -> str:
    """Turn whatever separates the words of a text into single spaces, and escape the unprintable.

    Parameters
    ----------
    text
        Of any lines.

    Returns
    -------
    str
        One line.
    """
    return printable(" ".join(text.split()))


def _name_potencies(axis: Any) -> None:
    """Write the names of the potencies at the middle of their range of scores."""
    bounds = POTENCY_EDGES
    axis.set_ticks((bounds[:-1] + bounds[1:]) / 2, POTENCIES)
    axis.set_tick_params(length=0, labelsize=_LEGEND_SIZE)


def _wrap(text: str) -> str:
    """Break a label into three lines at most."""
    return textwrap.fill(one_line(text), 30, max_lines=3, placeholder=" …")
