"""Matrices of objects whose values are not in memory: Dask arrays, arrays on disk, AnnData's.

None of the packages that make these is imported: the object brings them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from cytotrace2_lite.counts.arriving import coo_without_summing
from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.read._blocks import (
    Unnamed,
    block_of,
    compressed_steps,
    dense_steps,
    sliced_steps,
)
from cytotrace2_lite.read._chunks import refuse_large_chunks
from cytotrace2_lite.read._hdf5_matrix import SparseGroup
from cytotrace2_lite.read._names import prefix
from cytotrace2_lite.read._values import array_of
from cytotrace2_lite.read.hdf5 import reading
from cytotrace2_lite.system.machine import release_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.counts.expression import Block
    from cytotrace2_lite.read._blocks import Triples

__all__ = ["DaskMatrix", "DaskRows", "Lazy", "column_of", "compressed", "lazy"]

_N_VALUES = 1 << 22  # of Dask's chunks that are computed together, zeros included


class Lazy:
    """A matrix that is read some values at a time.

    Attributes
    ----------
    shape
        Rows and columns.
    dtype
        Of its values, as far as it is known.
    """

    shape: tuple[int, int]
    dtype: Any

    def steps(self) -> Iterator[tuple[Triples, int]]:
        """Go through the values: row, column and value of some; and how far this is.

        Raises
        ------
        InputError
            The file behind it is damaged, or a chunk is not what it should be.
        """
        raise NotImplementedError

    @property
    def n_total(self) -> int:
        """How far `steps` goes."""
        return math.prod(self.shape)


def lazy(matrix: Any, name: str, max_memory: int | None = None) -> Lazy | None:
    """Find out how to read a matrix that is not in memory.

    Parameters
    ----------
    matrix
        A Dask array, dense or sparse; a sparse matrix of AnnData on disk; an HDF5 dataset; a Zarr
        array; or anything else.
    name
        How messages name it.
    max_memory
        Bytes this process may take; None for what the machine has.

    Returns
    -------
    Lazy or None
        None if it is in memory.

    Raises
    ------
    UsageError
        The sizes of its chunks are not known, or they do not fit into memory.
    InputError
        It is damaged.
    """
    if hasattr(matrix, "__dask_graph__") and hasattr(matrix, "blocks"):
        return DaskMatrix(matrix, name)
    if issparse(matrix):
        return None
    if hasattr(matrix, "format") and hasattr(matrix, "group"):
        return _OnDisk(matrix, name, max_memory)
    if hasattr(matrix, "format") and hasattr(matrix, "shape"):
        return _Sliced(matrix)
    if hasattr(matrix, "read_direct"):
        return _Dense(matrix, matrix)
    if _is_zarr(matrix):
        return _Dense(matrix, _ZarrArray(matrix))
    return None


def column_of(frame: Any, name: str) -> Any:
    """Read a column of `obs` or `var`, which may be lazy.

    Parameters
    ----------
    frame
        A data frame of pandas, or of anndata over arrays on disk.
    name
        The column.

    Returns
    -------
    Series
        In memory.
    """
    if hasattr(frame, "to_memory"):
        return frame[[name]].to_memory()[name]
    return frame[name]


def compressed(matrix: Any) -> Any:
    """Make a CSR matrix in which values of one place are not added up: their type may be small.

    Parameters
    ----------
    matrix
        A sparse matrix of SciPy; CSR and CSC are given as they are.
    """
    if matrix.format in {"csr", "csc"}:
        return matrix
    coo = matrix.tocoo(copy=False)
    return coo_without_summing(coo.data, coo.row, coo.col, coo.shape).tocsr()


class DaskRows(NamedTuple):
    """Where the values of consecutive cells are in a Dask array; can be sent to other processes.

    Attributes
    ----------
    name
        How messages name the array.
    by_gene
        Whether its rows are genes, and its columns cells.
    places, shapes
        Of each chunk the row and column of its first value, cells counted from the first of these,
        and its shape.
    """

    name: str
    by_gene: bool
    places: list[tuple[int, int]]
    shapes: list[tuple[int, int]]

    def blocks(self, chunks: Sequence[Any]) -> Iterator[Block]:
        """Give the values of these cells.

        Parameters
        ----------
        chunks
            What Dask has computed.

        Yields
        ------
        Block
            Cells are counted from the first of these; genes are rows or columns of the array.

        Raises
        ------
        InputError
            A chunk is not what it should be, or has a value that is not usable. The message does
            not name genes and cells.
        """
        names = Unnamed()
        for chunk, (top, left), shape in zip(chunks, self.places, self.shapes, strict=True):
            for (row, column, value), _ in _steps_of_chunk(chunk, shape, self.name):
                cell, gene = row + top, column + left
                if self.by_gene:
                    cell, gene = gene, cell
                yield block_of(self.name, names, names, gene, cell, value)


class DaskMatrix(Lazy):
    """A Dask array: its chunks are computed one after the other, small ones together.

    Attributes
    ----------
    array
        As given.
    """

    def __init__(self, array: Any, name: str) -> None:
        self.array = array
        self._name = name
        self.shape = array.shape
        self.dtype = np.dtype(array.dtype)
        if any(math.isnan(length) for length in self.shape):
            raise UsageError(
                f"{prefix(name)}the sizes of the chunks of this Dask array are not known. Call "
                "its compute_chunk_sizes() first."
            )

    def cells(self, n_cells: int, *, by_gene: bool) -> Iterator[tuple[DaskRows, int, list[Any]]]:
        """Divide it into whole chunks with consecutive cells.

        Parameters
        ----------
        n_cells
            How many cells are taken together, where the chunks have fewer.
        by_gene
            Whether its rows are genes, and its columns cells.

        Yields
        ------
        tuple
            Where the values of some cells are; how many cells these are; and the chunks, which
            Dask has not computed yet.
        """
        along_cells, along_genes = self.array.chunks[::-1] if by_gene else self.array.chunks
        lefts = np.cumsum([0, *along_genes]).tolist()
        delayed = self.array.to_delayed()
        lines = (delayed.T if by_gene else delayed).tolist()
        start = 0
        while start < len(lines):
            places, shapes, chunks = [], [], []
            stop, top = start, 0
            while stop < len(lines) and (stop == start or top + along_cells[stop] <= n_cells):
                for chunk, left, width in zip(lines[stop], lefts, along_genes, strict=False):
                    place, shape = (top, int(left)), (int(along_cells[stop]), int(width))
                    places.append(place[::-1] if by_gene else place)
                    shapes.append(shape[::-1] if by_gene else shape)
                    chunks.append(chunk)
                top += int(along_cells[stop])
                stop += 1
            yield DaskRows(self._name, by_gene, places, shapes), top, chunks
            start = stop

    def steps(self) -> Iterator[tuple[Triples, int]]:
        import dask

        rows, columns = ([int(n) for n in lengths] for lengths in self.array.chunks)
        chunks = [
            (chunk, (sum(rows[:i]), sum(columns[:j])), (rows[i], columns[j]))
            for i, line in enumerate(self.array.to_delayed())
            for j, chunk in enumerate(line)
        ]
        done = start = 0
        while start < len(chunks):
            stop, n_values = start, 0
            while stop < len(chunks) and (
                stop == start or n_values + math.prod(chunks[stop][2]) <= _N_VALUES
            ):
                n_values += math.prod(chunks[stop][2])
                stop += 1
            parts = list(dask.compute(*[chunk for chunk, *_ in chunks[start:stop]]))
            for _, (top, left), shape in chunks[start:stop]:
                part = parts.pop(0)
                done += math.prod(shape)
                for (row, column, value), _ in _steps_of_chunk(part, shape, self._name):
                    yield (row + top, column + left, value), done
                del part
            release_memory()  # of threads of Dask's, which others would take anew
            start = stop


def _steps_of_chunk(part: Any, shape: tuple[int, int], name: str) -> Iterator[tuple[Triples, int]]:
    """Go through the values of a chunk of a Dask array."""
    if not issparse(part) and hasattr(part, "tocsr"):  # of another package
        part = part.tocsr()
    if not issparse(part):
        part = array_of(part, name)
    if tuple(part.shape) != shape or part.dtype.kind not in "biuf":
        raise InputError(
            f"{prefix(name)}a chunk of this Dask array is {part.dtype} of shape "
            f"{tuple(part.shape)}; it must hold real numbers of shape {shape}."
        )
    if not issparse(part):
        yield from dense_steps(part)
        return
    part = compressed(part)
    by_row = part.format == "csr"
    ordered = part.shape if by_row else part.shape[::-1]
    for (major, minor, value), done in compressed_steps(
        name, part.indptr, part.indices, part.data, ordered
    ):
        yield ((major, minor, value) if by_row else (minor, major, value)), done


class _OnDisk(Lazy):
    """A sparse matrix of AnnData on disk: its arrays are read as those of a file are."""

    def __init__(self, matrix: Any, name: str, max_memory: int | None) -> None:
        self._name = name or type(matrix).__name__
        group = _ZarrGroup(matrix.group) if _is_zarr(matrix.group) else matrix.group
        with reading(self._name, group):
            self._matrix = SparseGroup(
                self._name, group, matrix.shape, by_row=matrix.format == "csr"
            )
        refuse_large_chunks(self._name, self._matrix.datasets, max_memory)
        self.shape = matrix.shape
        self.dtype = self._matrix.data.dtype

    @property
    def n_total(self) -> int:
        """Number of its values."""
        return int(self._matrix.data.shape[0])

    def steps(self) -> Iterator[tuple[Triples, int]]:
        steps = self._matrix.steps()
        while True:
            with reading(self._name, self._matrix):
                step = next(steps, None)
            if step is None:
                return
            (major, minor, value), done = step
            yield ((major, minor, value) if self._matrix.by_row else (minor, major, value)), done


class _Sliced(Lazy):
    """A sparse matrix that only gives slices."""

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix
        self.shape = matrix.shape
        self.dtype = matrix.dtype

    @property
    def n_total(self) -> int:
        """Number of its rows, or columns."""
        return int(self.shape[0 if self._matrix.format == "csr" else 1])

    def steps(self) -> Iterator[tuple[Triples, int]]:
        return sliced_steps(self._matrix)


class _Dense(Lazy):
    """A dense array on disk, read by whole chunks."""

    def __init__(self, matrix: Any, source: Any) -> None:
        self._source = source
        self.shape = matrix.shape
        self.dtype = matrix.dtype

    def steps(self) -> Iterator[tuple[Triples, int]]:
        return dense_steps(self._source)


def _is_zarr(item: Any) -> bool:
    return type(item).__module__.partition(".")[0] == "zarr"


class _ZarrArray:
    """A Zarr array of the caller's, as `_chunks.py` takes it."""

    container = "Zarr store"

    def __init__(self, array: Any) -> None:
        self._array = array
        self.name = f"/{array.path}"
        self.shape = array.shape
        self.ndim = len(array.shape)
        self.dtype = np.dtype(array.dtype)
        self.chunks = array.chunks
        self.bytes_of_chunk = math.prod(self.chunks) * self.dtype.itemsize

    def __getitem__(self, where: Any) -> NDArray[Any]:
        return np.asarray(self._array[where])


class _ZarrGroup:
    """A Zarr group of the caller's, as `hdf5.child` takes it."""

    container = "Zarr store"

    def __init__(self, group: Any) -> None:
        self._group = group
        self.name = f"/{group.path}"

    def member(self, name: str) -> _ZarrArray | None:
        """Get an array; None where there is no such array."""
        return _ZarrArray(self._group[name]) if name in self._group else None
