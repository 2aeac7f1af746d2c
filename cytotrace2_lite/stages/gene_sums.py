"""Sums of log2(CPM + 1) of each gene over the cells of a batch, from which its dispersion follows.

They are added up while the cells are predicted, which needs the same logarithms: computing these
once more would take longer than all else of the dispersion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = ["GeneSums"]

# Moves results only where all cells are nearly alike. Variance / mean**2 of a gene that is the same
# in all cells, at most: the rounding errors of sums of a million values.
_CONSTANT = 1e-12


@dataclass(eq=False)
class GeneSums:
    """Sums over some cells, to which those of other cells can be added.

    Attributes
    ----------
    n_cells
        Number of cells.
    total
        Sum of log2(CPM + 1) of each gene; float64, shape (n_genes,).
    squares
        Sum of its squares; float64, shape (n_genes,).
    """

    n_cells: int
    total: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def of(cls, log2_cpm: csr_array) -> GeneSums:
        """Add up some cells.

        Parameters
        ----------
        log2_cpm
            log2(CPM + 1), CSR, shape (n_cells, n_genes).
        """
        n_cells, n_genes = log2_cpm.shape
        values = log2_cpm.data
        # Without values, `bincount` gives integers.
        total, squares = (
            np.bincount(log2_cpm.indices, weights, n_genes).astype(np.float64, copy=False)
            for weights in (values, values * values)
        )
        return cls(n_cells, total, squares)

    @classmethod
    def of_no_cells(cls, n_genes: int) -> GeneSums:
        """Begin with zeros."""
        return cls(0, np.zeros(n_genes), np.zeros(n_genes))

    def add(self, other: GeneSums) -> None:
        """Add those of other cells; the order moves the last bits."""
        self.n_cells += other.n_cells
        self.total += other.total
        self.squares += other.squares

    def dispersion(self) -> NDArray[np.float64]:
        """Compute variance / mean of each gene.

        Returns
        -------
        ndarray
            Population variance / mean, 0 for a gene that is the same in all cells; float64,
            shape (n_genes,).
        """
        mean = self.total / self.n_cells
        variance = self.squares / self.n_cells - mean**2
        # That of a constant gene is a rounding error. Where that of another gene loses digits to
        # its mean, the gene is far from the 1,000 most variable ones.
        varies = variance > _CONSTANT * mean**2
        ratio: NDArray[np.float64] = np.divide(
            variance, mean, out=np.zeros_like(mean), where=varies
        )
        return ratio
