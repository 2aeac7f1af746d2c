"""R's own serialization, as `saveRDS` and `save` write it, read in one pass. Nothing is executed.

Source: "Serialization Formats" in the manual "R Internals", and what R 4.2 writes.

No library is used for it: none of rdata, rds2py and pyreadr reads all real files, or survives all
made-up ones. Here the data come from the stream in which they are decompressed, parts that are not
needed are passed over, memory is counted before it is taken, and nothing depends on how deep a file
is nested. Code (closures, promises, calls, bytecode), environments and external pointers are passed
over, too: of them, only the kind is kept.
"""

from __future__ import annotations

import re
import struct
from types import GeneratorType
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Generator

    from numpy.typing import NDArray

    from cytotrace2_lite.read._bytes import ByteStream

    Read = Generator[Any, Any, "RObject"]

__all__ = ["NA_INTEGER", "RObject", "RStream", "r_number"]

NA_INTEGER = -(2**31)

_STEP = 1 << 20  # bytes at a time
_DEEPEST = 10_000  # R itself stops at 5,000 nested expressions
_SMALL = 64  # values that are kept of what is passed over: shapes, classes
_BYTES_OF_OBJECT = 200
_BYTES_OF_STRING = 60
_BYTES_AT_REST = 150_000_000  # what the program takes besides
_CACHED_STRINGS = 4096

_NIL, _GLOBAL, _UNBOUND, _MISSING, _BASE_NAMESPACE = 254, 253, 252, 251, 250
_BASE, _EMPTY = 241, 242
_REFERENCE = 255
_CHARS = 9
_LISTS = {2: "pairlist", 3: "closure", 5: "promise", 6: "call", 17: "dots"}
_VECTORS = {
    10: ("logical", ">i4"),
    13: ("integer", ">i4"),
    14: ("double", ">f8"),
    15: ("complex", ">c16"),
    24: ("raw", "u1"),
}
_BYTECODE, _CODE_REFERENCE, _CODE_DEFINITION, _CALL_WITH, _LIST_WITH = 21, 243, 244, 240, 239
_HAS_ATTRIBUTES, _HAS_TAG = 1 << 9, 1 << 10
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


_NULL = RObject("NULL")


