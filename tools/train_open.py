"""Train an ensemble in the CytoTRACE 2 v1.1.0 architecture from labelled single-cell datasets.

    python tools/train_open.py DATA_DIR OUT_DIR [--members N] [--gene-sets N] [--steps N]
                               [--seed S] [--markers FILE] [--leave-out NAME ...]
                               [--leave-out-label NAME LABEL] [--tissues FILE] [--jobs N]

DATA_DIR has one folder per dataset: `expr.npz` (scipy CSR, cells x genes, not log), `genes.txt` (a
name per column), `cells.tsv` (tab-separated, with columns `label` and `potency`) and `info.txt`
(lines `species` and `units`). Cells without a potency are not used.

OUT_DIR receives `model1.pt` .. `modelN.pt` and `background.pt`, which `tools/export_onnx.py` folds
into one `.onnx`, and `training.json`: data, settings, versions, and which datasets each member has
not seen. Each member leaves out one dataset, in turn, so that `tools/evaluate.py --members OUT_DIR`
can score every dataset by members that were trained without it; datasets named with --leave-out are
used by no member and not for the background matrix. With --tissues each member leaves out all
datasets of a tissue.

A member is made in three steps. (1) A guide: a linear classifier on the ranks of the genes, fitted
to the data, starting from the marker genes of the six potencies (--markers). (2) Binary gene sets,
drawn at random with probabilities that come from the guide. (3) Training of the gene set
binary network itself, with straight-through gradients and dropout on gene sets.

The same command on the same machine gives the same members. Needs the `train` extra.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy
import scipy.sparse as sp
from datasets import MIN_GENES, read_dataset, read_markers
from scipy.optimize import brentq

import cytotrace2_lite
from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.genes import features
from cytotrace2_lite.stages import preprocess

try:
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy
except ImportError:
    sys.exit("train_open: this needs the package torch: pip install -e '.[train]' in a checkout.")

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datasets import Dataset, MarkerSet
    from numpy.typing import NDArray

MARKERS = Path(cytotrace2_lite.__file__).parent / "data" / "marker_sets.tsv"
N_CONTROLS = 50  # control genes per gene in the background
N_BINS = 24  # expression bins they are drawn from, as in Seurat's AddModuleScore
MIN_DEPTH, MAX_DEPTH = 1_500, 300_000  # counts per augmented cell
# Programmes of dividing cells. Stem cells at rest lack them, cells of any potency may have them:
# half of the cells get them from another cell of their dataset, so that they count less.
DIVISION = (
    "prog_cellcycle_g1s",
    "prog_cellcycle_s",
    "prog_cellcycle_g2m",
    "prog_dna_replication",
    "prog_dna_repair",
    "prog_histone_genes",
    "prog_mitotic_spindle_kinetochore_assembly",
    "prog_nucleotide_synthesis",
)
EXCHANGED = 0.5  # share of the cells
MIN_SHARE = 0.6  # of the datasets measure a feature that may be in a gene set

# The guide
GUIDE_CELLS = 2_000
MAX_RANKS = (900.0, 1_900.0)  # ranks that count in a member, drawn from this range
MARKER_WEIGHT = (0.5, 0.5, 1.5, 3.0, 1.0, 1.0)  # of the marker genes of each potency
SET_SCALE = 0.12  # of the scores of single marker sets, next to genes
GUIDE_PENALTY = 0.05
GUIDE_STEPS, GUIDE_BATCH, GUIDE_RATE = 200, 300, 3e-2

# The network
SET_SIZE = 500  # genes per gene set, before training
MARGIN = 0.3  # how far from 0 the weights start
BATCH_CELLS = 120
WEIGHT_RATE, OUTPUT_RATE = 2e-3, 5e-4
DROPOUT = 0.5
STATISTICS_BATCHES = 10

SCORE_WEIGHT = 5.0  # in the loss, next to a cross-entropy of weight 1
ORDER_WEIGHT = 20.0
_K = torch.arange(len(POTENCIES)) / (len(POTENCIES) - 1.0)


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
    """Draws cells so that every potency, dataset and label has the same weight.

    Parameters
    ----------
    datasets
        What to draw from.
    controls
        The background, shape (n_features, n_features).
    markers
        Those named in `DIVISION` are exchanged between cells.
    rng
        Source of all randomness.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        controls: sp.csr_matrix,
        markers: Sequence[MarkerSet],
        rng: np.random.Generator,
    ) -> None:
        self.controls, self.rng = controls, rng
        self.division = np.zeros(controls.shape[0], bool)
        for marker in markers:
            if marker.name in DIVISION:
                self.division[marker.genes] = True
        #: Features that may be in a gene set: those measured in so many datasets that they do not
        #: reveal the dataset.
        self.genes = np.flatnonzero(np.mean([d.measured for d in datasets], axis=0) >= MIN_SHARE)
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

    def exchange(self, cells: NDArray[np.int64]) -> sp.csr_matrix:
        """Give half of the cells the programmes of division of other cells of their datasets."""
        source, other = self.source[cells], np.arange(len(cells))
        for i in np.unique(source):
            same = np.flatnonzero(source == i)
            other[same] = self.rng.permutation(same)
        chosen = self.rng.random(len(cells)) < EXCHANGED
        own, others = self.values[cells], self.values[cells[other]]
        for values, is_left_out in ((own, True), (others, False)):
            is_exchanged = np.repeat(chosen, np.diff(values.indptr)) & self.division[values.indices]
            values.data[is_exchanged == is_left_out] = 0
        values = (own + others).tocsr()
        values.eliminate_zeros()
        return values

    def augment(self, cells: NDArray[np.int64]) -> sp.csr_matrix:
        """Exchange programmes, sample two thirds of the cells down, half to another set's genes.

        A cell that would keep fewer than `MIN_GENES` features is left as published.
        """
        rng, result, n_cells = self.rng, self.exchange(cells), len(cells)
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

    def batch(self, n_cells: int) -> tuple[tuple[torch.Tensor, ...], torch.Tensor, torch.Tensor]:
        """Draw a balanced, augmented batch: inputs, potencies and source datasets."""
        cells = self.cells(n_cells)
        inputs = network_inputs(self.augment(cells), self.controls, self.genes)
        return inputs, torch.from_numpy(self.potency[cells]), torch.from_numpy(self.source[cells])


