"""Plots of a result, under the file names of cytotrace2_py.

Colour is never the only cue: potency categories have shapes and a fixed order, phenotypes numbers
on their cells. Points are rasterised in vector formats, drawn in random order so that no class
covers another, and outlined so that light colours stand out.

matplotlib is used through its object-oriented interface: no window, no pyplot, no style changed.

Source: cytotrace2_py 1.1.0.4 `plot_all_outputs` (file names, colours, scales, order of the boxes).
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import textwrap
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cytotrace2_lite.embedding import embedding_of, umap
from cytotrace2_lite.ensemble import POTENCIES
from cytotrace2_lite.errors import CytoTRACE2Error, PlotWarning, UsageError
from cytotrace2_lite.results import write_whole

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csr_array

    from cytotrace2_lite.embedding import Embedding
    from cytotrace2_lite.results import Result

__all__ = ["FORMATS", "Plots", "missing_packages", "remove_plots", "write_plots"]

FORMATS = ("png", "pdf", "svg")
_FILES = {
    "potency_category": "cytotrace2_potency_category_UMAP",
    "potency_score": "cytotrace2_potency_score_UMAP",
    "relative_order": "cytotrace2_relative_order_UMAP",
    "phenotype": "phenotype_UMAP",
    "potency_by_phenotype": "cytotrace2_potency_score_by_phenotype",
}
_ON_CELLS = ("potency_category", "potency_score", "relative_order", "phenotype")
_BY_LABEL = ("phenotype", "potency_by_phenotype")

_POTENCY_COLORS = ("#5E4FA2", "#66C2A5", "#E6F598", "#FEE08B", "#F46D43", "#9E0142")
_RELATIVE_COLORS = ("#000004", "#3B0F70", "#8C2981", "#DE4968", "#FE9F6D", "#FCFDBF")
# Paul Tol's "muted" scheme, made to be told apart with any colour vision.
_LABEL_COLORS = (
    *("#332288", "#DDCC77", "#117733", "#88CCEE", "#CC6677"),
    *("#44AA99", "#882255", "#999933", "#AA4499"),
)
_MARKERS = "os^DvP"
_MISSING_COLOR = "#D9D9D9"
_OUTLINE_COLOR = "#404040"

_MAX_LABELS = 100
_SEED = 14
_SIDE = 4.5  # inches, of the square axes
_WIDTH = 6.5  # inches, of the axes with a box per phenotype
_TITLE_SIZE, _TEXT_SIZE, _LEGEND_SIZE = 12, 10, 9  # points
_DPI = 300


class Plots:
    """Plots of one result; each method returns the axes it has drawn on.

    Without `ax` a method makes a figure of the size the plot needs, which `ax.figure.savefig`
    writes and a notebook shows where a cell ends in `ax.figure`. With `ax`, legend or colour bar
    are to the right of it.

    Parameters
    ----------
    result
        What to plot.
    """

    def __init__(self, result: Result) -> None:
        self._result = result

    def potency_category(
        self, ax: Axes | None = None, *, embedding: ArrayLike | Embedding | None = None
    ) -> Axes:
        """Draw the cells in the colours of `CytoTRACE2_Potency`.

        Parameters
        ----------
        ax
            Where to draw; by default on a figure of its own.
        embedding
            Coordinates, shape (n_cells, 2), such as `adata.obsm["X_umap"]`; by default those that
            `run(..., embedding=...)` left in the result.

        Returns
        -------
        matplotlib.axes.Axes
            With the plot.

        Raises
        ------
        CytoTRACE2Error
            matplotlib is not installed, or there are no coordinates.
        UsageError
            The coordinates are not one pair of numbers per cell.
        """
        # From the highest potency down, as the colour bar of the scores.
        index = len(POTENCIES) - 1 - self._result.potency_index.astype(np.intp)
        known = self._result.potency_index >= 0
        with _axes(ax) as drawn:
            cells = self._cells(embedding, known)
            classes = []
            for k, (label, color, marker) in enumerate(
                zip(POTENCIES[::-1], _POTENCY_COLORS[::-1], _MARKERS[::-1], strict=True)
            ):
                # A few cells scattered over the others have no place to be named at.
                is_named = (index[known] == k).sum() >= 0.02 * len(index)
                classes.append(_Class(label, color, marker, label if is_named else ""))
            _draw_classes(drawn, cells, index, classes, "no score")
            drawn.get_legend().set_title("Potency category")
        return drawn

    def potency_score(
        self, ax: Axes | None = None, *, embedding: ArrayLike | Embedding | None = None
    ) -> Axes:
        """Draw the cells in the colours of `CytoTRACE2_Score`.

        Parameters
        ----------
        ax, embedding
            As for `potency_category`.

        Returns
        -------
        matplotlib.axes.Axes
            With the plot.

        Raises
        ------
        CytoTRACE2Error
            As `potency_category` raises.
        """
        score = self._result.score
        with _axes(ax) as drawn:
            cells = self._cells(embedding, ~np.isnan(score))
            bar = _draw_values(drawn, cells, score, _potency_colormap(), "Potency score", 1.14)
            _name_potencies(bar.yaxis)
            bar.hlines(_bounds()[1:-1], 0, 1, color="black", linewidth=0.6)
            bounds = bar.secondary_yaxis("left")
            bounds.set_yticks(_bounds(), [f"{bound:.2f}" for bound in _bounds()])
            bounds.tick_params(labelsize=_LEGEND_SIZE)
        return drawn

    def relative_order(
        self, ax: Axes | None = None, *, embedding: ArrayLike | Embedding | None = None
    ) -> Axes:
        """Draw the cells in the colours of `CytoTRACE2_Relative`.

        Parameters
        ----------
        ax, embedding
            As for `potency_category`.

        Returns
        -------
        matplotlib.axes.Axes
            With the plot.

        Raises
        ------
        CytoTRACE2Error
            As `potency_category` raises.
        """
        from matplotlib.colors import LinearSegmentedColormap

        relative = self._result.relative
        with _axes(ax) as drawn:
            cells = self._cells(embedding, ~np.isnan(relative))
            colormap = LinearSegmentedColormap.from_list("relative order", _RELATIVE_COLORS)
            bar = _draw_values(drawn, cells, relative, colormap, "Relative order")
            ticks = np.linspace(0, 1, 6)
            names = [f"{tick:.1f}" for tick in ticks]
            names[0] += " (more diff.)"
            names[-1] += " (less diff.)"
            bar.set_yticks(ticks, names)
        return drawn

    def phenotype(
        self,
        labels: Sequence[str | None] | Mapping[str, str],
        ax: Axes | None = None,
        *,
        embedding: ArrayLike | Embedding | None = None,
    ) -> Axes:
        """Draw the cells in colours of their labels.

        Parameters
        ----------
        labels
            One per cell, or a mapping from names of cells; None or "" where a cell has none. At
            most 100 different ones.
        ax, embedding
            As for `potency_category`.

        Returns
        -------
        matplotlib.axes.Axes
            With the plot.

        Raises
        ------
        CytoTRACE2Error
            As `potency_category` raises.
        UsageError
            The labels are not one per cell, all missing, or too many.
        """
        names, index = _labels(labels, self._result.cells)
        are_short = max(map(len, names)) <= 3
        with _axes(ax) as drawn:
            cells = self._cells(embedding, index >= 0)
            looks = _looks(cells, index, len(names))
            classes = [
                _Class(name, color, marker, name if are_short else str(k))
                for k, (name, (color, marker)) in enumerate(zip(names, looks, strict=True), 1)
            ]
            _draw_classes(drawn, cells, index, classes, "no label")
            drawn.set_title("Phenotype", fontsize=_TITLE_SIZE)
        return drawn

    def potency_by_phenotype(
        self, labels: Sequence[str | None] | Mapping[str, str], ax: Axes | None = None
    ) -> Axes:
        """Draw a box of `CytoTRACE2_Score` for every label, the highest median on top.

        Boxes are the quartiles and the median, whiskers reach to the farthest cell within 1.5
        times the box, points are cells. A box has the colour of its median.

        Parameters
        ----------
        labels
            As for `phenotype`. Cells without label or score are left out.
        ax
            As for `potency_category`.

        Returns
        -------
        matplotlib.axes.Axes
            With the plot.

        Raises
        ------
        CytoTRACE2Error
            matplotlib is not installed.
        UsageError
            As `phenotype` raises.
        """
        names, index = _labels(labels, self._result.cells)
        score = self._result.score
        groups = [(name, score[(index == k) & ~np.isnan(score)]) for k, name in enumerate(names)]
        groups = [group for group in groups if len(group[1])]
        if not groups:
            raise UsageError("no cell has both a label and a score.")
        groups.sort(key=lambda group: float(np.median(group[1])), reverse=True)
        height = 0.6 + sum(_row_height(name) for name, _ in groups)
        with _axes(ax, _WIDTH, height) as drawn:
            _draw_boxes(drawn, groups)
        return drawn

    def _cells(self, embedding: ArrayLike | Embedding | None, known: NDArray[np.bool_]) -> _Cells:
        if embedding is None:
            embedding = self._result.embedding
        if embedding is None:
            raise CytoTRACE2Error(
                "this result has no coordinates to draw the cells at: pass embedding=, an array "
                '(n_cells, 2) such as adata.obsm["X_umap"], or run with embedding="umap".'
            )
        checked = embedding_of(embedding, len(self._result.cells))
        return _Cells(checked.coordinates, checked.axes, known)


def missing_packages(*, with_umap: bool = True) -> list[str]:
    """Find out what plots lack, without importing it.

    Parameters
    ----------
    with_umap
        Whether a UMAP is to be computed.

    Returns
    -------
    list of str
        Names of packages, as pip knows them, that are not installed.
    """
    needed = {"matplotlib": "matplotlib"} | ({"umap-learn": "umap"} if with_umap else {})
    return [package for package, module in needed.items() if find_spec(module) is None]


def remove_plots(directory: str | os.PathLike[str]) -> None:
    """Remove the plots of an earlier run, which would not show the results beside them.

    Parameters
    ----------
    directory
        Where `write_plots` has written.
    """
    for name in _FILES.values():
        for extension in FORMATS:
            with contextlib.suppress(OSError):
                (Path(directory) / f"{name}.{extension}").unlink()


def write_plots(
    result: Result,
    directory: str | os.PathLike[str],
    counts: csr_array,
    *,
    plot_format: str = "png",
    labels: Mapping[str, str] | None = None,
    threads: int = 1,
    progress: Callable[[str, int], None] | None = None,
) -> tuple[list[Path], list[PlotWarning]]:
    """Draw all plots and write them; what goes wrong is told in warnings, never raised.

    Parameters
    ----------
    result
        With the coordinates of the user in `embedding`, or a UMAP is computed.
    directory
        Where they are written. Files of these names are replaced.
    counts
        Expression over the model's features, CSR, shape (n_cells, 14271), for the UMAP.
    plot_format
        One of `FORMATS`.
    labels
        Cell id to phenotype; without, the two plots that need them are not drawn.
    threads
        For the UMAP.
    progress
        Called with "umap" or "draw" and the number of cells or plots done since the last call.

    Returns
    -------
    paths : list of Path
        The plots, all of them whole.
    warnings : list of PlotWarning
        One at most for each of: plots that are not drawn, doubts about those that are.
    """
    report = progress or (lambda _stage, _n: None)
    contents: dict[Path, bytes] = {}
    failed: dict[str, list[str]] = {}  # reason to names
    embedding = result.embedding
    names = [name for name in _FILES if labels or name not in _BY_LABEL]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        if embedding is None:
            report("umap", 0)
            try:
                embedding = umap(counts, threads=threads, progress=lambda n: report("umap", n))
            except Exception as error:  # noqa: BLE001 (whatever it is, the results stay)
                failed[_reason(error)] = [name for name in names if name in _ON_CELLS]
                names = [name for name in names if name not in _ON_CELLS]
        plots = Plots(result)
        for name in names:
            report("draw", 0)
            try:
                arguments: dict[str, Any] = {"labels": labels} if name in _BY_LABEL else {}
                if name in _ON_CELLS:
                    arguments["embedding"] = embedding
                content = _render(plots, name, arguments, plot_format)
            except Exception as error:  # noqa: BLE001 (as above)
                failed.setdefault(_reason(error), []).append(name)
            else:
                contents[Path(directory) / f"{_FILES[name]}.{plot_format}"] = content
            report("draw", 1)
    problems = []
    if contents:
        try:
            write_whole(contents)
        except CytoTRACE2Error as error:
            failed.setdefault(_reason(error), []).extend(names)
            contents = {}
    if failed:
        reasons = "; ".join(
            f"{', '.join(_FILES[name] for name in drawn)}: {reason}"
            for reason, drawn in failed.items()
        )
        problems.append(PlotWarning(f"plots not drawn (the results are complete): {reasons}"))
    if caught:
        messages = list(dict.fromkeys(_one_line(str(entry.message)) for entry in caught))
        problems.append(PlotWarning(f"plots may not look right: {'; '.join(messages[:3])}"))
    return list(contents), problems


def _render(plots: Plots, name: str, arguments: dict[str, Any], plot_format: str) -> bytes:
    """Draw one plot in matplotlib's own style, whatever the user's; the same bytes every time."""
    import matplotlib as mpl

    # Text stays text in PDF (Type 42), and looks the same in SVG where the font is missing.
    style = mpl.rcParamsDefault | {"pdf.fonttype": 42, "svg.hashsalt": "cytotrace2_lite"}
    style.pop("backend")
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    with mpl.rc_context(style):
        figure = getattr(plots, name)(**arguments).figure
        content = io.BytesIO()
        figure.savefig(content, format=plot_format, dpi=_DPI, metadata=undated.get(plot_format))
    return content.getvalue()


def _reason(error: Exception) -> str:
    text = _one_line(str(error))
    if isinstance(error, CytoTRACE2Error):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _one_line(text: str) -> str:
    return " ".join(text.split())


class _Cells(NamedTuple):
    """Where cells are drawn, and which have the value to be shown."""

    coordinates: NDArray[np.float64]
    axes: tuple[str, str]
    known: NDArray[np.bool_]


class _Class(NamedTuple):
    """One entry of a legend; `mark` is written on its cells."""

    label: str
    color: str
    marker: str
    mark: str


@contextlib.contextmanager
def _axes(ax: Axes | None, width: float = _SIDE, height: float = _SIDE) -> Iterator[Axes]:
    """Axes to draw on; those of a new figure, which then gets the size that all on it needs."""
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


def _labels(
    labels: Sequence[str | None] | Mapping[str, str], cells: list[str]
) -> tuple[list[str], NDArray[np.intp]]:
    """Names in natural order, and the position of each cell's in them, -1 for none."""
    if hasattr(labels, "get") and hasattr(labels, "keys"):
        mapping: Any = labels
        labels = [mapping.get(cell) for cell in cells]
    values = ["" if label is None or label != label else str(label) for label in labels]  # noqa: PLR0124 (NaN)
    if len(values) != len(cells):
        raise UsageError(f"labels holds {len(values)} labels for {len(cells)} cells.")

    def natural(name: str) -> list[tuple[bool, int, str]]:
        parts = re.split(r"([0-9]+)", name)
        return [
            (part.isdigit(), int(part) if part.isdigit() else 0, part.casefold()) for part in parts
        ]

    names = sorted(set(values) - {""}, key=natural)
    if not names:
        raise UsageError("no cell has a label.")
    if len(names) > _MAX_LABELS:
        raise UsageError(
            f"there are {len(names)} different labels; plots by phenotype hold {_MAX_LABELS} at "
            "most. Group them."
        )
    position = {name: k for k, name in enumerate(names)}
    return names, np.array([position.get(value, -1) for value in values], dtype=np.intp)


