"""How the pictures of an explanation are drawn: bars, dots, ranked shares.

Colour is never the only cue: bars to the right raise, bars to the left lower, and the numbers are
on the axis.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from cytotrace2_lite.explanation.means import GroupMeans

__all__ = [
    "SMALL_SIZE",
    "TEXT_SIZE",
    "axis_label",
    "draw_bars",
    "draw_dots",
    "draw_ranked",
    "panel_width",
]

#: Font sizes, in points.
TEXT_SIZE, SMALL_SIZE = 10, 8
# Of Brewer's scheme PuOr, which people with any colour vision can tell apart.
_UP_COLOR, _DOWN_COLOR = "#B35806", "#542788"
_COLORMAP = "PuOr_r"
_GREY, _LINE_COLOR = "#606060", "#404040"
_LONGEST_NAME, _LONGEST_SET = 28, 40
_DOT = 120  # square points, of a gene that all cells express
_QUANTILE = 0.98  # of the shares in a dot plot, beyond which colours are the same


def axis_label(means: GroupMeans) -> str:
    """Say what the shares are of, and against what."""
    reference = means.reference
    name = "mean of all cells" if reference.name == "all" else f"mean of {reference.name}"
    return f"share in {_what(means)} (reference: {_short(name)}, {reference.value:.3f})"


def draw_bars(ax: Axes, means: GroupMeans, group: int, n: int) -> None:
    """Draw bars of the genes with the largest mean shares in a group, up and down.

    On the other side of the axis stands how many of the cells express the gene: few do where it is
    the lack of the gene that counts.

    Parameters
    ----------
    ax
        Where to draw.
    means
        The groups.
    group
        Position of one.
    n
        How many genes each way.
    """
    genes = means.extremes(group, n)
    share = means.mean_shares[group, genes]
    order = np.argsort(-share, kind="stable")
    genes, share = genes[order], share[order]
    rows = np.arange(len(genes))
    ax.barh(rows, share, 0.75, color=np.where(share > 0, _UP_COLOR, _DOWN_COLOR))
    names = [_short(means.genes[gene]) for gene in genes]
    ax.set_yticks(rows, names, fontsize=SMALL_SIZE, parse_math=False)
    for row, value, part in zip(rows, share, means.expressing[group, genes], strict=True):
        ax.annotate(
            f"{part:.0%}",
            (0, row),
            (-3 if value > 0 else 3, 0),
            textcoords="offset points",
            ha="right" if value > 0 else "left",
            va="center",
            fontsize=SMALL_SIZE - 1.5,
            color=_GREY,
        )
    most = float(np.abs(share).max()) if len(share) else 1.0
    tick = _round_number(most)
    ax.set_xlim(-1.1 * most, 1.1 * most)
    ax.set_xticks([-tick, 0, tick])
    ax.set_ylim(len(genes) - 0.3, -0.7)
    ax.axvline(0, color="black", linewidth=0.6)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=SMALL_SIZE)
    ax.spines[["right", "top", "left"]].set_visible(False)
    ax.set_xlabel(axis_label(means), fontsize=TEXT_SIZE, parse_math=False)
    ax.set_title(_title(means, group), fontsize=TEXT_SIZE, loc="left", parse_math=False)


def panel_width(means: GroupMeans, group: int, n: int) -> float:
    """Tell how wide bars need to be with all that is written beside and over them.

    Parameters
    ----------
    means, group, n
        As for `draw_bars`.

    Returns
    -------
    float
        Inches.
    """
    names = [_short(means.genes[gene]) for gene in means.extremes(group, n)]
    beside = 0.08 * max(map(len, names), default=0)
    over = 0.1 * max(map(len, _title(means, group).split("\n")))
    return max(2.1 + beside, over)


def draw_dots(ax: Axes, means: GroupMeans, genes: Sequence[int]) -> None:
    """Draw a dot for every group and gene: size is how many cells express it, colour the share.

    Parameters
    ----------
    ax
        Where to draw. Size and colour are explained to the right of it.
    means
        The groups, from the top down.
    genes
        Positions of features, from left to right.
    """
    from matplotlib.colors import Normalize

    n_groups, n_genes = len(means.groups), len(genes)
    share = means.mean_shares[:, genes]
    expressing = means.expressing[:, genes]
    largest = float(np.abs(share).max())
    most = float(np.quantile(np.abs(share), _QUANTILE)) or largest or 1.0
    x, y = np.meshgrid(np.arange(n_genes), np.arange(n_groups))
    points = ax.scatter(
        x.ravel(),
        y.ravel(),
        s=_DOT * expressing.ravel().clip(0.02),
        c=share.ravel(),
        cmap=_COLORMAP,
        norm=Normalize(-most, most),
        edgecolors=_GREY,
        linewidths=0.4,
    )
    ax.set_xlim(-0.7, n_genes - 0.3)
    ax.set_ylim(n_groups - 0.4, -0.6)
    names = [_short(means.genes[gene] or means.features[gene]) for gene in genes]
    ax.set_xticks(range(n_genes), names, rotation=90, fontsize=SMALL_SIZE, parse_math=False)
    labels = [
        f"{_short(name)}  {value:.2f}"
        for name, value in zip(means.groups, means.group_values, strict=True)
    ]
    ax.set_yticks(range(n_groups), labels, fontsize=SMALL_SIZE, parse_math=False)
    ax.tick_params(length=0)
    ax.set_axisbelow(True)
    ax.grid(color="#ECECEC", linewidth=0.6)
    ax.set_title(
        f"Share in {_what(means)}; mean of the group beside its name",
        fontsize=TEXT_SIZE,
        loc="left",
        parse_math=False,
    )
    _explain_dots(ax, points, clipped=largest > most)


def draw_ranked(
    ax: Axes,
    means: GroupMeans,
    group: int,
    sets: Mapping[str, Sequence[str]],
    n: int,
) -> None:
    """Draw the shares of all genes of the input in a group, from the largest to the lowest.

    Parameters
    ----------
    ax
        Where to draw.
    means
        The groups.
    group
        Position of one.
    sets
        Gene sets by name, genes as the input names them: marks under the curve.
    n
        How many genes at each end are named.
    """
    genes = means.in_input
    share = means.mean_shares[group, genes]
    order = np.argsort(-share, kind="stable")
    genes, share = genes[order], share[order]
    rank = np.arange(len(share))
    ax.plot(rank, share, color=_LINE_COLOR, linewidth=1)
    ax.fill_between(rank, share, 0, where=share > 0, color=_UP_COLOR, alpha=0.5)
    ax.fill_between(rank, share, 0, where=share < 0, color=_DOWN_COLOR, alpha=0.5)
    span = float(np.ptp(share)) or 1.0
    _name_ends(ax, [means.genes[gene] for gene in genes], share, n)
    low = float(share.min()) - 0.08 * span
    step = 0.11 * span
    place = {means.genes[gene]: i for i, gene in enumerate(genes)}
    for k, (name, members) in enumerate(sets.items()):
        places = [place[gene] for gene in members if gene in place]
        middle = low - (k + 0.5) * step
        ax.vlines(places, middle - 0.4 * step, middle + 0.4 * step, color="black", linewidth=0.5)
        ax.annotate(
            f"{_short(name, _LONGEST_SET)}  {float(share[places].sum()):+.4f}",
            (1.01, middle),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=SMALL_SIZE,
            parse_math=False,
        )
    # No numbers beside the marks, which are no shares.
    ax.set_yticks([tick for tick in ax.get_yticks() if low < tick <= share.max()])
    ax.set_ylim(low - len(sets) * step, float(share.max()) + 0.08 * span)
    ax.set_xlim(-0.01 * len(share), 1.01 * len(share))
    ax.axhline(0, color="black", linewidth=0.5)
    ax.set_xlabel("genes of the input, by mean share", fontsize=TEXT_SIZE)
    ax.set_ylabel(axis_label(means), fontsize=TEXT_SIZE, parse_math=False)
    ax.tick_params(labelsize=SMALL_SIZE)
    ax.spines[["right", "top"]].set_visible(False)
    ax.set_title(_title(means, group), fontsize=TEXT_SIZE, loc="left", parse_math=False)


def _name_ends(ax: Axes, names: Sequence[str], share: NDArray[np.float64], n: int) -> None:
    """Name the first and the last genes beside the curve, with a line to each."""
    row_height = 0.075 * (float(np.ptp(share)) or 1.0)
    for row in range(min(n, len(share))):
        for side, i in ((1, row), (-1, len(share) - 1 - row)):
            if share[i] * side <= 0:
                continue
            height = (share[0] if side > 0 else share[-1]) - side * row * row_height
            ax.annotate(
                _short(names[i]),
                (i, share[i]),
                (0.04 if side > 0 else 0.96, height),
                textcoords=("axes fraction", "data"),
                ha="left" if side > 0 else "right",
                va="center",
                fontsize=SMALL_SIZE,
                arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "#808080"},
                parse_math=False,
            )


def _explain_dots(ax: Axes, points: Any, *, clipped: bool) -> None:
    """Say beside the dots what their size and colour mean."""
    from matplotlib.lines import Line2D

    box = ax.get_position()
    width, height = box.width * ax.figure.get_figwidth(), box.height * ax.figure.get_figheight()
    left = 1 + 0.25 / width
    handles = [
        Line2D([], [], linestyle="", marker="o", color="#B0B0B0", markeredgecolor=_GREY,
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
        fontsize=SMALL_SIZE,
        title_fontsize=SMALL_SIZE,
        alignment="left",
        labelspacing=0.7,
    )
    legend.get_title().set_multialignment("left")
    bar_height = min(1.0, 1.1 / height)
    bar = ax.inset_axes((left, 1.02 - 1.35 / height - bar_height, 0.12 / width, bar_height))
    colors = ax.figure.colorbar(points, cax=bar, extend="both" if clipped else "neither")
    colors.outline.set_linewidth(0.5)
    bar.set_title("mean share", fontsize=SMALL_SIZE, loc="left", pad=6)
    bar.tick_params(labelsize=SMALL_SIZE)


def _title(means: GroupMeans, group: int) -> str:
    size, value = int(means.group_sizes[group]), float(means.group_values[group])
    return f"{_short(means.groups[group])}\n{value:.3f}, {size:,} cell{'s' * (size != 1)}"


def _what(means: GroupMeans) -> str:
    return "the raw score" if means.of == "score" else f"the probability of {means.of}"


def _round_number(most: float) -> float:
    """Give the largest of 1, 2, 5, 10, 20, ... (or 0.5, 0.2, ...) that is not over a number."""
    if not most > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))


def _short(text: str, longest: int = _LONGEST_NAME) -> str:
    text = printable(" ".join(text.split()))
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
