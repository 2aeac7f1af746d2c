"""The explanation of the scores of a run: the share of every gene, by cell and by group."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.card import MOST_ROWS, card
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.explanation import gene_sets, statistics
from cytotrace2_lite.explanation.anndata import write
from cytotrace2_lite.explanation.enrichment import enrichment_table
from cytotrace2_lite.explanation.means import (
    SCORE,
    GroupMeans,
    contrast_table,
    feature_named,
    gene_table,
)
from cytotrace2_lite.explanation.measure import expressed
from cytotrace2_lite.explanation.shares import CELLS_PER_STEP
from cytotrace2_lite.explanation.without import Without, scores_without
from cytotrace2_lite.system.blas import one_blas_thread
from cytotrace2_lite.system.threads import in_order
from cytotrace2_lite.text import first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from cytotrace2_lite.counts import Counts
    from cytotrace2_lite.explanation.plots import GenePlots
    from cytotrace2_lite.explanation.shares import Shares
    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.output.scores import Scores
    from cytotrace2_lite.output.table import Table

__all__ = ["Explanation"]

_GENES_SHOWN = 5  # each way, in notebooks


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(GroupMeans):
    """What each gene adds to the scores of the cells of one run.

    The shares of a cell add up, over the genes, to its raw score less that of the reference; the
    mean shares of a group to the mean of its cells' raw scores less that of the reference. They
    explain the model: which genes it goes by, not what these genes do.

    Attributes
    ----------
    of
        What is explained: "score", the raw score, or the name of a potency, its probability.
    reference
        What the cells are compared with: `name`, `n_cells`, `value`, `score`.
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
    scores
        The scores that are explained; a `Result` where `explain` made it.
    """

    scores: Scores
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
        from cytotrace2_lite.explanation.plots import GenePlots

        return GenePlots(self)

    def __repr__(self) -> str:
        return (
            f"<Explanation of {self.of}: {len(self.cells):,} cells, {len(self.groups)} groups, "
            f"reference {self.reference.name!r} ({self.reference.value:.3f})>"
        )

    def _repr_html_(self) -> str:
        """Give a small table for notebooks: which genes raise and lower each group."""
        shares, values, sizes = self.mean_shares, self.group_values, self.group_sizes
        rows = []
        for k, group in enumerate(self.groups[: MOST_ROWS + 1]):
            genes = self.extremes(k, _GENES_SHOWN)
            named = [[self.genes[g] for g in genes if s * shares[k, g] > 0] for s in (1, -1)]
            rows.append((group, f"{sizes[k]:,}", f"{values[k]:.3f}", *map(", ".join, named)))
        rows += [("",)] * (len(self.groups) - len(rows))  # they are only counted
        what = "score" if self.of == SCORE else f"probability of {self.of}"
        return card(
            f"Why {len(self.cells):,} cells have their {what}",
            {
                "Model": self.scores.model_label,
                "Compared with": f"the mean of {self.reference.n_cells:,} cells "
                f"({self.reference.name}), {self.reference.value:.3f}",
            },
            ("Group", "Cells", f"Mean {what}", "Raised by", "Lowered by"),
            rows,
            warnings=list(map(str, self.scores.warnings)),
        )

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
        has_counts = self._counts.genes_per_cell[chosen] > 0
        result[~has_counts] = np.nan
        rows = np.flatnonzero(has_counts)

        def fill(first: int) -> None:
            some = rows[first : first + CELLS_PER_STEP]
            own = expressed(self._counts, chosen[some])
            gradients = self._shares.gradients(self._ensemble.logits(*own))
            dense = self._shares.of_reference(-gradients)
            row = np.repeat(np.arange(len(some)), np.diff(own.log2_cpm.indptr))
            dense[row, own.log2_cpm.indices] += self._shares.of_expressed(own, gradients)
            result[some] = dense

        with one_blas_thread():
            for _ in in_order(fill, range(0, len(rows), CELLS_PER_STEP), self._threads):
                pass
        return result

    def _positions(self, cells: ArrayLike | slice | None) -> NDArray[np.intp]:
        every = np.arange(len(self.cells))
        if cells is None:
            return every
        if isinstance(cells, slice):
            return every[cells]
        given = np.atleast_1d(np.asarray(cells))
        if given.dtype.kind in "UO" and given.size and isinstance(given[0], str):
            position = {name: i for i, name in enumerate(self.cells)}
            missing = [name for name in given.tolist() if name not in position]
            if missing:
                raise UsageError(f"there is no cell {first_few(missing)}.")
            return np.array([position[name] for name in given.tolist()], dtype=np.intp)
        try:
            chosen: NDArray[np.intp] = every[given]
        except IndexError as error:
            raise UsageError(f"cells: {error}.") from None
        return chosen

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
            `group`; `gene`, as the input calls it; `mouse_symbol`; `mean_share`;
            `mean_share_others`, of the cells outside of the group; `difference` of the two;
            `expressed_part`, what of `mean_share` is of the expression of the gene itself, and
            would go if the gene were taken out (the rest is what the reference has of it);
            `expressing` and `expressing_others`, how many cells express it, 0 to 1;
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
        return gene_table(self, self.correlation, self.adjusted_p, n, group)

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
        return contrast_table(self, a, b).to_pandas()

    def gene_sets(self, sets: Any = None) -> pd.DataFrame:
        """Add up the shares of the genes of each set.

        Parameters
        ----------
        sets
            The path of a `.gmt` file, several of them, or a mapping of names to genes; by default
            the collection that comes with the package, 373 sets of marker genes with potency and
            organ.

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
        return gene_sets.set_table(collection, members, self)

    def enrichment(
        self, sets: Any = None, *, group: str | None = None, n_permutations: int = 1000
    ) -> pd.DataFrame:
        """Test whether the genes of each set stand together among the shares of a group.

        Needs the extra `enrich` (gseapy), and some 20 seconds a group for the default collection.

        Parameters
        ----------
        sets
            As for `gene_sets`.
        group
            One group; all of them by default.
        n_permutations
            How many random sets each is compared with.

        Returns
        -------
        pandas.DataFrame
            A row per group and set with 5 to 2,000 genes of the input, from the largest normalised
            enrichment score of a group to the lowest: `group`, `set`, `description`,
            `n_in_input`, `es`, `nes`, `p`, `fdr`.

        Raises
        ------
        CytoTRACE2Error
            gseapy or pandas is not installed.
        UsageError
            There is no such group.
        """
        return self.enrichment_table(sets, group=group, n_permutations=n_permutations).to_pandas()

    def enrichment_table(
        self, sets: Any = None, *, group: str | None = None, n_permutations: int = 1000
    ) -> Table:
        """As `enrichment`, as a table.

        Parameters
        ----------
        sets, group, n_permutations
            As for `enrichment`.

        Returns
        -------
        Table
            With the columns of `enrichment`.
        """
        collection = gene_sets.collection_of(sets)
        return enrichment_table(
            collection,
            collection.features(self._species, self.genes),
            self,
            group=group,
            n_permutations=n_permutations,
            threads=self._threads,
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
        positions = np.array([feature_named(name, self.genes) for name in names], dtype=np.intp)
        after = scores_without(
            self._counts, self._ensemble, self._shares.target, positions, threads=self._threads
        )
        return Without(
            genes=tuple(names),
            before=self.value,
            after=after,
            groups=self.groups,
            group_index=self.group_index,
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
        write(self, adata, self.cells, self.shares if layer else None)
