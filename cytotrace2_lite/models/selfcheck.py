"""See on a new machine that a model gives the scores it was made with.

Every model carries the scores of some made-up cells, computed in float64 from the folded networks
when it was exported. They depend neither on onnxruntime nor on the machine it runs on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.genes import N_FEATURES
from cytotrace2_lite.stages import preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from cytotrace2_lite.models.ensemble import Ensemble

__all__ = ["MAX_DIFFERENCE", "N_CHECK_CELLS", "CheckResult", "check", "check_cells"]

N_CHECK_CELLS = 12
#: Float32 rounding moves a score by less than 1e-6.
MAX_DIFFERENCE = 1e-5


@dataclass(frozen=True)
class CheckResult:
    """How the scores of the made-up cells came out.

    Attributes
    ----------
    expected, score
        Scores the model carries, and scores it gave here; float64, shape (12,).
    """

    expected: NDArray[np.float64]
    score: NDArray[np.float64]

    @property
    def difference(self) -> float:
        """Largest difference of the scores."""
        return float(np.abs(self.score - self.expected).max())


def check_cells(n_cells: int = N_CHECK_CELLS) -> csr_array:
    """Make up counts of cells that express few to many genes; the same everywhere, for good.

    Parameters
    ----------
    n_cells
        Number of cells.

    Returns
    -------
    csr_array
        Counts over the model's features, float64, shape (n_cells, 14271), 100 to 9,000 a cell.
    """
    from scipy.sparse import csr_array

    # The streams of RandomState are frozen; those of newer generators may change.
    random = np.random.RandomState(0)
    per_cell = np.linspace(100, 9000, n_cells).astype(int)
    genes = [np.sort(random.permutation(N_FEATURES)[:n]) for n in per_cell]
    counts = np.floor(1 / (1 - random.random_sample(per_cell.sum()))).clip(max=1000)
    indptr = np.concatenate([[0], np.cumsum(per_cell)])
    return csr_array((counts, np.concatenate(genes), indptr), shape=(n_cells, N_FEATURES))


def check(ensemble: Ensemble, *, threads: int = 1) -> CheckResult:
    """Score the made-up cells and compare with what the model carries.

    Parameters
    ----------
    ensemble
        A loaded model.
    threads
        Number of threads to score with.

    Returns
    -------
    CheckResult
        Expected and actual scores.

    Raises
    ------
    ModelError
        The model does not give its own scores on this machine.
    """
    counts = check_cells()
    prediction = ensemble.predict(
        preprocess.log2_cpm(counts), preprocess.rank_expressed(counts), threads=threads
    )
    if len(ensemble.check_scores) != N_CHECK_CELLS:
        raise ModelError(
            f"{ensemble.info.path}: the model does not carry the {N_CHECK_CELLS} known scores."
        )
    result = CheckResult(np.array(ensemble.check_scores), prediction.score)
    if not result.difference <= MAX_DIFFERENCE:
        raise ModelError(
            f"{ensemble.info.path}: the model gives other scores here than where it was made (off "
            f"by up to {result.difference:.1e}, at most {MAX_DIFFERENCE:.0e} is rounding). Update "
            "onnxruntime, or report this with the output of 'ct2-lite check'."
        )
    return result
