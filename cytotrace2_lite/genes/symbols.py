"""The names of genes that are known: symbols, aliases and Ensembl ids of the model's features.

The model has 14,271 genes, its features, by mouse symbols, some of which are out of date by now.
A name of the input comes to one of these features

- as the symbol itself (mouse);
- as the symbol of its best human ortholog, or as its upper-case name where it has none (human);
- as an alias, that is a synonym or an earlier or later symbol of the same gene (both species);
- as the Ensembl gene id, with or without version, of one of all these (both species);
- as the gene of another species whose mouse symbol the user's table of orthologs gives.

The tables lie in ``data/`` and are made by ``tools/build_gene_tables.py`` from the resources of
cytotrace2-py 1.1.0.4. They are read when first needed, those of Ensembl only when a name is an
Ensembl id.

Source: ``build_mapping_dict`` in ``common/gen_utils.py`` of cytotrace2-py (behaviour).

Differs: cytotrace2-py knows no Ensembl ids. Its sort of the orthologs depends on the processor;
here the last of equals is taken, which matters for ``Krtap1-5`` alone.
"""

from __future__ import annotations

import functools
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cytotrace2_lite.base.parameters import SPECIES
from cytotrace2_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "ALIAS",
    "ENSEMBL",
    "ENSEMBL_PREFIX",
    "N_FEATURES",
    "ORTHOLOG",
    "SYMBOL",
    "UNKNOWN",
    "UPPERCASE",
    "Recognised",
    "features",
    "human_symbols",
    "is_known",
    "known_mouse_symbols",
    "look_up",
    "recognised",
]

#: Number of genes of the model.
N_FEATURES = 14_271
#: How the Ensembl gene ids of a species begin.
ENSEMBL_PREFIX = {"mouse": "ENSMUSG", "human": "ENSG"}
#: How a name comes to a feature, the better way first. An Ensembl id is `ENSEMBL` plus the way of
#: its symbol.
SYMBOL, ORTHOLOG, UPPERCASE, ALIAS, ENSEMBL = range(5)
#: The code of a name that comes to no feature, see `look_up`.
UNKNOWN = -1

_DATA = Path(__file__).parent.with_name("data")


class Recognised(NamedTuple):
    """How many gene names are known as symbols (or aliases) and how many as Ensembl ids."""

    symbols: int
    ids: int


@functools.cache
def features() -> tuple[str, ...]:
    """Return the 14,271 genes of the model, as mouse symbols, in the order of the model."""
    return tuple((_DATA / "features.txt").read_text(encoding="utf-8").split())


@functools.cache
def human_symbols() -> tuple[str, ...]:
    """Give the human gene that each feature is, its best ortholog; "" where there is none."""
    best = [""] * N_FEATURES
    for name, code in _symbols("human").items():
        way, feature = divmod(code, N_FEATURES)
        if way in (ORTHOLOG, UPPERCASE):
            best[feature] = name
    return tuple(best)


def known_mouse_symbols(symbols: Iterable[str]) -> set[str]:
    """Return those of some mouse symbols that are genes of the model or aliases of one."""
    return {symbol for symbol in symbols if symbol in _symbols("mouse")}


def is_known(
    names: Sequence[str], species: str, orthologs: Mapping[str, str] | None = None
) -> NDArray[np.bool_]:
    """Tell which names can come to a feature, whatever else is in the input.

    Parameters
    ----------
    names
        Gene names, length n_genes.
    species
        "mouse" or "human"; ignored with orthologs.
    orthologs
        Mouse symbols of the genes of another species.

    Returns
    -------
    ndarray
        bool, shape (n_genes,).

    Raises
    ------
    UsageError
        The species is neither.
    """
    known: NDArray[np.bool_] = look_up(names, species, orthologs) != UNKNOWN
    return known


