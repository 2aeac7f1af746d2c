"""Figures of how well scores agree with published potencies; `evaluate.py` says what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from evaluation_intervals import JudgedCells
from scipy.stats import kendalltau, spearmanr

from cytotrace2_lite.base.parameters import Parameters
from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import InputError
from cytotrace2_lite.pipeline import score_cells
from cytotrace2_lite.system.machine import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from datasets import PublishedCells
    from numpy.typing import NDArray
    from scipy.sparse import csc_array

    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.pipeline import ModelInput

PSEUDOTIME = "monocle2_pseudotime"
SEED = 0  # of the down-sampling
SCORES = ("raw", "smoothed")
ORDER = ("spearman", "kendall")  # defined for two potencies or more
LEVEL = ("mean_absolute_error", "exact", "within_one")


def present(potency: NDArray[np.int64]) -> list[tuple[int, str]]:
    """Potencies that occur, the highest first."""
    return [(int(k), POTENCIES[k]) for k in np.unique(potency)[::-1]]


def judge(
    published: PublishedCells,
    data: ModelInput,
    judged: NDArray[np.intp],
    ensemble: Ensemble,
    samples: Mapping[float, ModelInput],
) -> tuple[dict[str, Any], JudgedCells]:
    """Score a dataset and samples of it, and compare the scores with what is published."""
    parameters = Parameters(species=published.species, max_cores=available_cores())
    result = score_cells(data, ensemble, parameters)
    potency = published.potency[judged]
    pseudotime = None
    if PSEUDOTIME in published.columns:
        pseudotime = numbers(published.columns[PSEUDOTIME], f"{published.name}: {PSEUDOTIME}")
        pseudotime = pseudotime[judged]
    raw = result.raw_score[judged]
    figures: dict[str, Any] = {
        "raw": compare(raw, result.probabilities[judged].argmax(axis=1), potency, pseudotime),
        "smoothed": compare(
            result.score[judged], result.potency_index[judged], potency, pseudotime
        ),
        "warnings": result.info["warnings"],
    }
    cells = JudgedCells(
        label=np.array(published.columns["label"])[judged],
        potency=potency,
        raw=raw,
        smoothed=result.score[judged],
        score_sd=np.asarray(result.score_sd)[judged],
    )
    figures["spread"] = spread(cells)
    if samples:
        figures["downsampled"] = {}
    for share, sample in samples.items():
        scored = score_cells(sample, ensemble, parameters)
        left = judged[sample.counts.genes_per_cell[judged] > 0]
        figures["downsampled"][f"{share:g}"] = {
            "raw": correlation(spearmanr, scored.raw_score[left], result.raw_score[left]),
            "smoothed": correlation(spearmanr, scored.score[left], result.score[left]),
            "cells": len(left),
        }
    return figures, cells


def numbers(texts: Sequence[str], what: str) -> NDArray[np.float64]:
    """Numbers of a column; NaN where it is empty."""
    try:
        return np.array([float(text) if text else np.nan for text in texts])
    except ValueError as error:
        raise InputError(f"{what} holds something that is not a number: {error}.") from error


def compare(
    score: NDArray[np.float64],
    category: NDArray[np.integer],
    potency: NDArray[np.int64],
    pseudotime: NDArray[np.float64] | None,
) -> dict[str, Any]:
    """Figures of one score.

    Parameters
    ----------
    score, category
        Of each judged cell: its score in [0, 1] and the index of its predicted potency.
    potency
        Index of the published potency.
    pseudotime
        Larger is later; NaN where a cell has none. None where the dataset has none.

    Returns
    -------
    dict
        Figures by name, None where not defined. Row i of `confusion` counts the predictions, from
        Differentiated to Totipotent, of cells whose published potency is i.
    """
    off = np.abs(category.astype(int) - potency)
    confusion = np.zeros((len(POTENCIES), len(POTENCIES)), int)
    np.add.at(confusion, (potency, category), 1)
    figures: dict[str, Any] = {
        "spearman": correlation(spearmanr, score, potency),
        "kendall": correlation(kendalltau, score, potency),
        "mean_absolute_error": float(np.abs(score - potency / (len(POTENCIES) - 1)).mean()),
        "exact": float((off == 0).mean()),
        "within_one": float((off <= 1).mean()),
        "median": {p: float(np.median(score[potency == k])) for k, p in present(potency)},
        "confusion": confusion.tolist(),
    }
    if pseudotime is not None:
        known = np.isfinite(pseudotime)
        figures["spearman_pseudotime"] = correlation(spearmanr, score[known], -pseudotime[known])
    return figures


def spread(cells: JudgedCells) -> dict[str, float | None]:
    """Figures of the spread of the members over a dataset.

    Returns
    -------
    dict
        `mean` of the standard deviations; `spearman` correlation with |raw score - k/5|, None
        where either does not vary; `error_low` and `error_high`, the mean of that distance in the
        thirds of the cells with the smallest and the largest spread.
    """
    error = np.abs(cells.raw - cells.potency / (len(POTENCIES) - 1))
    order = np.argsort(cells.score_sd, kind="stable")
    third = max(len(order) // 3, 1)
    return {
        "mean": float(cells.score_sd.mean()),
        "spearman": correlation(spearmanr, cells.score_sd, error),
        "error_low": float(error[order[:third]].mean()),
        "error_high": float(error[order[-third:]].mean()),
    }


def correlation(
    measure: Callable[..., tuple[float, float]], a: NDArray[Any], b: NDArray[Any]
) -> float | None:
    """Rank correlation; None where either does not vary."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(measure(a, b)[0])


def sample_down(counts: csc_array, share: float, *, whole: bool) -> csc_array:
    """Sample the values of all cells to a share of their depth, always in the same way."""
    random = np.random.default_rng(SEED)
    values = counts.data
    if whole:
        sampled = random.binomial(values.astype(np.int64), share)
    else:
        sampled = random.poisson(values * share)
    result = counts.copy()
    result.data = sampled.astype(np.float64)
    result.eliminate_zeros()
    return result


def overall(
    figures: Mapping[str, dict[str, Any] | None], names: Sequence[str], shares: Sequence[float]
) -> dict[str, Any]:
    """Means over datasets, which all have the same weight.

    Parameters
    ----------
    figures
        Figures by dataset.
    names
        Datasets to take.
    shares
        Of the down-sampling.

    Returns
    -------
    dict
        Correlations over the datasets of two potencies or more, other figures over all.
    """
    of_names = [found for name in names if (found := figures[name]) is not None]
    result: dict[str, Any] = {}
    for score in SCORES:
        result[score] = {
            key: mean(found[score][key] for found in of_names) for key in (*ORDER, *LEVEL)
        }
    result["downsampled"] = {
        share: {
            score: mean(found["downsampled"][share][score] for found in of_names)
            for score in SCORES
        }
        for share in (f"{share:g}" for share in shares)
    }
    return result


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are defined, None where there is none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
