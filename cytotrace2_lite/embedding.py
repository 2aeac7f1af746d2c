"""Two coordinates per cell for plots: a UMAP of our own, or the user's.

The UMAP is that of the principal components the scores are smoothed over (log2 CPM of the model's
genes, z-scored per cell). Its cost is bounded: components are found on 5,000 random cells and the
others projected on them, and of more than 50,000 cells a random 50,000 get coordinates.

Source: UMAP, McInnes et al., arXiv:1802.03426; 15 neighbours and a minimal distance of 0.5 are
scanpy's defaults, which cytotrace2_py 1.1.0.4 plots with.
"""

from __future__ import annotations

import csv
import io
import math
import os
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite import knn, pca, preprocess
from cytotrace2_lite.checks import Finding
from cytotrace2_lite.errors import CytoTRACE2Error, InputError, UsageError, first_few, shown
from cytotrace2_lite.read import h5ad
from cytotrace2_lite.read._stream import read_whole
from cytotrace2_lite.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from cytotrace2_lite.store import Counts

__all__ = [
    "MAX_CELLS",
    "Embedding",
    "embedding_of",
    "match_cells",
    "obsm_embedding",
    "read_embedding",
    "require_umap",
    "umap",
]

#: Largest number of cells that get UMAP coordinates.
MAX_CELLS = 50_000
_SEED = 14
_N_NEIGHBORS = 15
_MIN_DISTANCE = 0.5
_CELLS_PER_STEP = 5000


@dataclass(frozen=True)
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
    """Check coordinates that somebody computed, such as `adata.obsm["X_umap"]`.

    Parameters
    ----------
    coordinates
        Numbers, shape (n_cells, 2), in the order of the cells; NaN for a cell not to be drawn.
    n_cells
        Number of cells there are.

    Returns
    -------
    Embedding
        With a copy of the coordinates.

    Raises
    ------
    UsageError
        They are no numbers, of another shape, or all missing.
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


def obsm_embedding(data: Any, key: str) -> Embedding:
    """Take the first two columns of an array in `obsm` of AnnData.

    Parameters
    ----------
    data
        AnnData, what looks like it, or the path of a `.h5ad`.
    key
        The array's name, such as "X_umap", after which the axes are named.

    Returns
    -------
    Embedding
        A row per cell.

    Raises
    ------
    UsageError
        There is no such array, or it has no two columns of numbers.
    """
    values: Any
    if isinstance(data, (str, os.PathLike)) and h5ad.is_h5ad_path(data):
        values = h5ad.obsm(data, key)
    else:
        arrays = getattr(data, "obsm", None)
        if arrays is None:
            raise UsageError(
                f"embedding is {shown(key)}, the name of an array of AnnData's obsm, but the data "
                "are "
                'none. Pass "umap", or numbers of shape (n_cells, 2).'
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


def read_embedding(
    path: str | os.PathLike[str],
) -> tuple[dict[str, tuple[float, float]], tuple[str, str]]:
    """Read coordinates of cells.

    Parameters
    ----------
    path
        A table of cell id and two coordinates, the rest ignored, separated by tabs where its first
        line has one, else by commas. The first line is a header where it has no cell id or no two
        numbers behind it.

    Returns
    -------
    coordinates : dict
        Cell id to its two coordinates.
    axes : tuple of str
        Names of the coordinates.

    Raises
    ------
    InputError
        The file cannot be read, has no such columns, or names a cell twice.
    """
    coordinates: dict[str, tuple[float, float]] = {}
    axes = Embedding.axes
    try:
        text = io.StringIO(read_whole(path).decode("utf-8-sig"), newline="")
        delimiter = "\t" if "\t" in text.readline() else ","
        text.seek(0)
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        for row in rows:
            if rows.line_num == 1 and not _is_data(row):
                # R names the columns of numbers only.
                names = row if len(row) == 2 else row[1:3]
                if len(names) == 2 and not any(_is_number(name) for name in names):
                    axes = (names[0], names[1])
                continue
            if row:
                _add_row(coordinates, row, f"{path}: line {rows.line_num}")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file with an embedding. The name of an array in obsm needs an .h5ad "
            "input."
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot read the embedding ({error.strerror}).") from error
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: the embedding is no plain text. Unpack it, or save the sheet as tab- or "
            "comma-separated text (UTF-8)."
        ) from None
    except csv.Error as error:
        raise InputError(
            f"{path}: the embedding is not tab- or comma-separated text ({error})."
        ) from error
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
    """Bring the coordinates of a file into the order of the cells of the table.

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
        Empty where every cell has coordinates.

    Raises
    ------
    InputError
        No cell of the table has any.
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
            "They are not in the UMAP plots; the scores are not touched by it.",
            "Check that the ids are written alike.",
        )
    ]


