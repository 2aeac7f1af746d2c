"""Sets of genes: which of them raise or lower the potency of a group.

The share of a set is the sum of the shares of its genes: exact, without a test.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.genes import recognised
from cytotrace2_lite.genes.symbols import N_FEATURES, UNKNOWN, look_up
from cytotrace2_lite.output.table import Table
from cytotrace2_lite.system.files import read_whole
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.explanation.means import GroupMeans

__all__ = ["GeneSets", "collection_of", "default_collection", "read_gmt", "set_table"]

_DEFAULT = Path(__file__).parent.with_name("data") / "marker_sets.tsv"
_PROGRAMMES = {"+": "rises with potency", "-": "falls with potency"}
_TOP_GENES = 5


@dataclass(frozen=True, eq=False)
class GeneSets:
    """A collection of gene sets.

    Attributes
    ----------
    names
        Of the sets, each once.
    descriptions
        A phrase on each.
    genes
        Names of the genes of each set, each once.
    """

    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    genes: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.names)

    def features(self, species: str, input_genes: Sequence[str]) -> list[NDArray[np.intp]]:
        """Find the features that the genes of each set are.

        A name is taken as the input has it; one the input does not have, as a mouse or a human
        gene, whichever more of the names of the collection are.

        Parameters
        ----------
        species
            Of the input: of two species that know as many names, this one is taken.
        input_genes
            What the input calls each feature, "" where it has none.

        Returns
        -------
        list of ndarray
            Features of each set, ascending; names that are no gene of the model are left out.
        """
        every = list(dict.fromkeys(name for genes in self.genes for name in genes))
        known = recognised(every)
        likely = max(known, key=lambda kind: (sum(known[kind]), kind == species))
        found = dict(zip(every, look_up(every, likely).tolist(), strict=True))
        feature = {name: code % N_FEATURES for name, code in found.items() if code != UNKNOWN}
        feature |= {name: i for i, name in enumerate(input_genes) if name}
        return [
            np.unique([feature[name] for name in genes if name in feature]).astype(np.intp)
            for genes in self.genes
        ]


def read_gmt(path: str | os.PathLike[str]) -> GeneSets:
    """Read gene sets.

    Parameters
    ----------
    path
        A `.gmt` file: per line the name of a set, a description, and its genes, separated by
        tabs.

    Returns
    -------
    GeneSets
        In the order of the file.

    Raises
    ------
    InputError
        The file cannot be read, a line has no gene, or a set is named twice.
    """
    try:
        text = read_whole(path).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot read the gene sets ({error.strerror}).") from error
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: the gene sets are no plain text. Give a .gmt file, unpacked."
        ) from None
    sets: dict[str, tuple[str, tuple[str, ...]]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, *rest = line.split("\t")
        genes = tuple(dict.fromkeys(gene.strip() for gene in rest[1:] if gene.strip()))
        if not name or not genes:
            raise InputError(
                f"{path}: line {number} is no gene set: it must have a name, a description and "
                "genes, separated by tabs."
            )
        if name in sets:
            raise InputError(f"{path}: gene set {shown(name)} appears twice. Rename one.")
        sets[name] = rest[0], genes
    if not sets:
        raise InputError(f"{path}: the file holds no gene set.")
    return GeneSets(tuple(sets), *zip(*sets.values(), strict=True))


@functools.cache
def default_collection() -> GeneSets:
    """Give the collection that comes with the package.

    It holds 373 sets of mouse symbols: cell states of the six potencies in all organs, and
    programmes that rise or fall with potency. They were written down for the training of the
    bundled model, from general knowledge of the field: a description says the potency and the
    organ. They are no curated database.

    Returns
    -------
    GeneSets
        In the order of the potencies, from the highest.
    """
    _, *rows = [line.split("\t") for line in _DEFAULT.read_text(encoding="utf-8").splitlines()]
    return GeneSets(
        tuple(name for name, *_ in rows),
        tuple(_PROGRAMMES.get(potency) or f"{potency}, {organ}" for _, potency, organ, _ in rows),
        tuple(tuple(dict.fromkeys(genes.split())) for *_, genes in rows),
    )


def collection_of(sets: Any) -> GeneSets:
    """Make a collection of what a user gives.

    Parameters
    ----------
    sets
        The path of a `.gmt` file, several of them, a mapping of names of sets to genes, or a
        collection; None for the one that comes with the package.

    Returns
    -------
    GeneSets
        All sets.

    Raises
    ------
    InputError
        A file is no list of gene sets, or two sets have one name.
    UsageError
        `sets` is none of these.
    """
    if sets is None:
        return default_collection()
    if isinstance(sets, GeneSets):
        return sets
    if isinstance(sets, Mapping):
        genes = tuple(tuple(dict.fromkeys(map(str, names))) for names in sets.values())
        return GeneSets(tuple(map(str, sets)), ("",) * len(sets), genes)
    if isinstance(sets, (str, os.PathLike)):
        return read_gmt(sets)
    try:
        parts = [read_gmt(path) for path in sets]
    except TypeError as error:
        raise UsageError(
            "sets must be the path of a .gmt file, several of them, or a mapping of names to genes."
        ) from error
    return _joined(parts)


def _joined(parts: Iterable[GeneSets]) -> GeneSets:
    names: list[str] = []
    descriptions: list[str] = []
    genes: list[tuple[str, ...]] = []
    for part in parts:
        names += part.names
        descriptions += part.descriptions
        genes += part.genes
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise InputError(
            f"gene sets of two files have one name: {first_few(repeated)}. Rename them in one."
        )
    return GeneSets(tuple(names), tuple(descriptions), tuple(genes))


def set_table(
    collection: GeneSets,
    members: Sequence[NDArray[np.intp]],
    means: GroupMeans,
) -> Table:
    """Add up the mean shares of the genes of each set, group by group.

    Parameters
    ----------
    collection
        The sets.
    members
        Features of each of them, from `GeneSets.features`.
    means
        The groups.

    Returns
    -------
    Table
        A row per group and set, from the largest sum of a group to the lowest.
    """
    in_input = np.array([name != "" for name in means.genes])
    names = np.array(means.genes)
    present = [some[in_input[some]] for some in members]
    n_genes = np.array([len(some) for some in collection.genes])
    n_present = np.array([len(some) for some in present])
    parts: list[dict[str, NDArray[Any]]] = []
    for group, own, other in zip(
        means.groups, means.mean_shares, means.others(means.sums.share), strict=True
    ):
        share = np.array([own[some].sum() for some in present])
        rest = np.array([other[some].sum() for some in present])
        order = np.argsort(-share, kind="stable")
        top = [
            " ".join(
                names[some[np.argsort(-own[some] * np.sign(total), kind="stable")[:_TOP_GENES]]]
            )
            for some, total in zip(present, share, strict=True)
        ]
        parts.append(
            {
                "group": np.repeat(group, len(order)),
                "set": np.array(collection.names)[order],
                "description": np.array(collection.descriptions)[order],
                "n_genes": n_genes[order],
                "n_in_input": n_present[order],
                "share": share[order],
                "share_others": rest[order],
                "difference": (share - rest)[order],
                "top_genes": np.array(top)[order],
            }
        )
    return Table({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
