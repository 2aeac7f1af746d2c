"""Non-zero values as a reader gives them: in any order, and sorted by cell as they come.

Those of a text table arrive gene by gene, most others cell by cell. Each number is kept in the
smallest type that holds it, in memory or, what does not fit there, in a temporary file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import coo_array

from cytotrace2_lite.counts._sort_kernel import KERNELS, sort_by_cell
from cytotrace2_lite.counts.spill import ArrayFile, GrowingArray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cytotrace2_lite.counts.spill import Array

__all__ = ["MAX_BYTES", "VALUE_TYPES", "Arriving", "Step", "StepValues", "coo_without_summing"]

#: Bytes of values kept in memory by default. More would gain little: the system keeps the
#: temporary file in memory that is free.
MAX_BYTES = 512 << 20

# Only speed and memory depend on these.
_VALUES_PER_CHUNK = 1 << 21  # sorted by cell at a time
_VALUES_PER_STEP = 1 << 19  # given back, and sorted by gene, at a time
_BYTES_PER_FILE = 1 << 29  # a file whose values were all given back is closed, and its room free

#: Of values: each holds all numbers of the one before.
VALUE_TYPES = (np.uint8, np.uint16, np.float32, np.float64)


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Values of consecutive cells, sorted by cell, as the arrays of a CSR matrix."""

    first_cell: int
    n_cells: int
    indptr: Array
    genes: Array
    values: Array

    def of_cells(
        self, start: int, stop: int
    ) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
        """Give the bounds, the genes and the values of the cells from `start` to `stop`."""
        cell = np.arange(start, stop + 1) - self.first_cell
        cell = np.clip(cell, 0, self.n_cells)  # others have no values here
        ends = self.indptr[cell[0] : cell[-1] + 1].astype(np.int64)
        where = slice(ends[0], ends[-1])
        return ends[cell - cell[0]] - ends[0], self.genes[where], self.values[where]


class StepValues(NamedTuple):
    """The values of some cells in runs, each of which is sorted by cell.

    Attributes
    ----------
    ends
        Where the values of each cell begin in each run, and where those of the last one end; int64,
        shape (n_runs, n_cells + 1). There is at least one run, and they lie one after the other.
    genes, values
        Shape (n_values,).
    """

    ends: NDArray[np.int64]
    genes: NDArray[Any]
    values: NDArray[Any]

    @property
    def cells(self) -> NDArray[np.int32]:
        """The cell of each value, counted from the first of these cells; shape (n_values,)."""
        n_runs, n_cells = self.ends.shape[0], self.ends.shape[1] - 1
        every = np.arange(n_cells, dtype=np.int32)
        return np.repeat(np.tile(every, n_runs), np.diff(self.ends).ravel())


@dataclass(frozen=True, eq=False)
class Step:
    """Some consecutive cells, whose values are read when they are asked for.

    Attributes
    ----------
    start, stop
        The first cell, and the one after the last.
    """

    start: int
    stop: int
    _chunks: list[_Chunk]

    def read(self) -> StepValues:
        """Give the values of these cells, those of each chunk as a run."""
        found = [chunk.of_cells(self.start, self.stop) for chunk in self._chunks]
        if not found:
            ends = np.zeros((1, self.stop - self.start + 1), np.int64)
            return StepValues(ends, np.empty(0, np.uint16), np.empty(0, np.uint8))
        if len(found) == 1:
            ends, genes, values = found[0]
            return StepValues(ends[np.newaxis], genes, values)
        bounds, genes_of_runs, values_of_runs = zip(*found, strict=True)
        first = np.cumsum([0, *(len(genes) for genes in genes_of_runs[:-1])])
        ends = np.stack(bounds) + first[:, np.newaxis]
        return StepValues(ends, np.concatenate(genes_of_runs), np.concatenate(values_of_runs))


