"""Vectors and strings of R's serialization, taken from the stream in which they are decompressed.

Source: "Serialization Formats" in the manual "R Internals".
"""

from __future__ import annotations

import codecs
import re
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cytotrace2_lite.read._bytes import ByteStream

__all__ = [
    "BYTES_OF_OBJECT",
    "BYTES_OF_STRING",
    "CHARS",
    "NA_INTEGER",
    "SMALL",
    "RObject",
    "RVectors",
    "r_number",
]

NA_INTEGER = -(2**31)

#: Values that are kept of a vector that is passed over: shapes and classes have no more.
SMALL = 64
#: Memory that is counted for each object and string.
BYTES_OF_OBJECT = 200
BYTES_OF_STRING = 60
#: The code of a string.
CHARS = 9

_STEP = 1 << 20  # bytes at a time
_BYTES_AT_REST = 150_000_000  # what the program takes besides
_CACHED_STRINGS = 4096
_BYTES, _LATIN1, _UTF8 = 1 << 13, 1 << 14, 1 << 15  # of the flags of a string
_ENCODING = re.compile(
    r"UTF-?8|latin-?1|ISO-?8859-\d+|(CP|windows-)\d{3,5}|GBK|GB18030|BIG5|EUC-?(KR|JP)|ASCII",
    re.IGNORECASE,
)


class RObject:
    """An R object.

    Attributes
    ----------
    kind
        "NULL", "logical", "integer", "double", "complex", "raw", "character", "list", "pairlist",
        "symbol", "S4", "skipped" for a vector that was passed over, or what it is that was not
        kept: "closure", "environment", ...
    value
        An array of the vectors of numbers (a logical one of integers), a list of str or None of a
        character vector, a list of `RObject`, the name of a symbol; else None.
    attributes
        By name; slots of an S4 object.
    """

    __slots__ = ("attributes", "kind", "value")

    def __init__(
        self, kind: str, value: Any = None, attributes: dict[str, RObject] | None = None
    ) -> None:
        self.kind = kind
        self.value = value
        self.attributes = attributes or {}


