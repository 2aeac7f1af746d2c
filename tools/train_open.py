"""Train an ensemble in the CytoTRACE 2 v1.1.0 architecture from labelled single-cell datasets.

    python tools/train_open.py DATA_DIR OUT_DIR [--members N] [--steps N] [--seed S]
                               [--leave-out NAME ...]

DATA_DIR has one folder per dataset: `expr.npz` (scipy CSR, cells x genes, not log), `genes.txt` (a
name per column), `cells.tsv` (tab-separated, with columns `label` and `potency`) and `info.txt`
(lines `species` and `units`). Cells without a potency are not used.

OUT_DIR receives `model1.pt` .. `modelN.pt` and `background.pt`, which `tools/export_onnx.py` folds
into one `.onnx`, and `training.json`: data, settings, versions and held-out figures. Each member is
trained without a fifth of the datasets, so every dataset is scored by the members that never saw
it; datasets named with --leave-out are seen by none, not even by the background matrix.

The same command on the same machine gives the same members. Needs the `train` extra.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy
import scipy.sparse as sp
import torch
from datasets import MIN_GENES, read_dataset
from scipy.stats import spearmanr
from torch import nn
from torch.nn.functional import cross_entropy

from cytotrace2_lite import preprocess
from cytotrace2_lite.ensemble import POTENCIES
from cytotrace2_lite.genes import features

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets import Dataset
    from numpy.typing import NDArray

N_SETS = 24  # gene sets per potency, as in v1.1.0
N_CONTROLS = 50  # control genes per gene in the background
N_BINS = 24  # expression bins they are drawn from, as in Seurat's AddModuleScore
BATCH_CELLS = 120
FOLDS = 5
LEARNING_RATE = 4e-3
SCORE_WEIGHT = 5.0  # in the loss, next to a cross-entropy of weight 1
ORDER_WEIGHT = 20.0
MIN_DEPTH, MAX_DEPTH = 1_500, 300_000  # counts per augmented cell
MIN_SHARE = 0.6  # of the datasets measure a feature that may be in a gene set
STATISTICS_BATCHES = 20
MAX_EVALUATED = 600  # cells per dataset in the held-out figures


def expression_bins(datasets: Sequence[Dataset]) -> NDArray[np.int64]:
    """Bin of each feature by its mean log2 CPM over the datasets that measure it."""
    total = sum(preprocess.log2_cpm(sp.csr_array(d.values)).mean(axis=0) for d in datasets)
    seen = np.sum([d.measured for d in datasets], axis=0)
    order = np.argsort(total / np.maximum(seen, 1), kind="stable")
    bins = np.empty(len(order), np.int64)
    for i, members in enumerate(np.array_split(order, N_BINS)):
        bins[members] = i
    return bins


def background(bins: NDArray[np.int64], rng: np.random.Generator) -> sp.csr_matrix:
    """Control genes: row g holds 1 at the `N_CONTROLS` genes drawn from g's expression bin."""
    n_features = len(bins)
    controls = np.empty((n_features, N_CONTROLS), np.int64)
    for i in range(N_BINS):
        members = np.flatnonzero(bins == i)
        for gene in members:
            controls[gene] = rng.choice(members[members != gene], N_CONTROLS, replace=False)
    return sp.csr_matrix(
        (
            np.ones(controls.size, np.float32),
            np.sort(controls, 1).ravel(),
            np.arange(n_features + 1) * N_CONTROLS,
        ),
        shape=(n_features, n_features),
    )


