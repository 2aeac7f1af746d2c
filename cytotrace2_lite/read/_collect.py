"""All blocks of an input to one dataset; what does not fit into memory goes to a file."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.counts import MAX_BYTES, Arriving
from cytotrace2_lite.counts.cell_by_cell import CellByCell, take_all
from cytotrace2_lite.counts.expression import VALUES_TO_COMPILE_FOR, Expression, SortedCounts
from cytotrace2_lite.system.compiler import may_compile
from cytotrace2_lite.system.machine import release_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cytotrace2_lite.counts import Block
    from cytotrace2_lite.read._options import ReadOptions
    from cytotrace2_lite.read._reader import Reader
    from cytotrace2_lite.read._source import Source

__all__ = ["collect"]


def collect(
    reader: Reader,
    options: ReadOptions,
    progress: Callable[[int, int, str], None] | None,
    *,
    max_bytes: int = MAX_BYTES,
) -> tuple[Expression, Source]:
    """Read an input to its end.

    Parameters
    ----------
    reader
        The input.
    options
        Which genes are known, and what to do with genes of one name. If that is an error, the
        reader has raised it.
    progress
        Called once per block with `n_read`, `n_total` and `unit` of the reader.
    max_bytes
        What the values may take in memory.

    Returns
    -------
    tuple
        The expression, and what it was read from.

    Raises
    ------
    InputError
        What the reader finds wrong.
    OutputError
        The temporary directory is full.
    """
    arriving = Arriving(max_bytes)
    by_cell, max_value = take_all(
        _reported(reader, progress),
        partial(_cell_by_cell, reader, options, max_bytes),
        arriving,
        _KnownGenes(reader, options).of,
    )
    sorted_counts = None
    if by_cell is not None:
        sorted_counts = SortedCounts(by_cell.feature, by_cell.counts(len(reader.cells)))
    release_memory()
    source = reader.source
    genes, place = reader.genes, np.arange(len(reader.genes))
    if options.duplicate_genes != "error":
        genes, place = _merge_duplicates(genes, options.duplicate_genes)
        source = replace(
            source,
            duplicate_genes=options.duplicate_genes,
            n_duplicates=len(place) - len(genes),
        )
    expression = Expression(
        arriving, reader.cells, genes, max_value, place, reader.name, sorted_counts
    )
    return expression, source


def _reported(reader: Reader, progress: Callable[[int, int, str], None] | None) -> Iterator[Block]:
    """Give the blocks, and report each when the next one is asked for: it was taken."""
    for block in reader.blocks():
        yield block
        if progress is not None:
            progress(reader.n_read, reader.n_total, reader.unit)


class _KnownGenes:
    """Leaves out the values of genes that are not known."""

    def __init__(self, reader: Reader, options: ReadOptions) -> None:
        self._reader = reader
        self._is_known = options.is_known
        self._keep = np.zeros(0, np.bool_)

    def of(self, block: Block) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Give genes, cells and values of a block."""
        if self._is_known is None or block.only_known:
            return block.gene, block.cell, block.value
        names = self._reader.genes
        if len(names) > len(self._keep):
            self._keep = np.append(self._keep, self._is_known(names[len(self._keep) :]))
        kept = np.flatnonzero(self._keep[block.gene])  # places: a mask takes three times as long
        return block.gene[kept], block.cell[kept], block.value[kept]


def _cell_by_cell(
    reader: Reader, options: ReadOptions, max_bytes: int, first: Block
) -> CellByCell | None:
    """Prepare to sort values by feature as they come, if there seem to be enough of them."""
    expected = len(first.value) * reader.n_total // max(reader.n_read, 1)
    names_may_come = reader.unit == "bytes"
    if options.features is None or names_may_come or expected < VALUES_TO_COMPILE_FOR:
        return None
    features = options.features(reader.genes) if may_compile() else None
    if features is None:
        return None
    return CellByCell(*features, max_bytes=max_bytes, usual=expected)


def _merge_duplicates(genes: list[str], duplicate_genes: str) -> tuple[list[str], NDArray[np.intp]]:
    """Give genes of one name the place of the first of them.

    Returns
    -------
    genes : list of str
        Each name once.
    place : ndarray
        Position in `genes` of each gene of the input, -1 if it is left out; intp.
    """
    first: dict[str, int] = {}
    place = np.array([first.setdefault(name, len(first)) for name in genes], np.intp)
    if duplicate_genes == "first":
        again = np.ones(len(genes), np.bool_)
        again[np.unique(place, return_index=True)[1]] = False
        place[again] = -1
    return list(first), place
