"""Matrices in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import issparse

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.read._blocks import block_of, compressed_steps, dense_steps
from cytotrace2_lite.read._lazy import DaskMatrix, Lazy, compressed, lazy
from cytotrace2_lite.read._names import check_cells, choose_gene_names, prefix
from cytotrace2_lite.read._values import Objects, array_of, numbers
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.counts.expression import Block
    from cytotrace2_lite.read._lazy import DaskRows
    from cytotrace2_lite.read._options import ReadOptions
    from cytotrace2_lite.read._source import Source

__all__ = ["Matrix", "values_of"]

_N_VALUES = 1 << 20  # at a time


class Matrix:
    """The reader of a matrix in memory, which is not changed.

    Parameters
    ----------
    matrix
        A SciPy sparse matrix or array, what `lazy` takes, or anything NumPy takes; cells x genes
        unless the options say genes x cells.
    genes
        Candidates for the names of the genes, by where they are from.
    cells
        Names of the cells; "0", "1", ... if None.
    options
        Orientation, and whether two genes may have one name.
    source
        What it is.
    name
        How messages name it.

    Attributes
    ----------
    cells, genes
        Names in input order.

    Raises
    ------
    UsageError
        The names do not fit the shape.
    InputError
        A name is repeated, or the values are not numbers.
    """

    def __init__(
        self,
        matrix: Any,
        genes: Mapping[str, Sequence[Any]],
        cells: Sequence[Any] | None,
        options: ReadOptions,
        source: Source,
        name: str = "",
    ) -> None:
        self.name = name
        if not issparse(matrix) and hasattr(matrix, "tocsr"):  # a sparse array of another package
            matrix = matrix.tocsr()
        given: Any = lazy(matrix, name, options.max_memory)
        if given is None:
            given = matrix if issparse(matrix) else array_of(matrix, name)
        if len(given.shape) != 2:
            raise UsageError(
                f"{prefix(name)}the matrix has {len(given.shape)} dimensions; it must be cells x "
                "genes."
            )
        if given.dtype.kind not in "biufO":
            raise InputError(f"{prefix(name)}the matrix holds {given.dtype}, not real numbers.")
        self._transposed = options.orientation == "genes-x-cells"
        if issparse(given):
            given = compressed(given)
        self._matrix = given
        n_cells, n_genes = given.shape[::-1] if self._transposed else given.shape
        self.cells = [str(name) for name in (range(n_cells) if cells is None else cells)]
        candidates = {origin: [str(name) for name in names] for origin, names in genes.items()}
        for axis, names, length in (
            ("genes", next(iter(candidates.values())), n_genes),
            ("cells", self.cells, n_cells),
        ):
            if len(names) != length:
                axes = ("genes", "cells") if self._transposed else ("cells", "genes")
                raise UsageError(
                    f"{prefix(name)}the matrix has {given.shape[0]} rows ({axes[0]}) and "
                    f"{given.shape[1]} columns ({axes[1]}), but {len(names)} names of {axis} are "
                    "given. Is it transposed?"
                )
            if not names:
                raise InputError(f"{prefix(name)}the matrix has no {axis}.")
        check_cells(name, self.cells)
        origin, self.genes = choose_gene_names(name, candidates, options)
        self._source = source
        self._origin = origin
        self._by_column = getattr(given, "format", "csr") == "csc"
        self.n_read = 0
        self.n_total = 0
        self.unit = "values"

    @property
    def source(self) -> Source:
        """What was read."""
        orientation = "genes x cells" if self._transposed else "cells x genes"
        return replace(self._source, orientation=orientation, gene_names=self._origin)

    @property
    def dask_array(self) -> Any:
        """The Dask array that it is; None if it is none."""
        return self._matrix.array if isinstance(self._matrix, DaskMatrix) else None

    def cells_of_dask(self, n_cells: int) -> Iterator[tuple[DaskRows, int, list[Any]]]:
        """Divide a Dask array as `DaskMatrix.cells` does.

        Parameters
        ----------
        n_cells
            How many cells are taken together, where the chunks have fewer.
        """
        self.n_total = self._matrix.n_total
        matrix: DaskMatrix = self._matrix
        return matrix.cells(n_cells, by_gene=self._transposed)

    def blocks(self) -> Iterator[Block]:
        """Yield the matrix in blocks, once.

        Raises
        ------
        InputError
            A value is not a finite number >= 0.
        """
        matrix, hint = self._matrix, self._source.hint()
        if issparse(matrix):
            by_column = self._by_column
            shape = matrix.shape[::-1] if by_column else matrix.shape
            steps = compressed_steps(self.name, matrix.indptr, matrix.indices, matrix.data, shape)
            self.n_total = matrix.nnz
        elif isinstance(matrix, Lazy):
            by_column = False  # its steps name rows and columns
            steps = matrix.steps()
            self.n_total = matrix.n_total
        else:
            by_column = False
            if matrix.dtype.kind == "O":
                matrix = Objects(matrix, self._name_of)
            steps = dense_steps(matrix)
            self.n_total = matrix.shape[0] * matrix.shape[1]
        for (row, column, value), done in steps:
            self.n_read = done
            cell, gene = (column, row) if by_column != self._transposed else (row, column)
            if value.dtype.kind == "O":
                names = [self._name_of_value(*pair) for pair in zip(gene, cell, strict=True)]
                found = numbers(value, names.__getitem__)
            else:
                found = value
            yield block_of(self.name, self.genes, self.cells, gene, cell, found, hint=hint)

    def close(self) -> None:
        """Do nothing: the matrix is the caller's."""

    def _name_of(self, row: int, column: int) -> str:
        gene, cell = (row, column) if self._transposed else (column, row)
        return self._name_of_value(gene, cell)

    def _name_of_value(self, gene: int, cell: int) -> str:
        return f"{prefix(self.name)}gene {shown(self.genes[gene])}, cell {shown(self.cells[cell])}"


def values_of(matrix: Any) -> Iterator[NDArray[Any]]:
    """Give the values of a matrix some at a time, of one that is not sparse without zeros.

    Parameters
    ----------
    matrix
        As for `Matrix`. Of one that NumPy would have to make first, there are none.
    """
    if getattr(getattr(matrix, "dtype", None), "kind", "O") not in "biuf":
        return
    if issparse(matrix):
        data = matrix.data if matrix.format in {"csr", "csc", "coo"} else matrix.tocsr().data
        for start in range(0, len(data), _N_VALUES):
            yield data[start : start + _N_VALUES]
    elif len(getattr(matrix, "shape", ())) == 2:
        unread = lazy(matrix, "")
        if unread is None and not isinstance(matrix, np.ndarray):
            return
        steps = dense_steps(matrix) if unread is None else unread.steps()
        for (_, _, value), _ in steps:
            yield value
