"""Arrays in a temporary file, and arrays that grow.

The files lie in the system's temporary directory and have no name: they vanish with the process,
whatever ends it.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from numpy.typing import DTypeLike, NDArray

    Array: TypeAlias = "NDArray[Any] | SpilledArray"

__all__ = ["ArrayFile", "GrowingArray", "SpilledArray", "holds"]


class ArrayFile:
    """A temporary file without a name that holds arrays.

    Several threads may read and write it. It is closed with the last of its arrays.

    Attributes
    ----------
    n_bytes
        Size of its arrays.

    Raises
    ------
    OutputError
        The temporary directory cannot be written to; `append` and what writes to its arrays raise
        it, too, where the directory is full.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.n_bytes = 0
        try:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (as long as its arrays)
        except OSError as error:
            raise _no_room(error) from error
        weakref.finalize(self, self._file.close)

    def append(self, array: NDArray[Any]) -> SpilledArray:
        """Write an array, shape (n,)."""
        spilled = self.reserve(len(array), array.dtype)
        spilled[: len(array)] = array
        return spilled

    def reserve(self, size: int, dtype: DTypeLike) -> SpilledArray:
        """Set room aside for an array of shape (size,), to be written later."""
        spilled = SpilledArray(self, self.n_bytes, np.dtype(dtype))
        self.n_bytes += size * spilled.dtype.itemsize
        return spilled

    def whole(self, dtype: DTypeLike) -> SpilledArray:
        """Give all arrays of the file as one, where they are of this type."""
        return SpilledArray(self, 0, np.dtype(dtype))

    def write(self, position: int, array: NDArray[Any]) -> None:
        """Write an array at a position, in bytes."""
        view = np.ascontiguousarray(array).view(np.uint8).data
        with self._lock:
            try:
                self._file.seek(position)
                while view:
                    view = view[self._file.write(view) :]
            except OSError as error:
                raise _no_room(error) from error

    def read(self, runs: Iterable[tuple[int, int]], array: NDArray[Any]) -> None:
        """Fill an array with runs of bytes, one after the other, given by position and size."""
        view = array.view(np.uint8).data
        with self._lock:
            for position, size in runs:
                self._file.seek(position)
                run, view = view[:size], view[size:]
                while run:
                    n_bytes = self._file.readinto(run)
                    if not n_bytes:
                        raise OSError("the temporary file is shorter than what was written to it")
                    run = run[n_bytes:]

    def read_ahead(self, position: int, n_bytes: int) -> None:
        """Have the system fetch some bytes from the disk, where it can be told to."""
        if hasattr(os, "posix_fadvise"):  # not on macOS or Windows
            with suppress(OSError):  # it is no more than advice
                os.posix_fadvise(self._file.fileno(), position, n_bytes, os.POSIX_FADV_WILLNEED)


@dataclass(frozen=True, eq=False)
class SpilledArray:
    """An array in a file, shape (n,): slices are read from it, and written to it."""

    _file: ArrayFile
    _position: int
    dtype: np.dtype[Any]

    def __getitem__(self, where: slice) -> NDArray[Any]:
        return self.joined([(where.start, where.stop)], where.stop - where.start)

    def joined(self, runs: Iterable[tuple[int, int]], size: int) -> NDArray[Any]:
        """Give several slices, by start and stop, one after the other; `size` numbers together."""
        array = np.empty(size, self.dtype)
        first, step = self._position, self.dtype.itemsize
        self._file.read(
            ((first + start * step, (stop - start) * step) for start, stop in runs), array
        )
        return array

    def read_ahead(self, start: int, stop: int) -> None:
        """Have the system fetch a slice from the disk, where it can be told to."""
        size = self.dtype.itemsize
        self._file.read_ahead(self._position + start * size, (stop - start) * size)

    def __setitem__(self, where: slice, array: NDArray[Any]) -> None:
        if len(array):
            start = where.start or 0
            self._file.write(
                self._position + start * self.dtype.itemsize, array.astype(self.dtype, copy=False)
            )


class GrowingArray:
    """An array that grows at its end, of the first of some types that holds all its numbers.

    A list of small arrays would cost more: freed, they stay in the allocator's heap, and joining
    them takes a copy. Large arrays grow by mapping memory pages, which copies no bytes.

    Parameters
    ----------
    types
        Each holds all numbers of the one before. The last is not checked: it must hold all numbers.
    usual
        How many numbers there will usually be, if there are many.
    """

    def __init__(self, *types: DTypeLike, usual: int = 0) -> None:
        self._all_types = self._types = types
        self._usual = usual
        self._room: NDArray[Any] = np.empty(0, types[0])
        self._size = 0

    @property
    def array(self) -> NDArray[Any]:
        """The numbers so far."""
        return self._room[: self._size]

    def append(self, numbers: NDArray[Any]) -> None:
        """Add numbers, shape (n,)."""
        if not len(numbers):
            return
        while len(self._types) > 1 and not holds(self._types[0], numbers):
            self._types = self._types[1:]
        size = self._size + len(numbers)
        if size > len(self._room) or self._room.dtype != self._types[0]:
            # Of memory that nothing is written to, the system takes none.
            n = self._usual if self._usual // 8 < size <= self._usual else size + size // 8
            room = np.empty(n, self._types[0])
            room[: self._size] = self.array
            self._room = room
        self._room[self._size : size] = numbers
        self._size = size

    def clear(self) -> None:
        """Start again, with no numbers and the first type."""
        self._types = self._all_types
        self._room, self._size = np.empty(0, self._types[0]), 0


def holds(kind: DTypeLike, numbers: NDArray[Any]) -> bool:
    """Say whether a type holds some numbers exactly."""
    kind = np.dtype(kind)
    if numbers.dtype == kind:
        return True
    if kind.kind in "iu" and numbers.dtype.kind in "iu":
        bounds = np.iinfo(kind)
        return bool(bounds.min <= numbers.min() and numbers.max() <= bounds.max)
    with np.errstate(over="ignore", invalid="ignore"):
        return bool((numbers.astype(kind) == numbers).all())


def _no_room(error: OSError) -> OutputError:
    return OutputError(
        f"{tempfile.gettempdir()}: the values do not fit the memory set aside for them, and cannot "
        f"be kept in this temporary directory ({error.strerror}). Set TMPDIR to one with more "
        "room, or raise --max-memory."
    )
