"""What R's objects mean: names, factors, data frames, labels and matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._blocks import compressed_steps, dense_steps
from cytotrace2_lite.read._rvectors import NA_INTEGER, RObject, r_number
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.read._blocks import Triples

__all__ = [
    "RMatrix",
    "classes",
    "columns_of",
    "elements",
    "in_words",
    "is_frame",
    "is_matrix",
    "labels",
    "matrix_of",
    "n_elements",
    "names",
    "row_names",
    "slot",
    "texts",
]

_N_VALUES = 1 << 20  # at a time
_NUMBERS = {"logical", "integer", "double"}
_NOTHING = RObject("NULL")


def slot(found: RObject, *path: str) -> RObject:
    """Follow attributes (slots) by their names; NULL where there is none."""
    for name in path:
        found = found.attributes.get(name, _NOTHING)
    return found


def n_elements(found: RObject) -> int:
    """Count the elements of a vector; 0 of anything else."""
    return len(found.value) if hasattr(found.value, "__len__") else 0


def texts(found: RObject) -> list[str | None]:
    """Give the elements of a character vector; empty for anything else."""
    return found.value if found.kind == "character" else []


def classes(found: RObject) -> list[str]:
    """Give the classes of an object, as far as it says them."""
    return [name for name in texts(slot(found, "class")) if name]


def in_words(found: RObject) -> str:
    """Name the class or the kind of an object, for messages."""
    known = classes(found)
    return shown(known[0]) if known else found.kind


def names(found: RObject) -> list[str | None]:
    """Give the names of the elements; empty without any."""
    return texts(slot(found, "names"))


def elements(found: RObject) -> dict[str, RObject]:
    """Give the elements of a list, or of a list of Bioconductor, by name.

    Those without a name, or with the name of an earlier one, have their number.
    """
    if found.kind == "S4" and "listData" in found.attributes:
        found = slot(found, "listData")
    if found.kind != "list":
        return {}
    given = names(found)
    given = given if len(given) == len(found.value) else [None] * len(found.value)
    named: dict[str, RObject] = {}
    for number, (name, element) in enumerate(zip(given, found.value, strict=True), 1):
        named[name if name and name not in named else str(number)] = element
    return named


def is_frame(found: RObject) -> bool:
    """Tell whether an object is a data frame of R or of Bioconductor."""
    if found.kind == "list":
        return "data.frame" in classes(found)
    return found.kind == "S4" and {"listData", "nrows", "rownames"} <= found.attributes.keys()


def columns_of(frame: RObject) -> dict[str, RObject]:
    """Give the columns of a data frame by name."""
    return elements(frame) if is_frame(frame) else {}


def row_names(frame: RObject) -> list[str] | None:
    """Give the names of the rows of a data frame; None if they are but numbered."""
    given = slot(frame, "rownames" if frame.kind == "S4" else "row.names")
    if given.kind == "character":
        return [name or "" for name in given.value]
    # R keeps the numbers 1 to n as NA and n, or as a sequence.
    if given.kind == "integer" and len(given.value) and given.value[0] != NA_INTEGER:
        numbers = given.value
        if not np.array_equal(numbers, np.arange(1, len(numbers) + 1)):
            return [str(number) for number in numbers.tolist()]
    return None


def labels(column: RObject) -> list[str] | None:
    """Give the labels in a column of a data frame, as R's `as.character` writes them.

    Returns
    -------
    list of str or None
        "" where a label is missing; None if the column has something else.
    """
    if column.kind == "S4" and {"values", "lengths"} <= column.attributes.keys():  # runs
        runs, lengths = labels(slot(column, "values")), slot(column, "lengths")
        if runs is None or lengths.kind != "integer" or len(runs) != len(lengths.value):
            return None
        times = np.clip(lengths.value, 0, None).tolist()
        if sum(times) > 1 << 27:
            return None
        return [run for run, n in zip(runs, times, strict=True) for _ in range(n)]
    if column.kind == "character":
        return [_printed(text) for text in column.value]
    if column.kind not in _NUMBERS or "dim" in column.attributes:
        return None
    values = column.value.tolist()
    if column.kind == "integer" and "levels" in column.attributes:
        levels = [_printed(level) for level in texts(slot(column, "levels"))]
        if any(code > len(levels) for code in values):
            return None
        return [levels[code - 1] if code > 0 else "" for code in values]
    if column.kind == "logical":
        return ["" if value == NA_INTEGER else "TRUE" if value else "FALSE" for value in values]
    return [r_number(value) or "" for value in values]


def _printed(text: str | None) -> str:
    """Make text that can be written of a label that is not valid."""
    return (text or "").encode("utf-8", "backslashreplace").decode()


class RMatrix:
    """A matrix, or a data frame of numbers.

    Attributes
    ----------
    shape
        Rows and columns.
    rows, columns
        Their names; None without any.
    n_values
        How many values are stored.
    rows_from
        Where the names of the rows are from.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        rows: list[str] | None,
        columns: list[str] | None,
        content: _Content,
        rows_from: str = "the row names",
    ) -> None:
        self.rows_from = rows_from
        self.shape = shape
        self.rows = rows
        self.columns = columns
        self._content = content
        self.n_values = content.n_values

    def steps(self, where: str) -> Iterator[tuple[Triples, int]]:
        """Go through the values.

        Parameters
        ----------
        where
            The input, for messages.

        Yields
        ------
        tuple
            Row, column and value of some values; and the number of values so far.

        Raises
        ------
        InputError
            The matrix is damaged.
        """
        for (row, column, value), done in self._content.steps(where, self.shape):
            yield (row, column, _without_na(value)), done


