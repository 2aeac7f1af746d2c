"""MuData objects: which of their modalities is gene expression. mudata is not imported."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read.anndata import is_anndata
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cytotrace2_lite.read._source import Source

__all__ = ["anndata_of", "choose_modality", "is_mudata", "source_in"]

RNA = "rna"
# What gene expression is called: by muon, and by scirpy. In any case.
_NAMES = frozenset({RNA, "gex"})


def is_mudata(data: Any) -> bool:
    """Tell whether an object is a MuData, or works like one.

    Parameters
    ----------
    data
        Anything.

    Returns
    -------
    bool
        Whether it has modalities, and no matrix of its own.
    """
    return (
        hasattr(type(data), "mod")
        and not hasattr(type(data), "X")
        and all(hasattr(data, name) for name in ("mod", "obs", "obs_names"))
    )


def anndata_of(data: Any) -> Any:
    """Give the AnnData that holds the gene expression of an object.

    Parameters
    ----------
    data
        Anything.

    Returns
    -------
    AnnData or None
        The object itself where it is an AnnData; of MuData its modality "rna"; None for all others.

    Raises
    ------
    InputError
        A MuData has no such modality, or several.
    """
    if is_anndata(data):
        return data
    if not is_mudata(data):
        return None
    name = choose_modality(
        "this MuData", list(data.mod), 'Pass the one with the counts of genes, mdata["NAME"].'
    )
    return data.mod[name]


def choose_modality(what: str, names: Sequence[str], remedy: str) -> str:
    """Choose the modality of gene expression.

    Parameters
    ----------
    what
        The MuData, for messages.
    names
        Of its modalities.
    remedy
        What to do where none can be chosen.

    Returns
    -------
    str
        "rna" where there is one; else the only one that is called so in other letters, or "gex".

    Raises
    ------
    InputError
        There is no such modality, or several.
    """
    if RNA in names:
        return RNA
    found = [name for name in names if name.lower() in _NAMES]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{what} has several modalities for 'rna': {first_few(found)}. {remedy}")
    there = f"has {first_few(names, most=20)}" if names else "is empty"
    raise InputError(f"{what} has no modality {RNA!r}; it {there}. {remedy}")


def source_in(data: Any, modality: Any, source: Source) -> Source:
    """Say of what was read from a modality that it is one of several.

    Parameters
    ----------
    data
        The MuData.
    modality
        Its AnnData that was read.
    source
        What was read from it.

    Returns
    -------
    Source
        That of the MuData; it names the other modalities.
    """
    name = next(name for name, other in data.mod.items() if other is modality)
    others = tuple(f"mod[{shown(other)}]" for other in data.mod if other != name)
    return replace(
        source,
        format="MuData",
        matrix=f"{source.matrix} of mod[{shown(name)}]",
        other_matrices=(*source.other_matrices, *others),
    )
