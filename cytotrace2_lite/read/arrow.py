"""Arrow tables, and Parquet, Feather and Arrow files, which hold such tables."""

from __future__ import annotations

import json
import math
import mmap
import re
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._about import refuse_about
from cytotrace2_lite.read._names import prefix
from cytotrace2_lite.read._source import Source
from cytotrace2_lite.read.tables import Table
from cytotrace2_lite.system.machine import available_memory
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.read._file import InputFile
    from cytotrace2_lite.read._options import ReadOptions

    # Takes positions of columns, returns these columns.
    ReadFields = Callable[[Sequence[int]], list[Any]]

__all__ = ["from_arrow", "open_arrow_file", "open_arrow_stream", "open_parquet"]

_LARGEST_EXPANSION = 10_000  # ten times what the compression of a sound file can do
_BYTES_OF_NAME = 100
_HAS_STRING_VIEWS = hasattr(pa.types, "is_string_view")  # older versions of pyarrow have none
_WHAT = "a Parquet or Arrow file"


def from_arrow(table: Any, options: ReadOptions) -> Table:
    """Make a reader of an Arrow table.

    Parameters
    ----------
    table
        Anything with Arrow's interface. One column has names, the others numbers.
    options
        As for `Table`.

    Returns
    -------
    Table
        The reader.

    Raises
    ------
    InputError
        It is no such table, or something is wrong with the names.
    """
    options.refuse("an Arrow table", matrix=True, gene_column=True)
    table = _arrow_table(table)

    def read(positions: Sequence[int]) -> list[Any]:
        return [table.column(i) for i in positions]

    return _table(None, table.schema, read, options, Source("pyarrow.Table"))


def _arrow_table(data: Any) -> Any:
    polars = sys.modules.get(type(data).__module__.partition(".")[0])
    if not _HAS_STRING_VIEWS and hasattr(polars, "CompatLevel"):
        with suppress(Exception):
            table = data.to_arrow(compat_level=polars.CompatLevel.oldest())  # type: ignore[union-attr]
            if isinstance(table, pa.Table):
                return table
    try:
        return pa.table(data)
    except (pa.ArrowException, TypeError, ValueError) as error:
        problem = str(error).splitlines()[0]
    kind = type(data).__name__
    raise InputError(
        f"this {kind} cannot be read as an Arrow table ({problem}). One column must have names, "
        "all others numbers of at most 64 bits."
    )


def open_parquet(file: InputFile, options: ReadOptions) -> Table:
    """Open a Parquet file.

    Parameters
    ----------
    file
        The file, which is on disk.
    options
        As for `Table`.

    Returns
    -------
    Table
        The reader. The names are read, the values are not.

    Raises
    ------
    InputError
        The file is damaged, or it is not a table of numbers with one column of names.
    """
    import pyarrow.parquet as pq

    options.refuse(_WHAT, matrix=True, gene_column=True)
    with _reading(file):
        opened = pq.ParquetFile(pa.PythonFile(file.anywhere(), mode="r"))
        schema = opened.schema_arrow
    n_rows = opened.metadata.num_rows
    if n_rows * _BYTES_OF_NAME > (available_memory() or math.inf):
        raise InputError(
            f"{file.name}: the names of its {n_rows:,} rows do not fit into memory. Is the file "
            "damaged?"
        )

    def read(positions: Sequence[int]) -> list[Any]:
        # Columns are asked for by name, which gives also those of the same name, and those whose
        # names begin alike up to a dot.
        names = {schema.field(i).name for i in positions}
        with _reading(file):
            table = opened.read(columns=list(names))
        found = {name: iter(_positions(table.schema, name)) for name in names}
        column_at = {
            i: next(found[name]) for name in names for i in schema.get_all_field_indices(name)
        }
        return [table.column(column_at[i]) for i in positions]

    return _table(file, schema, read, options, Source("parquet", file.path))


def open_arrow_file(file: InputFile, options: ReadOptions) -> Table:
    """Open an Arrow file of random access, which a Feather file is, too; see `open_parquet`."""
    from pyarrow import ipc

    def open_again(included: Any = None) -> Any:
        return ipc.open_file(pa.PythonFile(file.anywhere(), mode="r"), options=included)

    return _of_ipc(file, open_again, options)


