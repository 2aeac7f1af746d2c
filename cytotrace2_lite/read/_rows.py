"""Some cells of a sparse matrix on disk, read by another process than the one that opened it."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._blocks import Unnamed, block_of, compressed_steps
from cytotrace2_lite.read._chunks import kept
from cytotrace2_lite.read._file import InputFile
from cytotrace2_lite.read._store import StoreDirectory, is_store_directory
from cytotrace2_lite.read.hdf5 import child, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from cytotrace2_lite.counts.expression import Block

__all__ = ["Rows", "identity_of"]

_BYTES_AT_ENDS = 1 << 20  # of a file, that have to be the same


class Rows(NamedTuple):
    """Where the cells of a matrix are; can be sent to other processes.

    Attributes
    ----------
    path
        The file, or the directory of a Zarr store; absolute.
    identity
        What `identity_of` gives for it.
    group
        Name of the matrix in it.
    n_minor
        Number of columns (of CSC: rows).
    is_zarr
        Whether it is a Zarr store, in a directory or a zip archive, and not an HDF5 file.
    """

    path: str
    identity: tuple[int, int, str]
    group: str
    n_minor: int
    is_zarr: bool = False

    def blocks(self, bounds: NDArray[np.int64]) -> Iterator[Block]:
        """Read the values of consecutive cells.

        Parameters
        ----------
        bounds
            Where the values of each of these cells begin in the file, and where those of the last
            one end; shape (n_cells + 1,).

        Yields
        ------
        Block
            Cells are counted from the first of these; genes are columns of the matrix.

        Raises
        ------
        InputError
            The file cannot be read here, is another one, or has a value that is not usable. The
            message does not name genes and cells.
        CytoTRACE2Error
            h5py is not installed.
        """
        n_cells, start, stop = len(bounds) - 1, int(bounds[0]), int(bounds[-1])
        with self._opened() as content:
            group: Any = content
            for name in filter(None, self.group.split("/")):
                group = child(self.path, group, name)
            indices, data = (
                _Window(kept(child(self.path, group, name)), start, stop)
                for name in ("indices", "data")
            )
            names = Unnamed()
            shape = (n_cells, self.n_minor)
            steps = compressed_steps(self.path, bounds - start, indices, data, shape)
            for (cell, column, value), _ in steps:
                yield block_of(self.path, names, names, column, cell, value)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """Open the file or store, if it is the same here."""
        if is_store_directory(self.path):
            from cytotrace2_lite.read.zarr import opened_store

            store = StoreDirectory(self.path)
            self._check(_identity_of_store(store))
            with opened_store(store) as content:
                yield content
            return
        with InputFile(self.path) as file:
            self._check(identity_of(self.path))
            if self.is_zarr:
                from cytotrace2_lite.read.zarr import opened_store

                with opened_store(file) as content:
                    yield content
            else:
                with opened(file) as content:
                    yield content

    def _check(self, found: tuple[int, int, str]) -> None:
        if found != self.identity:
            raise InputError(f"{self.path}: here is another file of this name.")


class _Window:
    """A part of a dataset of one dimension."""

    def __init__(self, dataset: Any, start: int, stop: int) -> None:
        self._dataset = dataset
        self._start = start
        self.shape = (stop - start,)

    def __getitem__(self, where: slice) -> NDArray[Any]:
        found: NDArray[Any] = self._dataset[self._start + where.start : self._start + where.stop]
        return found


def identity_of(path: str) -> tuple[int, int, str]:
    """Tell a file or the directory of a store from others.

    Parameters
    ----------
    path
        The file or directory.

    Returns
    -------
    tuple
        Size in bytes; time of the last change (ns); of a file the digest of its two ends, of a
        directory that of the names, sizes and times of all files in it.

    Raises
    ------
    InputError
        It cannot be read.
    """
    if is_store_directory(path):
        return _identity_of_store(StoreDirectory(path))
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            digest = hashlib.sha256(file.read(_BYTES_AT_ENDS))
            file.seek(max(0, status.st_size - _BYTES_AT_ENDS))
            digest.update(file.read(_BYTES_AT_ENDS))
    except OSError as error:
        raise InputError(f"{path}: cannot be read here ({error.strerror}).") from error
    return status.st_size, status.st_mtime_ns, digest.hexdigest()


def _identity_of_store(store: StoreDirectory) -> tuple[int, int, str]:
    times = store.times
    digest = hashlib.sha256()
    for name in sorted(times, key=os.fsencode):
        digest.update(os.fsencode(name) + f"\n{store.sizes[name]} {times[name]}\n".encode())
    return store.n_bytes, max(times.values(), default=0), digest.hexdigest()