def _looks(cells: _Cells, index: NDArray[np.intp], n_labels: int) -> Iterator[tuple[str, str]]:
    """Colour and marker of each label; a colour comes again as far from its other uses as can be.

    The n-th use of a colour has the n-th marker.
    """
    coordinates = cells.coordinates
    drawn = np.isfinite(coordinates).all(axis=1)
    unit = coordinates - coordinates[drawn].min(axis=0)
    unit /= unit[drawn].max(axis=0).clip(np.finfo(float).tiny)
    uses: list[list[NDArray[np.float64]]] = [[] for _ in _LABEL_COLORS]
    for k in range(n_labels):
        own = drawn & (index == k)
        place = _densest(unit[own]) if own.any() else np.full(2, np.inf)
        nearest = [
            min((np.abs(place - other).sum() for other in places), default=math.inf)
            for places in uses
        ]
        n_uses = [len(places) for places in uses]
        color = max(range(len(uses)), key=lambda i: (n_uses[i] < 1, nearest[i], -i))  # noqa: B023
        yield _LABEL_COLORS[color], _MARKERS[len(uses[color]) % len(_MARKERS)]
        uses[color].append(place)


def _draw_classes(
    ax: Axes, cells: _Cells, index: NDArray[Any], classes: Sequence[_Class], missing: str
) -> None:
    from matplotlib.colors import to_rgba_array
    from matplotlib.lines import Line2D

    size = _prepare(ax, cells)
    shown = _shown(cells, cells.known)
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
        lines = _wrap(f"{entry.label} ({n_cells:,})").splitlines()
        indent = "  " * len(entry.mark) + "  " if number else ""  # a digit is two spaces wide
        texts.append(number + f"\n{indent}".join(lines))
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


