"""Files of R: `.rds` with one object, `.RData` with several."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.read._blocks import block_of
from cytotrace2_lite.read._frames import choose_gene_column
from cytotrace2_lite.read._names import check_cells, columns_are_genes
from cytotrace2_lite.read._rexpression import choose, expressions, listed
from cytotrace2_lite.read._robjects import in_words, is_matrix, labels, matrix_of
from cytotrace2_lite.read._rstream import RStream
from cytotrace2_lite.read._source import Source
from cytotrace2_lite.system.machine import available_memory, release_memory
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.counts.expression import Block
    from cytotrace2_lite.read._bytes import ByteStream
    from cytotrace2_lite.read._options import ReadOptions
    from cytotrace2_lite.read._reader import Reader
    from cytotrace2_lite.read._rexpression import Part, Table
    from cytotrace2_lite.read._rvectors import RObject

__all__ = ["RFile", "is_r", "open_r"]

# A workspace, or an object: binary, in the order of bytes of one machine, or as text.
_MAGIC = re.compile(
    rb"RDX[23]\n|RD(A[23]\nA|B[23]\nB)\n|X\n\0\0\0[\1-\x09]|B\n[\2\3]\0\0\0|A\n[23]\n\d{5,6}\n\d{5,6}\n"
)
# What large objects have besides expression and labels.
_OF_SEURAT = frozenset({"graphs", "neighbors", "images", "commands", "tools", "misc"})
_OTHER_LAYERS = ("data", "scale.data")


def is_r(stream: ByteStream) -> bool:
    """Tell whether a file is R's.

    Parameters
    ----------
    stream
        The file.
    """
    return _MAGIC.match(stream.start) is not None


def open_r(stream: ByteStream, options: ReadOptions) -> Reader:
    """Read a file of R, and make a reader of its expression.

    Parameters
    ----------
    stream
        The file, from its beginning.
    options
        Which matrix, whether its rows are genes, and which names they have.

    Raises
    ------
    InputError
        The file is damaged, has no expression, or something is wrong with its names.
    UsageError
        It has several, or takes too much memory; or an option has no meaning for it.
    """
    return RFile(stream, options.layer, options.max_memory).reader(options)


class RFile:
    """What is in a file of R: expression, and what is known about the cells.

    Parameters
    ----------
    stream
        The file, from its beginning to its end.
    layer
        Which object and matrix to read.
    max_memory
        Bytes that the process may take; None for what the machine has.

    Attributes
    ----------
    frame_name
        What the table of the cells is called, "meta.data" or "colData"; "" without one.
    layer
        As given.

    Raises
    ------
    InputError
        It is damaged, or has no expression.
    UsageError
        It has several objects with expression and none is chosen, or takes too much memory.
    """

    def __init__(self, stream: ByteStream, layer: str | None, max_memory: int | None) -> None:
        self.name = stream.name
        self.layer = layer
        wanted = (layer or "").rpartition("/")[2]
        allowed = available_memory() if max_memory is None else max_memory
        r = RStream(stream, allowed, partial(_is_not_needed, wanted, _first(stream)))
        root = r.read()
        found = expressions(root, is_workspace=r.is_workspace)
        if not found:
            raise InputError(f"{self.name}: {_without_expression(root, r.is_workspace)}")
        chosen, self._matrix, others = choose(self.name, found, layer)
        where = ": ".join(part for part in (chosen.name, self._matrix) if part)
        self._where = f"{self.name}: {where}" if where else self.name
        self._table: Table | None = chosen.tables[self._matrix](self._where)
        chosen.tables.clear()
        self._rows_are_genes = chosen.rows_are_genes
        self._what = chosen.what
        self.frame_name = chosen.frame_name
        self._frame, self._frame_cells = chosen.frame, chosen.cells
        self._reductions = chosen.reductions
        self._cells = self._table.cells or []
        n_bytes, sha256 = stream.digest()
        prefix = f"{chosen.name}/" if chosen.name and self._matrix else chosen.name
        self._source = Source(
            "RData" if r.is_workspace else "rds",
            stream.file.path,
            stream.compression,
            n_bytes,
            sha256,
            matrix=f"{prefix}{self._matrix}" or None,
            other_matrices=tuple(f"{prefix}{other}" for other in others),
        )

    @property
    def has_values(self) -> bool:
        """Whether the expression is still there."""
        return self._table is not None

    def labels(self, column: str) -> list[str]:
        """Give the labels of the cells in a column of the table of the cells.

        Parameters
        ----------
        column
            Name of the column; "ident" is the active identity of a Seurat object.

        Returns
        -------
        list of str
            One per cell, "" where it is missing.

        Raises
        ------
        UsageError
            There is no such column, or it has no labels.
        """
        found = labels(self._frame[column]) if column in self._frame else None
        if found is None:
            there = f"Its columns are {first_few(list(self._frame), most=20)}."
            raise UsageError(
                f"{self.name}: {self.frame_name} has no column {shown(column)} of labels. "
                f"{there if self._frame else 'It has none.'}"
            )
        rows = self._frame_cells if self._frame_cells is not None else self._cells
        if len(rows) != len(found):
            raise InputError(f"{self.name}: {self.frame_name} is damaged. Save the object again.")
        of_cell = dict(zip(rows, found, strict=True))
        return [of_cell.get(cell, "") for cell in self._cells]

    def reduction(self, key: str) -> NDArray[Any]:
        """Give the coordinates of the cells in a reduction.

        Parameters
        ----------
        key
            Its name, whatever its case, and with or without the "X_" of AnnData.

        Returns
        -------
        ndarray
            A row per cell, NaN for a cell without coordinates; float64.

        Raises
        ------
        UsageError
            There is no such reduction.
        """
        wanted = {key.lower(), key.removeprefix("X_").lower()}
        found = next(
            (one for name, one in self._reductions.items() if name.lower() in wanted), None
        )
        if found is None or not is_matrix(found):
            there = first_few(list(self._reductions), most=20)
            raise UsageError(
                f"{self.name}: there is no reduction {shown(key)}. "
                f"{f'There is {there}.' if there else 'There is none.'}"
            )
        where = f"{self.name}: the reduction {shown(key)}"
        matrix = matrix_of(where, found)
        values = np.zeros(matrix.shape)
        for (row, column, value), _ in matrix.steps(where):
            values[row, column] = value
        if matrix.rows is None:
            if len(values) != len(self._cells):
                raise InputError(f"{where} has {len(values):,} rows, not one for each cell.")
            return values
        at = {cell: i for i, cell in enumerate(matrix.rows)}
        placed = np.full((len(self._cells), matrix.shape[1]), np.nan)
        for i, cell in enumerate(self._cells):
            if cell in at:
                placed[i] = values[at[cell]]
        return placed

    def reader(self, options: ReadOptions) -> Reader:
        """Make a reader of the expression, once: its values are not kept for another.

        Parameters
        ----------
        options
            Whether the rows are genes, and which names they have.

        Raises
        ------
        InputError
            Something is wrong with the names.
        UsageError
            An option has no meaning for the object.
        """
        if options.use_raw:
            raise UsageError(f"{self.name}: an R object has no raw: leave the option out.")
        table, self._table = self._table, None
        assert table is not None  # noqa: S101 (a reader is asked for once)
        by_cell = options.orientation == "cells-x-genes"
        if self._rows_are_genes and by_cell:
            raise UsageError(
                f"{self.name}: the rows of a {self._what} are genes: leave the orientation out."
            )
        genes, cells = table.genes, table.cells
        if not self._rows_are_genes and options.orientation == "auto":
            by_cell = columns_are_genes(genes or [], cells or [], options)
        if by_cell:
            genes, cells = cells, genes
        for names, what in ((genes, "genes"), (cells, "cells")):
            if names is None:
                raise InputError(
                    f"{self._where}: the {what} have no names. In R, set rownames and colnames, "
                    "and save it again."
                )
        check_cells(self.name, cells or [])
        columns = {name: partial(_texts, column) for name, column in table.columns.items()}
        origin, chosen = choose_gene_column(
            self.name,
            table.frame_name,
            ("the column names" if by_cell else table.parts[0].matrix.rows_from, genes or []),
            columns,
            options,
        )
        source = replace(
            self._source,
            gene_names=origin,
            orientation="cells x genes" if by_cell else "genes x cells",
        )
        self._cells = cells or []
        return _RReader(self.name, chosen, self._cells, table.parts, source, by_cell=by_cell)


class _RReader:
    """The reader of the expression in an R object, whose parts are dropped as they are read."""

    unit = "values"

    def __init__(
        self,
        name: str,
        genes: list[str],
        cells: list[str],
        parts: list[Part],
        source: Source,
        *,
        by_cell: bool,
    ) -> None:
        self.name = name
        self.genes = genes
        self.cells = cells
        self.source = source
        self._parts = parts
        self._by_cell = by_cell
        self.n_read = 0
        self.n_total = sum(part.matrix.n_values for part in parts)

    def blocks(self) -> Iterator[Block]:
        """Yield all values in blocks, once.

        Raises
        ------
        InputError
            The matrix is damaged, or a value is not a finite number >= 0.
        """
        hint = self.source.hint()
        before = 0
        while self._parts:
            part = self._parts.pop(0)
            for (row, column, value), done in part.matrix.steps(self.name):
                self.n_read = before + done
                gene, cell = part.genes[row], part.cells[column]
                if self._by_cell:
                    gene, cell = cell, gene
                yield block_of(self.name, self.genes, self.cells, gene, cell, value, hint=hint)
            before += part.matrix.n_values
            del part
            release_memory()

    def close(self) -> None:
        """Do nothing: the file is not this one's."""


