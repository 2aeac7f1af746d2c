"""The explanation of the scores of a run: the share of every gene, by cell and by group."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.base.progress import Progress
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.explanation import gene_sets, statistics
from cytotrace2_lite.explanation.groups import groups_of
from cytotrace2_lite.explanation.measure import expressed, mean_cell, sum_by_group
from cytotrace2_lite.explanation.shares import CELLS_PER_STEP, Shares, target_of, value_of
from cytotrace2_lite.explanation.table import Table
from cytotrace2_lite.explanation.without import Without, scores_without
from cytotrace2_lite.genes.mapping import features
from cytotrace2_lite.models.weights import read_weights
from cytotrace2_lite.system.threads import in_order, one_blas_thread
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from cytotrace2_lite.counts.store import Counts
    from cytotrace2_lite.explanation.groups import Groups
    from cytotrace2_lite.explanation.measure import GroupSums
    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.output.scores import Scores
    from cytotrace2_lite.pipeline import ModelInput
    from cytotrace2_lite.plots.genes import GenePlots

__all__ = ["ALL_CELLS", "SCORE", "Explanation", "MeanCell", "explain_scores", "potency_position"]

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
class Explanation:
    """What each gene adds to the scores of the cells of one run.

    The shares of a cell add up, over the genes, to its raw score less that of the reference; the
    mean shares of a group to the mean of its cells' raw scores less that of the reference. They
    explain the model: which genes it goes by, not what these genes do.

    Attributes
    ----------
    scores
        The scores that are explained; a `Result` where `explain` made it.
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
    value
        What is explained, of each cell: the raw score, or the probability of the potency; NaN for
        a cell without a score; float64, shape (n_cells,).
    mean_shares
        Mean shares of each group; float64, shape (n_groups, 14271).
    """

    scores: Scores
    of: str
    reference: MeanCell
    groups: tuple[str, ...]
    group_index: NDArray[np.intp]
    features: tuple[str, ...]
    genes: tuple[str, ...]
    value: NDArray[np.float64]
    mean_shares: NDArray[np.float64]
    _sums: GroupSums
    _shares: Shares
    _counts: Counts
    _ensemble: Ensemble
    _species: str
    _threads: int

    @property
    def cells(self) -> list[str]:
        """Names of the cells."""
        return self.scores.cells

    @property
    def raw_score(self) -> NDArray[np.float64]:
        """Score of the ensemble before any smoothing; float64, shape (n_cells,)."""
        return self.scores.raw_score

    @property
    def plot(self) -> GenePlots:
        """Plots, such as `explanation.plot.top_genes()`; matplotlib draws them."""
        from cytotrace2_lite.plots.genes import GenePlots

        return GenePlots(self)

    def __repr__(self) -> str:
        return (
            f"<Explanation of {self.of}: {len(self.cells):,} cells, {len(self.groups)} groups, "
            f"reference {self.reference.name!r} ({self.reference.value:.3f})>"
        )

    @property
    def in_input(self) -> NDArray[np.intp]:
        """Positions in `features` of the genes that the input has; intp, shape (n,)."""
        return np.flatnonzero([name != "" for name in self.genes])

    def shares(self, cells: ArrayLike | slice | None = None) -> NDArray[np.float32]:
        """Compute the share of every gene in the scores of some cells.

        Parameters
        ----------
        cells
            Positions, a mask, a slice or names of cells; all of them by default. Each takes 57 KB:
            ask for some at a time where there are many.

        Returns
        -------
        ndarray
            float32, shape (n_cells, 14271), columns as `features`; NaN for a cell without a score.
            Each row adds up to `value` less `reference.value`.

        Raises
        ------
        UsageError
            There is no such cell.
        """
        chosen = self._positions(cells)
        result = np.empty((len(chosen), len(self.features)), np.float32)
        self._fill(result, chosen)
        return result

    def _positions(self, cells: ArrayLike | slice | None) -> NDArray[np.intp]:
        every = np.arange(len(self.cells))
        if cells is None:
            return every
        if isinstance(cells, slice):
            return every[cells]
        given = np.asarray(cells)
        if given.dtype.kind in "UO" and given.size and isinstance(given.ravel()[0], str):
            position = {name: i for i, name in enumerate(self.cells)}
            missing = [name for name in given.ravel().tolist() if name not in position]
            if missing:
                raise UsageError(f"there is no cell {first_few(missing)}.")
            return np.array([position[name] for name in given.ravel().tolist()], dtype=np.intp)
        try:
            return np.atleast_1d(every[given])
        except IndexError as error:
            raise UsageError(f"cells: {error}.") from None

    def _fill(self, result: NDArray[np.float32], cells: NDArray[np.intp]) -> None:
        has_counts = self._counts.genes_per_cell[cells] > 0
        result[~has_counts] = np.nan
        rows = np.flatnonzero(has_counts)

        def fill(first: int) -> None:
            some = rows[first : first + CELLS_PER_STEP]
            own = expressed(self._counts, cells[some])
            gradients = self._shares.gradients(self._ensemble.logits(*own))
            added = self._shares.of_expressed(own, gradients)
            dense = self._shares.of_reference(-gradients)
            row = np.repeat(np.arange(len(some)), np.diff(own.log2_cpm.indptr))
            dense[row, own.log2_cpm.indices] += added
            result[some] = dense

        with one_blas_thread():
            for _ in in_order(fill, range(0, len(rows), CELLS_PER_STEP), self._threads):
                pass

    @cached_property
    def correlation(self) -> NDArray[np.float64]:
        """Spearman correlation of each gene's log2 CPM with the final score, over all cells.

        float64, shape (14271,); NaN for a gene that no cell expresses.
        """
        return statistics.spearman(self._counts, self.scores.score, threads=self._threads)

    @cached_property
    def adjusted_p(self) -> NDArray[np.float64]:
        """Its two-sided p values, adjusted after Benjamini and Hochberg; shape (14271,)."""
        n_cells = int((~np.isnan(self.scores.score)).sum())
        return statistics.adjusted(statistics.p_values(self.correlation, n_cells))

    def by_group(self) -> pd.DataFrame:
        """Give what is known of every gene of the input in every group.

        Returns
        -------
        pandas.DataFrame
            A row per group and gene, from the largest mean share of a group to the lowest:
            `group`; `gene`, as the input calls it; `mouse_symbol`; `mean_share`; `mean_share_others`,
            of the cells outside of the group; `difference` of the two; `expressing` and
            `expressing_others`, the shares of the cells that express it, 0 to 1;
            `mean_log2_cpm` and `mean_log2_cpm_others`; `correlation` of log2 CPM and
            `CytoTRACE2_Score` over all cells (Spearman), and `correlation_adjusted_p`
            (Benjamini-Hochberg).

        Raises
        ------
        CytoTRACE2Error
            pandas is not installed.
        """
        return self.gene_table().to_pandas()

    def top(self, n: int | None = 20, group: str | None = None) -> pd.DataFrame:
        """Give the genes with the largest shares, up and down.

        Parameters
        ----------
        n
            How many each way; None for all.
        group
            One group; all of them by default.

        Returns
        -------
        pandas.DataFrame
            Rows of `by_group`: of each group the `n` genes of the largest shares over 0, then the
            `n` of the lowest under 0, the lowest first.

        Raises
        ------
        CytoTRACE2Error
            pandas is not installed.
        UsageError
            There is no such group.
        """
        return self.gene_table(n, group).to_pandas()

    def gene_table(self, n: int | None = None, group: str | None = None) -> Table:
        """As `top`, as a table that needs no pandas; without `n`, as `by_group`.

        Parameters
        ----------
        n, group
            As for `top`.

        Returns
        -------
        Table
            With the columns of `by_group`.
        """
        positions = range(len(self.groups)) if group is None else [self._position(group)]
        genes = self.in_input
        parts = []
        for position in positions:
            share = self.mean_shares[position, genes]
            order = np.argsort(-share, kind="stable")
            if n is not None:
                down = order[::-1][:n]
                order = np.concatenate(
                    [order[:n][share[order[:n]] > 0], down[share[down] < 0]]
                )
            parts.append(self._rows(position, genes[order]))
        return Table(
            {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        )

    def _rows(self, group: int, genes: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
        means = {
            name: self._means(getattr(self._sums, name)[:, genes], group)
            for name in ("share", "n_expressing", "log2_cpm")
        }
        (share, share_others), (expressing, expressing_others), (level, level_others) = (
            means.values()
        )
        return {
            "group": np.repeat(self.groups[group], len(genes)),
            "gene": np.array(self.genes)[genes],
            "mouse_symbol": np.array(self.features)[genes],
            "mean_share": share,
            "mean_share_others": share_others,
            "difference": share - share_others,
            "expressing": expressing,
            "expressing_others": expressing_others,
            "mean_log2_cpm": level,
            "mean_log2_cpm_others": level_others,
            "correlation": self.correlation[genes],
            "correlation_adjusted_p": self.adjusted_p[genes],
        }

    def _means(
        self, sums: NDArray[np.float64], group: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean over the cells of a group, and over all others (NaN where there are none)."""
        n_cells = self._sums.n_cells
        n_own, n_others = n_cells[group], n_cells.sum() - n_cells[group]
        others = sums.sum(axis=0) - sums[group] if n_others else np.full(sums.shape[1:], np.nan)
        return sums[group] / n_own, others / max(n_others, 1)

    def _position(self, group: str) -> int:
        if group not in self.groups:
            raise UsageError(
                f"there is no group {shown(group)}. The groups are "
                f"{first_few(self.groups, most=30)}."
            )
        return self.groups.index(group)

    def group_sizes(self) -> dict[str, int]:
        """Give how many cells with a score each group has."""
        return dict(zip(self.groups, self._sums.n_cells.tolist(), strict=False))

    def group_values(self) -> NDArray[np.float64]:
        """Give the mean of `value` over each group; float64, shape (n_groups,)."""
        return self._sums.total[:-1] / self._sums.n_cells[:-1]

    def contrast(self, a: str, b: str) -> pd.DataFrame:
        """Divide the difference of two groups' mean scores among the genes.

        Parameters
        ----------
        a, b
            Names of the groups.

        Returns
        -------
        pandas.DataFrame
            A row per gene of the input, from the largest difference to the lowest: `gene`,
            `mouse_symbol`, `mean_share_a`, `mean_share_b`, `difference`, `expressing_a`,
            `expressing_b`, `mean_log2_cpm_a`, `mean_log2_cpm_b`. The differences add up to that
            of the groups' mean raw scores.

        Raises
        ------
        CytoTRACE2Error
            pandas is not installed.
        UsageError
            There is no such group.
        """
        return self.contrast_table(a, b).to_pandas()

    def contrast_table(self, a: str, b: str) -> Table:
        """As `contrast`, as a table that needs no pandas.

        Parameters
        ----------
        a, b
            Names of the groups.

        Returns
        -------
        Table
            With the columns of `contrast`.
        """
        pair = [self._position(a), self._position(b)]
        genes = self.in_input
        difference = self.mean_shares[pair[0], genes] - self.mean_shares[pair[1], genes]
        order = np.argsort(-difference, kind="stable")
        genes = genes[order]
        columns: dict[str, Any] = {
            "gene": np.array(self.genes)[genes],
            "mouse_symbol": np.array(self.features)[genes],
        }
        for name, sums in (
            ("mean_share", self._sums.share),
            ("expressing", self._sums.n_expressing),
            ("mean_log2_cpm", self._sums.log2_cpm),
        ):
            for suffix, group in zip("ab", pair, strict=True):
                columns[f"{name}_{suffix}"] = sums[group, genes] / self._sums.n_cells[group]
            if name == "mean_share":
                columns["difference"] = difference[order]
        return Table(columns)

    def gene_sets(
        self, sets: Any = None
    ) -> pd.DataFrame:
        """Add up the shares of the genes of each set.

        Parameters
        ----------
        sets
            Paths of `.gmt` files, or a mapping of names to genes; by default the collection that
            comes with the package (`cytotrace2_lite.explanation.gene_sets.default_collection`).

        Returns
        -------
        pandas.DataFrame
            A row per group and set, from the largest sum of a group to the lowest: `group`, `set`,
            `description`, `n_genes`, `n_in_input`, `share` (the sum of the mean shares of its
            genes), `share_others`, `difference`, `top_genes`. A gene that is in two sets counts in
            both.

        Raises
        ------
        InputError
            A file is no list of gene sets.
        CytoTRACE2Error
            pandas is not installed.
        """
        return self.gene_set_table(sets).to_pandas()

    def gene_set_table(self, sets: Any = None) -> Table:
        """As `gene_sets`, as a table that needs no pandas.

        Parameters
        ----------
        sets
            As for `gene_sets`.

        Returns
        -------
        Table
            With the columns of `gene_sets`.
        """
        collection = gene_sets.collection_of(sets)
        members = collection.features(self._species, self.genes)
        others = np.array(
            [self._means(self._sums.share, group)[1] for group in range(len(self.groups))]
        )
        return gene_sets.set_table(
            collection, members, self.groups, self.genes, self.mean_shares, others
        )

    def without(self, genes: Sequence[str] | str) -> Without:
        """Compute the raw scores of the cells without some genes.

        The genes are taken out of the cells, and everything is computed anew: the other genes' CPM
        go up, and those ranked below move up. Only the raw score is computed: what follows it
        spreads the scores of each potency over a fixed range, whatever they are.

        Parameters
        ----------
        genes
            Names, as the input or as the model has them.

        Returns
        -------
        Without
            Scores before and after, by cell and by group.

        Raises
        ------
        UsageError
            A gene is not known.
        """
        names = [genes] if isinstance(genes, str) else list(genes)
        positions = [self._feature(name) for name in names]
        target = self._shares.target
        value = scores_without(
            self._counts, self._ensemble, target, np.array(positions), threads=self._threads
        )
        return Without(
            genes=tuple(names),
            before=self.value,
            after=value,
            groups=self.groups,
            group_index=self.group_index,
        )

    def _feature(self, name: str) -> int:
        for names in (self.genes, self.features):
            if name and name in names:
                return names.index(name)
        raise UsageError(
            f"gene {shown(name)} is neither a gene of the input that the model knows, nor a "
            "mouse symbol of the model."
        )

    def to_anndata(self, adata: Any, *, layer: bool = False) -> None:
        """Write the explanation into the AnnData that was explained.

        Parameters
        ----------
        adata
            Gets the mean shares of the groups as `varm["cytotrace2_shares"]`, a data frame with a
            column per group, and `uns["cytotrace2_explanation"]`: what is explained, the
            reference, and the groups.
        layer
            Whether to write the shares of every cell, too, as
            `layers["cytotrace2_shares"]`: float32, as large as all cells times all genes.

        Raises
        ------
        UsageError
            Its cells or genes are not those that were explained.
        """
        from cytotrace2_lite.explanation.anndata import write

        write(self, adata, layer=layer)


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
    raise UsageError(
        f"of is {shown(of)}; it must be 'score' or a potency: {', '.join(POTENCIES)}."
    )


