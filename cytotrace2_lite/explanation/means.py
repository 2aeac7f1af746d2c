"""Mean shares of groups of cells, and the tables made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.genes import features
from cytotrace2_lite.output.table import Table
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.explanation.measure import GroupSums

__all__ = [
    "ALL_CELLS",
    "SCORE",
    "GroupMeans",
    "MeanCell",
    "contrast_table",
    "feature_named",
    "gene_table",
    "potency_position",
]

#: Name of the reference that is the mean of all cells.
ALL_CELLS = "all"
#: What is explained by default.
SCORE = "score"


@dataclass(frozen=True)
class MeanCell:
    """The cell that the others are compared with: the mean of some cells.

    Every gene adds to every network of the model what it adds in the mean of these cells. So the
    reference is no cell of the dataset, and its score is not the mean of their scores.

    Attributes
    ----------
    name
        "all", or the group whose mean it is.
    n_cells
        How many cells it is the mean of.
    value
        What the model gives for it of what is explained: `score`, or the probability of a potency.
    score
        Its score, 0 to 1.
    """

    name: str
    n_cells: int
    value: float
    score: float


@dataclass(frozen=True, eq=False)
class GroupMeans:
    """What each gene adds to the mean score of each group of cells.

    Attributes
    ----------
    of
        What is explained: "score", the raw score, or the name of a potency, its probability.
    reference
        What the cells are compared with.
    groups
        Names of the groups of cells, from the highest mean score to the lowest.
    group_index
        Position in `groups` of each cell's group, -1 for none; intp, shape (n_cells,).
    features
        The genes of the model, as mouse symbols; 14,271.
    genes
        What the input calls each of them; "" for one that it lacks.
    sums
        Sums over the cells of each group.
    """

    of: str
    reference: MeanCell
    groups: tuple[str, ...]
    group_index: NDArray[np.intp]
    features: tuple[str, ...]
    genes: tuple[str, ...]
    sums: GroupSums

    @property
    def value(self) -> NDArray[np.float64]:
        """What is explained, of each cell: the raw score, or the probability of the potency.

        float64, shape (n_cells,); NaN for a cell without a score.
        """
        return self.sums.value

    @property
    def mean_shares(self) -> NDArray[np.float64]:
        """Mean shares of each group; float64, shape (n_groups, 14271)."""
        return self._means(self.sums.share)

    @property
    def expressed_parts(self) -> NDArray[np.float64]:
        """What of `mean_shares` is of the expression of the gene itself; as `mean_shares`.

        The rest is what the gene adds in the reference: all that a cell has that lacks the gene.
        """
        return self._means(self.sums.added)

    @property
    def expressing(self) -> NDArray[np.float64]:
        """How many of the cells of each group express each gene, 0 to 1; as `mean_shares`."""
        return self._means(self.sums.n_expressing)

    @property
    def mean_log2_cpm(self) -> NDArray[np.float64]:
        """Mean log2(CPM + 1) of each gene in each group; as `mean_shares`."""
        return self._means(self.sums.log2_cpm)

    @property
    def group_values(self) -> NDArray[np.float64]:
        """Mean of `value` over each group; float64, shape (n_groups,)."""
        return self._means(self.sums.total)

    @property
    def group_sizes(self) -> NDArray[np.int64]:
        """How many cells with a score each group has; int64, shape (n_groups,)."""
        return self.sums.n_cells[:-1]

    @property
    def in_input(self) -> NDArray[np.intp]:
        """Positions in `features` of the genes that the input has; intp, shape (n,)."""
        return np.flatnonzero([name != "" for name in self.genes])

    def others(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the means over all cells outside of each group.

        Parameters
        ----------
        sums
            Of the groups, and of the cells without one in the last row.

        Returns
        -------
        ndarray
            float64, a row less; NaN where there are no other cells.
        """
        n_others = self.sums.n_cells.sum() - self.group_sizes
        rest = sums.sum(axis=0) - sums[:-1]
        with np.errstate(invalid="ignore"):
            return np.where(_column(n_others, rest), rest, np.nan) / _column(
                np.maximum(n_others, 1), rest
            )

    def position(self, group: str) -> int:
        """Find a group.

        Parameters
        ----------
        group
            Its name.

        Returns
        -------
        int
            Its position in `groups`.

        Raises
        ------
        UsageError
            There is no such group.
        """
        if group not in self.groups:
            raise UsageError(
                f"there is no group {shown(group)}. The groups are "
                f"{first_few(self.groups, most=30)}."
            )
        return self.groups.index(group)

    def extremes(self, group: int, n: int) -> NDArray[np.intp]:
        """Find the genes with the largest shares in a group, up and down.

        Parameters
        ----------
        group
            Its position.
        n
            How many each way.

        Returns
        -------
        ndarray
            Positions in `features`: those of the largest mean shares over 0, then those of the
            lowest under 0, the lowest first.
        """
        genes = self.in_input
        share = self.mean_shares[group, genes]
        order = np.argsort(-share, kind="stable")
        up, down = order[:n], order[::-1][:n]
        chosen: NDArray[np.intp] = genes[np.concatenate([up[share[up] > 0], down[share[down] < 0]])]
        return chosen

    def _means(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return sums[:-1] / _column(self.group_sizes, sums)


def gene_table(
    means: GroupMeans,
    correlation: NDArray[np.float64],
    adjusted_p: NDArray[np.float64],
    n: int | None = None,
    group: str | None = None,
) -> Table:
    """Give what is known of the genes of the input in every group.

    Parameters
    ----------
    means
        The groups.
    correlation, adjusted_p
        Of each feature with the final score, shape (14271,).
    n
        How many genes of each group, up and down; None for all of the input.
    group
        Name of one group; None for all.

    Returns
    -------
    Table
        A row per group and gene, see `Explanation.by_group`.

    Raises
    ------
    UsageError
        There is no such group.
    """
    own = {
        "mean_share": means.mean_shares,
        "expressing": means.expressing,
        "mean_log2_cpm": means.mean_log2_cpm,
    }
    expressed = means.expressed_parts
    others = {
        "mean_share": means.others(means.sums.share),
        "expressing": means.others(means.sums.n_expressing),
        "mean_log2_cpm": means.others(means.sums.log2_cpm),
    }
    names, symbols = np.array(means.genes), np.array(means.features)
    parts: list[dict[str, NDArray[Any]]] = []
    positions = range(len(means.groups)) if group is None else [means.position(group)]
    for k in positions:
        if n is None:
            genes = means.in_input
            genes = genes[np.argsort(-own["mean_share"][k, genes], kind="stable")]
        else:
            genes = means.extremes(k, n)
        part: dict[str, NDArray[Any]] = {
            "group": np.repeat(means.groups[k], len(genes)),
            "gene": names[genes],
            "mouse_symbol": symbols[genes],
        }
        for name, values in own.items():
            part[name] = values[k, genes]
            part[f"{name}_others"] = others[name][k, genes]
            if name == "mean_share":
                part["difference"] = part[name] - part[f"{name}_others"]
                part["expressed_part"] = expressed[k, genes]
        part["correlation"] = correlation[genes]
        part["correlation_adjusted_p"] = adjusted_p[genes]
        parts.append(part)
    return Table({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def contrast_table(means: GroupMeans, a: str, b: str) -> Table:
    """Divide the difference of two groups' mean scores among the genes.

    Parameters
    ----------
    means
        The groups.
    a, b
        Names of two of them.

    Returns
    -------
    Table
        A row per gene of the input, see `Explanation.contrast`.

    Raises
    ------
    UsageError
        There is no such group.
    """
    pair = [means.position(a), means.position(b)]
    genes = means.in_input
    share, expressing, level = means.mean_shares, means.expressing, means.mean_log2_cpm
    difference = share[pair[0], genes] - share[pair[1], genes]
    order = np.argsort(-difference, kind="stable")
    genes = genes[order]
    first, second = pair
    return Table(
        {
            "gene": np.array(means.genes)[genes],
            "mouse_symbol": np.array(means.features)[genes],
            "mean_share_a": share[first, genes],
            "mean_share_b": share[second, genes],
            "difference": difference[order],
            "expressing_a": expressing[first, genes],
            "expressing_b": expressing[second, genes],
            "mean_log2_cpm_a": level[first, genes],
            "mean_log2_cpm_b": level[second, genes],
        }
    )


def potency_position(of: str) -> int | None:
    """Find what is explained.

    Parameters
    ----------
    of
        "score" or the name of a potency, in any case.

    Returns
    -------
    int or None
        Position of the potency; None for the score.

    Raises
    ------
    UsageError
        It is neither.
    """
    if of.lower() == SCORE:
        return None
    for position, potency in enumerate(POTENCIES):
        if of.lower() == potency.lower():
            return position
    raise UsageError(f"of is {shown(of)}; it must be 'score' or a potency: {', '.join(POTENCIES)}.")


def feature_named(name: str, genes: Sequence[str]) -> int:
    """Find a feature by its name.

    Parameters
    ----------
    name
        As the input has it, or the mouse symbol.
    genes
        What the input calls each feature, "" where it has none.

    Returns
    -------
    int
        Its position.

    Raises
    ------
    UsageError
        There is none.
    """
    for names in (genes, features()):
        if name and name in names:
            return names.index(name)
    raise UsageError(
        f"gene {shown(name)} is neither a gene of the input that the model knows, nor a mouse "
        "symbol of the model."
    )


def _column(numbers: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Give numbers the shape in which they meet the rows of values."""
    return numbers.reshape(-1, *(1,) * (values.ndim - 1))
