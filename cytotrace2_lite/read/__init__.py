"""Readers of expression: one file per format, one sequential pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csc_array

from cytotrace2_lite.expression import Expression
from cytotrace2_lite.read._stream import Source
from cytotrace2_lite.read.text import TextTable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import DTypeLike, NDArray

__all__ = ["Source", "TextTable", "read_expression"]


def read_expression(
    path: str | os.PathLike[str],
    wanted: Callable[[list[str]], NDArray[np.bool_]] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Expression, Source]:
    """Read a genes x cells table into memory.

    Parameters
    ----------
    path
        A tab- or comma-separated text table, which may be gzipped.
    wanted
        Says of some gene names which are of use, bool, shape (n_names,); it is called once per
        block. The values of the others are checked, but not kept. All are kept by default.
    progress
        Called once per block with the bytes read so far and the size of the file (0 for a pipe).

    Returns
    -------
    tuple
        The expression, and what it was read from.

    Raises
    ------
    InputError
        The file cannot be read, or is no table of finite values >= 0 with unique gene and cell
        names.
    """
    genes: list[str] = []
    sizes: list[NDArray[np.int64]] = []  # values of each gene
    max_value = 0.0
    with TextTable(path) as table:
        n_cells = len(table.cells)
        cells = _Growing(np.uint16 if n_cells <= 1 << 16 else np.int32)
        values = _Growing(np.uint8, np.uint16, np.float32, np.float64)
        for block in table.blocks():
            gene, cell, value = block.gene - len(genes), block.cell, block.value
            if wanted is not None:
                keep = wanted(block.genes)[gene]
                gene, cell, value = gene[keep], cell[keep], value[keep]
            genes += block.genes
            sizes.append(np.bincount(gene, minlength=len(block.genes)))
            cells.append(cell)
            values.append(value)
            max_value = max(max_value, block.max_value)
            if progress is not None:
                progress(table.n_read, table.n_total)
        source = table.source

    # Nothing lives longer than it must: at the peak there is little more than the result.
    starts = np.concatenate([[0], *sizes]).cumsum()
    index: DTypeLike = np.int32 if starts[-1] <= np.iinfo(np.int32).max else np.int64
    indices = cells.array.astype(index)
    del cells
    matrix = csc_array(
        (values.array, indices, starts.astype(index)), shape=(n_cells, len(genes)), copy=False
    )
    return Expression(matrix, table.cells, genes, max_value), source


class _Growing:
    """An array that grows at its end, of the first of some types that holds all its numbers.

    A list of small arrays would cost more: freed, they stay in the allocator's heap, and joining
    them takes a copy. Resizing a large array moves pages, not bytes.

    Parameters
    ----------
    types
        Each holds all numbers of the one before. The last is taken on trust.
    """

    def __init__(self, *types: DTypeLike) -> None:
        self._types = types
        self._room: NDArray[Any] = np.empty(0, types[0])
        self._size = 0

    @property
    def array(self) -> NDArray[Any]:
        """The numbers so far."""
        return self._room[: self._size]

    def append(self, numbers: NDArray[Any]) -> None:
        """Add numbers, shape (n,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            compact = numbers.astype(self._types[0])
            while len(self._types) > 1 and (compact != numbers).any():
                self._types = self._types[1:]
                compact = numbers.astype(self._types[0])
        if self._room.dtype != compact.dtype:
            self._room = self.array.astype(compact.dtype)
        size = self._size + len(numbers)
        if size > len(self._room):
            self._room.resize(size + size // 8, refcheck=False)
        self._room[self._size : size] = compact
        self._size = size
