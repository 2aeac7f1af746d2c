"""The six potency categories, and the scale of the score.

Source: cytotrace2_py 1.1.0.4 `map_score_to_potency` (behaviour).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["N_POTENCIES", "POTENCIES", "POTENCY_EDGES", "potency_of"]

#: From the lowest score to the highest.
POTENCIES = (
    "Differentiated",
    "Unipotent",
    "Oligopotent",
    "Multipotent",
    "Pluripotent",
    "Totipotent",
)
N_POTENCIES = len(POTENCIES)
#: Category k is of scores over edge k, up to edge k + 1; the lowest includes 0.
POTENCY_EDGES = np.linspace(0, 1, N_POTENCIES + 1)
POTENCY_EDGES.flags.writeable = False


def potency_of(score: NDArray[np.float64]) -> NDArray[np.intp]:
    """Category of a score: k for scores in (k/6, (k+1)/6], 0 included in the lowest.

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
