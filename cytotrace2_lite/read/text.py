"""Tables of text, tab- or comma-separated: a line per gene and a column per cell, or transposed."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from cytotrace2_lite.counts.arriving import Arriving
from cytotrace2_lite.counts.expression import Block
from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._about import about_genes_or_cells, refuse_about
from cytotrace2_lite.read._fields import name_of, problem_with, split
from cytotrace2_lite.read._lines import whole_lines
from cytotrace2_lite.read._names import columns_are_genes, duplicates_remedy
from cytotrace2_lite.read._reader import StreamReader
from cytotrace2_lite.read._scan import Room, Scanned, scan
from cytotrace2_lite.read._scan_kernel import KERNELS
from cytotrace2_lite.system.threads import in_order
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cytotrace2_lite.read._bytes import ByteStream
    from cytotrace2_lite.read._options import ReadOptions
    from cytotrace2_lite.read._source import Source

__all__ = ["TextTable"]

# Only speed depends on this.
_LARGE = 24_000_000  # bytes: with fewer, to compile code would take longer than it saves
_BLOCKS_BEFORE_COMPILING = 12  # where the size of the text is not known before

_BOM = b"\xef\xbb\xbf"
_FORMATS = {b"\t": "tsv", b",": "csv"}
_DELIMITER_NAMES = {b"\t": "tab", b",": "comma"}
_OTHER_DELIMITERS = (
    (b";", "semicolons", "Save the table as tab-separated text with decimal points."),
    (b" ", "spaces", 'Save it as tab-separated text: in R, write.table(..., sep = "\\t").'),
)
_SEPARATOR_LINE = re.compile(rb'"?sep=(.)"?[\t,;]*', re.IGNORECASE)
_UNCLOSED = "a double quote that is not closed. Close or remove it."
_SAVE_AS_UTF8 = "Save the table as UTF-8."
_AS_TEXT = "Write the genes x cells table as tab-separated text."


class TextTable(StreamReader):
    """The reader of a table of genes and cells as text.

    The fields are separated by tabs if the header has one, else by commas. The header may or may
    not name the column of names. Names and numbers may be in double quotes (a quote inside is
    doubled); a line break ends the line even there. Lines end with LF or CRLF, and may all have the
    same number of separators before that, as spreadsheets write them.

    Parameters
    ----------
    stream
        The text.
    options
        Orientation, and whether two genes may have one name. If neither the orientation nor the
        names tell what the lines are, they are genes.
    block_size
        Bytes read at a time. The result does not depend on it. Larger blocks leave the CPU's
        cache; with smaller ones, threads wait for each other between calls.

    Attributes
    ----------
    name
        How messages name the file.
    cells, genes
        Names in input order. Those of the columns are there from the beginning, those of the
        lines as far as blocks have been read.
    by_gene
        Whether the lines are genes.

    Raises
    ------
    InputError
        The text cannot be read, is not such a table, or names a column twice.
    """

    def __init__(
        self, stream: ByteStream, options: ReadOptions, *, block_size: int = 1 << 21
    ) -> None:
        options.refuse("a text table", matrix=True, gene_column=True)
        self._stream = stream
        self.name = stream.name
        self._delimiter = b"\t"
        self._separator = b""
        self._ends = b""  # separators that end each line
        self._next_line = 1
        self._line_of: dict[str, int] = {}  # of every line so far
        self._columns: list[str] = []
        self._rows: list[str] = []
        self.by_gene = options.orientation != "cells-x-genes"
        self._genes_may_repeat = options.duplicate_genes != "error"
        self._is_known = options.is_known
        self._threads = options.threads
        self._room = Room()
        if self.n_total >= _LARGE:
            KERNELS.compile_ahead()
            Arriving.compile_ahead()
        self._whole_lines = whole_lines(stream, block_size)
        rows = self._read_header(options)
        self._texts = itertools.chain([rows], map(self._without_ends, self._whole_lines))
        self.cells = self._columns if self.by_gene else self._rows
        self.genes = self._rows if self.by_gene else self._columns

    def close(self) -> None:
        """Stop reading. The file is not the reader's."""
        self._whole_lines.close()

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
            A line has more or fewer fields than the header, no name or the name of another line,
            or a value is missing, negative, infinite or not a number. The first such line counts.
        """
        numbered = enumerate(self._texts)
        for text, scanned, largest in in_order(
            self._scan, numbered, self._threads, caller_works=True
        ):
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
            if not self.by_gene:
                refuse_about(f"{self.name}: ", names)
            gene, cell = (row, column) if self.by_gene else (column, row)
            yield Block(gene, cell, value, largest, only_known=self.by_gene)

    def _read_header(self, options: ReadOptions) -> bytes:
        """Find the delimiter and the columns; return the lines that were read after the header."""
        text = next(self._whole_lines, b"")
        if not text:
            raise InputError(f"{self.name}: the file is empty.")
        end = text.index(b"\n", 1)
        header = text[1:end].removesuffix(b"\r").removeprefix(_BOM)
        if b"\0" in header:
            raise self._no_text(1)
        if (match := _SEPARATOR_LINE.fullmatch(header)) and len(text) > end + 1:
            # Excel's, which says what separates the fields.
            self._separator = match[1]
            self._next_line += 1
            start, end = end, text.index(b"\n", end + 1)
            header = text[start + 1 : end].removesuffix(b"\r")
        if not header:
            raise InputError(
                f"{self.name}: line 1 is empty, so there are no {self._column}s. Name them there."
            )
        self._next_line += 1
        rows = text[end:]
        if rows == b"\n":
            rows = next(self._whole_lines, b"")
        if not rows:
            raise InputError(f"{self.name}: there are no {self._row}s: no line follows the header.")
        row = rows[1 : rows.index(b"\n", 1)]
        names, width = self._split_header(header, row)
        of_header, of_rows = self._separators_at_the_end(header, row, names, width)
        self._ends = self._delimiter * of_rows
        names = names[: len(names) - of_header]
        width -= of_rows
        rows = self._without_ends(rows)
        has_corner = width <= len(names) or not names[0]
        self._columns = names[1:] if has_corner else names
        if header.startswith(b"#") and width != len(self._columns) + 1:
            raise self._comment(header)
        if options.orientation == "auto" and columns_are_genes(
            self._first_names(rows), self._columns, options
        ):
            self.by_gene = False
        if width != len(self._columns) + 1:
            raise self._error_in(rows)
        self._check_columns()
        return rows

    def _separators_at_the_end(
        self, header: bytes, row: bytes, names: list[str], width: int
    ) -> tuple[int, int]:
        """Count the separators at the end of the header and of each line that mean no column."""
        row = row.removesuffix(b"\r")
        in_row = len(row) - len(row.rstrip(self._delimiter))
        in_header = len(header) - len(header.rstrip(self._delimiter))
        if 0 < in_header < len(header):
            if width == len(names) - in_header:
                return in_header, 0
            if width - len(names) in {0, 1} and in_row >= in_header:
                return in_header, in_header
            return 0, 0
        # Where the header does not name the column of names, the last value could be missing.
        extra = width - len(names) if not names[0] else 0
        return 0, extra if 0 < extra <= in_row else 0

    def _without_ends(self, text: bytes) -> bytes:
        """Remove the separators that end each line, if there are any."""
        if not self._ends:
            return text
        text = text.replace(self._ends + b"\n", b"\n")
        return text.replace(self._ends + b"\r\n", b"\r\n")

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
        """Find the delimiter; return the names in the header, and the number of fields of a row."""
        if header.count(b'"') % 2:
            raise InputError(f"{self.name}: line 1 has {_UNCLOSED}")
        candidates = [d for d in _FORMATS if len(split(header, d)) > 1]
        if self._separator in candidates:
            candidates = [self._separator]
        if not candidates and header.startswith(b"#"):
            raise self._comment(header)
        if not candidates:
            for delimiter, name, remedy in _OTHER_DELIMITERS:
                n_fields = len(split(header, delimiter))
                if n_fields > 1 and len(split(row, delimiter)) in {n_fields, n_fields + 1}:
                    raise InputError(
                        f"{self.name}: the columns are separated by {name}, not by tabs or "
                        f"commas. {remedy}"
                    )
            # One column, and a header that does not name the column of names.
            candidates = [d for d in _FORMATS if len(split(row, d)) == 2]
        if not candidates:
            raise InputError(
                f"{self.name}: this is not a tab- or comma-separated table: line 1 has neither, "
                f"and line 2 is not a {self._row} with the value of one {self._column}."
            )
        self._delimiter = candidates[0]
        try:
            names = [name_of(field) for field in split(header, self._delimiter)]
        except UnicodeDecodeError:
            raise InputError(
                f"{self.name}: line 1 has a {self._column} name that is not UTF-8. {_SAVE_AS_UTF8}"
            ) from None
        return names, len(split(row, self._delimiter))

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
        if kind == "cell":
            refuse_about(f"{self.name}: ", self._columns)

    def _no_text(self, line: int) -> InputError:
        return InputError(
            f"{self.name}: this is not a text table: line {line} has a NUL byte. {_AS_TEXT}"
        )

    def _scan(self, numbered: tuple[int, bytes]) -> tuple[bytes, Scanned | None, float]:
        """Convert some lines; give them, too, and their largest value."""
        number, text = numbered
        compiled = KERNELS.is_ready or number >= _BLOCKS_BEFORE_COMPILING
        room = self._room if compiled else None
        scanned = scan(text, self._delimiter, len(self._columns) + 1, room=room)
        if scanned is None:
            return text, None, 0.0
        names, row, column, value = scanned
        largest = float(value.max(initial=0))
        if self.by_gene and self._is_known is not None:
            kept = self._is_known(names)[row]
            scanned = Scanned(names, row[kept], column[kept], value[kept])
        return text, scanned, largest

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
            fields = split(line, self._delimiter)
            if not fields:
                return InputError(f"{where} has {_UNCLOSED}")
            try:
                name = name_of(fields[0])
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
                if field != b"0" and (problem := problem_with(field, self._row)):
                    if about_genes_or_cells([column]):
                        problem = (
                            f"{shown(field)} stands in a column about the {self._row}s, which is "
                            "no gene. Remove this column."
                        )
                    return InputError(
                        f"{where}, {self._row} {shown(name)}, {self._column} {shown(column)}: "
                        f"{problem}"
                    )
        raise AssertionError(f"{self.name}: no error from line {self._next_line} on")
