"""Plots of a result: the class `Plots`, and the table of the plots that a run writes.

Colour is never the only cue. Potencies have shapes, a fixed order, and their names on the cells;
phenotypes have shapes, and numbers or short names on the cells.

matplotlib is used through its object-oriented interface: no window is opened, pyplot is not
imported, and no setting of the caller is changed.

Source: cytotrace2_py 1.1.0.4 `plot_all_outputs` (file names, scales).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import CytoTRACE2Error, UsageError
from cytotrace2_lite.metadata.coordinates import embedding_of
from cytotrace2_lite.plots._style import (
    MARKERS,
    POTENCY_COLORS,
    TITLE_SIZE,
    one_line,
    potency_colormap,
    relative_colormap,
)
from cytotrace2_lite.plots.boxes import boxes_height, draw_boxes
from cytotrace2_lite.plots.drawing import Cells, axes_for
from cytotrace2_lite.plots.labels import sort_labels
from cytotrace2_lite.plots.legends import Group, draw_groups, draw_values, show_potencies
from cytotrace2_lite.plots.marks import label_looks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from cytotrace2_lite.metadata.coordinates import Embedding
    from cytotrace2_lite.output.scores import Scores

__all__ = ["PLOTS", "PlotSpec", "Plots"]


@dataclass(frozen=True)
class PlotSpec:
    """A plot that a run writes.

    Attributes
    ----------
    method
        Name of the method of `Plots` that draws it.
    file_name
        Of the file, without the extension.
    needs_coordinates
        Whether it shows each cell at its coordinates.
    needs_labels
        Whether the method takes the labels of the cells.
    """

    method: str
    file_name: str
    needs_coordinates: bool
    needs_labels: bool

    def draw(self, plots: Plots, labels: Mapping[str, str] | None) -> Axes:
        """Draw it.

        Parameters
        ----------
        plots
            Plots of the result.
        labels
            Cell id to label; not None where `needs_labels`.

        Returns
        -------
        matplotlib.axes.Axes
            On a figure of its own.
        """
        axes: Axes = getattr(plots, self.method)(*[labels] * self.needs_labels)
        return axes


#: All plots, in the order in which they are drawn.
PLOTS = (
    PlotSpec("potency_category", "cytotrace2_potency_category_UMAP", True, False),
    PlotSpec("potency_score", "cytotrace2_potency_score_UMAP", True, False),
    PlotSpec("relative_order", "cytotrace2_relative_order_UMAP", True, False),
    PlotSpec("phenotype", "phenotype_UMAP", True, True),
    PlotSpec("potency_by_phenotype", "cytotrace2_potency_score_by_phenotype", False, True),
)


class Plots:
    """Plots of one result; each method returns the axes it has drawn on.

    Without `ax`, a method makes a figure of the size that the plot needs. A notebook shows it once,
    and `ax.figure.savefig` writes it. With `ax`, legend or colour bar are drawn to the right of it.

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
        # From the highest potency down, as on the colour bar of the scores.
        index = len(POTENCIES) - 1 - self._result.potency_index.astype(np.intp)
        known = self._result.potency_index >= 0
        with axes_for(ax) as drawn:
            cells = self._cells(embedding, known)
            groups = []
            for k, (label, color, marker) in enumerate(
                zip(POTENCIES[::-1], POTENCY_COLORS[::-1], MARKERS[::-1], strict=True)
            ):
                # A few cells that are scattered over the plot have no place for a name.
                is_named = (index[known] == k).sum() >= 0.02 * len(index)
                groups.append(Group(label, color, marker, label if is_named else ""))
            draw_groups(drawn, cells, index, groups, "no score")
            self._name(drawn)
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
            self._name(drawn)
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
        relative = self._result.relative
        with axes_for(ax) as drawn:
            cells = self._cells(embedding, ~np.isnan(relative))
            bar = draw_values(drawn, cells, relative, relative_colormap(), "Relative order")
            self._name(drawn)
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
            One per cell, or a mapping from names of cells. None, NaN, `pd.NA`, `NaT` and "" stand
            for a cell without a label. There may be 100 different ones at most.
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
        names, index = sort_labels(labels, self._result.cells)
        are_short = max(map(len, names)) <= 3
        with axes_for(ax) as drawn:
            cells = self._cells(embedding, index >= 0)
            looks = label_looks(cells, index, len(names))
            groups = [
                Group(name, color, marker, name if are_short else str(k))
                for k, (name, (color, marker)) in enumerate(zip(names, looks, strict=True), 1)
            ]
            draw_groups(drawn, cells, index, groups, "no label")
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
        names, index = sort_labels(labels, self._result.cells)
        score = self._result.score
        groups = [(name, score[(index == k) & ~np.isnan(score)]) for k, name in enumerate(names)]
        groups = [group for group in groups if len(group[1])]
        if not groups:
            raise UsageError("no cell has both a label and a score.")
        groups.sort(key=lambda group: float(np.median(group[1])), reverse=True)
        height = boxes_height(name for name, _ in groups)
        with axes_for(ax, 6.5, height) as drawn:
            draw_boxes(drawn, groups, one_line(self._result.model_label))
        return drawn

    def _name(self, ax: Axes) -> None:
        """Name the model in the title: not all scores are CytoTRACE 2's."""
        label = one_line(self._result.model_label)
        ax.set_title(label, fontsize=TITLE_SIZE, parse_math=False)

    def _cells(self, embedding: ArrayLike | Embedding | None, known: NDArray[np.bool_]) -> Cells:
        """Put coordinates, given or of the result, beside which cells have a value to show."""
        if embedding is None:
            embedding = self._result.embedding
        if embedding is None:
            raise CytoTRACE2Error(
                "this result has no coordinates to draw the cells at: pass embedding=, an array "
                '(n_cells, 2) such as adata.obsm["X_umap"], or run with embedding="umap".'
            )
        checked = embedding_of(embedding, len(self._result.cells))
        return Cells(checked.coordinates, checked.axes, known)
