"""How sure the figures of `evaluate.py` are: the judged cells, and what resampling them gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import mannwhitneyu, rankdata

from cytotrace2_lite.base.potency import POTENCIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

N_RESAMPLES = 1000  # of the cells of a dataset, and of the datasets
SEED = 0


@dataclass(frozen=True, eq=False)
class JudgedCells:
    """The judged cells of a dataset, as one model scores them.

    Attributes
    ----------
    label
        Published label of each cell.
    potency
        Index of its published potency; int64, shape (n_cells,).
    raw, smoothed
        Its scores; float64, shape (n_cells,).
    score_sd
        Standard deviation of its raw score over the members; float64, shape (n_cells,).
    """

    label: NDArray[np.str_]
    potency: NDArray[np.int64]
    raw: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    score_sd: NDArray[np.float64]


def area_under_curve(
    score: NDArray[np.float64], above: NDArray[np.bool_], below: NDArray[np.bool_]
) -> float:
    """Chance that a cell of `above` scores higher than one of `below`; ties count half."""
    statistic = mannwhitneyu(score[above], score[below]).statistic
    return float(statistic / (above.sum() * below.sum()))


def intervals(
    models: Mapping[str, Mapping[str, JudgedCells]], names: Sequence[str]
) -> dict[str, Any]:
    """Means over datasets, with intervals from resampled datasets and cells.

    The cells of a dataset are resampled within each potency, the same for all models, and so are
    the datasets: differences between models are paired.

    Parameters
    ----------
    models
        Of each model, the judged cells by dataset.
    names
        The datasets to take, each of two potencies or more.

    Returns
    -------
    dict
        By score (raw, smoothed) and figure (spearman, mean_absolute_error): for each model, and
        for each but the first its difference from the first, the figure and the 2.5 and 97.5
        percentiles.
    """
    random = np.random.default_rng(SEED)
    labels = list(models)
    # figures[dataset, resample, score, figure, model]; resample 0 is the dataset itself
    figures = np.stack(
        [_resample([models[label][name] for label in labels], random) for name in names]
    )
    n = len(names)
    drawn = random.integers(n, size=(N_RESAMPLES, n))
    resample = random.integers(1, N_RESAMPLES + 1, size=(N_RESAMPLES, n))
    means = np.concatenate([figures[:, 0].mean(0)[None], figures[drawn, resample].mean(1)])
    found: dict[str, Any] = {"datasets": list(names)}
    for i, score in enumerate(("raw", "smoothed")):
        found[score] = {}
        for j, figure in enumerate(("spearman", "mean_absolute_error")):
            of_models = means[:, i, j]
            found[score][figure] = {
                "models": {label: _interval(of_models[:, m]) for m, label in enumerate(labels)},
                "differences": {
                    label: _interval(of_models[:, m] - of_models[:, 0])
                    for m, label in enumerate(labels)
                    if m
                },
            }
    return found


def _resample(cells: Sequence[JudgedCells], random: np.random.Generator) -> NDArray[np.float64]:
    """Figures of a dataset and of its resamples; shape (1 + N_RESAMPLES, 2, 2, n_models)."""
    potency = cells[0].potency
    groups = [np.flatnonzero(potency == k) for k in np.unique(potency)]
    draws = [np.arange(len(potency))]
    draws += [
        np.concatenate([random.choice(group, len(group)) for group in groups])
        for _ in range(N_RESAMPLES)
    ]
    found = np.empty((len(draws), 2, 2, len(cells)))
    for d, drawn in enumerate(draws):
        k = potency[drawn]
        rank = rankdata(k)
        for m, one in enumerate(cells):
            for i, scores in enumerate((one.raw, one.smoothed)):
                score = scores[drawn]
                found[d, i, 0, m] = np.corrcoef(rankdata(score), rank)[0, 1]
                found[d, i, 1, m] = np.abs(score - k / (len(POTENCIES) - 1)).mean()
    return found


def _interval(values: NDArray[np.float64]) -> list[float]:
    """Give the figure itself, which is the first, and the percentiles of the resamples."""
    return [float(values[0]), *np.percentile(values[1:], [2.5, 97.5]).tolist()]