def _without_na(value: NDArray[Any]) -> NDArray[Any]:
    """Make missing integers NaN, which is refused where the values are checked."""
    if value.dtype.kind == "i" and (missing := value == NA_INTEGER).any():
        return np.where(missing, np.nan, value)
    return value


class _Content:
    """Values of a matrix in one of R's ways to keep them."""

    n_values: int

    def steps(self, where: str, shape: tuple[int, int]) -> Iterator[tuple[Triples, int]]:
        raise NotImplementedError


class _Compressed(_Content):
    def __init__(
        self, by_row: bool, indptr: NDArray[Any], indices: NDArray[Any], data: NDArray[Any]
    ) -> None:
        self.n_values = len(data)
        self._by_row, self._indptr, self._indices, self._data = by_row, indptr, indices, data

    def steps(self, where: str, shape: tuple[int, int]) -> Iterator[tuple[Triples, int]]:
        along = shape if self._by_row else shape[::-1]
        for (major, minor, value), done in compressed_steps(
            where, self._indptr, self._indices, self._data, along
        ):
            yield (major, minor, value) if self._by_row else (minor, major, value), done


class _Triplets(_Content):
    def __init__(self, row: NDArray[Any], column: NDArray[Any], data: NDArray[Any]) -> None:
        self.n_values = len(data)
        self._row, self._column, self._data = row, column, data

    def steps(self, where: str, shape: tuple[int, int]) -> Iterator[tuple[Triples, int]]:
        if not len(self._row) == len(self._column) == len(self._data):
            raise _damaged(where)
        for start in range(0, self.n_values, _N_VALUES):
            part = slice(start, start + _N_VALUES)
            row, column, value = self._row[part], self._column[part], self._data[part]
            for index, length in ((row, shape[0]), (column, shape[1])):
                if index.min() < 0 or index.max() >= length:
                    raise _damaged(where)
            yield (row, column, value), start + len(value)


class _Columns(_Content):
    """Columns of numbers; `dense_steps` takes some of them at a time."""

    def __init__(self, columns: Sequence[NDArray[Any]], n_rows: int) -> None:
        self._columns = columns
        self.shape = (n_rows, len(columns))
        self.chunks = (max(n_rows, 1), 1)
        self.n_values = n_rows * len(columns)

    def __getitem__(self, where: tuple[slice, slice]) -> NDArray[Any]:
        rows, columns = where
        parts = [_without_na(column[rows]) for column in self._columns[columns]]
        return np.stack(parts, axis=1) if parts else np.empty((0, 0))

    def steps(self, where: str, shape: tuple[int, int]) -> Iterator[tuple[Triples, int]]:
        if self.shape != shape:
            raise _damaged(where)
        return dense_steps(self)


def is_matrix(found: RObject) -> bool:
    """Tell whether an object is a matrix that can be read, whatever is in it."""
    if found.kind in _NUMBERS:
        return n_elements(slot(found, "dim")) == 2
    return found.kind == "S4" and {"Dim", "Dimnames"} <= found.attributes.keys()


