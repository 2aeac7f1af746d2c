"""Make the goldens with upstream itself. README.md says what each file is.

    UPSTREAM_PYTHON make_goldens.py DATASETS [--only CASE ...]

To be run by an interpreter that has cytotrace2-py 1.1.0.4. DATASETS holds the folder
`enteric_morarach2021` (as for tests/data/make_example_data.py), of which the table of the case
`batches` is cut. The ensemble is the one of tests/helpers/synthetic_ensemble.py: nothing of the
published models is used. NumPy's AVX-512 sorts, which are not stable on even five values, are
switched off.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import datetime as dt
import gzip
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import sys
import tempfile
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "upstream"))

import numpy as np
import pandas as pd
import run_upstream
import scipy.sparse as sp
import tables
import torch
from cytotrace2_py.common import gen_utils, models
from helpers import synthetic_ensemble

HERE = Path(__file__).resolve().parent
NO_AVX512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"
N_FEATURES = synthetic_ensemble.N_FEATURES
N_MEMBERS = synthetic_ensemble.N_MEMBERS
N_POTENCIES = synthetic_ensemble.N_POTENCIES
VERSIONS = ("1.1.0", "1.0.0")
POTENCIES = run_upstream.POTENCIES
N_NEIGHBORS = 30
N_EXAMPLE_CELLS = 4
WITH_LOGITS = ("mouse_120", "human_aliases")


# The networks in float64


class Float64Step(torch.nn.Module):
    """1 where the weight is positive, like upstream's estimator, but in float64."""

    def forward(self, weight):
        return (weight > 0).double()


class RankModule(torch.nn.Module):
    """A module of v1.0.0: UCell and gene count scores of the ranks."""

    def __init__(self, n_sets):
        super().__init__()
        self.maxrank = torch.nn.Parameter(torch.zeros(1, 1))
        self.weight = torch.nn.Parameter(torch.zeros(N_FEATURES, n_sets))
        self.batchnorm = torch.nn.BatchNorm1d(2 * n_sets, affine=False)
        self.out = torch.nn.Linear(2 * n_sets, 1)

    def forward(self, rank):
        in_set = (self.weight > 0).double()
        size = in_set.sum(0)
        threshold = size.max() + 10 + 1000 * self.maxrank.clamp(min=0)[0, 0]
        below = (rank < threshold).double()
        share_of_sets = below.sum(1, keepdim=True) * size / N_FEATURES
        counts = (below @ in_set) / share_of_sets
        rank_sums = torch.where(rank < threshold, rank, threshold) @ in_set
        ucell = 1 - (rank_sums - size * (size + 1) / 2) / (size * threshold)
        return self.out(self.batchnorm(torch.cat([ucell, counts], 1)))


class RankEncoder(torch.nn.Module):
    """The network of v1.0.0, which the current upstream package no longer has."""

    def __init__(self):
        super().__init__()
        n_sets = synthetic_ensemble.GENE_SETS["1.0.0"]
        self.layers = torch.nn.ModuleList([RankModule(n_sets) for _ in range(N_POTENCIES)])

    def forward(self, rank):
        return torch.stack([layer(rank) for layer in self.layers], 1)


def network(state, version):
    """Load a member into upstream's network (v1.1.0) or ours (v1.0.0), in float64."""
    net = models.BinaryEncoder() if version == "1.1.0" else RankEncoder()
    net.load_state_dict(as_tensors(state))
    for module in net.layers:
        module.ste = Float64Step()
    return net.double().eval()


def as_tensors(state):
    return {name: torch.from_numpy(np.array(array)) for name, array in state.items()}


def background_tensor():
    indices, values, shape = synthetic_ensemble.background()
    return torch.sparse_coo_tensor(
        torch.from_numpy(indices), torch.from_numpy(values), shape, check_invariants=True
    ).to_dense()


def logits(state, version, rank, log2, background):
    """Give the float64 logits of one member, (n_cells, 6)."""
    inputs = [torch.from_numpy(rank)]
    if version == "1.1.0":
        inputs += [torch.from_numpy(log2), background]
    with torch.no_grad():
        return network(state, version)(*inputs).squeeze(2).numpy()


def ensemble(member_logits):
    """Give mean probabilities (n_cells, 6) and mean score (n_cells,) of (n_members, n_cells, 6)."""
    shifted = np.exp(member_logits - member_logits.max(axis=2, keepdims=True))
    probabilities = shifted / shifted.sum(axis=2, keepdims=True)
    return probabilities.mean(axis=0), (probabilities @ (np.arange(6) / 5)).mean(axis=0)


# Inputs


