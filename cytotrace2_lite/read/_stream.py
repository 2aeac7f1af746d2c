"""The bytes of an input file: one pass, decompressed, and hashed as they lie on disk."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from cytotrace2_lite.errors import InputError

if TYPE_CHECKING:
    from io import BufferedReader

__all__ = ["ByteStream", "Source"]


@dataclass(frozen=True)
class Source:
    """What was read.

    Attributes
    ----------
    path
        The path as given.
    format
        "tsv" or "csv".
    compression
        "gzip", or None.
    n_bytes
        Size on disk.
    sha256
        Hex digest of the bytes on disk.
    """

    path: str
    format: str
    compression: str | None
    n_bytes: int
    sha256: str


class _HashedFile:
    """A binary file, as far as pyarrow asks for one, that hashes what is read from it."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self.n_read = 0
        self.sha256 = hashlib.sha256()

    @property
    def closed(self) -> bool:
        return self._file.closed

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.n_read += len(data)
        self.sha256.update(data)
        return data

    def close(self) -> None:
        self._file.close()


class ByteStream:
    """The content of a file, gunzipped where it starts like gzip, whatever its name.

    Parameters
    ----------
    path
        A file, or a pipe.

    Attributes
    ----------
    path
        The path as given.
    head
        The first bytes on disk.
    compression
        "gzip", or None.
    n_total
        Size on disk; 0 for a pipe.

    Raises
    ------
    InputError
        There is no such file, or it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        try:
            file = Path(path).open("rb")  # noqa: SIM115 (closed by `close`)
            self.head = file.peek(512)
            self.n_total = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            raise InputError(f"{self.path}: no such file. Check the path.") from None
        except IsADirectoryError:
            raise InputError(
                f"{self.path}: this is a directory. Give the path of a table."
            ) from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise self._unreadable(error) from None
        self._disk = _HashedFile(file)
        self.compression = "gzip" if self.head.startswith(b"\x1f\x8b") else None
        self._text = self._disk
        if self.compression:
            self._text = pa.CompressedInputStream(pa.PythonFile(self._disk, mode="r"), "gzip")

    @property
    def n_read(self) -> int:
        """Bytes read so far, of those on disk."""
        return self._disk.n_read

    def read(self, size: int) -> bytes:
        """Return the next bytes: at most `size`, none at the end.

        Raises
        ------
        InputError
            The file cannot be read further, or its gzip data are damaged.
        """
        try:
            return self._text.read(size)
        except OSError as error:
            if error.errno is None and self.compression:
                raise InputError(
                    f"{self.path}: the gzip data are damaged or cut short. "
                    "Copy or download the file again."
                ) from None
            raise self._unreadable(error) from None

    def source(self, format: str) -> Source:  # noqa: A002 (the field's name)
        """Describe the file, once it has been read to its end."""
        return Source(
            self.path, format, self.compression, self._disk.n_read, self._disk.sha256.hexdigest()
        )

    def close(self) -> None:
        """Close the file."""
        self._disk.close()

    def _unreadable(self, error: OSError | ValueError) -> InputError:
        reason = getattr(error, "strerror", None) or error
        return InputError(f"{self.path}: the file cannot be read ({reason}).")
