"""Tokens of text to numbers, all tokens at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.read._fields import number_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["numbers_of"]

_QUOTE, _SPACE, _ZERO = b'" 0'
_MAX_DIGITS = 15  # of whole numbers that float64 adds up exactly
_FEW_BLANKS = 8  # around a number, mostly


def numbers_of(
    text: bytes, byte: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Convert tokens to numbers, correctly rounded.

    Parameters
    ----------
    text, byte
        Some text, and the same bytes as an array.
    start, end
        Bounds of each token, int64, shape (n_tokens,). At least three bytes precede a token.

    Returns
    -------
    ndarray
        float64, shape (n_tokens,); NaN for what is not a number.
    """
    length = end - start
    ones = byte[end - 1] - _ZERO
    value = ones.astype(np.float64)
    longer = np.flatnonzero((length != 1) | (ones > 9))  # few of counts
    if len(longer):
        start, end, length, ones = start[longer], end[longer], length[longer], ones[longer]
        tens, hundreds = byte[end - 2] - _ZERO, byte[end - 3] - _ZERO
        hundreds *= length > 2
        is_short = (length > 1) & (length < 4) & (ones < 10) & (tens < 10) & (hundreds < 10)
        numbers = np.multiply(hundreds, 100, dtype=np.float64)
        numbers += np.multiply(tens, 10, dtype=np.float64)
        numbers += ones
        others = np.flatnonzero(~is_short)
        # Mostly, all are like the first one. To load pyarrow takes time and memory.
        if len(others) and text[start[others[0]] : end[others[0]]].isdigit():
            numbers[others], is_whole = _whole_numbers(byte, end[others], length[others])
            others = others[~is_whole]
        if len(others):
            numbers[others] = _cast(text, byte, start[others], end[others])
        value[longer] = numbers
    return value


def _whole_numbers(
    byte: NDArray[np.uint8], end: NDArray[np.int64], length: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Convert tokens that are digits only; see `numbers_of`.

    Returns
    -------
    value : ndarray
        float64, shape (n_tokens,).
    is_whole : ndarray
        Which tokens are digits only, bool, shape (n_tokens,). The value of the others is undefined.
    """
    value = np.zeros(len(end))
    is_whole = (length > 0) & (length <= _MAX_DIGITS)
    for place in range(_MAX_DIGITS):
        some = np.flatnonzero(is_whole & (length > place))
        digit = byte[end[some] - (place + 1)] - _ZERO
        value[some] += np.multiply(digit, 10**place, dtype=np.float64)
        is_whole[some] = digit < 10
    return value, is_whole


def _cast(
    text: bytes, byte: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Convert tokens of any length with pyarrow; see `numbers_of`."""
    import pyarrow as pa

    start, end = _strip_blanks(byte, start, end)
    quoted = (end - start > 1) & (byte[start] == _QUOTE) & (byte[end - 1] == _QUOTE)
    if quoted.any():
        start, end = _strip_blanks(byte, start + quoted, end - quoted)
    # The whole text, cut into token, gap, token, gap ...: an array in which every second string is
    # null. No byte is copied.
    n_strings = 2 * len(start)
    offsets = np.empty(n_strings + 1, np.int32)
    offsets[:-1:2] = start
    offsets[1::2] = end
    offsets[-1] = end[-1]
    is_token = np.full(n_strings // 8 + 1, 0b01010101, np.uint8)
    strings = pa.StringArray.from_buffers(
        n_strings, pa.py_buffer(offsets), pa.py_buffer(text), pa.py_buffer(is_token)
    )
    try:
        numbers = strings.cast(pa.float64())
    except pa.ArrowInvalid:
        return np.array([number_of(text[i:j]) for i, j in zip(start, end, strict=True)])
    return np.frombuffer(numbers.buffers()[1], np.float64, n_strings)[::2]


def _strip_blanks(
    byte: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Move the bounds of tokens past the blanks at both ends."""
    for _ in range(_FEW_BLANKS):
        is_led = (start < end) & (byte[start] == _SPACE)
        is_followed = (start < end) & (byte[end - 1] == _SPACE)
        if not (is_led | is_followed).any():
            return start, end
        start = start + is_led
        end = np.maximum(start, end - is_followed)  # a lone blank is both
    # If there are more, token by token: each round above takes one blank of every token.
    for i in np.flatnonzero(is_led | is_followed):
        token = byte[start[i] : end[i]].tobytes()
        start[i] += len(token) - len(token.lstrip(b" "))
        end[i] = start[i] + len(token.strip(b" "))
    return start, end