def preprocess(case_table, species):
    """Give upstream's rank and log2, both (n_cells, 14271) float64."""
    genes, cells, values = case_table
    frame = pd.DataFrame(values.T.astype(float), index=cells, columns=genes)
    _, _, rank, log2 = gen_utils.preprocess(frame, species)
    return rank, log2


def feature_of_gene(genes, species):
    """Give the feature upstream maps each gene to, -1 for none, int16.

    Feeds upstream's `preprocess` one cell in which gene i has the value i + 1 and looks at the
    values just before they are ranked.
    """
    seen = []

    def rankdata(negative, **_):
        seen.append(-negative[0])
        return negative

    frame = pd.DataFrame([np.arange(1.0, len(genes) + 1)], index=["cell"], columns=list(genes))
    original = gen_utils.scipy
    gen_utils.scipy = types.SimpleNamespace(stats=types.SimpleNamespace(rankdata=rankdata))
    try:
        gen_utils.preprocess(frame, species)
    finally:
        gen_utils.scipy = original
    gene = seen[0].astype(int) - 1
    found = np.full(len(genes), -1, dtype=np.int16)
    features = np.flatnonzero(gene >= 0)
    found[gene[features]] = features
    return found


def make_batches_table(datasets):
    """Cut 1,050 cells and 400 genes of the enteric data; write them as the table of `batches`.

    The genes are model features of the synthetic gene sets (their weight in most sets first),
    taken from those expressed in at least a tenth of the cells.
    """
    folder = datasets / "enteric_morarach2021"
    genes = np.array((folder / "genes.txt").read_text().splitlines())
    cells = [line.split("\t")[0] for line in (folder / "cells.tsv").read_text().splitlines()[1:]]
    expression = sp.load_npz(folder / "expr.npz").tocsr()
    chosen = np.linspace(0, len(cells) - 1, 1050).round().astype(int)
    values = expression[chosen].toarray().T.astype(int)
    feature = feature_of_gene(genes, "mouse")
    memberships = np.zeros(N_FEATURES)
    for index in range(N_MEMBERS):
        state = synthetic_ensemble.raw_member(index)
        for layer in range(N_POTENCIES):
            memberships += (state[f"layers.{layer}.weight"] > 0).sum(axis=1)
    usable = (feature >= 0) & ((values > 0).mean(axis=1) >= 0.1)
    priority = np.where(usable, memberships[feature], -1)
    rows = np.sort(np.argsort(-priority, kind="stable")[:400])
    lines = ["\t".join(["", *(cells[i] for i in chosen)])]
    lines += ["\t".join([genes[row], *map(str, values[row].tolist())]) for row in rows]
    text = ("\n".join(lines) + "\n").encode()
    tables.BATCHES_TABLE.write_bytes(gzip.compress(text, 9, mtime=0))


def calibrate():
    """Take mean and variance of every gene set score over 60 mouse and 60 human real cells."""
    inputs = []
    for name, species in (("enteric_300", "mouse"), ("palantir_300", "human")):
        genes, cells, values = tables.read(tables.EXAMPLES / f"{name}.txt.gz")
        inputs.append(preprocess((genes, cells[::5], values[:, ::5]), species))
    rank, log2 = (np.vstack(parts) for parts in zip(*inputs, strict=True))
    background = background_tensor().T.double()
    arrays = {}
    for version in VERSIONS:
        means, variances = [], []
        for index in range(N_MEMBERS):
            state = synthetic_ensemble.raw_member(index, version)
            net = network(state, version)
            scores = [[] for _ in net.layers]
            for module, kept in zip(net.layers, scores, strict=True):
                module.batchnorm.register_forward_pre_hook(
                    lambda _, args, kept=kept: kept.append(args[0].numpy())
                )
            given = [torch.from_numpy(rank)]
            if version == "1.1.0":
                given += [torch.from_numpy(log2), background]
            with torch.no_grad():
                net(*given)
            means.append([kept[0].mean(axis=0) for kept in scores])
            variances.append([kept[0].var(axis=0) for kept in scores])
        short = "v" + version.replace(".", "")
        arrays[f"{short}_running_mean"] = np.array(means, dtype=np.float32)
        arrays[f"{short}_running_var"] = np.array(variances, dtype=np.float32)
        arrays[f"{short}_sha256"] = np.array(
            [synthetic_ensemble.digest(synthetic_ensemble.raw_member(i, version)) for i in range(3)]
        )
    indices, values, _ = synthetic_ensemble.background()
    arrays["background_sha256"] = np.array(
        synthetic_ensemble.digest({"indices": indices, "values": values})
    )
    np.savez_compressed(synthetic_ensemble.CALIBRATION, **arrays)


