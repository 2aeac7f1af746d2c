"""Arrays that grow, in the smallest type that holds all their numbers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cytotrace2_lite.counts.spill import GrowingArray

TYPES = (np.uint8, np.uint16, np.float32, np.float64)
NUMBERS = st.sampled_from([0, 1, 255, 256, 65_535, 65_536, 1 << 24, (1 << 24) + 1, 0.5, 0.1, -1])
SOURCES = {np.uint8: 255, np.uint16: 65_535, np.int32: 1 << 30, np.int64: 1 << 60}


def smallest(numbers):
    for kind in TYPES:
        with np.errstate(all="ignore"):
            if (np.array(numbers, np.float64).astype(kind) == numbers).all():
                return kind
    raise AssertionError


@given(st.lists(st.lists(NUMBERS, max_size=5), max_size=6), st.sampled_from([0, 8, 100]))
def test_appended_arrays_in_the_smallest_type(parts, usual):
    growing = GrowingArray(*TYPES, usual=usual)
    for numbers in parts:
        kind = next(  # as small as it may come
            (
                kind
                for kind, largest in SOURCES.items()
                if all(
                    number == int(number) and np.iinfo(kind).min <= number <= largest
                    for number in numbers
                )
            ),
            np.float64,
        )
        growing.append(np.array(numbers, kind))
    every = [number for numbers in parts for number in numbers]
    assert growing.array.dtype == smallest(every)
    np.testing.assert_array_equal(growing.array, every)
    growing.clear()
    assert len(growing.array) == 0
    assert growing.array.dtype == np.uint8


def test_room_for_the_usual_size_is_made_at_once():
    growing = GrowingArray(np.uint16, usual=1000)
    rooms = set()
    for number in range(1000):
        growing.append(np.array([number]))
        if number > 200:
            rooms.add(growing._room.ctypes.data)
    np.testing.assert_array_equal(growing.array, np.arange(1000))
    assert len(rooms) == 1
