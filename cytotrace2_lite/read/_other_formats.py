"""Files that people have and that are not read: what they are, and how to make one that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cytotrace2_lite.errors import InputError

if TYPE_CHECKING:
    from cytotrace2_lite.read._stream import ByteStream

__all__ = ["FORMATS", "FROM_R", "refuse_other_formats"]

FORMATS = (
    "text tables (tab- or comma-separated), 10x directories, 10x .h5, .h5ad, Parquet and Arrow "
    "tables"
)
FROM_R = (
    'In R, DropletUtils::write10xCounts("expr", counts) writes a 10x directory, and '
    'write.table(as.matrix(counts), "expr.txt", sep = "\\t", quote = FALSE) a table.'
)
_R = "an R data file (.RData, .rds)"
_NUMPY = "In Python, pass the matrix: cytotrace2_lite.run(matrix, genes=..., cells=...)."
_SHEET = (
    "Save the sheet as tab-separated text, and look for gene names that the program has made "
    "dates, as 1-Mar for March1."
)
_UNPACK = "Unpack it and give the file or the directory in it."

_MAGIC = (
    (b"RDX2\n", _R, FROM_R),
    (b"RDX3\n", _R, FROM_R),
    (b"RDA3\n", _R, FROM_R),
    (b"X\n\0\0\0", _R, FROM_R),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", _SHEET),
    (b"\x93NUMPY", "a NumPy array (.npy)", _NUMPY),
    (b"\x80\x03", "a Python pickle", _NUMPY),
    (b"\x80\x04", "a Python pickle", _NUMPY),
    (b"\x80\x05", "a Python pickle", _NUMPY),
    (b"FEA1", "a Feather file of version 1", "Write it anew, as version 2."),
    (b"\xfd7zXZ\0", "xz data", "Decompress it."),
    (b"\x1f\x8b", "gzip data in gzip data", "Decompress it once."),
    (b"\xff\xfe", "UTF-16 text", "Save it as UTF-8."),
    (b"\xfe\xff", "UTF-16 text", "Save it as UTF-8."),
    (b"<!DOCTYPE", "a web page", "Download the file again, perhaps after logging in."),
    (b"<html", "a web page", "Download the file again, perhaps after logging in."),
)
_ZIP = b"PK\x03\x04"
_TAR = slice(257, 262)


def refuse_other_formats(stream: ByteStream) -> None:
    """Raise for a file of a format that is known, but not read.

    Parameters
    ----------
    stream
        The file, of which nothing but the start is looked at.

    Raises
    ------
    InputError
        It is of such a format.
    """
    start = stream.start
    if start[_TAR] == b"ustar":
        raise _refused(stream, "a tar archive", _UNPACK)
    if start.startswith(_ZIP):
        raise _refused(stream, *_kind_of_zip(start))
    for magic, what, remedy in _MAGIC:
        if start.startswith(magic):
            raise _refused(stream, what, remedy)


def _kind_of_zip(start: bytes) -> tuple[str, str]:
    """Tell from its first member what a zip archive is."""
    length = int.from_bytes(start[26:28], "little")
    member = start[30 : 30 + length]
    if member == b"[Content_Types].xml" or member.startswith((b"xl/", b"_rels/", b"docProps/")):
        return "an Excel workbook (.xlsx)", _SHEET
    if member.endswith(b".npy"):
        return "a NumPy archive (.npz)", _NUMPY
    return "a zip archive", _UNPACK


def _refused(stream: ByteStream, what: str, remedy: str) -> InputError:
    return InputError(f"{stream.name}: this is {what}, which is not read; {FORMATS} are. {remedy}")
