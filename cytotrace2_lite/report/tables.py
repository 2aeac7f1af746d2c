"""The tables of the report, as HTML that needs no script."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cytotrace2_lite.report.contents import Contents

__all__ = ["model_title", "safe", "tables_html"]

_LONGEST = 2000
_SEVERITIES = ("error", "warning", "note")
# Of `cytotrace2_genes.tsv`: what is shown, and what it is called.
_GENE_COLUMNS = {
    "gene": "Gene",
    "mean_share": "Share in the score",
    "mean_share_others": "Share elsewhere",
    "difference": "Difference",
    "expressing": "Cells with it",
    "expressing_others": "Cells elsewhere",
    "mean_log2_cpm": "Mean log2 CPM",
}
_GENES_EACH_WAY = 15
_GENES_ON_PAPER = 4
_MORE = ' class="more"'
_MOST_GENE_GROUPS = 100
_MOST_BATCHES = 500


def safe(text: object, most: int = _LONGEST) -> str:
    """Give text as HTML that is text and nothing else, cut, its direction kept to itself.

    Parameters
    ----------
    text
        Any text.
    most
        How long it may be.

    Returns
    -------
    str
        HTML.
    """
    whole = str(text)
    cut = whole if len(whole) <= most else f"{whole[: most - 1]}…"
    return html.escape(printable(cut))


def model_title(info: Mapping[str, Any]) -> str:
    """Name the model in a line, from `run.json`."""
    model = info.get("model", {})
    if official := model.get("official"):
        return f"Model: CytoTRACE 2 v{str(official).removesuffix('.0')}"
    name = model.get("name")
    return f"Model: {name}" if name else "Model: not recorded"


def tables_html(contents: Contents) -> str:
    """Make all tables.

    Parameters
    ----------
    contents
        What the report shows.

    Returns
    -------
    str
        HTML of sections.
    """
    return "\n".join(
        [
            _checks(contents.info),
            _quality(contents),
            _genes(contents.gene_table, contents.why_no_genes),
            _record(contents.info),
        ]
    )


def _section(name: str, title: str, content: str) -> str:
    return (
        f'<section class="long" id="{name}" aria-labelledby="h-{name}">'
        f'<h2 id="h-{name}">{title}</h2>{content}</section>'
    )


def _table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = (), more: str = ""
) -> str:
    """Make a table; the fields of `rows` are HTML already."""
    css = ['class="n"' if k in numeric else "" for k in range(len(heads))]
    head = "".join(f'<th scope="col" {c}>{h}</th>' for h, c in zip(heads, css, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td {c}>{field}</td>" for field, c in zip(row, css, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table {more}><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _checks(info: Mapping[str, Any]) -> str:
    findings = info.get("findings", [])
    if not findings:
        text = "No finding is recorded." if info else "There is no run.json beside the results."
        return _section("checks", "Checks and warnings", f"<p>{text}</p>")
    order = {severity: k for k, severity in enumerate(_SEVERITIES)}
    rows = [
        [
            f'<span class="{severity}">{severity}</span>',
            safe(finding.get("what", "")),
            safe(finding.get("why", "")),
            safe(finding.get("remedy", "")),
        ]
        for severity, finding in sorted(
            ((_severity(finding), finding) for finding in findings), key=lambda p: order[p[0]]
        )
    ]
    return _section(
        "checks",
        "Checks and warnings",
        _table(["Kind", "What was found", "Why it matters", "What to do"], rows),
    )


def _severity(finding: Mapping[str, Any]) -> str:
    given = finding.get("severity", "note")
    return given if given in _SEVERITIES else "note"


def _quality(contents: Contents) -> str:
    parts = []
    quality = contents.info.get("quality", {})
    batches = quality.get("batches", [])
    if batches:
        rows = [
            [
                safe(k),
                safe(batch.get("sample", "-"), 200),
                _whole(batch.get("n_cells")),
                _whole(batch.get("median_genes_per_cell")),
                _percent(batch.get("share_of_cells_under_500_genes")),
                "yes" if batch.get("smoothed_over_neighbors") else "no",
            ]
            for k, batch in enumerate(batches[:_MOST_BATCHES], 1)
        ]
        heads = ["Batch", "Sample", "Cells", "Median genes", "Under 500 genes", "Smoothed"]
        parts += ["<h3>Batches</h3>", _table(heads, rows, (2, 3, 4))]
        if len(batches) > _MOST_BATCHES:
            parts.append(f"<p>and {len(batches) - _MOST_BATCHES:,} more batches: see run.json</p>")
    score = next(iter(contents.numbers.values()))
    for groups in contents.groups:
        rows = []
        for k, name in enumerate(groups.names):
            inside = groups.index == k
            known = score[inside & ~np.isnan(score)]
            low, middle, high = (
                np.quantile(known, [0.25, 0.5, 0.75]) if len(known) else [np.nan] * 3
            )
            potencies = contents.potency_index[inside]
            sizes = [np.count_nonzero(potencies == p) for p in range(len(POTENCIES))]
            rows.append(
                [
                    f"<bdi>{safe(name, 200)}</bdi>",
                    _whole(inside.sum()),
                    _figure(middle),
                    f"{_figure(low)} to {_figure(high)}",
                    *map(_whole, sizes),
                    _whole(inside.sum() - sum(sizes)),
                ]
            )
        heads = [groups.title, "Cells", "Median score", "Quartiles", *POTENCIES, "No score"]
        parts += [
            f"<h3>{html.escape(groups.title)}s</h3>",
            _table(heads, rows, range(1, len(heads))),
        ]
    empty = quality.get("cells_without_counts", [])
    if empty:
        few = ", ".join(safe(name, 60) for name in empty[:10])
        more = " and more" if len(empty) > 10 else ""
        parts.append(f"<p>{len(empty):,} cells without counts have no score: {few}{more}</p>")
    if not parts:
        return ""
    return _section("quality", "Quality of batches and groups", "".join(parts))


def _genes(rows: Sequence[Sequence[str]], why_not: str = "") -> str:
    if why_not:
        return _section("genes-behind", "Genes behind the scores", f"<p>{safe(why_not)}</p>")
    if len(rows) < 2:
        return _section(
            "genes-behind",
            "Genes behind the scores",
            '<p class="quiet">Not there: <code>ct2-lite run --explain</code> or '
            "<code>ct2-lite explain</code> into the same directory adds them.</p>",
        )
    header = list(rows[0])
    columns = [(header.index(c), t) for c, t in _GENE_COLUMNS.items() if c in header]
    by_group: dict[str, list[Sequence[str]]] = {}
    for row in rows[1:]:
        by_group.setdefault(row[0], []).append(row)
    lines, options = [], []
    share = header.index("mean_share")
    for number, (group, found) in enumerate(list(by_group.items())[:_MOST_GENE_GROUPS]):
        options.append(f'<option value="{number}">{safe(group, 100)}</option>')
        up = [row for row in found if float(row[share] or 0) >= 0][:_GENES_EACH_WAY]
        down = [row for row in found if float(row[share] or 0) < 0][:_GENES_EACH_WAY]
        for rank, row in [*enumerate(up), *enumerate(down)]:
            fields = "".join(
                f"<td{'' if k == 0 else ' class=n'}>{_gene_field(title, row[at])}</td>"
                for k, (at, title) in enumerate(columns)
            )
            more = _MORE if rank >= _GENES_ON_PAPER else ""
            name = f"<bdi>{safe(group, 100)}</bdi>"
            lines.append(f'<tr data-group="{number}"{more}><td>{name}</td>{fields}</tr>')
    heads = "".join(
        f'<th scope="col"{"" if k == 0 else " class=n"}>{title}</th>'
        for k, (_, title) in enumerate(columns)
    )
    return _section(
        "genes-behind",
        "Genes behind the scores",
        '<p class="quiet">What each gene adds to the mean raw score of a group, compared with the '
        f"mean cell: the {_GENES_EACH_WAY} that raise it most, then those that lower it most. "
        "cytotrace2_genes.tsv has more.</p>"
        '<p class="screen"><label>Group <select id="gene-group"><option value="">all</option>'
        f"{''.join(options)}</select></label></p>"
        '<div class="scroll" tabindex="0"><table id="genes"><thead><tr><th scope="col">Group</th>'
        f"{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>",
    )


def _gene_field(title: str, text: str) -> str:
    if title == "Gene":
        return f"<bdi>{safe(text, 100)}</bdi>"
    try:
        value = float(text)
    except ValueError:
        return safe(text, 40)
    return _percent(value) if title.startswith("Cells") else f"{value:.3g}"


def _record(info: Mapping[str, Any]) -> str:
    if not info:
        return _section("record", "Record of the run", "<p>There is no run.json.</p>")
    model, source, genes = (info.get(key, {}) for key in ("model", "input", "genes"))
    seconds, memory = info.get("seconds", {}), info.get("peak_memory_bytes")
    stages = ", ".join(f"{stage} {spent} s" for stage, spent in seconds.items() if stage != "total")
    pairs = {
        "Model": model_title(info).removeprefix("Model: "),
        "Digest of the model (SHA-256)": model.get("sha256"),
        "Licence of the model": model.get("licence"),
        "Architecture": model.get("architecture"),
        "Members": model.get("n_members"),
        "Program": f"cytotrace2_lite {info.get('cytotrace2_lite', '')}",
        "Pipeline of CytoTRACE 2": info.get("pipeline"),
        "Parameters": _parameters(info.get("parameters", {})),
        "Input": source.get("path"),
        "Format": source.get("format"),
        "Digest of the input (SHA-256)": source.get("sha256"),
        "Cells": source.get("n_cells"),
        "Genes": source.get("n_genes"),
        "Genes of the model": _of(genes.get("n_mapped"), genes.get("n_features")),
        "Annotation": info.get("annotation", {}).get("path"),
        "Samples": info.get("samples", {}).get("key"),
        "Time": f"{seconds['total']} s" if "total" in seconds else None,
        "Time by stage": stages,
        "Peak memory": f"{memory / 1e6:,.0f} MB" if memory else None,
        "Results": info.get("results"),
        "Digest of the results (SHA-256)": info.get("results_sha256"),
    }
    listed = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{safe(value)}</dd>"
        for name, value in pairs.items()
        if value not in (None, "")
    )
    whole = json.dumps(info, indent=1, ensure_ascii=True)
    raw = html.escape(whole if len(whole) <= 200_000 else whole[:200_000] + "\n…")
    return _section(
        "record",
        "Record of the run",
        f'<dl>{listed}</dl><details class="screen"><summary>All of run.json</summary>'
        f"<pre>{raw}</pre></details>",
    )


def _parameters(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items() if value is not None)


def _of(part: Any, whole: Any) -> str | None:
    return None if part is None or whole is None else f"{part:,} of {whole:,}"


def _whole(value: Any) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _percent(value: Any) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _figure(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
