"""The algebra that folds the networks of an ensemble into a small linear map, in float64.

A network ("module") of a member belongs to one potency category. It has binary gene sets, two
scores for each gene set, batch normalisation and a linear layer. At inference everything but the
cell is constant, so a module is a threshold on ranks, two vectors over the genes and a constant:

    logit = bias + rank_weight . relu(threshold - rank) + second_weight . second

where `second` is log2 CPM in architecture 1.1.0. In 1.0.0 it is 1 / n for each of the n genes with
a rank below the threshold, and 0 for all others.

Source: Kang et al., Nature Methods 2025, doi 10.1038/s41592-025-02857-2; cytotrace2_py 1.1.0.4
`common/models.py` (behaviour).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.genes import N_FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = ["FoldedEnsemble", "fold_member", "mean_probabilities"]

# Part of the architecture: another value is another model.
_BATCH_NORM_EPS = 1e-5  # PyTorch's default for BatchNorm1d, which upstream keeps
_MAX_RANK_SCALE = 1000


@dataclass(frozen=True, eq=False)
class FoldedEnsemble:
    """The modules of an ensemble, folded. Module 6 i + k is potency k of member i.

    Attributes
    ----------
    architecture
        `"1.1.0"` (ranks and log2 CPM) or `"1.0.0"` (ranks only).
    threshold
        Genes count by how far their rank is below it; float64, shape (n_modules,).
    rank_weight
        Weight of `relu(threshold - rank)`; float64, shape (14271, n_modules).
    second_weight
        Weight of log2 CPM (1.1.0), or of 1 / n for the n genes with a rank below the threshold
        (1.0.0); float64, shape (14271, n_modules).
    bias
        float64, shape (n_modules,).
    """

    architecture: str
    threshold: NDArray[np.float64]
    rank_weight: NDArray[np.float64]
    second_weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    @staticmethod
    def concatenate(members: list[FoldedEnsemble]) -> FoldedEnsemble:
        """Join the modules of several members of one architecture.

        Parameters
        ----------
        members
            The members, in the order that they will have in the model.

        Returns
        -------
        FoldedEnsemble
            With the modules of all members.
        """
        return FoldedEnsemble(
            members[0].architecture,
            np.concatenate([member.threshold for member in members]),
            np.concatenate([member.rank_weight for member in members], axis=1),
            np.concatenate([member.second_weight for member in members], axis=1),
            np.concatenate([member.bias for member in members]),
        )

    def logits(
        self, rank: NDArray[np.floating], log2_cpm: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Evaluate the modules in float64, as a reference; the model itself runs in onnxruntime.

        Parameters
        ----------
        rank
            Rank of each gene in its cell, 1 = highest; shape (n_cells, 14271).
        log2_cpm
            log2(CPM + 1); shape (n_cells, 14271). Not used by architecture 1.0.0.

        Returns
        -------
        ndarray
            float64, shape (n_cells, n_modules).
        """
        rank = np.asarray(rank, dtype=np.float64)
        logits = np.tile(self.bias, (len(rank), 1))
        for module, threshold in enumerate(self.threshold):
            under = np.maximum(threshold - rank, 0)
            logits[:, module] += under @ self.rank_weight[:, module]
            if self.architecture == "1.0.0":
                counts = (under > 0).sum(axis=1)
                share = (under > 0) / np.maximum(counts, 1)[:, None]
                logits[:, module] += share @ self.second_weight[:, module]
        if self.architecture == "1.1.0":
            logits += log2_cpm @ self.second_weight
        return logits


