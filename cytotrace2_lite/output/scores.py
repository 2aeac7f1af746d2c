"""The scores of a run: what the pipeline returns, and what tables and plots are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.base.parameters import MIN_GENES_PER_CELL
from cytotrace2_lite.base.potency import POTENCIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from cytotrace2_lite.errors import CytoTRACE2Warning
    from cytotrace2_lite.metadata.coordinates import Embedding

__all__ = ["STATUSES", "Scores", "labels_of", "model_label"]

#: Values of `CytoTRACE2_Status`.
STATUSES = ("scored", "scored (few genes)", "no counts")


# No comparison of all fields: `==` of arrays has no single truth value.
@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of the cells of one run, in input order.

    A cell without a count over the model's genes has no score: NaN in every number, -1 in every
    index, an empty label.

    Attributes
    ----------
    cells
        Names of the cells.
    score
        `CytoTRACE2_Score`, 0 (differentiated) to 1 (totipotent); float64, shape (n_cells,).
    relative
        `CytoTRACE2_Relative`, the score from 0 (lowest of the run) to 1 (highest); float64,
        shape (n_cells,).
    preknn_score
        Score before smoothing over neighbours; float64, shape (n_cells,).
    raw_score
        Score of the ensemble before any smoothing; float64, shape (n_cells,).
    probabilities
        Mean potency probabilities of the ensemble; float64, shape (n_cells, 6), columns as
        `cytotrace2_lite.POTENCIES`.
    potency_index, preknn_potency_index
        Position of the potency in `cytotrace2_lite.POTENCIES`; int8, shape (n_cells,).
    n_genes
        How many of the model's genes have a count in the cell; int64, shape (n_cells,).
    warnings
        The findings of severity "warning", as Python warnings.
    info
        The record of the run, as in `run.json`; docs/formats.md explains its keys.
    embedding
        Where plots draw the cells by default; None where the run was not asked for coordinates.
    components
        Principal components of the cells, over which the scores were smoothed: of log2 CPM of the
        model's genes, z-scored per cell; float64, shape (n_cells, 30), NaN for a cell without
        score. None where the run had several batches, which have components of their own, or fewer
        than 100 cells.
    score_sd
        `CytoTRACE2_Score_SD`, the population standard deviation over the members of their raw
        scores, in [0, 0.5]; float64, shape (n_cells,). None in scores made without it.
    """

    cells: list[str]
    score: NDArray[np.float64]
    relative: NDArray[np.float64]
    preknn_score: NDArray[np.float64]
    raw_score: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    potency_index: NDArray[np.int8]
    preknn_potency_index: NDArray[np.int8]
    n_genes: NDArray[np.int64]
    warnings: list[CytoTRACE2Warning] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    embedding: Embedding | None = None
    components: NDArray[np.float64] | None = None
    score_sd: NDArray[np.float64] | None = None

    @property
    def model_label(self) -> str:
        """How pictures and reports call the model of the scores.

        Only scores of the official ensembles are those of CytoTRACE 2: "CytoTRACE 2 v1.1" or
        "CytoTRACE 2 v1.0"; else "NAME model", as "open model" for the one that comes with this
        package; "" where the scores do not tell.
        """
        return model_label(self.info)

    @property
    def potency(self) -> NDArray[np.str_]:
        """`CytoTRACE2_Potency` of each cell; str, shape (n_cells,)."""
        return labels_of(self.potency_index, POTENCIES)

    @property
    def preknn_potency(self) -> NDArray[np.str_]:
        """`preKNN_CytoTRACE2_Potency`, the most probable potency; str, shape (n_cells,)."""
        return labels_of(self.preknn_potency_index, POTENCIES)

    @property
    def pseudotime(self) -> NDArray[np.float64]:
        """1 - `score`, from the least to the most differentiated; float64, shape (n_cells,)."""
        return 1 - self.score

    @property
    def status(self) -> NDArray[np.str_]:
        """Whether each cell has a score, and a reliable one; str, shape (n_cells,).

        `"scored"`; `"scored (few genes)"` where fewer than 500 of the model's genes have a count;
        `"no counts"` where there is no score.
        """
        return labels_of(self.status_index, STATUSES)

    @property
    def status_index(self) -> NDArray[np.int8]:
        """Position of the status of each cell in `STATUSES`; int8, shape (n_cells,)."""
        few_genes = self.n_genes < MIN_GENES_PER_CELL
        return np.where(self.potency_index < 0, 2, few_genes).astype(np.int8)


def model_label(info: Mapping[str, Any]) -> str:
    """Give `Scores.model_label` of a record of a run, as in `run.json`."""
    model = info.get("model", {})
    if official := model.get("official"):
        return f"CytoTRACE 2 v{official.removesuffix('.0')}"
    name = model.get("name", "")
    return f"{name} model" if name else ""


def labels_of(index: NDArray[np.int8], labels: Sequence[str]) -> NDArray[np.str_]:
    """Give the label at each position.

    Parameters
    ----------
    index
        Positions in `labels`, -1 for none; shape (n_cells,).
    labels
        The labels.

    Returns
    -------
    ndarray
        str, shape (n_cells,); "" for none.
    """
    return np.array([*labels, ""])[index]
