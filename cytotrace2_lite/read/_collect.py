"""Blocks of values to one matrix in memory, each number in the smallest type that holds all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.sparse import coo_array, csc_array, hstack

from cytotrace2_lite.errors import InputError, shown
from cytotrace2_lite.expression import Expression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import DTypeLike, NDArray

    from cytotrace2_lite.expression import Block
    from cytotrace2_lite.read._options import ReadOptions
    from cytotrace2_lite.read._stream import Source

__all__ = ["Reader", "collect"]

_VALUE_TYPES = (np.uint8, np.uint16, np.float32, np.float64)


class Reader(Protocol):
    """What gives the values of one input, whatever its format.

    Attributes
    ----------
    name
        How messages name the input.
    cells, genes
        Names in input order. One of both may grow with the blocks, which name none that is not
        in it yet.
    by_gene
        Whether the values come gene after gene, and of a gene cell after cell.
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
    by_gene: bool
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

    Returns
    -------
    tuple
        The expression, and what it was read from.

    Raises
    ------
    InputError
        What the reader finds wrong; a value given twice.
    """
    wanted, duplicate_genes = options.wanted, options.duplicate_genes
    collector = _ByGene() if reader.by_gene else _AnyOrder()
    keep = np.zeros(0, np.bool_)
    max_value = 0.0
    for block in reader.blocks():
        if len(reader.genes) > len(keep):
            new = reader.genes[len(keep) :]
            keep = np.append(keep, np.ones(len(new), np.bool_) if wanted is None else wanted(new))
        gene, cell, value = block.gene, block.cell, block.value
        if wanted is not None:
            of_use = keep[gene]
            gene, cell, value = gene[of_use], cell[of_use], value[of_use]
        collector.add(gene, cell, value)
        max_value = max(max_value, block.max_value)
        if progress is not None:
            progress(reader.n_read, reader.n_total, reader.unit)
    values = collector.matrix(len(reader.cells), len(reader.genes))
    _refuse_repeated_values(values, reader)
    source = reader.source
    genes = reader.genes
    if duplicate_genes != "error":
        values, genes = _merge_duplicates(values, genes, duplicate_genes)
        n_duplicates = len(reader.genes) - len(genes)
        source = replace(source, duplicate_genes=duplicate_genes, n_duplicates=n_duplicates)
    return Expression(values, reader.cells, genes, max_value), source


class _ByGene:
    """Values that come gene after gene."""

    def __init__(self) -> None:
        self._sizes: list[tuple[int, NDArray[np.int64]]] = []  # a gene, values of it and the next
        self._cells = _Growing(np.uint16, np.int32)
        self._values = _Growing(*_VALUE_TYPES)

    def add(self, gene: NDArray[Any], cell: NDArray[Any], value: NDArray[Any]) -> None:
        if len(gene):
            self._sizes.append((int(gene[0]), np.bincount(gene - gene[0])))
            self._cells.append(cell)
            self._values.append(value)

    def matrix(self, n_cells: int, n_genes: int) -> csc_array:
        # Nothing lives longer than it must: at the peak there is little more than the result.
        sizes = np.zeros(n_genes + 1, np.int64)
        for first, some in self._sizes:
            sizes[first + 1 : first + 1 + len(some)] += some
        starts = sizes.cumsum()
        index = _index_type(int(starts[-1]))
        indices = self._cells.array.astype(index)
        del self._cells
        values = csc_array(
            (self._values.array, indices, starts.astype(index)),
            shape=(n_cells, n_genes),
            copy=False,
        )
        values.sort_indices()
        return values


class _AnyOrder:
    """Values in any order, each with its gene and its cell."""

    def __init__(self) -> None:
        self._genes = _Growing(np.uint16, np.int32)
        self._cells = _Growing(np.uint16, np.int32)
        self._values = _Growing(*_VALUE_TYPES)

    def add(self, gene: NDArray[Any], cell: NDArray[Any], value: NDArray[Any]) -> None:
        self._genes.append(gene)
        self._cells.append(cell)
        self._values.append(value)

    def matrix(self, n_cells: int, n_genes: int) -> csc_array:
        index = _index_type(len(self._values.array))
        genes = self._genes.array.astype(index)
        del self._genes
        cells = self._cells.array.astype(index)
        del self._cells
        scattered = coo_array(
            (self._values.array, (cells, genes)), shape=(n_cells, n_genes), copy=False
        )
        scattered.has_canonical_format = True  # lest it add up what is there twice
        values = scattered.tocsc()
        values.sort_indices()
        return values


def _index_type(n_values: int) -> DTypeLike:
    return np.int32 if n_values <= np.iinfo(np.int32).max else np.int64


def _refuse_repeated_values(values: csc_array, reader: Reader) -> None:
    if values.has_canonical_format:
        return
    again = np.flatnonzero(values.indices[1:] == values.indices[:-1]) + 1
    gene = np.searchsorted(values.indptr, again, side="right") - 1
    first = int(np.flatnonzero(again > values.indptr[gene])[0])  # others are the first of a gene
    raise InputError(
        f"{reader.name}: gene {shown(reader.genes[gene[first]])} has two values in cell "
        f"{shown(reader.cells[values.indices[again[first]]])}. Write the matrix anew."
    )


def _merge_duplicates(
    values: csc_array, genes: list[str], duplicate_genes: str
) -> tuple[csc_array, list[str]]:
    """Make one gene of those of one name, at the place of the first."""
    place: dict[str, int] = {}
    target = np.array([place.setdefault(name, len(place)) for name in genes])
    if len(place) == len(genes):
        return values, genes
    first = np.full(len(place), -1)
    first[target[::-1]] = np.arange(len(genes))[::-1]
    merged = values[:, first]
    if duplicate_genes == "sum":
        repeated = np.flatnonzero(np.bincount(target) > 1)
        parts = np.flatnonzero(np.isin(target, repeated))
        some = values[:, parts].astype(np.float64).tocoo()
        column = np.searchsorted(repeated, target[parts][some.col])
        sums = csc_array((some.data, (some.row, column)), shape=(values.shape[0], len(repeated)))
        others = np.setdiff1d(np.arange(len(place)), repeated)
        order = np.argsort(np.concatenate([others, repeated]))
        compact = _Growing(*_VALUE_TYPES[_VALUE_TYPES.index(values.dtype.type) :])
        compact.append(sums.data)
        sums.data = compact.array
        merged = hstack([merged[:, others], sums], format="csc")[:, order]
    merged.sort_indices()
    return merged, list(place)


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
