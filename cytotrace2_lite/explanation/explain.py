"""From scores to their explanation: the two passes over the values of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.base.progress import Progress
from cytotrace2_lite.explanation.explanation import Explanation
from cytotrace2_lite.explanation.groups import groups_of
from cytotrace2_lite.explanation.means import ALL_CELLS, SCORE, MeanCell, potency_position
from cytotrace2_lite.explanation.measure import mean_cell, sum_by_group
from cytotrace2_lite.explanation.shares import Shares, target_of, value_of
from cytotrace2_lite.genes import features
from cytotrace2_lite.models.weights import read_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from cytotrace2_lite.explanation.groups import Groups
    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.output.scores import Scores
    from cytotrace2_lite.pipeline import ModelInput

__all__ = ["explain_scores"]


def explain_scores(
    data: ModelInput,
    ensemble: Ensemble,
    scores: Scores,
    groups: Groups | None = None,
    *,
    of: str = SCORE,
    reference: str = ALL_CELLS,
    threads: int = 1,
    progress: Callable[[Progress], None] | None = None,
) -> Explanation:
    """Divide the scores of a run among the genes.

    Parameters
    ----------
    data
        The dataset, with its values.
    ensemble
        The model.
    scores
        What `cytotrace2_lite.pipeline.score_cells` made of the two.
    groups
        Groups of the cells; by default by `CytoTRACE2_Potency`.
    of
        "score", or the name of a potency for its probability.
    reference
        "all" for the mean of all cells, or the name of a group for the mean of that.
    threads
        How many share the work. The result does not depend on it.
    progress
        Called as the stage "explain" goes on.

    Returns
    -------
    Explanation
        With the means of the groups.

    Raises
    ------
    UsageError
        `of` or `reference` is not usable.
    """
    potency = potency_position(of)
    groups = groups_of(None, scores) if groups is None else groups
    weights = read_weights(ensemble.info)
    counts = data.counts
    cells = reference_cells = np.flatnonzero(counts.genes_per_cell)
    if reference != ALL_CELLS:
        reference_cells = np.flatnonzero(groups.of_cell == groups.position(reference))
    n_done, total = 0, len(reference_cells) + len(cells)

    def report(n_cells: int) -> None:
        nonlocal n_done
        n_done += n_cells
        if progress is not None:
            progress(Progress("explain", n_done, total))

    report(0)
    mean = mean_cell(counts, weights, reference_cells, threads=threads, progress=report)
    shares = Shares(weights, mean, target_of(potency))
    sums = sum_by_group(
        counts,
        ensemble,
        shares,
        groups.of_cell,
        len(groups.names),
        threads=threads,
        progress=report,
    )
    return Explanation(
        of=SCORE if potency is None else POTENCIES[potency],
        reference=MeanCell(
            reference,
            len(reference_cells),
            shares.reference_value,
            float(value_of(mean.logits[None], target_of(None))[0]),
        ),
        groups=groups.names,
        group_index=groups.of_cell,
        features=features(),
        genes=tuple(data.names),
        sums=sums,
        scores=scores,
        _shares=shares,
        _counts=counts,
        _ensemble=ensemble,
        _species=data.genes.species,
        _threads=threads,
    )