def require_umap() -> None:
    """See that umap-learn is there, without importing it, which takes seconds.

    Raises
    ------
    CytoTRACE2Error
        It is not installed.
    """
    if find_spec("umap") is None:
        raise CytoTRACE2Error(
            "A UMAP needs the package umap-learn: pip install 'cytotrace2-lite[plot]', or give "
            "coordinates of your own as embedding."
        )


@one_blas_thread()
def umap(counts: Counts, *, threads: int = 1) -> Embedding:
    """Compute the UMAP of the cells. The seed is fixed.

    Parameters
    ----------
    counts
        Expression over the model's features, shape (n_cells, 14271).
    threads
        Of everything but the layout itself, which takes one to be reproducible. The result does
        not depend on it.

    Returns
    -------
    Embedding
        No coordinates for cells without counts, and those beyond `MAX_CELLS`.

    Raises
    ------
    CytoTRACE2Error
        umap-learn is not installed, or there are too few cells.
    """
    require_umap()
    shown = np.flatnonzero(counts.n_genes)
    if len(shown) <= max(knn.N_COMPONENTS, knn.N_NEIGHBORS):
        raise CytoTRACE2Error(
            f"a UMAP needs {max(knn.N_COMPONENTS, knn.N_NEIGHBORS) + 1} cells with counts at "
            f"least, here are {len(shown)}. Give coordinates of your own (--embedding)."
        )
    if len(shown) > MAX_CELLS:
        shown = np.sort(np.random.RandomState(_SEED).choice(shown, MAX_CELLS, replace=False))
    components = _principal_components(counts, shown, threads)
    neighbors, distances = knn.nearest_neighbors(components, threads=threads)
    layout = _layout(components, neighbors[:, :_N_NEIGHBORS], distances[:, :_N_NEIGHBORS])
    coordinates = np.full((counts.shape[0], 2), np.nan)
    coordinates[shown] = layout
    return Embedding(coordinates, ("UMAP 1", "UMAP 2"))


def _principal_components(
    counts: Counts, cells: NDArray[np.intp], threads: int
) -> NDArray[np.float64]:
    """Principal components of up to 5,000 random cells, and all cells projected on them."""
    sample = cells
    if len(cells) > _CELLS_PER_STEP:
        chosen = np.random.RandomState(_SEED).choice(cells, _CELLS_PER_STEP, replace=False)
        sample = np.sort(chosen)
    standardised = pca.standardise(counts[sample], threads=threads)
    found = pca.principal_components(standardised, knn.N_COMPONENTS, threads=threads)
    if len(sample) == len(cells):
        return found
    # Loadings of the genes: Z' U / sqrt(eigenvalue), where found is U sqrt(eigenvalue).
    log2_cpm = preprocess.log2_cpm(counts[sample])
    scale, shift = pca.scale_and_shift(log2_cpm)
    squares = (found**2).sum(axis=0)
    weight = np.divide(found, squares, out=np.zeros_like(found), where=squares > 0)
    loadings = log2_cpm.T @ (scale * weight) - (shift * weight).sum(axis=0)
    gene_mean = (log2_cpm.T @ scale - shift.sum()) / len(sample)
    constant, centre = loadings.sum(axis=0), gene_mean[:, 0] @ loadings
    components = np.empty((len(cells), knn.N_COMPONENTS))
    for start in range(0, len(cells), _CELLS_PER_STEP):
        step = slice(start, start + _CELLS_PER_STEP)
        log2_cpm = preprocess.log2_cpm(counts[cells[step]])
        scale, shift = pca.scale_and_shift(log2_cpm)
        components[step] = scale * (log2_cpm @ loadings) - shift * constant - centre
    return components


def _layout(
    components: NDArray[np.float64], neighbors: NDArray[np.intp], distances: NDArray[np.float64]
) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        # It says what it cannot do without what we do not need: tensorflow, an index of its own.
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        warnings.filterwarnings("ignore", r"precomputed_knn\[2\]", UserWarning)
        warnings.filterwarnings("ignore", "Spectral initialisation failed", UserWarning)
        # Where cells fall apart into groups; the start of the layout is all that depends on it.
        warnings.filterwarnings("ignore", module=r"sklearn\.manifold\._spectral_embedding")
        warnings.filterwarnings("ignore", ".*force_all_finite", FutureWarning)
        from umap import UMAP

        # Neighbours are exact and already here; scaled per cell they give the same graph, which
        # depends on a cell's distances by their ratios.
        model: Any = UMAP(
            n_neighbors=_N_NEIGHBORS,
            min_dist=_MIN_DISTANCE,
            random_state=_SEED,
            n_jobs=1,
            precomputed_knn=(neighbors.astype(np.int32), distances.astype(np.float32)),
            force_approximation_algorithm=True,
        )
        layout: NDArray[np.float64] = model.fit_transform(components.astype(np.float32))
    return layout


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
