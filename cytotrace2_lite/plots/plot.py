"""Plots of a result: the class `Plots`.

Colour is never the only cue. Potencies have shapes, a fixed order, and their names on the cells;
phenotypes have shapes, and numbers or short names on the cells.

matplotlib is used through its object-oriented interface: no window is opened, pyplot is not
imported, and no setting of the caller is changed.

Source: cytotrace2_py 1.1.0.4 `plot_all_outputs` (file names, scales).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import CytoTRACE2Error, UsageError
from cytotrace2_lite.metadata.coordinates import embedding_of
from cytotrace2_lite.plots._style import (
    MARKERS,
    POTENCY_COLORS,
    TITLE_SIZE,
    potency_colormap,
    relative_colormap,
)
from cytotrace2_lite.plots.boxes import boxes_height, draw_bars, draw_boxes, draw_violins
from cytotrace2_lite.plots.drawing import MAP_WIDTH, Cells, axes_for, point_size
from cytotrace2_lite.plots.labels import sort_labels
from cytotrace2_lite.plots.legends import (
    Group,
    draw_groups,
    draw_values,
    show_potencies,
    shows_shapes,
)
from cytotrace2_lite.plots.marks import label_looks
from cytotrace2_lite.plots.panels import (
    ROW_WIDTH,
    count_potencies,
    draw_panel,
    draw_samples,
    titled,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from cytotrace2_lite.metadata.coordinates import Embedding
    from cytotrace2_lite.output.scores import Scores

__all__ = ["Plots"]

# Labels are written on the cells, not their numbers, up to this length and number.
_SHORT, _FEW = 14, 8
_BY_PHENOTYPE = "Developmental potential by phenotype"


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
        with axes_for(ax, least_width=MAP_WIDTH) as drawn:
            cells = self._cells(embedding, known)
            groups = []
            for k, (label, color, marker) in enumerate(
                zip(POTENCIES[::-1], POTENCY_COLORS[::-1], MARKERS[::-1], strict=True)
            ):
                # A few cells that are scattered over the plot have no place for a name.
                is_named = (index[known] == k).sum() >= 0.02 * len(index)
                groups.append(Group(label, color, marker, label if is_named else ""))
            draw_groups(drawn, cells, index, groups, "no score")
            self._name(drawn, "Potency category")
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
        with axes_for(ax, least_width=MAP_WIDTH) as drawn:
            cells = self._cells(embedding, ~np.isnan(score))
            bar = draw_values(drawn, cells, score, potency_colormap(), "Potency score", 1.14)
            self._name(drawn, "Potency score")
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
        with axes_for(ax, least_width=MAP_WIDTH) as drawn:
            cells = self._cells(embedding, ~np.isnan(relative))
            bar = draw_values(drawn, cells, relative, relative_colormap(), "Relative order")
            self._name(drawn, "Relative order")
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
        longest = max(map(len, names))
        are_short = longest <= 3 or (longest <= _SHORT and len(names) <= _FEW)
        with axes_for(ax, least_width=MAP_WIDTH) as drawn:
            cells = self._cells(embedding, index >= 0)
            shapes = shows_shapes(point_size(cells))
            looks = label_looks(cells, index, len(names), with_shapes=shapes)
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
        groups = self._groups(labels)
        with axes_for(ax, ROW_WIDTH, boxes_height(groups)) as drawn:
            draw_boxes(drawn, list(groups.items()), self._titled(_BY_PHENOTYPE))
        return drawn

    def violins_by_phenotype(
        self, labels: Sequence[str | None] | Mapping[str, str], ax: Axes | None = None
    ) -> Axes:
        """Draw a violin of `CytoTRACE2_Score` for every label, the highest median on top.

        A violin shows the density of the scores, a bar in it the quartiles, a point the median.
        Fewer than 10 cells are drawn as points. A violin has the colour of its median.

        Parameters
        ----------
        labels, ax
            As for `potency_by_phenotype`.

        Returns
        -------
        matplotlib.axes.Axes
            With the plot.

        Raises
        ------
        CytoTRACE2Error
            As `potency_by_phenotype` raises.
        """
        groups = self._groups(labels)
        with axes_for(ax, ROW_WIDTH, boxes_height(groups)) as drawn:
            draw_violins(drawn, list(groups.items()), self._titled(_BY_PHENOTYPE))
        return drawn

    def composition(
        self, labels: Sequence[str | None] | Mapping[str, str], ax: Axes | None = None
    ) -> Axes:
        """Draw a bar for every label: the shares of the potencies, in the order of the boxes.

        Parameters
        ----------
        labels, ax
            As for `potency_by_phenotype`.

        Returns
        -------
        matplotlib.axes.Axes
            With the plot.

        Raises
        ------
        CytoTRACE2Error
            As `potency_by_phenotype` raises.
        """
        return self._composition(labels, ax, with_legend=True)

    def panel(
        self,
        labels: Sequence[str | None] | Mapping[str, str],
        *,
        embedding: ArrayLike | Embedding | None = None,
    ) -> Figure:
        """Draw all plots above in one figure.

        Parameters
        ----------
        labels
            As for `phenotype`.
        embedding
            As for `potency_category`.

        Returns
        -------
        matplotlib.figure.Figure
            Of its own, which a notebook shows.

        Raises
        ------
        CytoTRACE2Error
            As `potency_category` raises.
        UsageError
            As `phenotype` and `potency_by_phenotype` raise.
        """
        groups = self._groups(labels)
        maps = (self.potency_category, self.potency_score, self.relative_order)
        bars = partial(self._composition, with_legend=False)  # the first map has one
        rows = (bars, self.violins_by_phenotype, self.potency_by_phenotype)
        draw_maps = [partial(one, embedding=embedding) for one in maps]
        draw_maps.append(partial(self.phenotype, labels, embedding=embedding))
        return draw_panel(draw_maps, [partial(one, labels) for one in rows], boxes_height(groups))

    def samples(self, samples: Sequence[str]) -> Figure:
        """Draw the samples side by side: shares of the potencies, and violins of the scores.

        Parameters
        ----------
        samples
            The sample of each cell; at most 100 different ones. They are drawn in the order in
            which they occur.

        Returns
        -------
        matplotlib.figure.Figure
            Of its own, which a notebook shows.

        Raises
        ------
        CytoTRACE2Error
            matplotlib is not installed.
        UsageError
            There is not one sample per cell, or no cell has a score, or there are too many.
        """
        names, index = sort_labels(samples, self._result.cells, most=None)
        score = self._result.score
        occur = dict.fromkeys(index[index >= 0].tolist())
        rows = [(names[k], score[(index == k) & ~np.isnan(score)]) for k in occur]
        return draw_samples([row for row in rows if len(row[1])], self._result.model_label)

    def _composition(
        self,
        labels: Sequence[str | None] | Mapping[str, str],
        ax: Axes | None = None,
        *,
        with_legend: bool,
    ) -> Axes:
        rows = [(name, count_potencies(scores)) for name, scores in self._groups(labels).items()]
        with axes_for(ax, ROW_WIDTH, boxes_height(name for name, _ in rows)) as drawn:
            title = self._titled("Potency by phenotype")
            draw_bars(drawn, rows, title, with_legend=with_legend)
        return drawn

    def _groups(
        self, labels: Sequence[str | None] | Mapping[str, str]
    ) -> dict[str, NDArray[np.float64]]:
        """Give the scores of each label, the highest median first."""
        names, index = sort_labels(labels, self._result.cells)
        score = self._result.score
        groups = [(name, score[(index == k) & ~np.isnan(score)]) for k, name in enumerate(names)]
        groups = [group for group in groups if len(group[1])]
        if not groups:
            raise UsageError("no cell has both a label and a score.")
        return dict(sorted(groups, key=lambda group: float(np.median(group[1])), reverse=True))

    def _titled(self, title: str) -> str:
        """Name the model after a title."""
        return titled(title, self._result.model_label)

    def _name(self, ax: Axes, title: str) -> None:
        """Name the model in the title: not all scores are CytoTRACE 2's."""
        ax.set_title(self._titled(title), fontsize=TITLE_SIZE, parse_math=False)

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
