"""Build the gene tables of ``cytotrace2_lite/data`` from an installed ``cytotrace2-py``.

Run it with the interpreter of an environment that has ``cytotrace2-py`` (nothing of it is
imported, and only the standard library is needed)::

    python tools/build_gene_tables.py

The same sources give the same bytes. ``TABLES`` says what each table holds, ``provenance.json``
beside them from which source files they were made.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.util
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SOURCES = (
    "features_model_training.csv",
    "mart_export.txt",
    "human_alias_list.txt",
    "mouse_alias_list.txt",
)
TABLES = {
    "features.txt": "the genes of the model, mouse symbols, in the order of the model",
    "human_orthologs.tsv": "human symbol -> feature it is the best ortholog of",
    "human_uppercase.tsv": "upper-case name -> feature that no ortholog reaches",
    "human_aliases.tsv": "human alias or previous symbol -> feature",
    "mouse_aliases.tsv": "mouse synonym or old symbol -> feature",
    "human_ensembl.tsv": "Ensembl gene id -> human symbol or alias that has a feature",
    "mouse_ensembl.tsv": "Ensembl gene id -> mouse symbol or alias that has a feature",
}

HUMAN = "Gene name"
HUMAN_ID = "Gene stable ID"
MOUSE = "Mouse gene name"
MOUSE_ID = "Mouse gene stable ID"
MOUSE_TO_HUMAN_IDENTITY = "%id. target Mouse gene identical to query gene"
HUMAN_TO_MOUSE_IDENTITY = "%id. query gene identical to target Mouse gene"

# cytotrace2-py reads its sources with pandas, which takes these fields for missing. A gene of such
# a name would vanish there and not here, so there must be none.
PANDAS_MISSING = {
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "None",
    "n/a",
    "nan",
    "null",
}


def read_table(path: Path, delimiter: str) -> list[dict[str, str]]:
    """Rows of a delimited file with a header; an empty field is the empty string.

    Raises
    ------
    SystemExit
        If a field is one that pandas would take for missing, or a row has not as many fields as
        the header.
    """
    with path.open(encoding="utf-8", newline="") as file:
        # restval fills short rows, restkey takes the extra fields of long rows: both are refused
        rows = list(csv.DictReader(file, delimiter=delimiter, restval="NA", restkey="NA"))
    for number, row in enumerate(rows, start=2):
        if "NA" in row or not PANDAS_MISSING.isdisjoint(row.values()):
            sys.exit(f"{path.name}: line {number} has a missing field or one that reads as missing")
    return rows


def best_orthologs(mart: list[dict[str, str]]) -> dict[str, str]:
    """Human symbol -> mouse symbol, one to one, by the two best-hit steps of cytotrace2-py.

    First per human symbol the row with the largest identity of the mouse gene to it, then per
    mouse symbol the human symbol (in code-point order) with the largest identity to it; of equals
    the last one. (The sort in cytotrace2-py is not stable: which of equals it takes depends on the
    processor. It matters for one feature, Krtap1-5.)
    """
    per_human: dict[str, dict[str, str]] = {}
    for row in mart:
        if "" in row.values():
            continue
        best = per_human.get(row[HUMAN])
        if best is None or float(row[MOUSE_TO_HUMAN_IDENTITY]) >= float(
            best[MOUSE_TO_HUMAN_IDENTITY]
        ):
            per_human[row[HUMAN]] = row
    per_mouse: dict[str, dict[str, str]] = {}
    for _, row in sorted(per_human.items()):
        best = per_mouse.get(row[MOUSE])
        if best is None or float(row[HUMAN_TO_MOUSE_IDENTITY]) >= float(
            best[HUMAN_TO_MOUSE_IDENTITY]
        ):
            per_mouse[row[MOUSE]] = row
    return {row[HUMAN]: mouse for mouse, row in per_mouse.items()}


def ensembl_symbols(
    mart: list[dict[str, str]], id_column: str, symbol_column: str, known: Iterable[str]
) -> dict[str, str]:
    """Ensembl gene id -> symbol, for the symbols in `known`, ids in code-point order."""
    known = set(known)
    symbols: dict[str, str] = {}
    for row in mart:
        if row[symbol_column] in known and row[id_column]:
            symbol = symbols.setdefault(row[id_column], row[symbol_column])
            if symbol != row[symbol_column]:
                sys.exit(f"mart_export.txt: {row[id_column]} has two symbols")
    return dict(sorted(symbols.items()))


def build(resources: Path) -> dict[str, list[str]]:
    """Lines of each table of ``TABLES``.

    Parameters
    ----------
    resources
        Folder ``resources`` of the installed ``cytotrace2_py``.

    Raises
    ------
    SystemExit
        If the sources break something the tables rely on: one symbol and at most one alias per
        feature, and no white space in a name.
    """
    features = [row["0"] for row in read_table(resources / "features_model_training.csv", ",")]
    mart = read_table(resources / "mart_export.txt", "\t")
    human_aliases = {
        row["Alias or Previous Gene name"]: row[MOUSE]
        for row in read_table(resources / "human_alias_list.txt", "\t")
    }
    mouse_aliases = {
        row["alias"]: row["mmgene"] for row in read_table(resources / "mouse_alias_list.txt", "\t")
    }

    index = {feature: i for i, feature in enumerate(features)}
    all_orthologs = best_orthologs(mart)
    reached = set(all_orthologs.values())
    uppercase = {feature.upper(): feature for feature in features if feature not in reached}
    if not uppercase.keys().isdisjoint(all_orthologs):
        sys.exit("an upper-case name is also the symbol of an ortholog")
    orthologs = {human: mouse for human, mouse in all_orthologs.items() if mouse in index}
    # An alias is looked up only for a name that has no ortholog at all, be it a feature or not.
    human_aliases = {
        alias: feature
        for alias, feature in human_aliases.items()
        if alias not in all_orthologs and alias not in uppercase
    }
    mouse_aliases = {
        alias: feature for alias, feature in mouse_aliases.items() if alias not in index
    }
    if sorted([*orthologs.values(), *uppercase.values()]) != sorted(features):
        sys.exit("not every feature is reached by exactly one human symbol")
    for aliases in (human_aliases, mouse_aliases):
        if len(set(aliases.values())) != len(aliases) or not set(aliases.values()) <= set(features):
            sys.exit("an alias reaches no feature, or one that another alias reaches")

    def by_feature(table: dict[str, str]) -> dict[str, str]:
        return dict(sorted(table.items(), key=lambda pair: index[pair[1]]))

    tables = {
        "human_orthologs.tsv": ("symbol", "feature", by_feature(orthologs)),
        "human_uppercase.tsv": ("symbol", "feature", by_feature(uppercase)),
        "human_aliases.tsv": ("alias", "feature", by_feature(human_aliases)),
        "mouse_aliases.tsv": ("alias", "feature", by_feature(mouse_aliases)),
        "human_ensembl.tsv": (
            "id",
            "symbol",
            ensembl_symbols(mart, HUMAN_ID, HUMAN, [*orthologs, *uppercase, *human_aliases]),
        ),
        "mouse_ensembl.tsv": (
            "id",
            "symbol",
            ensembl_symbols(mart, MOUSE_ID, MOUSE, [*features, *mouse_aliases]),
        ),
    }
    lines = {"features.txt": features}
    for name, (key, value, table) in tables.items():
        lines[name] = [f"{key}\t{value}", *(f"{k}\t{v}" for k, v in table.items())]
    for name, rows in lines.items():
        fields = 1 if name == "features.txt" else 2
        if any(len(row.split()) != fields for row in rows):
            sys.exit(f"{name}: a name is empty or has white space in it")
    return lines


def main() -> None:
    """Command line."""
    root = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--out",
        type=Path,
        default=root / "cytotrace2_lite" / "data",
        help="folder to write to (default: cytotrace2_lite/data of this checkout)",
    )
    out: Path = parser.parse_args().out

    # find_spec imports nothing: importing cytotrace2_py would load torch and scanpy
    spec = importlib.util.find_spec("cytotrace2_py")
    if spec is None or spec.origin is None:
        sys.exit("cytotrace2-py is not installed here: pip install cytotrace2-py==1.1.0.4")
    resources = Path(spec.origin).parent / "resources"

    out.mkdir(parents=True, exist_ok=True)
    tables = build(resources)
    for name, table in tables.items():
        (out / name).write_bytes("".join(f"{row}\n" for row in table).encode())
    rows = {name: len(table) - (name != "features.txt") for name, table in tables.items()}
    provenance = {
        "source": f"cytotrace2-py {version('cytotrace2-py')}",
        "made_by": "tools/build_gene_tables.py",
        "sources_sha256": {
            name: hashlib.sha256((resources / name).read_bytes()).hexdigest() for name in SOURCES
        },
        "tables": {name: {"holds": holds, "rows": rows[name]} for name, holds in TABLES.items()},
    }
    (out / "provenance.json").write_bytes((json.dumps(provenance, indent=2) + "\n").encode())
    for name, n_rows in rows.items():
        print(f"{name}: {n_rows:,} rows")


if __name__ == "__main__":
    main()
