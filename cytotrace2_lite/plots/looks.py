"""Colours of the plots for what is not drawn by matplotlib."""

from __future__ import annotations

from cytotrace2_lite.plots._style import (
    LABEL_COLORS,
    MISSING_COLOR,
    POTENCY_COLORS,
    RELATIVE_COLORS,
)

__all__ = ["GENE_COLORS", "MISSING_COLOR", "RELATIVE_COLORS", "group_colors", "potency_stops"]

#: Colours of the expression of a gene, from none to much: darker in every colour vision.
GENE_COLORS = ("#E4E4E4", "#FDBF8F", "#E8657C", "#8C2981", "#1D0F3C")
# How far the colours of a further round of groups are from those of the first: to white, to black.
_ROUNDS = (0.0, 0.45, -0.4)


def potency_stops() -> tuple[str, ...]:
    """Give the colour map of scores as colours at equal distances, between which it is linear.

    Returns
    -------
    tuple of str
        13 colours, of the scores 0, 1/12, ... 1.
    """
    stops = [POTENCY_COLORS[0]]
    for k, color in enumerate(POTENCY_COLORS):
        if k:
            stops.append(_mixed(POTENCY_COLORS[k - 1], color, 0.5))
        stops.append(color)
    return (*stops, POTENCY_COLORS[-1])


def group_colors(n_groups: int) -> list[str]:
    """Give colours to groups; with more than nine, lighter and darker ones of the same follow.

    Parameters
    ----------
    n_groups
        How many groups there are. From 28 on, colours repeat.

    Returns
    -------
    list of str
        A colour for each.
    """
    colors = []
    for k in range(n_groups):
        color = LABEL_COLORS[k % len(LABEL_COLORS)]
        shift = _ROUNDS[k // len(LABEL_COLORS) % len(_ROUNDS)]
        colors.append(_mixed(color, "#FFFFFF" if shift > 0 else "#000000", abs(shift)))
    return colors


def _mixed(one: str, other: str, share: float) -> str:
    """Mix two colours; `share` is that of the second."""
    parts = (
        round(int(one[k : k + 2], 16) * (1 - share) + int(other[k : k + 2], 16) * share)
        for k in (1, 3, 5)
    )
    return "#" + "".join(f"{part:02X}" for part in parts)
