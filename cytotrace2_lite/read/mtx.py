"""Directories of 10x Genomics: `matrix.mtx`, `features.tsv` or `genes.tsv`, `barcodes.tsv`.

Source: the directories that Cell Ranger 2 to 9, STARsolo and DropletUtils write; "The Matrix Market
Exchange Formats" (NIST, 1996).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._blocks import block_of
from cytotrace2_lite.read._companions import name_axes
from cytotrace2_lite.read._names import check_cells, choose_gene_names
from cytotrace2_lite.read._reader import StreamReader
from cytotrace2_lite.read._tenx import chosen_names, gene_expression
from cytotrace2_lite.system.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.counts.expression import Block
    from cytotrace2_lite.read._bytes import ByteStream
    from cytotrace2_lite.read._options import ReadOptions
    from cytotrace2_lite.read._source import Source

__all__ = ["MatrixMarket"]

_FIELDS = ("integer", "real", "double", "unsigned-integer")
_BLOCK_SIZE = 1 << 22
_BOM = b"\xef\xbb\xbf"
_BLANKS = re.compile(rb"[ \t]+")
_UNUSUAL_LINES = re.compile(rb"^ ?(%[^\n]*)?\n", re.MULTILINE)
_LONGEST_LINE = 1 << 20


class MatrixMarket(StreamReader):
    """The reader of a matrix in coordinates; the files that name its axes are beside it.

    Rows are genes, as 10x Genomics has it, or cells if the options say so, or if only that fits the
    numbers of names.

    Parameters
    ----------
    stream
        The matrix.
    options
        Which genes are known, and whether two may have one name.

    Attributes
    ----------
    name
        How messages name the matrix.
    cells, genes
        Names in input order. Features of other types than gene expression are left out.

    Raises
    ------
    InputError
        A file is missing, or the files do not fit together.
    """

    def __init__(self, stream: ByteStream, options: ReadOptions) -> None:
        self.name = stream.name
        self._stream = stream
        self._threads = options.threads
        options.refuse("a 10x directory", matrix=True)
        if not stream.file.is_file:
            raise InputError(
                f"{self.name}: a MatrixMarket file has no names. Give the path of the directory "
                "that it is in, with features.tsv and barcodes.tsv."
            )
        n_rows, n_columns, self._n_values, self._ahead = self._read_header()
        axes = name_axes(stream.file, (n_rows, n_columns), options)
        self._axes = axes
        self.cells = axes.cells
        check_cells(axes.cells_path, self.cells)
        features = axes.features
        kept = np.arange(len(features))
        if sum(len(fields) > 2 for fields in features) > len(features) / 2:
            types = [fields[2] if len(fields) > 2 else "" for fields in features]
            kept = gene_expression(axes.features_path, types)
        candidates: Mapping[str, Sequence[str]] = {"ids": [features[i][0] for i in kept]}
        if sum(len(fields) > 1 for fields in features) > len(features) / 2:
            # A gene without a symbol goes by its id.
            symbols = [(features[i][1:2] or [""])[0] or features[i][0] for i in kept]
            candidates = {"symbols": symbols, **candidates}
        candidates = chosen_names(axes.features_path, candidates, options)
        self._gene_names, self.genes = choose_gene_names(axes.features_path, candidates, options)
        self._gene_of = np.full(len(features), -1)
        self._gene_of[kept] = np.arange(len(kept))

    def close(self) -> None:
        """Do nothing: the files are not the reader's."""

    @property
    def source(self) -> Source:
        """What was read; complete after the last block."""
        return self._source_of(
            "10x mtx",
            orientation="cells x genes" if self._axes.transposed else "genes x cells",
            gene_names=self._origin_of_names(),
            companions=self._axes.companions,
        )

    def _origin_of_names(self) -> str:
        axes = self._axes
        origin = f"{self._gene_names} of {os.path.basename(axes.features_path)}"  # noqa: PTH119
        if axes.not_used:
            barcodes = os.path.basename(axes.cells_path)  # noqa: PTH119
            origin += f", cell names from {barcodes} (not used: {', '.join(axes.not_used)})"
        return origin

    def blocks(self) -> Iterator[Block]:
        """Yield the matrix in blocks, once.

        Raises
        ------
        InputError
            An entry is malformed, or its value not a finite number >= 0; or there are more or
            fewer entries than the header says.
        """
        n_values = 0
        shape = (len(self._gene_of), len(self.cells))
        for row, column, number in self._entries():
            feature, cell = (column, row) if self._axes.transposed else (row, column)
            n_values += len(number)
            for index, length in ((feature, shape[0]), (cell, shape[1])):
                if index.min(initial=1) < 1 or index.max(initial=1) > length:
                    raise InputError(
                        f"{self.name}: an entry lies outside the {length:,} "
                        f"{'features' if index is feature else 'barcodes'}. Copy or download the "
                        "file again."
                    )
            gene = self._gene_of[feature - 1]
            of_gene = gene >= 0
            cell, value = cell[of_gene] - 1, number[of_gene]
            yield block_of(self.name, self.genes, self.cells, gene[of_gene], cell, value)
        if n_values != self._n_values:
            raise InputError(
                f"{self.name}: there are {n_values:,} entries instead of {self._n_values:,}: the "
                "file is cut short or damaged. Copy or download it again."
            )

    def _read_header(self) -> tuple[int, int, int, bytes]:
        """Read up to the sizes; return these and the entries that were read with them."""
        text = self._stream.read(_BLOCK_SIZE)
        first = text.lstrip().removeprefix(_BOM).partition(b"\n")[0].lstrip(b"% \t")
        banner = first.decode("latin-1").lower().split()
        expected = (
            f"{self.name}: the first line must be "
            "'%%MatrixMarket matrix coordinate integer general'"
        )
        if len(banner) != 5 or banner[1:3] != ["matrix", "coordinate"]:
            raise InputError(f"{expected}: only sparse matrices are read.")
        if banner[3] not in _FIELDS or banner[4] != "general":
            raise InputError(f"{expected}, or real; it is of {banner[3]} numbers, {banner[4]}.")
        start = text.find(b"\n", len(text) - len(text.lstrip())) + 1  # after the banner
        while (end := text.find(b"\n", start) + 1) > 0:
            line = text[start:end].strip()
            start = end
            if not line or line.startswith(b"%"):
                continue
            sizes = line.split()
            if len(sizes) == 3 and all(size.isdigit() and len(size) < 16 for size in sizes):
                n_rows, n_columns, n_values = map(int, sizes)
                return n_rows, n_columns, n_values, text[start:]
            break
        raise InputError(
            f"{self.name}: there is no line with the numbers of rows, columns and entries."
        )

    def _entries(self) -> Iterator[tuple[NDArray[Any], ...]]:
        """Yield row, column and value of some entries at a time; rows and columns begin at 1."""
        return in_order(self._parse, self._whole_lines(), self._threads, caller_works=True)

    def _whole_lines(self) -> Iterator[bytes]:
        """Yield the rest of the matrix, some whole lines at a time."""
        rest, block = self._ahead, b""
        while block := rest + self._stream.read(_BLOCK_SIZE):
            cut = block.rfind(b"\n") + 1
            if len(block) == len(rest) or not cut:  # the end, or no line
                if len(block) > len(rest) and len(block) < _LONGEST_LINE + _BLOCK_SIZE:
                    rest = block
                    continue
                cut = len(block)
            rest = block[cut:]
            yield block[:cut]

    def _parse(self, text: bytes) -> tuple[NDArray[Any], ...]:
        """Convert some whole lines. Several threads may do that at the same time."""
        try:
            return _parsed(text)
        except pa.ArrowInvalid as error:
            # Some programs write more blanks than one, or comments between the entries.
            plain = _UNUSUAL_LINES.sub(b"", _BLANKS.sub(b" ", text.replace(b"\r", b"") + b"\n"))
            plain = plain.replace(b"\n ", b"\n").replace(b" \n", b"\n").strip(b" \n")
            try:
                return _parsed(plain)
            except pa.ArrowInvalid:
                reason = str(error).splitlines()[0]
        raise InputError(
            f"{self.name}: an entry is not a row, a column and a number with one space between "
            f"them ({reason}). Copy or download the file again."
        )


def _parsed(text: bytes) -> tuple[NDArray[Any], ...]:
    """Convert lines of a row, a column and a value with one blank or tab between them.

    Raises
    ------
    ArrowInvalid
        A line is something else.
    """
    if not text.strip():
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    # The threads of Arrow may still hold what they read when the interpreter ends, and abort it
    # if that is an object of Python. So they get a copy that is none.
    content = pa.allocate_buffer(len(text))
    memoryview(content).cast("B")[:] = text
    table = csv.read_csv(
        pa.BufferReader(content),
        csv.ReadOptions(
            column_names=["row", "column", "value"], use_threads=False, block_size=len(text) + 1
        ),
        csv.ParseOptions(
            delimiter="\t" if b"\t" in text[: text.find(b"\n")] else " ", quote_char=False
        ),
        csv.ConvertOptions(
            column_types={"row": pa.int64(), "column": pa.int64(), "value": pa.float64()},
            null_values=[],
        ),
    )
    return tuple(column.to_numpy() for column in table.columns)
