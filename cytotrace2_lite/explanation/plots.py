"""Pictures of an explanation: bars of the top genes, dots by group, ranked shares with sets.

matplotlib is used through its object-oriented interface: no window, no pyplot, no style changed.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.explanation.panels import (
    TEXT_SIZE,
    axis_label,
    draw_bars,
    draw_dots,
    draw_ranked,
    panel_width,
)
from cytotrace2_lite.plots.drawing import axes_for, require_matplotlib
from cytotrace2_lite.text import first_few

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cytotrace2_lite.explanation.means import GroupMeans

__all__ = ["FILES", "FORMATS", "GenePlots", "draw_files"]

#: Names of the files, without their ends, by the method that draws each.
FILES = {"top_genes": "cytotrace2_genes_top", "dots": "cytotrace2_genes_dots"}
#: The ends of their names.
FORMATS = ("png", "pdf", "svg")
_DPI = 200
_MOST_COLUMNS = 5
_MOST_GENES = 60  # in one dot plot


class GenePlots:
    """Plots of one explanation.

    Without `ax` a method makes a figure of the size the plot needs. A notebook shows it once, and
    `ax.figure.savefig` writes it.

    Parameters
    ----------
    means
        What to plot.
    """

    def __init__(self, means: GroupMeans) -> None:
        self._means = means

    def bars(self, group: str, ax: Axes | None = None, *, n: int = 10) -> Axes:
        """Draw bars of the genes with the largest mean shares in a group, up and down.

        Beside each stands how many of the cells of the group express it.

        Parameters
        ----------
        group
            Name of the group.
        ax
            Where to draw; by default on a figure of its own.
        n
            How many genes each way.

        Returns
        -------
        matplotlib.axes.Axes
            With the plot.

        Raises
        ------
        CytoTRACE2Error
            matplotlib is not installed.
        UsageError
            There is no such group.
        """
        position = self._means.position(group)
        n_genes = len(self._means.extremes(position, n))
        with axes_for(ax, 2.6, max(1.2, 0.19 * n_genes)) as drawn:
            draw_bars(drawn, self._means, position, n)
        return drawn

    def top_genes(self, *, n: int = 8, groups: Sequence[str] | None = None) -> Figure:
        """Draw such bars of several groups side by side.

        Parameters
        ----------
        n
            How many genes each way.
        groups
            Names of the groups; by default all of them.

        Returns
        -------
        matplotlib.figure.Figure
            With a panel per group.

        Raises
        ------
        CytoTRACE2Error
            matplotlib is not installed.
        UsageError
            There is no such group.
        """
        names = self._means.groups if groups is None else groups
        positions = [self._means.position(name) for name in names]
        require_matplotlib()
        from cytotrace2_lite.plots.notebook import PlotFigure, show_later

        n_columns = min(_MOST_COLUMNS, len(positions))
        n_rows = math.ceil(len(positions) / n_columns)
        width = max(panel_width(self._means, position, n) for position in positions)
        figure = PlotFigure(
            figsize=(width * n_columns, n_rows * (0.34 * n + 0.75) + 0.45), layout="constrained"
        )
        panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
        for ax in panels[len(positions) :]:
            ax.set_axis_off()
        for ax, position in zip(panels, positions, strict=False):
            draw_bars(ax, self._means, position, n)
            ax.set_xlabel("")
        figure.supxlabel(
            f"{axis_label(self._means)}\n%: cells of the group that express the gene",
            fontsize=TEXT_SIZE,
            parse_math=False,
        )
        show_later(figure)
        return figure

    def dots(
        self, ax: Axes | None = None, *, n: int = 5, genes: Sequence[str] | None = None
    ) -> Axes:
        """Draw a dot for every group and gene: size is how many cells express it, colour the share.

        Parameters
        ----------
        ax
            Where to draw; by default on a figure of its own.
        n
            How many genes of each group are shown, those of the largest shares either way; fewer
            where that makes more than 60.
        genes
            These genes in place of them, as the input names them.

        Returns
        -------
        matplotlib.axes.Axes
            With the plot; size and colour are explained beside it.

        Raises
        ------
        CytoTRACE2Error
            matplotlib is not installed.
        UsageError
            There is no such gene.
        """
        chosen = self._dot_genes(n) if genes is None else self._named(genes)
        width, height = 0.21 * len(chosen), 0.25 * len(self._means.groups)
        with axes_for(ax, max(1.5, width), max(1.0, height)) as drawn:
            draw_dots(drawn, self._means, chosen)
        return drawn

    def ranked(
        self,
        group: str,
        ax: Axes | None = None,
        *,
        sets: Mapping[str, Sequence[str]] | None = None,
        n: int = 5,
    ) -> Axes:
        """Draw the shares of all genes of the input in a group, from the largest to the lowest.

        Parameters
        ----------
        group
            Name of the group.
        ax
            Where to draw; by default on a figure of its own.
        sets
            Gene sets, by name: a line of marks under the curve for each says where its genes are,
            and the sum of their shares. Genes as the input names them.
        n
            How many genes at each end are named.

        Returns
        -------
        matplotlib.axes.Axes
            With the plot.

        Raises
        ------
        CytoTRACE2Error
            matplotlib is not installed.
        UsageError
            There is no such group.
        """
        position = self._means.position(group)
        marked = dict(sets or {})
        with axes_for(ax, 5.0, 2.6 + 0.2 * len(marked)) as drawn:
            draw_ranked(drawn, self._means, position, marked, n)
        return drawn

    def _dot_genes(self, n: int) -> list[int]:
        """Choose the genes with the largest shares of each group, group by group."""
        genes = self._means.in_input
        order = [
            genes[np.argsort(-np.abs(share[genes]), kind="stable")]
            for share in self._means.mean_shares
        ]
        chosen: list[int] = []
        for some in range(n, 0, -1):
            chosen = list(dict.fromkeys(int(gene) for row in order for gene in row[:some]))
            if len(chosen) <= _MOST_GENES:
                break
        return chosen[:_MOST_GENES]

    def _named(self, names: Sequence[str]) -> list[int]:
        missing = [name for name in names if not name or name not in self._means.genes]
        if missing:
            raise UsageError(f"the input has no gene {first_few(missing)} that the model knows.")
        return [self._means.genes.index(name) for name in names]


def draw_files(
    means: GroupMeans, directory: str | os.PathLike[str], plot_format: str = "png"
) -> dict[Path, bytes]:
    """Draw the pictures that the command line writes.

    Parameters
    ----------
    means
        What to plot.
    directory
        Where they are to be.
    plot_format
        "png", "pdf" or "svg".

    Returns
    -------
    dict
        Path to content; the same bytes every time.

    Raises
    ------
    CytoTRACE2Error
        matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib as mpl

    from cytotrace2_lite.plots.notebook import unshown

    style = dict(mpl.rcParamsDefault)
    del style["backend"]
    # Text stays text in PDF (Type 42), and looks the same in SVG where the font is missing.
    style |= {"pdf.fonttype": 42, "svg.hashsalt": "cytotrace2_lite"}
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    contents = {}
    with mpl.rc_context(style), unshown():
        plots = GenePlots(means)
        figures = {"top_genes": plots.top_genes(), "dots": plots.dots().figure}
        for name, figure in figures.items():
            content = io.BytesIO()
            figure.savefig(content, format=plot_format, dpi=_DPI, metadata=undated.get(plot_format))
            contents[Path(directory) / f"{FILES[name]}.{plot_format}"] = content.getvalue()
    return contents