def mean_probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn the logits of all members into the probabilities of the ensemble.

    Parameters
    ----------
    logits
        Shape (n_cells, n_modules), as `FoldedEnsemble.logits` returns them.

    Returns
    -------
    ndarray
        Mean over the members of the softmax over the potencies; float64, shape (n_cells, 6).
    """
    members = logits.reshape(len(logits), -1, len(POTENCIES))
    powers = np.exp(members - members.max(axis=2, keepdims=True))
    mean: NDArray[np.float64] = (powers / powers.sum(axis=2, keepdims=True)).mean(axis=1)
    return mean


def fold_member(
    state: Mapping[str, NDArray[np.float64]], background: csr_array | None
) -> FoldedEnsemble:
    """Fold the six networks of one member.

    Parameters
    ----------
    state
        Tensors of the member, float64, as `read_member` returns them.
    background
        Control genes, shape (14271, 14271), for architecture 1.1.0; None for 1.0.0.

    Returns
    -------
    FoldedEnsemble
        Six modules, Differentiated to Totipotent.

    Raises
    ------
    ModelError
        A gene set is empty or has no control gene, a threshold reaches the ranks of genes that are
        not expressed, a variance is negative, or the member shows that it needs control genes.
    """
    modules = [_fold_module(state, k, background) for k in range(len(POTENCIES))]
    return FoldedEnsemble(
        "1.0.0" if background is None else "1.1.0",
        np.array([module.threshold for module in modules]),
        np.stack([module.rank_weight for module in modules], axis=1),
        np.stack([module.second_weight for module in modules], axis=1),
        np.array([module.bias for module in modules]),
    )


@dataclass(frozen=True, eq=False)
class _Module:
    """A folded module; its vectors are float64, shape (14271,)."""

    threshold: float
    rank_weight: NDArray[np.float64]
    second_weight: NDArray[np.float64]
    bias: float


def _fold_module(
    state: Mapping[str, NDArray[np.float64]], k: int, background: csr_array | None
) -> _Module:
    """Fold one network of a member.

    With W the gene sets, n their sizes, m the threshold, B the transposed background, and alpha and
    beta the weights of the linear layer divided by the standard deviations of the two scores (n
    gene sets each, so both have shape (n_gene_sets,)):

        rank_weight = W (alpha / (n m))
        second_weight = W (beta / n) - (B W) (beta / colsum(B W))    in 1.1.0
        second_weight = W (14271 beta / n)                           in 1.0.0

    Parameters
    ----------
    state
        Tensors of the member, float64, as `read_member` returns them.
    k
        Potency, 0 (Differentiated) to 5 (Totipotent).
    background
        Control genes, shape (14271, 14271), for architecture 1.1.0; None for 1.0.0.

    Returns
    -------
    _Module
        Threshold, two vectors over the genes, and bias.

    Raises
    ------
    ModelError
        As for `fold_member`.
    """
    layer = f"layers.{k}."
    gene_sets = (state[layer + "weight"] > 0).astype(np.float64)  # (14271, n_gene_sets)
    sizes = gene_sets.sum(axis=0)  # (n_gene_sets,)
    if not sizes.all():
        raise ModelError(f"gene set {int(np.argmin(sizes))} of {layer[:-1]} is empty.")
    max_rank = float(state[layer + "maxrank"][0, 0])
    threshold = sizes.max() + 10 + _MAX_RANK_SCALE * max(max_rank, 0.0)
    # Genes that a cell does not express share a rank of at least this. They must not count.
    if threshold > (1 + N_FEATURES) / 2:
        raise ModelError(
            f"{layer[:-1]} counts ranks up to {threshold:g}, where genes not expressed begin "
            f"({(1 + N_FEATURES) / 2:g}); such a model cannot be folded."
        )
    variance = state[layer + "batchnorm.running_var"]  # (2 n_gene_sets,), as is the slope
    if (variance < 0).any():
        raise ModelError(f"tensor {layer}batchnorm.running_var has a negative value.")
    slope = state[layer + "out.weight"][0] / np.sqrt(variance + _BATCH_NORM_EPS)
    alpha, beta = np.split(slope, 2)
    bias = (
        float(state[layer + "out.bias"][0])
        - slope @ state[layer + "batchnorm.running_mean"]
        + alpha @ (sizes + 1) / (2 * threshold)
    )
    rank_weight = gene_sets @ (alpha / (sizes * threshold))
    if background is None:
        if (state[layer + "batchnorm.running_mean"][len(sizes) :] < 0).any():
            raise ModelError(
                f"tensor {layer}batchnorm.running_mean has a negative mean of a share of genes, so "
                "this is no member of version 1.0.0. If it was trained with control genes, say so: "
                "tools/export_onnx.py --architecture 1.1.0."
            )
        return _Module(threshold, rank_weight, gene_sets @ (N_FEATURES * beta / sizes), bias)
    controls = background.T @ gene_sets  # (14271, n_gene_sets)
    n_controls = controls.sum(axis=0)
    if not n_controls.all():
        raise ModelError(
            f"gene set {int(np.argmin(n_controls))} of {layer[:-1]} has no control gene."
        )
    second_weight = gene_sets @ (beta / sizes) - controls @ (beta / n_controls)
    return _Module(threshold, rank_weight, second_weight, bias)
