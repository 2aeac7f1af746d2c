"""Tables in columns, and pandas data frames, which are such tables."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._blocks import block_of
from cytotrace2_lite.read._names import check_cells, choose_gene_names, columns_are_genes
from cytotrace2_lite.read._source import Source
from cytotrace2_lite.read._values import is_missing, is_number, numbers
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cytotrace2_lite.counts.expression import Block
    from cytotrace2_lite.read._file import InputFile
    from cytotrace2_lite.read._options import ReadOptions

__all__ = ["Table", "from_pandas"]

_N_VALUES = 1 << 22  # of a block, zeros included


class Table:
    """The reader of a table in columns.

    The options tell whether its rows or its columns are genes, or else the names. If neither tells,
    its columns are genes.

    Parameters
    ----------
    name
        How messages name it.
    rows, columns
        Names of the axes.
    read
        Takes the positions of the first of some consecutive columns and of the one after the last.
        Returns their values, float64, shape (n_columns, n_rows).
    options
        Orientation, which genes are known, and whether two may have one name.
    source
        What it is; without size and digest.
    file
        The file that it is in, if any.

    Attributes
    ----------
    cells, genes
        Names in input order.
    by_gene
        Whether the columns are genes.

    Raises
    ------
    InputError
        There are no values, or a name is missing or repeated.
    """

    def __init__(
        self,
        name: str,
        rows: list[str],
        columns: list[str],
        read: Callable[[int, int], NDArray[np.float64]],
        options: ReadOptions,
        source: Source,
        file: InputFile | None = None,
    ) -> None:
        self.name = name
        self._read = read
        self._source = source
        self._file = file
        self._shape = len(rows), len(columns)
        self.by_gene = options.orientation == "cells-x-genes" or (
            options.orientation == "auto" and not columns_are_genes(columns, rows, options)
        )
        self.cells, genes = (rows, columns) if self.by_gene else (columns, rows)
        check_cells(name, self.cells)
        _, self.genes = choose_gene_names(name, {"": genes}, options)
        self.unit = "values"
        self.n_read = 0
        self.n_total = len(rows) * len(columns)

    @property
    def source(self) -> Source:
        """What was read. A file is read once more for its digest."""
        n_bytes, sha256 = (None, None) if self._file is None else self._file.digest()
        return replace(
            self._source,
            n_bytes=n_bytes,
            sha256=sha256,
            orientation="cells x genes" if self.by_gene else "genes x cells",
            gene_names="the names of the columns" if self.by_gene else "the names of the rows",
        )

    def close(self) -> None:
        """Do nothing: the file, if any, is not the reader's."""

    def blocks(self) -> Iterator[Block]:
        """Yield the table in blocks of consecutive columns, once.

        Raises
        ------
        InputError
            A column cannot be read, or a value is missing or not a finite number >= 0.
        """
        n_rows, n_columns = self._shape
        step = max(1, _N_VALUES // n_rows)
        for start in range(0, n_columns, step):
            values = self._read(start, min(start + step, n_columns))
            column, row = values.nonzero()
            self.n_read += values.size
            gene, cell = (column + start, row) if self.by_gene else (row, column + start)
            value = values[column, row]
            del values
            yield block_of(self.name, self.genes, self.cells, gene, cell, value)


def from_pandas(frame: Any, options: ReadOptions) -> Table:
    """Make a reader of a pandas data frame.

    Parameters
    ----------
    frame
        Its index and its columns are names, its values numbers.
    options
        As for `Table`.

    Returns
    -------
    Table
        The reader.

    Raises
    ------
    InputError
        Something is wrong with the names. A column that is not of numbers is found when it is read.
    """
    options.refuse("a data frame", matrix=True, gene_column=True)

    kinds = [_kind_of(kind) for kind in frame.dtypes]
    rows, columns = [str(name) for name in frame.index], [str(name) for name in frame.columns]

    def read(start: int, stop: int) -> NDArray[np.float64]:
        values = np.empty((stop - start, len(rows)))
        if all(kinds[i] == "number" for i in range(start, stop)):
            values[:] = frame.iloc[:, start:stop].to_numpy(dtype=np.float64, na_value=np.nan).T
            return values
        for i in range(start, stop):
            column = frame.iloc[:, i]
            if kinds[i] == "object":
                objects = column.to_numpy(dtype=object)
                if any(is_number(value) or is_missing(value) for value in objects):
                    values[i - start] = numbers(objects, partial(name_of, i), missing=np.nan)
                    continue
            if kinds[i] != "number":
                raise InputError(
                    f"column {shown(columns[i])} does not hold numbers. Make it the index or leave "
                    "it out."
                )
            values[i - start] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return values

    def name_of(column: int, row: int) -> str:
        return f"row {shown(rows[row])}, column {shown(columns[column])}"

    return Table("", rows, columns, read, options, Source("pandas.DataFrame"))


def _kind_of(kind: Any) -> str:
    """Tell what a column of pandas holds by its type: "number", "object", or "other"."""
    if hasattr(kind, "categories"):
        return "number" if _kind_of(kind.categories.dtype) == "number" else "other"
    if hasattr(kind, "pyarrow_dtype"):
        name = str(kind.pyarrow_dtype)
        return "number" if kind.kind in "biuf" or name.startswith("decimal") else "other"
    if kind.kind in "biuf":
        return "number"
    return "object" if isinstance(kind, np.dtype) and kind.kind == "O" else "other"
