"""The six potency categories, and which scores belong to each.

Source: cytotrace2_py 1.1.0.4 `map_score_to_potency` (behaviour), `plot_all_outputs` (colours).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["N_POTENCIES", "POTENCIES", "POTENCY_COLORS", "POTENCY_EDGES", "potency_of"]

#: The categories, from the lowest scores to the highest.
POTENCIES = (
    "Differentiated",
    "Unipotent",
    "Oligopotent",
    "Multipotent",
    "Pluripotent",
    "Totipotent",
)
N_POTENCIES = len(POTENCIES)
#: Their colours in plots.
POTENCY_COLORS = ("#5E4FA2", "#66C2A5", "#E6F598", "#FEE08B", "#F46D43", "#9E0142")
#: Bounds of the categories, shape (7,): category k holds scores over bound k, up to bound k + 1;
#: the lowest category also holds 0.
POTENCY_EDGES = np.linspace(0, 1, N_POTENCIES + 1)
POTENCY_EDGES.flags.writeable = False


def potency_of(score: NDArray[np.float64]) -> NDArray[np.intp]:
    """Find the category of scores: k for scores in (k/6, (k+1)/6], 0 for a score of 0.

    Parameters
    ----------
    score
        Scores in [0, 1]; any shape.

    Returns
    -------
    ndarray
        0 (Differentiated) to 5 (Totipotent); intp, of the same shape.
    """
    return np.searchsorted(POTENCY_EDGES[1:-1], score, side="left")
