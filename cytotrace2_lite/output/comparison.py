"""Comparison of two results, cell by cell and column by column."""

from __future__ import annotations

import csv
import io
import math
import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.output.scores import Scores
from cytotrace2_lite.output.tables import COLUMNS, EXTRA_COLUMNS, LABELS
from cytotrace2_lite.output.tables import columns as columns_of
from cytotrace2_lite.system.files import read_whole
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Comparison", "LabelColumn", "NumberColumn", "compare"]

_MISSING = frozenset({"", "NA", "NaN", "nan", "NAN"})
_NAMES = ("cell", "__index_level_0__")  # of the cells in a table: ours, and that of pandas


@dataclass(frozen=True)
class NumberColumn:
    """How the numbers of a column differ, over the cells of both results.

    Attributes
    ----------
    name
        Of the column.
    n_cells
        Cells with a number in both.
    largest, median
        Absolute difference; NaN where no cell has a number in both.
    cell
        Where it is largest; empty where there is no difference.
    spearman
        Rank correlation; NaN with fewer than two cells, or where all numbers of one are equal.
    n_beyond
        Cells that differ by more than the tolerance.
    n_one_sided
        Cells with a number in one of the results only.
    """

    name: str
    n_cells: int
    largest: float
    median: float
    cell: str
    spearman: float
    n_beyond: int
    n_one_sided: int


@dataclass(frozen=True)
class LabelColumn:
    """How the labels of a column differ, over the cells of both results.

    Attributes
    ----------
    name
        Of the column.
    n_cells
        Cells with a label in both, or in one.
    n_moved
        Cells with another label, or with none, in the second results.
    moves
        Label in the first, label in the second (empty for none), number of cells; most first.
    """

    name: str
    n_cells: int
    n_moved: int
    moves: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class Comparison:
    """What two results have in common, and in what they differ.

    Attributes
    ----------
    n_cells
        Cells that are in both.
    only_in_a, only_in_b
        Cells that are not.
    numbers, labels
        The columns that are in both.
    columns_only_in_a, columns_only_in_b
        Those that are not; they are not compared.
    tolerance, allowed_labels
        As given.
    beyond
        What goes beyond the tolerances, a sentence each.
    """

    n_cells: int
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    numbers: tuple[NumberColumn, ...]
    labels: tuple[LabelColumn, ...]
    columns_only_in_a: tuple[str, ...]
    columns_only_in_b: tuple[str, ...]
    tolerance: float
    allowed_labels: int
    beyond: tuple[str, ...]

    @property
    def within(self) -> bool:
        """Whether all is within the tolerances."""
        return not self.beyond


def compare(
    a: str | os.PathLike[str] | Scores,
    b: str | os.PathLike[str] | Scores,
    *,
    tolerance: float = 1e-6,
    labels: int = 0,
) -> Comparison:
    """Compare two results: those of this package, or of cytotrace2-py or the R package.

    Cells are matched by name, whatever their order. Compared are upstream's five columns, and the
    extra ones that both have.

    Parameters
    ----------
    a, b
        A `Result`, or the path of a results file: text, Parquet or Arrow.
    tolerance
        Largest absolute difference of a number, at least 0.
    labels
        How many cells of a column may have another label, at least 0.

    Returns
    -------
    Comparison
        Its `within` says whether all cells are in both and the differences within the tolerances.

    Raises
    ------
    InputError
        A file cannot be read or holds no results, or the two have no cell in common.
    UsageError
        A tolerance is out of range.
    """
    if not 0 <= tolerance < math.inf:
        raise UsageError(f"tolerance is {tolerance}; it must be a number of at least 0.")
    if labels < 0:
        raise UsageError(f"labels is {labels}; it must be at least 0.")
    first, second = _read(a), _read(b)
    row_of = {cell: row for row, cell in enumerate(second.cells)}
    common = [row for row, cell in enumerate(first.cells) if cell in row_of]
    if not common:
        raise InputError(
            f"{first.name} and {second.name} have no cell in common (the first holds "
            f"{first_few(first.cells)}; the second {first_few(second.cells)}). Give two results of "
            "the same cells."
        )
    cells = [first.cells[row] for row in common]
    matched = np.array([row_of[cell] for cell in cells])
    own = set(cells)
    numbers, moved = [], []
    for name in [*COLUMNS, *EXTRA_COLUMNS]:
        if name in first.columns and name in second.columns:
            one, other = first.columns[name][common], second.columns[name][matched]
            if name in LABELS:
                moved.append(_compare_labels(name, one, other))
            else:
                numbers.append(_compare_numbers(name, one, other, cells, tolerance))
    only_in_a = tuple(cell for cell in first.cells if cell not in own)
    only_in_b = tuple(cell for cell in second.cells if cell not in own)
    return Comparison(
        n_cells=len(cells),
        only_in_a=only_in_a,
        only_in_b=only_in_b,
        numbers=tuple(numbers),
        labels=tuple(moved),
        columns_only_in_a=tuple(name for name in first.columns if name not in second.columns),
        columns_only_in_b=tuple(name for name in second.columns if name not in first.columns),
        tolerance=tolerance,
        allowed_labels=labels,
        beyond=(
            *_missing_cells("second", only_in_a, len(first.cells), "first"),
            *_missing_cells("first", only_in_b, len(second.cells), "second"),
            *(sentence for column in numbers for sentence in _judge(column, tolerance)),
            *(
                f"{column.name}: {column.n_moved:,} of {column.n_cells:,} labels moved "
                f"(allowed: {labels:,})"
                for column in moved
                if column.n_moved > labels
            ),
        ),
    )


