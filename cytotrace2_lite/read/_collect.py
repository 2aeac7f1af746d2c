"""Blocks of values to one dataset, in memory or, what does not fit, in a temporary file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cytotrace2_lite.counts import MAX_BYTES, Arriving
from cytotrace2_lite.counts.expression import Expression
from cytotrace2_lite.system.machine import release_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cytotrace2_lite.counts.expression import Block
    from cytotrace2_lite.read._options import ReadOptions
    from cytotrace2_lite.read._stream import Source

__all__ = ["Reader", "collect"]


class Reader(Protocol):
    """What gives the values of one input, whatever its format.

    Attributes
    ----------
    name
        How messages name the input.
    cells, genes
        Names in input order. One of both may grow with the blocks, which name none that is not
        in it yet.
    n_read, n_total
        Progress; `n_total` may be 0.
    unit
        What they count: "bytes", "values" or "rows".
    source
        What was read; complete after the last block.
    """

    name: str
    cells: list[str]
    genes: list[str]
    unit: str

    @property
    def n_read(self) -> int: ...
    @property
    def n_total(self) -> int: ...
    @property
    def source(self) -> Source: ...
    def blocks(self) -> Iterator[Block]: ...
    def close(self) -> None: ...


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
        Which genes are of use, and what to do with genes of one name; where that is an error, the
        reader has found none.
    progress
        Called once per block with the progress of the reader.
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
    is_known = options.is_known
    arriving = Arriving(max_bytes)
    keep = np.zeros(0, np.bool_)
    max_value = 0.0
    for block in reader.blocks():
        if len(reader.genes) > len(keep):
            new = reader.genes[len(keep) :]
            keep = np.append(
                keep, np.ones(len(new), np.bool_) if is_known is None else is_known(new)
            )
        gene, cell, value = block.gene, block.cell, block.value
        if is_known is not None:
            of_use = keep[gene]
            gene, cell, value = gene[of_use], cell[of_use], value[of_use]
        arriving.add(gene, cell, value)
        max_value = max(max_value, block.max_value)
        if progress is not None:
            progress(reader.n_read, reader.n_total, reader.unit)
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
    return Expression(arriving, reader.cells, genes, max_value, place, reader.name), source


def _merge_duplicates(genes: list[str], duplicate_genes: str) -> tuple[list[str], NDArray[np.intp]]:
    """Make one gene of those of one name, at the place of the first."""
    first: dict[str, int] = {}
    place = np.array([first.setdefault(name, len(first)) for name in genes], np.intp)
    if duplicate_genes == "first":
        again = np.ones(len(genes), np.bool_)
        again[np.unique(place, return_index=True)[1]] = False
        place[again] = -1
    return list(first), place
