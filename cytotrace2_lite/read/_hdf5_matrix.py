"""Matrices of HDF5 files and Zarr stores, sparse or dense, read some values at a time."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._blocks import block_of, compressed_steps, dense_steps
from cytotrace2_lite.read._chunks import kept, refuse_large_chunks
from cytotrace2_lite.read._file import InputFile
from cytotrace2_lite.read._rows import Rows, identity_of
from cytotrace2_lite.read.hdf5 import child, reading, whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from numpy.typing import NDArray

    from cytotrace2_lite.counts.expression import Block
    from cytotrace2_lite.read._blocks import Triples
    from cytotrace2_lite.read._options import ReadOptions
    from cytotrace2_lite.read._source import Source
    from cytotrace2_lite.read._store import StoreDirectory

__all__ = ["Hdf5Matrix", "NamedMatrix", "SparseGroup", "values_of"]

_N_VALUES = 1 << 20  # at a time


class NamedMatrix(NamedTuple):
    """What a layout of HDF5 files says of its matrix.

    Attributes
    ----------
    matrix
        A `SparseGroup`, or a dataset.
    cells, genes
        Names in input order.
    gene_of
        Index of the gene of each column, -1 for a column that is not a gene; intp.
    source
        What it is; without size and digest.
    by_gene
        Whether the rows of the matrix are genes, and its columns cells.
    """

    matrix: Any
    cells: list[str]
    genes: list[str]
    gene_of: NDArray[np.intp]
    source: Source
    by_gene: bool = False


class Hdf5Matrix:
    """The reader of a matrix in an HDF5 file or a Zarr store.

    Parameters
    ----------
    file
        The file, or the directory of a Zarr store.
    named
        The matrix with the names of its axes.
    content
        What is open for it. It is taken over, and closed with this.
    options
        How many threads may work, and how much memory they may take.

    Attributes
    ----------
    name
        How messages name the file.
    cells, genes
        Names in input order.

    Raises
    ------
    InputError
        The names do not fit the matrix, or it is not a table of numbers.
    UsageError
        A chunk of the file does not fit into memory.
    """

    unit = "values"

    def __init__(
        self,
        file: InputFile | StoreDirectory,
        named: NamedMatrix,
        content: ExitStack,
        options: ReadOptions,
    ) -> None:
        self._file = file
        self.name = file.name
        self._matrix, self.cells, self.genes, self._gene_of, self._source, self._by_gene = named
        matrix = self._matrix
        is_sparse = isinstance(matrix, SparseGroup)
        if not is_sparse and (len(matrix.shape) != 2 or matrix.dtype.kind not in "biuf"):
            raise InputError(
                f"{self.name}: the matrix has {len(matrix.shape)} dimensions and is of "
                f"{matrix.dtype}; it must be a table of numbers."
            )
        shape = matrix.shape[::-1] if self._by_gene else matrix.shape
        if shape != (len(self.cells), len(self._gene_of)):
            raise InputError(
                f"{self.name}: the matrix has {matrix.shape[0]:,} rows and {matrix.shape[1]:,} "
                f"columns, but there are {len(self.cells):,} cells and {len(self._gene_of):,} "
                "genes. The file is damaged."
            )
        refuse_large_chunks(
            self.name, matrix.datasets if is_sparse else [matrix], options.max_memory
        )
        # Most files have a gene for each column, and these in their order.
        self._are_genes = np.array_equal(self._gene_of, np.arange(len(self._gene_of)))
        self.n_read = 0
        self.n_total = matrix.data.shape[0] if is_sparse else matrix.shape[0] * matrix.shape[1]
        self._threads = options.threads
        self._content = content.pop_all()

    @property
    def source(self) -> Source:
        """What was read. The file is read once more for its digest, by another thread if any."""
        n_bytes, sha256 = self._file.digest()
        return replace(
            self._source,
            n_bytes=n_bytes,
            sha256=sha256,
            n_missing_chunks=getattr(self._matrix, "n_missing_chunks", 0),
        )

    def rows(self) -> tuple[Rows, NDArray[np.int64], NDArray[np.intp]] | None:
        """Say where another process finds the values of each cell, if they are sorted by cell.

        Returns
        -------
        tuple or None
            Where the matrix is; where the values of each cell begin in it, and the last end, int64,
            shape (n_cells + 1,); and the gene of each of its columns, -1 for none. None where the
            values are not sorted by cell, or not in one file or store.

        Raises
        ------
        InputError
            The file cannot be read.
        """
        matrix, file = self._matrix, self._file
        if (
            not isinstance(matrix, SparseGroup)
            or (isinstance(file, InputFile) and not file.is_file)
            or (not matrix.by_row) != self._by_gene
            or not matrix.has_bounds
        ):
            return None
        path = os.path.abspath(file.path)  # noqa: PTH100 (a str, as messages name it)
        n_minor = matrix.shape[1 if matrix.by_row else 0]
        is_zarr = matrix.container != "HDF5 file"
        rows = Rows(path, identity_of(path), matrix.group, n_minor, is_zarr)
        return rows, matrix.bounds.astype(np.int64), self._gene_of

    def close(self) -> None:
        """Close the content of the file, but not the file."""
        self._content.close()

    def blocks(self) -> Iterator[Block]:
        """Yield the matrix in blocks, once.

        Raises
        ------
        InputError
            The file is damaged, or a value is not a finite number >= 0.
        """
        if self._threads > 1 and isinstance(self._file, InputFile):
            self._file.digest_ahead()
        matrix = self._matrix
        is_sparse = isinstance(matrix, SparseGroup)
        swapped = (is_sparse and not matrix.by_row) != self._by_gene
        steps = matrix.steps() if is_sparse else dense_steps(matrix)
        hint = self._source.hint()
        while True:
            with reading(self.name, matrix):
                step = next(steps, None)
            if step is None:
                return
            (row, column, value), self.n_read = step
            cell, gene = (column, row) if swapped else (row, column)
            if not self._are_genes:
                gene = self._gene_of[gene]
                of_gene = gene >= 0
                if not of_gene.all():
                    gene, cell, value = gene[of_gene], cell[of_gene], value[of_gene]
            yield block_of(self.name, self.genes, self.cells, gene, cell, value, hint=hint)


class SparseGroup:
    """A compressed sparse matrix of an HDF5 file.

    Parameters
    ----------
    path
        The file, for messages.
    group
        Has the datasets `data`, `indices` and `indptr`.
    shape
        Rows and columns.
    by_row
        Whether it is CSR, not CSC.

    Raises
    ------
    InputError
        A dataset is missing, or it is not in the file.
    """

    def __init__(self, path: str, group: Any, shape: tuple[int, int], *, by_row: bool) -> None:
        self._path = path
        self.container = getattr(group, "container", "HDF5 file")
        self.shape = shape
        self.by_row = by_row
        datasets = [child(path, group, name) for name in ("data", "indices", "indptr")]
        if any(getattr(dataset, "ndim", 0) != 1 for dataset in datasets):
            raise InputError(f"{path}: {group.name} has no sparse matrix. The file is damaged.")
        self.data, self._indices, indptr = datasets
        self.datasets = datasets[:2]
        if self.data.dtype.kind not in "biuf":
            raise InputError(f"{path}: the matrix holds {self.data.dtype}, not real numbers.")
        for dataset in datasets if self.data.shape[0] else ():
            if hasattr(dataset, "require_chunks"):
                dataset.require_chunks()
        self.group = str(group.name)
        self.bounds = whole(indptr)

    @property
    def has_bounds(self) -> bool:
        """Whether the bounds of the rows fit the values."""
        bounds = self.bounds
        return bool(
            bounds.shape == (self.shape[0 if self.by_row else 1] + 1,)
            and bounds.dtype.kind in "iu"
            and bounds[0] == 0
            and bounds[-1] == self.data.shape[0]
            and self._indices.shape == self.data.shape
            and (bounds[1:] >= bounds[:-1]).all()
        )

    def steps(self) -> Iterator[tuple[Triples, int]]:
        """Go through the values as `compressed_steps` does."""
        shape = self.shape if self.by_row else self.shape[::-1]
        indices, data = kept(self._indices), kept(self.data)
        return compressed_steps(self._path, self.bounds, indices, data, shape)


def values_of(path: str, matrix: Any) -> Iterator[NDArray[Any]]:
    """Give the values of a matrix, some at a time; those of a dataset without zeros.

    Parameters
    ----------
    path
        The file, for messages.
    matrix
        A `SparseGroup`, or a dataset.

    Raises
    ------
    InputError
        The file is damaged.
    """
    with reading(path, matrix):
        if isinstance(matrix, SparseGroup):
            data = kept(matrix.data)
            for start in range(0, data.shape[0], _N_VALUES):
                yield data[start : min(start + _N_VALUES, data.shape[0])]
        elif len(matrix.shape) == 2 and matrix.dtype.kind in "biuf":
            for (_, _, value), _ in dense_steps(matrix):
                yield value
