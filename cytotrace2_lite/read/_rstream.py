"""R's own serialization, as `saveRDS` and `save` write it, read in one pass. Nothing is executed.

Source: "Serialization Formats" in the manual "R Internals", and what R 4.2 writes.

No library is used for it: none of rdata, rds2py and pyreadr reads all real files, or survives all
made-up ones. Here the data come from the stream in which they are decompressed, parts that are not
needed are passed over, memory is counted before it is taken, and nothing depends on how deep a file
is nested. Code (closures, promises, calls, bytecode), environments and external pointers are passed
over, too: of them, only the kind is kept.
"""

from __future__ import annotations

from types import GeneratorType
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._rvectors import (
    BYTES_OF_OBJECT,
    BYTES_OF_STRING,
    CHARS,
    SMALL,
    RObject,
    RVectors,
    r_number,
)
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Generator

    from cytotrace2_lite.read._bytes import ByteStream

    Read = Generator[Any, Any, "RObject"]

__all__ = ["RStream"]

_STEP = 1 << 20  # bytes at a time
_DEEPEST = 10_000  # R itself stops at 5,000 nested expressions
_NIL, _GLOBAL, _UNBOUND, _MISSING, _BASE_NAMESPACE = 254, 253, 252, 251, 250
_BASE, _EMPTY = 241, 242
_REFERENCE = 255
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

_NULL = RObject("NULL")


class RStream(RVectors):
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
        super().__init__(stream, max_memory)
        self._skip = skip
        self._slots: tuple[str, ...] = ()
        self._references: list[RObject] = []
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
        self._head()
        found = self._run(self._item())
        while self._stream.read(_STEP):  # for the digest
            pass
        return found

    # The objects. `_readers` has the method of each kind. What has parts is a generator that asks
    # for them, one after the other: so the depth of a file is that of a list, not of calls.

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
        if kind == CHARS:
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
        self._take(BYTES_OF_OBJECT)
        found = RObject(kind, value)
        self._references.append(found)
        return found

    def _with_attributes(self, found: RObject) -> Read:
        attributes = yield self._item()
        if not self._n_passed:
            found.attributes = attributes.attributes
        return found

    def _list(self, flags: int) -> Read:
        length = self._length()
        elements: list[RObject] = []
        self._take(BYTES_OF_OBJECT)
        for _ in range(length):
            element = yield self._item()
            if not self._n_passed:
                self._take(BYTES_OF_OBJECT if element is not _NULL else 8)
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
                self._take(BYTES_OF_OBJECT)
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
        self._take(BYTES_OF_OBJECT)
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
            if self._n_skipped and n > SMALL:
                return RObject("skipped", int(n))
            self._take(24 * int(n))
            values = start + step * np.arange(int(n), dtype=np.float64)
            if not is_int:
                return RObject("double", values)
            return RObject("integer", values.astype(np.int32))
        parts = state.value if state.kind in {"list", "pairlist"} else []
        if name.startswith("wrap_") and parts:
            inner: RObject = parts[0]
            return RObject(inner.kind, inner.value)
        if name == "deferred_string" and parts:
            numbers: RObject = parts[0]
            if numbers.kind == "skipped":
                return numbers
            if numbers.kind not in {"integer", "double"}:
                raise self._damaged()
            self._take((BYTES_OF_STRING + 10) * len(numbers.value))
            return RObject("character", [r_number(value) for value in numbers.value.tolist()])
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
