"""Lines to values: compiled code and NumPy's give the same, and both refuse the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytotrace2_lite.read._scan import Room, _scan_counts, scan

# What stands for a value: the commonest most often, and all kinds that must be told apart.
FIELDS = st.sampled_from(
    ["0"] * 12
    + ["1", "7", "10", "42", "999", "1000", "65536", "00", "007", "123456789012345"]
    + ["1234567890123456", "0.5", "1e3", '"3"', " 4", "4 ", "", "-1", "x", "nan", "\xe9"]
)
NAMES = st.sampled_from(["Actb", "0", "12", "a b", '"q"', "\xe9", "", "0\x000", "\r"])
PLAIN = st.sampled_from(
    ["0"] * 12 + ["1", "5", "12", "345", "6789", "12345", "98765432", "123456789", "00", "007"]
)


def both(text, delimiter, width):
    one, other = (scan(text, delimiter, width, room=room) for room in (Room(), None))
    assert (one is None) == (other is None)
    if one is not None:
        assert one.names == other.names
        for ours, theirs in zip(one[1:], other[1:], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    return one


@pytest.mark.parametrize("delimiter", [b"\t", b","])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@given(st.data())
def test_counts(delimiter, end, data):
    n_columns = data.draw(st.integers(1, 70))
    rows = data.draw(st.lists(st.lists(PLAIN, min_size=n_columns, max_size=n_columns), max_size=5))
    lines = [delimiter.join([b"g%d" % i, *map(str.encode, row)]) for i, row in enumerate(rows)]
    text = b"\n" + b"".join(line + end for line in lines)
    if not rows:
        return
    found = both(text, delimiter, n_columns + 1)
    assert _scan_counts(text, delimiter, n_columns + 1, Room()) is not None
    values = np.zeros((len(rows), n_columns))
    values[found.row, found.column] = found.value
    np.testing.assert_array_equal(values, np.array(rows, float))


@given(
    st.lists(st.tuples(NAMES, st.lists(FIELDS, min_size=1, max_size=50)), min_size=1, max_size=4)
)
def test_anything(lines):
    text = "".join(f"\n{name}\t" + "\t".join(fields) for name, fields in lines) + "\n"
    both(text.encode("latin-1"), b"\t", len(lines[0][1]) + 1)


@pytest.mark.parametrize("fields", [8, 12, 13, 7])
@pytest.mark.parametrize("width", [8, 9, 12, 13, 14])
def test_zeros_do_not_hide_the_end_of_a_line(fields, width):
    line = b"g" + b"\t0" * fields + b"\n"
    found = both(b"\n" + line + b"h" + line, b"\t", width)
    assert (found is not None) == (width == fields + 1)


@pytest.mark.parametrize("place", range(70))
@pytest.mark.parametrize("field", ["", "x", "00", "12345678", "123456789", "0.5", "\r"])
def test_a_field_anywhere_among_those_looked_at_together(field, place):
    fields = ["0", "12", "7"] * 30
    fields[place] = field
    text = "\ng\t" + "\t".join(fields) + "\n"
    both(text.encode() + (b"h" + text.encode()[2:]) * 2, b"\t", 91)


def test_room_is_used_again_and_grows():
    room = Room()
    short, long = b"\na\t1\t0\nb\t0\t2\n", b"\n" + b"".join(b"g%d\t3\t4\n" % i for i in range(99))
    first = scan(short, b"\t", 3, room=room)
    scan(long, b"\t", 3, room=room)
    assert (first.names, first.value.tolist()) == (["a", "b"], [1, 2])
    assert first.column.tolist() == [0, 1]


def test_more_columns_than_16_bits_count():
    line = b"g" + b"\t0" * 65_535
    for n_more in (0, 1):
        found = both(b"\n" + line + b"\t0" * n_more + b"\t9\n", b"\t", 65_537 + n_more)
        assert found.column.tolist() == [65_535 + n_more]
