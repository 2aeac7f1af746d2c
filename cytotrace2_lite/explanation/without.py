"""What if: the raw scores of cells without some genes, computed anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.explanation.shares import CELLS_PER_STEP, value_of
from cytotrace2_lite.output.table import Table
from cytotrace2_lite.stages.preprocess import log2_cpm, rank_expressed
from cytotrace2_lite.system.blas import one_blas_thread
from cytotrace2_lite.system.threads import in_order

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cytotrace2_lite.counts import Counts
    from cytotrace2_lite.models.ensemble import Ensemble

__all__ = ["Without", "scores_without"]


@dataclass(frozen=True, eq=False)
class Without:
    """Scores of the cells with all genes, and without some.

    Attributes
    ----------
    genes
        Names of the genes that were taken out.
    before, after
        What is explained, the raw score or the probability of a potency, with and without them;
        float64, shape (n_cells,). NaN for a cell without a score, and, in `after`, for one that
        has no other gene.
    groups
        Names of the groups.
    group_index
        Position in `groups` of each cell's group, -1 for none; intp, shape (n_cells,).
    """

    genes: tuple[str, ...]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    groups: tuple[str, ...]
    group_index: NDArray[np.intp]

    def by_group(self) -> pd.DataFrame:
        """Give the means of each group.

        Returns
        -------
        pandas.DataFrame
            A row per group: `group`, `n_cells`, `before`, `after`, `change`.

        Raises
        ------
        CytoTRACE2Error
            pandas is not installed.
        """
        return self.table().to_pandas()

    def table(self) -> Table:
        """As `by_group`, as a table that needs no pandas.

        Returns
        -------
        Table
            With the columns of `by_group`.
        """
        both = ~(np.isnan(self.before) | np.isnan(self.after))
        rows = [both & (self.group_index == k) for k in range(len(self.groups))]
        means = np.array(
            [
                (self.before[row].mean(), self.after[row].mean()) if row.any() else (np.nan,) * 2
                for row in rows
            ]
        )
        return Table(
            {
                "group": np.array(self.groups),
                "n_cells": np.array([int(row.sum()) for row in rows]),
                "before": means[:, 0],
                "after": means[:, 1],
                "change": means[:, 1] - means[:, 0],
            }
        )


def scores_without(
    counts: Counts,
    ensemble: Ensemble,
    target: NDArray[np.float64],
    genes: NDArray[np.intp],
    *,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Score cells as if they did not express some genes.

    Parameters
    ----------
    counts
        Expression over the model's features, shape (n_cells, 14271).
    ensemble
        The model.
    target
        What is computed, from `cytotrace2_lite.explanation.shares.target_of`.
    genes
        Positions of the features to take out.
    threads
        How many share the work. The result does not depend on it.

    Returns
    -------
    ndarray
        float64, shape (n_cells,); NaN for a cell without any other count.
    """
    from scipy.sparse import csr_array

    removed = np.zeros(counts.shape[1], dtype=bool)
    removed[genes] = True
    value = np.full(counts.shape[0], np.nan)
    cells = np.flatnonzero(counts.genes_per_cell)

    def score(first: int) -> None:
        step = cells[first : first + CELLS_PER_STEP]
        some = counts[step]
        kept = ~removed[some.indices]
        indptr = np.concatenate([[0], np.cumsum(kept)])[some.indptr]
        left = np.flatnonzero(np.diff(indptr))
        if not len(left):
            return
        rest = csr_array(
            (some.data[kept], some.indices[kept], indptr.astype(some.indptr.dtype)),
            shape=some.shape,
        )[left]
        logits = ensemble.logits(log2_cpm(rest), rank_expressed(rest))
        value[step[left]] = value_of(logits, target)

    with one_blas_thread():
        for _ in in_order(score, range(0, len(cells), CELLS_PER_STEP), threads):
            pass
    return value
