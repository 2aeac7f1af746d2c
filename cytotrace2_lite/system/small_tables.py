"""Read small text tables: labels and coordinates of cells, orthologs, names of axes, results.

All of them come from R, Excel, pandas, Cell Ranger and other hands, and are read alike: UTF-8 with
or without a byte order mark, or UTF-16 with one; any line ends; tabs, commas or semicolons; plain
or compressed; names in double quotes or bare, where a lone quote is part of a name.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import hashlib
import io
import itertools
import lzma
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

__all__ = ["SmallTable", "parse_small_table", "quoted", "read_small_table"]

_LARGEST = 1 << 30  # bytes of text
_STEP = 1 << 20
# What `str.isspace` says is a blank.
_SPACES = (
    " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_SEPARATOR_LINE = re.compile(r"sep=(.)", re.IGNORECASE)  # Excel's, on a line of its own
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ZSTD = b"\x28\xb5\x2f\xfd"
_SPECIAL = frozenset('\t\n\r"')  # would end a field too early


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _open_zstd(file: io.BytesIO) -> _Stream:
    import pyarrow as pa

    stream: _Stream = pa.CompressedInputStream(file, "zstd")
    return stream


_COMPRESSIONS: tuple[tuple[bytes, str, Callable[[io.BytesIO], _Stream]], ...] = (
    (b"\x1f\x8b\x08", "gzip", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", "bz2", bz2.BZ2File),
    (b"\xfd7zXZ\0", "xz", lzma.LZMAFile),
    (_ZSTD, "zstd", _open_zstd),
)


@dataclass(frozen=True)
class SmallTable:
    """The rows of a text table, and how it was written.

    Attributes
    ----------
    path
        The file.
    rows
        Fields of each row that is not blank, without the quotes around them.
    lines
        Number of the line on which each row begins, from 1.
    delimiter
        What separates the fields: a tab, a comma or a semicolon.
    encoding
        "utf-8", "utf-16-le" or "utf-16-be".
    compression
        "gzip", "bz2", "xz", "zstd", or None.
    n_bytes, sha256
        Size of the file, and the hex digest of its bytes.
    """

    path: str
    rows: list[list[str]]
    lines: Sequence[int]
    delimiter: str
    encoding: str
    compression: str | None
    n_bytes: int
    sha256: str

    def where(self, row: int) -> str:
        """Name a row in a message: "PATH: line 3"."""
        return f"{self.path}: line {self.lines[row]}"


def quoted(field: str) -> str:
    """Quote a field of a tab-separated table where it needs that.

    Parameters
    ----------
    field
        A name. `csv` does not quote a lone carriage return.

    Returns
    -------
    str
        The field, in double quotes where it holds a tab, a line end or a double quote.
    """
    if _SPECIAL.isdisjoint(field):
        return field
    return '"' + field.replace('"', '""') + '"'


def read_small_table(
    path: str | os.PathLike[str], what: str, *, delimiters: str = "\t,;"
) -> SmallTable:
    """Read a text table that is held in memory.

    Parameters
    ----------
    path
        A file or a pipe.
    what
        What it is, for messages: "annotation".
    delimiters
        What may separate the fields, the likeliest first.

    Returns
    -------
    SmallTable
        Its rows may differ in length.

    Raises
    ------
    InputError
        The file cannot be read, or is no such text.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot read the {what} ({error.strerror}).") from error
    except ValueError as error:  # a NUL in the path
        raise InputError(f"{path}: cannot read the {what} ({error}).") from error
    return parse_small_table(str(path), content, what, delimiters=delimiters)


