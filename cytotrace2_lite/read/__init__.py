"""Readers of expression: one file per format, one sequential pass."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.counts import MAX_BYTES
from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.read._collect import collect
from cytotrace2_lite.read._input import Input, open_input
from cytotrace2_lite.read._magic import ARROW_FILE, ARROW_STREAM, HDF5, MATRIX_MARKET, PARQUET
from cytotrace2_lite.read._options import ReadOptions
from cytotrace2_lite.read._other_formats import refuse_other_formats
from cytotrace2_lite.read._stream import ByteStream, Source
from cytotrace2_lite.read.text import TextTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cytotrace2_lite.counts.expression import Expression
    from cytotrace2_lite.read._collect import Reader

__all__ = [
    "Input",
    "ReadOptions",
    "Source",
    "TextTable",
    "open_expression",
    "open_input",
    "read_expression",
    "read_with",
]


def read_expression(
    data: str | os.PathLike[str] | Any,
    is_known: Callable[[list[str]], NDArray[np.bool_]] | None = None,
    *,
    genes: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    orientation: str = "auto",
    duplicate_genes: str = "error",
    progress: Callable[[int, int, str], None] | None = None,
    max_bytes: int = MAX_BYTES,
    threads: int = 1,
) -> tuple[Expression, Source]:
    """Read an expression matrix.

    Parameters
    ----------
    data
        A path, "-" for standard input, or an object: AnnData, a pandas data frame, an Arrow table,
        a SciPy sparse matrix, or what NumPy takes. The format of a file is told by its content:
        text tables (plain, gzip, bzip2, Zstandard), directories of 10x Genomics, their `.h5`,
        `.h5ad`, Parquet, Feather and Arrow.
    is_known
        Says of some gene names which are of use, bool, shape (n_names,). The values of the others
        are checked, but not kept. It also tells which axis has the genes, and which of several
        names of the genes to take. All are kept by default.
    genes, cells
        Names of the axes of a matrix that has none; cells are "0", "1", ... by default.
    layer
        Name of a layer of AnnData to read in place of `X`; of a genome in a 10x `.h5` with several.
    use_raw
        Whether to read `.raw` of AnnData.
    orientation
        "genes-x-cells" or "cells-x-genes" of a table or matrix. "auto" tells that of a table by
        the names; a matrix is cells x genes.
    duplicate_genes
        What to do with genes of one name: "error", keep the "first", or "sum".
    progress
        Called once per block with the progress so far, its total (0 where not known), and what
        both count: "bytes" of text, else "values" or "rows".
    max_bytes
        What the values may take in memory; further ones go to a temporary file.
    threads
        How many threads may parse text. The result does not depend on it.

    Returns
    -------
    tuple
        The expression, and what it was read from.

    Raises
    ------
    InputError
        The data cannot be read, or are no finite values >= 0 with unique gene and cell names; or
        the file changed while it was read.
    UsageError
        An option has no such value, or no meaning for the data.
    OutputError
        The temporary directory is full.
    CytoTRACE2Error
        The format needs a package that is not installed.
    """
    options = ReadOptions(is_known, layer, use_raw, orientation, duplicate_genes, threads)
    return read_with(
        data, options, genes=genes, cells=cells, progress=progress, max_bytes=max_bytes
    )


def read_with(
    data: str | os.PathLike[str] | Any,
    options: ReadOptions,
    *,
    genes: Sequence[str] | None,
    cells: Sequence[str] | None,
    progress: Callable[[int, int, str], None] | None,
    max_bytes: int,
) -> tuple[Expression, Source]:
    """Read an expression matrix; see `read_expression`."""
    reader = open_expression(data, options, genes=genes, cells=cells)
    try:
        with _unchanged(reader.name if isinstance(data, (str, os.PathLike)) else ""):
            return collect(reader, options, progress, max_bytes=max_bytes)
    finally:
        reader.close()


@contextmanager
def _unchanged(name: str) -> Iterator[None]:
    """See that a file stays as it is: one cut at the end of a line would be a whole table, too."""

    def state() -> tuple[int, ...] | None:
        try:
            status = os.stat(name)  # noqa: PTH116 (as messages name it, a str)
        except (OSError, ValueError):  # a pipe or an object; or the file was removed meanwhile
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    before = state()
    try:
        yield
    except InputError:  # which a change may well have caused
        if state() == before:
            raise
    else:
        if state() == before:
            return
    raise InputError(
        f"{name}: the file changed while it was read. Start again when it is complete."
    ) from None


def open_expression(
    data: str | os.PathLike[str] | Any,
    options: ReadOptions,
    *,
    genes: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
) -> Reader:
    """Open expression data: find out the format, read the names where they come before the values.

    Parameters
    ----------
    data, genes, cells
        As for `read_expression`.
    options
        Its options.

    Returns
    -------
    Reader
        To be closed.

    Raises
    ------
    CytoTRACE2Error
        As `read_expression`.
    """
    is_path = isinstance(data, (str, os.PathLike))
    open_ = None if is_path else _opener(data)
    if (is_path or open_) and (genes is not None or cells is not None):
        what = "file" if is_path else type(data).__name__
        raise UsageError(f"genes and cells name the axes of a matrix; a {what} has its own names.")
    if is_path:
        return _open_path(data, options)
    if open_:
        return open_(data, options)
    from cytotrace2_lite.read.matrix import Matrix

    options.refuse("a matrix", matrix=True)
    if data is None:
        raise UsageError("data is None: pass the path of a table, a matrix, a table or an AnnData.")
    if genes is None:
        raise UsageError("a matrix needs the names of its genes: pass genes=[...].")
    kind = type(data)
    source = Source(f"{kind.__module__.partition('.')[0]} {kind.__name__}")
    return Matrix(data, {"genes": genes}, cells, options, source)


def _open_path(path: str | os.PathLike[str], options: ReadOptions) -> Reader:
    name = os.fspath(path)
    if os.path.isdir(name):  # noqa: PTH112 (a path as given may hold a NUL)
        from cytotrace2_lite.read.mtx import find_matrix

        name = find_matrix(name)
    stream = ByteStream(name)
    try:
        reader = _open_stream(stream, options)
    except BaseException:
        stream.close()
        raise
    return reader


def _open_stream(stream: ByteStream, options: ReadOptions) -> Reader:
    start = stream.start
    if start.startswith(MATRIX_MARKET):
        from cytotrace2_lite.read.mtx import MatrixMarket

        return MatrixMarket(stream, options)
    is_hdf5 = start.startswith(HDF5)
    if is_hdf5 or start.startswith((PARQUET, ARROW_FILE, ARROW_STREAM)):
        what = "an HDF5 file" if is_hdf5 else "a Parquet or Arrow file"
        if stream.compression is not None:
            raise InputError(f"{stream.name}: this is {what}, compressed. Decompress it.")
        if not stream.is_file:
            raise InputError(
                f"{stream.name}: {what} cannot be read from a pipe. Give the path of a file."
            )
        stream.close()
        if is_hdf5:
            from cytotrace2_lite.read.hdf5 import open_hdf5

            return open_hdf5(stream.path, options)
        from cytotrace2_lite.read.tables import open_table

        options.refuse(what, matrix=True)
        return open_table(stream.path, start, options)
    refuse_other_formats(stream)
    options.refuse("a text table", matrix=True)
    return TextTable(stream, options)


def _opener(data: Any) -> Callable[[Any, ReadOptions], Reader] | None:
    """Find the function that opens an object which names its axes; None for others."""
    from cytotrace2_lite.read import anndata

    if anndata.is_anndata(data):
        return anndata.from_anndata
    is_pandas = hasattr(data, "iloc") and hasattr(data, "columns")
    if is_pandas or hasattr(data, "__arrow_c_stream__"):  # pyarrow, Polars and others
        from cytotrace2_lite.read import tables

        return tables.from_pandas if is_pandas else tables.from_arrow
    return None
