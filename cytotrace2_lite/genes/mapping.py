"""Gene names of an input to features of the model, and the reason where that fails.

Which names are known, and by which way each of them comes to a feature, is in `symbols`. Here the
best name of each feature is chosen.

Source: ``build_mapping_dict`` and ``preprocess`` in ``common/gen_utils.py`` of cytotrace2-py
(behaviour).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cytotrace2_lite.base.parameters import OTHER_SPECIES
from cytotrace2_lite.errors import InputError, NoUsableGenesError
from cytotrace2_lite.genes.dates import dates_among
from cytotrace2_lite.genes.symbols import (
    ALIAS,
    ENSEMBL,
    ENSEMBL_PREFIX,
    N_FEATURES,
    ORTHOLOG,
    SYMBOL,
    UNKNOWN,
    UPPERCASE,
    features,
    is_known,
    look_up,
)
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "GeneMapping",
    "MappingReport",
    "Superseded",
    "map_genes",
    "species_option",
    "ubiquitous_share",
]

_OPPOSITE = {"mouse": "human", "human": "mouse"}
_UBIQUITOUS_FAMILIES = ("Rpl", "Rps", "Psma", "Psmb", "Psmc", "Psmd", "Nduf", "Cox", "Atp5", "Eif")

# With the wrong species, a few names are known by chance: 6 or 7 of 16,000 where it was tried.
# Fewer than _FEW names count as none where the other species knows _CHANCE times as many.
_FEW, _CHANCE = 100, 20


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
        Names that are dates: a spreadsheet program has changed names of genes to them.
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


@dataclass(frozen=True, eq=False)
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
        "mouse" or "human"; ignored with orthologs.
    orthologs
        Mouse symbols of the genes of another species.

    Returns
    -------
    GeneMapping
        The feature of each gene, and a report.

    Raises
    ------
    NoUsableGenesError
        No name comes to a feature, or so few do that it must be chance: the species is the other
        one.
    InputError
        A name occurs twice.
    UsageError
        The species is neither.
    """
    codes = look_up(names, species, orthologs)
    _refuse_repeated(names)
    mapped = np.flatnonzero(codes != UNKNOWN)
    if orthologs is not None:
        if not mapped.size:
            raise NoUsableGenesError(
                f"none of the gene names of the input ({len(names):,}: {first_few(names)}) has a "
                f"mouse symbol in the table of orthologs ({len(orthologs):,}: "
                f"{first_few(list(orthologs))}). The table must name genes as the input does."
            )
    elif mapped.size < _FEW and mapped.size * _CHANCE <= _n_known(names, _OPPOSITE[species]):
        raise NoUsableGenesError(_no_usable_genes(names, species, mapped.size))
    superseded = _drop_superseded(codes, mapped, names)

    mapped = np.flatnonzero(codes != UNKNOWN)
    way, feature_of_mapped = np.divmod(codes[mapped], N_FEATURES)
    feature = np.full(len(names), -1, dtype=np.int32)
    feature[mapped] = feature_of_mapped
    by_way = np.bincount(np.minimum(way, ENSEMBL), minlength=ENSEMBL + 1)

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
        symbol=int(by_way[SYMBOL]),
        ortholog=int(by_way[ORTHOLOG]),
        uppercase=int(by_way[UPPERCASE]),
        alias=int(by_way[ALIAS]),
        ensembl=int(by_way[ENSEMBL]),
        superseded=superseded,
        upper_case_share=n_upper / n_genes,
        likely_species=likely_species,
        dates=dates_among(names),
    )
    return GeneMapping(feature=feature, report=report)


@functools.cache
def _ubiquitous() -> NDArray[np.intp]:
    return np.array(
        [i for i, name in enumerate(features()) if name.startswith(_UBIQUITOUS_FAMILIES)]
    )


def ubiquitous_share(mapping: GeneMapping) -> float:
    """Compute the share of the genes expressed by cells of every kind that an input has.

    These are genes of the ribosome, the proteasome, the respiratory chain and the initiation of
    translation. A table of all genes measured has nearly all of them, even where few molecules
    were counted; a selection of variable genes or of markers has few.

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


def _drop_superseded(
    codes: NDArray[np.int64], mapped: NDArray[np.intp], names: Sequence[str]
) -> tuple[Superseded, ...]:
    """Set all but the best name of each feature to `UNKNOWN`, in place.

    Parameters
    ----------
    codes
        As from `look_up`, shape (n_genes,).
    mapped
        Indices of the names that have a feature.
    names
        Gene names, length n_genes.

    Returns
    -------
    tuple of Superseded
        The names that were left out, in input order.
    """
    feature = codes[mapped] % N_FEATURES
    shared = mapped[np.bincount(feature, minlength=N_FEATURES)[feature] > 1]
    # Of two codes of a feature the lower is the better way to it.
    best: dict[int, int] = {}
    for i in sorted(shared.tolist(), key=lambda i: (codes[i], names[i])):
        best.setdefault(int(codes[i]) % N_FEATURES, i)
    superseded = []
    for i in shared.tolist():
        feature_index = int(codes[i]) % N_FEATURES
        winner = best[feature_index]
        if i != winner:
            codes[i] = UNKNOWN
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
    return name.isupper() and not name.startswith(ENSEMBL_PREFIX["mouse"])


def _joined_names(names: Sequence[str], species: str) -> str:
    """Say which field of names like "ENSMUSG00000051951|Xkr4" is the gene; "" where none is."""
    for separator in "|_:;, /":
        for place, which in ((0, "first"), (-1, "last")):
            fields = [name.split(separator)[place] if separator in name else "" for name in names]
            for kind in (species, _OPPOSITE[species]):
                if _n_known(fields, kind) > 0.1 * len(names):
                    return (
                        f"they are joined by {separator!r}, so keep only the {which} part of each "
                        f"({first_few([field for field in fields if field])})"
                    )
    return ""


def species_option(species: str) -> str:
    """Say in a message how to pass a species."""
    return f'--species {species} (species="{species}" in Python)'


def _n_known(names: Sequence[str], species: str) -> int:
    return int(np.count_nonzero(is_known(names, species)))


def _no_usable_genes(names: Sequence[str], species: str, n_mapped: int) -> str:
    """Say in one sentence why nothing maps and what to do."""
    if len(names) == 0:
        return "the input has no genes: they must be the rows of the table."
    how_many = f"only {n_mapped}" if n_mapped else "none"
    unknown = (
        f"{how_many} of the gene names of the input ({len(names):,}: {first_few(names)}) "
        f"{'are known' if n_mapped > 1 else 'is a known'} {species} "
        f"{'genes' if n_mapped > 1 else 'gene'}"
    )
    other = _OPPOSITE[species]
    n_other = _n_known(names, other)
    # A quarter of all genes of an annotation are features. Fewer than a tenth are chance hits, as
    # cell names may be.
    if n_other > 0.1 * len(names):
        return f"{unknown}, but {n_other:,} are known {other} genes: pass {species_option(other)}."
    bare = [name[1:-1] for name in names if len(name) > 2 and name[0] == name[-1] == "'"]
    if len(bare) > len(names) / 2:
        return (
            f"{unknown}: they stand between single quotation marks. Write them without "
            f"({first_few(bare)})."
        )
    if joined := _joined_names(names, species):
        return f"{unknown}: {joined}."
    return (
        f"{unknown}: names must be mouse symbols with species mouse, human symbols with species "
        "human, or Ensembl gene ids (ENSMUSG..., ENSG...). If these are the cells, check the "
        "species or pass --orientation; for other species pass --orthologs."
    )
