"""AnnData objects, in memory or backed by a file. anndata is not imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._names import GENE_COLUMNS
from cytotrace2_lite.read._source import Source
from cytotrace2_lite.read.matrix import Matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cytotrace2_lite.read._options import ReadOptions

__all__ = ["choose_matrix", "from_anndata", "is_anndata", "is_gene_column"]


def is_anndata(data: Any) -> bool:
    """Tell whether an object is an AnnData, or works like one.

    Parameters
    ----------
    data
        Anything.

    Returns
    -------
    bool
        Whether it has the attributes that are used. `X` is looked up in the class: making it may
        cost time and memory.
    """
    names = ("obs", "obs_names", "var", "layers", "uns")
    return hasattr(type(data), "X") and all(hasattr(data, name) for name in names)


def is_gene_column(name: str) -> bool:
    """Tell from its name whether a column of `var` may name the genes."""
    return name.lower().replace(" ", "_").replace("-", "_") in GENE_COLUMNS


def choose_matrix(
    where: str, *, has_x: bool, layers: Sequence[str], has_raw: bool, options: ReadOptions
) -> tuple[str, tuple[str, ...]]:
    """Choose one of the matrices of AnnData.

    Parameters
    ----------
    where
        The input, for the message.
    has_x, layers, has_raw
        What there is.
    options
        Which of them to read.

    Returns
    -------
    tuple
        The name of the matrix, "X", "raw.X" or "layers['NAME']", and those of the others.

    Raises
    ------
    InputError
        There is no such matrix.
    """
    names = ["X"] * has_x + ["raw.X"] * has_raw + [f"layers[{layer!r}]" for layer in layers]
    chosen = "X"
    if options.use_raw:
        chosen = "raw.X"
    elif options.layer is not None:
        chosen = f"layers[{options.layer!r}]"
    if chosen not in names:
        there = f"There is {', '.join(names)}." if names else "There is no other matrix either."
        raise InputError(f"{where}: there is no {chosen}. {there}")
    return chosen, tuple(name for name in names if name != chosen)


def from_anndata(data: Any, options: ReadOptions) -> Matrix:
    """Make a reader of a matrix of an AnnData object, which may be on disk.

    Parameters
    ----------
    data
        The object; it is not changed.
    options
        Which matrix, and whether two genes may have one name.

    Returns
    -------
    Matrix
        Its cells are `obs_names`. Its genes are `var_names`, or a column of `var` if that has more
        known genes.

    Raises
    ------
    InputError
        There is no such matrix, or a name is repeated.
    UsageError
        An orientation is given; the rows of AnnData are always cells.
    """
    options.refuse("an AnnData object", orientation=True)
    x = data.X  # a copy where the object is a view of another
    raw: Any = getattr(data, "raw", None)
    chosen, others = choose_matrix(
        "AnnData",
        has_x=x is not None,
        layers=[str(layer) for layer in data.layers],
        has_raw=raw is not None,
        options=options,
    )
    if options.use_raw:
        matrix, var = raw.X, raw.var
    else:
        matrix = x if options.layer is None else data.layers[options.layer]
        var = data.var
    genes = {"var_names": list(var.index)}
    for column in var.columns:
        if is_gene_column(str(column)) and not var[column].isna().any():
            genes[f"var[{column!r}]"] = list(var[column])
    source = Source("AnnData", matrix=chosen, other_matrices=others)
    return Matrix(matrix, genes, list(data.obs_names), options, source, f"AnnData {chosen}")
