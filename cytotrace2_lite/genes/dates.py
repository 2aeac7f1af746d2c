"""Names of genes that a spreadsheet program has changed to dates.

Source: Zeeberg et al., BMC Bioinformatics 2004, doi 10.1186/1471-2105-5-80; Ziemann et al., Genome
Biology 2016, doi 10.1186/s13059-016-1044-7. Serial numbers count days from 1899-12-30.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["dates_among", "is_date"]

_ENGLISH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_MONTH = (
    "(jan|feb|mar|m\xe4r|mrz|apr|avr|abr|may|mai|jun|jul|aug|ago|sept?|set|oct|okt|out|nov|dec|dez"
    "|dic|march|april|june|july|august|september|october|november|december)"
)
# Genes of worms are called as months in other languages, such as set-1.
_DATE = re.compile(
    rf"\d{{1,2}}[-. /]{{1,2}}{_MONTH}\.?|{_ENGLISH}-\d{{1,2}}|{_MONTH}\.?[- /]\d\d"
    rf"|\d{{1,2}}[- ]{_MONTH}[- ]\d{{2,4}}"
    r"|\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T]00:00(:00(\.0+)?)?)?"
    r"|\d{1,2}/\d{1,2}/(\d\d|\d{4})|\d{1,2}\.\d{1,2}\.(\d\d|\d{4})",
    re.IGNORECASE,
)
_HAS_MARK = re.compile(r"[-./ ]")
_SERIAL = re.compile(r"[34]\d{4}(\.0)?")
_DAY_0 = dt.date(1899, 12, 30)
# March1 to March11, Marc1 and Marc2, Sept1 to Sept15, Oct4, Dec1, Feb1, Nov1, Apr1: month and
# highest number.
_LAST_DAY = {2: 10, 3: 11, 4: 4, 9: 15, 10: 11, 11: 2, 12: 2}
_MOST_SERIALS = 60


def is_date(name: str) -> bool:
    """Tell whether a name is a date, as "1-Mar" for *March1* or "2-Sep" for *Sept2*."""
    return name[:1].isalnum() and _HAS_MARK.search(name) is not None and bool(_DATE.fullmatch(name))


def dates_among(names: Sequence[str]) -> tuple[str, ...]:
    """List the names that are dates, or the numbers by which spreadsheets store dates.

    Parameters
    ----------
    names
        Gene names.

    Returns
    -------
    tuple of str
        In input order. Numbers are among them if each is the day of a gene such as *March1*, and
        only a few of the names are numbers: many would be ids.
    """
    numbers = {name for name in names if name[:1].isdigit() and name.replace(".", "").isdigit()}
    serials = {name for name in numbers if _is_serial(name)}
    if serials != numbers or not len(numbers) <= min(_MOST_SERIALS, len(names) / 2):
        serials = set()
    found = serials.union(filter(is_date, filter(_HAS_MARK.search, names)))
    return tuple(name for name in names if name in found) if found else ()


def _is_serial(name: str) -> bool:
    if not _SERIAL.fullmatch(name):
        return False
    day = _DAY_0 + dt.timedelta(days=int(name[:5]))
    return day.day <= _LAST_DAY.get(day.month, 0)
