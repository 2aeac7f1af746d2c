"""The values of some cells, sorted by cell and feature: with compiled code, or with SciPy.

Both give the same bytes. SciPy is there for few values, for what is to be added up, and where the
system does not let programs run code that they have compiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cytotrace2_lite.counts._feature_kernels import PLACES_PER_WORD, kernel
from cytotrace2_lite.counts.arriving import coo_without_summing

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from cytotrace2_lite.counts.arriving import Step, StepValues

__all__ = ["Sorted", "Sorter"]

_EXACT = 1 << 53  # up to here, whole numbers are added up exactly in any order


class Sorted(NamedTuple):
    """The values of some cells, by cell and feature.

    Attributes
    ----------
    indptr
        Where the values of each cell begin, and the last ones end; shape (n_cells + 1,).
    genes
        The feature of each value; shape (n_values,).
    values
        Of float64 if values were added up; shape (n_values,).
    total
        Sum of the values of each cell; float64, shape (n_cells,).
    largest
        Largest value of each cell, 0 where it has none; float64, shape (n_cells,).
    whole
        Whether all values are whole numbers.
    n_repeated
        How many values were not the first of their gene and cell.
    """

    indptr: NDArray[Any]
    genes: NDArray[Any]
    values: NDArray[Any]
    total: NDArray[np.float64]
    largest: NDArray[np.float64]
    whole: bool
    n_repeated: int


class Sorter:
    """Sorts the values of a step by cell and feature; several threads may call it.

    Parameters
    ----------
    column
        Feature of each gene of the input, -1 for a gene that is none; int32, shape
        (n_input_genes,).
    n_features
        Number of features.
    adds
        Whether several genes are one feature, so that their values are to be added up.
    compiled
        Whether to use compiled code, where it can do what is asked for.
    """

    def __init__(
        self, column: NDArray[np.int32], n_features: int, *, adds: bool, compiled: bool
    ) -> None:
        self._column = column
        self._n_features = n_features
        self._adds = adds
        self._drops = bool((column < 0).any())
        self._n_places = -(-n_features // PLACES_PER_WORD) * PLACES_PER_WORD
        self._compiled = compiled and not adds and self._n_places <= np.iinfo(np.uint16).max
        if self._compiled:
            self._place_of = np.where(column < 0, self._n_places, column).astype(np.uint16)

    def __call__(self, step: Step) -> Sorted:
        """Sort the values of a step."""
        values = step.read()
        found = self.by_kernel(values) if self._compiled else None
        return self._by_scipy(values) if found is None else found

    def by_kernel(self, step: StepValues) -> Sorted | None:
        """Sort with compiled code, if it was asked for and can do it.

        Returns
        -------
        Sorted or None
            None where values are repeated, or something is wrong.
        """
        n_runs, n_cells = step.ends.shape[0], step.ends.shape[1] - 1
        unsigned = step.genes.view(f"u{step.genes.itemsize}")
        if unsigned.max(initial=0) >= len(self._place_of):
            return None  # compiled code does not look where it reads
        places = np.zeros(self._n_places + 1, step.values.dtype)
        indptr = np.empty(n_cells + 1, np.int64)
        features, values = np.empty(len(step.genes), np.uint16), np.empty_like(step.values)
        total, largest = np.empty(n_cells), np.empty(n_cells)
        n_values = kernel(step.genes.dtype, step.values.dtype)(
            *(step.ends.ctypes.data, n_runs, n_cells),
            *(array.ctypes.data for array in (step.genes, step.values, self._place_of)),
            self._n_places,
            *(array.ctypes.data for array in (places, indptr, features, values, total, largest)),
        )
        if n_values < 0:
            return None
        features, values = features[:n_values], values[:n_values]
        whole = not np.isnan(total).any()
        if not (total < _EXACT).all():
            total = _total(indptr, values)
        return Sorted(indptr, features, values, total, largest, whole, n_repeated=0)

    def _by_scipy(self, step: StepValues) -> Sorted:
        cell, gene, value = step.cells, step.genes, step.values
        n_cells = step.ends.shape[1] - 1
        features = self._column[gene]
        if self._drops:
            kept = features >= 0
            cell, gene, features, value = cell[kept], gene[kept], features[kept], value[kept]
        matrix = _sorted(n_cells, self._n_features, cell, features, value)
        n_repeated = n_added = _count_repeated(matrix)
        if self._adds:
            by_gene = _sorted(n_cells, len(self._column), cell, gene, value)
            n_repeated = _count_repeated(by_gene)
        if n_added:
            matrix = matrix.astype(np.float64)
            matrix.sum_duplicates()
        indptr, values = matrix.indptr, matrix.data
        return Sorted(
            indptr,
            matrix.indices,
            values,
            total=_total(indptr, values),
            largest=_of_cells(np.maximum, indptr, values),
            whole=values.dtype.kind == "u" or not np.any(values % 1),
            n_repeated=n_repeated,
        )


def _total(indptr: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float64]:
    """Add up the values of each cell."""
    with np.errstate(over="ignore"):
        return _of_cells(np.add, indptr, values.astype(np.float64, copy=False))


def _of_cells(reduce: np.ufunc, indptr: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float64]:
    """Reduce the values of each cell to one, 0 where there is none."""
    reduced = np.zeros(len(indptr) - 1)
    filled = np.flatnonzero(np.diff(indptr))
    if len(filled):
        reduced[filled] = reduce.reduceat(values, indptr[filled])
    return reduced


def _count_repeated(matrix: csr_array) -> int:
    """Count the values of a CSR matrix, with sorted indices, that are not the first at a place."""
    again = np.flatnonzero(matrix.indices[1:] == matrix.indices[:-1]) + 1
    row = np.searchsorted(matrix.indptr, again, side="right") - 1
    return int(np.count_nonzero(again > matrix.indptr[row]))  # else it is the first of its row


def _sorted(
    n_cells: int,
    n_genes: int,
    cell: NDArray[Any],
    gene: NDArray[Any],
    value: NDArray[Any],
) -> csr_array:
    """Make a CSR matrix with sorted indices: by gene first, then by cell, both in linear time."""
    unsorted = coo_without_summing(
        value, cell.astype(np.int32, copy=False), gene.astype(np.int32), (n_cells, n_genes)
    )
    return unsorted.tocsc().tocsr()