# Cases


def injected_scores(case, plain):
    """Give raw scores and categories that upstream goes on with, None for its own ensemble's.

    `plain` is what upstream recorded for the same table with the synthetic ensemble.
    """
    if case not in {"lone_cell", "ties"}:
        return None
    arrays = plain.arrays(pca=False)
    raw_score, potency = arrays["raw_score"].copy(), arrays["potency"].copy()
    n_cells = len(potency)
    if case == "lone_cell":  # one Totipotent, two Pluripotent cells, no Oligopotent one
        potency[potency >= 4] = 3
        potency[potency == 2] = 1
        potency[37] = 5
        potency[[11, 74]] = 4
    else:
        potency[potency == 4] = 3
        orphans = np.arange(n_cells - tables.N_ORPHANS, n_cells)
        raw_score[orphans] = np.float32(0.55)
        potency[orphans] = 4  # alone with two others, so that the sort is of six cells
        potency[[20, 60]] = 4
        twins = np.arange(orphans[0] - tables.N_PAIRS, orphans[0])
        # Copies differ in score; otherwise the last bit of a sum would decide their order.
        raw_score[twins] = raw_score[: tables.N_PAIRS] + np.float32(0.1)
    frame = pd.DataFrame(
        {
            "preKNN_CytoTRACE2_Score": raw_score,
            "preKNN_CytoTRACE2_Potency": np.array(POTENCIES, dtype=object)[potency],
        },
        index=arrays["cells"].tolist(),
    )
    frame[list(POTENCIES)] = arrays["probabilities"]
    return frame


def example_inputs(rank, log2):
    """Give rank and log2 of a few cells: expressed features only, and the rank of all others."""
    cells = np.linspace(0, len(rank) - 1, N_EXAMPLE_CELLS).astype(int)
    features = [np.flatnonzero(log2[cell]) for cell in cells]
    return {
        "example_cells": cells.astype(np.int16),
        "example_indptr": np.concatenate([[0], np.cumsum([len(f) for f in features])]),
        "example_features": np.concatenate(features).astype(np.int16),
        "example_rank": np.concatenate(
            [rank[cell, f] for cell, f in zip(cells, features, strict=True)]
        ),
        "example_log2": np.concatenate(
            [log2[cell, f] for cell, f in zip(cells, features, strict=True)]
        ),
        "example_zero_rank": np.array(
            [rank[cell, log2[cell] == 0][0] for cell in cells], dtype=float
        ),
    }


class InlineExecutor(concurrent.futures.Executor):
    """Run in this process what upstream gives to other processes, so that it can be recorded."""

    def __init__(self, max_workers):
        """Take upstream's argument."""

    def submit(self, function, *arguments):
        """Call the function at once."""
        future = concurrent.futures.Future()
        future.set_result(function(*arguments))
        return future


@contextlib.contextmanager
def recorded_distances():
    """Give the list to which upstream's rows of distances are added, cell by cell."""
    rows = []
    original = gen_utils.pairwise_distances, concurrent.futures.ProcessPoolExecutor

    def pairwise_distances(*arguments):
        distances = original[0](*arguments)
        rows.append(distances[0])
        return distances

    gen_utils.pairwise_distances = pairwise_distances
    concurrent.futures.ProcessPoolExecutor = InlineExecutor
    try:
        yield rows
    finally:
        gen_utils.pairwise_distances, concurrent.futures.ProcessPoolExecutor = original


def neighbors(n_cells, rows):
    """Give the 30 nearest cells of each cell in its batch, and their distances, as upstream had.

    -1 and NaN where upstream looks for none. The index counts within the batch. Also the smallest
    difference between consecutive distances up to the 31st.
    """
    index = np.full((n_cells, N_NEIGHBORS), -1, dtype=np.int16)
    distance = np.full((n_cells, N_NEIGHBORS), np.nan)
    smallest = np.inf
    for i, row in enumerate(rows):
        to_all = row / np.max(row)
        index[i] = np.argsort(to_all)[:N_NEIGHBORS]
        distance[i] = to_all[index[i]]
        smallest = min(smallest, np.diff(np.sort(to_all)[: N_NEIGHBORS + 1]).min())
    return index, distance, smallest


