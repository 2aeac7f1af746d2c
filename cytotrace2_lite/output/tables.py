"""The columns of a result, and the tables they are written as: text, Arrow, Parquet, pandas."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import CytoTRACE2Error, UsageError
from cytotrace2_lite.output.scores import STATUSES, labels_of
from cytotrace2_lite.system.small_tables import quoted

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from cytotrace2_lite.output.scores import Scores

__all__ = [
    "COLUMNS",
    "EXTRA_COLUMNS",
    "FORMATS",
    "LABELS",
    "columns",
    "is_ordered",
    "require_pandas",
    "results_name",
    "to_arrow",
    "to_bytes",
    "to_pandas",
]

#: Columns of `cytotrace2_results.txt`, those of cytotrace2_py.
COLUMNS = (
    "CytoTRACE2_Score",
    "CytoTRACE2_Potency",
    "CytoTRACE2_Relative",
    "preKNN_CytoTRACE2_Score",
    "preKNN_CytoTRACE2_Potency",
)
#: Columns that can be appended to them, in every kind of table.
EXTRA_COLUMNS = (
    "CytoTRACE2_Raw_Score",
    *(f"CytoTRACE2_Probability_{potency}" for potency in POTENCIES),
    "CytoTRACE2_Pseudotime",
    "CytoTRACE2_Status",
    "CytoTRACE2_Score_SD",  # last: scripts may take the others by position
)
#: Columns of labels, with the labels that they can hold; all other columns hold numbers.
LABELS = {
    "CytoTRACE2_Potency": tuple(POTENCIES),
    "preKNN_CytoTRACE2_Potency": tuple(POTENCIES),
    "CytoTRACE2_Status": STATUSES,
}
#: Formats of the results file, which are also its extensions.
FORMATS = ("txt", "txt.gz", "parquet", "arrow")

_ROWS_AT_A_TIME = 10_000  # of text; only memory depends on it


def is_ordered(column: str) -> bool:
    """Tell whether the labels of a column have an order, as potencies do."""
    return LABELS[column] is not STATUSES


def results_name(file_format: str, prefix: str = "") -> str:
    """Give the name of the results file.

    Parameters
    ----------
    file_format
        One of `FORMATS`.
    prefix
        What its name begins with.

    Returns
    -------
    str
        Without a directory.

    Raises
    ------
    UsageError
        There is no such format.
    """
    if file_format not in FORMATS:
        raise UsageError(f"file_format is {file_format!r}; it must be one of {FORMATS}.")
    return f"{prefix}cytotrace2_results.{file_format}"


def columns(scores: Scores, *, extra_columns: bool = False) -> dict[str, NDArray[Any]]:
    """Give the columns of every kind of table, in their order.

    Parameters
    ----------
    scores
        The scores.
    extra_columns
        Append raw score, probabilities, pseudotime, status and spread to the five columns.

    Returns
    -------
    dict
        Name to values, shape (n_cells,): float64 numbers, NaN for none; of labels the position in
        `LABELS`, int8, -1 for none.
    """
    upstream = (
        scores.score,
        scores.potency_index,
        scores.relative,
        scores.preknn_score,
        scores.preknn_potency_index,
    )
    found: dict[str, NDArray[Any]] = dict(zip(COLUMNS, upstream, strict=True))
    if extra_columns:
        spread = scores.score_sd
        values = (
            *(scores.raw_score, *scores.probabilities.T, scores.pseudotime, scores.status_index),
            np.full(len(scores.cells), np.nan) if spread is None else spread,
        )
        found.update(zip(EXTRA_COLUMNS, values, strict=True))
    return found


def to_arrow(scores: Scores, *, extra_columns: bool = False) -> pa.Table:
    """Give the results as an Arrow table.

    Parameters
    ----------
    scores
        The scores.
    extra_columns
        Append raw score, probabilities, pseudotime, status and spread.

    Returns
    -------
    pyarrow.Table
        `cell`, then the columns of `cytotrace2_results.txt`. Labels are dictionaries, those of
        potencies ordered. Missing values are null.
    """
    import pyarrow as pa

    arrays: dict[str, Any] = {"cell": pa.array(scores.cells, pa.string())}
    for name, values in columns(scores, extra_columns=extra_columns).items():
        if name in LABELS:
            arrays[name] = pa.DictionaryArray.from_arrays(
                pa.array(values, mask=values < 0),
                pa.array(LABELS[name], pa.string()),
                ordered=is_ordered(name),
            )
        else:
            arrays[name] = pa.array(values, from_pandas=True)
    return pa.table(arrays)


def to_pandas(scores: Scores, *, extra_columns: bool = False) -> pd.DataFrame:
    """Give the results as a data frame, as upstream returns them.

    Parameters
    ----------
    scores
        The scores.
    extra_columns
        Append raw score, probabilities, pseudotime, status and spread.

    Returns
    -------
    pandas.DataFrame
        The columns of `cytotrace2_results.txt`, indexed by cell. Labels are categorical, those
        of potencies ordered.

    Raises
    ------
    CytoTRACE2Error
        pandas is not installed.
    """
    pandas = require_pandas()
    series = {
        name: pandas.Categorical.from_codes(
            values, categories=list(LABELS[name]), ordered=is_ordered(name)
        )
        if name in LABELS
        else values
        for name, values in columns(scores, extra_columns=extra_columns).items()
    }
    frame: pd.DataFrame = pandas.DataFrame(series, index=scores.cells)
    return frame


def to_bytes(scores: Scores, *, extra_columns: bool = False, file_format: str = "txt") -> bytes:
    """Give the content of the results file.

    Parameters
    ----------
    scores
        The scores.
    extra_columns
        Append raw score, probabilities, pseudotime, status and spread to the five columns.
    file_format
        "txt" (tab-separated, UTF-8, as upstream writes it), "txt.gz" (the same, compressed),
        "parquet" or "arrow" (Arrow IPC file, also known as Feather).

    Returns
    -------
    bytes
        The same for the same results.

    Raises
    ------
    UsageError
        There is no such format.
    """
    results_name(file_format)  # raises an error where there is no such format
    if file_format in {"txt", "txt.gz"}:
        text = _text(scores, extra_columns=extra_columns)
        return text if file_format == "txt" else _compressed(text)
    import pyarrow as pa
    from pyarrow import parquet

    table = to_arrow(scores, extra_columns=extra_columns)
    buffer = io.BytesIO()
    if file_format == "parquet":
        parquet.write_table(table, buffer)
    else:
        with pa.ipc.new_file(buffer, table.schema) as writer:
            writer.write_table(table)
    return buffer.getvalue()


def require_pandas() -> Any:
    """Import pandas, which only data frames need.

    Returns
    -------
    module
        pandas.

    Raises
    ------
    CytoTRACE2Error
        pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise CytoTRACE2Error(
            "A DataFrame needs the package pandas, which is not installed: pip install pandas. "
            "Without it, cytotrace2_lite.run() returns arrays and Result.to_arrow() a table."
        ) from error
    return pd


def _compressed(content: bytes) -> bytes:
    """Compress by gzip, without a time or a name, so that the same content gives the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=6, fileobj=buffer, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


def _text(scores: Scores, *, extra_columns: bool) -> bytes:
    """Write the text table; numbers in the shortest form that is read back as the same number."""
    named = columns(scores, extra_columns=extra_columns)
    content = io.BytesIO()
    content.write("\t".join(["", *named]).encode() + b"\n")
    # The fields of a row take ten times the memory of its text.
    for start in range(0, len(scores.cells), _ROWS_AT_A_TIME):
        some = slice(start, start + _ROWS_AT_A_TIME)
        fields = [_fields(name, values[some]) for name, values in named.items()]
        for cell, *row in zip(scores.cells[some], *fields, strict=True):
            content.write("\t".join([quoted(cell), *map(str, row)]).encode() + b"\n")
    return content.getvalue()


def _fields(name: str, values: NDArray[Any]) -> list[Any]:
    """Give the fields of a column, "" for a missing one."""
    fields: list[Any]
    if name in LABELS:
        fields = labels_of(values, LABELS[name]).tolist()
        return fields
    fields = values.tolist()
    for cell in np.flatnonzero(np.isnan(values)):
        fields[cell] = ""
    return fields