def _missing_cells(which: str, cells: tuple[str, ...], n_cells: int, other: str) -> list[str]:
    if not cells:
        return []
    count = f"{len(cells):,} of the {n_cells:,} cells"
    return [f"the {which} lacks {count} of the {other}: {first_few(cells)}"]


def _judge(column: NumberColumn, tolerance: float) -> list[str]:
    sentences = []
    if column.n_beyond:
        sentences.append(
            f"{column.name}: {column.n_beyond:,} of {column.n_cells:,} cells differ by more than "
            f"{tolerance:g}, by {column.largest:.3g} at most (cell {shown(column.cell)})"
        )
    if column.n_one_sided:
        n_cells = column.n_cells + column.n_one_sided
        sentences.append(
            f"{column.name}: {column.n_one_sided:,} of {n_cells:,} cells have a number in one only"
        )
    return sentences


def _compare_numbers(
    name: str, one: NDArray[Any], other: NDArray[Any], cells: list[str], tolerance: float
) -> NumberColumn:
    missing = np.isnan(one), np.isnan(other)
    both = np.flatnonzero(~(missing[0] | missing[1]))
    difference = np.abs(one[both] - other[both])
    largest = median = math.nan
    cell = ""
    if len(both):
        where = int(difference.argmax())
        largest, median = float(difference[where]), float(np.median(difference))
        cell = cells[both[where]] if largest > 0 else ""
    return NumberColumn(
        name=name,
        n_cells=len(both),
        largest=largest,
        median=median,
        cell=cell,
        spearman=_spearman(one[both], other[both]),
        n_beyond=int((difference > tolerance).sum()),
        n_one_sided=int((missing[0] != missing[1]).sum()),
    )


def _spearman(one: NDArray[Any], other: NDArray[Any]) -> float:
    from scipy.stats import rankdata

    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def _compare_labels(name: str, one: NDArray[Any], other: NDArray[Any]) -> LabelColumn:
    labels = [*LABELS[name], ""]
    moves = Counter(zip(one.tolist(), other.tolist(), strict=True))
    moved = [
        (labels[before], labels[after], n)
        for (before, after), n in sorted(moves.items(), key=lambda move: (-move[1], move[0]))
        if before != after
    ]
    n_cells = int(((one >= 0) | (other >= 0)).sum())
    return LabelColumn(name, n_cells, sum(n for *_, n in moved), tuple(moved))


@dataclass(frozen=True)
class _Table:
    """Results as `columns` of `cytotrace2_lite.output.tables` gives them."""

    name: str
    cells: list[str]
    columns: dict[str, NDArray[Any]]


def _read(results: str | os.PathLike[str] | Scores) -> _Table:
    if isinstance(results, Scores):
        return _Table("the result", results.cells, columns_of(results, extra_columns=True))
    path = os.fspath(results)
    try:
        content = read_whole(path)  # once: it may be a pipe
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
    except (OSError, ValueError, NotImplementedError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: the file cannot be read ({reason}). Copy it again.") from None


def _check_header(path: str, names: list[str]) -> None:
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
    """Numbers of the fields of a column, or of its labels the position; fields may be None."""
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


def _read_text(path: str, text: str) -> _Table:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    header = next(reader, [])
    lines, rows = [], []
    for row in reader:
        if row:
            lines.append(reader.line_num)
            rows.append(row)
    if rows and len(rows[0]) == len(header) + 1:  # as R writes it
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
    return _Table(path, cells, columns)


def _read_arrow(path: str, content: bytes) -> _Table:
    import pyarrow as pa
    from pyarrow import parquet

    file = pa.BufferReader(content)
    if content.startswith(b"PAR1"):
        table = parquet.ParquetFile(file).read()
    else:
        table = pa.ipc.open_file(file).read_all()
    table.validate(full=True)
    names = next((name for name in _NAMES if name in table.column_names), None)
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
    return _Table(path, cells, columns)
