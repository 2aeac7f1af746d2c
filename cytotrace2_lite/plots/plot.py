"""Plots of a result, under the file names of cytotrace2_py.

Colour is never the only cue: potency categories have shapes, their names on the cells and a fixed
order, phenotypes have shapes and numbers on the cells.

matplotlib is used through its object-oriented interface: no window, no pyplot, no style changed.

Source: cytotrace2_py 1.1.0.4 `plot_all_outputs` (file names, colours, scales, order of the boxes).
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.base.progress import Progress
from cytotrace2_lite.errors import CytoTRACE2Error, PlotWarning, UsageError
from cytotrace2_lite.metadata.coordinates import embedding_of
from cytotrace2_lite.plots.drawing import (
    MARKERS,
    POTENCY_COLORS,
    RELATIVE_COLORS,
    TITLE_SIZE,
    Cells,
    Class,
    axes_for,
    boxes_height,
    draw_boxes,
    draw_classes,
    draw_values,
    label_looks,
    one_line,
    potency_colormap,
    show_potencies,
)
from cytotrace2_lite.plots.umap import MAX_CELLS, umap
from cytotrace2_lite.system.caches import prepare_caches
from cytotrace2_lite.system.files import write_whole

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from cytotrace2_lite.counts import Counts
    from cytotrace2_lite.metadata.coordinates import Embedding
    from cytotrace2_lite.output.scores import Scores

__all__ = ["FORMATS", "Plots", "missing_packages", "no_plots", "remove_plots", "write_plots"]

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

_MAX_LABELS = 100
_DPI = 300


class Plots:
    """Plots of one result; each method returns the axes it has drawn on.

    Without `ax` a method makes a figure of the size the plot needs: `ax.figure.savefig` writes it,
    and a notebook with matplotlib.pyplot shows `ax.figure`. With `ax`, legend or colour bar are to
    the right of it.

    Parameters
    ----------
    result
        What to plot.
    """

    def __init__(self, result: Scores) -> None:
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
        with axes_for(ax) as drawn:
            cells = self._cells(embedding, known)
            classes = []
            for k, (label, color, marker) in enumerate(
                zip(POTENCIES[::-1], POTENCY_COLORS[::-1], MARKERS[::-1], strict=True)
            ):
                # A few cells scattered over the others have no place to be named at.
                is_named = (index[known] == k).sum() >= 0.02 * len(index)
                classes.append(Class(label, color, marker, label if is_named else ""))
            draw_classes(drawn, cells, index, classes, "no score")
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
        with axes_for(ax) as drawn:
            cells = self._cells(embedding, ~np.isnan(score))
            bar = draw_values(drawn, cells, score, potency_colormap(), "Potency score", 1.14)
            show_potencies(bar)
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
        with axes_for(ax) as drawn:
            cells = self._cells(embedding, ~np.isnan(relative))
            colormap = LinearSegmentedColormap.from_list("relative order", RELATIVE_COLORS)
            bar = draw_values(drawn, cells, relative, colormap, "Relative order")
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
        with axes_for(ax) as drawn:
            cells = self._cells(embedding, index >= 0)
            looks = label_looks(cells, index, len(names))
            classes = [
                Class(name, color, marker, name if are_short else str(k))
                for k, (name, (color, marker)) in enumerate(zip(names, looks, strict=True), 1)
            ]
            draw_classes(drawn, cells, index, classes, "no label")
            drawn.set_title("Phenotype", fontsize=TITLE_SIZE)
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
        height = boxes_height(name for name, _ in groups)
        with axes_for(ax, 6.5, height) as drawn:
            draw_boxes(drawn, groups)
        return drawn

    def _cells(self, embedding: ArrayLike | Embedding | None, known: NDArray[np.bool_]) -> Cells:
        if embedding is None:
            embedding = self._result.embedding
        if embedding is None:
            raise CytoTRACE2Error(
                "this result has no coordinates to draw the cells at: pass embedding=, an array "
                '(n_cells, 2) such as adata.obsm["X_umap"], or run with embedding="umap".'
            )
        checked = embedding_of(embedding, len(self._result.cells))
        return Cells(checked.coordinates, checked.axes, known)


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


def no_plots(packages: Sequence[str]) -> str:
    """Say how to get the plots.

    Parameters
    ----------
    packages
        That are missing, as `missing_packages` gives them.

    Returns
    -------
    str
        A sentence or two.
    """
    return (
        f"No plots: they need {' and '.join(packages)}. Install with: "
        "pip install 'cytotrace2-lite[plot]'"
    )


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
    result: Scores,
    counts: Counts,
    labels: Mapping[str, str] | None,
    directory: str | os.PathLike[str],
    *,
    threads: int = 1,
    plot_format: str = "png",
    progress: Callable[[Progress], None] | None = None,
) -> tuple[list[Path], list[PlotWarning]]:
    """Draw all plots and write them; what goes wrong is told in warnings, never raised.

    Parameters
    ----------
    result
        With the coordinates of the user in `embedding`, or a UMAP is computed.
    counts
        Expression over the model's features, shape (n_cells, 14271), for the UMAP.
    labels
        Cell id to phenotype; without, the two plots that need them are not drawn.
    directory
        Where they are written. Files of these names are replaced.
    threads
        How many may compute the UMAP.
    plot_format
        One of `FORMATS`.
    progress
        Called as "embed" begins, and before each plot of "draw".

    Returns
    -------
    paths : list of Path
        The plots, all of them whole.
    warnings : list of PlotWarning
        One at most for each of: cells left out, plots that are not drawn, doubts about the others.
    """
    report = progress or (lambda _: None)
    names = [name for name in _FILES if labels or name not in _BY_LABEL]
    contents: dict[Path, bytes] = {}
    failed: dict[str, list[str]] = {}  # reason to names
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        is_computed = result.embedding is None
        if is_computed:
            report(Progress("embed", 0, 0))
            try:
                computed = umap(counts, threads=threads)
                result = replace(result, embedding=computed)
            except Exception as error:  # noqa: BLE001 (whatever it is, the results stay)
                failed[_reason(error)] = [name for name in names if name in _ON_CELLS]
                names = [name for name in names if name not in _ON_CELLS]
        for n_done, name in enumerate(names):
            report(Progress("draw", n_done, len(names), "plots"))
            try:
                content = _render(result, name, labels, plot_format)
            except Exception as error:  # noqa: BLE001 (as above)
                failed.setdefault(_reason(error), []).append(name)
            else:
                contents[Path(directory) / f"{_FILES[name]}.{plot_format}"] = content
        report(Progress("draw", len(names), len(names), "plots"))
    problems = []
    n_cells = len(result.cells)
    if is_computed and result.embedding is not None and n_cells > MAX_CELLS:
        problems.append(
            PlotWarning(
                f"a random {MAX_CELLS:,} of the {n_cells:,} cells are in the UMAP plots; "
                "--embedding can show all."
            )
        )
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
        messages = list(dict.fromkeys(one_line(str(entry.message)) for entry in caught))
        problems.append(PlotWarning(f"plots may not look right: {'; '.join(messages[:3])}"))
    return list(contents), problems


def _render(result: Scores, name: str, labels: Mapping[str, str] | None, plot_format: str) -> bytes:
    """Draw one plot in matplotlib's own style, whatever the user's; the same bytes every time."""
    prepare_caches()
    import matplotlib as mpl

    # Text stays text in PDF (Type 42), and looks the same in SVG where the font is missing.
    style = dict(mpl.rcParamsDefault)
    del style["backend"]
    style |= {"pdf.fonttype": 42, "svg.hashsalt": "cytotrace2_lite"}
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    with mpl.rc_context(style):
        figure = getattr(Plots(result), name)(*[labels] * (name in _BY_LABEL)).figure
        content = io.BytesIO()
        figure.savefig(content, format=plot_format, dpi=_DPI, metadata=undated.get(plot_format))
    return content.getvalue()


def _reason(error: Exception) -> str:
    text = one_line(str(error))
    if isinstance(error, CytoTRACE2Error):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _labels(
    labels: Sequence[str | None] | Mapping[str, str], cells: list[str]
) -> tuple[list[str], NDArray[np.intp]]:
    """Names in natural order, and the position of each cell's in them, -1 for none."""
    if isinstance(labels, str):
        raise UsageError(
            f"labels is {labels!r}, one name: pass the labels themselves, such as "
            f"adata.obs[{labels!r}]."
        )
    if isinstance(labels, Mapping):
        labels = [labels.get(cell) for cell in cells]
    values = ["" if label is None or label != label else str(label) for label in labels]  # NaN
    if len(values) != len(cells):
        raise UsageError(f"labels holds {len(values)} labels for {len(cells)} cells.")

    def natural(name: str) -> list[tuple[bool, int, str]]:
        parts = re.split(r"([0-9]{1,18})", name)  # Python makes no number of thousands of digits
        return [
            (True, int(part), "") if i % 2 else (False, 0, part.casefold())
            for i, part in enumerate(parts)
        ]

    names = sorted(sorted(set(values) - {""}), key=natural)
    if not names:
        raise UsageError("no cell has a label.")
    if len(names) > _MAX_LABELS:
        raise UsageError(
            f"there are {len(names)} different labels; plots by phenotype hold {_MAX_LABELS} at "
            "most. Group them."
        )
    position = {name: k for k, name in enumerate(names)}
    return names, np.array([position.get(value, -1) for value in values], dtype=np.intp)
