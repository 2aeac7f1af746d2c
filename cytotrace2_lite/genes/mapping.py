"""Gene names to model features.

The model knows 14,271 genes by mouse symbols, some of them former ones by now. A name of the
input comes to one of these features

- as the symbol itself (mouse);
- as the symbol of its best human ortholog, or as its upper-case name where it has none (human);
- as an alias, that is another or a later or earlier symbol of the same gene (both species);
- as the Ensembl gene id, with or without version, of one of all these (both species);
- as the gene of another species whose mouse symbol the user's table of orthologs gives.

The tables lie in ``data/`` and are made by ``tools/build_gene_tables.py`` from the resources of
cytotrace2-py 1.1.0.4. They are read when first needed, those of Ensembl only when a name is one.

Source: ``build_mapping_dict`` and ``preprocess`` in ``common/gen_utils.py`` of cytotrace2-py.

Differs: cytotrace2-py knows no Ensembl ids. Its sort of the orthologs depends on the processor;
here the last of equals is taken, which matters for ``Krtap1-5`` alone.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cytotrace2_lite.base.parameters import OTHER_SPECIES, SPECIES
from cytotrace2_lite.errors import InputError, NoUsableGenesError, UsageError
from cytotrace2_lite.genes.dates import is_date
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "N_FEATURES",
    "GeneMapping",
    "MappingReport",
    "Recognised",
    "Superseded",
    "features",
    "known_mouse_symbols",
    "map_genes",
    "recognised",
    "species_option",
    "ubiquitous_share",
    "wanted",
]

N_FEATURES = 14_271
"""Number of genes of the model."""

_DATA = Path(__file__).parent.with_name("data")
_OTHER_SPECIES = {"mouse": "human", "human": "mouse"}
_UBIQUITOUS_FAMILIES = ("Rpl", "Rps", "Psma", "Psmb", "Psmc", "Psmd", "Nduf", "Cox", "Atp5", "Eif")
_ENSEMBL_PREFIX = {"mouse": "ENSMUSG", "human": "ENSG"}

# How a name comes to a feature, the better way first. A name is looked up to one number,
# way * N_FEATURES + feature, so that both are had from one dictionary access. An Ensembl id
# is _ENSEMBL plus the way of its symbol.
_SYMBOL, _ORTHOLOG, _UPPERCASE, _ALIAS, _ENSEMBL = range(5)
_UNKNOWN = -1

# With the wrong species, a handful of names is known by chance: 6 or 7 of 16,000 here. So few,
# where the other species knows as many times more, are none.
_FEW, _CHANCE = 100, 20


class Recognised(NamedTuple):
    """How many gene names are known as symbols (or aliases) and how many as Ensembl ids."""

    symbols: int
    ids: int


class Superseded(NamedTuple):
    """A name that is left out because a better one of the input reaches the same feature."""

    name: str
    feature: str
    winner: str


@dataclass(frozen=True)
class MappingReport:
    """What became of the gene names of an input.

    Attributes
    ----------
    species
        "mouse" or "human" as given, or "other" with a table of orthologs.
    n_genes
        Names in the input.
    n_mapped
        Names that came to a feature, which is also the number of features in the input:
        the sum of the next five.
    symbol
        Features that came as their own symbol (mouse).
    ortholog
        Features that came as their best human ortholog (human), or by the table of orthologs.
    uppercase
        Features without an ortholog that came as their upper-case name (human).
    alias
        Features that came as a synonym or former symbol.
    ensembl
        Features that came as an Ensembl gene id.
    superseded
        Names left out because a better one reaches the same feature, in input order.
    upper_case_share
        Share of the names that are written like human ones: upper-case, and no mouse Ensembl
        id; 0 to 1.
    likely_species
        The species that more than 90 % of the names are written like, or None; None with a table
        of orthologs.
    dates
        Names that are dates, which a spreadsheet program has made of genes.
    n_features
        Number of genes of the model.
    """

    species: str
    n_genes: int
    n_mapped: int
    symbol: int
    ortholog: int
    uppercase: int
    alias: int
    ensembl: int
    superseded: tuple[Superseded, ...]
    upper_case_share: float
    likely_species: str | None
    dates: tuple[str, ...]
    n_features: int = N_FEATURES


@dataclass(frozen=True)
class GeneMapping:
    """Which feature each gene of an input is.

    Attributes
    ----------
    feature
        Index of the feature of each gene, -1 where it has none; int32, shape (n_genes,). No
        feature occurs twice.
    report
        How they came to it.
    """

    feature: NDArray[np.int32]
    report: MappingReport


@functools.cache
def features() -> tuple[str, ...]:
    """Return the 14,271 genes of the model, as mouse symbols, in the order of the model."""
    return tuple((_DATA / "features.txt").read_text(encoding="utf-8").split())


def known_mouse_symbols(symbols: Iterable[str]) -> set[str]:
    """Return those of some mouse symbols that are genes of the model or aliases of one."""
    return {symbol for symbol in symbols if symbol in _symbols("mouse")}


def wanted(
    names: Sequence[str], species: str, orthologs: Mapping[str, str] | None = None
) -> NDArray[np.bool_]:
    """Tell which names could come to a feature at all, whatever else is in the input.

    Parameters
    ----------
    names
        Gene names, length n.
    species
        "mouse" or "human"; of no matter with orthologs.
    orthologs
        Mouse symbols of the genes of another species.

    Returns
    -------
    bool, shape (n,).

    Raises
    ------
    UsageError
        If the species is neither.
    """
    known: NDArray[np.bool_] = _look_up(names, species, orthologs) != _UNKNOWN
    return known


def map_genes(
    names: Sequence[str], species: str, orthologs: Mapping[str, str] | None = None
) -> GeneMapping:
    """Find the feature of each gene.

    Where several names reach one feature, an official symbol (or that of the ortholog) wins over
    an alias, and an alias over an Ensembl id; among Ensembl ids one whose symbol is official wins,
    then the first in code-point order. So the order of the genes does not matter.

    Parameters
    ----------
    names
        Gene names, unique, length n_genes.
    species
        "mouse" or "human"; of no matter with orthologs.
    orthologs
        Mouse symbols of the genes of another species.

    Raises
    ------
    NoUsableGenesError
        If no name comes to a feature, or so few by chance that the species must be the other one.
    InputError
        If a name occurs twice.
    UsageError
        If the species is neither.
    """
    codes = _look_up(names, species, orthologs)
    _refuse_repeated(names)
    mapped = np.flatnonzero(codes != _UNKNOWN)
    if orthologs is not None:
        if not mapped.size:
            raise NoUsableGenesError(
                f"none of the gene names of the input ({len(names):,}: {first_few(names)}) has a "
                f"mouse symbol in the table of orthologs ({len(orthologs):,}: "
                f"{first_few(list(orthologs))}). Both must name genes alike."
            )
    elif mapped.size < _FEW and mapped.size * _CHANCE <= _n_known(names, _OTHER_SPECIES[species]):
        raise NoUsableGenesError(_no_usable_genes(names, species, mapped.size))
    superseded = _drop_superseded(codes, mapped, names)

    mapped = np.flatnonzero(codes != _UNKNOWN)
    way, feature_of_mapped = np.divmod(codes[mapped], N_FEATURES)
    feature = np.full(len(names), -1, dtype=np.int32)
    feature[mapped] = feature_of_mapped
    by_way = np.bincount(np.minimum(way, _ENSEMBL), minlength=_ENSEMBL + 1)

    n_genes = len(names)
    n_upper = sum(_is_like_human(name) for name in names)
    likely_species = None
    if orthologs is not None:
        species = OTHER_SPECIES
    elif n_upper / n_genes > 0.9:
        likely_species = "human"
    elif (n_genes - n_upper) / n_genes > 0.9:
        likely_species = "mouse"
    report = MappingReport(
        species=species,
        n_genes=n_genes,
        n_mapped=mapped.size,
        symbol=int(by_way[_SYMBOL]),
        ortholog=int(by_way[_ORTHOLOG]),
        uppercase=int(by_way[_UPPERCASE]),
        alias=int(by_way[_ALIAS]),
        ensembl=int(by_way[_ENSEMBL]),
        superseded=superseded,
        upper_case_share=n_upper / n_genes,
        likely_species=likely_species,
        dates=tuple(filter(is_date, names)),
    )
    return GeneMapping(feature=feature, report=report)


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
        codes = _look_up(names, species)
        known = codes[codes != _UNKNOWN] // N_FEATURES
        n_ids = int(np.count_nonzero(known >= _ENSEMBL))
        counts[species] = Recognised(len(known) - n_ids, n_ids)
    return counts


@functools.cache
def _ubiquitous() -> NDArray[np.intp]:
    return np.array(
        [i for i, name in enumerate(features()) if name.startswith(_UBIQUITOUS_FAMILIES)]
    )


def ubiquitous_share(mapping: GeneMapping) -> float:
    """Share of the genes that cells of every kind express which are in an input.

    They are those of the ribosome, the proteasome, the respiratory chain and the initiation of
    translation. Tables of all genes measured have nearly all of them, however shallow; selections
    of variable genes or of markers have few.

    Parameters
    ----------
    mapping
        Which feature each gene of the input is.

    Returns
    -------
    float
        0 to 1.
    """
    return float(np.isin(_ubiquitous(), mapping.feature).mean())


def _read_pairs(name: str) -> zip[tuple[str, str]]:
    """Rows of a two-column table of ``data/``, without its header."""
    # no name has white space in it (build_gene_tables.py sees to that)
    fields = (_DATA / name).read_text(encoding="utf-8").split()
    return zip(fields[2::2], fields[3::2], strict=True)


@functools.cache
def _symbols(species: str) -> dict[str, int]:
    """Every symbol and alias of a species with its way and feature, see `_SYMBOL`."""
    index = {feature: i for i, feature in enumerate(features())}
    if species == "mouse":
        ways = {_ALIAS: "mouse_aliases.tsv"}
        codes = index.copy()
    else:
        ways = {
            _ORTHOLOG: "human_orthologs.tsv",
            _UPPERCASE: "human_uppercase.tsv",
            _ALIAS: "human_aliases.tsv",
        }
        codes = {}
    for way, table in ways.items():
        codes.update(
            (name, way * N_FEATURES + index[feature]) for name, feature in _read_pairs(table)
        )
    return codes


@functools.cache
def _ensembl_ids(species: str) -> dict[str, int]:
    """Every Ensembl id of a species with its way and feature, see `_SYMBOL`."""
    symbols = _symbols(species)
    return {
        name: _ENSEMBL * N_FEATURES + symbols[symbol]
        for name, symbol in _read_pairs(f"{species}_ensembl.tsv")
    }


def _look_up(
    names: Sequence[str], species: str, orthologs: Mapping[str, str] | None = None
) -> NDArray[np.int64]:
    """Way and feature of each name, see `_SYMBOL`; `_UNKNOWN` where none. Shape (n_genes,)."""
    if orthologs is not None:
        mouse = _symbols("mouse")
        symbols = (orthologs.get(name) or orthologs.get(_without_version(name)) for name in names)
        found = [mouse.get(symbol, _UNKNOWN) if symbol else _UNKNOWN for symbol in symbols]
        codes = np.array(found, dtype=np.int64)
        codes[(codes >= 0) & (codes < N_FEATURES)] += _ORTHOLOG * N_FEATURES
        return codes
    if species not in SPECIES:
        raise UsageError(f"unknown species {species!r}: it must be 'mouse' or 'human'.")
    codes = np.fromiter(
        map(_symbols(species).get, names, repeat(_UNKNOWN)), dtype=np.int64, count=len(names)
    )
    prefix = _ENSEMBL_PREFIX[species]
    for i in [i for i, name in enumerate(names) if name.startswith(prefix)]:
        if codes[i] == _UNKNOWN:
            codes[i] = _ensembl_ids(species).get(_without_version(names[i]), _UNKNOWN)
    return codes


def _without_version(name: str) -> str:
    """Take the version off an Ensembl id.

    The version is a number; in the GENCODE releases lifted to GRCh37 a second one follows (.5_2).
    A copy on the Y chromosome (.14_PAR_Y) is another gene and stays as it is.
    """
    gene, _, version = name.partition(".")
    return gene if version.replace("_", "", 1).isdecimal() else name


def _drop_superseded(
    codes: NDArray[np.int64], mapped: NDArray[np.intp], names: Sequence[str]
) -> tuple[Superseded, ...]:
    """Set all but the best name of each feature to `_UNKNOWN`, in place.

    Parameters
    ----------
    codes
        As from `_look_up`, shape (n_genes,).
    mapped
        Indices of the names that have a feature.
    names
        Gene names, length n_genes.
    """
    feature = codes[mapped] % N_FEATURES
    shared = mapped[np.bincount(feature, minlength=N_FEATURES)[feature] > 1]
    # lower codes of a feature are better ways to it
    best: dict[int, int] = {}
    for i in sorted(shared.tolist(), key=lambda i: (codes[i], names[i])):
        best.setdefault(int(codes[i]) % N_FEATURES, i)
    superseded = []
    for i in shared.tolist():
        feature_index = int(codes[i]) % N_FEATURES
        winner = best[feature_index]
        if i != winner:
            codes[i] = _UNKNOWN
            superseded.append(Superseded(names[i], features()[feature_index], names[winner]))
    return tuple(superseded)


def _refuse_repeated(names: Sequence[str]) -> None:
    if len(set(names)) == len(names):
        return
    first: dict[str, int] = {}
    for i, name in enumerate(names):
        if name in first:
            raise InputError(
                f"gene {shown(name)} appears twice (genes {first[name] + 1:,} and {i + 1:,}). "
                "Sum or drop one."
            )
        first[name] = i


def _is_like_human(name: str) -> bool:
    return name.isupper() and not name.startswith(_ENSEMBL_PREFIX["mouse"])


def _joined_names(names: Sequence[str], species: str) -> str:
    """Say which part of names like "ENSMUSG00000051951|Xkr4" is the gene; "" where none is."""
    for separator in "|_:;, /":
        for part, which in ((0, "first"), (-1, "last")):
            parts = [name.split(separator)[part] if separator in name else "" for name in names]
            for kind in (species, _OTHER_SPECIES[species]):
                if _n_known(parts, kind) > 0.1 * len(names):
                    return (
                        f"they are joined by {separator!r}, so keep only the {which} part of each "
                        f"({first_few([part for part in parts if part])})"
                    )
    return ""


def species_option(species: str) -> str:
    """Say in a message how to pass a species."""
    return f'--species {species} (species="{species}" in Python)'


def _n_known(names: Sequence[str], species: str) -> int:
    return int(np.count_nonzero(wanted(names, species)))


def _no_usable_genes(names: Sequence[str], species: str, n_mapped: int) -> str:
    """One sentence on why nothing maps and what to do."""
    if len(names) == 0:
        return "the input has no genes: they must be the rows of the table."
    how_many = f"only {n_mapped}" if n_mapped else "none"
    unknown = (
        f"{how_many} of the gene names of the input ({len(names):,}: {first_few(names)}) "
        f"{'are known' if n_mapped > 1 else 'is a known'} {species} "
        f"{'genes' if n_mapped > 1 else 'gene'}"
    )
    other = _OTHER_SPECIES[species]
    n_other = _n_known(names, other)
    # A quarter of all genes of an annotation are features. Fewer than a tenth are chance hits, as
    # cell names may be.
    if n_other > 0.1 * len(names):
        return f"{unknown}, but {n_other:,} are known {other} genes: pass {species_option(other)}."
    if joined := _joined_names(names, species):
        return f"{unknown}: {joined}."
    return (
        f"{unknown}: names must be mouse symbols with species mouse, human symbols with species "
        "human, or Ensembl gene ids (ENSMUSG..., ENSG...). If these are the cells, check the "
        "species or pass --orientation; for other species pass --orthologs."
    )
