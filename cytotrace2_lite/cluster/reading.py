"""What workers read themselves, a file or a Dask array, with the messages of one process."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.cluster import blocks as at_worker
from cytotrace2_lite.cluster.connection import require_distributed
from cytotrace2_lite.counts import Arriving, Counts, Expression
from cytotrace2_lite.counts.expression import SortedCounts
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
_GENES_PER_VALUE = 8  # of a Dask array, whose values are not counted beforehand
_MOST_PIECES = 20_000  # each is a task of Dask; more where blocks would become too large
_FAR_TOO_MANY_PIECES = 400_000
_MOST_BYTES_OF_GRAPH = 1 << 26  # of a Dask array: more are values that are here


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


@dataclass(eq=False)
class Reading:
    """Has workers read a file, if they can.

    Attributes
    ----------
    client, workers
        The cluster.
    tell
        Called with a line where the file or array is read here after all.
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
        array = getattr(reader, "dask_array", None)
        why = self._obstacle(reader, array)
        if not why:
            try:
                return self._read_there(reader, options, progress)
            except InputError as error:
                why = str(error)
        name = reader.name or "the Dask array"
        self.tell(f"{name} is read here, and sent to the workers: {why}")
        with _computing(array, self.client):
            return collect(reader, options, progress, max_bytes=max_bytes)

    def _obstacle(self, reader: Any, array: Any) -> str:
        if len(set(reader.genes)) < len(reader.genes):
            return "it has several genes of one name."
        if array is not None:
            return _obstacle_of_graph(array)
        if not hasattr(reader, "rows"):
            return "workers read .h5ad, 10x .h5 and Zarr only."
        if reader.rows() is None:
            return "its values are not sorted by cell (CSR), or not in one file."
        return ""

    def _read_there(
        self,
        reader: Any,
        options: ReadOptions,
        progress: Callable[[int, int, str], None] | None,
    ) -> tuple[Expression, Source]:
        mapping = map_genes(reader.genes, self.species, self.orthologs)
        batches = self.split(reader.cells)
        batch = np.empty(len(reader.cells), np.int32)
        for number, cells in enumerate(batches):
            batch[cells] = number
        submit = self._file_blocks if hasattr(reader, "rows") else self._dask_blocks
        summaries: list[Any] = []
        pieces: dict[int, list[Any]] = {number: [] for number in range(len(batches))}
        for first, last, block in submit(reader, mapping.feature, batch, len(batches)):
            summaries.append(self.client.submit(at_worker.summary_of, block, pure=False))
            for number in np.unique(batch[first:last]).tolist():
                pieces[number].append(
                    self.client.submit(at_worker.piece_of, block, number, pure=False)
                )
        source = reader.source  # the digest of a file is computed here meanwhile
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
        expression = Expression(
            Arriving(),
            reader.cells,
            reader.genes,
            max(summary.max_value for summary in found),
            np.arange(len(reader.genes)),
            reader.name,
            SortedCounts(mapping.feature, counts),
        )
        return expression, source

    def _file_blocks(
        self, reader: Any, feature: NDArray[Any], batch: NDArray[np.int32], n_batches: int
    ) -> Iterator[tuple[int, int, Any]]:
        """Have blocks of a file read; give the first cell, that after the last, and the block."""
        rows, bounds, gene_of = reader.rows()
        feature = np.append(feature, -1)[gene_of].astype(np.int32)
        ranges = list(_ranges(bounds, n_batches))
        _refuse_too_many(len(ranges), n_batches, "Divide it into several files.")
        self._wait_for_workers()
        for first, last in ranges:
            part = bounds[first : last + 1], batch[first:last]
            block = self.client.submit(
                at_worker.read_block, rows, feature, first, *part, pure=False
            )
            yield first, last, block

    def _dask_blocks(
        self, reader: Any, feature: NDArray[Any], batch: NDArray[np.int32], n_batches: int
    ) -> Iterator[tuple[int, int, Any]]:
        """Have chunks of a Dask array computed, as `_file_blocks` gives blocks of a file."""
        import dask

        most_blocks = max(1, _MOST_PIECES // n_batches)
        values_per_cell = len(reader.genes) // _GENES_PER_VALUE + 1
        n_cells = max(_VALUES_PER_BLOCK // values_per_cell, len(batch) // most_blocks)
        parts = list(reader.cells_of_dask(n_cells))
        _refuse_too_many(len(parts), n_batches, "Rechunk it to chunks of more cells.")
        self._wait_for_workers()
        read = dask.delayed(at_worker.read_chunks, pure=False)
        feature_there = dask.delayed(feature.astype(np.int32))
        ends = np.cumsum([0, *(n for _, n, _ in parts)]).tolist()
        blocks = [
            read(rows, feature_there, first, batch[first:last], *chunks)
            for (rows, _, chunks), first, last in zip(parts, ends, ends[1:], strict=False)
        ]
        # One graph: a chunk is dropped as soon as it is split.
        yield from zip(ends, ends[1:], self.client.compute(blocks), strict=False)

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


def _refuse_too_many(n_blocks: int, n_batches: int, remedy: str) -> None:
    if n_blocks * n_batches > _FAR_TOO_MANY_PIECES:
        raise InputError(
            f"its {n_blocks:,} blocks and {n_batches:,} batches would be too many tasks for Dask. "
            + remedy
        )


class _TooLargeError(Exception):
    """More was written than is allowed."""


class _Measured:
    """A file that only counts what is written into it."""

    def __init__(self, most: int) -> None:
        self._left = most

    def write(self, content: Any) -> None:
        self._left -= memoryview(content).nbytes
        if self._left < 0:
            raise _TooLargeError


def _obstacle_of_graph(array: Any) -> str:
    """Say why a Dask array cannot be sent to workers as what is to be computed; "" if it can."""
    import cloudpickle

    measured = _Measured(_MOST_BYTES_OF_GRAPH)
    pickler = cloudpickle.Pickler(
        measured, protocol=5, buffer_callback=lambda buffer: measured.write(buffer.raw())
    )
    try:
        pickler.dump(dict(array.__dask_graph__()))
    except _TooLargeError:
        return "its values are in this process."
    except Exception as error:  # noqa: BLE001 (what objects raise that cannot be sent)
        return f"what it is computed from cannot be sent ({type(error).__name__}: {error})."
    return ""


@contextmanager
def _computing(array: Any, client: Any) -> Iterator[None]:
    """Have a Dask array computed where it can be: by workers that hold it, or else here."""
    if array is None:
        yield
        return
    import dask

    is_there = require_distributed().futures_of(array)
    with dask.config.set(scheduler=client if is_there else "threads"):
        yield


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
