"""The bytes of an input in one pass: decompressed, and hashed as they are on disk."""

from __future__ import annotations

import hashlib
import lzma
import re
from typing import IO, TYPE_CHECKING, Any

from cytotrace2_lite.errors import InputError

if TYPE_CHECKING:
    from cytotrace2_lite.read._file import InputFile

__all__ = ["ByteStream"]

_COMPRESSIONS = {
    "gzip": re.compile(rb"\x1f\x8b\x08"),
    "bz2": re.compile(rb"BZh[1-9](\x31\x41\x59\x26\x53\x59|\x17\x72\x45\x38\x50\x90)"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
}
_LONGEST_MAGIC = 10
_START = 4096
_XZ_STEP = 1 << 18
_XZ_MEMORY = 1 << 30  # for its dictionary, of which xz itself makes 64 MiB at most


class _HashedFile:
    """A binary file, as far as pyarrow needs one, that hashes what is read from it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.head = file.read(_LONGEST_MAGIC)
        self._ahead = self.head
        self.n_read = 0
        self.sha256 = hashlib.sha256()

    @property
    def closed(self) -> bool:
        return self._file.closed

    def read(self, size: int) -> bytes:
        ahead, self._ahead = self._ahead[:size], self._ahead[size:]
        data = ahead + self._file.read(size - len(ahead)) if ahead else self._file.read(size)
        self.n_read += len(data)
        self.sha256.update(data)
        return data

    def close(self) -> None:
        self._file.close()


class _Xz:
    """Data that xz has compressed, which pyarrow does not decompress."""

    def __init__(self, file: _HashedFile) -> None:
        self._file = file
        self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        self._has_begun = False

    def read(self, size: int) -> bytes:
        """Return the next bytes: at most `size`, none at the end."""
        while True:
            if self._decompressor.eof:  # another stream may follow, or zeros
                rest = self._decompressor.unused_data or self._file.read(_START)
                if not rest.strip(b"\0"):
                    if not rest:
                        return b""
                    rest = self._file.read(_START)
                    if not rest:
                        return b""
                self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
            elif self._decompressor.needs_input:
                rest = self._file.read(_XZ_STEP)
                if not rest:
                    raise OSError("the data end too early")
            else:
                rest = b""
            try:
                data = self._decompressor.decompress(rest, size)
            except lzma.LZMAError as error:
                raise OSError(str(error)) from None
            if data:
                return data


class ByteStream:
    """The content of a file, decompressed if it begins like compressed data, whatever its name.

    Parameters
    ----------
    file
        The file, which is read from its beginning. It is not closed with this.

    Attributes
    ----------
    file
        As given.
    name
        How messages name it.
    compression
        "gzip", "bz2", "zstd", "xz", or None.
    start
        The first bytes of the decompressed content, up to 4,096.

    Raises
    ------
    InputError
        It cannot be read.
    """

    def __init__(self, file: InputFile) -> None:
        self.file = file
        self.name = file.name
        try:
            self._disk = _HashedFile(file.from_start())
        except OSError as error:
            raise file.unreadable(error) from None
        self.compression = next(
            (name for name, magic in _COMPRESSIONS.items() if magic.match(self._disk.head)), None
        )
        self._text: Any = self._disk
        if self.compression == "xz":
            self._text = _Xz(self._disk)
        elif self.compression:
            import pyarrow as pa

            self._text = pa.CompressedInputStream(
                pa.PythonFile(self._disk, mode="r"), self.compression
            )
        self._ahead = b""
        self.start = b""
        while len(self.start) < _START and (more := self.read(_START - len(self.start))):
            self.start += more
        self._ahead = self.start

    @property
    def n_read(self) -> int:
        """Bytes read so far, of those on disk."""
        return self._disk.n_read

    def read(self, size: int) -> bytes:
        """Return the next bytes: at most `size`, none at the end.

        Parameters
        ----------
        size
            Number of bytes.

        Raises
        ------
        InputError
            The file cannot be read further, or its compressed data are damaged.
        """
        ahead, self._ahead = self._ahead[:size], self._ahead[size:]
        if len(ahead) == size:
            return ahead
        try:
            more: bytes = self._text.read(size - len(ahead))
        except OSError as error:
            if error.errno is None and self.compression:
                raise InputError(
                    f"{self.name}: the {self.compression} data are damaged or cut short. "
                    "Copy or download the file again."
                ) from None
            raise self.file.unreadable(error) from None
        return ahead + more if ahead else more

    def digest(self) -> tuple[int, str]:
        """Give size and SHA-256 of what was read of the file, once it has been read to its end."""
        return self._disk.n_read, self._disk.sha256.hexdigest()
