"""The expression of a dataset in memory: non-zero values, cell names, gene names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csc_array

__all__ = ["Block", "Expression"]


@dataclass(frozen=True)
class Block:
    """Some non-zero values, as a reader streams them.

    Attributes
    ----------
    gene
        Index of the gene of each value, in input order; any integers, shape (n_values,).
    cell
        Index of the cell of each value, in input order; any integers, shape (n_values,).
    value
        The values, finite and > 0; float64, shape (n_values,).
    max_value
        Largest value of the block, 0.0 where there is none.
    """

    gene: NDArray[np.integer[Any]]
    cell: NDArray[np.integer[Any]]
    value: NDArray[np.float64]
    max_value: float


@dataclass(frozen=True)
class Expression:
    """A dataset: counts or CPM/TPM, not log-transformed.

    Attributes
    ----------
    values
        Shape (n_cells, n_genes), CSC without stored zeros, of any real type that holds the values
        exactly. Columns of genes that no model feature could come from may be left empty.
    cells
        Names of the cells, unique, in input order.
    genes
        Names of the genes, unique, in input order.
    max_value
        Largest value over all genes of the input, also those left out of `values`.
    """

    values: csc_array
    cells: list[str]
    genes: list[str]
    max_value: float
