"""Reading results that were written before: ours, and those of cytotrace2-py and the R package."""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.output.tables import COLUMNS, EXTRA_COLUMNS, LABELS
from cytotrace2_lite.system.files import read_whole
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ResultsTable", "read_results"]

# Texts that stand for a missing value in a text table.
_MISSING = frozenset({"", "NA", "NaN", "nan", "NAN"})
_GZIP = b"\x1f\x8b"
_LARGEST = 1 << 30  # bytes of a table when it is unpacked
# Column with the names of the cells in a Parquet or Arrow file: ours, and that of pandas' index.
_CELL_COLUMNS = ("cell", "__index_level_0__")


@dataclass(frozen=True, eq=False)
class ResultsTable:
    """Results as a table.

    Attributes
    ----------
    name
        How messages name it: its path.
    cells
        Names of the cells, all different.
    columns
        Name to values, shape (n_cells,), as `cytotrace2_lite.output.tables.columns` gives them:
        numbers float64, NaN for none; of labels the position, int8, -1 for none.
    """

    name: str
    cells: list[str]
    columns: dict[str, NDArray[Any]]


def read_results(path: str | os.PathLike[str]) -> ResultsTable:
    """Read a results file.

    Parameters
    ----------
    path
        A text table, as this package, cytotrace2-py or R writes it, plain or compressed by gzip,
        or a Parquet or Arrow file. Its content tells which.

    Returns
    -------
    ResultsTable
        With upstream's five columns, and those of the extra columns that are there.

    Raises
    ------
    InputError
        The file cannot be read, or does not hold results.
    """
    path = os.fspath(path)
    try:
        content = read_whole(path)  # once: it may be a pipe
        if content.startswith(_GZIP):
            content = _unpacked(path, content)
        if content.startswith((b"PAR1", b"ARROW1")):
            return _read_arrow(path, content)
        return _read_text(path, content.decode("utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Check the path.") from None
    except IsADirectoryError:
        raise InputError(
            f"{path}: this is a directory. Give the cytotrace2_results file in it."
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: this is not a text, Parquet or Arrow file. Give the cytotrace2_results "
            "file, unpacked; an .h5ad is not read."
        ) from None
    except (EOFError, OSError, ValueError, NotImplementedError, csv.Error, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: the file cannot be read ({reason}). Copy it again.") from None


def _unpacked(path: str, content: bytes) -> bytes:
    """Decompress gzip data, of which a few bytes may stand for more than there is memory."""
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        unpacked = file.read(_LARGEST + 1)
    if len(unpacked) > _LARGEST:
        raise InputError(
            f"{path}: the file has more than {_LARGEST >> 20} MiB when it is unpacked. Give a "
            "cytotrace2_results file."
        )
    return unpacked


def _check_header(path: str, names: list[str]) -> None:
    """Raise an error where a column is missing or there twice."""
    again = [name for name, n in Counter(names).items() if n > 1]
    if again:
        raise InputError(f"{path}: column {shown(again[0])} appears twice.")
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise InputError(
            f"{path}: this is not a results file of CytoTRACE 2: {len(missing)} of its "
            f"{len(COLUMNS)} columns are missing ({first_few(missing)}). Give a "
            "cytotrace2_results file."
        )


def _check_cells(path: str, cells: list[str], places: list[str]) -> None:
    """Raise an error where there is no cell, or a cell twice; `places` says where each is."""
    if not cells:
        raise InputError(f"{path}: there are no cells in it.")
    first: dict[str, int] = {}
    for row, cell in enumerate(cells):
        if first.setdefault(cell, row) != row:
            raise InputError(
                f"{path}: cell {shown(cell)} appears twice ({places[first[cell]]} and "
                f"{places[row]}). Rename or drop one."
            )


def _column(path: str, name: str, cells: list[str], fields: list[Any]) -> NDArray[Any]:
    """Convert the fields of a column, None for a missing one, to what `ResultsTable` holds."""
    index = {label: position for position, label in enumerate(LABELS.get(name, ()))}

    def parse(field: Any) -> float:
        if name in LABELS:
            return index[field]
        value = float(field)
        if not math.isfinite(value):
            raise ValueError(field)
        return value

    missing = -1 if name in LABELS else math.nan
    values = np.full(len(fields), missing, np.int8 if name in LABELS else np.float64)
    row = 0
    try:
        for row, field in enumerate(fields):
            if field is not None:
                values[row] = parse(field)
    except (KeyError, TypeError, ValueError):
        expected = f"one of {', '.join(index)}" if index else "a finite number"
        raise InputError(
            f"{path}: cell {shown(cells[row])}, column {name}: {shown(fields[row])} is not "
            f"{expected}."
        ) from None
    return values


def _read_text(path: str, text: str) -> ResultsTable:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    header = next(reader, [])
    lines, rows = [], []
    for row in reader:
        if row:
            lines.append(reader.line_num)
            rows.append(row)
    if rows and len(rows[0]) == len(header) + 1:  # R writes no name for the column of the cells
        header = ["", *header]
    _check_header(path, header[1:])
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(header):
            raise InputError(
                f"{path}: line {line} has {len(row)} fields instead of {len(header)}. Is the file "
                "cut short?"
            )
    cells = [row[0] for row in rows]
    _check_cells(path, cells, [f"line {line}" for line in lines])
    columns = {}
    for position, name in enumerate(header[1:], 1):
        if name in COLUMNS or name in EXTRA_COLUMNS:
            fields = [None if row[position] in _MISSING else row[position] for row in rows]
            columns[name] = _column(path, name, cells, fields)
    return ResultsTable(path, cells, columns)


def _read_arrow(path: str, content: bytes) -> ResultsTable:
    import pyarrow as pa
    from pyarrow import parquet

    file = pa.BufferReader(content)
    if content.startswith(b"PAR1"):
        table = parquet.ParquetFile(file).read()
    else:
        table = pa.ipc.open_file(file).read_all()
    table.validate(full=True)
    names = next((name for name in _CELL_COLUMNS if name in table.column_names), None)
    if names is None:
        raise InputError(f"{path}: there is no column 'cell' with the names of the cells.")
    _check_header(path, table.column_names)
    cells = [str(cell) for cell in table[names].to_pylist()]
    _check_cells(path, cells, [f"row {row}" for row in range(1, len(cells) + 1)])
    columns = {}
    for name in table.column_names:
        if name in COLUMNS or name in EXTRA_COLUMNS:
            fields = [None if field != field else field for field in table[name].to_pylist()]
            columns[name] = _column(path, name, cells, fields)
    return ResultsTable(path, cells, columns)
