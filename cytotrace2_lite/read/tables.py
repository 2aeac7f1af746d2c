"""Tables in columns: Parquet, Feather and Arrow files, Arrow tables, pandas data frames."""

from __future__ import annotations

import json
import math
import os
import re
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._blocks import block_of
from cytotrace2_lite.read._magic import ARROW_STREAM, PARQUET
from cytotrace2_lite.read._names import check_cells, choose_gene_names, columns_are_genes, prefix
from cytotrace2_lite.read._stream import Source, digest
from cytotrace2_lite.system.machine import available_memory
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.counts.expression import Block
    from cytotrace2_lite.read._options import ReadOptions

    Columns = Callable[[Sequence[int]], list[Any]]

__all__ = ["Table", "from_arrow", "from_pandas", "open_table"]

_N_VALUES = 1 << 22  # at a time
_LARGEST_EXPANSION = 10_000  # of a sound file: ten times what its compression can do
_BYTES_OF_NAME = 100


class Table:
    """A table in columns.

    Its rows are cells or genes and its columns the other, by the options or else by the names; rows
    are cells where these do not tell.

    Parameters
    ----------
    name
        How messages name it.
    rows, columns
        Names of the axes.
    read
        Gives the values of some consecutive columns, by their positions, float64, shape
        (n_columns, n_rows).
    options
        Orientation, which genes are of use, and whether two may have one name.
    source
        What it is.

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
    ) -> None:
        self.name = name
        self._read = read
        self._source = source
        self._shape = len(rows), len(columns)
        self.by_gene = options.orientation == "cells-x-genes" or (
            options.orientation == "auto" and not columns_are_genes(columns, rows, options.is_known)
        )
        self.cells, genes = (rows, columns) if self.by_gene else (columns, rows)
        check_cells(name, self.cells)
        _, self.genes = choose_gene_names(name, {"": genes}, options)
        self.unit = "values"
        self.n_read = 0
        self.n_total = len(rows) * len(columns)

    @property
    def source(self) -> Source:
        """What was read; a file is read once more for its digest."""
        n_bytes, sha256 = (None, None) if self._source.path is None else digest(self._source.path)
        return replace(
            self._source,
            n_bytes=n_bytes,
            sha256=sha256,
            orientation="cells x genes" if self.by_gene else "genes x cells",
            gene_names="the names of the columns" if self.by_gene else "the names of the rows",
        )

    def close(self) -> None:
        """Do nothing: no file is kept open."""

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


def open_table(path: str, start: bytes, options: ReadOptions) -> Table:
    """Open a Parquet, Feather or Arrow file.

    Parameters
    ----------
    path
        The file.
    start
        Its first bytes.
    options
        As for `Table`.

    Returns
    -------
    Table
        Its names are read, its values are not.

    Raises
    ------
    InputError
        The file is damaged, or no table of numbers with one column of names.
    """
    if start.startswith(PARQUET):
        return _of_fields(path, *_parquet(path), options, Source("parquet", path))
    is_stream = start.startswith(ARROW_STREAM)
    return _of_fields(path, *_arrow_file(path, is_stream=is_stream), options, Source("arrow", path))


def from_arrow(table: Any, options: ReadOptions) -> Table:
    """Take an Arrow table; see `Table`.

    Parameters
    ----------
    table
        Anything with Arrow's interface; one column has names, the others numbers.
    options
        As for `Table`.

    Raises
    ------
    InputError
        It is no such table.
    """
    options.refuse("an Arrow table", matrix=True)
    table = pa.table(table)

    def read(positions: Sequence[int]) -> list[Any]:
        return [table.column(i) for i in positions]

    return _of_fields("", table.schema, read, options, Source("pyarrow.Table"))


def from_pandas(frame: Any, options: ReadOptions) -> Table:
    """Take a pandas data frame; see `Table`.

    Parameters
    ----------
    frame
        Its index and its columns are names, its values numbers.
    options
        As for `Table`.

    Raises
    ------
    InputError
        It is no such table.
    """
    options.refuse("a data frame", matrix=True)

    def read(start: int, stop: int) -> NDArray[np.float64]:
        part = frame.iloc[:, start:stop]
        try:
            values: NDArray[np.float64] = part.to_numpy(dtype=np.float64, na_value=np.nan).T
        except (TypeError, ValueError):
            column = next(i for i in range(start, stop) if not _is_numeric(frame.iloc[:, i]))
            raise InputError(
                f"column {shown(frame.columns[column])} does not hold numbers. Make it the index "
                "or leave it out."
            ) from None
        return values

    rows, columns = map(str, frame.index), map(str, frame.columns)
    return Table("", list(rows), list(columns), read, options, Source("pandas.DataFrame"))


def _is_numeric(column: Any) -> bool:
    try:
        column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        return False
    return True


def _of_fields(
    name: str, schema: Any, read_fields: Columns, options: ReadOptions, source: Source
) -> Table:
    """Make a table of one whose first column, or the one that pandas says, has the names."""
    where = prefix(name)
    with _reading(name or "the names of the columns"):
        columns = schema.names
    index = _position_of_names(where, schema)
    fields = [i for i in range(len(schema)) if i != index]
    for i in fields:
        kind = schema.field(i).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or _is_bool(kind)):
            raise InputError(
                f"{where}column {shown(schema.field(i).name)} holds {kind}, not numbers. Leave it "
                "out: one column has names, all others numbers."
            )
    names = read_fields([index])[0]
    with _reading(name or "the names of the rows"):
        names.validate(full=True)  # that they are UTF-8
    if names.null_count:
        raise InputError(f"{where}column {shown(schema.field(index).name)} lacks names of rows.")
    rows = [str(row) for row in names.to_pylist()]
    columns = [columns[i] for i in fields]

    def read(start: int, stop: int) -> NDArray[np.float64]:
        values = np.empty((stop - start, len(rows)))
        for i, column in enumerate(read_fields(fields[start:stop])):
            if column.null_count:
                row = rows[column.is_null().index(True).as_py()]
                raise InputError(
                    f"{where}row {shown(row)}, column {shown(columns[start + i])}: the value is "
                    "missing. Write 0 where nothing was counted."
                )
            values[i] = column.cast(pa.float64(), safe=False).to_numpy()
        return values

    return Table(name, rows, columns, read, options, source)


def _is_bool(kind: Any) -> bool:
    return bool(pa.types.is_boolean(kind))


def _position_of_names(where: str, schema: Any) -> int:
    metadata = schema.metadata or {}
    try:
        index = json.loads(metadata.get(b"pandas", b"{}")).get("index_columns", [])
    except (ValueError, AttributeError, RecursionError):
        index = []
    names = [name for name in index if isinstance(name, str)] if isinstance(index, list) else []
    if len(names) > 1:
        raise InputError(f"{where}the index has {len(names)} levels: {names}. Keep one.")
    if names and schema.get_field_index(names[0]) >= 0:
        return int(schema.get_field_index(names[0]))
    kind = schema.field(0).type if len(schema) else pa.null()
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise InputError(
            f"{where}the rows have no names: the first column must be of strings, or the table "
            "have an index as pandas writes it."
        )
    return 0


def _parquet(path: str) -> tuple[Any, Columns]:
    import pyarrow.parquet as pq

    with _reading(path):
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
    n_rows = file.metadata.num_rows
    if n_rows * _BYTES_OF_NAME > (available_memory() or math.inf):
        raise InputError(
            f"{path}: the names of its {n_rows:,} rows do not fit into memory. Is the file damaged?"
        )

    def read(positions: Sequence[int]) -> list[Any]:
        # Columns are asked for by name, which gives also those of the same name, and those whose
        # names begin alike up to a dot.
        names = {schema.field(i).name for i in positions}
        with _reading(path):
            table = file.read(columns=list(names))
        found = {name: iter(_positions(table.schema, name)) for name in names}
        column_at = {
            i: next(found[name]) for name in names for i in schema.get_all_field_indices(name)
        }
        return [table.column(column_at[i]) for i in positions]

    return schema, read


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Make an `InputError` of what pyarrow raises at a damaged file."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        if isinstance(error, MemoryError) and not _claims_too_much(error, path):
            raise
        raise InputError(
            f"{path}: the file cannot be read ({str(error).splitlines()[0]}). Copy or download it "
            "again."
        ) from None


def _claims_too_much(error: MemoryError, path: str) -> bool:
    """Tell whether a file asked for more memory than its content can need: it is damaged."""
    size = re.search(r"of size (\d+) failed", str(error))
    return size is not None and int(size[1]) > _LARGEST_EXPANSION * os.path.getsize(path)  # noqa: PTH202


def _positions(schema: Any, name: str) -> list[int]:
    positions: list[int] = schema.get_all_field_indices(name)
    return sorted(positions)


def _arrow_file(path: str, *, is_stream: bool) -> tuple[Any, Columns]:
    from pyarrow import ipc

    with _reading(path):
        source = pa.memory_map(path)
        opened = ipc.open_stream(source) if is_stream else ipc.open_file(source)
        schema = opened.schema

    def read(positions: Sequence[int]) -> list[Any]:
        options = ipc.IpcReadOptions(included_fields=list(positions))
        with _reading(path):
            source = pa.memory_map(path)
            if is_stream:
                table = ipc.open_stream(source, options=options).read_all()
            else:
                table = ipc.open_file(source, options=options).read_all()
            table.validate()
        at = {position: i for i, position in enumerate(sorted(positions))}
        return [table.column(at[position]) for position in positions]

    return schema, read
