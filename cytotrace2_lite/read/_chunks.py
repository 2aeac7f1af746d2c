"""Chunks that are too large for HDF5's own cache, and those of Zarr, which has none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.system.machine import available_memory
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["ChunkKept", "kept", "refuse_large_chunks"]

_N_VALUES = 1 << 18  # of small chunks that are kept together
_IN_CACHE = 1 << 20  # bytes of a chunk that HDF5 keeps itself
_WORTH_A_CHECK = 1 << 25
# HDF5 decompresses a chunk into memory of its own before it gives a copy of it.
_COPIES = 2


class ChunkKept:
    """A dataset of one dimension, of which the chunk that was read last is kept.

    Otherwise, a large chunk would be decompressed anew for each part of it that is read.

    Parameters
    ----------
    dataset
        The dataset, in chunks.
    n_chunks
        How many chunks are read, and kept, together.
    """

    def __init__(self, dataset: Any, n_chunks: int = 1) -> None:
        self._dataset = dataset
        self.shape = dataset.shape
        self.dtype = dataset.dtype
        self._length = dataset.chunks[0] * n_chunks
        self._number = -1
        self._values: NDArray[Any] = np.empty(0, dataset.dtype)

    def __getitem__(self, where: slice) -> NDArray[Any]:
        found = []
        start = where.start
        while start < where.stop:
            number = start // self._length
            first = number * self._length
            stop = min(where.stop, first + self._length)
            if number != self._number:
                self._values = np.empty(0, self.dtype)  # dropped before the next one is read
                self._values = self._dataset[first : first + self._length]
                self._number = number
            found.append(self._values[start - first : stop - first])
            start = stop
        return found[0] if len(found) == 1 else np.concatenate(found or [self._values[:0]])


def kept(dataset: Any) -> Any:
    """Give a dataset of one dimension, so that none of its chunks is decompressed again and again.

    Parameters
    ----------
    dataset
        The dataset.

    Returns
    -------
    h5py.Dataset or ChunkKept
        Itself, if its chunks are small or not compressed.
    """
    if hasattr(dataset, "bytes_of_chunk"):  # of a Zarr store, which itself keeps nothing
        return ChunkKept(dataset, max(1, _N_VALUES // max(1, dataset.chunks[0])))
    return ChunkKept(dataset) if _bytes_of_chunk(dataset) > _IN_CACHE else dataset


def _bytes_of_chunk(dataset: Any) -> int:
    """Size of a compressed chunk in memory; 0 without compression."""
    if hasattr(dataset, "bytes_of_chunk"):
        return int(dataset.bytes_of_chunk)
    if dataset.chunks is None or not dataset.id.get_create_plist().get_nfilters():
        return 0
    return int(math.prod(dataset.chunks) * dataset.dtype.itemsize)


def refuse_large_chunks(path: str, datasets: Sequence[Any], max_memory: int | None) -> None:
    """Raise if the chunks of datasets that are read together do not fit into memory.

    Parameters
    ----------
    path
        The file, for the message.
    datasets
        A chunk of each is held at a time.
    max_memory
        Bytes this process may take; None for what the machine has.

    Raises
    ------
    UsageError
        They do not fit.
    """
    sizes = [_bytes_of_chunk(dataset) for dataset in datasets]
    needed = _COPIES * sum(sizes)
    allowed = max_memory or available_memory()
    if needed <= _WORTH_A_CHECK or allowed is None or needed <= allowed:
        return
    largest = max(zip(sizes, datasets, strict=True), key=lambda pair: pair[0])
    remedy = "Write the file with smaller chunks"
    if max_memory is not None:
        remedy = f"Raise --max-memory (max_memory), or w{remedy[1:]}"
    raise UsageError(
        f"{path}: {shown(largest[1].name)} is compressed in chunks of {largest[0] / 1e6:,.0f} MB, "
        f"which can only be read whole. That takes {needed / 1e9:.2g} GB of memory, and only "
        f"{allowed / 1e9:.2g} GB may be taken. {remedy}."
    )
