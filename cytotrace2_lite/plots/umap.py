"""A UMAP of the cells: whether it can be computed, its coordinates, and which cells it leaves out.

It is a UMAP of the principal components that the scores are smoothed over (log2 CPM of the model's
genes, z-scored per cell). A run of one batch has them. Else its cost is bounded: the components are
those of 5,000 random cells, on which all cells are projected. At most 50,000 random cells get
coordinates.

Source: UMAP, McInnes et al., arXiv:1802.03426; 15 neighbours and a minimal distance of 0.5 are
the defaults of scanpy, with which cytotrace2_py 1.1.0.4 plots. The layout is that of umappp
(package scranpy), which needs no compiler at each start. Where there is no wheel of it (Windows,
Linux on Arm), umap-learn makes one of the same quality.
"""

from __future__ import annotations

import contextlib
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.progress import Progress
from cytotrace2_lite.errors import CytoTRACE2Error, PlotWarning
from cytotrace2_lite.metadata.coordinates import Embedding
from cytotrace2_lite.stages import components as pca
from cytotrace2_lite.stages import neighbors as knn
from cytotrace2_lite.stages import preprocess
from cytotrace2_lite.stages.standardised import scale_and_shift, standardise
from cytotrace2_lite.system.blas import one_blas_thread
from cytotrace2_lite.system.caches import prepare_caches
from cytotrace2_lite.system.heartbeat import heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cytotrace2_lite.counts import Counts

__all__ = [
    "MAX_CELLS",
    "PACKAGE",
    "compute_umap",
    "is_installed",
    "left_out",
    "require_umap",
    "umap_if_possible",
]

#: The packages that can lay it out, as pip knows them.
PACKAGE = "scranpy or umap-learn"
# All of these decide where cells are drawn: another value gives another plot.
#: Largest number of cells that get coordinates.
MAX_CELLS = 50_000
_SAMPLE_SIZE = 5000  # cells whose components are computed
_SEED = 14
_N_NEIGHBORS = 15
_MIN_DISTANCE = 0.5
# With 100 or 200, cells are laid out hardly better, in two and four times the time: trustworthiness
# of 15 neighbours 0.969, 0.968 and 0.968 (enteric_morarach2021), 0.947, 0.948 and 0.949
# (palantir_marrow), 0.927, 0.928 and 0.930 (pbmc3k), 0.967, 0.969 and 0.967 (darmanis2015).
_N_EPOCHS = 50
_EXTENT = 10.0  # of the coordinates at the start, as both packages have it
# This decides only how much memory the projection takes.
_CELLS_PER_STEP = 5000


def is_installed() -> bool:
    """Tell whether a package that can lay it out is there, without importing it."""
    return find_spec("scranpy") is not None or find_spec("umap") is not None


def require_umap() -> None:
    """Raise an error where no package can lay it out; none is imported.

    Raises
    ------
    CytoTRACE2Error
        It is not installed.
    """
    if not is_installed():
        raise CytoTRACE2Error(
            f"A UMAP needs {PACKAGE}: pip install 'cytotrace2-lite[plot]', or give "
            "coordinates of your own as embedding."
        )


def left_out(counts: Counts) -> PlotWarning | None:
    """Warn of cells that are not in the UMAP because there are too many.

    Parameters
    ----------
    counts
        As for `compute_umap`.

    Returns
    -------
    PlotWarning or None
        None where all cells with counts are in it.
    """
    if np.count_nonzero(counts.genes_per_cell) <= MAX_CELLS:
        return None
    return PlotWarning(
        f"a random {MAX_CELLS:,} of the {counts.shape[0]:,} cells are in the UMAP plots; "
        "--embedding (embedding= in Python) can show all."
    )


@one_blas_thread()
def compute_umap(
    counts: Counts,
    components: NDArray[np.float64] | None = None,
    *,
    threads: int = 1,
    progress: Callable[[Progress], None] | None = None,
) -> Embedding:
    """Compute the UMAP of the cells. The seed is fixed.

    Parameters
    ----------
    counts
        Expression over the model's features, shape (n_cells, 14271). Its values are used only
        where there are no components.
    components
        Principal components of the cells, as `Scores.components`; float64, shape (n_cells, 30).
    threads
        How many share all work but the layout, which is reproducible only in one thread. The
        result does not depend on it.
    progress
        Called once a second, from another thread, with the seconds since the start: the libraries
        say nothing. During the layout it may not be called.

    Returns
    -------
    Embedding
        NaN for cells without counts, and for those that are left out; see `left_out`.

    Raises
    ------
    CytoTRACE2Error
        No package for it is installed, or there are too few cells.
    """
    require_umap()
    shown = np.flatnonzero(counts.genes_per_cell)
    if len(shown) <= max(knn.N_COMPONENTS, knn.N_NEIGHBORS):
        raise CytoTRACE2Error(
            f"a UMAP needs at least {max(knn.N_COMPONENTS, knn.N_NEIGHBORS) + 1} cells with "
            f"counts; there are {len(shown)}. Give coordinates of your own (--embedding)."
        )
    if len(shown) > MAX_CELLS:
        shown = np.sort(np.random.RandomState(_SEED).choice(shown, MAX_CELLS, replace=False))
    report = progress or (lambda _: None)
    with heartbeat(lambda seconds: report(Progress("embed", int(seconds), 0, "seconds"))):
        if components is None:
            components = _principal_components(counts, shown, threads)
        else:
            components = components[shown]
        neighbors, distances = knn.nearest_neighbors(components, threads=threads)
        # The distances are divided by the largest distance of each cell, which changes nothing: the
        # graph depends on the ratios of a cell's distances.
        lay_out = _by_umappp if find_spec("scranpy") is not None else _by_umap_learn
        layout = lay_out(components, neighbors[:, :_N_NEIGHBORS], distances[:, :_N_NEIGHBORS])
    coordinates = np.full((counts.shape[0], 2), np.nan)
    coordinates[shown] = layout
    return Embedding(coordinates, ("UMAP 1", "UMAP 2"))


