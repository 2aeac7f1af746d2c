"""Groups of cells whose means are explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.text import MISSING_LABELS, first_few, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cytotrace2_lite.output.scores import Scores

__all__ = ["BY_POTENCY", "MAX_GROUPS", "Groups", "groups_of"]

#: What the groups are called where the cells are grouped by `CytoTRACE2_Potency`.
BY_POTENCY = "potency"
#: More groups than this are hardly meant: the sums of each take a megabyte.
MAX_GROUPS = 500


@dataclass(frozen=True, eq=False)
class Groups:
    """Which group each cell is of.

    Attributes
    ----------
    names
        Of the groups that have a cell with a score, from the highest mean score to the lowest.
    of_cell
        Position in `names` of each cell's group, -1 for a cell without one or without a score;
        intp, shape (n_cells,).
    key
        Where the labels came from: "potency", the name of a column or file, or "" for an array.
    """

    names: tuple[str, ...]
    of_cell: NDArray[np.intp]
    key: str

    def position(self, name: str) -> int:
        """Find a group.

        Parameters
        ----------
        name
            Its name.

        Returns
        -------
        int
            Its position in `names`.

        Raises
        ------
        UsageError
            There is no such group.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise UsageError(
                f"there is no group {shown(name)}. The groups are {first_few(self.names, most=30)}."
            ) from None


def groups_of(labels: Any, scores: Scores, key: str = "") -> Groups:
    """Sort cells into groups.

    Parameters
    ----------
    labels
        The label of each cell, in the order of the cells: anything NumPy makes a row of; None, NaN
        or an empty text where a cell has none. None: by `CytoTRACE2_Potency`.
    scores
        The scores of the cells.
    key
        Where the labels are from, for messages.

    Returns
    -------
    Groups
        At least one.

    Raises
    ------
    UsageError
        There is not one label per cell, no cell with a score has one, or there are more than 500
        groups.
    """
    if labels is None:
        texts, key = scores.potency.tolist(), BY_POTENCY
    else:
        given = np.asarray(labels, dtype=object)
        if given.shape != scores.score.shape:
            shape = " x ".join(f"{n:,}" for n in given.shape) or "no row of"
            raise UsageError(
                f"groups has {shape} labels; there must be one for each of the "
                f"{len(scores.cells):,} cells."
            )
        texts = ["" if label is None else str(label) for label in given]
    has_score = ~np.isnan(scores.raw_score)
    missing = {text for text in set(texts) if text.strip().lower() in MISSING_LABELS}
    usable = np.array([text not in missing for text in texts]) & has_score
    if not usable.any():
        source = f" in {shown(key)}" if key else ""
        raise UsageError(f"no cell with a score has a label{source}.")
    found, inverse = np.unique(np.array(texts)[usable], return_inverse=True)
    if len(found) > MAX_GROUPS:
        raise UsageError(
            f"the labels make {len(found):,} groups ({first_few(found.tolist())}); at most "
            f"{MAX_GROUPS} can be explained. Give labels that cells share."
        )
    sizes = np.bincount(inverse)
    means = np.bincount(inverse, scores.raw_score[usable]) / sizes
    if key == BY_POTENCY and set(found.tolist()) <= set(POTENCIES):
        means = np.array([POTENCIES.index(name) for name in found.tolist()])
    order = np.lexsort((found, -means))
    of_cell = np.full(len(texts), -1, dtype=np.intp)
    of_cell[usable] = np.argsort(order)[inverse]
    return Groups(tuple(found[order].tolist()), of_cell, key)
