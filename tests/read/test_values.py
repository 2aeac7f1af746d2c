"""Every kind of value in memory is exact, or an error that names it."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite.read import read_expression

GENES = ["Actb", "Sox17"]
MISSING = "the value is missing. Write 0 where nothing was counted."
NOT_NUMBERS = "does not hold numbers. Make it the index or leave it out."
TODAY = dt.datetime(2020, 1, 2)  # noqa: DTZ001


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(data, **options):
    return read_expression(data, **options)[0].values.toarray().tolist()


def message(data, error=ct2.InputError, **options):
    with pytest.raises(error) as caught:
        read(data, **options)
    assert type(caught.value) is error
    return str(caught.value)


class TestMatrices:
    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            (None, MISSING),
            ("", MISSING),
            (b"", MISSING),
            (pd.NA, MISSING),
            (pd.NaT, MISSING),
            (np.ma.masked, MISSING),
            ("1_000", "the value is the text '1_000', not a number."),
            ("5", "the value is the text '5', not a number."),
            ("a", "the value is the text 'a', not a number."),
            (b"5", "the value is bytes, not a number."),
            (TODAY, "the value is datetime, not a number."),
            (np.datetime64("2020"), "the value is datetime64, not a number."),
            (dt.timedelta(1), "the value is timedelta, not a number."),
            (np.timedelta64(1, "D"), "the value is timedelta64, not a number."),
            (2j, "the value is complex, not a number."),
            ([2], "the value is list, not a number."),
            (10**400, "the value is too large for a number."),
        ],
    )
    def test_objects_that_are_no_numbers(self, value, problem):
        matrix = np.ones((3, 2), dtype=object)
        matrix[2, 1] = value
        assert message(matrix, genes=GENES) == f"gene 'Sox17', cell '2': {problem}"
        assert message(matrix.T, genes=GENES, orientation="genes-x-cells") == (
            f"gene 'Sox17', cell '2': {problem}"
        )
        values = np.ones(6, dtype=object)
        values[5] = value
        coo = sparse.coo_matrix(np.ones((3, 2)))
        csr = coo.tocsr()
        csr.data = values
        assert message(csr, genes=GENES) == f"gene 'Sox17', cell '2': {problem}"

    @pytest.mark.parametrize("value", [None, "", "1_000"])
    def test_lists(self, value):
        assert message([[1, 2], [3, value]], genes=GENES).startswith("gene 'Sox17', cell '1': the ")
        assert read([[1, 2], [3, 4.5]], genes=GENES) == [[1, 2], [3, 4.5]]
        assert message([[1], [1, 2]], genes=GENES) == (
            "the matrix has rows of different lengths, or values that are no numbers."
        )

    @pytest.mark.parametrize(
        "value", [True, 3, 2.5, np.int8(3), np.float32(0.1), Decimal("1.5"), Fraction(1, 3)]
    )
    def test_objects_that_are_numbers(self, value):
        matrix = np.array([[0, 1], [value, 0]], dtype=object)
        assert read(matrix, genes=GENES) == [[0, 1], [float(value), 0]]

    def test_masks(self):
        values = np.arange(1, 5).reshape(2, 2)
        assert read(np.ma.array(values), genes=GENES) == values.tolist()
        assert read(np.ma.array(values, mask=np.zeros((2, 2))), genes=GENES) == values.tolist()
        masked = np.ma.array(values, mask=[[0, 1], [0, 0]])
        assert message(masked, genes=GENES) == f"gene 'Sox17', cell '0': {MISSING}"

    @pytest.mark.parametrize("kind", ["M8[ns]", "m8[s]", "c16", "S3", "U3", "V4"])
    def test_arrays_of_other_types(self, kind):
        matrix = np.zeros((2, 2), kind)
        assert message(matrix, genes=GENES) == f"the matrix holds {matrix.dtype}, not real numbers."

    @pytest.mark.parametrize("kind", ["?", "i1", "u1", "i8", "u8", "f2", "f4", "f8", "g"])
    def test_arrays_of_numbers(self, kind):
        matrix = np.array([[0, 1], [1, 0]], kind)
        for form in (np.asarray, sparse.csr_matrix, sparse.csc_array, sparse.coo_array):
            if form is np.asarray or kind != "f2":
                assert read(form(matrix), genes=GENES) == [[0, 1], [1, 0]]

    def test_lazy_arrays(self):
        """As Dask gives it where its blocks are sparse."""

        class Array:
            shape = (3, 2)
            dtype = np.dtype(float)

            def __array__(self, dtype=None, copy=None):
                return np.array(sparse.csr_matrix((3, 2)), dtype=object)

        assert message(Array(), ct2.UsageError, genes=GENES) == (
            "the values of this test_values Array are not in memory. Read them first: "
            "adata.to_memory() of AnnData, .compute() of a Dask array."
        ).replace("test_values", Array.__module__.partition(".")[0])

    def test_dask(self):
        array = pytest.importorskip("dask.array")
        values = np.array([[1, 2], [3, 4]])
        assert read(array.from_array(values), genes=GENES) == values.tolist()
        blocks = array.from_array(values).map_blocks(sparse.csr_matrix)
        assert read(blocks, genes=GENES) == values.tolist()

    def test_sparse_arrays_of_other_packages(self):
        class COO:
            shape, format = (2, 2), "coo"

            def tocsr(self):
                return sparse.csr_matrix([[0, 5], [1, 0]])

        assert read(COO(), genes=GENES) == [[0, 5], [1, 0]]


def objects(*values):
    return pd.Series(values, dtype=object).array


class TestDataFrames:
    def frame(self, column):
        return pd.DataFrame({"Actb": [1, 2, 3], "Sox17": column}, index=list("xyz"))

    @pytest.mark.parametrize(
        "column",
        [
            pd.to_datetime(["2020", "2021", "2022"]),
            pd.date_range("2020", periods=3, tz="UTC"),
            pd.to_timedelta([1, 2, 3]),
            pd.period_range("2020", periods=3, freq="D"),
            pd.interval_range(0, 3),
            ["1", "2", "3"],
            objects("1", "2", "3"),
            objects(TODAY, TODAY, TODAY),
            pd.Categorical(["1", "2", "3"]),
            [1j, 2, 3],
            pd.array(["1", "2", "3"], pd.ArrowDtype(pa.string())),
            pd.array([1, 2, 3], pd.ArrowDtype(pa.timestamp("ns"))),
        ],
    )
    def test_columns_that_are_no_numbers(self, column):
        assert message(self.frame(column)) == f"column 'Sox17' {NOT_NUMBERS}"

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ("", MISSING),
            ("1_000", "the value is the text '1_000', not a number."),
            (TODAY, "the value is datetime, not a number."),
            (2j, "the value is complex, not a number."),
        ],
    )
    def test_single_values(self, value, problem):
        text = message(self.frame(objects(1, value, 3)))
        assert text == f"row 'y', column 'Sox17': {problem}"

    @pytest.mark.parametrize(
        "column",
        [
            [1, np.nan, 3],
            objects(1, None, 3),
            objects(1, pd.NA, 3),
            pd.array([1, None, 3], "Int64"),
            pd.array([True, None, True], "boolean"),
            pd.array([1, None, 3], pd.ArrowDtype(pa.int64())),
            pd.arrays.SparseArray([1, np.nan, 3]),
            pd.Categorical([1, None, 3]),
        ],
    )
    def test_missing_values(self, column):
        assert message(self.frame(column)).startswith(
            "gene 'Sox17', cell 'y': the value nan is not a finite number."
        )

    @pytest.mark.parametrize(
        "column",
        [
            objects(4, 5.0, np.int8(6)),
            objects(Decimal(4), 5, 6),
            pd.array([4, 5, 6], "Int64"),
            pd.array([4, 5, 6], "Float64"),
            pd.array([4, 5, 6], pd.ArrowDtype(pa.int8())),
            pd.array([Decimal(4), Decimal(5), Decimal(6)], pd.ArrowDtype(pa.decimal128(5, 2))),
            pd.arrays.SparseArray([4, 5, 6]),
            pd.Categorical([4, 5, 6]),
            np.array([4, 5, 6], np.float16),
        ],
    )
    def test_numbers(self, column):
        assert read(self.frame(column)) == [[1, 4], [2, 5], [3, 6]]


NAMES = pa.array(list("xyz"))


class TestArrow:
    @pytest.mark.parametrize(
        "names",
        [
            NAMES,
            NAMES.cast(pa.large_string()),
            NAMES.dictionary_encode(),
            *([NAMES.cast(pa.string_view())] if hasattr(pa, "string_view") else []),
        ],
    )
    def test_names(self, names):
        expression, _ = read_expression(pa.table({"n": names, "Actb": [1, 2, 3]}))
        assert expression.cells == list("xyz")

    def test_missing_names(self):
        names = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(["x", "y", None]))
        assert message(pa.table({"n": names, "Actb": [1, 2, 3]})) == (
            "column 'n' lacks names of rows."
        )

    def test_half_floats(self):
        column = pa.array(np.array([1, 2.5, 0], np.float16))
        assert read(pa.table({"n": NAMES, "Actb": column})) == [[1], [2.5], [0]]

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([1, 2, 3], pa.timestamp("s")),
            pa.array([1, 2, 3], pa.duration("s")),
            pa.array([1, 2, 3]).dictionary_encode(),
            pa.array(["1", "2", "3"]),
            pa.nulls(3),
            pa.array([[1], [2], [3]]),
        ],
    )
    def test_columns_that_are_no_numbers(self, column):
        assert message(pa.table({"n": NAMES, "Actb": column})) == (
            f"column 'Actb' holds {column.type}, not numbers. Leave it out: one column has names, "
            "all others numbers."
        )


class TestPolars:
    @pytest.fixture
    def pl(self):
        return pytest.importorskip("polars")

    @pytest.fixture(params=["String", "Categorical", "Enum"])
    def frame(self, pl, request):
        kind = pl.Enum(list("xyz")) if request.param == "Enum" else getattr(pl, request.param)
        names = pl.Series(["x", "y", "z"], dtype=kind)
        return pl.DataFrame({"n": names, "Actb": [1, 2, 3], "Sox17": [0.5, 0, 1]})

    def test_frames(self, frame):
        expression, _ = read_expression(frame)
        assert (expression.cells, expression.genes) == (list("xyz"), GENES)
        assert expression.values.toarray().tolist() == [[1, 0.5], [2, 0], [3, 1]]

    @pytest.mark.parametrize("write", ["write_parquet", "write_ipc", "write_ipc_stream"])
    def test_files(self, frame, write):
        getattr(frame, write)(Path("t"))
        if write != "write_parquet" and not hasattr(pa.types, "is_string_view"):
            assert message("t") == (
                f"t: column 'n' holds string_view, which pyarrow {pa.__version__} cannot read: pip "
                "install --upgrade pyarrow."
            )
            return
        assert read("t") == [[1, 0.5], [2, 0], [3, 1]]

    def test_others(self, pl):
        frame = pl.DataFrame({"n": list("xyz"), "Actb": [1, None, 3]})
        assert message(frame) == f"row 'y', column 'Actb': {MISSING}"
        assert message(frame.lazy(), ct2.UsageError) == (
            "the values of this LazyFrame are not read yet: pass .collect()."
        )
        assert message(pl.Series("Actb", [1, 2])).startswith(
            "this Series cannot be read as an Arrow table ("
        )
