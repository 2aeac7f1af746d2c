"""Names of genes that a spreadsheet program has changed to dates.

Source: Zeeberg et al., BMC Bioinformatics 2004, doi 10.1186/1471-2105-5-80.
"""

from __future__ import annotations

import re

__all__ = ["is_date"]

_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_DATE = re.compile(
    rf"\d{{1,2}}-{_MONTH}|{_MONTH}-\d{{1,2}}|\d{{4}}-\d\d-\d\d( 00:00:00)?", re.IGNORECASE
)


def is_date(name: str) -> bool:
    """Tell whether a name is a date, as "1-Mar" for *March1* or "2-Sep" for *Sept2*."""
    return "-" in name and _DATE.fullmatch(name) is not None
