"""Non-zero values by cell, each number in the smallest type, in memory or in a temporary file.

Values arrive in any order (`Arriving`), a text table's gene by gene, most others cell by cell.
They leave as the counts of the model's genes cell by cell (`Counts`), from which batches of random
cells are taken. What does not fit the memory set aside for them lies in files of the system's
temporary directory that have no name: they vanish with the process, whatever ends it.
"""

from __future__ import annotations

import tempfile
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array, csr_array

from cytotrace2_lite.errors import OutputError
from cytotrace2_lite.system.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from numpy.typing import DTypeLike, NDArray

    _Array: TypeAlias = "NDArray[Any] | _FileArray"

__all__ = ["MAX_BYTES", "Arriving", "Counts", "as_they_are"]

#: Bytes of values kept in memory by default. More would gain little: the system keeps the
#: temporary file in memory that is free.
MAX_BYTES = 512 << 20

_VALUE_TYPES = (np.uint8, np.uint16, np.float32, np.float64)
_CHUNK_VALUES = 1 << 21  # sorted by cell at a time
_TILE_VALUES = 1 << 19  # sorted by gene at a time


@dataclass(frozen=True)
class _Chunk:
    """Values of consecutive cells as CSR; in memory, or at a place of a file."""

    first_cell: int
    n_cells: int
    arrays: tuple[_Array, _Array, _Array]  # indptr, genes, values

    def rows(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Cell (counted from `start`), gene and value of the cells from `start` to `stop`."""
        first = max(start - self.first_cell, 0)
        last = min(stop - self.first_cell, self.n_cells)
        indptr, genes, values = self.arrays
        ends = indptr[first : last + 1].astype(np.int64)
        sizes = np.diff(ends)
        cells = np.repeat(np.arange(len(sizes)) + (first + self.first_cell - start), sizes)
        return cells, genes[ends[0] : ends[-1]], values[ends[0] : ends[-1]]


class Arriving:
    """Values that come in any order, each with its gene and its cell.

    Parameters
    ----------
    max_bytes
        What they may take in memory; further ones go to a temporary file.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._genes, self._cells = _Growing(np.uint16, np.int32), _Growing(np.uint16, np.int32)
        self._values = _Growing(*_VALUE_TYPES)
        self._last_cell = -1
        self._chunks: list[_Chunk] = []
        self._sizes = _Growing(np.int64)  # values of each cell
        self._in_memory = 0
        self._file: _File | None = None
        self._types = {np.dtype(_VALUE_TYPES[0])}

    def add(self, gene: NDArray[Any], cell: NDArray[Any], value: NDArray[Any]) -> None:
        """Take values, each an array of shape (n_values,); none of them is 0."""
        if not len(gene):
            return
        self._genes.append(gene)
        self._cells.append(cell)
        self._values.append(value)
        self._last_cell = max(self._last_cell, int(cell.max()))
        # With fewer values than cells, the bounds of the cells would be most of a chunk.
        if len(self._values.array) >= max(_CHUNK_VALUES, 4 * len(self._sizes.array)):
            self._cut()

    def _cut(self) -> None:
        """Sort what has come by cell."""
        cells, genes, values = self._cells.array, self._genes.array, self._values.array
        if not len(values):
            return
        first = int(cells.min())
        n_cells, n_genes = int(cells.max()) - first + 1, int(genes.max()) + 1
        rows = cells.astype(np.int32)
        rows -= first
        by_cell = as_they_are(values, rows, genes.astype(np.int32), (n_cells, n_genes)).tocsr()
        del rows
        missing = self._last_cell + 1 - len(self._sizes.array)
        self._sizes.append(np.zeros(max(missing, 0), np.int64))
        self._sizes.array[first : first + n_cells] += np.diff(by_cell.indptr)
        self._types.add(values.dtype)
        parts = (by_cell.indptr, by_cell.indices.astype(genes.dtype), by_cell.data)
        self._in_memory += sum(part.nbytes for part in parts)
        arrays = tuple(self._kept(part) for part in parts)
        self._chunks.append(_Chunk(first, n_cells, arrays))  # type: ignore[arg-type]
        self._genes.clear()
        self._cells.clear()
        self._values.clear()

    def _kept(self, part: NDArray[Any]) -> _Array:
        if self._in_memory <= self.max_bytes:
            return part
        if self._file is None:
            self._file = _File()
        return self._file.append(part)

    def tiles(
        self, n_cells: int, *, release: bool
    ) -> Iterator[tuple[int, int, Callable[[], tuple[Any, ...]]]]:
        """Give the values of all cells, some consecutive cells at a time.

        Parameters
        ----------
        n_cells
            Number of cells, those without values included.
        release
            Whether this is the only time: values that were given are then dropped.

        Yields
        ------
        start, stop : int
            Which cells the next values are of.
        read : callable
            Returns cell (counted from `start`), gene and value, each of shape (n_values,).
        """
        self._cut()
        sizes = self._sizes.array
        ends = np.concatenate([np.cumsum(sizes), np.full(n_cells - len(sizes), sizes.sum())])
        start = 0
        while start < n_cells:
            before = ends[start - 1] if start else 0
            stop = int(np.searchsorted(ends, before + _TILE_VALUES, side="right"))
            stop = min(max(stop, start + 1), n_cells)
            chunks = [
                chunk
                for chunk in self._chunks
                if chunk.first_cell < stop and start < chunk.first_cell + chunk.n_cells
            ]

            def read(
                chunks: list[_Chunk] = chunks, start: int = start, stop: int = stop
            ) -> tuple[Any, ...]:
                parts = [chunk.rows(start, stop) for chunk in chunks]
                if len(parts) == 1:
                    return parts[0]
                empty = np.zeros(0, np.intp)
                return tuple(
                    np.concatenate([part[i] for part in parts] or [empty]) for i in range(3)
                )

            yield start, stop, read
            if release:
                self._chunks = [
                    chunk for chunk in self._chunks if chunk.first_cell + chunk.n_cells > stop
                ]
            start = stop
        if release:
            self._chunks.clear()

    @property
    def value_type(self) -> np.dtype[Any]:
        """The smallest type that holds all values exactly."""
        types = self._types | {self._values.array.dtype}
        return max(types, key=lambda kind: _VALUE_TYPES.index(kind.type))

    @property
    def n_values(self) -> int:
        """How many values there are."""
        return int(self._sizes.array.sum()) + len(self._values.array)


class Counts:
    """Counts over some genes, by cell, as `csr_array` of any cells.

    Attributes
    ----------
    shape
        (n_cells, n_genes).
    indptr
        Where the values of each cell begin; int64, shape (n_cells + 1,).
    total
        Sum of the values of each cell; float64, shape (n_cells,).
    whole
        Whether all values are whole numbers.
    n_bytes
        What they take in memory.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        indptr: NDArray[np.int64],
        genes: _Array,
        values: _Array,
        total: NDArray[np.float64],
        *,
        whole: bool,
        n_bytes: int,
    ) -> None:
        self.shape = shape
        self.indptr = indptr
        self.total = total
        self.whole = whole
        self.n_bytes = n_bytes
        self._genes = genes
        self._values = values

    @classmethod
    def collect(
        cls,
        arriving: Arriving,
        shape: tuple[int, int],
        value_type: DTypeLike,
        sort: Callable[[int, int, tuple[Any, ...]], csr_array],
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
            Holds all values exactly.
        sort
            Makes a CSR matrix of the values of some cells: gets the first, the one after the last
            and what `Arriving.tiles` reads; returns it with sorted indices, shape (n, n_genes).
        threads
            How many threads sort.
        release
            Whether `arriving` is not needed afterwards.

        Returns
        -------
        Counts
            In memory, where they take no more than the values were allowed to.
        """
        n_cells, n_genes = shape
        n_values = arriving.n_values
        types = (np.uint16 if n_genes <= 1 << 16 else np.int32, value_type)
        n_bytes = n_values * sum(np.dtype(kind).itemsize for kind in types)
        in_memory = n_bytes <= arriving.max_bytes
        indptr = np.zeros(n_cells + 1, np.int64)
        total = np.zeros(n_cells)
        whole = True
        if in_memory:
            arrays: list[Any] = [np.empty(n_values, kind) for kind in types]
        else:
            file = _File()
            arrays = [file.reserve(n_values, kind) for kind in types]

        def sorted_tile(item: tuple[int, int, Callable[[], tuple[Any, ...]]]) -> csr_array:
            start, stop, read = item
            return sort(start, stop, read())

        cell, size = 0, 0
        tiles = arriving.tiles(n_cells, release=release)
        for tile in in_order(sorted_tile, tiles, threads):
            stop = cell + tile.shape[0]
            indptr[cell + 1 : stop + 1] = np.diff(tile.indptr)
            with np.errstate(over="ignore"):
                total[cell:stop] = tile.astype(np.float64).sum(axis=1)
            whole = whole and (tile.dtype.kind in "bui" or not np.any(tile.data % 1))
            arrays[0][size : size + tile.nnz] = tile.indices
            arrays[1][size : size + tile.nnz] = tile.data
            cell, size = stop, size + tile.nnz
        # Only here are sizes added up: a tile's own bounds may be of a type too small for all.
        np.cumsum(indptr, out=indptr)
        genes, values = arrays
        held = n_bytes if in_memory else 0
        return cls(shape, indptr, genes, values, total, whole=whole, n_bytes=held)

    @property
    def nnz(self) -> int:
        """Number of values."""
        return int(self.indptr[-1])

    @property
    def genes_per_cell(self) -> NDArray[np.int64]:
        """How many genes each cell expresses; int64, shape (n_cells,)."""
        return np.diff(self.indptr)

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

    def take(self, cells: NDArray[np.intp]) -> Counts:
        """Give the counts of some cells, in memory, where they lie in the order given.

        Parameters
        ----------
        cells
            Their indices.

        Returns
        -------
        Counts
            This object, where these are all its cells, in memory and in this order.
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
            whole=self.whole,
            n_bytes=genes.nbytes + values.nbytes,
        )

    def _gather(
        self, cells: NDArray[np.intp]
    ) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
        """Where each cell begins, genes and values of some cells."""
        sizes = self.indptr[cells + 1] - self.indptr[cells]
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        genes = np.empty(indptr[-1], self._genes.dtype)
        values = np.empty(indptr[-1], self._values.dtype)
        # Cells that lie one after the other are copied at once.
        breaks = np.flatnonzero(np.diff(cells) != 1) + 1
        first = np.concatenate([[0], breaks])[: len(cells)]
        last = np.concatenate([breaks, [len(cells)]])[: len(cells)]
        for start, stop, to in zip(
            self.indptr[cells[first]].tolist(),
            self.indptr[cells[last - 1] + 1].tolist(),
            indptr[first].tolist(),
            strict=True,
        ):
            genes[to : to + stop - start] = self._genes[start:stop]
            values[to : to + stop - start] = self._values[start:stop]
        return indptr, genes, values


class _Growing:
    """An array that grows at its end, of the first of some types that holds all its numbers.

    A list of small arrays would cost more: freed, they stay in the allocator's heap, and joining
    them takes a copy. Resizing a large array moves pages, not bytes.

    Parameters
    ----------
    types
        Each holds all numbers of the one before. The last is taken on trust.
    """

    def __init__(self, *types: DTypeLike) -> None:
        self._all_types = self._types = types
        self._room: NDArray[Any] = np.empty(0, types[0])
        self._size = 0

    @property
    def array(self) -> NDArray[Any]:
        """The numbers so far."""
        return self._room[: self._size]

    def append(self, numbers: NDArray[Any]) -> None:
        """Add numbers, shape (n,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            compact = numbers.astype(self._types[0])
            while len(self._types) > 1 and (compact != numbers).any():
                self._types = self._types[1:]
                compact = numbers.astype(self._types[0])
        if self._room.dtype != compact.dtype:
            self._room = self.array.astype(compact.dtype)
        size = self._size + len(numbers)
        if size > len(self._room):
            self._room.resize(size + size // 8, refcheck=False)
        self._room[self._size : size] = compact
        self._size = size

    def clear(self) -> None:
        """Begin anew."""
        self._types = self._all_types
        self._room, self._size = np.empty(0, self._types[0]), 0


class _File:
    """A file without a name that holds arrays."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._end = 0
        try:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (as long as its arrays)
        except OSError as error:
            raise _no_room(error) from error
        weakref.finalize(self, self._file.close)

    def append(self, array: NDArray[Any]) -> _FileArray:
        """Write an array."""
        kept = self.reserve(len(array), array.dtype)
        kept[: len(array)] = array
        return kept

    def reserve(self, size: int, dtype: DTypeLike) -> _FileArray:
        """Set a place aside for an array."""
        kept = _FileArray(self, self._end, np.dtype(dtype))
        self._end += size * kept.dtype.itemsize
        return kept

    def write(self, position: int, array: NDArray[Any]) -> None:
        """Write an array at a position."""
        view = np.ascontiguousarray(array).view(np.uint8).data
        with self._lock:
            try:
                self._file.seek(position)
                while view:
                    view = view[self._file.write(view) :]
            except OSError as error:
                raise _no_room(error) from error

    def read(self, position: int, array: NDArray[Any]) -> None:
        """Fill an array from a position."""
        view = array.view(np.uint8).data
        with self._lock:
            self._file.seek(position)
            while view:
                n_bytes = self._file.readinto(view)
                if not n_bytes:
                    raise OSError("the temporary file is shorter than what was written to it")
                view = view[n_bytes:]


@dataclass(frozen=True)
class _FileArray:
    """An array in a file: slices are read from it, and written to it."""

    _file: _File
    _position: int
    dtype: np.dtype[Any]

    def __getitem__(self, part: slice) -> NDArray[Any]:
        array = np.empty(part.stop - part.start, self.dtype)
        if len(array):
            self._file.read(self._position + part.start * self.dtype.itemsize, array)
        return array

    def __setitem__(self, part: slice, array: NDArray[Any]) -> None:
        if len(array):
            start = part.start or 0
            self._file.write(
                self._position + start * self.dtype.itemsize, array.astype(self.dtype, copy=False)
            )


def as_they_are(
    values: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any], shape: tuple[int, int]
) -> coo_array:
    """Make a matrix whose values are not added up where two are at one place.

    Parameters
    ----------
    values, rows, columns
        Shape (n_values,).
    shape
        Of the matrix.

    Returns
    -------
    coo_array
        To be converted; that keeps the order of what shares a row or a column.
    """
    matrix = coo_array((values, (rows, columns)), shape=shape, copy=False)
    matrix.has_canonical_format = True
    return matrix


def _no_room(error: OSError) -> OutputError:
    return OutputError(
        f"{tempfile.gettempdir()}: the values do not fit the memory set aside for them, and cannot "
        f"be kept in this temporary directory ({error.strerror}). Set TMPDIR to one with more "
        "room, or raise --max-memory."
    )
