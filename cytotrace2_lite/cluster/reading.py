"""A file that workers read themselves; what is said of it is what one process would say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.cluster import blocks as at_worker
from cytotrace2_lite.counts import Arriving, Counts, Expression
from cytotrace2_lite.errors import CytoTRACE2Error, InputError
from cytotrace2_lite.genes import N_FEATURES, map_genes
from cytotrace2_lite.pipeline import LARGEST_TOTAL
from cytotrace2_lite.read import collect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.cluster.workers import Workers
    from cytotrace2_lite.read import ReadOptions, Source

__all__ = ["Reading", "RemoteBatch", "RemoteCounts"]

# Only speed and memory depend on these.
_VALUES_PER_BLOCK = 1 << 24
_MOST_VALUES_PER_BLOCK = 1 << 27
_MOST_PIECES = 20_000  # each is a task of Dask; more where blocks would become too large
_FAR_TOO_MANY_PIECES = 400_000


class RemoteBatch:
    """The counts of a batch, in pieces that workers hold."""

    def __init__(self, cells: NDArray[np.intp], pieces: list[Any]) -> None:
        self.cells = cells
        self.pieces = pieces
        self.shape = (len(cells), N_FEATURES)


class RemoteCounts(Counts):
    """Counts whose values are with workers: only the batches that were agreed can be taken."""

    batch: NDArray[np.int32]
    pieces: dict[int, list[Any]]

    def take(self, cells: NDArray[np.intp]) -> Any:
        """Give the batch that some cells are, once."""
        return RemoteBatch(cells, self.pieces.pop(int(self.batch[cells[0]])))

    def release(self) -> None:
        """Nothing is here to be dropped."""


@dataclass(frozen=True, eq=False)
class _RemoteExpression(Expression):
    counts: RemoteCounts | None = None

    def counts_of_features(self, *_: Any, **__: Any) -> Any:
        """Give the counts, which workers have sorted already."""
        return self.counts


@dataclass(eq=False)
class Reading:
    """Has workers read a file, if they can.

    Attributes
    ----------
    client, workers
        The cluster.
    tell
        Called with a line where the file is read here after all.
    species, orthologs
        As for `cytotrace2_lite.genes.map_genes`.
    split
        Called with the names of the cells; gives the cells of each batch.
    """

    client: Any
    workers: Workers
    tell: Callable[[str], None]
    species: str
    orthologs: Mapping[str, str] | None
    split: Callable[[list[str]], Sequence[NDArray[np.intp]]]

    def __call__(
        self,
        reader: Any,
        options: ReadOptions,
        progress: Callable[[int, int, str], None] | None,
        *,
        max_bytes: int,
    ) -> tuple[Expression, Source]:
        """Do what `cytotrace2_lite.read.collect` does, there or here.

        Whatever may be wrong with the file is found here, too, with the message that there is
        without a cluster.
        """
        why = self._obstacle(reader)
        if not why:
            try:
                return self._read_there(reader, options, progress)
            except InputError as error:
                why = str(error)
        self.tell(f"{reader.name} is read here, and sent to the workers: {why}")
        return collect(reader, options, progress, max_bytes=max_bytes)

    def _obstacle(self, reader: Any) -> str:
        if not hasattr(reader, "rows"):
            return "workers read .h5ad, 10x .h5 and Zarr only."
        if reader.rows() is None:
            return "its values are not sorted by cell (CSR), or not in one file."
        if len(set(reader.genes)) < len(reader.genes):
            return "it has several genes of one name."
        return ""

    def _read_there(
        self,
        reader: Any,
        options: ReadOptions,
        progress: Callable[[int, int, str], None] | None,
    ) -> tuple[Expression, Source]:
        rows, bounds, gene_of = reader.rows()
        mapping = map_genes(reader.genes, self.species, self.orthologs)
        feature = np.append(mapping.feature, -1)[gene_of].astype(np.int32)
        batches = self.split(reader.cells)
        batch = np.empty(len(reader.cells), np.int32)
        for number, cells in enumerate(batches):
            batch[cells] = number
        ranges = list(_ranges(bounds, len(batches)))
        if len(ranges) * len(batches) > _FAR_TOO_MANY_PIECES:
            raise InputError(
                f"its {len(ranges):,} blocks and {len(batches):,} batches would be too many tasks "
                "for Dask. Divide it into several files."
            )
        self._wait_for_workers()
        summaries: list[Any] = []
        pieces: dict[int, list[Any]] = {number: [] for number in range(len(batches))}
        for first, last in ranges:
            block = self.client.submit(
                at_worker.read_block,
                rows,
                feature,
                first,
                bounds[first : last + 1],
                batch[first:last],
                pure=False,
            )
            summaries.append(self.client.submit(at_worker.summary_of, block, pure=False))
            for number in np.unique(batch[first:last]).tolist():
                pieces[number].append(
                    self.client.submit(at_worker.piece_of, block, number, pure=False)
                )
        source = reader.source  # the digest is computed here meanwhile
        if options.duplicate_genes != "error":
            source = replace(source, duplicate_genes=options.duplicate_genes)
        found = list(self._gathered(summaries, reader, progress))
        sizes = np.concatenate([summary.sizes for summary in found])
        counts = RemoteCounts(
            (len(reader.cells), N_FEATURES),
            np.concatenate([[0], np.cumsum(sizes)]),
            np.empty(0, np.uint16),
            np.empty(0, np.uint8),
            np.concatenate([summary.total for summary in found]),
            np.concatenate([summary.largest for summary in found]),
            whole=all(summary.whole for summary in found),
            n_bytes=0,
        )
        if not (counts.total < LARGEST_TOTAL).all():  # who has the values refuses them
            raise InputError("the values of a cell are too large.")
        counts.n_repeated = sum(summary.n_repeated for summary in found)
        counts.batch, counts.pieces = batch, pieces
        expression = _RemoteExpression(
            Arriving(),
            reader.cells,
            reader.genes,
            max(summary.max_value for summary in found),
            np.arange(len(reader.genes)),
            reader.name,
            counts,
        )
        return expression, source

    def _wait_for_workers(self) -> None:
        import time

        while not self.workers.are_ready:
            self.workers.look()
            time.sleep(0.05)

    def _gathered(
        self,
        summaries: Sequence[Any],
        reader: Any,
        progress: Callable[[int, int, str], None] | None,
    ) -> Iterator[at_worker.Summary]:
        """Give the summaries of the blocks in their order, as they are there."""
        from concurrent.futures import TimeoutError as Late

        n_total, done = reader.n_total, 0
        for number, future in enumerate(summaries):
            while not future.done():
                self.workers.look()
                try:
                    future.result(timeout=0.5)
                except (Late, TimeoutError):
                    if future.status in ("lost", "cancelled"):
                        break
                except Exception:  # noqa: BLE001 (below)
                    break
            if future.status != "finished":
                raise self._refusal(future)
            yield future.result(timeout=60)
            done = n_total * (number + 1) // len(summaries)
            if progress is not None:
                progress(done, n_total, reader.unit)

    def _refusal(self, future: Any) -> CytoTRACE2Error:
        if future.status != "error":
            return InputError("the workers that had read it are gone.")
        error = future.exception(timeout=30)
        if isinstance(error, CytoTRACE2Error):
            return InputError(str(error))
        return InputError(f"{type(error).__name__} at a worker: {error}")


def _ranges(bounds: NDArray[np.int64], n_batches: int) -> Iterator[tuple[int, int]]:
    """Divide cells into blocks; give the first cell of each, and the one after its last."""
    n_values = int(bounds[-1] - bounds[0])
    most_blocks = max(1, _MOST_PIECES // n_batches)
    size = min(max(_VALUES_PER_BLOCK, n_values // most_blocks), _MOST_VALUES_PER_BLOCK)
    first, n_cells = 0, len(bounds) - 1
    while first < n_cells:
        last = int(np.searchsorted(bounds, bounds[first] + size, side="right")) - 1
        last = min(max(last, first + 1), n_cells)
        yield first, last
        first = last
