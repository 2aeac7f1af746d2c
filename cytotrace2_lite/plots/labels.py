"""Labels of cells, as they are given for plots by phenotype."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["sort_labels"]

_MAX_LABELS = 100


def sort_labels(
    labels: Sequence[str | None] | Mapping[str, str],
    cells: Sequence[str],
    *,
    most: int | None = _MAX_LABELS,
) -> tuple[list[str], NDArray[np.intp]]:
    """Sort the labels of cells.

    Parameters
    ----------
    labels
        One per cell, in the order of `cells`, or a mapping from names of cells. None, NaN, `pd.NA`,
        `NaT` and "" stand for a cell without a label.
    cells
        Names of the cells.
    most
        How many different labels there may be; None for any number.

    Returns
    -------
    names : list of str
        The different labels in natural order: "cluster2" is before "cluster10".
    index : ndarray
        Position in `names` of each cell's label, -1 for none; intp, shape (n_cells,).

    Raises
    ------
    UsageError
        The labels are not one per cell, all missing, or too many different ones.
    """
    if isinstance(labels, str):
        raise UsageError(
            f"labels is {labels!r}, one name: pass the labels themselves, such as "
            f"adata.obs[{labels!r}]."
        )
    if isinstance(labels, Mapping):
        labels = [labels.get(cell) for cell in cells]
    values = ["" if _is_missing(label) else str(label) for label in labels]
    if len(values) != len(cells):
        raise UsageError(f"labels holds {len(values)} labels for {len(cells)} cells.")
    names = sorted(sorted(set(values) - {""}), key=_natural)
    if not names:
        raise UsageError("no cell has a label.")
    if most is not None and len(names) > most:
        raise UsageError(
            f"there are {len(names)} different labels; plots by phenotype can show at most "
            f"{most}. Group them."
        )
    position = {name: k for k, name in enumerate(names)}
    return names, np.array([position.get(value, -1) for value in values], dtype=np.intp)


def _is_missing(label: Any) -> bool:
    """Tell whether a label is None, NaN, `NaT` or `pd.NA`."""
    if label is None:
        return True
    try:
        return bool(label != label)  # of these values, none is equal to itself
    except TypeError:  # the answer of pd.NA is pd.NA, which is neither true nor false
        return True


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Give a sort key that compares the numbers in names as numbers."""
    parts = re.split(r"([0-9]{1,18})", name)  # Python makes no number of thousands of digits
    return [
        (True, int(part), "") if i % 2 else (False, 0, part.casefold())
        for i, part in enumerate(parts)
    ]
