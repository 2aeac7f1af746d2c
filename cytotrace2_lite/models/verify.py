"""Verify on any machine that a model gives the scores that it gave where it was made.

Every model has the scores of some made-up cells, computed in float64 from the folded networks when
it was exported. They depend neither on onnxruntime nor on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.genes import N_FEATURES

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from cytotrace2_lite.models.ensemble import Ensemble

__all__ = ["MAX_DIFFERENCE", "N_CELLS", "Verification", "made_up_counts", "verify"]

#: Number of made-up cells whose scores are in a model.
N_CELLS = 12
#: Largest difference of a score; rounding to float32 moves a score by less than 1e-6.
MAX_DIFFERENCE = 1e-5


@dataclass(frozen=True, eq=False)
class Verification:
    """How the scores of the made-up cells came out.

    Attributes
    ----------
    expected
        Scores that are in the model; float64, shape (12,).
    score
        Scores that it gives on this machine; float64, shape (12,).
    """

    expected: NDArray[np.float64]
    score: NDArray[np.float64]

    @property
    def difference(self) -> float:
        """Largest difference of the scores."""
        return float(np.abs(self.score - self.expected).max())


def made_up_counts(n_cells: int = N_CELLS) -> csr_array:
    """Make up counts of cells that express few to many genes.

    They are the same on every machine, and must stay the same in later versions.

    Parameters
    ----------
    n_cells
        Number of cells.

    Returns
    -------
    csr_array
        Counts over the model's features, float64, shape (n_cells, 14271), 100 to 9,000 per cell.
    """
    from scipy.sparse import csr_array

    # NumPy keeps the streams of RandomState fixed; those of newer generators may change.
    random = np.random.RandomState(0)
    per_cell = np.linspace(100, 9000, n_cells).astype(int)
    genes = [np.sort(random.permutation(N_FEATURES)[:n]) for n in per_cell]
    counts = np.floor(1 / (1 - random.random_sample(per_cell.sum()))).clip(max=1000)
    indptr = np.concatenate([[0], np.cumsum(per_cell)])
    return csr_array((counts, np.concatenate(genes), indptr), shape=(n_cells, N_FEATURES))


def verify(ensemble: Ensemble, *, threads: int = 1) -> Verification:
    """Score the made-up cells and compare with the scores that are in the model.

    Parameters
    ----------
    ensemble
        A loaded model.
    threads
        Number of threads to score with.

    Returns
    -------
    Verification
        Expected and actual scores.

    Raises
    ------
    ModelError
        The model does not give its own scores on this machine.
    """
    prediction = ensemble.predict_counts(made_up_counts(), threads=threads)
    if len(ensemble.check_scores) != N_CELLS:
        raise ModelError(
            f"{ensemble.info.path}: the model does not have the {N_CELLS} known scores."
        )
    verification = Verification(np.array(ensemble.check_scores), prediction.score)
    if not verification.difference <= MAX_DIFFERENCE:
        raise ModelError(
            f"{ensemble.info.path}: the model gives other scores here than where it was made (off "
            f"by up to {verification.difference:.1e}, at most {MAX_DIFFERENCE:.0e} is rounding). "
            "Update onnxruntime, or report this with the output of 'ct2-lite check'."
        )
    return verification