def parse_small_table(
    path: str, content: bytes, what: str, *, delimiters: str = "\t,;", largest: int | None = None
) -> SmallTable:
    """Take the rows from the content of a file; see `read_small_table`.

    Parameters
    ----------
    path
        The file, for messages.
    content
        Its bytes.
    what, delimiters
        As for `read_small_table`.
    largest
        How many bytes it may have, compressed or not; by default 1 GiB.

    Returns
    -------
    SmallTable
        Its rows may differ in length.

    Raises
    ------
    InputError
        It is no such text.
    """
    compression, plain = _decompressed(path, content, what, largest or _LARGEST)
    encoding, text = _decoded(path, plain, what)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if "\n" not in text:  # the line ends of old Macs, which some programs still write
            text = text.replace("\r", "\n")
    delimiter, text, first_line = _delimiter(text, delimiters)
    lines: Sequence[int]
    if '"' in text:
        rows, lines = _quoted_rows(path, text, delimiter, what, first_line)
    else:
        written = text.removesuffix("\n").split("\n")
        lines = range(first_line, first_line + len(written))
        blank = itertools.repeat(_SPACES + delimiter)
        if not all(map(str.strip, written, blank)):
            lines = [
                number
                for number, line in zip(lines, written, strict=True)
                if line.strip(_SPACES + delimiter)
            ]
            written = [line for line in written if line.strip(_SPACES + delimiter)]
        rows = [line.split(delimiter) for line in written]
    return SmallTable(
        path=path,
        rows=rows,
        lines=lines,
        delimiter=delimiter,
        encoding=encoding,
        compression=compression,
        n_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _decompressed(path: str, content: bytes, what: str, largest: int) -> tuple[str | None, bytes]:
    too_large = InputError(
        f"{path}: the file has more than {largest >> 20} MiB. Give a table with a line per cell "
        "or gene."
    )
    if len(content) > largest:
        raise too_large
    for magic, name, opener in _COMPRESSIONS:
        if not content.startswith(magic):
            continue
        steps = []
        n_bytes = 0
        try:
            stream = opener(io.BytesIO(content))
            while step := stream.read(_STEP):
                steps.append(step)
                n_bytes += len(step)
                if n_bytes > largest:  # a few bytes can stand for a disk full of zeros
                    raise too_large
        except (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError) as error:
            if isinstance(error, InputError):
                raise
            if name == "bz2":  # text may begin like this
                return None, content
            raise InputError(
                f"{path}: the {name} data of the {what} are damaged or cut short. Copy or download "
                "the file again."
            ) from None
        return name, b"".join(steps)
    return None, content


def _decoded(path: str, content: bytes, what: str) -> tuple[str, str]:
    encoding = "utf-8"
    for mark, name in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            encoding, content = name, content[len(mark) :]
            break
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputError(
            f"{path}: this {what} file is not plain text. Unpack it, or save the sheet as tab- or "
            "comma-separated text (UTF-8)."
        )
    return encoding, text


def _delimiter(text: str, delimiters: str) -> tuple[str, str, int]:
    """Find what separates the fields, the text after a line that only says so, and its number."""
    start = len(text) - len(text.lstrip("\n"))
    line, _, rest = text[start:].partition("\n")
    number = 1 + start
    if (match := _SEPARATOR_LINE.fullmatch(line.strip().strip('"'))) and match[1] in delimiters:
        return match[1], rest, number + 1
    outside = re.sub(r'"[^"]*"', "", text[start : start + _STEP]).partition("\n")[0]
    for delimiter in delimiters:
        if delimiter in outside:
            return delimiter, text[start:], number
    return delimiters[0], text[start:], number


def _quoted_rows(
    path: str, text: str, delimiter: str, what: str, first_line: int
) -> tuple[list[list[str]], list[int]]:
    """Split text in which some fields are quoted: R escapes a quote in them, others double it."""
    rows: list[list[str]] = []
    lines: list[int] = []
    row: list[str] = []
    position, number, begun = 0, first_line, first_line
    field = re.compile(
        rf'"((?:[^"\\]|""|\\"|\\)*)"(?=[{re.escape(delimiter)}\n]|\Z)|[^{re.escape(delimiter)}\n]*'
    )
    while position <= len(text):
        match = field.match(text, position)
        if match is None:  # the second alternative matches anything
            raise AssertionError(f"no field at {position}")
        if match[1] is not None:
            row.append(match[1].replace('""', '"').replace('\\"', '"'))
        else:
            if match[0].startswith('"'):
                raise InputError(
                    f"{path}: line {number} of the {what}: {shown(match[0])} begins with a "
                    "quotation mark that does not end it. Remove the mark, or close it."
                )
            row.append(match[0])
        number += match[0].count("\n")
        position = match.end()
        if position == len(text) or text[position] == "\n":
            if any(part and not part.isspace() for part in row):
                rows.append(row)
                lines.append(begun)
            number += 1
            row, begun = [], number
            if position == len(text):
                break
        position += 1
    return rows, lines