def recognised(names: Sequence[str]) -> dict[str, Recognised]:
    """Count the names that are known in each species, whatever the species of the cells.

    Parameters
    ----------
    names
        Gene names.

    Returns
    -------
    dict
        By species, in the order of `SPECIES`.
    """
    counts = {}
    for species in SPECIES:
        codes = look_up(names, species)
        way = codes[codes != UNKNOWN] // N_FEATURES
        n_ids = int(np.count_nonzero(way >= ENSEMBL))
        counts[species] = Recognised(len(way) - n_ids, n_ids)
    return counts


def look_up(
    names: Sequence[str], species: str, orthologs: Mapping[str, str] | None = None
) -> NDArray[np.int64]:
    """Look up by which way each name comes to which feature.

    Both are one number, so that one access to a dictionary gives them.

    Parameters
    ----------
    names
        Gene names, length n_genes.
    species
        "mouse" or "human"; ignored with orthologs.
    orthologs
        Mouse symbols of the genes of another species.

    Returns
    -------
    ndarray
        way * `N_FEATURES` + feature, with the way from `SYMBOL` to `ENSEMBL` + `ALIAS`, or
        `UNKNOWN`; int64, shape (n_genes,). Of two codes of a feature the lower is the better way.

    Raises
    ------
    UsageError
        The species is neither.
    """
    if orthologs is not None:
        mouse = _symbols("mouse")
        symbols = (orthologs.get(name) or orthologs.get(_without_version(name)) for name in names)
        found = [mouse.get(symbol, UNKNOWN) if symbol else UNKNOWN for symbol in symbols]
        codes = np.array(found, dtype=np.int64)
        codes[(codes >= 0) & (codes < N_FEATURES)] += ORTHOLOG * N_FEATURES
        return codes
    if species not in SPECIES:
        raise UsageError(f"unknown species {species!r}: it must be 'mouse' or 'human'.")
    codes = np.fromiter(
        map(_symbols(species).get, names, repeat(UNKNOWN)), dtype=np.int64, count=len(names)
    )
    prefix = ENSEMBL_PREFIX[species]
    for i in np.flatnonzero(codes == UNKNOWN).tolist():
        if names[i].startswith(prefix):
            codes[i] = _ensembl_ids(species).get(_without_version(names[i]), UNKNOWN)
    return codes


def _without_version(name: str) -> str:
    """Take the version off an Ensembl id.

    The version is a number; in the GENCODE releases lifted to GRCh37 a second one follows (.5_2).
    A copy on the Y chromosome (.14_PAR_Y) is another gene and stays as it is.
    """
    gene, _, version = name.partition(".")
    return gene if version.replace("_", "", 1).isdecimal() else name


def _read_pairs(name: str) -> zip[tuple[str, str]]:
    """Rows of a two-column table of ``data/``, without its header."""
    # No name has white space in it: build_gene_tables.py refuses those that have.
    fields = (_DATA / name).read_text(encoding="utf-8").split()
    return zip(fields[2::2], fields[3::2], strict=True)


@functools.cache
def _symbols(species: str) -> dict[str, int]:
    """Every symbol and alias of a species with its code, see `look_up`."""
    index = {feature: i for i, feature in enumerate(features())}
    if species == "mouse":
        ways = {ALIAS: "mouse_aliases.tsv"}
        codes = index.copy()
    else:
        ways = {
            ORTHOLOG: "human_orthologs.tsv",
            UPPERCASE: "human_uppercase.tsv",
            ALIAS: "human_aliases.tsv",
        }
        codes = {}
    for way, table in ways.items():
        codes.update(
            (name, way * N_FEATURES + index[feature]) for name, feature in _read_pairs(table)
        )
    return codes


@functools.cache
def _ensembl_ids(species: str) -> dict[str, int]:
    """Every Ensembl id of a species with its code, see `look_up`."""
    symbols = _symbols(species)
    return {
        name: ENSEMBL * N_FEATURES + symbols[symbol]
        for name, symbol in _read_pairs(f"{species}_ensembl.tsv")
    }
