"""How names and numbers are shown in messages.

Messages show what strangers may have written: names in files, and names of files. Whatever these
hold, a message is one line of printable text of at most 2,000 characters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MISSING_LABELS", "contained", "first_few", "printable", "shown"]

#: Lower-case texts that R, pandas and people write where there is no label.
MISSING_LABELS = frozenset({"", "na", "n/a", "nan", "nat", "none", "null", "<na>"})

_LONGEST_MESSAGE = 2000
_LONGEST_NAME = 80


def printable(text: str, *, keep: str = "") -> str:
    """Escape what is not to be printed: control characters, line breaks, bidirectional controls.

    Parameters
    ----------
    text
        Any text.
    keep
        Characters to leave as they are.

    Returns
    -------
    str
        With escapes as Python writes them.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in keep else repr(letter)[1:-1] for letter in text
    )


def contained(text: str) -> str:
    """Make a message one line of printable text that fills no terminal, its end kept.

    Parameters
    ----------
    text
        The message.

    Returns
    -------
    str
        At most 2,000 characters.
    """
    text = printable(_cut(text))
    return _cut(text)  # escapes are longer than what they stand for


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_MESSAGE:
        return text
    end = _LONGEST_MESSAGE // 4
    return f"{text[: _LONGEST_MESSAGE - end - 3]} … {text[-end:]}"


def shown(name: object) -> str:
    """Quote a name or a value for a message.

    Parameters
    ----------
    name
        Of a cell, a gene, a column, a file; bytes are taken for UTF-8.

    Returns
    -------
    str
        In quotation marks, cut, and with whatever is not printable escaped.
    """
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    return repr(text if len(text) <= _LONGEST_NAME else text[:_LONGEST_NAME] + "…")


def first_few(names: Sequence[str], most: int = 3) -> str:
    """Name the first of some cells, genes or columns in a message.

    Parameters
    ----------
    names
        All of them.
    most
        How many to name.

    Returns
    -------
    str
        In quotation marks, with "..." where there are more.
    """
    return ", ".join(map(shown, names[:most])) + (", ..." if len(names) > most else "")