class RVectors:
    """Numbers, strings and vectors, one after the other.

    Parameters
    ----------
    stream
        The file, from its beginning.
    max_memory
        Bytes that the process may take; None without a limit.
    """

    def __init__(self, stream: ByteStream, max_memory: int | None) -> None:
        self._stream = stream
        self._name = stream.name
        self._max_memory = max_memory
        self._data = b""
        self._at = 0
        self._held = 0
        self._n_passed = 0  # how many things around this place are not kept
        self._n_skipped = 0  # or only without their values
        self._encoding = "utf-8"

    def _head(self) -> None:
        """Read what comes before the object."""
        if self._bytes(2) != b"X\n":
            raise InputError(
                f"{self._name}: these R data are written as text or in the order of bytes of one "
                "machine. In R, saveRDS(object, file) writes them as they are read here."
            )
        version = self._int()
        self._bytes(8)  # versions of R
        if version not in {2, 3}:
            raise InputError(
                f"{self._name}: R data of version {version} are not read; 2 and 3 are."
            )
        if version == 3:
            encoding = self._bytes(self._length(1 << 10)).decode("ascii", "replace")
            if _ENCODING.fullmatch(encoding) and _is_known(encoding):
                self._encoding = encoding

    def _fill(self, size: int) -> None:
        """Have so many bytes at hand."""
        parts = [self._data[self._at :]]
        n_bytes = len(parts[0])
        while n_bytes < size:
            more = self._stream.read(_STEP)
            if not more:
                raise InputError(
                    f"{self._name}: the R data end in the middle of an object. Copy or download "
                    "the file again."
                )
            parts.append(more)
            n_bytes += len(more)
        self._data, self._at = b"".join(parts), 0

    def _bytes(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            if size > _STEP:
                self._take(size)
            self._fill(size)
        self._at += size
        return self._data[self._at - size : self._at]

    def _int(self) -> int:
        if len(self._data) - self._at < 4:
            self._fill(4)
        self._at += 4
        return int.from_bytes(self._data[self._at - 4 : self._at], "big", signed=True)

    def _length(self, most: int = 1 << 52) -> int:
        length = self._int()
        if length == -1:
            high, low = struct.unpack(">II", self._bytes(8))
            length = (high << 32) + low
        if not 0 <= length <= most:
            raise self._damaged()
        return length

    def _take(self, n_bytes: int) -> None:
        """Count memory before it is taken."""
        self._held += n_bytes
        if self._max_memory is not None and self._held + _BYTES_AT_REST > self._max_memory:
            raise self._too_large()

    def _too_large(self) -> UsageError:
        allowed = "" if self._max_memory is None else f" than the {self._max_memory / 1e9:.2g} GB"
        return UsageError(
            f"{self._name}: an R object is read whole, and this one takes more memory{allowed} "
            "that may be taken. Raise --max-memory (max_memory) if there is more, or, in R, write "
            "the counts as a 10x directory, which is read in parts."
        )

    def _damaged(self) -> InputError:
        return InputError(f"{self._name}: the R data are damaged. Copy or save the file again.")

    def _vector(self, kind: str, dtype: str) -> RObject:
        length = self._length()
        size = length * np.dtype(dtype).itemsize
        if self._n_passed or (self._n_skipped and length > SMALL):
            self._pass(size)
            return RObject("skipped", length)
        self._take(size + BYTES_OF_OBJECT)
        if size <= len(self._data) - self._at or size <= _STEP:
            raw = np.frombuffer(self._bytes(size), dtype)
            return RObject(kind, raw.astype(raw.dtype.newbyteorder("=")))
        values = np.empty(size, np.uint8)
        done = 0
        while done < size:
            if self._at == len(self._data):
                self._fill(1)
            part = self._data[self._at : self._at + min(size - done, _STEP)]
            values[done : done + len(part)] = np.frombuffer(part, np.uint8)
            self._at += len(part)
            done += len(part)
        found: NDArray[Any] = values.view(dtype)
        if not found.dtype.isnative:
            found = found.byteswap(inplace=True).view(found.dtype.newbyteorder("="))
        return RObject(kind, found)

    def _pass(self, size: int) -> None:
        while size > 0:
            if self._at == len(self._data):
                self._fill(1)
            step = min(size, len(self._data) - self._at)
            self._at += step
            size -= step

    def _strings(self) -> RObject:
        length = self._length()
        if self._n_passed or (self._n_skipped and length > SMALL):
            for _ in range(length):
                self._string_flags()
                self._pass(max(self._length_of_string(), 0))
            return RObject("skipped", length)
        self._take(BYTES_OF_OBJECT)
        found: list[str | None] = []
        seen: dict[tuple[bytes, int], str] = {}
        for _ in range(length):
            flags = self._string_flags()
            size = self._length_of_string()
            if size < 0:
                self._take(8)
                found.append(None)
                continue
            data = self._bytes(size)
            text = seen.get((data, flags))
            if text is None:
                self._take(BYTES_OF_STRING + size)
                text = self._decode(data, flags)
                if len(seen) < _CACHED_STRINGS:
                    seen[data, flags] = text
            else:
                self._take(8)
            found.append(text)
        return RObject("character", found)

    def _string_flags(self) -> int:
        flags = self._int()
        if flags & 0xFF != CHARS:
            raise self._damaged()
        return flags

    def _length_of_string(self) -> int:
        size = self._int()
        if size < -1:
            raise self._damaged()
        return size

    def _string(self, flags: int) -> str | None:
        size = self._length_of_string()
        if self._n_passed:
            self._pass(size)
            return None
        if size < 0:
            return None
        self._take(BYTES_OF_STRING + size)
        return self._decode(self._bytes(size), flags)

    def _decode(self, data: bytes, flags: int) -> str:
        # What is not valid is said where a name is used: most are not.
        if flags & _LATIN1:
            return data.decode("latin-1")
        encoding = "utf-8" if flags & (_UTF8 | _BYTES) else self._encoding
        return data.decode(encoding, "surrogateescape")


def _is_known(encoding: str) -> bool:
    try:
        codecs.lookup(encoding)
    except LookupError:
        return False
    return True


def r_number(value: float) -> str | None:
    """Write a number as R's `as.character` does, None for a missing one.

    Parameters
    ----------
    value
        An integer, of which the smallest of 32 bits is missing, or a double.
    """
    if isinstance(value, int):
        return None if value == NA_INTEGER else str(value)
    if value != value:
        return None
    if value in {float("inf"), float("-inf")}:
        return "Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0"
    digits, _, exponent = f"{abs(value):.14e}".partition("e")
    digits = digits.replace(".", "").rstrip("0") or "0"
    power, sign = int(exponent), "-" * (value < 0)
    n_after = max(len(digits) - power - 1, 0)
    fixed = f"{abs(value):.{n_after}f}"
    point = f".{digits[1:]}" if len(digits) > 1 else ""
    scientific = f"{digits[0]}{point}e{power:+03d}"
    return sign + (fixed if len(fixed) <= len(scientific) else scientific)
