"""The samples of cells, each scored as if it were alone, as the authors of CytoTRACE 2 advise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.read import column_of
from cytotrace2_lite.text import MISSING_LABELS, first_few, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.read import Input

__all__ = ["Samples", "condition_of_samples", "obs_column", "samples_of"]


@dataclass(frozen=True, eq=False)
class Samples:
    """Which sample each cell of a dataset belongs to.

    Attributes
    ----------
    names
        Names of the samples, in the order in which they first occur.
    of_cell
        Position in `names` of the sample of each cell; intp, shape (n_cells,).
    key
        Name of the column that the labels are from; "" where they were given as an array.
    """

    names: list[str]
    of_cell: NDArray[np.intp]
    key: str

    @property
    def sizes(self) -> dict[str, int]:
        """Number of cells of each sample."""
        counts = np.bincount(self.of_cell, minlength=len(self.names)).tolist()
        return dict(zip(self.names, counts, strict=True))


def samples_of(labels: Any, cells: Sequence[str], key: str = "") -> Samples:
    """Sort cells into samples by their labels.

    Parameters
    ----------
    labels
        The label of each cell, in the order of `cells`: a list, an array, or a column of a data
        frame; shape (n_cells,).
    cells
        Names of the cells.
    key
        Name of the column that the labels are from, for messages; "" for an array.

    Returns
    -------
    Samples
        At least one.

    Raises
    ------
    UsageError
        There is not one label per cell.
    InputError
        A label is missing (None, NaN, `pd.NA`, `NaT`, an empty field, "NA"), or every cell has a
        label of its own.
    """
    given = np.asarray(labels, dtype=object)
    if given.shape != (len(cells),):
        shape = " x ".join(f"{n:,}" for n in given.shape) or "no row of"
        raise UsageError(
            f"batches has {shape} labels; there must be one for each of the {len(cells):,} cells."
        )
    texts = [str(label) for label in given]
    source = f" in {shown(key)}" if key else ""
    missing = [i for i, text in enumerate(texts) if text.strip().lower() in MISSING_LABELS]
    if missing:
        raise InputError(
            f"{len(missing):,} of {len(cells):,} cells have no sample{source}: "
            f"{first_few([cells[i] for i in missing])}. Give each a label, or leave them out of "
            "the table."
        )
    position: dict[str, int] = {}
    of_cell = np.array([position.setdefault(text, len(position)) for text in texts], dtype=np.intp)
    if 1 < len(position) == len(cells):
        raise InputError(
            f"every cell has a sample of its own{source} ({first_few(list(position))}), so that "
            "there is nothing to compare it with. Give labels that cells share."
        )
    return Samples(list(position), of_cell, key)


def condition_of_samples(given: Sequence[str], samples: Samples, key: str) -> dict[str, str]:
    """Find the condition of each sample.

    Parameters
    ----------
    given
        The condition of each cell, "" for none; length n_cells.
    samples
        The sample of each cell.
    key
        Where the conditions are from, for messages.

    Returns
    -------
    dict
        Sample to condition; at least two different conditions.

    Raises
    ------
    InputError
        A sample has no condition or several, or all have the same.
    """
    condition_of: dict[str, str] = {}
    values = np.asarray(given, dtype=object)
    for position, sample in enumerate(samples.names):
        found = sorted(set(values[samples.of_cell == position].tolist()))
        if len(found) > 1:
            raise InputError(
                f"{key}: the cells of sample {shown(sample)} have several conditions: "
                f"{first_few(found)}. Each sample must have one."
            )
        if found == [""]:
            raise InputError(f"{key}: sample {shown(sample)} has no condition. Give it one.")
        condition_of[sample] = found[0]
    if len(set(condition_of.values())) < 2:
        raise InputError(
            f"{key}: all samples have the condition {shown(next(iter(condition_of.values())))}, so "
            "that there is nothing to compare. Name another column."
        )
    return condition_of


def obs_column(source: Input, column: str) -> Any:
    """Take the labels of the cells from a column of `obs` of AnnData.

    Parameters
    ----------
    source
        The dataset.
    column
        Name of the column.

    Returns
    -------
    sequence
        The column: one label per cell.

    Raises
    ------
    UsageError
        The dataset has no `obs`, or `obs` has no such column.
    """
    if source.has_cell_data:
        return source.obs_column(column)
    obs = getattr(source.data, "obs", None)
    if obs is None:
        raise UsageError(
            f"batches is {shown(column)}, the name of a column of an AnnData's obs, but the data "
            "are not an AnnData. Pass one label per cell."
        )
    if column not in obs:
        raise UsageError(
            f"obs has no column {shown(column)}. "
            f"Its columns are {first_few(list(obs.columns), most=20)}."
        )
    return column_of(obs, column)