def explain_scores(
    data: ModelInput,
    ensemble: Ensemble,
    scores: Scores,
    *,
    groups: Groups | ArrayLike | None = None,
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
        The label of each cell; by default `CytoTRACE2_Potency`.
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
        The labels, `of` or `reference` are not usable.
    """
    from cytotrace2_lite.explanation.groups import Groups

    potency = potency_position(of)
    grouped = groups if isinstance(groups, Groups) else groups_of(groups, scores)
    weights = read_weights(ensemble.info)
    counts = data.counts
    cells = np.flatnonzero(counts.genes_per_cell)
    reference_cells = cells
    if reference != ALL_CELLS:
        reference_cells = np.flatnonzero(grouped.of_cell == grouped.position(reference))
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
        grouped.of_cell,
        len(grouped.names),
        threads=threads,
        progress=report,
    )
    return Explanation(
        scores=scores,
        of=SCORE if potency is None else POTENCIES[potency],
        reference=MeanCell(
            reference,
            len(reference_cells),
            shares.reference_value,
            float(value_of(mean.logits[None], target_of(None))[0]),
        ),
        groups=grouped.names,
        group_index=grouped.of_cell,
        features=features(),
        genes=tuple(data.names),
        value=sums.value,
        mean_shares=sums.share[:-1] / sums.n_cells[:-1, None],
        _sums=sums,
        _shares=shares,
        _counts=counts,
        _ensemble=ensemble,
        _species=data.genes.species,
        _threads=threads,
    )
