"""Lines of text to fields, and what a field says."""

from __future__ import annotations

import re

import numpy as np

from cytotrace2_lite.text import shown

__all__ = ["name_of", "number_of", "problem_with", "split"]

# There is only one way to match each text. With two, a megabyte of digits would try all splits.
_NUMBER = re.compile(rb"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_COMMAS = re.compile(rb"[+-]?[\d.]*,[\d.,]*([eE][+-]?\d+)?")
_GROUPS = re.compile("[+-]?[0-9]{1,3}([ '\u2019\xa0\u202f._][0-9]{3})+([.,][0-9]+)?")
_INFINITE = frozenset(sign + word for sign in (b"", b"+", b"-") for word in (b"inf", b"infinity"))
_MISSING = frozenset({b"na", b"nan", b"n/a", b"null"})


def split(line: bytes, delimiter: bytes) -> list[bytes]:
    """Split a line at the delimiters outside quotes.

    Parameters
    ----------
    line
        Without its end.
    delimiter
        One byte.

    Returns
    -------
    list of bytes
        The fields, with their quotes; empty if a quote is not closed.
    """
    n_quotes = line.count(b'"')
    if not n_quotes:
        return line.split(delimiter)
    if n_quotes % 2:
        return []
    fields = []
    field: list[bytes] = []  # what was cut inside of quotes
    is_open = False
    for text in line.split(delimiter):
        field.append(text)
        is_open ^= text.count(b'"') % 2 == 1
        if not is_open:
            fields.append(delimiter.join(field))
            field = []
    return fields


def name_of(field: bytes) -> str:
    """Decode a name, without the quotes around it.

    Parameters
    ----------
    field
        The field.

    Returns
    -------
    str
        The name; a doubled quote inside of quotes is one.

    Raises
    ------
    UnicodeDecodeError
        It is not UTF-8.
    """
    name = field.decode()
    if len(name) > 1 and name[0] == name[-1] == '"':
        return name[1:-1].replace('""', '"')
    return name


def number_of(token: bytes) -> float:
    """Convert a number, which may have a sign, a decimal point and an exponent.

    Parameters
    ----------
    token
        Without blanks and quotes.

    Returns
    -------
    float
        NaN if it is something else.
    """
    return float(token) if _NUMBER.fullmatch(token) else np.nan


def problem_with(field: bytes, row: str) -> str:
    """Say what is wrong with the field of a value, and what to do.

    Parameters
    ----------
    field
        The field.
    row
        What a line of the table is, "gene" or "cell".

    Returns
    -------
    str
        Empty if nothing is wrong.
    """
    token = field.strip(b" ")
    if len(token) > 1 and token[:1] == token[-1:] == b'"':
        token = token[1:-1].strip(b" ")
    value = number_of(token)
    if token.lower() in _INFINITE or value == np.inf or value == -np.inf:
        return f"{shown(token)} is infinite. Correct the value or remove the {row}."
    if value < 0:
        return f"{shown(token)} is negative. Give counts or CPM/TPM, neither logged nor scaled."
    if value >= 0:
        return ""
    if not token:
        return f"the value is missing (empty field). Write 0 or remove the {row}."
    if token.lower() in _MISSING:
        return f"the value is missing ({shown(token)}). Write 0 or remove the {row}."
    if _COMMAS.fullmatch(token):
        return (
            f"{shown(token)} has a comma. Write numbers with a decimal point, and with nothing "
            "between thousands."
        )
    if _GROUPS.fullmatch(token.decode(errors="replace")):
        return f"{shown(token)} has marks between thousands. Write numbers without them."
    return f"{shown(token)} is not a number. Only the header and the first column may hold text."
