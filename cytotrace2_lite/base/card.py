"""What notebooks show of an object: a few facts, a small table, warnings, as HTML.

Names come from strangers' files: all text is escaped and cut, and nothing in it is markup, a script
or a formula. Colours are the notebook's own, so that it can be read in dark mode, too.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from cytotrace2_lite.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MOST_ROWS", "card"]

#: How many rows a table has at most.
MOST_ROWS = 14
_MOST_WARNINGS = 5
# Bytes of a field and of a sentence: the whole is less than 20 KB.
_FIELD, _SENTENCE = 100, 600


def card(
    title: str,
    facts: Mapping[str, str],
    header: Sequence[str] = (),
    rows: Sequence[Sequence[str]] = (),
    *,
    colors: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> str:
    """Compose the HTML of an object.

    Parameters
    ----------
    title
        What it is.
    facts
        Name and value of each; those without a value are left out.
    header, rows
        The table: its first column holds names, the others numbers or names. At most 14 rows are
        shown.
    colors
        One per row, as "#5E4FA2", of a mark in front of its name.
    warnings
        At most 5 are shown.

    Returns
    -------
    str
        Less than 20 KB.
    """
    # The classes keep "$" from being the start of a formula.
    parts = ['<div class="cytotrace2 tex2jax_ignore mathjax_ignore">']
    parts.append(f"<strong>{_text(title)}</strong>")
    if known := {name: value for name, value in facts.items() if value}:
        lines = (f"{_text(name)}: {_text(value, _SENTENCE)}" for name, value in known.items())
        parts.append(f"<div>{'<br>'.join(lines)}</div>")
    if rows:
        names = "".join(f"<th{_side(k)}>{_text(name)}</th>" for k, name in enumerate(header))
        parts.append(f"<table><thead><tr>{names}</tr></thead><tbody>")
        for number, row in enumerate(rows[:MOST_ROWS]):
            mark = _mark(colors[number]) if colors else ""
            fields = "".join(
                f"<td{_side(k)}>{mark if k == 0 else ''}{_text(field)}</td>"
                for k, field in enumerate(row)
            )
            parts.append(f"<tr>{fields}</tr>")
        parts.append("</tbody></table>")
        if len(rows) > MOST_ROWS:
            parts.append(f"<div>… and {len(rows) - MOST_ROWS:,} more</div>")
    if warnings:
        items = "".join(f"<li>{_text(text, _SENTENCE)}</li>" for text in warnings[:_MOST_WARNINGS])
        more = len(warnings) - _MOST_WARNINGS
        items += f"<li>… and {more:,} more</li>" if more > 0 else ""
        parts.append(f"<div>Warnings</div><ul>{items}</ul>")
    return "".join([*parts, "</div>"])


def _text(text: str, most: int = _FIELD) -> str:
    """Escape a text, and cut it where that takes more bytes than it may."""
    shown: list[str] = []
    n_bytes = 0
    for letter in printable(text[: most + 1]):
        escaped = escape(letter)
        n_bytes += len(escaped.encode())
        if n_bytes > most:
            return f"{''.join(shown)}…"
        shown.append(escaped)
    return "".join(shown)


def _side(column: int) -> str:
    return f' style="text-align:{"right" if column else "left"}"'


def _mark(color: str) -> str:
    return (
        '<span style="display:inline-block;width:.8em;height:.8em;margin-right:.4em;'
        f'border:1px solid currentColor;background:{escape(color)}"></span>'
    )
