"""What must hold of the readers whatever a table holds, on tables that hypothesis makes up."""

import numpy as np
import pytest
from helpers import formats
from helpers.readers import text_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read import read_expression

fast = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

values = st.one_of(
    st.just(0.0),
    st.integers(0, 2**53).map(float),
    st.floats(0, 1.7e308, allow_subnormal=True),
    st.sampled_from([255.0, 256.0, 65535.0, 65536.0, 16777217.0, 0.1, 1e-5, 5e-324]),
)


@st.composite
def datasets(draw):
    n_cells, n_genes = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    matrix = draw(
        st.lists(
            st.lists(values, min_size=n_genes, max_size=n_genes), min_size=n_cells, max_size=n_cells
        )
    )
    names = [f"c{i}" for i in range(n_cells)], [f"Gene{i}" for i in range(n_genes)]
    return formats.Dataset(csr_array(np.array(matrix)), *names)


def written(data, folder):
    """Write a dataset in every format; give path and options of each."""
    text = folder / "t.tsv"
    text.write_bytes(formats.text(data))
    yield text, {}
    packed = folder / "t.csv.zst"
    packed.write_bytes(formats.compress(formats.text(data, ",", transposed=True), "zst"))
    yield packed, {"orientation": "cells-x-genes"}
    genes_x_cells = {"orientation": "genes-x-cells"}
    yield formats.parquet(data, folder / "t.parquet"), genes_x_cells
    yield formats.arrow(data, folder / "t.arrow", stream=True), genes_x_cells
    directory = folder / "d"
    directory.mkdir(exist_ok=True)
    (directory / "matrix.mtx").write_bytes(formats.mtx(data, field="real"))
    (directory / "features.tsv").write_bytes(formats.features(data))
    (directory / "barcodes.tsv").write_text("".join(f"{cell}\n" for cell in data.cells))
    yield directory, {}


@fast
@given(data=datasets())
def test_every_number_comes_back_from_every_format(tmp_path, data):
    expected = data.counts.toarray()
    for path, options in written(data, tmp_path):
        expression, _ = read_expression(path, **options)
        np.testing.assert_array_equal(expression.values.toarray(), expected, err_msg=path.name)
        assert expression.values.nnz == np.count_nonzero(expected)
        assert expression.max_value == expected.max()
        assert (expression.cells, expression.genes) == (data.cells, data.genes)


@settings(fast, max_examples=30)
@given(data=datasets(), kind=st.sampled_from(["csr", "csc", "dense"]))
def test_every_number_comes_back_from_hdf5(tmp_path, data, kind):
    pytest.importorskip("h5py")
    smaller = data.counts.toarray().clip(max=3e38).astype(np.float32)  # as the writer has it
    data.counts = csr_array(smaller)
    expression, _ = read_expression(formats.h5ad(data, tmp_path / "t.h5ad", kind))
    np.testing.assert_array_equal(expression.values.toarray(), data.counts.toarray())
    assert (expression.cells, expression.genes) == (data.cells, data.genes)


pieces = st.sampled_from(
    [
        *(b"\t", b"\t", b"\n", b"\n", b"\r\n", b"\r", b'"', b'""', b" ", b","),
        *(b"0", b"0", b"1", b"7.5", b"1e3", b"-", b"+", b".", b"e", b"NA", b"inf"),
        *(b"c1", b"c2", b"Actb", b"\xc3\xa9", b"\xff", b"\0"),
    ]
)
lines = st.lists(pieces, max_size=8).map(b"".join)


def outcome(path, block_size):
    """Names and values, or the message."""
    try:
        with text_table(path, block_size=block_size) as table:
            blocks = list(table.blocks())
            found = [
                (int(gene), int(cell), float(value))
                for block in blocks
                for gene, cell, value in zip(block.gene, block.cell, block.value, strict=True)
            ]
            return table.cells, table.genes, found
    except InputError as error:
        return str(error)


def plainly(content):
    """Read a table without quotes the slow way; None where it may not be one."""
    rows = [
        line.removesuffix(b"\r").split(b"\t") for line in content.decode().encode().split(b"\n")
    ]
    while rows and rows[-1] == [b""]:
        rows.pop()
    width = len(rows[1])
    cells = rows[0] if len(rows[0]) == width - 1 else rows[0][1:]
    found = [
        (i, j, float(field.strip(b" ")))
        for i, row in enumerate(rows[1:])
        for j, field in enumerate(row[1:])
        if float(field.strip(b" "))
    ]
    return [cell.decode() for cell in cells], [row[0].decode() for row in rows[1:]], found


@settings(fast, max_examples=400)
@given(content=st.lists(lines, max_size=6).map(b"\n".join))
def test_any_text_is_read_alike_in_blocks_of_any_size(tmp_path, content):
    """And where it is read, as one reads it by hand."""
    path = tmp_path / "t"
    path.write_bytes(b"\tc1\tc2\n" + content)
    whole = outcome(path, 1 << 19)
    for block_size in (1, 3, 16):
        assert outcome(path, block_size) == whole
    if not isinstance(whole, str) and b'"' not in content:
        assert whole == plainly(path.read_bytes())


SPELLINGS = ("0", "1", "00", "0.0", " 3", "4 ", '"5"', '" 6"', "1E2", "+7", ".5", "8.")


@settings(fast, max_examples=200)
@given(
    rows=st.lists(
        st.lists(
            st.one_of(
                st.sampled_from(SPELLINGS),
                st.floats(0, 1e300).map(repr),
            ),
            min_size=2,
            max_size=2,
        ),
        min_size=1,
        max_size=6,
    ),
    ending=st.sampled_from(["\n", "\r\n", ""]),
)
def test_tables_of_all_spellings_of_numbers(tmp_path, rows, ending):
    path = tmp_path / "t"
    lines = ["\tc1\tc2", *(f"g{i}\t{a}\t{b}" for i, (a, b) in enumerate(rows))]
    path.write_bytes(((ending or "\n").join(lines) + ending).encode())
    read = read_expression(path)[0].values.toarray().T
    np.testing.assert_array_equal(read, [[float(x.strip('" ')) for x in row] for row in rows])