class Sampler:
    """Draws cells so that every potency, dataset and label weighs the same.

    Parameters
    ----------
    datasets
        What to draw from.
    controls
        The background, shape (n_features, n_features).
    rng
        Source of all randomness.
    """

    def __init__(
        self, datasets: Sequence[Dataset], controls: sp.csr_matrix, rng: np.random.Generator
    ) -> None:
        self.controls, self.rng = controls, rng
        self.groups: list[list[list[NDArray[np.int64]]]] = []  # potency, dataset, label: cells
        starts = np.cumsum([0, *(len(d.potency) for d in datasets)])
        self.values = sp.vstack([d.values for d in datasets]).tocsr()
        self.source = np.repeat(np.arange(len(datasets)), np.diff(starts))
        self.potency = np.concatenate([d.potency for d in datasets])
        self.whole = np.array([bool((d.values.data % 1 == 0).all()) for d in datasets])
        self.measured = np.array([d.measured for d in datasets])
        for k in range(len(POTENCIES)):
            per_dataset = []
            for d, start in zip(datasets, starts, strict=False):
                labels = np.unique(d.label[d.potency == k])
                of_label = [
                    start + np.flatnonzero((d.label == v) & (d.potency == k)) for v in labels
                ]
                if of_label:
                    per_dataset.append(of_label)
            self.groups.append(per_dataset)

    def cells(self, n_cells: int) -> NDArray[np.int64]:
        """Draw `n_cells` cells, the same number of every potency."""
        drawn = []
        for i in range(n_cells):
            of_potency = self.groups[i % len(POTENCIES)]
            of_dataset = of_potency[self.rng.integers(len(of_potency))]
            drawn.append(self.rng.choice(of_dataset[self.rng.integers(len(of_dataset))]))
        return np.array(drawn)

    def augment(self, cells: NDArray[np.int64]) -> sp.csr_matrix:
        """Sample two thirds of the cells to fewer counts, and half to another dataset's genes.

        A cell of which fewer than `MIN_GENES` features would be left stays as published.
        """
        rng, result, n_cells = self.rng, self.values[cells], len(cells)
        row = np.repeat(np.arange(n_cells), np.diff(result.indptr))
        totals = np.asarray(result.sum(1)).ravel().astype(np.float64)
        depth = np.exp(rng.uniform(np.log(MIN_DEPTH), np.log(MAX_DEPTH), n_cells))
        whole = self.whole[self.source[cells]]
        thinned = (rng.random(n_cells) < 2 / 3) & ~(whole & (depth >= totals))
        share = (depth / totals)[row]
        sampled = result.data.astype(np.float64)
        counts = (thinned & whole)[row]
        sampled[counts] = rng.binomial(sampled[counts].astype(np.int64), share[counts])
        others = (thinned & ~whole)[row]
        sampled[others] = rng.poisson(sampled[others] * share[others])
        masked = rng.random(n_cells) < 1 / 2
        mask = rng.integers(len(self.measured), size=n_cells)
        sampled[masked[row] & ~self.measured[mask[row], result.indices]] = 0
        few = np.bincount(row, sampled > 0, n_cells) < MIN_GENES
        result.data = np.where(few[row], result.data, sampled).astype(np.float32)
        result.eliminate_zeros()
        return result

    def batch(
        self, n_cells: int, *, augmented: bool
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor, torch.Tensor]:
        """Draw a balanced batch: inputs, potencies and source datasets."""
        cells = self.cells(n_cells)
        values = self.augment(cells) if augmented else self.values[cells]
        inputs = network_inputs(values, self.controls)
        return inputs, torch.from_numpy(self.potency[cells]), torch.from_numpy(self.source[cells])


