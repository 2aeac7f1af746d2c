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
PLAIN = st.sampled_from(["0"] * 8 + ["1", "12", "345", "6789"])


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
    n_columns = data.draw(st.integers(1, 20))
    rows = data.draw(st.lists(st.lists(PLAIN, min_size=n_columns, max_size=n_columns), max_size=6))
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
    st.lists(st.tuples(NAMES, st.lists(FIELDS, min_size=1, max_size=12)), min_size=1, max_size=4)
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
