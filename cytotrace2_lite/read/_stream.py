"""The bytes of an input file: one pass, decompressed, and hashed as they lie on disk."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cytotrace2_lite.errors import InputError, UsageError

if TYPE_CHECKING:
    from typing import Any, BinaryIO

__all__ = ["ByteStream", "Companion", "Source", "StreamReader", "digest"]

_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
_START = 4096


@dataclass(frozen=True)
class Companion:
    """A file that names the axes of the one with the values.

    Attributes
    ----------
    path
        Where it is.
    n_bytes
        Size on disk.
    sha256
        Hex digest of the bytes on disk.
    """

    path: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """What was read.

    Attributes
    ----------
    format
        "tsv", "csv", "10x mtx", "10x h5", "h5ad", "parquet", "arrow"; of an object in memory its
        type.
    path
        The path as given, "-" for standard input, or the file with the values of a directory;
        None for an object in memory.
    compression
        "gzip", "bz2", "zstd", or None.
    n_bytes
        Size on disk; None for an object in memory.
    sha256
        Hex digest of the bytes on disk; None for an object in memory.
    matrix
        Which matrix of a file with several: "X", "raw.X", "layers['counts']", a genome; or None.
    other_matrices
        The others of these.
    orientation
        "genes x cells" or "cells x genes", as the values lie there.
    gene_names
        Where the names of the genes come from.
    duplicate_genes
        What was done with genes of one name: "error" (there were none), "first" or "sum".
    n_duplicates
        Genes left out or added to another for having its name.
    companions
        Files that name the axes.
    """

    format: str
    path: str | None = None
    compression: str | None = None
    n_bytes: int | None = None
    sha256: str | None = None
    matrix: str | None = None
    other_matrices: tuple[str, ...] = ()
    orientation: str = "genes x cells"
    gene_names: str = "first column"
    duplicate_genes: str = "error"
    n_duplicates: int = 0
    companions: tuple[Companion, ...] = ()

    def describe(self) -> str:
        """Say in a line what was read."""
        compressed = f" ({self.compression})" if self.compression else ""
        matrix = f", {self.matrix}" if self.matrix else ""
        others = f" (not {', '.join(self.other_matrices)})" if self.other_matrices else ""
        merged = {"sum": "added up", "first": "left out"}.get(self.duplicate_genes)
        noun = "gene" if self.n_duplicates == 1 else "genes"
        repeated = f", {self.n_duplicates:,} repeated {noun} {merged}" if self.n_duplicates else ""
        return (
            f"{self.format}{compressed}{matrix}{others}, {self.orientation}, "
            f"gene names from {self.gene_names}{repeated}"
        )

    def hint(self) -> str:
        """End a message on values that are no counts: which other matrices there are."""
        if not self.other_matrices:
            return ""
        others = ", ".join(self.other_matrices)
        return (
            f" It was {self.matrix}; there is also {others} (--layer, --use-raw; layer=, use_raw= "
            "in Python)."
        )


class _HashedFile:
    """A binary file, as far as pyarrow asks for one, that hashes what is read from it."""

    def __init__(self, file: BinaryIO) -> None:
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
    """The content of a file, decompressed where it starts like compressed data, whatever its name.

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
    compression
        "gzip", "bz2", "zstd", or None.
    n_total
        Size on disk; 0 for a pipe.
    is_file
        Whether it can be read from any position: it is neither a pipe nor standard input.
    start
        The first bytes of the decompressed content, up to 4,096.

    Raises
    ------
    InputError
        There is no such file, or it cannot be read.
    UsageError
        Standard input is a terminal.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.name = "standard input" if self.path == "-" else self.path
        try:
            if self.path == "-":
                if sys.stdin is not None and sys.stdin.isatty():
                    raise UsageError("'-' reads standard input, and nothing is piped into it.")
                file = open(0, "rb", closefd=False)  # noqa: SIM115 (no path)
            else:
                file = Path(path).open("rb")  # noqa: SIM115 (closed by `close`)
            head = file.peek(8)
            status = os.fstat(file.fileno())
        except FileNotFoundError:
            raise InputError(f"{self.name}: no such file. Check the path.") from None
        except IsADirectoryError:
            raise InputError(
                f"{self.name}: this is a directory. Give the path of a table."
            ) from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise self._unreadable(error) from None
        self.n_total = status.st_size
        self.is_file = self.path != "-" and stat.S_ISREG(status.st_mode)
        self._disk = _HashedFile(file)
        self.compression = next(
            (name for magic, name in _COMPRESSIONS.items() if head.startswith(magic)), None
        )
        self._text = self._disk
        if self.compression:
            import pyarrow as pa

            self._text = pa.CompressedInputStream(
                pa.PythonFile(self._disk, mode="r"), self.compression
            )
        self.start = b""
        try:
            while len(self.start) < _START and (more := self.read(_START - len(self.start))):
                self.start += more
        except BaseException:
            self.close()
            raise
        self._ahead = self.start

    _ahead = b""

    @property
    def n_read(self) -> int:
        """Bytes read so far, of those on disk."""
        return self._disk.n_read

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._disk.closed

    def read(self, size: int) -> bytes:
        """Return the next bytes: at most `size`, none at the end.

        Raises
        ------
        InputError
            The file cannot be read further, or its compressed data are damaged.
        """
        ahead, self._ahead = self._ahead[:size], self._ahead[size:]
        if len(ahead) == size:
            return ahead
        try:
            more = self._text.read(size - len(ahead))
        except OSError as error:
            if error.errno is None and self.compression:
                raise InputError(
                    f"{self.name}: the {self.compression} data are damaged or cut short. "
                    "Copy or download the file again."
                ) from None
            raise self._unreadable(error) from None
        return ahead + more if ahead else more

    def digest(self) -> tuple[int, str]:
        """Give size and SHA-256 of what was read of the file, once it has been read to its end."""
        return self._disk.n_read, self._disk.sha256.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._disk.close()

    def _unreadable(self, error: OSError | ValueError) -> InputError:
        reason = getattr(error, "strerror", None) or error
        return InputError(f"{self.name}: the file cannot be read ({reason}).")


class StreamReader:
    """What readers of one `ByteStream` have in common."""

    unit = "bytes"
    _stream: ByteStream

    @property
    def n_read(self) -> int:
        """Bytes read so far, of those on disk."""
        return self._stream.n_read

    @property
    def n_total(self) -> int:
        """Size of the file on disk; 0 for a pipe."""
        return self._stream.n_total

    def _source_of(self, file_format: str, **fields: Any) -> Source:
        n_bytes, sha256 = self._stream.digest()
        return Source(
            format=file_format,
            path=self._stream.path,
            compression=self._stream.compression,
            n_bytes=n_bytes,
            sha256=sha256,
            **fields,
        )


def digest(path: str) -> tuple[int, str]:
    """Give size and SHA-256 of a file that is read out of order.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    tuple
        Bytes, and the hex digest.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    sha256 = hashlib.sha256()
    size = 0
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (path is a str)
            while chunk := file.read(1 << 20):
                sha256.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read ({error.strerror}).") from None
    return size, sha256.hexdigest()