def top_genes(recorder, facts):
    """Give the 1,000 features per batch as a sorted set, -1 in place of each constant one."""
    chosen = []
    for batch in recorder.batches:
        varies = np.ptp(batch["log2"], axis=0) > 0
        dispersion = np.zeros(N_FEATURES)
        dispersion[varies] = batch["log2"][:, varies].var(axis=0)
        dispersion[varies] /= batch["log2"][:, varies].mean(axis=0)
        ordered = np.sort(dispersion)
        last, first_out = ordered[-1000], ordered[-1001]
        facts.append(f"dispersion of gene 1000 and 1001: {last:.6f} {first_out:.6f}")
        if last > 0 and last - first_out < 1e-9:
            facts.append("TIED at the boundary of the 1,000 genes")
        chosen.append(np.sort(np.where(varies[batch["top_genes"]], batch["top_genes"], -1)))
    return np.stack(chosen).astype(np.int16)


def float64_arrays(rank, log2, species_background):
    """Give logits of both kinds of ensemble in float64."""
    arrays = {}
    for version in VERSIONS:
        short = "v" + version.replace(".", "")
        states = [synthetic_ensemble.member(i, version) for i in range(N_MEMBERS)]
        arrays[f"{short}_logits"] = np.stack(
            [logits(state, version, rank, log2, species_background) for state in states]
        )
        probabilities, score = ensemble(arrays[f"{short}_logits"])
        arrays[f"{short}_probabilities"], arrays[f"{short}_score"] = probabilities, score
    return arrays


def counted(potency):
    """Say how many cells each category has."""
    return " ".join(str(n) for n in np.bincount(potency, minlength=N_POTENCIES))


def smallest_step(diffused, groups):
    """Give the smallest difference other than 0 between cells that are binned together."""
    steps = [np.diff(np.sort(diffused[groups == group])) for group in np.unique(groups)]
    steps = np.concatenate(steps)
    return steps[steps > 0].min()


def category(score):
    """Give the category of final scores, as the results file has it."""
    return pd.cut(score, np.linspace(0, 1, 7), labels=False, include_lowest=True)


def make_case(case, members, background, work):
    """Run upstream on one case; write its two files; return facts about it."""
    options = {**tables.DEFAULTS, **tables.CASES[case]}
    text = tables.as_text(case)
    table_path = work / f"{case}.txt"
    table_path.write_bytes(text)
    facts = []

    def run(injected=None):
        with contextlib.redirect_stdout(io.StringIO()), recorded_distances() as rows:
            recorder = run_upstream.run(
                table_path,
                out_dir=work / case,
                models=members,
                background=background,
                raw_scores=injected,
                keep_inputs=True,
                **options,
            )
        return recorder, rows

    recorder, rows = run()
    injected = injected_scores(case, recorder)
    if injected is not None:
        recorder, rows = run(injected)
    genes, cells, _ = tables.table(case)
    arrays = recorder.arrays(pca=case != "batches")
    del arrays["members"]
    position = {cell: i for i, cell in enumerate(cells)}
    arrays["cell"] = np.array([position[cell] for cell in arrays.pop("cells")], dtype=np.int16)
    arrays["batch"] = arrays["batch"].astype(np.int8)
    arrays["potency"] = arrays["potency"].astype(np.int8)
    arrays["top_genes"] = top_genes(recorder, facts)
    arrays["neighbors"], distance, smallest = neighbors(len(cells), rows)
    # Half the size where there are most: rounding moves a score by up to 2e-8.
    arrays["neighbor_distances"] = distance.astype(np.float32) if case == "batches" else distance
    with contextlib.redirect_stdout(io.StringIO()):
        arrays["feature_of_gene"] = feature_of_gene(genes, options["species"])
    arrays["table_sha256"] = np.array(hashlib.sha256(text).hexdigest())
    arrays["options"] = np.array(json.dumps(options, sort_keys=True))
    first = recorder.batches[0]
    arrays.update(example_inputs(first["rank"], first["log2"]))
    if case in WITH_LOGITS:
        arrays.update(float64_arrays(first["rank"], first["log2"], background.double()))
        gap = np.abs(arrays["raw_score"] - arrays["v110_score"]).max()
        facts.append(f"upstream's float32 raw score off the float64 one by up to {gap:.2e}")
        for short in ("v110", "v100"):
            by_float64 = arrays[f"{short}_probabilities"].argmax(axis=1)
            facts.append(f"{short} float64 categories: {counted(by_float64)}")
    np.savez_compressed(HERE / f"{case}.npz", **arrays)
    results = (work / case / "cytotrace2_results.txt").read_bytes()
    (HERE / f"{case}_results.txt.gz").write_bytes(gzip.compress(results, 9, mtime=0))

    score = arrays["score"]
    n_genes = [(batch["log2"] > 0).sum(axis=1) for batch in recorder.batches]
    low, high = np.concatenate(n_genes).min(), np.concatenate(n_genes).max()
    diffused = arrays["diffused"]
    moved = np.abs(diffused - arrays["raw_score"])
    groups = arrays["batch"] * N_POTENCIES + arrays["potency"]
    ties = len(diffused) - len(set(zip(groups.tolist(), diffused.tolist(), strict=True)))
    n_mapped = int((arrays["feature_of_gene"] >= 0).sum())
    facts += [
        f"{len(genes)} genes ({n_mapped} mapped) x {len(cells)} cells, {json.dumps(options)}",
        f"expressed features per cell: {low} to {high}",
        f"cells per batch: {np.bincount(arrays['batch']).tolist()}",
        f"raw score: {arrays['raw_score'].min():.3f} to {arrays['raw_score'].max():.3f}",
        f"diffusion moves it by {np.median(moved):.3f} (median), {moved.max():.3f} (most)",
        f"categories (Differentiated .. Totipotent) before kNN: {counted(arrays['potency'])}",
        f"categories (Differentiated .. Totipotent) after kNN: {counted(category(score))}",
        f"scores kNN changes: {np.sum(score != arrays['binned'])}",
        f"categories kNN changes: {np.sum(category(score) != arrays['potency'])}",
        f"cells with exactly the diffused score of another of their category: {ties}",
        f"next smallest difference: {smallest_step(diffused, groups):.2e}",
        f"smallest step between neighbour distances: {smallest:.2e}",
        f"final score closest to an edge: {np.abs(score[:, None] - np.arange(7) / 6).min():.2e}",
    ]
    return facts


