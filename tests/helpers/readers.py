"""Readers of files, as the tests of readers use them."""

from contextlib import closing, contextmanager

from cytotrace2_lite.read import ReadOptions
from cytotrace2_lite.read._bytes import ByteStream
from cytotrace2_lite.read._file import InputFile
from cytotrace2_lite.read.text import TextTable


@contextmanager
def text_table(path, **options):
    """The reader of a text table, as `_formats` opens it, but with blocks of any size."""
    with (
        InputFile(path) as file,
        closing(TextTable(ByteStream(file), ReadOptions(), **options)) as table,
    ):
        yield table
