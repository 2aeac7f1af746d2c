"""What each gene adds to a cell's score: the arithmetic.

A module's logit is a sum over the genes, `logit = bias + sum_g c_g`
(`cytotrace2_lite.models.weights`). The score is no sum: a softmax stands between. Integrated
gradients make it one. Along the straight line from the logits L' of a reference to the logits L of
a cell, the score's gradient has the mean

    w_mk = 1/M integral_0^1 p_mk(a) (k/5 - S_m(a)) da

(p_mk and S_m: probability of potency k and score that member m of M gives at L' + a (L - L')), and

    share_g = sum_mk w_mk (c_g^mk - c'_g^mk)

adds up over the genes to the score of the cell less that of the reference: exactly, but for the
integral, which is computed to 1e-10 by Gauss-Legendre quadrature. With the probability of a
potency in place of the score, the derivative of that takes the place of the score's.

The reference is the mean cell of some cells: every gene with its mean contribution to every module.
A gene that a cell does not express contributes nothing, where the reference has the mean; so it has
a share, too. The shares of a cell are therefore sparse values, one per expressed gene, less one
vector that depends on the cell's weights w alone.

Source: Sundararajan, Taly, Yan, Axiomatic attribution for deep networks, ICML 2017; Aumann,
Shapley, Values of non-atomic games, 1974.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cytotrace2_lite.base.potency import N_POTENCIES

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from cytotrace2_lite.models.weights import Weights

__all__ = [
    "CELLS_PER_STEP",
    "Expressed",
    "MeanContributions",
    "Reference",
    "Shares",
    "target_of",
    "value_of",
]

#: Cells whose shares are computed together.
CELLS_PER_STEP = 256
#: Cells whose weights of log2 CPM are held together.
_CELLS_PER_PRODUCT = 64
# Genes of a cell whose weights are held together: they fit the cache.
_GENES_TOGETHER = 512
_POINTS = 16
# How far the shares may be from adding up before more points are taken, and the numbers of
# intervals with `_POINTS` points each that are tried one after the other.
_TOLERANCE = 1e-10
_INTERVALS = (1, 4, 16, 64, 256, 1024)


class Expressed(NamedTuple):
    """Some cells, as the model sees them.

    Attributes
    ----------
    log2_cpm
        log2(CPM + 1); float64 CSR, shape (n_cells, 14271).
    rank
        Rank of each stored value in its cell; float32, shape (n_values,).
    """

    log2_cpm: csr_array
    rank: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Reference:
    """What a cell is compared with.

    Attributes
    ----------
    contributions
        What each gene adds to the logit of each module; float64, shape (14271, n_modules).
    logits
        Their sums with the biases; float64, shape (n_modules,).
    """

    contributions: NDArray[np.float64]
    logits: NDArray[np.float64]


def target_of(potency: int | None) -> NDArray[np.float64]:
    """Weights of the probabilities in what is explained.

    Parameters
    ----------
    potency
        Position of a potency, whose probability is explained; None for the score.

    Returns
    -------
    ndarray
        float64, shape (6,): k/5 for the score, else 1 for the potency and 0 for the others.
    """
    target = np.zeros(N_POTENCIES)
    if potency is None:
        target += np.arange(N_POTENCIES) / (N_POTENCIES - 1)
    else:
        target[potency] = 1
    return target


def value_of(logits: NDArray[np.floating], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score, or probability of a potency, that the ensemble gives at some logits.

    Parameters
    ----------
    logits
        Shape (n_cells, n_modules).
    target
        From `target_of`.

    Returns
    -------
    ndarray
        float64, shape (n_cells,): mean over the members.
    """
    of_member: NDArray[np.float64] = _softmax(_by_member(logits)) @ target
    value: NDArray[np.float64] = of_member.mean(axis=1)
    return value


