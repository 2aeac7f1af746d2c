"""Make the two example tables from the full datasets.

    python make_example_data.py DATASETS

DATASETS holds the folders `enteric_morarach2021` and `palantir_marrow`, each with `expr.npz` (scipy
CSR, cells x genes), `genes.txt` (one name per column) and `cells.tsv` (cell_id, label, ...). Of
each, 300 cells are taken: in the order of (label, position in the dataset), every n/300-th; they
are written in the order of the dataset, with all genes. The output is the same on every run.
Needs numpy and scipy.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp

HERE = Path(__file__).resolve().parent
N_CELLS = 300
TABLES = {"enteric_300": "enteric_morarach2021", "palantir_300": "palantir_marrow"}


def choose(labels, n_cells):
    """Cells evenly spaced over the dataset ordered by label: every label keeps its share."""
    by_label = sorted(range(len(labels)), key=lambda cell: (labels[cell], cell))
    steps = np.linspace(0, len(labels) - 1, n_cells).round().astype(int)
    return np.sort(np.array(by_label)[steps])


def write_table(path, genes, cells, counts):
    """Genes x cells, tab-separated, first field of the header empty; no time stamp in the gzip."""
    lines = ["\t".join(["", *cells])]
    for gene, row in zip(genes, counts.T.toarray(), strict=True):
        lines.append("\t".join([gene, *map(str, row.tolist())]))
    text = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(text, 9, mtime=0))
    return hashlib.sha256(text).hexdigest()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", type=Path)
    args = parser.parse_args()
    for name, folder in TABLES.items():
        source = args.datasets / folder
        genes = (source / "genes.txt").read_text().splitlines()
        rows = [line.split("\t") for line in (source / "cells.tsv").read_text().splitlines()[1:]]
        expression = sp.load_npz(source / "expr.npz").tocsr()
        if len(set(genes)) != len(genes) or (expression.data != np.rint(expression.data)).any():
            sys.exit(f"{source}: gene names must be unique and values whole numbers")
        chosen = choose([row[1] for row in rows], N_CELLS)
        cells = [rows[i][0] for i in chosen]
        path = HERE / f"{name}.txt.gz"
        digest = write_table(path, genes, cells, expression[chosen].astype(np.int64))
        annotation = ["cell_id\tlabel", *("\t".join(rows[i][:2]) for i in chosen)]
        (HERE / f"{name}_annotation.txt").write_text("\n".join(annotation) + "\n")
        sys.stdout.write(f"{path.name}: {len(genes)} genes x {len(cells)} cells, {digest}\n")


if __name__ == "__main__":
    main()
