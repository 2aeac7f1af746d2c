"""The files beside a matrix that name its genes and cells.

Programs name these files in many ways. They are found by the words in their names, and chosen by
their numbers of lines, which must be those of the axes of the matrix.

Source: what Cell Ranger, STARsolo, kallisto-bustools, alevin-fry, Parse, the Single Cell Expression
Atlas of EBI and submitters to GEO write.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._directory import ANY_MATRIX
from cytotrace2_lite.read._source import Companion
from cytotrace2_lite.system.small_tables import parse_small_table
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cytotrace2_lite.read._file import InputFile
    from cytotrace2_lite.read._options import ReadOptions
    from cytotrace2_lite.system.small_tables import SmallTable

__all__ = ["Axes", "name_axes"]

_COMPRESSED = re.compile(r"\.(gz|bz2|xz|zst)$")
_TABLE = re.compile(r"\.(tsv|txt|csv|tab)$", re.IGNORECASE)
_LAST_WORD = re.compile(r"(count_matrix|matrix|counts?|quants_mat|mat|DGE)$", re.IGNORECASE)

_GENE_WORDS = frozenset({"feature", "features", "gene", "genes"})
_CELL_WORDS = frozenset({"barcode", "barcodes", "cell", "cells"})
_ROW_WORDS = frozenset({"row", "rows"})
_COLUMN_WORDS = frozenset({"col", "cols", "column", "columns"})
_HARMLESS_WORDS = frozenset({"all", "metadata", "mtx", "filtered", "raw"})

# What only a header says, and what a header may say where there is a line too many.
_HEADER = re.compile(
    r"(gene|feature|cell|barcode|ensembl|bc)s?[ _.-]?((id|name|symbol|barcode|well)s?)?",
    re.IGNORECASE,
)
_PERHAPS_HEADER = re.compile(r"|x|v1|0|index|ids?|names?|symbols?|rows?|unnamed: 0", re.IGNORECASE)
_LARGEST = 1 << 28  # bytes on disk


@dataclass(frozen=True, eq=False)
class Axes:
    """The names of the axes of a matrix.

    Attributes
    ----------
    transposed
        Whether the rows of the matrix are cells.
    features
        Fields of each feature: its id or name; its name; its type.
    cells
        Names of the cells.
    features_path, cells_path
        The files that they are from.
    companions
        All files that were used.
    not_used
        Names of files that could have named an axis, and were not used.
    """

    transposed: bool
    features: list[list[str]]
    cells: list[str]
    features_path: str
    cells_path: str
    companions: tuple[Companion, ...]
    not_used: tuple[str, ...]


class _Candidate(NamedTuple):
    """A file whose name says that it names an axis.

    Attributes
    ----------
    name
        Of the file.
    kind
        "genes", "cells", "rows", or "columns".
    rank
        How far its name is from that of the matrix, and from a plain "genes" or "barcodes". The
        lowest counts.
    names_only
        Whether it holds the names of genes whose ids are in another file.
    """

    name: str
    kind: str
    rank: tuple[int, int]
    names_only: bool


class _File:
    """A file that may name an axis, read."""

    def __init__(self, matrix: InputFile, name: str, kind: str) -> None:
        self.name = name
        self.path = os.path.join(os.path.dirname(matrix.path), name)  # noqa: PTH118, PTH120
        match = _COMPRESSED.search(name)
        self.ending = match[0] if match else ""
        table = _read(matrix, self.path, kind)
        self.companion = Companion(self.path, table.n_bytes, table.sha256)
        self.rows = table.rows
        if len(self.rows) > 1 and table.lines[-1] - table.lines[0] >= len(self.rows):
            previous = table.lines[0]
            for line in table.lines:
                if line > previous + 1 and '"' not in "".join(self.rows[0]):
                    raise InputError(
                        f"{self.path}: line {previous + 1} is empty. Write the name there, or "
                        "remove the line."
                    )
                previous = line
        self._drop_row_numbers()
        first = self.rows[0][0].strip() if self.rows else ""
        self.is_headed = _HEADER.fullmatch(first) is not None
        self.may_be_headed = self.is_headed or _PERHAPS_HEADER.fullmatch(first) is not None
        if first in {"0", "V1", "v1"} and len(self.rows) > 1:  # may be the first of such names
            self.may_be_headed &= self.rows[1][0].lower() not in {"1", "v2"}

    def _drop_row_numbers(self) -> None:
        """Drop the first column if it only numbers the rows, as R writes it."""
        rows = self.rows
        if len(rows) < 3 or len(rows[-1]) < 2 or rows[-1][0] != str(len(rows) - 1):
            if not rows or len(rows[-1]) < 2 or rows[-1][0] != str(len(rows)):
                return
            start = 0
        else:
            start = 1
        numbers = all(
            len(row) > 1 and row[0] == str(number) for number, row in enumerate(rows[start:], 1)
        )
        if numbers:
            # A header of write.table does not name the column of row numbers.
            header = [row[-len(rows[-1]) + 1 :] for row in rows[:start]]
            self.rows = header + [row[1:] for row in rows[start:]]

    def without_header(self, length: int) -> list[list[str]] | None:
        """Give the rows if there are as many as wanted, without a header; else None."""
        if len(self.rows) == length:
            return self.rows
        if len(self.rows) == length + 1 and self.may_be_headed:
            return self.rows[1:]
        return None


def name_axes(matrix: InputFile, shape: tuple[int, int], options: ReadOptions) -> Axes:
    """Find the files that name the axes of a matrix, and read them.

    Parameters
    ----------
    matrix
        The matrix. The files are beside it.
    shape
        Its numbers of rows and columns.
    options
        The orientation; and which genes are known, where the names of files do not tell them from
        cells.

    Returns
    -------
    Axes
        The names, as many as the matrix has rows and columns.

    Raises
    ------
    InputError
        A file is missing or cannot be read, it does not fit the matrix, or there are several that
        do.
    """
    directory, name = os.path.split(matrix.path)
    try:
        names = sorted(os.listdir(directory or "."))  # noqa: PTH208
    except OSError as error:
        raise InputError(f"{directory}: cannot be read ({error.strerror}).") from None
    match = ANY_MATRIX.fullmatch(name)
    stem, ending = (match[1], match[2] or "") if match else (name, "")
    start = _LAST_WORD.sub("", stem)
    if start == stem:
        start = ""
    candidates = [
        candidate
        for other in names
        if other != name and os.path.isfile(os.path.join(directory, other))  # noqa: PTH113, PTH118
        for candidate in _candidate(other, stem, start)
    ]
    best: dict[str, list[_File]] = {}
    for kind in ("genes", "cells", "rows", "columns"):
        of_kind = [one for one in candidates if one.kind == kind and not one.names_only]
        if kind in {"rows", "columns"} and best["genes"] and best["cells"]:
            break
        lowest = min((one.rank for one in of_kind), default=None)
        best[kind] = [_File(matrix, one.name, kind) for one in of_kind if one.rank == lowest]
    rows_are_cells = None
    if not (best["genes"] and best["cells"]) and best["rows"] and best["columns"]:
        rows_are_cells = _rows_are_cells(stem, best["rows"][0], best["columns"][0], options)
        kinds = ("columns", "rows") if rows_are_cells else ("rows", "columns")
        best["genes"], best["cells"] = (best[kind] for kind in kinds)
    for kind, files, what in (
        ("genes", best["genes"], f"{start}features.tsv or {start}genes.tsv"),
        ("cells", best["cells"], f"{start}barcodes.tsv"),
    ):
        if not files:
            raise InputError(
                f"{matrix.name}: there is no {what} (or .gz) beside the matrix, which would name "
                f"its {kind}."
            )
    first = _convention(stem, best, rows_are_cells)
    ways: tuple[bool, ...] = (first, not first)
    if options.orientation != "auto":
        ways = (options.orientation == "cells-x-genes",)
    genes, cells, transposed = _fitting(matrix, shape, ending, best["genes"], best["cells"], ways)
    n_genes, n_cells = shape[::-1] if transposed else shape
    features = genes.without_header(n_genes)
    barcodes = cells.without_header(n_cells)
    if features is None or barcodes is None:
        raise AssertionError("files that do not fit")
    used = [genes, cells]
    if all(len(fields) == 1 for fields in features):
        named = [one for one in candidates if one.names_only]
        if len(named) == 1:
            symbols = _File(matrix, named[0].name, "genes")
            second = symbols.without_header(n_genes)
            if second is not None:
                features = [[*a, *b[:1]] for a, b in zip(features, second, strict=True)]
                used.append(symbols)
    unused = [
        file.name
        for file in best["genes"] + best["cells"]
        if file is not genes and file is not cells
    ]
    return Axes(
        transposed=transposed,
        features=features,
        cells=[fields[0] for fields in barcodes],
        features_path=genes.path,
        cells_path=cells.path,
        companions=tuple(file.companion for file in used),
        not_used=tuple(unused),
    )


def _candidate(name: str, stem: str, start: str) -> list[_Candidate]:
    """Tell from the name of a file what it may name; nothing or one."""
    body = _COMPRESSED.sub("", name)
    table = _TABLE.search(body)
    if table:
        body = body[: table.start()]
    elif "." in body.removeprefix(stem).removesuffix(".mtx_rows").removesuffix(".mtx_cols"):
        return []
    far = 1
    if body.startswith(stem) or (start and body.startswith(start)) or not start:
        far = 0
    body = body.removeprefix(stem if body.startswith(stem) else start)
    words = re.findall("[a-z]+|[0-9]+", body.lower())
    found = set(words)
    kinds = {
        "genes": _GENE_WORDS,
        "cells": _CELL_WORDS,
        "rows": _ROW_WORDS,
        "columns": _COLUMN_WORDS,
    }
    fits = [kind for kind, known in kinds.items() if found & known]
    if len(fits) != 1:
        return []
    others = found - kinds[fits[0]] - _HARMLESS_WORDS - {"names"}
    if far and others:
        if fits[0] != "genes":  # cells of another matrix
            return []
        far = 2
    return [_Candidate(name, fits[0], (far, len(words) - 1), "names" in found)]


def _read(matrix: InputFile, path: str, kind: str) -> SmallTable:
    file = matrix.beside(path)
    try:
        with file.from_start() as content:
            data = content.read(_LARGEST + 1)
    except OSError as error:
        raise file.unreadable(error) from None
    if len(data) > _LARGEST:
        raise _too_large(path)

    def parsed(delimiters: str) -> SmallTable:
        return parse_small_table(
            path, data, f"list of {kind}", delimiters=delimiters, largest=_LARGEST
        )

    # Names of cells may have commas in them.
    may_have_commas = kind == "genes" or ".csv" in path
    table = parsed("\t,;" if may_have_commas else "\t")
    if table.delimiter != "\t" and len(set(map(len, table.rows))) > 2:
        return parsed("\t")
    if not may_have_commas and table.rows and "," in table.rows[0][0]:
        first = table.rows[0][0].split(",")[0].strip('"')
        if _HEADER.fullmatch(first):
            return parsed(",")
    return table


def _too_large(path: str) -> InputError:
    return InputError(
        f"{path}: the file has more than {_LARGEST >> 20} MiB, too many for a list of names. Copy "
        "or download it again."
    )


def _rows_are_cells(stem: str, rows: _File, columns: _File, options: ReadOptions) -> bool:
    """Tell whether files that only say "rows" and "columns" name cells and genes."""
    if options.orientation != "auto":
        return options.orientation == "cells-x-genes"
    is_known = options.is_known
    if is_known is not None:
        n_known = [
            max(
                int(is_known([fields[place] for fields in file.rows if len(fields) > place]).sum())
                for place in (0, 1)
            )
            for file in (rows, columns)
        ]
        if n_known[0] != n_known[1]:
            return n_known[1] > n_known[0]
    return stem.endswith("quants_mat")  # of alevin-fry; EBI has genes as rows


def _convention(stem: str, best: dict[str, list[_File]], rows_are_cells: bool | None) -> bool:
    """Tell whether the rows are cells by the program that wrote the files."""
    if rows_are_cells is not None:
        return rows_are_cells
    is_parse = any("cell_metadata" in file.name for file in best["cells"])
    return is_parse or re.search(r"cells?_(x|by)_genes?", stem, re.IGNORECASE) is not None


def _fitting(
    matrix: InputFile,
    shape: tuple[int, int],
    ending: str,
    genes: list[_File],
    cells: list[_File],
    ways: Sequence[bool],
) -> tuple[_File, _File, bool]:
    """Choose the files whose numbers of lines fit, and tell whether the rows are cells."""
    fits = [
        (gene, cell, transposed)
        for transposed in ways
        for gene in genes
        for cell in cells
        if gene.without_header(shape[transposed]) is not None
        and cell.without_header(shape[not transposed]) is not None
    ]
    gene = _preferred("genes", genes, [fit[0] for fit in fits], ending)
    cell = _preferred("cells", cells, [fit[1] for fit in fits], ending)
    left = [fit[2] for fit in fits if fit[0] is gene and fit[1] is cell]
    exact = [
        transposed
        for transposed in left
        if (len(gene.rows), len(cell.rows)) == (shape[transposed], shape[not transposed])
    ]
    left = exact or left
    if not left or (len(left) == 2 and not exact and shape[0] != shape[1]):
        raise InputError(
            f"{matrix.name}: the matrix has {shape[0]:,} rows and {shape[1]:,} columns, but "
            f"{gene.path} has {len(gene.rows):,} lines and {cell.path} {len(cell.rows):,}. These "
            "files do not belong together."
        )
    for file, length in ((gene, shape[left[0]]), (cell, shape[not left[0]])):
        if file.is_headed and len(file.rows) == length > 1:
            raise InputError(
                f"{file.path}: the first line ({shown(file.rows[0][0])}) is a header, and with it "
                f"there are {length:,} lines, as many as the matrix has names to give. One name is "
                "missing: write the file again."
            )
    return gene, cell, left[0]


def _preferred(kind: str, files: list[_File], fitting: list[_File], ending: str) -> _File:
    """Choose one of several files: the one that is compressed as the matrix is."""
    if len(files) == 1:
        return files[0]
    alike = [file for file in files if file.ending == ending]
    fit = [file for file in files if file in fitting]
    if len(alike) == 1 and (alike[0] in fit or not fit):
        return alike[0]
    if len(fit) == 1 and not alike:
        return fit[0]
    lengths = ", ".join(f"{shown(file.name)} ({len(file.rows):,} lines)" for file in files)
    raise InputError(
        f"{os.path.dirname(files[0].path) or '.'}: several files could name the {kind}: "  # noqa: PTH120
        f"{lengths}. Keep the one that belongs to the matrix."
    )
