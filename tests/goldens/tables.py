"""The input table of every golden case, made from the example data. NumPy only.

    genes, cells, values = table("mouse_120")   # values: (n_genes, n_cells), int64 or float64
    text = as_text("mouse_120")                 # the genes x cells file upstream read, as bytes

No table of a case is stored, except that of `batches`, whose 1,050 cells are not in the example
data. `table_sha256` of a golden is the SHA-256 of `as_text`.
"""

from __future__ import annotations

import functools
import gzip
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "data"
BATCHES_TABLE = HERE / "batches_table.txt.gz"

# Arguments of upstream's cytotrace2() per case.
CASES = {
    "mouse_120": {"species": "mouse"},
    "human_aliases": {"species": "human"},
    "batches": {"species": "mouse", "batch_size": 400, "smooth_batch_size": 150},
    "small_60": {"species": "human", "smooth_batch_size": 25, "seed": 7},
    "exactly_100": {"species": "mouse"},
    "lone_cell": {"species": "mouse"},
    "ties": {"species": "human"},
}
DEFAULTS = {"batch_size": 10000, "smooth_batch_size": 1000, "seed": 14}

# Model gene -> alias that replaces it in the table; all are expressed in most cells.
MOUSE_RENAMED = {
    "Rpl23": "D7Zem4",
    "H2afz": "H2az1",
    "Atp5b": "Atp5f1b",
    "Atpif1": "Atp5if1",
    "Uba52": "Ubg",
    "Sept7": "Septin7",
}
# Alias added -> gene whose values it gets. The official Atp5a1 and Atp5h stay: the alias is unused.
MOUSE_ADDED_FIRST = {"Atp5f1a": "Actb"}
MOUSE_ADDED_LAST = {"Atp5pd": "Tmsb4x"}
# Human symbol -> alias in upstream's human_alias_list.txt that replaces it.
HUMAN_RENAMED = {
    "TXN": "TXN1",
    "HPRT1": "HPRT",
    "RAB7A": "RAB7",
    "TMEM167A": "TMEM167",
    "NT5C3A": "NT5C3",
}
# ATP6V0E1, CAMLG and SYPL1 are in the table as well and win.
HUMAN_ADDED_FIRST = {"ATP6V0E": "ACTB", "SYPL": "B2M"}
HUMAN_ADDED_LAST = {"CAML": "TMSB4X"}

# The last cells of `ties`: copies of its first 6 cells, then 4 cells correlated to no other.
N_PAIRS, N_ORPHANS = 6, 4


@functools.cache
def read(path):
    """Read a genes x cells table of whole numbers; the array is read-only."""
    lines = gzip.decompress(Path(path).read_bytes()).decode().splitlines()
    cells = lines[0].split("\t")[1:]
    genes = [line[: line.index("\t")] for line in lines[1:]]
    values = np.array([line.split("\t")[1:] for line in lines[1:]], dtype=np.int64)
    values.flags.writeable = False
    return tuple(genes), tuple(cells), values


def _example(name, cells):
    genes, names, values = read(EXAMPLES / f"{name}.txt.gz")
    return list(genes), [names[i] for i in cells], values[:, cells].copy()


def _spread(n_cells, *, shift=0):
    return (np.arange(n_cells) * 300) // n_cells + shift


def _alias(genes, values, renamed, first, last):
    """Rename genes and add rows under further names before and after all others."""
    row = {gene: i for i, gene in enumerate(genes)}
    names = [*first, *(renamed.get(gene, gene) for gene in genes), *last]
    rows = [row[gene] for gene in first.values()]
    rows += list(range(len(genes)))
    rows += [row[gene] for gene in last.values()]
    return names, values[rows]


def _orphans(values):
    """Cells correlated to no other: each expresses 60 genes that no other cell does."""
    unexpressed = np.flatnonzero(values.sum(axis=1) == 0)[: 60 * N_ORPHANS]
    made = np.zeros((len(values), N_ORPHANS), dtype=np.int64)
    for k in range(N_ORPHANS):
        made[unexpressed[k::N_ORPHANS], k] = 1 + np.arange(60) % 5
    return made


def table(case):
    """Give genes, cells and values (n_genes, n_cells) of a case."""
    if case == "batches":
        genes, cells, values = read(BATCHES_TABLE)
        return list(genes), list(cells), values
    if case == "mouse_120":
        genes, cells, values = _example("enteric_300", _spread(120))
        renamed = _alias(genes, values, MOUSE_RENAMED, MOUSE_ADDED_FIRST, MOUSE_ADDED_LAST)
        return renamed[0], cells, renamed[1]
    if case == "human_aliases":
        genes, cells, values = _example("palantir_300", _spread(110, shift=2))
        renamed = _alias(genes, values, HUMAN_RENAMED, HUMAN_ADDED_FIRST, HUMAN_ADDED_LAST)
        return renamed[0], cells, renamed[1]
    if case == "small_60":  # counts per million, two decimals
        genes, cells, values = _example("palantir_300", _spread(60, shift=2))
        return genes, cells, np.round(values * 1e6 / values.sum(axis=0), 2)
    if case in {"exactly_100", "lone_cell"}:
        return _example("enteric_300", _spread(100, shift=2))
    if case == "ties":  # under 100 cells: kNN would depend on which of two equally near comes first
        genes, cells, values = _example("palantir_300", _spread(84, shift=1))
        values = np.hstack([values, values[:, :N_PAIRS], _orphans(values)])
        cells += [f"{cell}_twin" for cell in cells[:N_PAIRS]]
        cells += [f"orphan_{k}" for k in range(N_ORPHANS)]
        return genes, cells, values
    raise KeyError(case)


def as_text(case):
    """Give the table as the tab-separated file upstream reads, as bytes."""
    genes, cells, values = table(case)
    lines = ["\t".join(["", *cells])]
    for gene, row in zip(genes, values.tolist(), strict=True):
        lines.append("\t".join([gene, *("0" if value == 0 else repr(value) for value in row)]))
    return ("\n".join(lines) + "\n").encode()
