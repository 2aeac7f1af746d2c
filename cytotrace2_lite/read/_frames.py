"""Names of genes and cells in the data frames of AnnData, and which of its matrices to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.read._names import GENE_COLUMNS, choose_gene_names
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.read._options import ReadOptions

__all__ = ["X", "choose_gene_column", "choose_matrix", "counts_beside", "is_gene_column"]

X = "X"
# Matrices of AnnData that hold counts if `X` does not.
_OF_COUNTS = ("layers['counts']", "layers['raw_counts']", "raw.X")


def is_gene_column(name: str) -> bool:
    """Tell from its name whether a column of `var` is meant to name the genes."""
    return name.lower().replace(" ", "_").replace("-", "_") in GENE_COLUMNS


def choose_gene_column(
    where: str,
    frame: str,
    index: tuple[str, Sequence[str]],
    columns: Mapping[str, Callable[[], Sequence[Any] | None]],
    options: ReadOptions,
) -> tuple[str, list[str]]:
    """Choose the names of the genes: the index of a data frame, or one of its columns.

    A column that is meant for it by its name is taken if more of its names are known than of the
    index. Another column, or one with empty entries, is taken if far more are known. Names from
    the index take the place of empty entries.

    Parameters
    ----------
    where
        The input, for messages.
    frame
        How messages name the data frame.
    index
        What the index is called, and its names.
    columns
        Each gives the values of a column, None for a missing one; or None if it has no names.
    options
        Which names are known, or which column to take.

    Returns
    -------
    tuple
        Where the names are from, and the names.

    Raises
    ------
    InputError
        A name is missing or repeated.
    UsageError
        There is no such column as the options say.
    """
    of_index, names = index
    wanted = options.gene_column
    if wanted is not None:
        values = columns[wanted]() if wanted in columns else None
        if values is None:
            there = f"Its columns are {first_few(list(columns))}." if columns else "It has none."
            raise UsageError(f"{where}: {frame} has no column {shown(wanted)} of names. {there}")
        origin, filled = _filled(f"{frame}[{wanted!r}]", values, names, of_index)
        return choose_gene_names(where, {origin: filled}, options)
    candidates = {of_index: names}
    rest: dict[str, Sequence[str]] = {}
    unread = []
    for column, read in columns.items():
        if not is_gene_column(column):
            unread.append(column)
            continue
        values = read()
        if values is not None:
            origin, filled = _filled(f"{frame}[{column!r}]", values, names, of_index)
            is_complete = origin == f"{frame}[{column!r}]"
            (candidates if is_complete else rest)[origin] = filled

    def others() -> Mapping[str, Sequence[str]]:
        for column in unread:
            values = columns[column]()
            if values is not None:
                origin, filled = _filled(f"{frame}[{column!r}]", values, names, of_index)
                rest[origin] = filled
        return rest

    return choose_gene_names(where, candidates, options, others)


def _filled(
    origin: str, values: Sequence[Any], names: Sequence[str], of_index: str
) -> tuple[str, list[str]]:
    """Put names of the index where a column has none; say so in the first part."""
    missing = [value is None or value == "" for value in values]
    n_missing = sum(missing)
    if not n_missing or n_missing == len(names):
        return origin, ["" if value is None else str(value) for value in values]
    filled = [
        name if is_missing else str(value)
        for value, name, is_missing in zip(values, names, missing, strict=True)
    ]
    noun = "name" if n_missing == 1 else "names"
    return f"{origin} ({n_missing:,} {noun} from {of_index})", filled


def choose_matrix(
    where: str,
    *,
    has_x: bool,
    layers: Sequence[str],
    has_raw: bool,
    options: ReadOptions,
    main: str = X,
) -> tuple[str, tuple[str, ...]]:
    """Choose one of the matrices of AnnData, or of another format with layers.

    Parameters
    ----------
    where
        The input, for the message.
    has_x, layers, has_raw
        What there is.
    options
        Which of them to read. The layer "X" is `X`, if no layer has this name.
    main
        What is called "X" in AnnData.

    Returns
    -------
    tuple
        The name of the matrix, "X", "raw.X" or "layers['NAME']", and those of the others.

    Raises
    ------
    InputError
        There is no such matrix.
    """
    names = [main] * has_x + ["raw.X"] * has_raw + [f"layers[{layer!r}]" for layer in layers]
    chosen = main
    if options.use_raw:
        chosen = "raw.X"
    elif options.layer is not None and not (options.layer == main and main not in layers):
        chosen = f"layers[{options.layer!r}]"
    if chosen not in names:
        there = f"There is {', '.join(names)}." if names else "There is no other matrix either."
        raise InputError(f"{where}: there is no {chosen}. {there}")
    return chosen, tuple(name for name in names if name != chosen)


def counts_beside(
    chosen: str,
    others: Sequence[str],
    values_of: Callable[[str], Iterable[NDArray[Any]]],
    options: ReadOptions,
    main: str = X,
) -> tuple[str, tuple[str, ...], str | None]:
    """Take another matrix in place of `X` if that does not hold whole numbers and one other does.

    Parameters
    ----------
    chosen, others
        What `choose_matrix` gives.
    values_of
        Gives the values of a matrix with a name, some at a time; zeros may be left out. It gives
        none of a matrix of other cells.
    options
        If they say which matrix to read, it is read.
    main
        What is called "X" in AnnData.

    Returns
    -------
    tuple
        The name of the matrix, those of the others, and `main` if another one takes its
        place.
    """
    candidates = [name for name in _OF_COUNTS if name in others]
    if chosen != main or options.layer is not None or not candidates:
        return chosen, tuple(others), None

    def are_counts(name: str) -> bool:
        try:
            # Of `X`, the first values tell: it would take long to look at all of them.
            return _are_counts(_first(values_of(name)) if name == main else values_of(name))
        except InputError:  # what is wrong with it is said if it is read
            return name == main

    if are_counts(main):
        return chosen, tuple(others), None
    found = [name for name in candidates if are_counts(name)]
    if len(found) != 1:
        return chosen, tuple(others), None
    rest = [name for name in others if name != found[0]]
    return found[0], (main, *rest), main


def _first(values: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    for some in values:
        if len(some):
            yield some
            return


def _are_counts(values: Iterable[NDArray[Any]]) -> bool:
    """Tell whether all values are whole numbers >= 0, and there are any that are not 0."""
    found = False
    for some in values:
        if some.dtype.kind not in "uif":
            return False
        if not bool(np.all(np.isfinite(some) & (some >= 0))) or bool(np.any(some % 1)):
            return False
        found = found or bool(np.any(some))
    return found