class Arriving:
    """Values that come in any order, each with its gene and its cell.

    Parameters
    ----------
    max_bytes
        What they may take in memory; further ones go to a temporary file.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        usual = _VALUES_PER_CHUNK + _VALUES_PER_CHUNK // 8  # the last block exceeds the chunk
        self._genes = GrowingArray(np.uint16, np.int32, usual=usual)
        self._cells = GrowingArray(np.uint16, np.int32, usual=usual)
        self._values = GrowingArray(*VALUE_TYPES, usual=usual)
        self._last_cell = -1
        self._chunks: list[_Chunk] = []
        self._sizes = GrowingArray(np.int64)  # values of each cell
        self._in_memory = 0
        self._file: ArrayFile | None = None
        self._types = {np.dtype(VALUE_TYPES[0])}

    def add(self, gene: NDArray[Any], cell: NDArray[Any], value: NDArray[Any]) -> None:
        """Take values.

        Parameters
        ----------
        gene, cell
            Index of the gene and of the cell of each value; any integers, shape (n_values,).
        value
            The values, none of them 0; shape (n_values,).

        Raises
        ------
        OutputError
            The temporary directory is full.
        """
        if not len(gene):
            return
        self._genes.append(gene)
        self._cells.append(cell)
        self._values.append(value)
        self._last_cell = max(self._last_cell, int(cell.max()))
        # With fewer values than cells, the bounds of the cells would be most of a chunk.
        if len(self._values.array) >= max(_VALUES_PER_CHUNK, 4 * len(self._sizes.array)):
            self._make_chunk()

    def complete(self) -> None:
        """Sort the rest, so that only what is needed stays in memory; more may come nevertheless.

        Raises
        ------
        OutputError
            The temporary directory is full.
        """
        self._make_chunk()

    def _make_chunk(self) -> None:
        """Sort by cell what has come since the last chunk."""
        cells, genes, values = self._cells.array, self._genes.array, self._values.array
        if not len(values):
            return
        first = int(cells.min())
        n_cells = int(cells.max()) - first + 1
        arrays = _sorted_by_cell(cells, genes, values, first, n_cells)
        missing = self._last_cell + 1 - len(self._sizes.array)
        self._sizes.append(np.zeros(max(missing, 0), np.int64))
        self._sizes.array[first : first + n_cells] += np.diff(arrays[0])
        self._types.add(values.dtype)
        self._in_memory += sum(array.nbytes for array in arrays)
        indptr, kept_genes, kept_values = map(self._kept, arrays)
        self._chunks.append(_Chunk(first, n_cells, indptr, kept_genes, kept_values))
        self._genes.clear()
        self._cells.clear()
        self._values.clear()

    def _kept(self, array: NDArray[Any]) -> Array:
        """Give the array itself while there is room in memory, else one in the file."""
        if self._in_memory <= self.max_bytes:
            return array
        if self._file is None or self._file.n_bytes >= _BYTES_PER_FILE:
            self._file = ArrayFile()
        return self._file.append(array)

    @staticmethod
    def compile_ahead() -> None:
        """Prepare for many values that do not come by cell, while something else is done."""
        KERNELS.compile_ahead()

    def steps(self, n_cells: int, *, release: bool) -> Iterator[Step]:
        """Give the values of all cells, some consecutive cells at a time.

        Parameters
        ----------
        n_cells
            Number of cells, those without values included.
        release
            Whether this is the only time: values that were given are then dropped.

        Yields
        ------
        Step
            The next cells.
        """
        self._make_chunk()
        sizes = self._sizes.array
        ends = np.concatenate([np.cumsum(sizes), np.full(n_cells - len(sizes), sizes.sum())])
        start = 0
        while start < n_cells:
            before = ends[start - 1] if start else 0
            stop = int(np.searchsorted(ends, before + _VALUES_PER_STEP, side="right"))
            stop = min(max(stop, start + 1), n_cells)
            chunks = [
                chunk
                for chunk in self._chunks
                if chunk.first_cell < stop and start < chunk.first_cell + chunk.n_cells
            ]
            yield Step(start, stop, chunks)
            if release:
                self._chunks = [
                    chunk for chunk in self._chunks if chunk.first_cell + chunk.n_cells > stop
                ]
            start = stop
        if release:
            self._chunks.clear()
            self._file = None

    @property
    def value_type(self) -> np.dtype[Any]:
        """The smallest type that holds all values exactly."""
        types = self._types | {self._values.array.dtype}
        return max(types, key=lambda kind: VALUE_TYPES.index(kind.type))

    @property
    def n_values(self) -> int:
        """How many values there are."""
        return int(self._sizes.array.sum()) + len(self._values.array)


def _sorted_by_cell(
    cells: NDArray[Any], genes: NDArray[Any], values: NDArray[Any], first_cell: int, n_cells: int
) -> tuple[NDArray[np.integer[Any]], NDArray[Any], NDArray[Any]]:
    """Sort values by cell: the arrays of a CSR matrix, which share no memory with those given."""
    if (cells[1:] >= cells[:-1]).all():  # as most formats have them
        starts = np.arange(first_cell, first_cell + n_cells, dtype=cells.dtype)
        indptr = np.append(np.searchsorted(cells, starts), len(cells)).astype(np.int32)
        return indptr, genes.copy(), values.copy()
    by_code = sort_by_cell(cells, genes, values, first_cell, n_cells)
    if by_code is not None:
        return by_code
    rows = cells.astype(np.int32)
    rows -= first_cell
    by_cell = coo_without_summing(
        values, rows, genes.astype(np.int32), (n_cells, int(genes.max()) + 1)
    ).tocsr()
    return by_cell.indptr, by_cell.indices.astype(genes.dtype), by_cell.data


def coo_without_summing(
    values: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any], shape: tuple[int, int]
) -> coo_array:
    """Make a COO matrix whose conversion does not add up values of the same row and column.

    Parameters
    ----------
    values, rows, columns
        Shape (n_values,).
    shape
        Of the matrix.

    Returns
    -------
    coo_array
        Its conversion to CSR or CSC keeps the order of the values of a row or column.
    """
    matrix = coo_array((values, (rows, columns)), shape=shape, copy=False)
    matrix.has_canonical_format = True
    return matrix