class RStream:
    """The object in a file of R.

    Parameters
    ----------
    stream
        The file, from its beginning.
    max_memory
        Bytes that the process may take; None without a limit.
    skip
        Takes the names of the slots on the way to a slot, and of those before it; tells whether its
        values are not needed.

    Attributes
    ----------
    is_workspace
        Whether it has objects with names, as `save` writes them.
    """

    def __init__(
        self,
        stream: ByteStream,
        max_memory: int | None,
        skip: Callable[[tuple[str, ...], Container[str]], bool],
    ) -> None:
        self._stream = stream
        self._name = stream.name
        self._max_memory = max_memory
        self._skip = skip
        self._data = b""
        self._at = 0
        self._held = 0
        self._slots: tuple[str, ...] = ()
        self._n_passed = 0  # how many things around this place are not kept
        self._n_skipped = 0  # or only without their values
        self._references: list[RObject] = []
        self._codes: list[RObject] = []
        self._encoding = "utf-8"
        self.is_workspace = stream.start.startswith(b"RD")

    def read(self) -> RObject:
        """Read the file to its end.

        Returns
        -------
        RObject
            The object; of a workspace a pairlist of the objects, by name in its attributes.

        Raises
        ------
        InputError
            The file is damaged, or written in a way that is not read.
        UsageError
            It takes too much memory.
        """
        try:
            return self._read()
        except MemoryError:
            raise self._too_large() from None

    def _read(self) -> RObject:
        if self.is_workspace:
            self._bytes(5)
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
            if _ENCODING.fullmatch(encoding):
                self._encoding = encoding
        found = self._run(self._item())
        while self._stream.read(_STEP):  # for the digest
            pass
        return found

    # The bytes.

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

    # The objects. `_readers` has the method of a kind. What has parts is a generator that asks for them, one after the other: so the
    # depth of a file is that of a list, not of Python's calls.

    def _run(self, first: Any) -> RObject:
        stack: list[Any] = []
        value: Any = first
        while True:
            if type(value) is GeneratorType:
                stack.append(value)
                if len(stack) > _DEEPEST:
                    raise InputError(
                        f"{self._name}: the R data are nested more than {_DEEPEST:,} levels deep. "
                        "In R, save the counts alone."
                    )
                value = None
            elif not stack:
                return value  # type: ignore[no-any-return]
            try:
                value = stack[-1].send(value)
            except StopIteration as done:
                stack.pop()
                value = done.value

    def _item(self, flags: int | None = None) -> Any:
        """Begin to read an object: give it, or a generator that gives it."""
        if flags is None:
            flags = self._int()
        kind = flags & 0xFF
        if kind in _VECTORS:
            vector = self._vector(*_VECTORS[kind])
            return self._with_attributes(vector) if flags & _HAS_ATTRIBUTES else vector
        if kind == 16:
            strings = self._strings()
            return self._with_attributes(strings) if flags & _HAS_ATTRIBUTES else strings
        if kind in {_NIL, _MISSING, _UNBOUND}:
            return _NULL
        if kind in {_GLOBAL, _BASE, _EMPTY, _BASE_NAMESPACE}:
            return RObject("environment")
        if kind == _REFERENCE:
            return self._reference(flags >> 8 & 0xFFFFFF or self._int())
        if kind == _CHARS:
            text = RObject("characters", self._string(flags))
            return self._with_attributes(text) if flags & _HAS_ATTRIBUTES else text
        reader = self._readers.get(kind)
        if reader is None:
            raise self._damaged()
        return reader(self, flags)

    def _reference(self, number: int) -> RObject:
        if not 0 < number <= len(self._references):
            raise self._damaged()
        return self._references[number - 1]

    def _refer(self, kind: str, value: Any = None) -> RObject:
        self._take(_BYTES_OF_OBJECT)
        found = RObject(kind, value)
        self._references.append(found)
        return found

    def _with_attributes(self, found: RObject) -> Read:
        attributes = yield self._item()
        if not self._n_passed:
            found.attributes = attributes.attributes
        return found

    def _vector(self, kind: str, dtype: str) -> RObject:
        length = self._length()
        size = length * np.dtype(dtype).itemsize
        if self._n_passed or (self._n_skipped and length > _SMALL):
            self._pass(size)
            return RObject("skipped", length)
        self._take(size + _BYTES_OF_OBJECT)
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
        if self._n_passed or (self._n_skipped and length > _SMALL):
            for _ in range(length):
                self._string_flags()
                self._pass(max(self._length_of_string(), 0))
            return RObject("skipped", length)
        self._take(_BYTES_OF_OBJECT)
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
                self._take(_BYTES_OF_STRING + size)
                text = self._decode(data, flags)
                if len(seen) < _CACHED_STRINGS:
                    seen[data, flags] = text
            else:
                self._take(8)
            found.append(text)
        return RObject("character", found)

    def _string_flags(self) -> int:
        flags = self._int()
        if flags & 0xFF != _CHARS:
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
        self._take(_BYTES_OF_STRING + size)
        return self._decode(self._bytes(size), flags)

    def _decode(self, data: bytes, flags: int) -> str:
        # What is not valid is said where a name is used: most are not.
        if flags & _LATIN1:
            return data.decode("latin-1")
        encoding = "utf-8" if flags & (_UTF8 | _BYTES) else self._encoding
        return data.decode(encoding, "surrogateescape")

    def _list(self, flags: int) -> Read:
        length = self._length()
        elements: list[RObject] = []
        self._take(_BYTES_OF_OBJECT)
        for _ in range(length):
            element = yield self._item()
            if not self._n_passed:
                self._take(_BYTES_OF_OBJECT if element is not _NULL else 8)
                elements.append(element)
        found = RObject("list", elements)
        return (yield self._with_attributes(found)) if flags & _HAS_ATTRIBUTES else found

    def _pairs(self, flags: int) -> Read:
        """Read a pairlist; of a list of code nothing is kept."""
        kind = _LISTS[flags & 0xFF]
        is_code = kind != "pairlist"
        self._n_passed += is_code
        named: dict[str, RObject] = {}
        values: list[RObject] = []
        while True:
            if flags & _HAS_ATTRIBUTES:
                yield self._item()
            tag = (yield self._item()) if flags & _HAS_TAG else _NULL
            before, skipped = self._slots, self._n_skipped
            if tag.kind == "symbol" and not self._n_passed:
                self._slots = (*before, tag.value)
                self._n_skipped += self._skip(self._slots, named)
            value = yield self._item()
            self._slots, self._n_skipped = before, skipped
            if not self._n_passed:
                self._take(_BYTES_OF_OBJECT)
                if tag.kind == "symbol":
                    named[tag.value] = value
                values.append(value)
            flags = self._int()
            if flags & 0xFF not in _LISTS:
                yield self._item(flags)
                break
        self._n_passed -= is_code
        return RObject(kind) if is_code else RObject(kind, values, named)

    def _symbol(self, flags: int) -> RObject:
        passed, self._n_passed = self._n_passed, 0  # it may be referred to from elsewhere
        flags = self._string_flags()
        text = self._string(flags)
        self._n_passed = passed
        return self._refer("symbol", text or "")

    def _environment(self, _: int) -> Read:
        self._int()  # whether it is locked
        found = self._refer("environment")
        self._n_passed += 1
        for _i in range(4):  # the environment around it, its frame, hash table and attributes
            yield self._item()
        self._n_passed -= 1
        return found

    def _pointer(self, flags: int) -> Read:
        found = self._refer("external pointer")
        self._n_passed += 1
        for _ in range(2 + bool(flags & _HAS_ATTRIBUTES)):
            yield self._item()
        self._n_passed -= 1
        return found

    def _weak(self, flags: int) -> Read:
        found = self._refer("weak reference")
        if flags & _HAS_ATTRIBUTES:
            self._n_passed += 1
            yield self._item()
            self._n_passed -= 1
        return found

    def _builtin(self, _: int) -> RObject:
        self._pass(self._length(1 << 10))
        return RObject("function")

    def _names(self, _: int) -> RObject:
        """Read the name of a namespace or of a package."""
        if self._int():
            raise self._damaged()
        self._n_passed += 1
        self._strings()
        self._n_passed -= 1
        return self._refer("environment")

    def _s4(self, flags: int) -> Any:
        self._take(_BYTES_OF_OBJECT)
        found = RObject("S4")
        return self._with_attributes(found) if flags & _HAS_ATTRIBUTES else found

    def _alternative(self, _: int) -> Read:
        """Read a vector that R keeps in another form: a sequence, numbers as text, ..."""
        info = yield self._item()
        state = yield self._item()
        attributes = yield self._item()
        if self._n_passed:
            return RObject("skipped")
        name = info.value[0].value if info.kind == "pairlist" and info.value else ""
        found = self._expanded(str(name), state)
        found.attributes = attributes.attributes
        return found

    def _expanded(self, name: str, state: RObject) -> RObject:
        if name in {"compact_intseq", "compact_realseq"}:
            if state.kind != "double" or len(state.value) != 3:
                raise self._damaged()
            n, start, step = state.value.tolist()
            is_int = name == "compact_intseq"
            most = 2**31 - 1 if is_int else 2**53
            if not (0 <= n <= most and abs(start) <= most and step in {1.0, -1.0}):
                raise self._damaged()
            if self._n_skipped and n > _SMALL:
                return RObject("skipped", int(n))
            self._take(24 * int(n))
            values = start + step * np.arange(int(n), dtype=np.float64)
            if not is_int:
                return RObject("double", values)
            return RObject("integer", values.astype(np.int32))
        parts = state.value if state.kind in {"list", "pairlist"} else []
        if name.startswith("wrap_") and parts:
            return RObject(parts[0].kind, parts[0].value)
        if name == "deferred_string" and parts:
            if parts[0].kind == "skipped":
                return parts[0]
            if parts[0].kind not in {"integer", "double"}:
                raise self._damaged()
            self._take((_BYTES_OF_STRING + 10) * len(parts[0].value))
            return RObject("character", [r_number(value) for value in parts[0].value.tolist()])
        return RObject(f"vector of the kind {shown(name)}")

    def _bytecode(self, flags: int) -> Read:
        self._int()  # how many parts of it are referred to
        self._n_passed += 1
        yield self._code()
        self._n_passed -= 1
        if flags & _HAS_ATTRIBUTES:
            yield self._item()
        return RObject("bytecode")

    def _code(self) -> Read:
        yield self._item()
        for _ in range(self._length()):
            kind = self._int()
            if kind == _BYTECODE:
                yield self._code()
            else:
                yield self._constant(kind)
        return _NULL

    def _constant(self, kind: int) -> Read:
        """Read a constant of bytecode: an object, or a list with references of its own."""
        while True:
            if kind == _CODE_REFERENCE:
                self._int()
                return _NULL
            if kind == _CODE_DEFINITION:
                self._int()
                kind = self._int()
            if kind not in {2, 6, _CALL_WITH, _LIST_WITH}:
                yield self._item()
                return _NULL
            if kind in {_CALL_WITH, _LIST_WITH}:
                yield self._item()
            yield self._item()  # its tag
            yield self._constant(self._int())
            kind = self._int()

    _readers = {  # noqa: RUF012 (a table)
        1: _symbol,
        4: _environment,
        7: _builtin,
        8: _builtin,
        19: _list,
        20: _list,
        _BYTECODE: _bytecode,
        22: _pointer,
        23: _weak,
        25: _s4,
        238: _alternative,
        247: _names,
        248: _names,
        249: _names,
        **dict.fromkeys(_LISTS, _pairs),
    }


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
