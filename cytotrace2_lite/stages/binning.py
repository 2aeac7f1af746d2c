"""Spread the cells of each potency category over the category's part of the scale.

Source: cytotrace2_py 1.1.0.4 `binning`, `map_score_to_potency` (behaviour).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.base.potency import N_POTENCIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["spread"]

_MARGIN = 1e-8  # between the scores of two categories, on each side


def spread(score: NDArray[np.float64], potency: NDArray[np.intp]) -> NDArray[np.float64]:
    """Rank the cells of each category by their score and space them evenly over its range.

    Parameters
    ----------
    score
        Smoothed scores; shape (n_cells,).
    potency
        Category of each cell, 0 (Differentiated) to 5 (Totipotent); shape (n_cells,).

    Returns
    -------
    ndarray
        Scores in [k/6 + 1e-8, (k+1)/6 - 1e-8] for category k; float64, shape (n_cells,). Equal
        scores keep the order of the cells; a lone cell gets the lower end.
    """
    result = np.empty(len(score))
    # Not POTENCY_EDGES, in which edge 5 is 5 * (1 / 6), from linspace, as where upstream assigns
    # potencies. Here upstream has 5 / 6, which differs in the last bit.
    edges = np.arange(N_POTENCIES + 1) / N_POTENCIES
    for k in range(N_POTENCIES):
        cells = np.flatnonzero(potency == k)
        low, high = edges[k] + _MARGIN, edges[k + 1] - _MARGIN
        # Not linspace: its last bits differ from those of the scaler that upstream uses.
        step = (high - low) / max(len(cells) - 1, 1)
        ordered = cells[np.argsort(score[cells], kind="stable")]
        result[ordered] = np.arange(len(cells)) * step + low
    return result