def _draw_values(
    ax: Axes,
    cells: _Cells,
    values: NDArray[np.float64],
    colormap: Colormap,
    title: str,
    left: float = 1.05,
) -> Axes:
    """Draw values from 0 to 1; the axes of the colour bar, which starts at `left`, are returned."""
    from matplotlib.cm import ScalarMappable

    size = _prepare(ax, cells)
    shown = _shown(cells, cells.known)
    _draw_points(ax, cells.coordinates[shown], colormap(values[shown]), size)
    bar: Axes = ax.inset_axes((left, 0, 0.05, 0.92))
    colors = ax.figure.colorbar(ScalarMappable(cmap=colormap), cax=bar)
    colors.outline.set_linewidth(0.6)
    bar.set_title(title, fontsize=_TEXT_SIZE, loc="left")
    bar.tick_params(labelsize=_LEGEND_SIZE)
    return bar


def _prepare(ax: Axes, cells: _Cells) -> float:
    """Set up the axes, draw the cells without value, and return the size of points."""
    drawn = np.isfinite(cells.coordinates).all(axis=1)
    for axis, name, values in zip("xy", cells.axes, cells.coordinates[drawn].T, strict=True):
        low, high = float(values.min()), float(values.max())
        margin = 0.04 * (high - low) or 1.0
        ax.set(**{f"{axis}lim": (low - margin, high + margin), f"{axis}ticks": []})
        getattr(ax, f"set_{axis}label")(_one_line(name), fontsize=_TEXT_SIZE, parse_math=False)
    ax.set_box_aspect(1)
    ax.spines[["right", "top"]].set_visible(False)
    ax.set_title("CytoTRACE 2", fontsize=_TITLE_SIZE)
    size = float(np.clip(2 * (30_000 / drawn.sum()) ** 0.7, 0.4, 24))
    missing = np.flatnonzero(drawn & ~cells.known)
    if len(missing):
        _add_collection(ax, cells.coordinates[missing], _MISSING_COLOR, size)
    return size


