"""Objects in memory: how each kind is recognised, and what reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.read._source import Source
from cytotrace2_lite.read.anndata import from_anndata, is_anndata

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cytotrace2_lite.read._options import ReadOptions
    from cytotrace2_lite.read._reader import Reader

__all__ = ["open_object", "refuse_names"]


def open_object(
    data: Any,
    options: ReadOptions,
    *,
    genes: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
) -> Reader:
    """Make a reader of an object in memory.

    Parameters
    ----------
    data
        An AnnData, a pandas data frame, an Arrow table, a SciPy sparse matrix, or what NumPy takes.
    options
        What to read, and how.
    genes, cells
        Names of the axes of a matrix that has none; cells are "0", "1", ... by default.

    Returns
    -------
    Reader
        Its names are known.

    Raises
    ------
    InputError
        Something is wrong with the names, or it does not hold numbers.
    UsageError
        Names are given for an object that has its own, or none for a matrix; or an option has no
        meaning for it.
    """
    opener = _opener(data)
    if opener is not None:
        refuse_names(type(data).__name__, genes, cells)
        return opener(data, options)
    from cytotrace2_lite.read.matrix import Matrix

    if hasattr(data, "collect") and hasattr(data, "collect_schema"):
        raise UsageError(
            f"the values of this {type(data).__name__} are not read yet: pass .collect()."
        )
    options.refuse("a matrix", matrix=True, gene_column=True)
    if data is None:
        raise UsageError("data is None: pass the path of a table, a matrix, a table or an AnnData.")
    if genes is None:
        raise UsageError("a matrix needs the names of its genes: pass genes=[...].")
    kind = type(data)
    source = Source(f"{kind.__module__.partition('.')[0]} {kind.__name__}")
    return Matrix(data, {"genes": genes}, cells, options, source)


def refuse_names(what: str, genes: Sequence[str] | None, cells: Sequence[str] | None) -> None:
    """Raise if names of axes are given for an input that has its own.

    Parameters
    ----------
    what
        The input, for the message.
    genes, cells
        The names.

    Raises
    ------
    UsageError
        There are any.
    """
    if genes is not None or cells is not None:
        raise UsageError(f"genes and cells name the axes of a matrix; a {what} has its own names.")


def _opener(data: Any) -> Callable[[Any, ReadOptions], Reader] | None:
    """Find what reads an object that names its axes; None for other objects."""
    if is_anndata(data):
        return from_anndata
    if hasattr(data, "iloc") and hasattr(data, "columns"):  # a data frame
        from cytotrace2_lite.read.tables import from_pandas

        return from_pandas
    if hasattr(data, "__arrow_c_stream__"):  # pyarrow, Polars and others
        from cytotrace2_lite.read.arrow import from_arrow

        return from_arrow
    return None
