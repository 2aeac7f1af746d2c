"""The whole lines of a text, as many as come with a block of bytes."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING

from cytotrace2_lite.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from cytotrace2_lite.read._bytes import ByteStream

__all__ = ["whole_lines"]

_A_FEW = 16  # bytes: more than the newlines that end most texts
_LONGEST_CR_LINE = 1 << 20
_LONGEST_LINE = 1 << 26  # some millions of columns


def whole_lines(stream: ByteStream, block_size: int) -> Generator[bytes, None, None]:
    """Read a text to its end.

    Parameters
    ----------
    stream
        The text.
    block_size
        Number of bytes to read at a time.

    Yields
    ------
    bytes
        Some whole lines, with the newline before the first of them. The last one is not empty:
        empty lines wait for what follows them, and those at the end of the text are dropped.

    Raises
    ------
    InputError
        The text cannot be read, or a line is too long.
    """
    rest = [b"\n"]  # what waits for the end of its line
    length = 0  # of the rest
    blocks = _with_newlines(iter(partial(stream.read, block_size), b""))
    for block in itertools.chain(blocks, [b"\n"]):  # the last line may lack its newline
        cut = block.rfind(b"\n") + 1
        if not cut:
            rest.append(block)
            length += len(block)
            if length > _LONGEST_LINE:  # compressed data may have no end
                raise InputError(
                    f"{stream.name}: a line has more than {_LONGEST_LINE >> 20} MiB. Is this a "
                    "table? Write it as .h5ad or 10x directory if so."
                )
            if b"\0" not in block:
                continue
            yield b"".join([*rest, b"\n"])  # a binary file, of which no more is read
            return
        text = b"".join([*rest, memoryview(block)[:cut]])
        end = _end_of_lines(text)
        end = max(end, text.rfind(b"\r\r", end) + 1)  # a lone carriage return ends no line
        end = text.index(b"\n", end) + 1
        rest = [text[end - 1 : end + 2], block[cut:]]  # one empty line stands for all
        length = len(rest[1])
        if end > 1:
            yield text if end == len(text) else text[:end]


def _end_of_lines(text: bytes) -> int:
    """Length of a text without the newlines and carriage returns at its end."""
    last = text[-_A_FEW:]  # to strip the whole text would copy it
    if length := len(last.rstrip(b"\r\n")):
        return len(text) - len(last) + length
    return len(text.rstrip(b"\r\n"))


def _with_newlines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Replace the carriage returns that alone end the lines of old Macs, if there is no newline."""
    first = []
    length = 0
    for block in blocks:
        first.append(block)
        length += len(block)
        if b"\n" in block or length > _LONGEST_CR_LINE:
            break
    has_newlines = any(b"\n" in block for block in first)
    if has_newlines or not any(b"\r" in block for block in first):
        yield from first
        yield from blocks
        return
    for block in itertools.chain(first, blocks):
        yield block.replace(b"\r", b"\n")