def _shown(cells: _Cells, known: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Cells that are drawn, in random order: one class on top would hide the others."""
    shown = np.flatnonzero(known & np.isfinite(cells.coordinates).all(axis=1))
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


def _draw_boxes(ax: Axes, groups: Sequence[tuple[str, NDArray[np.float64]]]) -> None:
    from matplotlib.ticker import MultipleLocator

    colormap, random = _potency_colormap(), np.random.RandomState(_SEED)
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
    ax.vlines(_bounds()[1:-1], 0, y, color="grey", linewidth=0.5, zorder=1)
    ax.set_xlabel("Potency score", fontsize=_TEXT_SIZE)
    ax.xaxis.set_major_locator(MultipleLocator(0.1))
    ax.tick_params(axis="x", labelsize=_LEGEND_SIZE)
    ax.tick_params(axis="y", length=0)
    ax.spines[["right", "top"]].set_visible(False)
    potencies = ax.secondary_xaxis("top")
    potencies.spines["top"].set_visible(False)
    _name_potencies(potencies.xaxis)
    ax.text(1.01, 1.02, "cells", transform=ax.transAxes, fontsize=_LEGEND_SIZE)
    ax.set_title("Developmental potential by phenotype", fontsize=_TITLE_SIZE, pad=22)


def _row_height(name: str) -> float:
    """Inches of the row of a box."""
    return max(0.28, 0.16 * (_wrap(name).count("\n") + 1) + 0.08)


def _bounds() -> NDArray[np.float64]:
    return np.linspace(0, 1, len(POTENCIES) + 1)


def _potency_colormap() -> Colormap:
    """The colour of a category in its middle, and beyond the outermost middles."""
    from matplotlib.colors import LinearSegmentedColormap

    bounds = _bounds()
    nodes = [0.0, *(bounds[:-1] + bounds[1:]) / 2, 1.0]
    colors = [_POTENCY_COLORS[0], *_POTENCY_COLORS, _POTENCY_COLORS[-1]]
    return LinearSegmentedColormap.from_list(
        "potency", list(zip(nodes, colors, strict=True)), N=1200
    )


def _name_potencies(axis: Any) -> None:
    """Write the names of the potencies at the middle of their range of scores."""
    bounds = _bounds()
    axis.set_ticks((bounds[:-1] + bounds[1:]) / 2, POTENCIES)
    axis.set_tick_params(length=0, labelsize=_LEGEND_SIZE)


def _wrap(text: str) -> str:
    """Break a label into three lines at most."""
    return textwrap.fill(_one_line(text), 30, max_lines=3, placeholder=" …")
