"""All blocks of an input to one dataset; what does not fit into memory goes to a file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.counts import MAX_BYTES, Arriving
from cytotrace2_lite.counts.expression import Expression
from cytotrace2_lite.system.machine import release_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

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
    is_known = options.is_known
    arriving = Arriving(max_bytes)
    keep = np.zeros(0, np.bool_)
    max_value = 0.0
    for block in reader.blocks():
        gene, cell, value = block.gene, block.cell, block.value
        if is_known is not None and not block.only_known:
            if len(reader.genes) > len(keep):
                keep = np.append(keep, is_known(reader.genes[len(keep) :]))
            kept = np.flatnonzero(keep[gene])  # places: a mask takes three times as long
            gene, cell, value = gene[kept], cell[kept], value[kept]
        arriving.add(gene, cell, value)
        max_value = max(max_value, block.max_value)
        if progress is not None:
            progress(reader.n_read, reader.n_total, reader.unit)
    arriving.complete()
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