def umap_if_possible(
    counts: Counts,
    components: NDArray[np.float64] | None,
    threads: int,
    progress: Callable[[Progress], None] | None,
) -> Embedding | None:
    """Compute a UMAP that results do not depend on: as `compute_umap`, but None on any error."""
    if not is_installed():
        return None
    with contextlib.suppress(Exception):  # the plots try again, and tell what is wrong
        return compute_umap(counts, components, threads=threads, progress=progress)
    return None


def _principal_components(
    counts: Counts, cells: NDArray[np.intp], threads: int
) -> NDArray[np.float64]:
    """Compute principal components of up to 5,000 random cells, and project all cells on them.

    Parameters
    ----------
    counts
        Shape (n_cells, 14271).
    cells
        Positions of the cells that are shown; intp, shape (n_shown,).
    threads
        Number of threads.

    Returns
    -------
    ndarray
        float64, shape (n_shown, 30).
    """
    sample = cells
    if len(cells) > _SAMPLE_SIZE:
        chosen = np.random.RandomState(_SEED).choice(cells, _SAMPLE_SIZE, replace=False)
        sample = np.sort(chosen)
    found = pca.principal_components(
        standardise(counts[sample], threads=threads), knn.N_COMPONENTS, threads=threads
    )
    if len(sample) == len(cells):
        return found
    # Loadings of the genes: Z' U / sqrt(eigenvalue), where found is U sqrt(eigenvalue).
    log2_cpm = preprocess.log2_cpm(counts[sample])
    scale, shift = scale_and_shift(log2_cpm)
    squares = (found**2).sum(axis=0)
    weight = np.divide(found, squares, out=np.zeros_like(found), where=squares > 0)
    loadings = log2_cpm.T @ (scale * weight) - (shift * weight).sum(axis=0)
    gene_mean = (log2_cpm.T @ scale - shift.sum()) / len(sample)
    constant, centre = loadings.sum(axis=0), gene_mean[:, 0] @ loadings
    components = np.empty((len(cells), knn.N_COMPONENTS))
    for start in range(0, len(cells), _CELLS_PER_STEP):
        step = slice(start, start + _CELLS_PER_STEP)
        log2_cpm = preprocess.log2_cpm(counts[cells[step]])
        scale, shift = scale_and_shift(log2_cpm)
        components[step] = scale * (log2_cpm @ loadings) - shift * constant - centre
    return components


def _by_umappp(
    components: NDArray[np.float64], neighbors: NDArray[np.intp], distances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Lay out the graph of the nearest neighbours with umappp.

    Parameters
    ----------
    components
        float64, shape (n_shown, 30).
    neighbors, distances
        The 15 nearest cells of each cell, itself first, and how far they are; shape (n_shown, 15).

    Returns
    -------
    ndarray
        float64, shape (n_shown, 2).
    """
    from knncolle import FindKnnResults
    from scranpy import run_umap

    # Where the graph has several parts without a link between them, this is the start: the first
    # two components, and a little noise so that equal cells can part.
    plane = components[:, :2] - components[:, :2].mean(axis=0)
    start = plane / (np.abs(plane).max() or 1.0) * _EXTENT
    start += np.random.RandomState(_SEED).normal(scale=_EXTENT / 1000, size=start.shape)
    layout: NDArray[np.float64] = run_umap(
        # A cell is not its own neighbour here.
        FindKnnResults(
            np.ascontiguousarray(neighbors[:, 1:], dtype=np.uint32),
            np.ascontiguousarray(distances[:, 1:], dtype=np.float64),
        ),
        min_dist=_MIN_DISTANCE,
        initial_coordinates=start,
        initialize_random_on_spectral_fail=False,
        num_epochs=_N_EPOCHS,
        optimize_seed=_SEED,
    )
    return layout


def _by_umap_learn(
    components: NDArray[np.float64], neighbors: NDArray[np.intp], distances: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Lay out the graph of the nearest neighbours with umap-learn.

    Parameters
    ----------
    components, neighbors, distances
        As for `_by_umappp`.

    Returns
    -------
    ndarray
        float32, shape (n_shown, 2).
    """
    with warnings.catch_warnings():
        # About parts of umap-learn that are not used here: tensorflow, its index of neighbours.
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        warnings.filterwarnings("ignore", r"precomputed_knn\[2\]", UserWarning)
        warnings.filterwarnings("ignore", "Spectral initialisation failed", UserWarning)
        # The graph may have several parts without a link between them. Only the start of the layout
        # is then found in another way.
        warnings.filterwarnings("ignore", module=r"sklearn\.manifold\._spectral_embedding")
        warnings.filterwarnings("ignore", ".*force_all_finite", FutureWarning)
        prepare_caches()
        from umap import UMAP

        model: Any = UMAP(
            n_neighbors=_N_NEIGHBORS,
            min_dist=_MIN_DISTANCE,
            n_epochs=_N_EPOCHS,
            random_state=_SEED,
            n_jobs=1,
            precomputed_knn=(neighbors.astype(np.int32), distances.astype(np.float32)),
            force_approximation_algorithm=True,
        )
        layout: NDArray[np.float32] = model.fit_transform(components.astype(np.float32))
    return layout
