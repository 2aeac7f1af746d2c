"""What a model has learnt about each gene, before it sees any data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import N_POTENCIES, POTENCIES
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.explanation.shares import target_of
from cytotrace2_lite.genes.symbols import features, human_symbols
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.models.weights import read_weights
from cytotrace2_lite.output.table import Table

if TYPE_CHECKING:
    import os

    import pandas as pd
    from numpy.typing import NDArray

    from cytotrace2_lite.models.weights import Weights

__all__ = ["LOG2_CPM", "RANK", "model_gene_table", "model_genes"]

#: The state of expression that weights are given for: the rank of a gene in its cell, ...
RANK = 100
#: ... and its log2(CPM + 1). The 100th gene of a cell has 1,000 to 1,900 CPM in six datasets, of
#: whole transcripts as of UMI.
LOG2_CPM = float(np.log2(1500 + 1))


def model_genes(
    model: str | os.PathLike[str] | Ensemble | None = None,
    *,
    n: int | None = None,
    species: str = "mouse",
) -> pd.DataFrame:
    """Say which genes a model goes by, for the score and for every potency.

    The weight of a gene is what it adds where it is the 100th gene of a cell with 1,500 CPM. For a
    potency that is how far it raises the logit of that potency over the mean of all six, a mean
    over the members; for the score, what this comes to in a cell for which all potencies are
    equally likely. What a gene really adds depends on its rank and on the rest of the cell: see
    `explain`.

    Parameters
    ----------
    model
        The path of an `.onnx` file, the name of a model, or a loaded `Ensemble`; as for `run`.
    n
        How many genes of each potency, up and down; None for all.
    species
        "human" puts the human symbol into `gene`.

    Returns
    -------
    pandas.DataFrame
        A row per potency and gene, first of the score, then from Totipotent to Differentiated,
        each from the largest weight to the lowest: `potency` ("score" for the score), `gene`,
        `mouse_symbol`, `weight`, `rank_part` and `second_part`, what the rank and the second
        input (log2 CPM; in version 1.0.0 the share of the ranked genes) have in it, `members_up`
        and `members_down`, in how many members it is over and under 0. Genes without a weight in
        any member are left out.

    Raises
    ------
    ModelError
        There is no such model, or its file is not usable.
    UsageError
        The species is neither "mouse" nor "human".
    CytoTRACE2Error
        pandas is not installed.
    """
    ensemble = model if isinstance(model, Ensemble) else Ensemble.load(model)
    return model_gene_table(read_weights(ensemble.info), n=n, species=species).to_pandas()


def model_gene_table(weights: Weights, *, n: int | None = None, species: str = "mouse") -> Table:
    """As `model_genes`, of weights that were read, as a table that needs no pandas.

    Parameters
    ----------
    weights
        The model.
    n, species
        As for `model_genes`.

    Returns
    -------
    Table
        With the columns of `model_genes`.

    Raises
    ------
    UsageError
        The species is neither "mouse" nor "human".
    """
    if species not in {"mouse", "human"}:
        raise UsageError(f"species is {species!r}; it must be 'mouse' or 'human'.")
    symbols = np.array(features())
    names = np.array(human_symbols()) if species == "human" else symbols
    members = weights.n_members
    shape = (len(symbols), members, N_POTENCIES)
    rank = weights.rank_weight * np.maximum(weights.threshold - RANK, 0)
    second = weights.second_weight * (
        LOG2_CPM
        if weights.architecture == "1.1.0"
        else (weights.threshold > RANK) / weights.threshold
    )
    parts = [_over_mean(part.reshape(shape)) for part in (rank, second)]
    # At equal probabilities the gradient of the score by the logits is (k/5 - mean) / 6.
    gradient = (target_of(None) - target_of(None).mean()) / N_POTENCIES
    rows: list[dict[str, NDArray[Any]]] = []
    views = [("score", [part @ gradient for part in parts])]
    views += [
        (POTENCIES[k], [part[:, :, k] for part in parts]) for k in range(N_POTENCIES - 1, -1, -1)
    ]
    for potency, (of_rank, of_second) in views:
        by_member = of_rank + of_second
        weight = by_member.mean(axis=1)
        known = np.flatnonzero(np.abs(by_member).max(axis=1) > 0)
        order = known[np.argsort(-weight[known], kind="stable")]
        if n is not None and len(order) > 2 * n:
            order = np.concatenate([order[:n], order[len(order) - n :]])
        rows.append(
            {
                "potency": np.repeat(potency, len(order)),
                "gene": names[order],
                "mouse_symbol": symbols[order],
                "weight": weight[order],
                "rank_part": of_rank.mean(axis=1)[order],
                "second_part": of_second.mean(axis=1)[order],
                "members_up": (by_member > 0).sum(axis=1)[order],
                "members_down": (by_member < 0).sum(axis=1)[order],
            }
        )
    return Table({name: np.concatenate([row[name] for row in rows]) for name in rows[0]})


def _over_mean(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Take off the mean over the potencies, which a softmax does not see."""
    wide = logits.astype(np.float64)
    wide -= wide.mean(axis=2, keepdims=True)
    return wide
