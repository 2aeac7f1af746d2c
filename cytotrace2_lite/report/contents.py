"""What a report shows, checked and put into the order of the cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.plots.labels import sort_labels
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from cytotrace2_lite.metadata.coordinates import Embedding
    from cytotrace2_lite.output.scores import Scores

__all__ = ["MOST_GENES", "Contents", "Groups", "contents_of", "groups_of"]

#: How many genes a report can hold.
MOST_GENES = 50
# Groups with names of their own; the smaller ones are one group.
_MOST_GROUPS = 99
_NO_COORDINATES = "No map: this result has no coordinates."


@dataclass(frozen=True, eq=False)
class Groups:
    """A group of each cell.

    Attributes
    ----------
    title
        What the groups are: "Label", "Sample".
    names
        Their names.
    index
        Position of each cell's group, -1 for none; shape (n_cells,).
    """

    title: str
    names: list[str]
    index: NDArray[np.intp]


@dataclass(frozen=True, eq=False, kw_only=True)
class Contents:
    """What a report shows.

    Attributes
    ----------
    cells
        Names of the cells, length n_cells.
    numbers
        Name of a column to its values, NaN for none; float64, shape (n_cells,). The first is
        `CytoTRACE2_Score`, the others are from 0 to 1, too.
    potency_index
        Position of the potency of each cell, -1 for none; int8, shape (n_cells,).
    groups
        Labels and samples, where they are known.
    embedding
        Where the map draws the cells; None for no map.
    why_no_map
        A sentence, where there is no map, or where it does not show all cells; "" else.
    genes
        Name to log2(CPM + 1), or what else the caller has; float64, shape (n_cells,).
    info
        What `run.json` holds; empty where there is none.
    gene_table
        Rows of `cytotrace2_genes.tsv`, the first its header; empty where there is none.
    why_no_genes
        A sentence, where there is a table that is not shown.
    """

    cells: list[str]
    numbers: dict[str, NDArray[np.float64]]
    potency_index: NDArray[np.int8]
    groups: list[Groups] = field(default_factory=list)
    embedding: Embedding | None = None
    why_no_map: str = ""
    genes: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    gene_table: Sequence[Sequence[str]] = ()
    why_no_genes: str = ""


def contents_of(
    scores: Scores,
    *,
    labels: Sequence[str | None] | Mapping[str, str] | None = None,
    samples: Sequence[str | None] | Mapping[str, str] | None = None,
    embedding: Embedding | None = None,
    why_no_map: str = "",
    genes: Mapping[str, ArrayLike] | None = None,
    gene_table: Sequence[Sequence[str]] = (),
    why_no_genes: str = "",
    info: Mapping[str, Any] | None = None,
) -> Contents:
    """Put together what the report of a result shows.

    Parameters
    ----------
    scores
        The result.
    labels, samples
        One per cell, or a mapping from names of cells; None for none.
    embedding
        Coordinates; None for no map.
    why_no_map
        As in `Contents`.
    genes
        Name of a gene to its values, one per cell.
    gene_table, why_no_genes
        As in `Contents`.
    info
        The record of the run; that of the result by default.

    Returns
    -------
    Contents
        Checked.

    Raises
    ------
    UsageError
        Labels, samples or values are not one per cell, or there are too many genes.
    """
    numbers = {
        "CytoTRACE2_Score": scores.score,
        "CytoTRACE2_Relative": scores.relative,
        "CytoTRACE2_Raw_Score": scores.raw_score,
        "preKNN_CytoTRACE2_Score": scores.preknn_score,
    }
    pairs = (("Label", labels), ("Sample", samples))
    return Contents(
        cells=scores.cells,
        numbers=numbers,
        potency_index=scores.potency_index,
        groups=[groups_of(title, of, scores.cells) for title, of in pairs if of is not None],
        embedding=embedding,
        why_no_map=why_no_map or ("" if embedding is not None else _NO_COORDINATES),
        genes=_checked_genes(genes or {}, len(scores.cells)),
        info=info or scores.info,
        gene_table=gene_table,
        why_no_genes=why_no_genes,
    )


def groups_of(
    title: str, labels: Sequence[str | None] | Mapping[str, str], cells: Sequence[str]
) -> Groups:
    """Sort labels into at most 100 groups: the smallest become one where there are more.

    Parameters
    ----------
    title
        What the groups are.
    labels
        One per cell, or a mapping from names of cells.
    cells
        Names of the cells.

    Returns
    -------
    Groups
        In natural order of their names.

    Raises
    ------
    UsageError
        The labels are not one per cell, or all missing.
    """
    names, index = sort_labels(labels, cells, most=None)
    if len(names) > _MOST_GROUPS + 1:
        sizes = np.bincount(index[index >= 0], minlength=len(names))
        largest = np.sort(np.argsort(-sizes, kind="stable")[:_MOST_GROUPS])
        place = np.full(len(names) + 1, _MOST_GROUPS)
        place[largest] = np.arange(_MOST_GROUPS)
        place[-1] = -1  # of cells without a group
        index = place[index]
        other = f"({len(names) - _MOST_GROUPS} other groups)"
        names = [*(names[k] for k in largest.tolist()), other]
    return Groups(title, names, index)


def _checked_genes(genes: Mapping[str, ArrayLike], n_cells: int) -> dict[str, NDArray[np.float64]]:
    if len(genes) > MOST_GENES:
        raise UsageError(f"{len(genes)} genes: a report can hold {MOST_GENES}. Choose some.")
    checked = {}
    for name, values in genes.items():
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"the values of gene {shown(name)} are not numbers ({error})."
            ) from None
        if array.shape != (n_cells,):
            raise UsageError(
                f"the values of gene {shown(name)} have the shape {array.shape}; it must be "
                f"({n_cells},), one per cell."
            )
        if np.isinf(array).any() or (array < 0).any():
            raise UsageError(
                f"gene {shown(name)} has negative or infinite values: give counts or log2(CPM + 1)."
            )
        checked[str(name)] = array
    return checked


def potency_groups(index: NDArray[np.int8]) -> Groups:
    """Give the potencies as groups, the lowest first."""
    return Groups("CytoTRACE2_Potency", list(POTENCIES), index.astype(np.intp))
