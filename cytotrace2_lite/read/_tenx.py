"""What all files of 10x Genomics have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.read._options import ReadOptions

__all__ = ["chosen_names", "gene_expression"]

_GENE_EXPRESSION = "Gene Expression"
_OTHER_TYPES = frozenset(
    {"Antibody Capture", "CRISPR Guide Capture", "Multiplexing Capture", "Antigen Capture"}
    | {"Custom", "Peaks", "Probe Capture"}
)


def gene_expression(name: str, types: Sequence[str]) -> NDArray[np.intp]:
    """Find the features that are genes.

    Parameters
    ----------
    name
        The file, for the message.
    types
        Type of each feature, or the third column of a file, which may be something else.

    Returns
    -------
    ndarray
        Positions of the genes, intp; all positions if none is a type of 10x Genomics.

    Raises
    ------
    InputError
        All features are of other types, or one has none while others have.
    """
    types = [kind.strip() for kind in types]
    found = set(types)
    if _GENE_EXPRESSION in found:
        if "" in found:
            raise InputError(
                f"{name}: feature {types.index('') + 1:,} has no type, others have. Write "
                f"{_GENE_EXPRESSION!r} or another type there."
            )
        return np.array([i for i, kind in enumerate(types) if kind == _GENE_EXPRESSION])
    if found & _OTHER_TYPES:
        raise InputError(
            f"{name}: there are no features of the type {_GENE_EXPRESSION!r}, only of "
            f"{first_few(sorted(found), most=5)}. Give the matrix of gene expression."
        )
    return np.arange(len(types))


def chosen_names(
    name: str, candidates: Mapping[str, Sequence[str]], options: ReadOptions
) -> Mapping[str, Sequence[str]]:
    """Take one of several kinds of names of the genes, if the options say which.

    Parameters
    ----------
    name
        The file, for the message.
    candidates
        Names by their kind, "symbols" or "ids".
    options
        Their `gene_column` is the kind, or None.

    Returns
    -------
    mapping
        The names of that kind, or all candidates.

    Raises
    ------
    UsageError
        There is no such kind.
    """
    wanted = options.gene_column
    if wanted is None:
        return candidates
    if wanted not in candidates:
        raise UsageError(
            f"{name}: the genes have no {shown(wanted)}, but {' and '.join(candidates)}: choose "
            "one of these as the gene column, or leave it out."
        )
    return {wanted: candidates[wanted]}
