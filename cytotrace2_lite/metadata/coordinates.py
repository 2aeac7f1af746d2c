"""Coordinates of cells for plots, as users have them: arrays, `obsm` of AnnData, files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.finding import Finding
from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.system.small_tables import quoted, read_small_table
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from cytotrace2_lite.read import Input

__all__ = [
    "Embedding",
    "checked_embedding",
    "embedding_of",
    "embedding_table",
    "match_cells",
    "obsm_embedding",
    "read_embedding",
]


@dataclass(frozen=True, eq=False)
class Embedding:
    """Where plots draw the cells.

    Attributes
    ----------
    coordinates
        float64, shape (n_cells, 2); NaN for a cell that is not drawn.
    axes
        Names of the two axes.
    """

    coordinates: NDArray[np.float64]
    axes: tuple[str, str] = ("Embedding 1", "Embedding 2")


def embedding_of(coordinates: ArrayLike | Embedding, n_cells: int) -> Embedding:
    """Check coordinates that a user gives, such as `adata.obsm["X_umap"]`.

    Parameters
    ----------
    coordinates
        Numbers, shape (n_cells, 2), in the order of the cells; NaN for a cell that is not to be
        drawn.
    n_cells
        How many cells there are.

    Returns
    -------
    Embedding
        A copy of the coordinates.

    Raises
    ------
    UsageError
        They are not numbers, have another shape, or are all missing.
    """
    given = coordinates if isinstance(coordinates, Embedding) else None
    try:
        values = np.array(given.coordinates if given else coordinates, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"embedding holds something that is not a number ({error}); it must be an array of "
            "shape (n_cells, 2)."
        ) from error
    if values.shape != (n_cells, 2):
        raise UsageError(
            f"embedding has the shape {values.shape}; it must be ({n_cells}, 2), a row per cell."
        )
    values[~np.isfinite(values).all(axis=1)] = np.nan
    if np.isnan(values).all():
        raise UsageError("embedding has no finite coordinates for any cell.")
    return Embedding(values, given.axes if given else Embedding.axes)


def checked_embedding(
    coordinates: ArrayLike | Embedding, cells: Sequence[str]
) -> tuple[Embedding, list[Finding]]:
    """Check coordinates as `embedding_of`, and return them as `match_cells` returns its own.

    Parameters
    ----------
    coordinates
        Numbers, shape (n_cells, 2), in the order of the cells.
    cells
        Names of the cells.

    Returns
    -------
    embedding : Embedding
        A copy of the coordinates.
    findings : list of Finding
        Always empty.

    Raises
    ------
    UsageError
        As `embedding_of` raises.
    """
    return embedding_of(coordinates, len(cells)), []


def obsm_embedding(source: Input, key: str) -> Embedding:
    """Take the first two columns of an array in `obsm` of AnnData.

    Parameters
    ----------
    source
        The dataset: AnnData, or a `.h5ad` file.
    key
        Name of the array, such as "X_umap". The axes are named after it.

    Returns
    -------
    Embedding
        A row per cell.

    Raises
    ------
    UsageError
        There is no such array, or it does not hold two columns of numbers.
    """
    values: Any
    if source.has_cell_data:
        values = source.obsm(key)
    else:
        arrays = getattr(source.data, "obsm", None)
        if arrays is None:
            raise UsageError(
                f"embedding is {shown(key)}, the name of an array of AnnData's obsm, but the data "
                'are not an AnnData. Pass "umap", or numbers of shape (n_cells, 2).'
            )
        if key not in arrays:
            raise UsageError(
                f"obsm has no array {shown(key)}. Its arrays are "
                f"{first_few(list(arrays), most=20)}."
                if len(arrays)
                else f"obsm has no array {shown(key)}; it is empty."
            )
        values = np.asarray(arrays[key])
    if values.ndim != 2 or values.shape[1] < 2:
        raise UsageError(
            f"obsm[{shown(key)}] has the shape {values.shape}; two columns are needed."
        )
    name = key.removeprefix("X_")
    name = name.upper() if name.islower() else name
    checked = embedding_of(values[:, :2], len(values))
    return Embedding(checked.coordinates, (f"{name} 1", f"{name} 2"))


def embedding_table(cells: Sequence[str], embedding: Embedding) -> bytes:
    """Write coordinates of cells as `read_embedding` reads them.

    Parameters
    ----------
    cells
        Names of the cells, length n_cells.
    embedding
        Their coordinates; a cell without any is left out.

    Returns
    -------
    bytes
        Content of a tab-separated file with a header. Numbers are in the shortest form that is read
        back as the same number.
    """
    shown_cells = np.flatnonzero(np.isfinite(embedding.coordinates).all(axis=1)).tolist()
    rows = embedding.coordinates[shown_cells].tolist()
    lines = ["\t".join(["cell", *map(quoted, embedding.axes)])]
    lines += [
        f"{quoted(cells[cell])}\t{x}\t{y}" for cell, (x, y) in zip(shown_cells, rows, strict=True)
    ]
    return ("\n".join(lines) + "\n").encode()


def read_embedding(
    path: str | os.PathLike[str],
) -> tuple[dict[str, tuple[float, float]], tuple[str, str]]:
    """Read coordinates of cells from a file.

    Parameters
    ----------
    path
        A table with the cell ids in the first column and two coordinates in the next two; further
        columns are ignored. Fields are separated by tabs where the first line has a tab, else by
        commas. The first line is a header unless it has a cell id and two numbers after it.

    Returns
    -------
    coordinates : dict
        Cell id to its two coordinates.
    axes : tuple of str
        Names of the two coordinates, from the header if there is one.

    Raises
    ------
    InputError
        The file cannot be read, has no such columns, or has a cell twice.
    """
    try:
        table = read_small_table(path, "embedding")
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise InputError(
                f"{path}: no such file with an embedding. The name of an array in obsm needs an "
                ".h5ad input."
            ) from None
        raise
    coordinates: dict[str, tuple[float, float]] = {}
    axes = Embedding.axes
    for number, row in enumerate(table.rows):
        if number == 0 and not _is_data(row):
            # R names the columns of numbers only.
            names = row if len(row) == 2 else row[1:3]
            if len(names) == 2 and not any(_is_number(name) for name in names):
                axes = (names[0], names[1])
            continue
        _add_row(coordinates, row, table.where(number))
    if not coordinates:
        raise InputError(
            f"{path}: the embedding holds no cell: it needs a line per cell with its id and two "
            "coordinates."
        )
    return coordinates, axes


def match_cells(
    coordinates: Mapping[str, tuple[float, float]],
    axes: tuple[str, str],
    cells: Sequence[str],
    path: str | os.PathLike[str],
) -> tuple[Embedding, list[Finding]]:
    """Put the coordinates of a file into the order of the cells of the expression table.

    Parameters
    ----------
    coordinates, axes
        As `read_embedding` returns them.
    cells
        Names of the cells of the table.
    path
        The file, for the messages.

    Returns
    -------
    embedding : Embedding
        One row per cell of the table.
    findings : list of Finding
        A warning where cells have no coordinates; empty where all have.

    Raises
    ------
    InputError
        No cell of the table has coordinates.
    """
    missing = [cell for cell in cells if cell not in coordinates]
    if len(missing) == len(cells):
        raise InputError(
            f"{path}: none of the {len(cells)} cells of the table has coordinates: the table has "
            f"{first_few(cells)}, the embedding {first_few(list(coordinates))}. Write the ids "
            "alike."
        )
    none = (math.nan, math.nan)
    values = np.array([coordinates.get(cell, none) for cell in cells])
    if not missing:
        return Embedding(values, axes), []
    return Embedding(values, axes), [
        Finding(
            "embedding",
            "warning",
            f"{path}: {len(missing):,} of {len(cells):,} cells of the table have no coordinates: "
            f"{first_few(missing)}",
            "They are not in the UMAP plots; the scores do not depend on coordinates.",
            "Check that the ids are written alike.",
        )
    ]


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _is_data(row: list[str]) -> bool:
    return len(row) >= 3 and row[0] != "" and all(_is_number(field) for field in row[1:3])


def _add_row(coordinates: dict[str, tuple[float, float]], row: list[str], where: str) -> None:
    if len(row) < 3:
        raise InputError(f"{where} has {len(row)} fields: it needs a cell id and two coordinates.")
    cell, *texts = row[:3]
    for text in texts:
        if not _is_number(text):
            raise InputError(
                f"{where}, cell {shown(cell)}: {shown(text)} is not a finite number. Leave the "
                "line out where a cell has no coordinates."
            )
    if cell in coordinates:
        raise InputError(f"{where}: cell {shown(cell)} appears twice. Keep one of its lines.")
    coordinates[cell] = (float(texts[0]), float(texts[1]))
