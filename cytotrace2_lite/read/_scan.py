"""Whole lines of a table to names and values.

Nine tenths of such a table are the field ``0``. Lines are therefore scanned as an array of bytes,
and only the other fields, *tokens* from here on, are located and converted. The number of Python
operations depends on the number of lines, not on the number of fields.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cytotrace2_lite.read._fields import name_of
from cytotrace2_lite.read._numbers import numbers_of
from cytotrace2_lite.read._scan_kernel import KERNELS
from cytotrace2_lite.system.compiler import may_compile

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Room", "Scanned", "scan"]

_LF, _CR, _QUOTE, _ZERO = b'\n\r"0'


class Scanned(NamedTuple):
    """What some lines hold.

    Attributes
    ----------
    names
        Of the lines.
    row, column
        Line and column of each value that is not 0, from 0; int32, or uint16 where that is enough
        for all columns; shape (n_values,).
    value
        These values, finite and > 0; float64 or int32, shape (n_values,).
    """

    names: list[str]
    row: NDArray[np.int32]
    column: NDArray[np.integer[Any]]
    value: NDArray[Any]


class Room(threading.local):
    """Memory for what compiled code finds, of each thread, used again for each block.

    The system would clear new memory first, which takes as long as to scan the block.
    """

    def __init__(self) -> None:
        self._size = 0
        self.ends = np.empty(0, np.int64)
        self.names = bytearray()
        self.column = self.value = np.empty(0, np.int32)

    def make(self, n_bytes: int) -> None:
        """Make room for what a text of some bytes may hold."""
        if n_bytes > self._size:
            self._size = n_bytes + n_bytes // 8
            # Of memory that nothing is written to, the system takes none.
            n_fields = self._size // 2 + 1
            self.ends = np.empty(n_fields, np.int64)
            self.names = bytearray(self._size)
            self.column, self.value = np.empty(n_fields, np.int32), np.empty(n_fields, np.int32)


def scan(text: bytes, delimiter: bytes, width: int, *, room: Room | None = None) -> Scanned | None:
    """Convert some whole lines. Several threads may do that at the same time.

    Parameters
    ----------
    text
        The lines, with the newline before the first of them.
    delimiter
        One byte.
    width
        Number of fields of a line, with its name.
    room
        Makes it try compiled code first, which is much faster for tables of counts, but has to be
        compiled. The answer does not lie in it.

    Returns
    -------
    Scanned or None
        None if anything is wrong with any line. Which line, and what is wrong, is then to be found
        field by field.
    """
    if (
        room is not None
        and may_compile()
        and (scanned := _scan_counts(text, delimiter, width, room)) is not None
    ):
        return scanned
    if b"\0" in text:
        return None
    byte = np.frombuffer(text, np.uint8)
    newline = byte == _LF
    ends = newline | (byte == ord(delimiter))  # of fields
    if b'"' in text:
        quoted = np.bitwise_xor.accumulate(byte == _QUOTE)  # from each opening quote on
        if (quoted & newline).any():
            return None
        ends &= ~quoted
    if (ends[1:] & ends[:-1]).any():
        return None  # an empty field, or an empty line

    # Between the tokens are runs of delimiters and fields "0". In a run both alternate, so that its
    # length tells the number of fields. The name of a line is a token even if it is "0".
    newlines = np.flatnonzero(newline)
    filler = byte == _ZERO
    filler[1:-1] &= ends[:-2]
    filler[1:-1] &= ends[2:]
    filler[newlines[:-1] + 1] = False
    filler |= ends
    edge = np.flatnonzero(filler[1:] != filler[:-1]) + 1
    start, end = edge[::2], edge[1::2]
    n_rows = len(newlines) - 1
    field = np.zeros(len(start) + 1, np.int64)  # number of each token's field; the last: the end
    field[1:-1] = (start[1:] - end[:-1] + 1) >> 1
    field[-1] = (len(text) - end[-1] + 1) >> 1
    np.cumsum(field, out=field)
    first = np.searchsorted(start, newlines)  # token of each line's name; the last: the end
    if (field[first] != np.arange(n_rows + 1) * width).any():
        return None

    crlf = byte[newlines[1:] - 1] == _CR
    end[first[1:][crlf] - 1] -= 1
    names = _names(text, np.column_stack([start[first[:-1]], end[first[:-1]]]))
    if names is None:
        return None

    is_value = np.ones(len(start), np.bool_)
    is_value[first[:-1]] = False
    row = np.repeat(np.arange(n_rows, dtype=np.int32), np.diff(first) - 1)
    column = (field[:-1][is_value] - (row * np.int64(width) + 1)).astype(np.int32)
    value = numbers_of(text, byte, start[is_value], end[is_value])
    if not ((value >= 0) & (value < np.inf)).all():
        return None
    if not value.all():  # zeros that are written in another way
        some = value > 0
        row, column, value = row[some], column[some], value[some]
    return Scanned(names, row, column, value)


def _names(text: bytes, bounds: NDArray[np.int64]) -> list[str] | None:
    """Decode the names of lines, from their bounds, shape (n_lines, 2); None if one is no name."""
    try:
        names = [name_of(text[i:j]) for i, j in bounds.tolist()]
    except UnicodeDecodeError:
        return None
    return names if all(names) else None


def _scan_counts(text: bytes, delimiter: bytes, width: int, room: Room) -> Scanned | None:
    """Do what `scan` does for whole numbers without quotes; None for all else."""
    room.make(len(text))
    n_values = KERNELS["scan"](
        text,
        len(text),
        ord(delimiter),
        width - 1,
        np.frombuffer(room.names, np.uint8).ctypes.data,
        *(array.ctypes.data for array in (room.ends, room.column, room.value)),
    )
    if n_values < 0:
        return None
    try:
        names = room.names[: room.names.index(b"\0")].decode().split("\n")[:-1]
    except UnicodeDecodeError:
        return None
    n_rows = len(names)
    row = np.repeat(np.arange(n_rows, dtype=np.int32), np.diff(room.ends[:n_rows], prepend=0))
    kind = np.uint16 if width <= 1 << 16 else np.int32
    return Scanned(names, row, room.column[:n_values].astype(kind), room.value[:n_values].copy())
