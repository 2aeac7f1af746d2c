"""Some cells of a sparse matrix in a file, read by another process than the one that opened it."""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._blocks import block_of, compressed_steps
from cytotrace2_lite.read._chunks import kept
from cytotrace2_lite.read._file import InputFile
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
        The file, absolute.
    identity
        What `identity_of` gives for it.
    group
        Name of the matrix in the file.
    n_minor
        Number of columns (of CSC: rows).
    """

    path: str
    identity: tuple[int, int, str]
    group: str
    n_minor: int

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
        with ExitStack() as stack:
            file = stack.enter_context(InputFile(self.path))
            if identity_of(self.path) != self.identity:
                raise InputError(f"{self.path}: here is another file of this name.")
            group: Any = stack.enter_context(opened(file))
            for name in filter(None, self.group.split("/")):
                group = child(self.path, group, name)
            indices, data = (
                _Window(kept(child(self.path, group, name)), start, stop)
                for name in ("indices", "data")
            )
            names = _Unnamed()
            shape = (n_cells, self.n_minor)
            steps = compressed_steps(self.path, bounds - start, indices, data, shape)
            for (cell, column, value), _ in steps:
                yield block_of(self.path, names, names, column, cell, value)


class _Window:
    """A part of a dataset of one dimension."""

    def __init__(self, dataset: Any, start: int, stop: int) -> None:
        self._dataset = dataset
        self._start = start
        self.shape = (stop - start,)

    def __getitem__(self, where: slice) -> NDArray[Any]:
        found: NDArray[Any] = self._dataset[self._start + where.start : self._start + where.stop]
        return found


class _Unnamed(list[str]):
    """Names that are not known here."""

    def __getitem__(self, _: Any) -> Any:
        return "?"


def identity_of(path: str) -> tuple[int, int, str]:
    """Tell a file from others: size, time of its last change (ns), digest of its two ends.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        It cannot be read.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            digest = hashlib.sha256(file.read(_BYTES_AT_ENDS))
            file.seek(max(0, status.st_size - _BYTES_AT_ENDS))
            digest.update(file.read(_BYTES_AT_ENDS))
    except OSError as error:
        raise InputError(f"{path}: cannot be read here ({error.strerror}).") from error
    return status.st_size, status.st_mtime_ns, digest.hexdigest()
