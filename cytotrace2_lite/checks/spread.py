"""Whether a dataset is like those that a model was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.base.finding import Finding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cytotrace2_lite.models.info import ModelInfo

__all__ = ["unlike_training"]


def unlike_training(info: ModelInfo, score_sd: NDArray[np.float64] | None) -> list[Finding]:
    """See how much the members of an ensemble disagree on a dataset.

    Parameters
    ----------
    info
        The model, whose `spread_limit` was measured on datasets that its members had not seen.
    score_sd
        Standard deviation of the score over the members; NaN for cells without a score,
        shape (n_cells,). None where it is not known.

    Returns
    -------
    list of Finding
        A warning where the mean is over the limit; empty otherwise, for a model without a limit
        and without a scored cell.
    """
    if score_sd is None:
        return []
    known = score_sd[np.isfinite(score_sd)]
    if info.spread_limit is None or not len(known) or known.mean() <= info.spread_limit:
        return []
    return [
        Finding(
            "unlike_training",
            "warning",
            f"the members of the model {info.name} disagree about these cells: the standard "
            f"deviation of their scores is {known.mean():.3f} on average, over the limit of "
            f"{info.spread_limit:g}",
            "The cells are unlike those that the model was trained on, and its scores were "
            "further from the potencies on such data.",
            "Rely on the order of the cells rather than on categories, and look at "
            "CytoTRACE2_Score_SD (--extra-columns).",
        )
    ]
