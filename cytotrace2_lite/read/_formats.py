"""The formats of files: how each is recognised, and what opens it or why it is not read.

A new format is a new file with a reader, and a row of `FORMATS`, or of `_layouts.LAYOUTS` if it is
HDF5. The first row that fits counts.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read import h5ad, rds
from cytotrace2_lite.read._bytes import ByteStream
from cytotrace2_lite.read._hdf5_matrix import Hdf5Matrix
from cytotrace2_lite.read._layouts import LAYOUTS, ZARR_LAYOUTS, CellData, layout_of
from cytotrace2_lite.read._store import StoreDirectory
from cytotrace2_lite.read.hdf5 import opened
from cytotrace2_lite.text import first_few

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cytotrace2_lite.read._file import InputFile
    from cytotrace2_lite.read._layouts import Layout
    from cytotrace2_lite.read._options import ReadOptions
    from cytotrace2_lite.read._reader import Reader

    Recognise = Callable[[ByteStream], bool]
    OpenFormat = Callable[[ByteStream, ReadOptions], Reader]

__all__ = ["FORMATS", "READ", "Format", "cell_data", "is_h5ad", "is_r", "open_file"]


class Format(NamedTuple):
    """A format of files.

    Attributes
    ----------
    what
        How messages name such a file.
    fits
        Tells by the content whether a file is one.
    opener
        Makes a reader of such a file; None if the format is not read.
    remedy
        What to do with such a file, if the format is not read.
    on_disk
        Whether it is read at positions in any order, and so neither compressed nor from a pipe.
    """

    what: str
    fits: Recognise
    opener: OpenFormat | None = None
    remedy: str = ""
    on_disk: bool = False


def open_file(file: InputFile | StoreDirectory, options: ReadOptions) -> Reader:
    """Find out the format of a file and open it.

    Parameters
    ----------
    file
        The file, or the directory of a Zarr store.
    options
        What to read, and how.

    Returns
    -------
    Reader
        The names are read where they come before the values.

    Raises
    ------
    InputError
        It is of a format that is not read, damaged, or something is wrong with its names.
    UsageError
        An option has no meaning for the format.
    CytoTRACE2Error
        The format needs a package that is not installed.
    """
    if isinstance(file, StoreDirectory):
        return _open_store(file, options)
    stream = ByteStream(file)
    row = _format_of(stream)
    if row.opener is None:
        raise InputError(
            f"{file.name}: this is {row.what}, which is not read; {READ} are. {row.remedy}"
        )
    if row.on_disk and stream.compression is not None:
        raise InputError(f"{file.name}: this is {row.what}, compressed. Decompress it.")
    if row.on_disk and not file.is_file:
        raise InputError(
            f"{file.name}: {row.what} cannot be read from a pipe. Give the path of a file."
        )
    return row.opener(stream, options)


def is_h5ad(file: InputFile) -> bool:
    """Tell by the content whether a file on disk is a `.h5ad`.

    Parameters
    ----------
    file
        The file; False if it is a pipe or standard input, of which nothing is read.

    Raises
    ------
    InputError
        It is a damaged HDF5 file.
    CytoTRACE2Error
        It is an HDF5 file, and h5py is not installed.
    """
    if not file.is_file or _format_of(ByteStream(file)).opener is not _open_hdf5:
        return False
    with opened(file) as content:
        row = layout_of(file.name, content, LAYOUTS)
        return row is not None and row.opener is h5ad.open_h5ad


def is_r(file: InputFile) -> bool:
    """Tell by the content whether a file on disk is R's.

    Parameters
    ----------
    file
        The file; False if it is a pipe or standard input, of which nothing is read.
    """
    return file.is_file and _format_of(ByteStream(file)).opener is rds.open_r


@contextmanager
def cell_data(file: InputFile | StoreDirectory) -> Iterator[CellData | None]:
    """Open a file for what it says about its cells besides expression.

    Parameters
    ----------
    file
        The file. If it is a pipe or standard input, nothing of it is read.

    Yields
    ------
    CellData or None
        None if a file of this format says nothing of the kind.

    Raises
    ------
    InputError
        It is a damaged HDF5 file.
    CytoTRACE2Error
        It is an HDF5 file, and h5py is not installed.
    """
    with _content(file) as (content, layouts):
        row = None if content is None else layout_of(file.name, content, layouts)
        if row is None or row.labels is None or row.coordinates is None:
            yield None
        else:
            yield CellData(
                partial(row.labels, file.name, content),
                partial(row.coordinates, file.name, content),
                row.swapped,
            )


@contextmanager
def _content(file: InputFile | StoreDirectory) -> Iterator[tuple[Any, Sequence[Layout]]]:
    """Open an HDF5 file or a Zarr store: its content, and its possible layouts."""
    opener: OpenFormat | None = None
    if isinstance(file, StoreDirectory):
        opener = _open_zarr
    elif file.is_file:
        opener = _format_of(ByteStream(file)).opener
    if opener is _open_zarr:
        from cytotrace2_lite.read.zarr import opened_store

        with opened_store(file) as content:
            yield content, ZARR_LAYOUTS
    elif opener is _open_hdf5 and not isinstance(file, StoreDirectory):
        with opened(file) as content:
            yield content, LAYOUTS
    else:
        yield None, ()


def _format_of(stream: ByteStream) -> Format:
    return next(row for row in FORMATS if row.fits(stream))


def _open_text(stream: ByteStream, options: ReadOptions) -> Reader:
    from cytotrace2_lite.read.text import TextTable

    return TextTable(stream, options)


def _open_mtx(stream: ByteStream, options: ReadOptions) -> Reader:
    from cytotrace2_lite.read.mtx import MatrixMarket

    return MatrixMarket(stream, options)


def _open_parquet(stream: ByteStream, options: ReadOptions) -> Reader:
    from cytotrace2_lite.read.arrow import open_parquet

    return open_parquet(stream.file, options)


def _open_arrow_file(stream: ByteStream, options: ReadOptions) -> Reader:
    from cytotrace2_lite.read.arrow import open_arrow_file

    return open_arrow_file(stream.file, options)


def _open_arrow_stream(stream: ByteStream, options: ReadOptions) -> Reader:
    from cytotrace2_lite.read.arrow import open_arrow_stream

    return open_arrow_stream(stream.file, options)


def _open_zarr(stream: ByteStream, options: ReadOptions) -> Reader:
    return _open_store(stream.file, options)


def _open_store(file: InputFile | StoreDirectory, options: ReadOptions) -> Reader:
    """Open a Zarr store, in a directory or a zip archive."""
    from cytotrace2_lite.read.zarr import anndata_groups, opened_store

    with ExitStack() as stack:
        root = stack.enter_context(opened_store(file))
        row = layout_of(file.name, root, ZARR_LAYOUTS)
        if row is None or row.opener is None:
            inner = anndata_groups(root)
            found = first_few(list(root), most=5) or "nothing"
            remedy = f" There is AnnData in {first_few(inner)}: give that." if inner else ""
            raise InputError(
                f"{file.name}: this Zarr store is neither AnnData nor MuData; it holds {found}."
                + remedy
            )
        named = row.opener(file.name, root, options)
        named = named._replace(source=replace(named.source, format="zarr"))
        return Hdf5Matrix(file, named, stack, options)


def _is_zarr_in_zip(stream: ByteStream) -> bool:
    if not stream.start.startswith(b"PK\x03\x04"):
        return False
    if not stream.file.is_file or stream.compression is not None:
        return False
    from cytotrace2_lite.read.zarr import is_zip_store

    return is_zip_store(stream.file)


def _open_hdf5(stream: ByteStream, options: ReadOptions) -> Reader:
    file = stream.file
    with ExitStack() as stack:
        content = stack.enter_context(opened(file))
        row = layout_of(file.name, content, LAYOUTS)
        if row is None:
            found = first_few(sorted(content), most=5) or "nothing"
            raise InputError(
                f"{file.name}: this HDF5 file is neither .h5ad nor the .h5 of a 10x matrix; it "
                f"holds {found}."
            )
        if row.opener is None:
            remedy = row.remedy.format(path=file.name)
            raise InputError(f"{file.name}: this is {row.what}, which is not read. {remedy}")
        named = row.opener(file.name, content, options)
        return Hdf5Matrix(file, named, stack, options)


def _starts(*starts: bytes) -> Recognise:
    """Recognise a format by its first bytes."""
    return lambda stream: stream.start.startswith(starts)


def _is_matrix_market(stream: ByteStream) -> bool:
    return (
        re.match(rb"(\xef\xbb\xbf)?\s*%+[ \t]*MatrixMarket", stream.start, re.IGNORECASE)
        is not None
    )


def _is_parquet(stream: ByteStream) -> bool:
    # A binary number follows. A text table may begin with PAR1, which is a name of a gene.
    return re.match(rb"PAR1[\0-\x08\x0b\x0c\x0e-\x1f]", stream.start) is not None


def _is_zip_of(fits_member: Callable[[bytes], bool]) -> Recognise:
    """Recognise a zip archive by the name of its first file."""

    def fits(stream: ByteStream) -> bool:
        start = stream.start
        length = int.from_bytes(start[26:28], "little")
        return start.startswith(b"PK\x03\x04") and fits_member(start[30 : 30 + length])

    return fits


def _is_of_workbook(member: bytes) -> bool:
    return member.startswith((b"[Content_Types].xml", b"xl/", b"_rels/", b"docProps/"))


def _is_tar(stream: ByteStream) -> bool:
    return stream.start[257:].startswith((b"ustar\0", b"ustar  \0"))


def _has_user_block(stream: ByteStream) -> bool:
    """Recognise an HDF5 file with something else at its beginning, as MATLAB writes them.

    Source: HDF5 File Format Specification, "Superblock", which is at 0, 512, 1024, 2048 and so on.
    """
    position = 512
    while position < len(stream.start):
        if stream.start.startswith(_HDF5, position):
            return True
        position *= 2
    if not stream.file.is_file or stream.compression is not None:
        return False
    while position < stream.file.n_bytes:
        if stream.file.bytes_at(position, len(_HDF5)) == _HDF5:
            return True
        position *= 2
    return False


_HDF5 = b"\x89HDF\r\n\x1a\n"
#: What messages say is read.
READ = (
    "text tables (tab- or comma-separated), 10x directories, 10x .h5, .h5ad, .h5mu, "
    ".h5Seurat, Loom, Zarr, .rds, Parquet and Arrow tables"
)
_NUMPY = "In Python, pass the matrix: cytotrace2_lite.run(matrix, genes=..., cells=...)."
_SHEET = (
    "Save the sheet as tab-separated text, and look for gene names that the program has made "
    "dates, as 1-Mar for March1."
)
_UNPACK = "Unpack it and give the file or the directory in it."
_UTF8 = "Save it as UTF-8."
_DOWNLOAD = "Download the file again, perhaps after logging in."

FORMATS = (
    Format("a MatrixMarket file", _is_matrix_market, _open_mtx),
    Format("an HDF5 file", _starts(_HDF5), _open_hdf5, on_disk=True),
    Format("a Parquet or Arrow file", _is_parquet, _open_parquet, on_disk=True),
    Format("a Parquet or Arrow file", _starts(b"ARROW1\0\0"), _open_arrow_file, on_disk=True),
    Format("a Parquet or Arrow file", _starts(b"\xff" * 4), _open_arrow_stream, on_disk=True),
    Format("a tar archive", _is_tar, remedy=_UNPACK),
    Format("an Excel workbook (.xlsx)", _is_zip_of(_is_of_workbook), remedy=_SHEET),
    Format(
        "a NumPy archive (.npz)", _is_zip_of(lambda name: name.endswith(b".npy")), remedy=_NUMPY
    ),
    Format("a Zarr store in a zip archive", _is_zarr_in_zip, _open_zarr, on_disk=True),
    Format("a zip archive", _is_zip_of(lambda _: True), remedy=_UNPACK),
    Format("an R data file (.rds, .RData)", rds.is_r, rds.open_r),
    Format("an Excel workbook (.xls)", _starts(b"\xd0\xcf\x11\xe0"), remedy=_SHEET),
    Format("a NumPy array (.npy)", _starts(b"\x93NUMPY"), remedy=_NUMPY),
    Format("a Python pickle", _starts(b"\x80\x03", b"\x80\x04", b"\x80\x05"), remedy=_NUMPY),
    Format(
        "a Feather file of version 1", _starts(b"FEA1\0"), remedy="Write it anew, as version 2."
    ),
    Format("xz data in compressed data", _starts(b"\xfd7zXZ\0"), remedy="Decompress it once."),
    Format("gzip data in gzip data", _starts(b"\x1f\x8b\x08"), remedy="Decompress it once."),
    Format("UTF-16 text", _starts(b"\xff\xfe", b"\xfe\xff"), remedy=_UTF8),
    Format("a web page", _starts(b"<!DOCTYPE", b"<html"), remedy=_DOWNLOAD),
    # After a tar archive, whose first file begins at 512, too.
    Format("an HDF5 file", _has_user_block, _open_hdf5, on_disk=True),
    Format("a text table", lambda _: True, _open_text),
)
