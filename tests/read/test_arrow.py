"""Tables of Arrow, in memory and in files, message by message."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from helpers import formats
from helpers.readers import COUNTS, is_known, message

from cytotrace2_lite.read import read_expression

pytestmark = pytest.mark.usefixtures("working_directory")


class TestTables:
    def test_columns_that_are_no_numbers(self, data):
        table = formats.table(data, transposed=True)
        table = table.append_column("type", pa.array(["x", "y", "z"]))
        problem = (
            "column 'type' holds string, not numbers. Leave it out: one column "
            "has names, all others numbers."
        )
        assert message(table) == problem
        pa.parquet.write_table(table, "t.parquet")
        assert message("t.parquet") == f"t.parquet: {problem}"
        frame = table.to_pandas().set_index("name")
        assert message(frame) == (
            "column 'type' does not hold numbers. Make it the index or leave it out."
        )

    def test_no_names(self, data):
        table = formats.table(data).drop_columns(["name"])
        assert message(table) == (
            "the rows have no names: the first column must be of strings, or the table have an "
            "index as pandas writes it."
        )

    def test_missing_and_negative_values(self, data):
        table = formats.table(data)
        for value, problem in (
            (
                None,
                (
                    "row 'Gapdh', column 'b': the value is missing. Write 0 where "
                    "nothing was counted."
                ),
            ),
            (
                -1,
                (
                    "gene 'Gapdh', cell 'b': the value -1 is negative. Give raw counts, "
                    "CPM or TPM, and 0 where nothing was counted."
                ),
            ),
        ):
            changed = table.set_column(2, "b", pa.array([0, value, 0, 0]))
            assert message(changed) == problem

    def test_names_with_dots_that_begin_alike(self, data):
        data.cells = ["x", "x.y", "x.y.z"]
        path = formats.parquet(data, "t.parquet")
        expression, _ = read_expression(path, is_known)
        assert expression.cells == data.cells
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)

    @pytest.mark.parametrize("kind", ["parquet", "arrow"])
    def test_damaged(self, data, kind):
        path = getattr(formats, kind)(data, f"t.{kind}")
        content = Path(path).read_bytes()
        Path(path).write_bytes(content[:-20])
        assert message(path).startswith(f"t.{kind}: the file cannot be read (")
        Path(path).write_bytes(gzip.compress(content))
        assert message(path) == (
            f"t.{kind}: this is a Parquet or Arrow file, compressed. Decompress it."
        )

    def test_many_parts(self, data, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.read.tables._N_VALUES", 3)
        for options in ({}, {"transposed": True}):
            path = formats.parquet(data, "t.parquet", **options)
            np.testing.assert_array_equal(
                read_expression(path, is_known)[0].values.toarray(), COUNTS
            )
