"""The page: what it shows as data, its scripts and its policy.

Names from files are data. They stand in the page as JSON, in which `<`, `>`, `&` and everything but
ASCII are escapes, and in tables, where `html.escape` has been over them. The policy of the page
allows its own scripts, by their digests, and no request.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite._version import __version__
from cytotrace2_lite.base.potency import POTENCY_COLORS
from cytotrace2_lite.plots.looks import (
    GENE_COLORS,
    MISSING_COLOR,
    RELATIVE_COLORS,
    group_colors,
    potency_stops,
)
from cytotrace2_lite.report.contents import potency_groups
from cytotrace2_lite.report.library import bokeh_scripts
from cytotrace2_lite.report.tables import model_title, safe, tables_html

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cytotrace2_lite.report.contents import Contents, Groups

__all__ = ["report_bytes"]

_LONGEST_NAME = 200
_NO_CODE = 255
_GENE_STEPS = 65534
_NO_GENE = 65535


def report_bytes(contents: Contents) -> bytes:
    """Make the report.

    Parameters
    ----------
    contents
        What it shows.

    Returns
    -------
    bytes
        HTML; the same for the same contents and the same version of bokeh.

    Raises
    ------
    CytoTRACE2Error
        bokeh is not installed.
    """
    scripts = [*bokeh_scripts(), _own("report.js")]
    digests = [
        "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"
        for script in scripts
    ]
    policy = (
        f"default-src 'none'; script-src {' '.join(digests)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    title = f"Potency of {len(contents.cells):,} cells"
    page = Template(_own("page.html")).substitute(
        policy=policy,
        title=html.escape(title),
        style=_own("report.css"),
        facts=_facts(contents),
        map_note=f'<p class="note">{safe(contents.why_no_map)}</p>' if contents.why_no_map else "",
        tables=tables_html(contents),
        footer=f"cytotrace2_lite {html.escape(__version__)}. The views are drawn by BokehJS, "
        "copyright Anaconda and Bokeh contributors, BSD-3-Clause. This file asks the network for "
        "nothing.",
        data=_json(_data(contents)),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )
    return page.encode()


def _own(name: str) -> str:
    return files("cytotrace2_lite.report").joinpath(name).read_text(encoding="utf-8")


def _facts(contents: Contents) -> str:
    info = contents.info
    facts = [model_title(info)]
    if path := info.get("input", {}).get("path"):
        facts.append(f"Input: {path}")
    warnings = [f for f in info.get("findings", []) if f.get("severity") == "warning"]
    parts = [f"<span>{safe(fact, 300)}</span>" for fact in facts]
    if info:
        noun = "warning" if len(warnings) == 1 else "warnings"
        kind = ' class="warning"' if warnings else ""
        parts.append(f'<span><a href="#checks"{kind}>{len(warnings)} {noun}</a></span>')
    return "".join(parts)


def _json(document: Any) -> str:
    """Write JSON that can stand in an HTML element: ASCII, no angle brackets, no ampersand."""
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _data(contents: Contents) -> dict[str, Any]:
    place = contents.embedding
    return {
        "cells": [_cut(cell) for cell in contents.cells],
        "numbers": [_number(name, values) for name, values in contents.numbers.items()],
        "categories": [
            _category(potency_groups(contents.potency_index), POTENCY_COLORS),
            *(_category(groups, group_colors(len(groups.names))) for groups in contents.groups),
        ],
        "genes": [_gene(name, values) for name, values in contents.genes.items()],
        "map": None
        if place is None
        else {
            "x": _base64(place.coordinates[:, 0].astype("<f4")),
            "y": _base64(place.coordinates[:, 1].astype("<f4")),
            "axes": [_cut(axis) for axis in place.axes],
        },
        "potency_colors": POTENCY_COLORS,
        "palettes": {
            "potency": potency_stops(),
            "relative": RELATIVE_COLORS,
            "gene": GENE_COLORS,
        },
        "missing": MISSING_COLOR,
    }


def _number(name: str, values: NDArray[np.float64]) -> dict[str, Any]:
    palette = "relative" if name == "CytoTRACE2_Relative" else "potency"
    stored = _base64(values.astype("<f4"))
    return {"name": name, "low": 0.0, "high": 1.0, "palette": palette, "values": stored}


def _category(groups: Groups, colors: tuple[str, ...] | list[str]) -> dict[str, Any]:
    codes = np.where(groups.index < 0, _NO_CODE, groups.index).astype(np.uint8)
    return {
        "name": groups.title,
        "names": [_cut(name) for name in groups.names],
        "colors": list(colors),
        "codes": _base64(codes),
    }


def _gene(name: str, values: NDArray[np.float64]) -> dict[str, Any]:
    """Store a gene in 16 bits per cell, as steps up to its highest value."""
    known = ~np.isnan(values)
    high = float(values[known].max()) if known.any() else 0.0
    steps = np.full(len(values), _NO_GENE, "<u2")
    steps[known] = np.rint(values[known] / (high or 1.0) * _GENE_STEPS)
    return {"name": _cut(name), "high": high, "values": _base64(steps)}


def _base64(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
