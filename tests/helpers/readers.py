"""Readers of files, and a small dataset, as the tests of readers use them."""

from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite import genes as gene_tables
from cytotrace2_lite.read import ReadOptions, read_expression
from cytotrace2_lite.read._bytes import ByteStream
from cytotrace2_lite.read._file import InputFile
from cytotrace2_lite.read.text import TextTable
from helpers import formats

GENES = ["Actb", "Gapdh", "Nanog", "Xkr4"]
CELLS = ["a", "b", "c"]
COUNTS = np.array([[5, 0, 1, 0], [0, 2, 0, 0], [300, 0, 0, 7]])


def is_known(names):
    return gene_tables.is_known(names, "mouse")


def message(path, *, error=ct2.InputError, **options):
    """What an input that is refused is refused with."""
    with pytest.raises(error) as caught:
        _ = read_expression(path, is_known, **options)[0].values
    assert type(caught.value) is error
    return str(caught.value)


def text_file(data, **options):
    Path("t.txt").write_bytes(formats.text(data, **options))
    return "t.txt"


@contextmanager
def text_table(path, **options):
    """The reader of a text table, as `_formats` opens it, but with blocks of any size."""
    with (
        InputFile(path) as file,
        closing(TextTable(ByteStream(file), ReadOptions(), **options)) as table,
    ):
        yield table
