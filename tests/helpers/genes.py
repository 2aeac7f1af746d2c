"""The gene tables of the package, and what the mapping answers to names."""

from pathlib import Path

import numpy as np

import cytotrace2_lite
from cytotrace2_lite.genes import features, map_genes

DATA = Path(cytotrace2_lite.__file__).parent / "data"


def read_pairs(table):
    rows = (line.split("\t") for line in (DATA / table).read_text().splitlines()[1:])
    return dict(rows)


def shuffled(names, n=None, seed=0):
    """The names, or n of them, in random order."""
    return [names[i] for i in np.random.default_rng(seed).permutation(len(names))[:n]]


def answers(names, species):
    """Feature, or None, of each name of an input."""
    return [None if i < 0 else features()[i] for i in map_genes(names, species).feature]


def one_by_one(species):
    """Feature of each name of the tables, were it alone in the input; no Ensembl ids."""
    if species == "mouse":
        tables = [list(features()), list(read_pairs("mouse_aliases.tsv"))]
    else:
        tables = [
            [*read_pairs("human_orthologs.tsv"), *read_pairs("human_uppercase.tsv")],
            list(read_pairs("human_aliases.tsv")),
        ]
    # within one table no name supersedes another
    return {k: v for names in tables for k, v in zip(names, answers(names, species), strict=True)}