def open_arrow_stream(file: InputFile, options: ReadOptions) -> Table:
    """Open a file that holds a stream of Arrow; see `open_parquet`."""
    from pyarrow import ipc

    # A stream is read from its beginning for each block of columns. Through a map of the file, only
    # what is used of it is read. The map is dropped each time, and with it what was read.
    def open_again(included: Any = None) -> Any:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return ipc.open_stream(pa.py_buffer(content), options=included)

    return _of_ipc(file, open_again, options)


def _of_ipc(file: InputFile, open_again: Callable[..., Any], options: ReadOptions) -> Table:
    from pyarrow import ipc

    options.refuse(_WHAT, matrix=True, gene_column=True)
    with _reading(file):
        schema = open_again().schema

    def read(positions: Sequence[int]) -> list[Any]:
        with _reading(file):
            table = open_again(ipc.IpcReadOptions(included_fields=list(positions))).read_all()
            table.validate()
        at = {position: i for i, position in enumerate(sorted(positions))}
        return [table.column(at[position]) for position in positions]

    return _table(file, schema, read, options, Source("arrow", file.path))


def _table(
    file: InputFile | None,
    schema: Any,
    read_fields: ReadFields,
    options: ReadOptions,
    source: Source,
) -> Table:
    """Make a reader of a table whose first column, or the one that pandas says, has the names."""
    name = "" if file is None else file.name
    where = prefix(name)
    with _reading(file, "the names of the columns"):
        columns = schema.names
    index = _position_of_names(where, schema)
    fields = [i for i in range(len(schema)) if i != index]
    for i in fields:
        kind = schema.field(i).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or _is_bool(kind)):
            if options.orientation != "cells-x-genes":
                refuse_about(where, [schema.field(j).name for j in fields])
            raise InputError(
                f"{where}column {shown(schema.field(i).name)} holds {kind}, not numbers. Leave it "
                "out: one column has names, all others numbers."
            )
    names = read_fields([index])[0]
    with _reading(file, "the names of the rows"):
        names.validate(full=True)  # that they are UTF-8
    rows = names.to_pylist()
    if None in rows:
        raise InputError(f"{where}column {shown(schema.field(index).name)} lacks names of rows.")
    rows = [str(row) for row in rows]
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
            # Older versions of pyarrow do not cast half floats; NumPy does.
            is_half = pa.types.is_float16(column.type)
            values[i] = (column if is_half else column.cast(pa.float64(), safe=False)).to_numpy()
        return values

    return Table(name, rows, columns, read, options, source, file)


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
    is_view = str(kind) == "string_view"
    if is_view and not _HAS_STRING_VIEWS:
        raise InputError(
            f"{where}column {shown(schema.field(0).name)} holds {kind}, which pyarrow "
            f"{pa.__version__} cannot read: pip install --upgrade pyarrow."
        )
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or is_view):
        raise InputError(
            f"{where}the rows have no names: the first column must be of strings, or the table "
            "have an index as pandas writes it."
        )
    return 0


def _positions(schema: Any, name: str) -> list[int]:
    positions: list[int] = schema.get_all_field_indices(name)
    return sorted(positions)


@contextmanager
def _reading(file: InputFile | None, what: str = "") -> Iterator[None]:
    """Turn what pyarrow raises for a damaged file or table into an `InputError`.

    Parameters
    ----------
    file
        The file; None for a table in memory.
    what
        What is read of a table in memory, for the message.
    """
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        if isinstance(error, MemoryError) and not _claims_too_much(error, file):
            raise
        name = what if file is None else file.name
        raise InputError(
            f"{name}: the file cannot be read ({str(error).splitlines()[0]}). Copy or download it "
            "again."
        ) from None


def _claims_too_much(error: MemoryError, file: InputFile | None) -> bool:
    """Tell whether a file asked for more memory than it can need, and so is damaged."""
    size = re.search(r"of size (\d+) failed", str(error))
    if size is None or file is None:
        return False
    return int(size[1]) > _LARGEST_EXPANSION * file.n_bytes
