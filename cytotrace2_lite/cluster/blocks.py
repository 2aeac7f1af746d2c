"""What workers run where they read the values themselves: blocks of cells, split by batch.

A block is read once, by one worker. The cells of each of its batches are a piece, which goes to the
worker that scores the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cytotrace2_lite.cluster import worker as at_worker
from cytotrace2_lite.counts import Arriving, Counts, Expression
from cytotrace2_lite.counts.cell_by_cell import CellByCell, take_all
from cytotrace2_lite.genes import N_FEATURES
from cytotrace2_lite.system.compiler import may_compile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.base.parameters import Parameters
    from cytotrace2_lite.batch import BatchScores
    from cytotrace2_lite.counts import Block
    from cytotrace2_lite.read import DaskRows, Rows

__all__ = [
    "Piece",
    "Summary",
    "piece_of",
    "read_block",
    "read_chunks",
    "score_pieces",
    "summary_of",
]

_IN_MEMORY = 1 << 62  # bytes: all values of a block
_USUAL_VALUES = 1 << 24  # of a block


class Summary(NamedTuple):
    """What the starting process has to know of a block.

    Attributes
    ----------
    sizes, total, largest
        Of each cell, as `Counts` has them.
    whole, n_repeated
        As `Counts` has them.
    max_value
        Largest value over all genes.
    """

    sizes: NDArray[np.int64]
    total: NDArray[np.float64]
    largest: NDArray[np.float64]
    whole: bool
    n_repeated: int
    max_value: float


class Piece(NamedTuple):
    """The cells of a block that are in one batch.

    Attributes
    ----------
    cells
        Their indices in the dataset; int64, shape (n,).
    counts
        Their counts.
    made_by
        Address of the worker that read them.
    """

    cells: NDArray[np.int64]
    counts: Counts
    made_by: str


def read_block(
    rows: Rows,
    feature: NDArray[np.int32],
    first: int,
    bounds: NDArray[np.int64],
    batch: NDArray[np.int32],
) -> tuple[Summary, dict[int, Piece]]:
    """Read some consecutive cells, and split them by batch.

    Parameters
    ----------
    rows
        Where they are.
    feature
        Feature of each column of the matrix, -1 for none.
    first, bounds
        Index of the first cell, and where their values are.
    batch
        Batch of each cell.

    Returns
    -------
    tuple
        The summary, and the pieces by batch.
    """
    return _split(rows.blocks(bounds), feature, first, batch)


def read_chunks(
    rows: DaskRows,
    feature: NDArray[np.int32],
    first: int,
    batch: NDArray[np.int32],
    *chunks: Any,
) -> tuple[Summary, dict[int, Piece]]:
    """Take some consecutive cells of a Dask array, and split them by batch.

    Parameters
    ----------
    rows
        Where they are in its chunks.
    feature, first, batch
        As for `read_block`.
    chunks
        What Dask has computed.

    Returns
    -------
    tuple
        As of `read_block`.
    """
    return _split(rows.blocks(chunks), feature, first, batch)


def _split(
    blocks: Iterable[Block], feature: NDArray[np.int32], first: int, batch: NDArray[np.int32]
) -> tuple[Summary, dict[int, Piece]]:
    n_cells = len(batch)

    def known(block: Block) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        kept = np.flatnonzero(feature[block.gene] >= 0)
        return block.gene[kept], block.cell[kept], block.value[kept]

    def prepare(_: Block) -> CellByCell | None:
        if not may_compile():
            return None
        return CellByCell(feature, N_FEATURES, max_bytes=_IN_MEMORY, usual=_USUAL_VALUES)

    arriving = Arriving(_IN_MEMORY)
    by_cell, max_value = take_all(blocks, prepare, arriving, known)
    if by_cell is not None:
        counts = by_cell.counts(n_cells)
    else:
        every = np.arange(len(feature))
        expression = Expression(arriving, [""] * n_cells, [], max_value, every)
        counts = expression.counts_of_features(feature, N_FEATURES, release=True)
    sizes = counts.genes_per_cell
    made_by = _own_address()
    pieces = {}
    for number in np.unique(batch[sizes > 0]).tolist():
        cells = np.flatnonzero((batch == number) & (sizes > 0))
        pieces[number] = Piece(first + cells, counts.take(cells), made_by)
    summary = Summary(
        sizes, counts.total, counts.largest, counts.whole, counts.n_repeated, max_value
    )
    return summary, pieces


def summary_of(block: tuple[Summary, dict[int, Piece]]) -> Summary:
    """Give the first part of what `read_block` gives."""
    return block[0]


def piece_of(block: tuple[Summary, dict[int, Piece]], batch: int) -> Piece | None:
    """Give one piece of what `read_block` gives."""
    return block[1].get(batch)


def score_pieces(
    cells: NDArray[np.intp], pieces: Sequence[Piece | None], sha256: str, parameters: Parameters
) -> tuple[BatchScores | None, int]:
    """Put a batch together, and score it.

    Parameters
    ----------
    cells
        The cells of the batch, in its order.
    pieces
        All of them, in any order.
    sha256, parameters
        As for `worker.score`.

    Returns
    -------
    tuple
        What `worker.score` gives, and how many bytes came from other workers.
    """
    address = _own_address()
    there = [piece for piece in pieces if piece is not None]
    moved = sum(piece.counts.n_bytes for piece in there if piece.made_by != address)
    found = np.concatenate([piece.cells for piece in there])
    order = np.argsort(found)
    place = order[np.searchsorted(found[order], cells)]
    counts = Counts.joined([piece.counts for piece in there]).take(place)
    return at_worker.score(counts, sha256, parameters), moved


def _own_address() -> str:
    from distributed import get_worker

    return str(get_worker().address)