def binning_ties():
    """Feed upstream's `binning` scores with many exact ties, at most 16 cells per category."""
    draw = np.random.default_rng(5)
    sizes = (16, 1, 0, 2, 13, 7)
    potency = draw.permutation(np.repeat(np.arange(N_POTENCIES), sizes))
    diffused = draw.integers(0, 5, len(potency)) / 8 + 0.0625
    index = [f"cell_{i}" for i in range(len(potency))]
    frame = pd.DataFrame(
        {
            "preKNN_CytoTRACE2_Score": np.zeros(len(potency), dtype=np.float32),
            "preKNN_CytoTRACE2_Potency": np.array(POTENCIES, dtype=object)[potency],
        },
        index=index,
    )
    binned = gen_utils.binning(frame, pd.Series(diffused, index=index))
    np.savez_compressed(
        HERE / "binning_ties.npz",
        potency=potency.astype(np.int8),
        diffused=diffused,
        binned=binned["preKNN_CytoTRACE2_Score"].to_numpy(dtype=np.float64),
    )


def write_provenance(facts):
    """Write what made the goldens, digests of all inputs, and the facts of every case."""
    lines = [f"date\t{dt.datetime.now(dt.timezone.utc).date()}"]
    lines.append(f"python\t{platform.python_version()} {platform.machine()}")
    packages = ("cytotrace2-py", "torch", "numpy", "scipy", "pandas", "scikit-learn")
    lines += [f"{name}\t{importlib.metadata.version(name)}" for name in packages]
    lines.append(f"NPY_DISABLE_CPU_FEATURES\t{NO_AVX512}")
    inputs = [
        *sorted(tables.EXAMPLES.glob("*.txt.gz")),
        tables.BATCHES_TABLE,
        Path(synthetic_ensemble.__file__),
        Path(tables.__file__),
    ]
    for path in inputs:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(f"sha256 {path.relative_to(HERE.parent)}\t{digest}")
    for case, texts in facts.items():
        lines += ["", case, *(f"    {text}" for text in texts)]
    (HERE / "provenance.txt").write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(tables.CASES))
    args = parser.parse_args()
    if os.environ.get("NPY_DISABLE_CPU_FEATURES") != NO_AVX512:  # read when numpy is imported
        os.environ["NPY_DISABLE_CPU_FEATURES"] = NO_AVX512
        os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 - this script again
    with contextlib.redirect_stdout(io.StringIO()):
        if not args.only:
            make_batches_table(args.datasets)
            calibrate()
    background = background_tensor().T
    facts = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        members = work / "members"
        members.mkdir()
        for index in range(N_MEMBERS):
            state = synthetic_ensemble.member(index)
            torch.save(as_tensors(state), members / f"member{index + 1}.pt")
        for case in args.only or tables.CASES:
            facts[case] = make_case(case, members, background, work)
            sys.stderr.write("\n".join([case, *facts[case], ""]))
    binning_ties()
    if not args.only:
        write_provenance(facts)


if __name__ == "__main__":
    main()
