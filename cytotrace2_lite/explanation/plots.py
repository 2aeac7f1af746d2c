"""Pictures of an explanation: bars of the top genes, dots by group, ranked shares with sets.

Colour is never the only cue: bars to the right raise, bars to the left lower, and the numbers are
on the axis. matplotlib is used through its object-oriented interface: no window, no pyplot, no
style changed.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.plots.drawing import axes_for, one_line

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cytotrace2_lite.explanation.means import GroupMeans

__all__ = ["FILES", "GenePlots", "draw_files"]

#: Names of the files, without their ends, by the method that draws each.
FILES = {"top_genes": "cytotrace2_genes_top", "dots": "cytotrace2_genes_dots"}
# Of Brewer's scheme PuOr, which people with any colour vision can tell apart.
_UP_COLOR, _DOWN_COLOR = "#B35806", "#542788"
_COLORMAP = "PuOr_r"
_TITLE_SIZE, _TEXT_SIZE, _SMALL_SIZE = 12, 10, 8
_LONGEST_NAME = 28
_DPI = 200
_MOST_COLUMNS = 5
_DOT = 120  # points², of a gene that all cells express
_QUANTILE = 0.98  # of the shares in a dot plot, beyond which colours are the same
_MOST_GENES = 60  # in one dot plot


class GenePlots:
    """Plots of one explanation.

    Without `ax` a method makes a figure of the size the plot needs: `ax.figure.savefig` writes it,
    and a notebook with matplotlib.pyplot shows `ax.figure`.

    Parameters
    ----------
    means
        What to plot.
    """

    def __init__(self, means: GroupMeans) -> None:
        self._means = means

    def bars(self, group: str, ax: Axes | None = None, *, n: int = 10) -> Axes:
        """Draw bars of the genes with the largest mean shares in a group, up and down.

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
        genes = self._means.extremes(position, n)
        with axes_for(ax, 2.6, max(1.2, 0.19 * len(genes))) as drawn:
            self._draw_bars(drawn, position, n)
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
        with axes_for(None):  # says so where matplotlib is missing
            from matplotlib.figure import Figure
        names = self._means.groups if groups is None else groups
        positions = [self._means.position(name) for name in names]
        n_columns = min(_MOST_COLUMNS, len(positions))
        n_rows = math.ceil(len(positions) / n_columns)
        figure = Figure(
            figsize=(2.75 * n_columns, n_rows * (0.34 * n + 0.75) + 0.45), layout="constrained"
        )
        panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
        for ax in panels[len(positions) :]:
            ax.set_axis_off()
        for ax, position in zip(panels, positions, strict=False):
            self._draw_bars(ax, position, n)
            ax.set_xlabel("")
        figure.supxlabel(
            f"{self._axis_label()}\n%: cells of the group that express the gene",
            fontsize=_TEXT_SIZE,
            parse_math=False,
        )
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
            matplotlib is not installed, or there is no such gene.
        """
        means = self._means
        chosen = self._dot_genes(n) if genes is None else self._named(genes)
        n_groups, n_genes = len(means.groups), len(chosen)
        share = means.mean_shares[:, chosen]
        expressing = means.expressing[:, chosen]
        with axes_for(ax, max(1.5, 0.21 * n_genes), max(1.0, 0.25 * n_groups)) as drawn:
            from matplotlib.colors import Normalize

            largest = float(np.abs(share).max())
            most = float(np.quantile(np.abs(share), _QUANTILE)) or largest or 1.0
            x, y = np.meshgrid(np.arange(n_genes), np.arange(n_groups))
            points = drawn.scatter(
                x.ravel(),
                y.ravel(),
                s=_DOT * expressing.ravel().clip(0.02),
                c=share.ravel(),
                cmap=_COLORMAP,
                norm=Normalize(-most, most),
                edgecolors="#606060",
                linewidths=0.4,
            )
            drawn.set_xlim(-0.7, n_genes - 0.3)
            drawn.set_ylim(n_groups - 0.4, -0.6)
            names = [_short(means.genes[i] or means.features[i]) for i in chosen]
            drawn.set_xticks(
                range(n_genes), names, rotation=90, fontsize=_SMALL_SIZE, parse_math=False
            )
            labels = [
                f"{_short(name)}  {value:.2f}"
                for name, value in zip(means.groups, means.group_values, strict=True)
            ]
            drawn.set_yticks(range(n_groups), labels, fontsize=_SMALL_SIZE, parse_math=False)
            drawn.tick_params(length=0)
            drawn.set_axisbelow(True)
            drawn.grid(color="#ECECEC", linewidth=0.6)
            drawn.set_title(
                f"Share in {self._what()}; mean of the group beside its name",
                fontsize=_TEXT_SIZE,
                loc="left",
                parse_math=False,
            )
            self._explain_dots(drawn, points, clipped=largest > most)
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
        means = self._means
        position = means.position(group)
        genes = means.in_input
        share = means.mean_shares[position, genes]
        order = np.argsort(-share, kind="stable")
        genes, share = genes[order], share[order]
        rows = list((sets or {}).items())
        with axes_for(ax, 5.0, 2.6 + 0.2 * len(rows)) as drawn:
            drawn.plot(np.arange(len(share)), share, color="#404040", linewidth=1)
            drawn.fill_between(
                np.arange(len(share)), share, 0, where=share > 0, color=_UP_COLOR, alpha=0.5
            )
            drawn.fill_between(
                np.arange(len(share)), share, 0, where=share < 0, color=_DOWN_COLOR, alpha=0.5
            )
            span = float(np.ptp(share)) or 1.0
            self._name_ends(drawn, genes, share, span, n)
            low = float(share.min()) - 0.08 * span
            step = 0.11 * span
            index = {means.genes[g]: i for i, g in enumerate(genes)}
            for k, (name, members) in enumerate(rows):
                places = [index[gene] for gene in members if gene in index]
                middle = low - (k + 0.5) * step
                drawn.vlines(
                    places, middle - 0.4 * step, middle + 0.4 * step, color="black", lw=0.5
                )
                total = float(share[places].sum())
                drawn.annotate(
                    f"{_short(name, 40)}  {total:+.4f}",
                    (1.01, middle),
                    xycoords=("axes fraction", "data"),
                    va="center",
                    fontsize=_SMALL_SIZE,
                    parse_math=False,
                )
            # No numbers beside the marks, which are no shares.
            drawn.set_yticks([tick for tick in drawn.get_yticks() if low < tick <= share.max()])
            drawn.set_ylim(low - len(rows) * step, float(share.max()) + 0.08 * span)
            drawn.set_xlim(-0.01 * len(share), 1.01 * len(share))
            drawn.axhline(0, color="black", linewidth=0.5)
            drawn.set_xlabel("genes of the input, by mean share", fontsize=_TEXT_SIZE)
            drawn.set_ylabel(self._axis_label(), fontsize=_TEXT_SIZE, parse_math=False)
            drawn.tick_params(labelsize=_SMALL_SIZE)
            drawn.spines[["right", "top"]].set_visible(False)
            drawn.set_title(
                self._title(position), fontsize=_TEXT_SIZE, loc="left", parse_math=False
            )
        return drawn

    def _name_ends(self, ax: Axes, genes: Any, share: Any, span: float, n: int) -> None:
        ends = [(i, 1) for i in range(n)] + [(len(share) - 1 - i, -1) for i in range(n)]
        for i, side in ends:
            if share[i] * side <= 0:
                continue
            row = i if side > 0 else len(share) - 1 - i
            height = share[0] if side > 0 else share[-1]
            ax.annotate(
                self._means.genes[genes[i]],
                (i, share[i]),
                (0.04 if side > 0 else 0.96, height - side * 0.075 * span * row),
                textcoords=("axes fraction", "data"),
                ha="left" if side > 0 else "right",
                va="center",
                fontsize=_SMALL_SIZE,
                arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "#808080"},
                parse_math=False,
            )

    def _draw_bars(self, ax: Axes, position: int, n: int) -> None:
        means = self._means
        genes = means.extremes(position, n)
        share = means.mean_shares[position, genes]
        order = np.argsort(-share, kind="stable")
        genes, share = genes[order], share[order]
        rows = np.arange(len(genes))
        ax.barh(rows, share, 0.75, color=np.where(share > 0, _UP_COLOR, _DOWN_COLOR))
        expressing = means.expressing[position, genes]
        names = [_short(means.genes[gene]) for gene in genes]
        ax.set_yticks(rows, names, fontsize=_SMALL_SIZE, parse_math=False)
        most = float(np.abs(share).max()) if len(share) else 1.0
        # On the other side of the axis: how many of the cells express it. Few do where it is the
        # lack of the gene that counts.
        for row, value, part in zip(rows, share, expressing, strict=True):
            ax.annotate(
                f"{part:.0%}",
                (0, row),
                (-3 if value > 0 else 3, 0),
                textcoords="offset points",
                ha="right" if value > 0 else "left",
                va="center",
                fontsize=_SMALL_SIZE - 1.5,
                color="#606060",
            )
        ax.set_xlim(-1.1 * most, 1.1 * most)
        ax.set_ylim(len(genes) - 0.3, -0.7)
        ax.axvline(0, color="black", linewidth=0.6)
        ax.tick_params(axis="y", length=0)
        ax.tick_params(axis="x", labelsize=_SMALL_SIZE)
        tick = _round_number(most)
        ax.set_xticks([-tick, 0, tick])
        ax.spines[["right", "top", "left"]].set_visible(False)
        ax.set_xlabel(self._axis_label(), fontsize=_TEXT_SIZE, parse_math=False)
        ax.set_title(self._title(position), fontsize=_TEXT_SIZE, loc="left", parse_math=False)

    def _title(self, position: int) -> str:
        means = self._means
        size, value = int(means.group_sizes[position]), float(means.group_values[position])
        return f"{_short(means.groups[position])}\n{value:.3f}, {size:,} cells"

    def _what(self) -> str:
        of = self._means.of
        return "the raw score" if of == "score" else f"the probability of {of}"

    def _axis_label(self) -> str:
        reference = self._means.reference
        name = "mean of all cells" if reference.name == "all" else f"mean of {reference.name}"
        return f"share in {self._what()} (reference: {_short(name)}, {reference.value:.3f})"

    def _dot_genes(self, n: int) -> list[int]:
        """Choose the genes with the largest shares of each group, group by group."""
        means = self._means
        genes = means.in_input
        order = [
            genes[np.argsort(-np.abs(share[genes]), kind="stable")] for share in means.mean_shares
        ]
        for some in range(n, 0, -1):
            chosen = list(dict.fromkeys(int(gene) for row in order for gene in row[:some]))
            if len(chosen) <= _MOST_GENES:
                return chosen
        return chosen[:_MOST_GENES]

    def _named(self, names: Sequence[str]) -> list[int]:
        from cytotrace2_lite.errors import UsageError
        from cytotrace2_lite.text import first_few

        missing = [name for name in names if name not in self._means.genes]
        if missing:
            raise UsageError(f"the input has no gene {first_few(missing)} that the model knows.")
        return [self._means.genes.index(name) for name in names]

    def _explain_dots(self, ax: Axes, points: Any, *, clipped: bool) -> None:
        """Say beside the dots what their size and colour mean."""
        from matplotlib.lines import Line2D

        left = 1 + 0.25 / (ax.get_position().width * ax.figure.get_figwidth())
        handles = [
            Line2D([], [], linestyle="", marker="o", color="#B0B0B0", markeredgecolor="#606060",
                   markeredgewidth=0.4, markersize=math.sqrt(_DOT * part))
            for part in (0.25, 0.5, 1.0)
        ]  # fmt: skip
        legend = ax.legend(
            handles,
            ["25%", "50%", "100%"],
            title="cells that\nexpress it",
            loc="upper left",
            bbox_to_anchor=(left, 1.02),
            borderaxespad=0,
            frameon=False,
            fontsize=_SMALL_SIZE,
            title_fontsize=_SMALL_SIZE,
            alignment="left",
            labelspacing=0.7,
        )
        legend.get_title().set_multialignment("left")
        width = 0.12 / (ax.get_position().width * ax.figure.get_figwidth())
        height = min(1.0, 1.1 / (ax.get_position().height * ax.figure.get_figheight()))
        below = 1.02 - 1.35 / (ax.get_position().height * ax.figure.get_figheight())
        bar = ax.inset_axes((left, below - height, width, height))
        colors = ax.figure.colorbar(points, cax=bar, extend="both" if clipped else "neither")
        colors.outline.set_linewidth(0.5)
        bar.set_title("mean share", fontsize=_SMALL_SIZE, loc="left", pad=6)
        bar.tick_params(labelsize=_SMALL_SIZE)


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
    with axes_for(None):  # says so where matplotlib is missing
        import matplotlib as mpl
    style = dict(mpl.rcParamsDefault)
    del style["backend"]
    # Text stays text in PDF (Type 42), and looks the same in SVG where the font is missing.
    style |= {"pdf.fonttype": 42, "svg.hashsalt": "cytotrace2_lite"}
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    contents = {}
    with mpl.rc_context(style):
        plots = GenePlots(means)
        figures = {"top_genes": plots.top_genes(), "dots": plots.dots().figure}
        for name, figure in figures.items():
            content = io.BytesIO()
            figure.savefig(content, format=plot_format, dpi=_DPI, metadata=undated.get(plot_format))
            contents[Path(directory) / f"{FILES[name]}.{plot_format}"] = content.getvalue()
    return contents


def _round_number(most: float) -> float:
    """Give the largest of 1, 2, 5, 10, 20, ... (or 0.5, 0.2, ...) that is not over a number."""
    if not most > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))


def _short(text: str, longest: int = _LONGEST_NAME) -> str:
    text = one_line(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
