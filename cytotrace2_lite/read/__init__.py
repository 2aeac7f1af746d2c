"""Readers of expression: one file per format, one pass, with the names and values checked.

`open_input` gives the input that everything else is asked of. `_formats` is the table of formats.
"""

from cytotrace2_lite.read._collect import collect
from cytotrace2_lite.read._input import Input, open_input, read_expression
from cytotrace2_lite.read._lazy import DaskRows, column_of
from cytotrace2_lite.read._options import ReadOptions
from cytotrace2_lite.read._rows import Rows
from cytotrace2_lite.read._source import Companion, Source

__all__ = [
    "Companion",
    "DaskRows",
    "Input",
    "ReadOptions",
    "Rows",
    "Source",
    "collect",
    "column_of",
    "open_input",
    "read_expression",
]
