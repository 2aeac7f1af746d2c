"""Directories of 10x Genomics: `matrix.mtx`, `features.tsv` or `genes.tsv`, `barcodes.tsv`.

Source: the directories that Cell Ranger 2 to 9, STARsolo and DropletUtils write; "The Matrix Market
Exchange Formats" (NIST, 1996).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import csv

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._blocks import block_of
from cytotrace2_lite.read._bytes import ByteStream
from cytotrace2_lite.read._names import check_cells, choose_gene_names
from cytotrace2_lite.read._reader import StreamReader
from cytotrace2_lite.read._source import Companion
from cytotrace2_lite.read._tenx import chosen_names, gene_expression
from cytotrace2_lite.text import first_few

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.counts.expression import Block
    from cytotrace2_lite.read._options import ReadOptions
    from cytotrace2_lite.read._source import Source

__all__ = ["MatrixMarket", "find_matrix"]

_MATRIX = re.compile(r"(.*)matrix\.mtx(\.gz|\.bz2|\.zst)?", re.DOTALL)
_COMPRESSED = ("", ".gz", ".bz2", ".zst")
_FIELDS = ("integer", "real", "double", "unsigned-integer")
_BLOCK_SIZE = 1 << 22
_LARGEST_COMPANION = 1 << 28


def find_matrix(directory: str) -> str:
    """Find the matrix of a directory.

    Parameters
    ----------
    directory
        The directory.

    Returns
    -------
    str
        The path of `matrix.mtx`, which may be compressed, and its name may have a prefix.

    Raises
    ------
    InputError
        There is none, or more than one.
    """
    try:
        names = sorted(os.listdir(directory))  # noqa: PTH208 (a str, as given)
    except OSError as error:
        raise InputError(f"{directory}: cannot be read ({error.strerror}).") from None
    found = [name for name in names if _MATRIX.fullmatch(name)]
    if len(found) == 1:
        return os.path.join(directory, found[0])  # noqa: PTH118
    if found:
        raise InputError(
            f"{directory}: there are several matrices: {first_few(found)}. Give the path of one."
        )
    if {".zgroup", ".zattrs", "zarr.json"} & set(names):
        raise InputError(
            f"{directory}: this is a Zarr store, which is not read. In Python, "
            f'anndata.read_zarr("{directory}").write_h5ad("expr.h5ad") makes a file that is.'
        )
    inside = [name for name in names if _has_matrix(os.path.join(directory, name))]  # noqa: PTH118
    remedy = "Give the path of a table."
    if inside:
        remedy = f"There is one in {first_few(inside)}: give that."
    raise InputError(
        f"{directory}: this is a directory without matrix.mtx or matrix.mtx.gz. {remedy}"
    )


def _has_matrix(directory: str) -> bool:
    try:
        return any(map(_MATRIX.fullmatch, os.listdir(directory)))  # noqa: PTH208
    except OSError:
        return False


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
        options.refuse("a 10x directory", matrix=True)
        if not stream.file.is_file:
            raise InputError(
                f"{self.name}: a MatrixMarket file has no names. Give the path of the directory "
                "that it is in, with features.tsv and barcodes.tsv."
            )
        n_rows, n_columns, self._n_values, self._ahead = self._read_header()
        features, features_file = self._read_companion("features.tsv", "genes.tsv")
        barcodes, barcodes_file = self._read_companion("barcodes.tsv")
        self._companions = (features_file, barcodes_file)
        shape = (len(features), len(barcodes))
        self._transposed = options.orientation == "cells-x-genes" or (
            options.orientation == "auto" and (n_rows, n_columns) != shape
        )
        if ((n_columns, n_rows) if self._transposed else (n_rows, n_columns)) != shape:
            raise InputError(
                f"{self.name}: the matrix has {n_rows:,} rows and {n_columns:,} columns, but "
                f"{features_file.path} has {len(features):,} lines and {barcodes_file.path} "
                f"{len(barcodes):,}. These files do not belong together."
            )
        self.cells = [line[0] for line in barcodes]
        check_cells(barcodes_file.path, self.cells)
        kept = np.arange(len(features))
        if all(len(line) > 2 for line in features):
            kept = gene_expression(features_file.path, [line[2] for line in features])
        candidates: Mapping[str, Sequence[str]] = {"ids": [features[i][0] for i in kept]}
        if all(len(line) > 1 for line in features):
            candidates = {"symbols": [features[i][1] for i in kept], **candidates}
        candidates = chosen_names(features_file.path, candidates, options)
        self._gene_names, self.genes = choose_gene_names(features_file.path, candidates, options)
        self._gene_of = np.full(len(features), -1)
        self._gene_of[kept] = np.arange(len(kept))

    def close(self) -> None:
        """Do nothing: the files are not the reader's."""

    @property
    def source(self) -> Source:
        """What was read; complete after the last block."""
        return self._source_of(
            "10x mtx",
            orientation="cells x genes" if self._transposed else "genes x cells",
            gene_names=f"{self._gene_names} of {os.path.basename(self._companions[0].path)}",  # noqa: PTH119
            companions=self._companions,
        )

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
            feature, cell = (column, row) if self._transposed else (row, column)
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
        banner = text[: text.find(b"\n") + 1].decode("latin-1").lower().split()
        expected = (
            f"{self.name}: the first line must be "
            "'%%MatrixMarket matrix coordinate integer general'"
        )
        if len(banner) != 5 or banner[1:3] != ["matrix", "coordinate"]:
            raise InputError(f"{expected}: only sparse matrices are read.")
        if banner[3] not in _FIELDS or banner[4] != "general":
            raise InputError(f"{expected}, or real; it is of {banner[3]} numbers, {banner[4]}.")
        start = 0
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

    def _entries(self) -> Iterator[tuple[NDArray[np.int64], ...]]:
        """Yield row, column and value of some entries at a time; rows and columns begin at 1."""
        self._ahead = self._ahead or self._stream.read(_BLOCK_SIZE)
        if not self._ahead:
            return
        delimiter = "\t" if b"\t" in self._ahead[: self._ahead.find(b"\n")] else " "
        try:
            batches = csv.open_csv(
                pa.PythonFile(_Rest(self._ahead, self._stream), mode="r"),
                csv.ReadOptions(column_names=["row", "column", "value"], block_size=_BLOCK_SIZE),
                csv.ParseOptions(delimiter=delimiter, quote_char=False),
                csv.ConvertOptions(
                    column_types={
                        "row": pa.int64(),
                        "column": pa.int64(),
                        "value": pa.float64(),
                    },
                    null_values=[],
                ),
            )
            for batch in batches:
                yield tuple(column.to_numpy() for column in batch.columns)
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{self.name}: an entry is not a row, a column and a number with one space "
                f"between them ({str(error).splitlines()[0]}). Copy or download the file again."
            ) from None

    def _read_companion(self, *names: str) -> tuple[list[list[str]], Companion]:
        """Read the file beside the matrix that has one of these names; give the fields of lines."""
        directory, matrix = os.path.split(self._stream.file.path)
        match = _MATRIX.fullmatch(matrix)
        start = match[1] if match else ""
        paths = [
            os.path.join(directory, start + name + end)  # noqa: PTH118
            for name in names
            for end in _COMPRESSED
        ]
        path = next(filter(os.path.isfile, paths), None)
        if path is None:
            either = " or ".join(start + name for name in names)
            raise InputError(
                f"{self.name}: there is no {either} (or .gz) beside the matrix, which would name "
                f"its {'genes' if len(names) > 1 else 'cells'}."
            )
        stream = ByteStream(self._stream.file.beside(path))
        try:
            blocks = []
            for block in iter(lambda: stream.read(_BLOCK_SIZE), b""):
                blocks.append(block)
                # Compressed data may have no end.
                if len(blocks) * _BLOCK_SIZE > _LARGEST_COMPANION:
                    raise InputError(
                        f"{path}: the file has more than {_LARGEST_COMPANION >> 20} MiB, too many "
                        "for a list of names. Copy or download it again."
                    )
            text = b"".join(blocks).decode()
        except UnicodeDecodeError:
            raise InputError(f"{path}: this is not UTF-8 text. Save it as UTF-8.") from None
        lines = text.removesuffix("\n").replace("\r\n", "\n").split("\n") if text else []
        return [line.split("\t") for line in lines], Companion(path, *stream.digest())


class _Rest:
    """The rest of a stream after what was read ahead, as far as pyarrow needs a file."""

    closed = False

    def __init__(self, ahead: bytes, stream: ByteStream) -> None:
        self._ahead = ahead
        self._stream = stream

    def read(self, size: int) -> bytes:
        if self._ahead:
            ahead, self._ahead = self._ahead[:size], self._ahead[size:]
            return ahead
        return self._stream.read(size)

    def close(self) -> None:
        self.closed = True
