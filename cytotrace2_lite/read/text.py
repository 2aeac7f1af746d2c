"""Tables of text, tab- or comma-separated: a line per gene and a column per cell, or transposed.

Nine tenths of such a table are the field ``0``. A block of lines is therefore scanned as an array
of bytes, and only the other fields, *tokens* from here on, are located and converted. The number
of Python operations depends on the number of lines, not on the number of fields.
"""

from __future__ import annotations

import itertools
import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.counts.expression import Block
from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._names import columns_are_genes, duplicates_remedy
from cytotrace2_lite.read._options import ReadOptions
from cytotrace2_lite.read._stream import ByteStream, StreamReader
from cytotrace2_lite.system.threads import in_order
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray
    from typing_extensions import Self

    from cytotrace2_lite.read._options import IsKnown
    from cytotrace2_lite.read._stream import Source

    # Names of the lines; line, column and value of what is not 0.
    _Scanned = tuple[list[str], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]

__all__ = ["TextTable"]

_LF, _CR, _QUOTE, _SPACE, _ZERO = b'\n\r" 0'
_BOM = b"\xef\xbb\xbf"
_FORMATS = {b"\t": "tsv", b",": "csv"}
_DELIMITER_NAMES = {b"\t": "tab", b",": "comma"}
_OTHER_DELIMITERS = (
    (b";", "semicolons", "Save the table as tab-separated text with decimal points."),
    (b" ", "spaces", 'Save it as tab-separated text: in R, write.table(..., sep = "\\t").'),
)
# There is one way only to match each text: of two, a megabyte of digits would try all splits.
_NUMBER = re.compile(rb"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_INFINITE = frozenset(sign + word for sign in (b"", b"+", b"-") for word in (b"inf", b"infinity"))
_MISSING = frozenset({b"na", b"nan", b"n/a", b"null"})

_MAX_DIGITS = 15  # of whole numbers that float64 adds up exactly
_FEW_BLANKS = 8  # that pad a number, mostly
_LONGEST_LINE = 1 << 26  # some millions of columns

_UNCLOSED = "a double quote that is not closed. Close or remove it."
_SAVE_AS_UTF8 = "Save the table as UTF-8."
_AS_TEXT = "Write the genes x cells table as tab-separated text."


class TextTable(StreamReader):
    """A table of genes and cells as text, read once from beginning to end.

    The fields are separated by tabs where the header has one, else by commas. The header may or
    may not name the column of names. Names and numbers may be in double quotes (a quote inside is
    doubled); a line break ends the line even there. Lines end with LF or CRLF.

    Parameters
    ----------
    path
        The file, or its bytes as a stream. It is decompressed where its content is gzip, bzip2 or
        Zstandard data, whatever its name.
    options
        Orientation, which is told by the names where these can be told apart, else lines are
        genes; and whether two genes may have one name.
    block_size
        Bytes read at a time. The result does not depend on it. Larger blocks leave the CPU's
        cache; with smaller ones, threads wait for each other between calls.

    Attributes
    ----------
    name
        How messages name the file.
    cells, genes
        Names in input order; those of the columns are there from the beginning, those of the
        lines as far as blocks have been read.
    by_gene
        Whether the lines are genes.

    Raises
    ------
    InputError
        The file cannot be read, is no such table, or names a column twice.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | ByteStream,
        options: ReadOptions | None = None,
        *,
        block_size: int = 1 << 21,
    ) -> None:
        self._stream = path if isinstance(path, ByteStream) else ByteStream(path)
        self.name = self._stream.name
        options = options or ReadOptions()
        self._block_size = block_size
        self._delimiter = b"\t"
        self._next_line = 1
        self._line_of: dict[str, int] = {}  # of every line so far
        self._columns: list[str] = []
        self._rows: list[str] = []
        self.by_gene = options.orientation != "cells-x-genes"
        self._genes_may_repeat = options.duplicate_genes != "error"
        self._threads = options.threads
        self._whole_lines = self._read_whole_lines()
        try:
            rows = self._read_header(options.is_known if options.orientation == "auto" else None)
        except BaseException:
            self.close()
            raise
        self._texts = itertools.chain([rows], self._whole_lines)
        self.cells = self._columns if self.by_gene else self._rows
        self.genes = self._rows if self.by_gene else self._columns

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._whole_lines.close()
        self._stream.close()

    @property
    def source(self) -> Source:
        """What was read; complete after the last block."""
        return self._source_of(
            _FORMATS[self._delimiter],
            orientation="genes x cells" if self.by_gene else "cells x genes",
            gene_names="the first column" if self.by_gene else "the header",
        )

    def blocks(self) -> Iterator[Block]:
        """Yield the table in blocks of consecutive lines, once.

        Yields
        ------
        Block
            The values of some consecutive lines, whose names are added to `genes` or `cells`.

        Raises
        ------
        InputError
            A line is not as wide as the others, has no name or that of another, or a value is
            missing, negative, infinite or not a number. The first error of a block is told.
        """
        for text, scanned in in_order(self._scan, self._texts, self._threads, caller_works=True):
            if scanned is None:
                raise self._error_in(text)
            names, row, column, value = scanned
            if not (self.by_gene and self._genes_may_repeat):
                lines = dict(zip(names, itertools.count(self._next_line)))
                if len(lines) < len(names) or not self._line_of.keys().isdisjoint(lines):
                    raise self._error_in(text)
                self._line_of |= lines
            row += len(self._rows)
            self._rows += names
            self._next_line += len(names)
            gene, cell = (row, column) if self.by_gene else (column, row)
            yield Block(gene, cell.astype(np.int32), value, float(value.max(initial=0.0)))

    def _read_whole_lines(self) -> Generator[bytes, None, None]:
        """Yield runs of whole lines, each run preceded by the newline before it.

        The last line of a run is not empty: empty lines wait for what follows them, and those at
        the end of the file are dropped.
        """
        pieces = [b"\n"]
        length = 0  # of the pieces
        chunks = iter(partial(self._stream.read, self._block_size), b"")
        for chunk in itertools.chain(chunks, [b"\n"]):  # the last line may lack its newline
            cut = chunk.rfind(b"\n") + 1
            if not cut:
                pieces.append(chunk)
                length += len(chunk)
                if length > _LONGEST_LINE:  # as of data that decompress without end
                    raise InputError(
                        f"{self.name}: a line has more than {_LONGEST_LINE >> 20} MiB. Is this a "
                        "table? Write it as .h5ad or 10x directory if so."
                    )
                if b"\0" not in chunk:
                    continue
                yield b"".join([*pieces, b"\n"])  # a binary file must not pile up for want of lines
                return
            text = b"".join([*pieces, memoryview(chunk)[:cut]])
            end = len(text.rstrip(b"\r\n"))
            end = max(end, text.rfind(b"\r\r", end) + 1)  # a lone carriage return ends no line
            end = text.index(b"\n", end) + 1
            pieces = [text[end - 1 : end + 2], chunk[cut:]]  # one empty line stands for all
            length = len(pieces[1])
            if end > 1:
                yield text if end == len(text) else text[:end]

    def _read_header(self, is_known: IsKnown | None) -> bytes:
        """Find the delimiter and the columns; return the lines read so far after the header."""
        text = next(self._whole_lines, b"")
        if not text:
            raise InputError(f"{self.name}: the file is empty.")
        end = text.index(b"\n", 1)
        header = text[1:end].removesuffix(b"\r").removeprefix(_BOM)
        if b"\0" in header:
            raise self._no_text(1)
        if not header:
            raise InputError(
                f"{self.name}: line 1 is empty, so there are no {self._column}s. Name them there."
            )
        self._next_line = 2
        rows = text[end:]
        if rows == b"\n":
            rows = next(self._whole_lines, b"")
        if not rows:
            raise InputError(f"{self.name}: there are no {self._row}s: no line follows the header.")
        row = rows[1 : rows.index(b"\n", 1)]
        names, width = self._split_header(header, row)
        has_corner = width <= len(names) or not names[0]
        self._columns = names[1:] if has_corner else names
        if header.startswith(b"#") and width != len(self._columns) + 1:
            raise self._comment(header)
        if columns_are_genes(self._first_names(rows), self._columns, is_known):
            self.by_gene = False
        if width != len(self._columns) + 1:
            raise self._error_in(rows)
        self._check_columns()
        return rows

    @property
    def _row(self) -> str:
        return "gene" if self.by_gene else "cell"

    @property
    def _column(self) -> str:
        return "cell" if self.by_gene else "gene"

    def _first_names(self, rows: bytes) -> list[str]:
        return [
            line.split(self._delimiter, 1)[0].decode(errors="replace").strip('"')
            for line in rows.split(b"\n")
        ]

    def _comment(self, header: bytes) -> InputError:
        return InputError(
            f"{self.name}: line 1 is a comment ({shown(header)}). Remove the lines before the "
            f"header, which names the {self._column}s."
        )

    def _split_header(self, header: bytes, row: bytes) -> tuple[list[str], int]:
        """Find the delimiter; return the names in the header and the row's number of fields."""
        if header.count(b'"') % 2:
            raise InputError(f"{self.name}: line 1 has {_UNCLOSED}")
        candidates = [d for d in _FORMATS if len(_split(header, d)) > 1]
        if not candidates and header.startswith(b"#"):
            raise self._comment(header)
        if not candidates:
            for delimiter, name, remedy in _OTHER_DELIMITERS:
                n_fields = len(_split(header, delimiter))
                if n_fields > 1 and len(_split(row, delimiter)) in {n_fields, n_fields + 1}:
                    raise InputError(
                        f"{self.name}: the columns are separated by {name}, not by tabs or "
                        f"commas. {remedy}"
                    )
            # one column, below a header that does not name the column of names
            candidates = [d for d in _FORMATS if len(_split(row, d)) == 2]
        if not candidates:
            raise InputError(
                f"{self.name}: this is not a tab- or comma-separated table: line 1 has neither, "
                f"and line 2 is not a {self._row} with the value of one {self._column}."
            )
        self._delimiter = candidates[0]
        try:
            names = [_name(field) for field in _split(header, self._delimiter)]
        except UnicodeDecodeError:
            raise InputError(
                f"{self.name}: line 1 has a {self._column} name that is not UTF-8. {_SAVE_AS_UTF8}"
            ) from None
        return names, len(_split(row, self._delimiter))

    def _check_columns(self) -> None:
        column_of: dict[str, int] = {}
        kind = self._column
        may_repeat = kind == "gene" and self._genes_may_repeat
        for column, name in enumerate(self._columns, start=2):
            if not name:
                ends = (
                    f" It ends with a {_DELIMITER_NAMES[self._delimiter]}, as if another column "
                    "followed: remove what is at the end of each line."
                    if column == len(self._columns) + 1
                    else ""
                )
                raise InputError(
                    f"{self.name}: line 1 has no {kind} name for column {column}.{ends}"
                )
            if name in column_of and not may_repeat:
                remedy = "Rename or drop one." if kind == "cell" else duplicates_remedy(name)
                raise InputError(
                    f"{self.name}: {kind} {shown(name)} appears twice "
                    f"(columns {column_of[name]} and {column}). {remedy}"
                )
            column_of[name] = column

    def _no_text(self, line: int) -> InputError:
        return InputError(
            f"{self.name}: this is not a text table: line {line} has a NUL byte. {_AS_TEXT}"
        )

    def _scan(self, text: bytes) -> tuple[bytes, _Scanned | None]:
        return text, self._scan_lines(text)

    def _scan_lines(self, text: bytes) -> _Scanned | None:
        """Convert some lines, the newline before them included; None where there is an error.

        It may run in several threads, whatever comes first: lines are counted from the first.
        """
        if b"\0" in text:
            return None
        byte = np.frombuffer(text, np.uint8)
        newline = byte == _LF
        delimiter = newline | (byte == ord(self._delimiter))
        if b'"' in text:
            quoted = np.bitwise_xor.accumulate(byte == _QUOTE)  # from each opening quote on
            if (quoted & newline).any():
                return None
            delimiter &= ~quoted
        if (delimiter[1:] & delimiter[:-1]).any():
            return None  # an empty field, or an empty line

        # Delimiters and lone zeros are runs between which the tokens lie. In a run both alternate,
        # so that its length tells the number of fields. Lines' names are tokens even if "0".
        newlines = np.flatnonzero(newline)
        filler = byte == _ZERO
        filler[1:-1] &= delimiter[:-2]
        filler[1:-1] &= delimiter[2:]
        filler[newlines[:-1] + 1] = False
        filler |= delimiter
        edge = np.flatnonzero(filler[1:] != filler[:-1]) + 1
        start, end = edge[::2], edge[1::2]
        n_rows, width = len(newlines) - 1, len(self._columns) + 1
        field = np.zeros(len(start) + 1, np.int64)  # counted from the first line; the last: the end
        field[1:-1] = (start[1:] - end[:-1] + 1) >> 1
        field[-1] = (len(text) - end[-1] + 1) >> 1
        np.cumsum(field, out=field)
        first = np.searchsorted(start, newlines)  # token of each line's name; the last: the end
        if (field[first] != np.arange(n_rows + 1) * width).any():
            return None

        crlf = byte[newlines[1:] - 1] == _CR
        end[first[1:][crlf] - 1] -= 1
        try:
            names = [
                _name(text[i:j])
                for i, j in zip(start[first[:-1]].tolist(), end[first[:-1]].tolist(), strict=True)
            ]
        except UnicodeDecodeError:
            return None
        if not all(names):
            return None

        is_value = np.ones(len(start), np.bool_)
        is_value[first[:-1]] = False
        row = np.repeat(np.arange(n_rows), np.diff(first) - 1)
        column = field[:-1][is_value]
        column -= row * width + 1
        value = _numbers(text, byte, start[is_value], end[is_value])
        if not ((value >= 0) & (value < np.inf)).all():
            return None
        if not value.all():  # zeros of other notations
            some = value > 0
            row, column, value = row[some], column[some], value[some]
        return names, row, column, value

    def _error_in(self, text: bytes) -> InputError:
        """Find the first error in some lines, field by field."""
        width = len(self._columns) + 1
        separator = _DELIMITER_NAMES[self._delimiter]
        lines = text[1:-1].replace(b"\r\n", b"\n").removesuffix(b"\r").split(b"\n")
        for number, line in enumerate(lines, start=self._next_line):
            where = f"{self.name}: line {number}"
            if b"\0" in line:
                return self._no_text(number)
            if not line:
                return InputError(f"{where} is empty. Remove it.")
            fields = _split(line, self._delimiter)
            if not fields:
                return InputError(f"{where} has {_UNCLOSED}")
            try:
                name = _name(fields[0])
            except UnicodeDecodeError:
                return InputError(
                    f"{where} has a {self._row} name that is not UTF-8 ({shown(fields[0])}). "
                    f"{_SAVE_AS_UTF8}"
                )
            if not name:
                return InputError(
                    f"{where} has no {self._row} name. Name the {self._row} or remove the line."
                )
            ends = not fields[-1] and len(fields) > 1
            if ends and len(fields) in {width, width + 1}:
                return InputError(
                    f"{where} ({self._row} {shown(name)}) ends with a {separator}: the value of "
                    f"the last {self._column} is missing, or a {separator} too many ends each "
                    "line. Write 0 there, or remove it."
                )
            if len(fields) != width:
                found = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
                return InputError(
                    f"{where} ({self._row} {shown(name)}) has {found} instead of {width}, the "
                    f"{self._row}'s name and one per {self._column}. Look for a missing or an "
                    f"extra {separator}."
                )
            if name in self._line_of and not (self.by_gene and self._genes_may_repeat):
                remedy = "Rename or drop one." if self._row == "cell" else duplicates_remedy(name)
                return InputError(
                    f"{self.name}: {self._row} {shown(name)} appears twice "
                    f"(lines {self._line_of[name]} and {number}). {remedy}"
                )
            self._line_of[name] = number
            for column, field in zip(self._columns, fields[1:], strict=True):
                if field != b"0" and (problem := _problem(field, self._row)):
                    return InputError(
                        f"{where}, {self._row} {shown(name)}, {self._column} {shown(column)}: "
                        f"{problem}"
                    )
        raise AssertionError(f"{self.name}: no error from line {self._next_line} on")


def _split(line: bytes, delimiter: bytes) -> list[bytes]:
    """Split a line at the delimiters outside quotes; empty where a quote is not closed."""
    n_quotes = line.count(b'"')
    if not n_quotes:
        return line.split(delimiter)
    if n_quotes % 2:
        return []
    fields = []
    pieces = []  # of a field, which is open while it has an odd number of quotes
    is_open = False
    for piece in line.split(delimiter):
        pieces.append(piece)
        is_open ^= piece.count(b'"') % 2 == 1
        if not is_open:
            fields.append(delimiter.join(pieces))
            pieces = []
    return fields


def _name(field: bytes) -> str:
    """Decode a name, without the quotes around it.

    Raises
    ------
    UnicodeDecodeError
        It is not UTF-8.
    """
    name = field.decode()
    if len(name) > 1 and name[0] == name[-1] == '"':
        return name[1:-1].replace('""', '"')
    return name


def _numbers(
    text: bytes, byte: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Convert tokens to numbers, correctly rounded.

    Parameters
    ----------
    text, byte
        The same bytes.
    start, end
        Bounds of each token, int64, shape (n_tokens,). At least three bytes precede a token.

    Returns
    -------
    NDArray
        float64, shape (n_tokens,); NaN for what is no number.
    """
    length = end - start
    ones = byte[end - 1] - _ZERO
    value = ones.astype(np.float64)
    longer = np.flatnonzero((length != 1) | (ones > 9))  # few of counts
    if len(longer):
        start, end, length, ones = start[longer], end[longer], length[longer], ones[longer]
        tens, hundreds = byte[end - 2] - _ZERO, byte[end - 3] - _ZERO
        hundreds *= length > 2
        is_short = (length > 1) & (length < 4) & (ones < 10) & (tens < 10) & (hundreds < 10)
        numbers = np.multiply(hundreds, 100, dtype=np.float64)
        numbers += np.multiply(tens, 10, dtype=np.float64)
        numbers += ones
        others = np.flatnonzero(~is_short)
        # Mostly, all are like the first one, and pyarrow needs time and memory to get ready.
        if len(others) and text[start[others[0]] : end[others[0]]].isdigit():
            numbers[others], is_whole = _whole_numbers(byte, end[others], length[others])
            others = others[~is_whole]
        if len(others):
            numbers[others] = _cast(text, byte, start[others], end[others])
        value[longer] = numbers
    return value


def _whole_numbers(
    byte: NDArray[np.uint8], end: NDArray[np.int64], length: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Convert tokens of digits alone; see `_numbers`. The others are told by the second array."""
    value = np.zeros(len(end))
    is_whole = (length > 0) & (length <= _MAX_DIGITS)
    for place in range(_MAX_DIGITS):
        some = np.flatnonzero(is_whole & (length > place))
        digit = byte[end[some] - (place + 1)] - _ZERO
        value[some] += np.multiply(digit, 10**place, dtype=np.float64)
        is_whole[some] = digit < 10
    return value, is_whole


def _cast(
    text: bytes, byte: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Convert tokens of any length with pyarrow; see `_numbers`."""
    import pyarrow as pa

    start, end = _strip_blanks(byte, start, end)
    quoted = (end - start > 1) & (byte[start] == _QUOTE) & (byte[end - 1] == _QUOTE)
    if quoted.any():
        start, end = _strip_blanks(byte, start + quoted, end - quoted)
    # The text as it is, cut into token, gap, token, gap ...: an array whose every second string
    # is null, made without copying a byte.
    n_strings = 2 * len(start)
    offsets = np.empty(n_strings + 1, np.int32)
    offsets[:-1:2] = start
    offsets[1::2] = end
    offsets[-1] = end[-1]
    is_token = np.full(n_strings // 8 + 1, 0b01010101, np.uint8)
    strings = pa.StringArray.from_buffers(
        n_strings, pa.py_buffer(offsets), pa.py_buffer(text), pa.py_buffer(is_token)
    )
    try:
        numbers = strings.cast(pa.float64())
    except pa.ArrowInvalid:
        return np.array([_number(text[i:j]) for i, j in zip(start, end, strict=True)])
    return np.frombuffer(numbers.buffers()[1], np.float64, n_strings)[::2]


def _strip_blanks(
    byte: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    for _ in range(_FEW_BLANKS):
        is_led = (start < end) & (byte[start] == _SPACE)
        is_followed = (start < end) & (byte[end - 1] == _SPACE)
        if not (is_led | is_followed).any():
            return start, end
        start = start + is_led
        end = np.maximum(start, end - is_followed)  # a lone blank is both
    # One by one where there are more: each round takes one blank of every token.
    for i in np.flatnonzero(is_led | is_followed):
        token = byte[start[i] : end[i]].tobytes()
        start[i] += len(token) - len(token.lstrip(b" "))
        end[i] = start[i] + len(token.strip(b" "))
    return start, end


def _number(token: bytes) -> float:
    return float(token) if _NUMBER.fullmatch(token) else np.nan


def _problem(field: bytes, row: str) -> str:
    """Say what is wrong with the field of a value; nothing where it is sound."""
    token = field.strip(b" ")
    if len(token) > 1 and token[:1] == token[-1:] == b'"':
        token = token[1:-1].strip(b" ")
    value = _number(token)
    if token.lower() in _INFINITE or value == np.inf or value == -np.inf:
        return f"{shown(token)} is infinite. Correct the value or remove the {row}."
    if value < 0:
        return f"{shown(token)} is negative. Give counts or CPM/TPM, neither logged nor scaled."
    if value >= 0:
        return ""
    if not token:
        return f"the value is missing (empty field). Write 0 or remove the {row}."
    if token.lower() in _MISSING:
        return f"the value is missing ({shown(token)}). Write 0 or remove the {row}."
    return f"{shown(token)} is not a number. Only the header and the first column may hold text."