def _first(stream: ByteStream) -> int:
    """Position of the first slot of an object among the names on the way to it."""
    return int(stream.start.startswith(b"RD"))  # after the name in a workspace


def _is_not_needed(wanted: str, first: int, slots: tuple[str, ...], beside: Container[str]) -> bool:
    """Tell by the way to a slot whether its values are needed: large objects have many others."""
    way = slots[first:]
    if len(way) == 1:
        return way[0] in _OF_SEURAT and "meta.data" in beside
    # The assays of Bioconductor are in a slot `data`, too, but have none called `counts` before it.
    is_layer = way[:1] == ("assays",) and len(way) == 2 and "counts" in beside
    return is_layer and way[1] in _OTHER_LAYERS and way[1] != wanted


def _without_expression(root: RObject, is_workspace: bool) -> str:
    if is_workspace:
        there = listed([(name, in_words(item)) for name, item in root.attributes.items()])
        held = f"it holds {there or 'no objects'}"
    else:
        held = f"it holds an object of the kind {in_words(root)}"
    return (
        f"{held}, which has no expression that is read. Give a Seurat object of version 3 or "
        "newer, a SingleCellExperiment, a SummarizedExperiment, a matrix or a data frame."
    )


def _texts(column: RObject) -> Sequence[Any] | None:
    """Give a column of the table of the genes, if it may name them."""
    if column.kind != "character" and "levels" not in column.attributes:
        return None
    found = labels(column)
    return None if found is None else [label or None for label in found]
