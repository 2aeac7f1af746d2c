"""Values that come cell by cell, of genes whose features are known: sorted as they come.

Then nothing is left to be sorted, and what does not fit into memory is written to the temporary
directory only once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cytotrace2_lite.counts._sorting import Sorter
from cytotrace2_lite.counts.arriving import VALUE_TYPES, StepValues
from cytotrace2_lite.counts.counts import Counts
from cytotrace2_lite.counts.spill import ArrayFile, GrowingArray, holds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from cytotrace2_lite.counts._sorting import Sorted
    from cytotrace2_lite.counts.arriving import Arriving
    from cytotrace2_lite.counts.expression import Block
    from cytotrace2_lite.counts.spill import Array

__all__ = ["CellByCell", "take_all"]

_LEAST_BYTES = 3  # of a value with its feature
_NUMBERS_AT_A_TIME = 1 << 20  # of a file


class _Triples(NamedTuple):
    """Cell, gene and value of some values, by cell."""

    cell: NDArray[Any]
    gene: NDArray[Any]
    value: NDArray[Any]


class _Piece(NamedTuple):
    """Some consecutive cells: the first one, and what `Counts` has of them."""

    first: int
    sizes: NDArray[np.int64]
    total: NDArray[np.float64]
    largest: NDArray[np.float64]


class CellByCell:
    """Values that come cell by cell, no gene twice in a cell.

    Whether they do is seen as they come: `add` and `complete` refuse those that do not, and
    `hand_over` gives all that came to `Arriving`, which takes values in any order.

    Parameters
    ----------
    feature
        Feature of each gene, -1 for a gene that is none; int32, shape (n_genes,), no feature twice.
    n_features
        Number of features.
    max_bytes
        What the values may take in memory; if they take more, all go to temporary files.
    usual
        About how many values there will be. If so many would take more, they do at once.
    """

    def __init__(
        self, feature: NDArray[np.int32], n_features: int, *, max_bytes: int, usual: int
    ) -> None:
        self.feature = feature
        self._n_features = n_features
        self._max_bytes = max_bytes
        self._sorter = Sorter(feature, n_features, adds=False, compiled=True)
        self._types: tuple[type[Any], ...] = VALUE_TYPES
        # Cell, gene and value of those of the last cell, which may go on in the next block.
        self._open = _Triples(*(np.empty(0, kind) for kind in (np.int32, np.int32, np.uint8)))
        # The cells before it; their features and values are in memory, or in two files.
        self._pieces: list[_Piece] = []
        self._features = GrowingArray(np.uint16, usual=usual)
        self._values = GrowingArray(*VALUE_TYPES, usual=usual)
        self._files: tuple[ArrayFile, ArrayFile] | None = None
        if usual * _LEAST_BYTES > max_bytes:
            self._files = ArrayFile(), ArrayFile()
        self._whole = True

    def add(self, block: Block) -> bool:
        """Take the values of a block, if they go on where those before ended.

        Returns
        -------
        bool
            Whether they were taken: all of them, or none.

        Raises
        ------
        OutputError
            The temporary directory is full.
        """
        gene, cell = block.gene, block.cell
        if not len(cell):
            return True
        goes_on = not len(self._open.cell) or self._open.cell[-1] <= cell[0]
        if not (goes_on and (cell[1:] >= cell[:-1]).all()):
            return False
        value = self._typed(block.value)
        end = int(np.searchsorted(cell, self._open.cell[-1:], side="right").sum())
        last = int(np.searchsorted(cell, cell[-1]))
        first = _Triples(*map(np.append, self._open, (cell[:end], gene[:end], value[:end])))
        if end == len(cell):
            self._open = first
            return True
        middle = _Triples(cell[end:last], gene[end:last], value[end:last])
        if not self._keep(first, middle):
            return False
        self._open = _Triples(cell[last:].copy(), gene[last:].copy(), value[last:].copy())
        return True

    def complete(self) -> bool:
        """Take note that no more values will come.

        Returns
        -------
        bool
            Whether the last cell, too, has no gene twice.

        Raises
        ------
        OutputError
            The temporary directory is full.
        """
        if not self._keep(self._open):
            return False
        self._open = _Triples(*(array[:0] for array in self._open))
        return True

    def counts(self, n_cells: int) -> Counts:
        """Give the counts, which are then no longer here; `complete` has been called.

        Parameters
        ----------
        n_cells
            Number of cells, those without values included.

        Returns
        -------
        Counts
            Shape (n_cells, n_features).
        """
        indptr = np.zeros(n_cells + 1, np.int64)
        total, largest = np.zeros(n_cells), np.zeros(n_cells)
        for piece in self._pieces:
            stop = piece.first + len(piece.sizes)
            indptr[piece.first + 1 : stop + 1] = piece.sizes
            total[piece.first : stop] = piece.total
            largest[piece.first : stop] = piece.largest
        np.cumsum(indptr, out=indptr)
        features, values = self._stored
        return Counts(
            (n_cells, self._n_features),
            indptr,
            features,
            values,
            total,
            largest,
            whole=self._whole,
            n_bytes=self._n_bytes,
        )

    def hand_over(self, arriving: Arriving) -> None:
        """Give all values that came to `arriving`, but for those of genes that are no feature.

        Raises
        ------
        OutputError
            The temporary directory is full.
        """
        gene_of = np.zeros(self._n_features, np.int32)
        is_feature = np.flatnonzero(self.feature >= 0)
        gene_of[self.feature[is_feature]] = is_feature
        features, values = self._stored
        start = 0
        for piece in self._pieces:
            stop = start + int(piece.sizes.sum())
            cells = np.arange(piece.first, piece.first + len(piece.sizes))
            cell = np.repeat(cells, piece.sizes)
            arriving.add(gene_of[features[start:stop]], cell, values[start:stop])
            start = stop
        cell, gene, value = self._open
        arriving.add(gene, cell, value)

    @property
    def _n_bytes(self) -> int:
        return self._features.array.nbytes + self._values.array.nbytes

    @property
    def _stored(self) -> tuple[Array, Array]:
        """The features and the values of all pieces."""
        if self._files is None:
            return self._features.array, self._values.array
        return self._files[0].whole(np.uint16), self._files[1].whole(self._types[0])

    def _typed(self, value: NDArray[Any]) -> NDArray[Any]:
        """Give values in a type that holds them and those before, which are converted to it."""
        types = self._types
        while len(types) > 1 and not holds(types[0], value):
            types = types[1:]
        if types is not self._types:
            if self._files is not None:
                self._files = self._files[0], _converted(self._files[1], self._types[0], types[0])
            self._types = types
        return value.astype(types[0], copy=False)

    def _keep(self, *runs: _Triples) -> bool:
        """Sort and keep the values of whole cells; no, and none is kept, if a gene is repeated."""
        found = []
        for run in runs:
            if len(run.cell):
                cells = self._sorted(run)
                if cells is None:
                    return False
                found.append((int(run.cell[0]), cells))
        for first, cells in found:
            self._append(first, cells)
        return True

    def _sorted(self, run: _Triples) -> Sorted | None:
        cell = run.cell
        cells = np.arange(cell[0], cell[-1] + 1, dtype=cell.dtype)
        ends = np.append(np.searchsorted(cell, cells), len(cell)).astype(np.int64)
        genes = np.ascontiguousarray(run.gene, np.int32)
        values = np.ascontiguousarray(run.value, self._types[0])
        return self._sorter.by_kernel(StepValues(ends[np.newaxis], genes, values))

    def _append(self, first: int, cells: Sorted) -> None:
        sizes = np.diff(cells.indptr)
        self._pieces.append(_Piece(first, sizes, cells.total, cells.largest))
        self._whole = self._whole and cells.whole
        self._features.append(cells.genes)
        self._values.append(cells.values)
        if self._files is None and self._n_bytes > self._max_bytes:
            self._files = ArrayFile(), ArrayFile()
        if self._files is not None:
            self._files[0].append(self._features.array)
            self._files[1].append(self._values.array.astype(self._types[0], copy=False))
            self._features.clear()
            self._values.clear()


def take_all(
    blocks: Iterable[Block],
    prepare: Callable[[Block], CellByCell | None],
    arriving: Arriving,
    known: Callable[[Block], tuple[NDArray[Any], NDArray[Any], NDArray[Any]]],
) -> tuple[CellByCell | None, float]:
    """Take the values of all blocks, cell by cell as long as they come so.

    Parameters
    ----------
    blocks
        The blocks.
    prepare
        Called with the first block: makes what takes them cell by cell; None if that is not tried.
    arriving
        Takes them otherwise.
    known
        Gives what `arriving` needs of a block: genes, cells and values.

    Returns
    -------
    by_cell : CellByCell or None
        It has all values; if it is None, `arriving` has them.
    max_value : float
        Largest value of all blocks, 0.0 where there is none.

    Raises
    ------
    OutputError
        The temporary directory is full.
    """
    by_cell, max_value = None, 0.0
    for number, block in enumerate(blocks):
        if number == 0:
            by_cell = prepare(block)
        if by_cell is not None and not by_cell.add(block):
            by_cell.hand_over(arriving)
            by_cell = None
        if by_cell is None:
            arriving.add(*known(block))
        max_value = max(max_value, block.max_value)
    if by_cell is not None and not by_cell.complete():
        by_cell.hand_over(arriving)
        by_cell = None
    arriving.complete()
    return by_cell, max_value


def _converted(file: ArrayFile, old: type[Any], new: type[Any]) -> ArrayFile:
    """Write a file of numbers of one type anew, in another one."""
    converted = ArrayFile()
    numbers = file.whole(old)
    n_numbers = file.n_bytes // numbers.dtype.itemsize
    for start in range(0, n_numbers, _NUMBERS_AT_A_TIME):
        stop = min(start + _NUMBERS_AT_A_TIME, n_numbers)
        converted.append(numbers[start:stop].astype(new))
    return converted