def network_inputs(
    values: sp.csr_matrix, controls: sp.csr_matrix, genes: NDArray[np.int64]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ranks, and log2 CPM less its mean over the control genes; dense float32, (cells, genes).

    The mean of the second over a gene set is v1.1.0's AMS score: all genes have as many controls.
    """
    counts = sp.csr_array(values)
    log2 = preprocess.log2_cpm(counts)
    corrected = (log2 - log2 @ controls.T / N_CONTROLS).tocsc()[:, genes].toarray()
    rank = preprocess.rank_all(counts)[:, genes]
    return torch.from_numpy(rank), torch.from_numpy(corrected.astype(np.float32))


def loss(logits: torch.Tensor, potency: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, squared error of the score, and order of cells within a dataset."""
    score, target = logits.softmax(1) @ _K, _K[potency]
    ordered = (source[:, None] == source) & (potency[:, None] > potency)
    gap = (score[:, None] - score)[ordered]
    wanted = (target[:, None] - target)[ordered]
    order = (wanted - gap).clamp(min=0).square().mean() if len(gap) else 0.0
    return (
        cross_entropy(logits, potency)
        + SCORE_WEIGHT * (score - target).square().mean()
        + ORDER_WEIGHT * order
    )


@dataclass(frozen=True, eq=False)
class Guide:
    """A linear classifier: logits = relu(1 - rank / max_rank) @ weight + bias.

    Attributes
    ----------
    max_rank
        Ranks below it count.
    weight
        float32, shape (n_genes, 6).
    bias
        Its constant for inputs less their mean over balanced cells; float32, shape (6,).
    """

    max_rank: float
    weight: torch.Tensor
    bias: torch.Tensor


def fit_guide(sampler: Sampler, markers: Sequence[MarkerSet], max_rank: float) -> Guide:
    """Fit the guide to balanced, augmented cells, starting from the marker genes.

    Ridge regression on standardised genes, in which scores of whole marker sets are penalised less
    than single genes. It is added to fixed logits: the mean of the markers of each potency, spread
    to the neighbouring potencies; genes that mark one potency only have more weight.
    """
    cells, genes = sampler.cells(GUIDE_CELLS), sampler.genes
    rank = preprocess.rank_all(sp.csr_array(sampler.augment(cells)))[:, genes]
    x = (1 - torch.from_numpy(rank) / max_rank).clamp(min=0)
    x -= x.mean(0)
    deviation = x.std(0)
    scale = 1 / (deviation + deviation.median() + 1e-6)
    x *= scale
    length = x.square().sum(1).mean().sqrt()

    def directions(chosen: torch.Tensor) -> torch.Tensor:
        """Weights of scores: mean of the chosen genes minus the mean of all, variance 1.

        Parameters and result have shape (n_genes, n_scores).
        """
        weight = chosen / chosen.sum(0).clamp(min=1e-6) - 1 / len(chosen)
        return weight / (x @ weight).std(0).clamp(min=1e-6)

    position = np.full(len(features()), -1)
    position[genes] = np.arange(len(genes))
    single = torch.zeros(len(genes), len(markers))
    for i, marker in enumerate(markers):
        single[position[marker.genes][position[marker.genes] >= 0], i] = 1
    sets = directions(single) if markers else single
    prior = torch.zeros(len(genes), len(POTENCIES))
    if markers:
        of_kind = np.array([marker.potency for marker in markers])
        counts = torch.stack([single[:, of_kind == potency].sum(1) for potency in POTENCIES], 1)
        step = torch.arange(len(POTENCIES))
        spread = torch.exp(-(step[:, None] - step).square() / 2.0)
        spread -= spread.mean(1, keepdim=True)
        specific = directions(counts / counts.sum(1, keepdim=True).clamp(min=1).sqrt())
        prior += specific @ (torch.tensor(MARKER_WEIGHT)[:, None] * spread)

    values, vectors = torch.linalg.eigh((x @ x.T / length**2).double())
    kept = values > values[-1] * 1e-9
    basis = (vectors[:, kept] / values[kept].sqrt()).float()  # genes: x.T @ basis / length
    design = torch.cat((basis * values[kept].float(), SET_SCALE * x @ sets), 1)
    fixed = x @ prior
    potency = torch.from_numpy(sampler.potency[cells])
    source = torch.from_numpy(sampler.source[cells])
    weight = torch.zeros(design.shape[1], len(POTENCIES), requires_grad=True)
    bias = torch.zeros(len(POTENCIES), requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=GUIDE_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 1e-2, GUIDE_STEPS)
    for _ in range(GUIDE_STEPS):
        drawn = torch.randint(len(cells), (GUIDE_BATCH,))
        logits = fixed[drawn] + design[drawn] @ weight + bias
        value = loss(logits, potency[drawn], source[drawn])
        value = value + GUIDE_PENALTY * weight.square().sum()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        n_basis = basis.shape[1]
        gene_weight = prior + x.T @ (basis @ weight[:n_basis]) / length
        gene_weight += SET_SCALE * sets @ weight[n_basis:]
        gene_weight -= gene_weight.mean(1, keepdim=True)  # softmax does not see it
        return Guide(max_rank, gene_weight * scale[:, None], bias.detach())


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

    def __init__(self, guide: Guide, k: int, n_sets: int) -> None:
        super().__init__()
        towards = guide.weight[:, k]
        signs = torch.tensor([1.0, -1.0]).repeat(n_sets)[:n_sets]
        probability = torch.empty(len(towards), n_sets)
        per_gene = torch.empty(n_sets)  # weight of a gene of a set: their sum is the guide's
        for sign in (1.0, -1.0):
            wanted, same = (sign * towards).clamp(min=0), signs == sign
            factor = _factor(wanted)
            probability[:, same] = (wanted * factor).clamp(max=1)[:, None]
            per_gene[same] = sign / (factor * same.sum())
        self.weight = nn.Parameter(MARGIN * (probability - torch.rand_like(probability)))
        n = (self.weight > 0).sum(0).float()
        self.maxrank = nn.Parameter(
            ((guide.max_rank - 10 - n.max()) / 1000).clamp(min=0).reshape(1, 1)
        )
        self.batchnorm = nn.BatchNorm1d(2 * n_sets, affine=False)
        self.out = nn.Linear(2 * n_sets, 1)
        self.initial = per_gene * n, guide.bias[k]

    @torch.no_grad()
    def take_output(self) -> None:
        """Start the UCell scores with the weights that the guide gives their genes, AMS with 0."""
        per_score, bias = self.initial
        spread = (self.batchnorm.running_var[: len(per_score)] + self.batchnorm.eps).sqrt()
        self.out.weight.zero_()
        self.out.weight[0, : len(per_score)] = per_score * spread
        self.out.bias.fill_(float(bias))

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
        """UCell and background-corrected mean scores, shape (n_cells, 2 * n_sets)."""
        sets, n, max_rank = self.sizes()
        size = n.clamp(min=1)
        ucell = 1 - (torch.minimum(rank, max_rank) @ sets - n * (n + 1) / 2) / (size * max_rank)
        ams = corrected @ sets / size
        return torch.cat((ucell, ams), 1)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Logit of the potency, shape (n_cells,)."""
        scores = self.batchnorm(self.gene_set_scores(*inputs))
        return self.out(nn.functional.dropout(scores, DROPOUT, self.training))[:, 0]


def _factor(weight: torch.Tensor) -> float:
    """Find the factor that makes `weight` probabilities, at most 1, of `SET_SIZE` genes in all."""
    size = min(SET_SIZE, 0.9 * float((weight > 0).sum()))

    def excess(log_factor: float) -> float:
        return float((weight * np.exp(log_factor)).clamp(max=1).sum()) - size

    return float(np.exp(brentq(excess, -30, 60)))


class Member(nn.Module):
    """The six modules of an ensemble member."""

    def __init__(self, guide: Guide, n_sets: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Module(guide, k, n_sets) for k in range(len(POTENCIES)))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Logits, shape (n_cells, 6)."""
        return torch.stack([layer(*inputs) for layer in self.layers], 1)


def train_member(
    datasets: Sequence[Dataset],
    controls: sp.csr_matrix,
    markers: Sequence[MarkerSet],
    seed: int,
    *,
    n_sets: int,
    n_steps: int,
) -> tuple[dict[str, torch.Tensor], list[tuple[list[int], float]]]:
    """Train one member on `datasets`.

    Returns
    -------
    tuple
        Its state, as v1.1.0 files hold it, and the `module_summary` of each potency.

    Raises
    ------
    ValueError
        A gene set came out empty, or genes that are not expressed would count.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    sampler = Sampler(datasets, controls, markers, rng)
    member = Member(fit_guide(sampler, markers, rng.uniform(*MAX_RANKS)), n_sets)
    set_statistics(member, sampler)
    for layer in member.layers:
        layer.take_output()
    others = [p for layer in member.layers for p in (layer.maxrank, *layer.out.parameters())]
    optimizer = torch.optim.Adam(
        [
            {"params": [layer.weight for layer in member.layers], "lr": WEIGHT_RATE},
            {"params": others, "lr": OUTPUT_RATE},
        ]
    )
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.05, max(n_steps, 1))
    for _ in range(n_steps):
        inputs, potency, source = sampler.batch(BATCH_CELLS)
        value = loss(member(*inputs), potency, source)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    set_statistics(member, sampler)
    summaries = [module_summary(layer) for layer in member.layers]
    for n, max_rank in summaries:
        if min(n) < 1:
            raise ValueError(f"the member of seed {seed} has an empty gene set; change --seed.")
        if max_rank >= len(features()) / 2:
            raise ValueError(f"the member of seed {seed} ranks genes that are not expressed.")
    state = dict(member.state_dict())
    for k in range(len(POTENCIES)):
        weight = torch.full((len(features()), n_sets), -1.0)
        weight[sampler.genes] = state[f"layers.{k}.weight"]
        state[f"layers.{k}.weight"] = weight
    return state, summaries


@torch.no_grad()
def set_statistics(member: Member, sampler: Sampler) -> None:
    """Make the batch-norm statistics those of balanced, augmented cells."""
    batches = [sampler.batch(BATCH_CELLS)[0] for _ in range(STATISTICS_BATCHES)]
    for layer in member.layers:
        scores = torch.cat([layer.gene_set_scores(*inputs) for inputs in batches]).double()
        layer.batchnorm.running_mean.copy_(scores.mean(0))
        layer.batchnorm.running_var.copy_(scores.var(0))


def left_out(
    datasets: Sequence[Dataset], i: int, tissue: Mapping[str, str] | None = None
) -> list[str]:
    """Name the datasets that member `i` leaves out.

    Each in turn; with `tissue`, all of a tissue. Not those that alone have the cells of a potency.
    """
    together: dict[str, list[Dataset]] = {}
    for d in datasets:
        together.setdefault(tissue[d.name] if tissue else d.name, []).append(d)
    order = []
    for group in together.values():
        others = {k for d in datasets if d not in group for k in d.potency.tolist()}
        if {k for d in group for k in d.potency.tolist()} <= others:
            order.append([d.name for d in group])
    return order[i % len(order)] if order else []


def read_tissues(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Read a tab-separated table of dataset and tissue, without a header.

    Raises
    ------
    ValueError
        A line has not two fields, or one of `names` is missing.
    """
    tissue = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        fields = line.split("\t")
        if len(fields) != 2:
            raise ValueError(
                f"{path}, line {number}: {len(fields)} fields, not dataset and tissue."
            )
        tissue[fields[0]] = fields[1]
    for name in names:
        if name not in tissue:
            raise ValueError(f"{path}: no line for the dataset {name}.")
    return tissue


def module_summary(layer: Module) -> tuple[list[int], float]:
    """Gene set sizes and the largest rank that counts."""
    with torch.no_grad():
        _, n, max_rank = layer.sizes()
    return n.int().tolist(), float(max_rank)


def main(argv: Sequence[str] | None = None) -> int:
    """Train and write; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_dir", type=Path, metavar="DATA_DIR")
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR")
    parser.add_argument("--members", type=int, default=16, help="ensemble size (default 16)")
    parser.add_argument(
        "--gene-sets", type=int, default=24, metavar="N", help="per potency (default 24)"
    )
    parser.add_argument(
        "--steps", type=int, default=12, help="of the networks' training (default 12)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default 0)")
    parser.add_argument(
        "--markers",
        type=Path,
        default=MARKERS,
        metavar="FILE",
        help="marker genes of the potencies (default: the collection of the package); a "
        "table of the header alone trains without",
    )
    parser.add_argument("--leave-out", nargs="+", default=[], metavar="NAME", help="datasets")
    parser.add_argument(
        "--leave-out-label",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "LABEL"),
        help="cells of a dataset that are not used, by their label",
    )
    parser.add_argument(
        "--tissues",
        type=Path,
        metavar="FILE",
        help="members leave out whole tissues in turn: a table of dataset and tissue",
    )
    parser.add_argument("--jobs", type=int, default=1, help="members trained at a time (default 1)")
    args = parser.parse_args(argv)
    for name, least in (("members", 1), ("gene_sets", 2), ("steps", 0), ("jobs", 1)):
        if getattr(args, name) < least:
            parser.error(f"--{name.replace('_', '-')} must be at least {least}.")
    if not args.data_dir.is_dir():
        parser.error(f"{args.data_dir} is not a folder.")
    try:
        train(args)
    except (ValueError, OSError) as error:
        print(f"train_open: {error}", file=sys.stderr)
        return 3
    return 0


@dataclass(frozen=True, eq=False)
class Task:
    """What all members of a run share, handed to each process once."""

    datasets: list[Dataset]
    controls: sp.csr_matrix
    markers: list[MarkerSet]
    tissue: dict[str, str] | None
    args: argparse.Namespace

    def member(self, i: int) -> dict[str, object]:
        """Train and write member `i`; return its entry of the record."""
        torch.set_num_threads(1)  # thin matrices gain nothing, and the result is the same anywhere
        torch.use_deterministic_algorithms(mode=True)
        out, seed = left_out(self.datasets, i, self.tissue), 1000 * self.args.seed + i
        state, summaries = train_member(
            [d for d in self.datasets if d.name not in out],
            self.controls,
            self.markers,
            seed,
            n_sets=self.args.gene_sets,
            n_steps=self.args.steps,
        )
        torch.save(state, self.args.out_dir / f"model{i + 1}.pt")
        return {
            "seed": seed,
            "left_out": out,
            "set_sizes": [[min(n), max(n)] for n, _ in summaries],
            "max_rank": [round(max_rank, 1) for _, max_rank in summaries],
        }


def without_labels(name: str, args: argparse.Namespace) -> list[str]:
    """Labels of the dataset `name` that --leave-out-label names."""
    return [label for dataset, label in args.leave_out_label if dataset == name]


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
    seen = [p for p in folders if p.name not in args.leave_out]
    datasets = [
        d
        for p in seen
        if (d := read_dataset(p, n_features, without_labels(p.name, args))) is not None
    ]
    tissue = read_tissues(args.tissues, [d.name for d in datasets]) if args.tissues else None
    missing = set(range(len(POTENCIES))) - {k for d in datasets for k in d.potency.tolist()}
    if missing:
        raise ValueError(
            f"{args.data_dir}: no dataset to train on has {POTENCIES[min(missing)]} cells."
        )
    markers = read_markers(args.markers)
    print(
        f"{len(datasets)} datasets, {sum(len(d.potency) for d in datasets)} cells, "
        f"{len(markers)} marker sets",
        flush=True,
    )
    controls = background(expression_bins(datasets), np.random.default_rng(args.seed))
    coo = controls.tocoo()
    torch.save(
        torch.sparse_coo_tensor(
            np.stack([coo.row, coo.col]), coo.data, coo.shape, check_invariants=True
        ),
        args.out_dir / "background.pt",
    )
    task = Task(datasets, controls, markers, tissue, args)
    report = []
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(args.jobs, mp_context=context) as pool:
        for i, entry in enumerate(pool.map(task.member, range(args.members)), start=1):
            report.append(entry)
            print(f"model{i}.pt  {time.monotonic() - started:.0f} s  {entry}", flush=True)
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
            "gene_sets": args.gene_sets,
            "steps": args.steps,
            "seed": args.seed,
            "markers": len(markers),
            "leave_out": args.leave_out,
            "leave_out_label": args.leave_out_label,
            "tissues": tissue,
        },
        "members": report,
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
