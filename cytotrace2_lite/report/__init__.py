"""The report: one HTML file with linked views of the cells and the tables of a run.

It needs no network and no other file. BokehJS, which draws the views, is a part of it.
"""

from cytotrace2_lite.plots import REPORT_FILE
from cytotrace2_lite.report.contents import Contents, contents_of
from cytotrace2_lite.report.earlier import Added, contents_of_directory
from cytotrace2_lite.report.library import require_bokeh
from cytotrace2_lite.report.page import report_bytes
from cytotrace2_lite.report.run import contents_of_run

__all__ = [
    "REPORT_FILE",
    "Added",
    "Contents",
    "contents_of",
    "contents_of_directory",
    "contents_of_run",
    "report_bytes",
    "require_bokeh",
]
