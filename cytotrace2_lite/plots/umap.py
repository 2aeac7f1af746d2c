"""Two coordinates per cell for plots: a UMAP of our own, or the user's.

The UMAP is that of the principal components the scores are smoothed over (log2 CPM of the model's
genes, z-scored per cell). Its cost is bounded: components are found on 5,000 random cells and the
others projected on them, and of more than 50,000 cells a random 50,000 get coordinates.

Source: UMAP, McInnes et al., arXiv:1802.03426; 15 neighbours and a minimal distance of 0.5 are
scanpy's defaults, which cytotrace2_py 1.1.0.4 plots with.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.metadata.coordinates import Embedding
from cytotrace2_lite.stages import components as pca
from cytotrace2_lite.stages import neighbors as knn
from cytotrace2_lite.stages import preprocess
from cytotrace2_lite.stages.standardised import scale_and_shift, standardise
from cytotrace2_lite.system.caches import prepare_caches
from cytotrace2_lite.system.threads import one_blas_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cytotrace2_lite.counts import Counts

__all__ = ["MAX_CELLS", "require_umap", "umap"]

#: Largest number of cells that get UMAP coordinates.
MAX_CELLS = 50_000
_SEED = 14
_N_NEIGHBORS = 15
_MIN_DISTANCE = 0.5
_CELLS_PER_STEP = 5000


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
    shown = np.flatnonzero(counts.genes_per_cell)
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
        prepare_caches()
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