class MeanContributions:
    """The mean contribution of each gene to each module over some cells, step by step.

    Of `relu(threshold - rank)` the mean over the cells needs no more than how many of them rank a
    gene between two thresholds, and the sum of these ranks.

    Parameters
    ----------
    weights
        The model.
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._order = np.argsort(weights.threshold, kind="stable")
        self._sorted = weights.threshold[self._order]
        shape = (len(weights.rank_weight), weights.n_modules)
        self._n_between = np.zeros(shape)
        self._ranks_between = np.zeros(shape)
        is_ranks_only = weights.architecture == "1.0.0"
        self._second = np.zeros(shape if is_ranks_only else shape[:1])
        self.n_cells = 0

    def add(self, cells: Expressed) -> None:
        """Take some cells into the mean.

        Parameters
        ----------
        cells
            With a value each.
        """
        n_cells = cells.log2_cpm.shape[0]
        shape = self._n_between.shape
        gene = cells.log2_cpm.indices
        under = cells.rank < self._sorted[-1]
        gene_under, rank = gene[under].astype(np.intp), cells.rank[under].astype(np.float64)
        # A rank counts for the modules from this one on, in the order of their thresholds.
        first = self._sorted.searchsorted(rank, side="right")
        key = gene_under * shape[1] + first
        size = shape[0] * shape[1]
        self._n_between += np.bincount(key, minlength=size).reshape(shape)
        self._ranks_between += np.bincount(key, rank, minlength=size).reshape(shape)
        if self._second.ndim == 1:
            self._second += np.bincount(gene, cells.log2_cpm.data, minlength=shape[0])
        else:
            cell = np.repeat(np.arange(n_cells), np.diff(cells.log2_cpm.indptr))[under]
            self._add_shares(n_cells, cell, gene_under, first)
        self.n_cells += n_cells

    def _add_shares(
        self,
        n_cells: int,
        cell: NDArray[np.intp],
        gene: NDArray[np.intp],
        first: NDArray[np.intp],
    ) -> None:
        """Add what each gene is of the genes under each threshold (architecture 1.0.0)."""
        n_genes, n_modules = self._second.shape
        key = cell * n_modules + first
        between = np.bincount(key, minlength=n_cells * n_modules).reshape(n_cells, n_modules)
        share = 1 / np.maximum(np.cumsum(between, axis=1), 1)
        order = np.argsort(first.astype(np.int16), kind="stable")
        cell, gene = cell[order], gene[order]
        stops = first[order].searchsorted(np.arange(n_modules), side="right")
        for module, stop in enumerate(stops.tolist()):
            own = share[:, module].take(cell[:stop])
            self._second[:, module] += np.bincount(gene[:stop], own, minlength=n_genes)

    def reference(self) -> Reference:
        """Make the mean cell of the cells so far, at least one.

        Returns
        -------
        Reference
            Their mean contributions.
        """
        weights = self._weights
        contributions = np.cumsum(self._n_between, axis=1)
        contributions *= self._sorted
        contributions -= np.cumsum(self._ranks_between, axis=1)
        in_order = np.argsort(self._order)
        contributions = contributions[:, in_order] * weights.rank_weight
        second = self._second[:, None] if self._second.ndim == 1 else self._second[:, in_order]
        contributions += second * weights.second_weight
        contributions /= self.n_cells
        return Reference(contributions, weights.bias + contributions.sum(axis=0))


class Shares:
    """Divides the values of cells, less that of a reference, among the genes.

    Parameters
    ----------
    weights
        The model.
    reference
        What the cells are compared with.
    target
        What is explained, from `target_of`.

    Attributes
    ----------
    reference_value
        Score of the reference, or its probability of the potency.
    """

    def __init__(self, weights: Weights, reference: Reference, target: NDArray[np.float64]) -> None:
        self.weights = weights
        self.reference = reference
        self.target = target
        self.reference_value = float(value_of(reference.logits[None], target)[0])
        self._threshold = weights.threshold.astype(np.float32)
        self._top = float(weights.threshold.max())

    def gradients(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Mean gradient of what is explained, on the line from the reference to each cell.

        Parameters
        ----------
        logits
            Of the cells, shape (n_cells, n_modules).

        Returns
        -------
        ndarray
            float64, shape (n_cells, n_modules); times logits less those of the reference, each
            cell's add up to its value less that of the reference, to 1e-10.
        """
        far = logits - self.reference.logits
        difference = value_of(logits, self.target) - self.reference_value
        mean = np.empty_like(far)
        left = np.arange(len(far))
        for n_intervals in _INTERVALS:
            mean[left] = self._integrate(far[left], n_intervals)
            off = np.abs(np.einsum("ij,ij->i", mean[left], far[left]) - difference[left])
            left = left[off > _TOLERANCE]
            if not len(left):
                break
        return mean

    def _integrate(self, far: NDArray[np.float64], n_intervals: int) -> NDArray[np.float64]:
        start, step = _by_member(self.reference.logits[None]), _by_member(far)
        points, point_weights = _quadrature()
        mean = np.zeros_like(step)
        for i in range(n_intervals):
            for point, weight in zip(points, point_weights, strict=True):
                probability = _softmax(start + (i + point) / n_intervals * step)
                value = probability @ self.target
                probability *= self.target - value[..., None]
                probability *= weight / n_intervals
                mean += probability
        mean /= self.weights.n_members
        return mean.reshape(far.shape)

    def of_expressed(self, cells: Expressed, gradients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute what each expressed gene adds, before the mean of the reference is taken off.

        Parameters
        ----------
        cells
            The cells.
        gradients
            From `gradients`.

        Returns
        -------
        ndarray
            float64, shape (n_values,), as the stored values of the cells.
        """
        log2_cpm, rank = cells.log2_cpm, cells.rank
        starts, gene = log2_cpm.indptr, log2_cpm.indices
        narrow = gradients.astype(np.float32)
        added = np.zeros(len(rank))
        is_ranks_only = self.weights.architecture == "1.0.0"
        for first in range(0, len(narrow), _CELLS_PER_PRODUCT):
            some = narrow[first : first + _CELLS_PER_PRODUCT]
            slopes = None if is_ranks_only else some @ self.weights.second_weight.T
            for i, gradient in enumerate(some):
                values = slice(starts[first + i], starts[first + i + 1])
                own = added[values]
                if slopes is not None:
                    np.multiply(slopes[i].take(gene[values]), log2_cpm.data[values], out=own)
                self._add_ranked(own, gene[values], rank[values], gradient)
        return added

    def _add_ranked(
        self,
        added: NDArray[np.float64],
        gene: NDArray[np.integer],
        rank: NDArray[np.float32],
        gradient: NDArray[np.float32],
    ) -> None:
        """Add what the genes of one cell add by their ranks."""
        under = np.flatnonzero(rank < self._top)
        second: NDArray[np.float32] | None = None
        if self.weights.architecture == "1.0.0":
            n_under = np.searchsorted(np.sort(rank[under]), self._threshold)
            second = np.divide(gradient, np.maximum(n_under, 1), dtype=np.float32)
        for first in range(0, len(under), _GENES_TOGETHER):
            some = under[first : first + _GENES_TOGETHER]
            own = gene.take(some)
            margin = self._threshold - rank.take(some)[:, None]
            if second is not None:
                weights = self.weights.second_weight.take(own, axis=0)
                weights[margin <= 0] = 0
                added[some] += weights @ second
            np.maximum(margin, 0, out=margin)
            margin *= self.weights.rank_weight.take(own, axis=0)
            added[some] += margin @ gradient

    def of_reference(self, gradients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute what the mean of the reference comes to, which is taken off every gene.

        Parameters
        ----------
        gradients
            From `gradients`, shape (n_cells, n_modules), or means of them.

        Returns
        -------
        ndarray
            float64, shape (n_cells, 14271).
        """
        return np.asarray(gradients @ self.reference.contributions.T)


@functools.cache
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and weights of Gauss-Legendre quadrature over 0 to 1."""
    points, weights = np.polynomial.legendre.leggauss(_POINTS)
    return (points + 1) / 2, weights / 2


def _by_member(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(logits, dtype=np.float64).reshape(len(logits), -1, N_POTENCIES)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers: NDArray[np.float64] = logits - logits.max(axis=2, keepdims=True)
    np.exp(powers, out=powers)
    powers /= powers.sum(axis=2, keepdims=True)
    return powers
