"""The expression of a dataset: non-zero values, cell names, gene names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cytotrace2_lite.counts._sorting import Sorter
from cytotrace2_lite.counts.counts import Counts
from cytotrace2_lite.system.compiler import may_compile

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csc_array

    from cytotrace2_lite.counts.arriving import Arriving

__all__ = ["VALUES_TO_COMPILE_FOR", "Block", "Expression", "SortedCounts"]

#: So many values are sorted faster by compiled code, although it has to be compiled.
VALUES_TO_COMPILE_FOR = 3_000_000


@dataclass(frozen=True, eq=False)
class Block:
    """Some non-zero values, as a reader streams them.

    Attributes
    ----------
    gene
        Index of the gene of each value, in input order; any integers, shape (n_values,).
    cell
        Index of the cell of each value, in input order; any integers, shape (n_values,).
    value
        The values, finite and > 0; any numbers, shape (n_values,).
    max_value
        Largest value of the block, 0.0 where there is none.
    only_known
        Whether the reader has left out the values of genes that are not known; `max_value` is over
        these, too.
    """

    gene: NDArray[np.integer[Any]]
    cell: NDArray[np.integer[Any]]
    value: NDArray[Any]
    max_value: float
    only_known: bool = False


class SortedCounts(NamedTuple):
    """Counts over features that were known before the values were read.

    Attributes
    ----------
    feature
        Feature of each gene of the input, -1 for a gene that is none; shape (n_genes,).
    counts
        Shape (n_cells, n_features).
    """

    feature: NDArray[np.integer[Any]]
    counts: Counts


@dataclass(frozen=True, eq=False)
class Expression:
    """A dataset: counts or CPM/TPM, not log-transformed.

    Attributes
    ----------
    arriving
        The non-zero values, with the indices of cell and gene in the input. Those of genes that
        cannot be a feature of the model may be missing.
    cells
        Names of the cells, unique, in input order.
    genes
        Names of the genes, unique, in input order.
    max_value
        Largest value over all genes of the input, also those left out of `arriving`.
    gene_index
        Index in `genes` of each gene of the input, -1 for one that is left out; shape
        (n_input_genes,). Several have one index where their values are to be added up.
    name
        How messages name the input.
    sorted_counts
        The counts over the features, where these were sorted as the values were read; `arriving`
        then has none.
    """

    arriving: Arriving
    cells: list[str]
    genes: list[str]
    max_value: float
    gene_index: NDArray[np.intp]
    name: str = ""
    sorted_counts: SortedCounts | None = None

    @property
    def values(self) -> csc_array:
        """All values in memory; shape (n_cells, n_genes), CSC with sorted indices.

        Raises
        ------
        OutputError
            The temporary directory is full.
        """
        every = np.arange(len(self.genes))
        return self.counts_of_features(every, len(every))[:].tocsc()

    def counts_of_features(
        self,
        feature: NDArray[np.integer[Any]],
        n_features: int,
        *,
        threads: int = 1,
        release: bool = False,
    ) -> Counts:
        """Sort the values by cell and feature; those of other genes are left out.

        Several values of one gene in one cell are added up, as SciPy does.

        Parameters
        ----------
        feature
            Feature of each gene, -1 for a gene that is none; shape (n_genes,), no feature twice.
        n_features
            Number of features.
        threads
            How many threads share the work. The result does not depend on it.
        release
            Whether the values are not needed here afterwards.

        Returns
        -------
        Counts
            Shape (n_cells, n_features).

        Raises
        ------
        OutputError
            The temporary directory is full.
        ValueError
            The values were sorted by other features as they were read.
        """
        if self.sorted_counts is not None:
            if not np.array_equal(feature, self.sorted_counts.feature):
                raise ValueError("the values were sorted by other features as they were read")
            return self.sorted_counts.counts
        column = np.append(feature, -1)[self.gene_index].astype(np.int32)
        used = self.gene_index[self.gene_index >= 0]
        n_added = int(np.bincount(used, minlength=1).max())  # the most genes of one name
        adds = n_added > 1
        value_type = self.arriving.value_type
        if adds:
            # Sums of many small whole numbers are small whole numbers, too.
            is_small = value_type.kind == "u" and np.iinfo(value_type).max * n_added < 1 << 16
            value_type = np.dtype(np.uint16 if is_small else np.float64)
        compiled = self.arriving.n_values >= VALUES_TO_COMPILE_FOR and may_compile()
        return Counts.collect(
            self.arriving,
            (len(self.cells), n_features),
            value_type,
            Sorter(column, n_features, adds=adds, compiled=compiled),
            threads=threads,
            release=release,
        )
