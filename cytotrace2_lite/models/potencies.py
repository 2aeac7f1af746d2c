"""From potencies to scores: that of a cell, and how far the members are apart.

Source: Kang et al., Nature Methods 2025, doi 10.1038/s41592-025-02857-2 (the score).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["expected_score", "members_sd"]


def expected_score(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score of a cell: sum of probability times k / 5, k = 0 (Differentiated) to 5 (Totipotent).

    Parameters
    ----------
    probabilities
        Shape (n_cells, 6), columns as `POTENCIES`.

    Returns
    -------
    ndarray
        float64, shape (n_cells,), in [0, 1] where rows sum to 1.
    """
    # Not a matrix product: the order in which BLAS adds depends on the number of cells.
    score = np.zeros(len(probabilities))
    for k, share in enumerate(probabilities.T):
        score += share * (k / (len(POTENCIES) - 1))
    np.minimum(score, 1, out=score)  # the sum of a row may exceed 1 by a last bit
    return score


def members_sd(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Spread of the members: population standard deviation of their expected potencies.

    Parameters
    ----------
    logits
        Shape (n_cells, 6 n_members); column 6 i + k is potency k of member i.

    Returns
    -------
    ndarray
        float64, shape (n_cells,), in [0, 0.5].
    """
    by_member = logits.astype(np.float64).reshape(len(logits), -1, len(POTENCIES))
    share = np.exp(by_member - by_member.max(axis=2, keepdims=True))
    score = np.zeros(share.shape[:2])
    for k in range(len(POTENCIES)):
        score += share[:, :, k] * (k / (len(POTENCIES) - 1))
    score /= share.sum(axis=2)
    spread: NDArray[np.float64] = np.minimum(score.std(axis=1), 0.5)
    return spread
