"""Counts over the model's genes, sorted by cell, in memory or in a temporary file.

Batches of any cells are taken from them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

from cytotrace2_lite.counts.spill import ArrayFile, SpilledArray, holds
from cytotrace2_lite.system.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import DTypeLike, NDArray

    from cytotrace2_lite.counts._sorting import Sorted
    from cytotrace2_lite.counts.arriving import Arriving, Step
    from cytotrace2_lite.counts.spill import Array

__all__ = ["Counts"]

_VALUES_AT_A_TIME = 1 << 20  # copied from one file to another


class Counts:
    """Counts over some genes, sorted by cell; indexing gives a `csr_array` of any cells.

    Counts in memory can be pickled, and so can every batch that `take` gives. Counts in a
    temporary file of this process cannot: to pickle them is a `TypeError` that says so.

    Attributes
    ----------
    shape
        (n_cells, n_genes).
    indptr
        Where the values of each cell begin; int64, shape (n_cells + 1,).
    total
        Sum of the values of each cell; float64, shape (n_cells,).
    largest
        Largest value of each cell, 0 where it has none; float64, shape (n_cells,).
    whole
        Whether all values are whole numbers.
    n_bytes
        What the values take in memory: 0 where they lie in a file or have been released.
    n_repeated
        How many values the input has in addition to the first of their gene and cell. They were
        added up.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        indptr: NDArray[np.int64],
        genes: Array,
        values: Array,
        total: NDArray[np.float64],
        largest: NDArray[np.float64],
        *,
        whole: bool,
        n_bytes: int,
    ) -> None:
        self.shape = shape
        self.indptr = indptr
        self.total = total
        self.largest = largest
        self.whole = whole
        self.n_bytes = n_bytes
        self.n_repeated = 0
        self._genes = genes
        self._values = values

    @classmethod
    def collect(
        cls,
        arriving: Arriving,
        shape: tuple[int, int],
        value_type: DTypeLike,
        sort: Callable[[Step], Sorted],
        *,
        threads: int = 1,
        release: bool = False,
    ) -> Counts:
        """Sort values by cell and gene.

        Parameters
        ----------
        arriving
            The values.
        shape
            (n_cells, n_genes).
        value_type
            Holds all values exactly, but for sums that `sort` makes.
        sort
            Sorts the values of some cells.
        threads
            How many threads sort. The result does not depend on it.
        release
            Whether `arriving` is not needed afterwards.

        Returns
        -------
        Counts
            In memory, where they take no more than `arriving` was allowed to.

        Raises
        ------
        OutputError
            The temporary directory is full.
        """
        n_cells, n_genes = shape
        n_values = arriving.n_values
        types = (np.uint16 if n_genes <= 1 << 16 else np.int32, value_type)
        n_bytes = n_values * sum(np.dtype(kind).itemsize for kind in types)
        in_memory = n_bytes <= arriving.max_bytes
        indptr = np.zeros(n_cells + 1, np.int64)
        total, largest = np.zeros(n_cells), np.zeros(n_cells)
        whole = True
        genes: Array
        values: Array
        if in_memory:
            genes, values = (np.empty(n_values, kind) for kind in types)
        else:
            file = ArrayFile()
            genes, values = (file.reserve(n_values, kind) for kind in types)

        cell, size, n_repeated = 0, 0, 0
        for found in in_order(sort, arriving.steps(n_cells, release=release), threads):
            stop, end = cell + len(found.total), size + len(found.values)
            indptr[cell + 1 : stop + 1] = np.diff(found.indptr)
            total[cell:stop] = found.total
            largest[cell:stop] = found.largest
            whole = whole and found.whole
            n_repeated += found.n_repeated
            genes[size:end] = found.genes
            if end > size and not holds(values.dtype, found.values):
                larger: Array = (
                    np.empty(n_values, np.float64)
                    if in_memory
                    else file.reserve(n_values, np.float64)
                )
                for start in range(0, size, _VALUES_AT_A_TIME):
                    some = slice(start, min(start + _VALUES_AT_A_TIME, size))
                    larger[some] = values[some]
                values = larger
            values[size:end] = found.values
            cell, size = stop, end
        # Only here are sizes added up: a step's own bounds may be of a type too small for all.
        np.cumsum(indptr, out=indptr)
        held = n_values * (genes.dtype.itemsize + values.dtype.itemsize) if in_memory else 0
        counts = cls(shape, indptr, genes, values, total, largest, whole=whole, n_bytes=held)
        counts.n_repeated = n_repeated
        return counts

    @classmethod
    def joined(cls, parts: Sequence[Counts]) -> Counts:
        """Put the cells of some counts in memory one after the other.

        Parameters
        ----------
        parts
            At least one; of the same genes.

        Returns
        -------
        Counts
            In memory.
        """
        sizes = np.concatenate([part.genes_per_cell for part in parts])
        genes = np.concatenate([part._genes[0 : part.nnz] for part in parts])
        values = np.concatenate([part._values[0 : part.nnz] for part in parts])
        return cls(
            (len(sizes), parts[0].shape[1]),
            np.concatenate([[0], np.cumsum(sizes)]),
            genes,
            values,
            np.concatenate([part.total for part in parts]),
            np.concatenate([part.largest for part in parts]),
            whole=all(part.whole for part in parts),
            n_bytes=genes.nbytes + values.nbytes,
        )

    @property
    def nnz(self) -> int:
        """Number of values."""
        return int(self.indptr[-1])

    @property
    def genes_per_cell(self) -> NDArray[np.int64]:
        """How many genes each cell expresses; int64, shape (n_cells,)."""
        return np.diff(self.indptr)

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self._genes, SpilledArray):
            raise TypeError(
                "these counts lie in a temporary file of this process and cannot be pickled: "
                "pickle the batches that take(cells) gives"
            )
        return vars(self)

    def __sizeof__(self) -> int:
        """Bytes in memory, which an executor may want to know before it sends them."""
        arrays = (self.indptr, self.total, self.largest)
        return object.__sizeof__(self) + self.n_bytes + sum(array.nbytes for array in arrays)

    def __getitem__(self, cells: slice | NDArray[np.intp]) -> csr_array:
        """Give the counts of some cells, in the order given, with sorted indices."""
        if isinstance(cells, slice):
            cells = np.arange(*cells.indices(self.shape[0]))
        indptr, genes, values = self._gather(cells)
        index = np.int32 if indptr[-1] <= np.iinfo(np.int32).max else np.int64
        matrix = csr_array(
            (values, genes.astype(index), indptr.astype(index)),
            shape=(len(cells), self.shape[1]),
            copy=False,
        )
        matrix.has_canonical_format = True
        return matrix

    def release(self) -> None:
        """Drop the values; how many each cell has, and their sums, stay."""
        self._genes = np.empty(0, self._genes.dtype)
        self._values = np.empty(0, self._values.dtype)
        self.n_bytes = 0

    def read_ahead(self, cells: NDArray[np.intp]) -> None:
        """Have the system fetch the values of some cells from a disk, if they are in a file there.

        It is told so in a thread, and does so while something else is computed. That takes no
        memory of this process.

        Parameters
        ----------
        cells
            Their indices; shape (n,).
        """
        arrays = [array for array in (self._genes, self._values) if isinstance(array, SpilledArray)]
        if arrays:
            args = arrays, self._runs(cells)
            threading.Thread(target=_read_ahead, args=args, name="read-ahead", daemon=True).start()

    def take(self, cells: NDArray[np.intp]) -> Counts:
        """Give the counts of some cells, in memory and in the order given.

        Parameters
        ----------
        cells
            Their indices; shape (n,).

        Returns
        -------
        Counts
            Shape (n, n_genes). This object itself, where these are all its cells in their order,
            and it is in memory.
        """
        if self.n_bytes and np.array_equal(cells, np.arange(self.shape[0])):
            return self
        indptr, genes, values = self._gather(cells)
        return Counts(
            (len(cells), self.shape[1]),
            indptr,
            genes,
            values,
            self.total[cells],
            self.largest[cells],
            whole=self.whole,
            n_bytes=genes.nbytes + values.nbytes,
        )

    def _gather(
        self, cells: NDArray[np.intp]
    ) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
        """Give where each of some cells begins, and their genes and values, one after the other."""
        sizes = self.indptr[cells + 1] - self.indptr[cells]
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        runs, size = self._runs(cells), int(indptr[-1])
        return indptr, _joined(self._genes, runs, size), _joined(self._values, runs, size)

    def _runs(self, cells: NDArray[np.intp]) -> list[tuple[int, int]]:
        """Give where the values of some cells are; of cells that follow each other, together."""
        breaks = np.flatnonzero(np.diff(cells) != 1) + 1
        first = np.concatenate([[0], breaks])[: len(cells)]
        last = np.concatenate([breaks, [len(cells)]])[: len(cells)]
        starts, stops = self.indptr[cells[first]], self.indptr[cells[last - 1] + 1]
        return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _read_ahead(arrays: list[SpilledArray], runs: list[tuple[int, int]]) -> None:
    for array in arrays:
        for start, stop in runs:
            array.read_ahead(start, stop)


def _joined(array: Array, runs: list[tuple[int, int]], size: int) -> NDArray[Any]:
    """Give several slices of an array, by start and stop, one after the other."""
    if isinstance(array, SpilledArray):
        return array.joined(runs, size)
    joined = np.empty(size, array.dtype)
    to = 0
    for start, stop in runs:
        joined[to : to + stop - start] = array[start:stop]
        to += stop - start
    return joined