def network_inputs(
    values: sp.csr_matrix, controls: sp.csr_matrix
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ranks, and log2 CPM less its mean over the control genes; dense float32, (cells, features).

    The mean of the second over a gene set is v1.1.0's AMS score: all genes have as many controls.
    """
    counts = sp.csr_array(values)
    log2 = preprocess.log2_cpm(counts)
    corrected = (log2 - log2 @ controls.T / N_CONTROLS).toarray().astype(np.float32)
    return torch.from_numpy(preprocess.rank_all(counts)), torch.from_numpy(corrected)


class Binarize(torch.autograd.Function):
    """[weight > 0] with the clipped gradient passed straight through."""

    @staticmethod
    def forward(_ctx: object, weight: torch.Tensor) -> torch.Tensor:
        """Return 1 where `weight` is positive, else 0."""
        return (weight > 0).to(weight.dtype)

    @staticmethod
    def backward(_ctx: object, gradient: torch.Tensor) -> torch.Tensor:
        """Return the gradient, clipped to [-1, 1]."""
        return gradient.clamp(-1, 1)


class Module(nn.Module):
    """Gene sets and output of one potency; parameter names are those of the v1.1.0 files."""

    def __init__(self, n_features: int, dropout: float) -> None:
        super().__init__()
        self.maxrank = nn.Parameter(torch.rand(1, 1))
        self.weight = nn.Parameter(torch.randn(n_features, N_SETS) * 0.055 - 0.1)
        self.batchnorm = nn.BatchNorm1d(2 * N_SETS, affine=False)
        self.out = nn.Linear(2 * N_SETS, 1)
        self.dropout = dropout

    def sizes(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Binary gene sets, their sizes and the largest rank that counts."""
        sets = Binarize.apply(self.weight)
        n = sets.sum(0)
        return sets, n, n.max() + 10 + 1000 * self.maxrank.clamp(min=0)

    def gene_set_scores(
        self,
        rank: torch.Tensor,
        corrected: torch.Tensor,
    ) -> torch.Tensor:
        """UCell and background-corrected mean scores, shape (n_cells, 2 * N_SETS)."""
        sets, n, max_rank = self.sizes()
        size = n.clamp(min=1)
        ucell = 1 - (torch.minimum(rank, max_rank) @ sets - n * (n + 1) / 2) / (size * max_rank)
        ams = corrected @ sets / size
        return torch.cat((ucell, ams), 1)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Logit of the potency, shape (n_cells,)."""
        scores = self.batchnorm(self.gene_set_scores(*inputs))
        return self.out(nn.functional.dropout(scores, self.dropout, self.training))[:, 0]


class Member(nn.Module):
    """The six modules of an ensemble member."""

    def __init__(self, n_features: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Module(n_features, dropout) for _ in POTENCIES)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Logits, shape (n_cells, 6)."""
        return torch.stack([layer(*inputs) for layer in self.layers], 1)


def expected_score(logits: torch.Tensor) -> torch.Tensor:
    """Score of each cell: sum of probability times k / 5."""
    return logits.softmax(1) @ (torch.arange(len(POTENCIES)) / (len(POTENCIES) - 1.0))


def loss(logits: torch.Tensor, potency: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, squared error of the score, and order of cells within a dataset."""
    score, target = expected_score(logits), potency / (len(POTENCIES) - 1.0)
    ordered = (source[:, None] == source) & (potency[:, None] > potency)
    gap = (score[:, None] - score)[ordered]
    wanted = (target[:, None] - target)[ordered]
    order = (wanted - gap).clamp(min=0).square().mean() if len(gap) else 0.0
    return (
        cross_entropy(logits, potency)
        + SCORE_WEIGHT * (score - target).square().mean()
        + ORDER_WEIGHT * order
    )


def eligible_features(datasets: Sequence[Dataset]) -> NDArray[np.bool_]:
    """Features that enough datasets measure for their absence not to tell datasets apart."""
    return np.mean([d.measured for d in datasets], axis=0) >= MIN_SHARE


def train_member(
    datasets: Sequence[Dataset], controls: sp.csr_matrix, n_steps: int, seed: int
) -> Member:
    """Train one member on `datasets`, in evaluation mode on return."""
    torch.manual_seed(seed)
    sampler = Sampler(datasets, controls, np.random.default_rng(seed))
    eligible = torch.from_numpy(eligible_features(datasets))
    member = Member(len(eligible))
    with torch.no_grad():
        for layer in member.layers:  # further below 0 than all the steps can move
            layer.weight[~eligible] = -max(1.0, LEARNING_RATE * n_steps)
    optimizer = torch.optim.Adam(member.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=n_steps, pct_start=0.1
    )
    for _ in range(n_steps):
        inputs, potency, source = sampler.batch(BATCH_CELLS, augmented=True)
        value = loss(member(*inputs), potency, source)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    set_statistics(member, sampler)
    return member.eval()


@torch.no_grad()
def set_statistics(member: Member, sampler: Sampler) -> None:
    """Make the batch-norm statistics those of balanced batches as published."""
    batches = [sampler.batch(BATCH_CELLS, augmented=False)[0] for _ in range(STATISTICS_BATCHES)]
    for layer in member.layers:
        scores = torch.cat([layer.gene_set_scores(*inputs) for inputs in batches]).double()
        layer.batchnorm.running_mean.copy_(scores.mean(0))
        layer.batchnorm.running_var.copy_(scores.var(0))


@torch.no_grad()
def held_out_figures(
    members: Sequence[Member], dataset: Dataset, controls: sp.csr_matrix
) -> dict[str, object]:
    """Spearman correlation of score and potency, for the members together and one by one.

    Up to `MAX_EVALUATED` cells; the score is that before smoothing.
    """
    cells = np.random.default_rng(0).permutation(len(dataset.potency))[:MAX_EVALUATED]
    parts = np.array_split(cells, -(-len(cells) // BATCH_CELLS))
    scores = np.empty((len(members), 0))
    for part in parts:
        inputs = network_inputs(dataset.values[part], controls)
        new = [expected_score(member(*inputs)).double().numpy() for member in members]
        scores = np.hstack([scores, new])
    mean, potency = scores.mean(0), dataset.potency[cells]
    found = np.unique(potency)
    result: dict[str, object] = {
        "members": len(members),
        "cells": len(cells),
        "mean_score": {POTENCIES[k]: round(float(mean[potency == k].mean()), 3) for k in found},
    }
    if len(found) > 1:
        result["spearman"] = round(float(spearmanr(mean, potency)[0]), 3)
        result["spearman_of_each"] = [round(float(spearmanr(s, potency)[0]), 3) for s in scores]
    return result


def folds(datasets: Sequence[Dataset], n_members: int, seed: int) -> list[list[str]]:
    """Names each member leaves out: a fifth, but never the last dataset with a potency."""
    rng, result = np.random.default_rng(seed), []
    while len(result) < n_members:
        order = rng.permutation(len(datasets))
        for part in np.array_split(order, FOLDS):
            left, out = {d.name: set(d.potency.tolist()) for d in datasets}, []
            for i in part:
                others = set().union(*(v for k, v in left.items() if k != datasets[i].name))
                if others == set().union(*left.values()):
                    out.append(datasets[i].name)
                    del left[datasets[i].name]
            result.append(sorted(out))
    return result[:n_members]


def module_summary(layer: Module) -> tuple[list[int], float]:
    """Gene set sizes and the largest rank that counts."""
    with torch.no_grad():
        _, n, max_rank = layer.sizes()
    return n.int().tolist(), float(max_rank)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, write and evaluate; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_dir", type=Path, metavar="DATA_DIR")
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR")
    parser.add_argument("--members", type=int, default=15, help="ensemble size (default 15)")
    parser.add_argument("--steps", type=int, default=120, help="steps per member (default 120)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default 0)")
    parser.add_argument("--leave-out", nargs="+", default=[], metavar="NAME", help="datasets")
    args = parser.parse_args(argv)
    if args.members < 1 or args.steps < 1:
        parser.error("--members and --steps must be at least 1.")
    if not args.data_dir.is_dir():
        parser.error(f"{args.data_dir} is not a folder.")
    torch.set_num_threads(1)  # matrices this thin gain nothing, and the result is the same anywhere
    torch.use_deterministic_algorithms(mode=True)
    try:
        train(args)
    except (ValueError, OSError) as error:
        print(f"train_open: {error}", file=sys.stderr)
        return 3
    return 0


def train(args: argparse.Namespace) -> None:
    """Do what the command line asks."""
    started = time.monotonic()
    args.out_dir.mkdir(parents=True, exist_ok=True)
    if any(args.out_dir.glob("*.pt")):
        raise ValueError(f"{args.out_dir} holds .pt files already: give an empty folder.")
    n_features = len(features())
    folders = sorted(p.parent for p in args.data_dir.glob("*/expr.npz"))
    unknown = set(args.leave_out) - {p.name for p in folders}
    if unknown:
        raise ValueError(f"--leave-out {min(unknown)}: no such dataset in {args.data_dir}.")
    everything = [d for p in folders if (d := read_dataset(p, n_features)) is not None]
    datasets = [d for d in everything if d.name not in args.leave_out]
    missing = set(range(len(POTENCIES))) - {k for d in datasets for k in d.potency.tolist()}
    if missing:
        raise ValueError(
            f"{args.data_dir}: no dataset to train on has {POTENCIES[min(missing)]} cells."
        )
    print(f"{len(datasets)} datasets, {sum(len(d.potency) for d in datasets)} cells", flush=True)
    controls = background(expression_bins(datasets), np.random.default_rng(args.seed))
    coo = controls.tocoo()
    torch.save(
        torch.sparse_coo_tensor(
            np.stack([coo.row, coo.col]), coo.data, coo.shape, check_invariants=True
        ),
        args.out_dir / "background.pt",
    )
    members: list[Member] = []
    left_out = folds(datasets, args.members, args.seed)
    report = []
    for i, out in enumerate(left_out):
        seed = 1000 * args.seed + i
        seen = [d for d in datasets if d.name not in out]
        member = train_member(seen, controls, args.steps, seed)
        modules = [module_summary(layer) for layer in member.layers]
        if min(min(sizes) for sizes, _ in modules) < 1:
            raise ValueError(f"member {i + 1} (seed {seed}) has an empty gene set; change --seed.")
        if max(max_rank for _, max_rank in modules) >= n_features / 2:
            raise ValueError(f"member {i + 1} (seed {seed}) ranks unexpressed genes.")
        torch.save(member.state_dict(), args.out_dir / f"model{i + 1}.pt")
        members.append(member)
        report.append(
            {
                "seed": seed,
                "left_out": out,
                "set_sizes": [[min(sizes), max(sizes)] for sizes, _ in modules],
                "max_rank": [round(max_rank, 1) for _, max_rank in modules],
            }
        )
        print(f"model{i + 1}.pt  {time.monotonic() - started:.0f} s  {report[-1]}", flush=True)
    held_out = {}
    for d in everything:
        blind = [
            m
            for m, out in zip(members, left_out, strict=True)
            if d.name in out or d.name in args.leave_out
        ]
        if blind:
            held_out[d.name] = held_out_figures(blind, d, controls)
            print(d.name, json.dumps(held_out[d.name]), flush=True)
    record = {
        "datasets": {
            d.name: {
                "species": d.species,
                "features": int(d.measured.sum()),
                "cells": {
                    POTENCIES[k]: int(n)
                    for k, n in zip(*np.unique(d.potency, return_counts=True), strict=True)
                },
            }
            for d in datasets
        },
        "settings": {
            "members": args.members,
            "steps": args.steps,
            "seed": args.seed,
            "leave_out": args.leave_out,
        },
        "members": report,
        "held_out": held_out,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "torch": torch.__version__,
        },
        "seconds": round(time.monotonic() - started),
    }
    (args.out_dir / "training.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