def matrix_of(where: str, found: RObject) -> RMatrix:
    """Take the values of a matrix or of a data frame.

    Parameters
    ----------
    where
        The input and what it is of it, for messages.
    found
        A dense or sparse matrix, or a data frame of numbers; the first column of a frame without
        row names may name its rows.

    Raises
    ------
    InputError
        It is neither, of a kind that is not read, or damaged.
    """
    if is_frame(found):
        return _of_frame(where, found)
    if not is_matrix(found):
        raise InputError(
            f"{where}: this is of the kind {in_words(found)}, not a matrix in memory. In R, as(x, "
            f'"dgCMatrix") '
            "makes one of many kinds."
        )
    is_sparse = found.kind == "S4"
    shape = _pair(where, slot(found, "Dim" if is_sparse else "dim"))
    rows, columns = _dimnames(where, slot(found, "Dimnames" if is_sparse else "dimnames"), shape)
    if not is_sparse:
        return RMatrix(shape, rows, columns, _dense(where, found, shape))
    given = found.attributes
    if "uplo" in given:
        raise InputError(
            f"{where}: this is of the kind {in_words(found)}, a half of a matrix. In R, as(x, "
            f'"generalMatrix") '
            "makes the whole of it."
        )
    i, j, p, x = (given.get(name) for name in "ijpx")
    for name in "ijp":
        if name in given and given[name].kind != "integer":
            raise _damaged(where)
    index = i if i is not None else j
    if x is None and index is None:
        raise InputError(f"{where}: this is of the kind {in_words(found)}, which has no values.")
    if index is None and p is None:
        return RMatrix(shape, rows, columns, _dense(where, given["x"], shape))
    if x is not None and x.kind not in _NUMBERS:
        raise _damaged(where)
    if index is None or (p is None and (i is None or j is None)):
        raise _damaged(where)
    data = np.ones(len(index.value), np.uint8) if x is None else x.value
    content: _Content
    if p is not None:
        content = _Compressed(i is None, p.value, index.value, data)
    else:
        content = _Triplets(slot(found, "i").value, slot(found, "j").value, data)
    return RMatrix(shape, rows, columns, content)


def _dense(where: str, values: RObject, shape: tuple[int, int]) -> _Columns:
    if values.kind not in _NUMBERS or len(values.value) != shape[0] * shape[1]:
        raise _damaged(where)
    return _Columns(values.value.reshape(shape[::-1]), shape[0])


def _of_frame(where: str, frame: RObject) -> RMatrix:
    columns = columns_of(frame)
    rows, rows_from = row_names(frame), "the row names"
    if rows is None and columns:
        first = next(iter(columns))
        if columns[first].kind == "character" or "levels" in columns[first].attributes:
            rows, rows_from = labels(columns.pop(first)), "the first column"
    for name, column in columns.items():
        if column.kind not in _NUMBERS or "levels" in column.attributes:
            raise InputError(
                f"{where}: the column {shown(name)} of the data frame holds no numbers. Give the "
                "table of genes and cells alone."
            )
    lengths = {len(column.value) for column in columns.values()}
    n_rows = lengths.pop() if lengths else 0
    if lengths or (rows is not None and len(rows) != n_rows):
        raise _damaged(where)
    values = [column.value for column in columns.values()]
    return RMatrix((n_rows, len(values)), rows, list(columns), _Columns(values, n_rows), rows_from)


def _pair(where: str, dim: RObject) -> tuple[int, int]:
    if dim.kind not in {"integer", "double"} or len(dim.value) != 2 or not (dim.value >= 0).all():
        raise _damaged(where)
    return int(dim.value[0]), int(dim.value[1])


def _dimnames(
    where: str, given: RObject, shape: tuple[int, int]
) -> tuple[list[str] | None, list[str] | None]:
    if given.kind != "list":
        return None, None
    if len(given.value) != 2:
        raise _damaged(where)
    found = []
    for axis, length in zip(given.value, shape, strict=True):
        named = [name or "" for name in axis.value] if axis.kind == "character" else None
        if named is not None and len(named) != length:
            raise _damaged(where)
        found.append(named)
    return found[0], found[1]


def _damaged(where: str) -> InputError:
    return InputError(f"{where}: the R data are damaged. Copy or save the file again.")
