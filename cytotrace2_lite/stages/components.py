"""Principal components of cells, from the sparse matrix, as exactly as the scores need them.

The components of z-scored cells, whose genes are centred over the cells, are the eigenvectors of
their Gram matrix, shape (n_cells, n_cells). `standardised` holds the cells, `gram` multiplies with
their Gram matrix, `krylov` finds eigenvectors from such products. Here they are put together, and
every component is checked against the Gram matrix before it is returned. These four files are one
stage: no other stage imports another one, but for `preprocess`.

Source: cytotrace2_py 1.1.0.4 `neighborhood_smoothing` (behaviour: scikit-learn's `scale` and `PCA`
with ARPACK).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.stages._gram_kernels import VECTORS_PER_PRODUCT
from cytotrace2_lite.stages.gram import GramProduct, gram_matrix
from cytotrace2_lite.stages.krylov import (
    eigenpairs_of_matrix,
    largest_residual,
    leading_eigenpairs,
    tolerance,
)
from cytotrace2_lite.stages.standardised import FewCells, ManyCells
from cytotrace2_lite.system.threads import thread_pool

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = ["principal_components"]

# The rounding error of a product with a unit vector is at most so many times machine epsilon times
# n_cells * n_genes, the trace of the Gram matrix before centring. Real data have a tenth of it.
_NOISE = 8


def principal_components(
    cells: FewCells | ManyCells,
    n_components: int,
    *,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Compute the coordinates of the cells on their leading principal components.

    For every component u with eigenvalue l of the Gram matrix G, |G u - l u| is at most
    `krylov.MAX_RESIDUAL` times the largest eigenvalue, or the rounding error of G u where that is
    larger (cells that are nearly equal). G is that of the values as they are kept, see
    `standardised`.

    Parameters
    ----------
    cells
        The cells of a batch, as `standardise` gives them.
    n_components
        Number of components, less than n_cells.
    threads
        How many threads share the products. The result does not depend on it.

    Returns
    -------
    ndarray
        float64, shape (n_cells, n_components); the signs of the components are arbitrary.

    Raises
    ------
    CytoTRACE2Error
        The components did not converge to this residual. Nothing less exact is ever returned.
    """
    n_cells = len(cells.scale)
    noise = _NOISE * np.finfo(np.float64).eps * n_cells * cells.n_genes
    if isinstance(cells, FewCells):
        gram = gram_matrix(cells, threads)
        values, columns = eigenpairs_of_matrix(gram, n_components)
        vectors = columns.T
        residual = largest_residual(lambda some: some @ gram, values, vectors)
    else:
        with thread_pool(threads) as pool:
            product = GramProduct(cells, pool)
            values, vectors = leading_eigenpairs(
                product,
                n_cells,
                n_components,
                block_size=VECTORS_PER_PRODUCT,
                noise=noise,
                pool=pool,
            )
            residual = largest_residual(product, values, vectors)
    allowed = tolerance(values, noise)
    if not residual <= allowed:
        raise CytoTRACE2Error(
            f"the principal components of {n_cells} cells did not converge: residual "
            f"{residual:.1e}, at most {allowed:.1e} is required. Please report this dataset."
        )
    lengths = np.sqrt(np.where(values > noise, values, 0.0))
    return np.ascontiguousarray((vectors * lengths[:, None])[::-1].T)
