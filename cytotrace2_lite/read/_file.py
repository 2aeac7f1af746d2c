"""A file that is opened once. Nothing of it is used if it changes while it is read."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from cytotrace2_lite.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from typing_extensions import Buffer, Self

__all__ = ["InputFile"]

_STEP = 1 << 20  # bytes at a time


class InputFile:
    """A file, a pipe or standard input, opened once.

    All that is taken from the input comes from this opening: its format, names, values and labels,
    its digest, and the bytes of a copy. So they belong together, even if the path names another
    file meanwhile.

    Parameters
    ----------
    path
        A file, a pipe, or "-" for standard input.

    Attributes
    ----------
    path
        The path as given.
    name
        How messages name it.
    n_bytes
        Size on disk when it was opened; 0 for a pipe.
    is_file
        Whether it is a file on disk, given by its path, which can be read at any position.

    Raises
    ------
    InputError
        There is no such file, or it cannot be opened.
    UsageError
        Standard input is a terminal.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        is_standard_input = self.path == "-"
        self.name = "standard input" if is_standard_input else self.path
        if is_standard_input and sys.stdin is not None and sys.stdin.isatty():
            raise UsageError("'-' reads standard input, and nothing is piped into it.")
        try:
            self._file = io.FileIO(0, closefd=False) if is_standard_input else io.FileIO(self.path)
            status = os.fstat(self._file.fileno())
        except FileNotFoundError:
            raise InputError(f"{self.name}: no such file. Check the path.") from None
        except IsADirectoryError:
            raise InputError(
                f"{self.name}: this is a directory. Give the path of a table."
            ) from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise self.unreadable(error) from None
        is_regular = stat.S_ISREG(status.st_mode)
        self.n_bytes = status.st_size
        self.is_file = is_regular and not is_standard_input
        self._identity = _identity(status) if is_regular else None
        self._path_is_watched = self._identity is not None and self._identity_of_path() == (
            self._identity
        )
        self._beside: list[InputFile] = []
        self._digesting: Future[tuple[int, str]] | None = None
        self._is_closing = False
        self._sha256: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it, and the files beside it."""
        self._is_closing = True
        if self._digesting is not None:
            wait([self._digesting])
        self._file.close()
        for file in self._beside:
            file.close()

    def fileno(self) -> int:
        """Give its descriptor."""
        return self._file.fileno()

    def beside(self, path: str) -> InputFile:
        """Open a file that belongs to this one.

        Parameters
        ----------
        path
            The other file.

        Returns
        -------
        InputFile
            Watched and closed together with this one.

        Raises
        ------
        InputError
            It cannot be opened.
        """
        file = InputFile(path)
        self._beside.append(file)
        return file

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Raise if the file, or a file beside it, is not what it was when it was opened.

        This is checked before and after the body of the `with` statement. An error in the body may
        come from the change, whatever it says. So the change is reported in its place.

        Raises
        ------
        InputError
            It was changed, replaced or removed.
        """
        self._check()
        try:
            yield
        except Exception:
            self._check()
            raise
        self._check()

    def _check(self) -> None:
        for file in (self, *self._beside):
            if file._is_changed():
                raise file._changed() from None

    def _is_changed(self) -> bool:
        if self._identity is None:
            return False
        if _identity(os.fstat(self._file.fileno())) != self._identity:
            return True
        return self._path_is_watched and self._identity_of_path() != self._identity

    def _identity_of_path(self) -> tuple[int, ...] | None:
        """Identity of the file that the path names now; None if there is none."""
        if sys.platform == "win32":  # where an open file cannot be replaced
            return self._identity
        try:
            return _identity(os.stat(self.path))  # noqa: PTH116 (a str, as messages name it)
        except OSError:
            return None

    def _changed(self) -> InputError:
        return InputError(
            f"{self.name}: the file changed while it was read. Start again when it is complete."
        )

    def unreadable(self, error: OSError | ValueError) -> InputError:
        """Make an error of what the system says.

        Parameters
        ----------
        error
            What was raised when the file was opened or read.
        """
        reason = getattr(error, "strerror", None) or error
        return InputError(f"{self.name}: the file cannot be read ({reason}).")

    def from_start(self) -> IO[bytes]:
        """Give the content to be read once from its beginning; of a pipe, only the first time."""
        if self.is_file:
            self._file.seek(0)
        return open(self._file.fileno(), "rb", closefd=False)

    def anywhere(self) -> AnyPosition:
        """Give the content to be read at any position. It must be a file on disk."""
        return AnyPosition(self._file.fileno(), closefd=False)

    def bytes_at(self, position: int, size: int) -> bytes:
        """Read some bytes of a file on disk, which is then read on where it was.

        Parameters
        ----------
        position
            Of the first byte.
        size
            How many; the file may have fewer.

        Raises
        ------
        InputError
            They cannot be read.
        """
        try:
            position_before = self._file.tell()
            self._file.seek(position)
            data = self._file.read(size)
            self._file.seek(position_before)
        except OSError as error:
            raise self.unreadable(error) from None
        return data

    def digest_ahead(self) -> None:
        """Begin to take the digest in a thread, while the file is read at other positions."""
        # On Windows, reading anywhere moves the only position.
        if self.is_file and self._digesting is None and sys.platform != "win32":
            pool = ThreadPoolExecutor(1, "digest")
            self._digesting = pool.submit(self._digest_of, self._content_at_positions())
            pool.shutdown(wait=False)

    def digest(self) -> tuple[int, str]:
        """Give size and SHA-256 of a file on disk.

        Returns
        -------
        tuple
            Bytes, and the hex digest.

        Raises
        ------
        InputError
            The file cannot be read.
        """
        if self._digesting is not None:
            return self._digesting.result()
        return self._digest_of(self._content())

    def _digest_of(self, content: Iterable[bytes]) -> tuple[int, str]:
        sha256 = hashlib.sha256()
        size = 0
        for data in content:
            sha256.update(data)
            size += len(data)
        self._sha256 = sha256.hexdigest()
        return size, self._sha256

    def copy_to(self, target: str | os.PathLike[str]) -> None:
        """Write all bytes of a file on disk into another one.

        Parameters
        ----------
        target
            The other file, which is replaced.

        Raises
        ------
        InputError
            The file cannot be read, or is not what it was when it was opened, or when its digest
            was taken.
        OSError
            The copy cannot be written.
        """
        sha256 = hashlib.sha256()
        with self.unchanged():
            with open(target, "wb", buffering=0) as copy:  # noqa: PTH123 (target may be a str)
                for data in self._content():
                    sha256.update(data)
                    _write(copy, data)
            # A change may be too fast for the clock of the file system.
            if self._sha256 not in {None, sha256.hexdigest()}:
                raise self._changed()

    def _content(self) -> Iterator[bytes]:
        self._file.seek(0)
        while True:
            try:
                data = self._file.read(_STEP)
            except OSError as error:
                raise self.unreadable(error) from None
            if not data:
                return
            yield data

    def _content_at_positions(self) -> Iterator[bytes]:
        """Give the content, but leave the position of the file where it is."""
        position = 0
        while not self._is_closing:
            try:
                data = os.pread(self._file.fileno(), _STEP, position)
            except OSError as error:
                raise self.unreadable(error) from None
            if not data:
                return
            position += len(data)
            yield data


class AnyPosition(io.FileIO):
    """A file on disk, for libraries that read at positions of their choice.

    It gives as many bytes as are asked for, if the file has them: the system may give fewer at a
    time. It is made with `closefd=False`, so that closing it does not close the file.
    """

    def read(self, size: int | None = -1) -> bytes:
        """Read some bytes, or all that follow."""
        if size is None or size < 0:
            return super().readall()
        data = super().read(size)
        while len(data) < size and (more := super().read(size - len(data))):
            data += more
        return data

    def readinto(self, buffer: Buffer) -> int:
        """Fill a buffer; what lies beyond the end of the file is 0, as HDF5 has it."""
        view = memoryview(buffer).cast("B")
        n_read = super().readinto(view)
        while n_read < len(view) and (more := super().readinto(view[n_read:])):
            n_read += more
        view[n_read:] = bytes(len(view) - n_read)
        return n_read


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _write(file: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
