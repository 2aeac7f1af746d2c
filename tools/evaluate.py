"""Measure models against the published potency of single-cell datasets.

    python tools/evaluate.py DATA_DIR --model MODEL [--model MODEL ...]
    python tools/evaluate.py DATA_DIR --members MEMBERS_DIR

DATA_DIR has one folder per dataset: `expr.npz` (scipy CSR, cells x genes, not log), `genes.txt` (a
name per column), `cells.tsv` (tab-separated, with columns `label`, `potency` and perhaps
`monocle2_pseudotime`) and `info.txt` (lines `species` and `units`).

--model takes what `ct2-lite run --model` takes, the name of a model or an .onnx file, and scores
every dataset with it. --members takes a folder that tools/train_open.py wrote and leaves one
dataset out at a time: each is scored by an ensemble of only those members that were trained without
it, as `training.json` says; a dataset that is not named there counts as not seen. Both options may
be given; overall figures are then over the datasets for which all have figures.

Every dataset runs through the whole pipeline, with all its cells. The figures are about the cells
that have a potency and express at least 200 genes of the model. If a gene name is repeated, the
first one counts; values whose units say "within-cell ranks only" are replaced by their square
roots. Figures are given for

    raw       the score of the ensemble; category: the most probable one
    smoothed  CytoTRACE2_Score and CytoTRACE2_Potency, after diffusion and neighbours

and are, with k the published potency from 0 (Differentiated) to 5 (Totipotent):

    Spearman, Kendall   rank correlation (tau-b) of score and k; below 1 even for a perfect order
                        where cells share a k
    pseudotime          Spearman correlation of score and -monocle2_pseudotime: 1 where the score
                        falls all along the pseudotime
    MAE                 mean of |score - k/5|
    exact, within 1     share of the cells whose category is k, or k - 1 to k + 1
    median              median score of the cells of each potency

Overall, the correlations are means over the datasets of two potencies or more, the other figures
means over all datasets. Each dataset has the same weight.

--downsample SHARE ... samples the expression of the judged cells down to those shares and gives the
Spearman correlation of the raw scores with those at full depth: binomial samples of whole numbers;
of other values Poisson samples of value times share, which are noisier (marked ~). Cells left
without any count are not compared.

--in-sample marks datasets that a model was trained on with a *: NAME for all models, MODEL=NAME for
one. A progress line per dataset and model goes to standard error, the report to standard output.
Results are the same in every run. --members needs the `export` extra, --plot needs matplotlib.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import MIN_GENES, read_cells
from scipy.stats import kendalltau, spearmanr

from cytotrace2_lite._version import __version__
from cytotrace2_lite.base.parameters import Parameters
from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import CytoTRACE2Error, InputError, ModelError, UsageError
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.pipeline import prepare, score_cells
from cytotrace2_lite.read import read_expression
from cytotrace2_lite.stages import preprocess
from cytotrace2_lite.system.files import write_whole
from cytotrace2_lite.system.machine import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from datasets import PublishedCells
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from cytotrace2_lite.models.fold.export import FoldedEnsemble
    from cytotrace2_lite.pipeline import ModelInput

PSEUDOTIME = "monocle2_pseudotime"
SEED = 0  # of the down-sampling
SCORES = ("raw", "smoothed")
ORDER = ("spearman", "kendall")  # defined for two potencies or more
LEVEL = ("mean_absolute_error", "exact", "within_one")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # colour-blind safe


@dataclass
class Contender:
    """One model, or one folder of members, and its figures.

    Attributes
    ----------
    label
        Its name in the report.
    choose
        Gives the ensemble that is to score the dataset of a name, None where there is none, and
        the members in it.
    about
        What the JSON report says of it.
    figures
        Figures by dataset; None where no member is blind to it.
    """

    label: str
    choose: Callable[[str], tuple[Ensemble | None, list[str]]]
    about: dict[str, Any]
    figures: dict[str, dict[str, Any] | None] = field(default_factory=dict)


class BlindMembers:
    """The ensembles of the members that never saw a dataset.

    Parameters
    ----------
    folder
        What `train_open.py` wrote: `model1.pt` .. `modelN.pt`, `background.pt`, `training.json`.
    scratch
        Where the ensembles are written.

    Raises
    ------
    ModelError
        A file is missing or does not say what is needed.
    """

    def __init__(self, folder: Path, scratch: Path) -> None:
        from cytotrace2_lite.models.fold.export import (
            find_background,
            member_files,
            read_background,
        )

        self.name, self.scratch = folder.resolve().name, scratch
        self.files = member_files(folder)
        record = folder / "training.json"
        try:
            training = json.loads(record.read_text("utf-8"))
            left_out = [set(member["left_out"]) for member in training["members"]]
            by_none = set(training["settings"]["leave_out"])
            seen = set(training["datasets"]) - by_none
        except OSError as error:
            raise ModelError(
                f"{record}: cannot be read ({error.strerror}); it says which datasets each member "
                "was trained without."
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{record}: does not say which datasets each member was trained without."
            ) from error
        if len(left_out) != len(self.files):
            raise ModelError(
                f"{folder}: {len(self.files)} members, but training.json is about {len(left_out)}."
            )
        self.trained_on = [seen - names for names in left_out]
        self.background = read_background(find_background(folder))
        self.folded: dict[int, FoldedEnsemble] = {}
        self.ensembles: dict[tuple[int, ...], Ensemble] = {}

    def choose(self, name: str) -> tuple[Ensemble | None, list[str]]:
        """Give the ensemble of the members blind to a dataset, and their file names."""
        blind = tuple(i for i, names in enumerate(self.trained_on) if name not in names)
        if blind and blind not in self.ensembles:
            self.ensembles[blind] = self._ensemble(blind)
        return self.ensembles.get(blind), [self.files[i].name for i in blind]

    def _ensemble(self, members: tuple[int, ...]) -> Ensemble:
        from cytotrace2_lite.models.fold.export import FoldedEnsemble, fold_members, to_onnx

        for i in members:
            if i not in self.folded:
                self.folded[i] = fold_members([self.files[i]], "1.1.0", self.background)
        folded = FoldedEnsemble.concatenate([self.folded[i] for i in members])
        path = self.scratch / f"{len(self.ensembles)}.onnx"
        metadata = {"name": self.name, "licence": "unknown", "sources": "[]"}
        path.write_bytes(to_onnx(folded, metadata))
        return Ensemble.load(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_dir", type=Path, metavar="DATA_DIR")
    parser.add_argument("--model", action="append", default=[], help="name or .onnx file")
    parser.add_argument("--members", type=Path, metavar="MEMBERS_DIR", help="leave one out")
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="only these (default all)")
    parser.add_argument("--in-sample", nargs="+", default=[], metavar="NAME", help="mark these")
    parser.add_argument("--downsample", nargs="+", type=float, default=[], metavar="SHARE")
    parser.add_argument("--markdown", action="store_true", help="report in Markdown tables")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw Spearman and MAE")
    args = parser.parse_args(argv)
    try:
        check_arguments(args)
        with tempfile.TemporaryDirectory() as scratch:
            report = evaluate(args, Path(scratch))
        print(show(report, markdown=args.markdown))
        files = {}
        if args.json:
            files[args.json] = (json.dumps(report, indent=1) + "\n").encode()
        if args.plot:
            files[args.plot] = draw(report, args.plot.suffix[1:])
        if files:
            write_whole(files)
    except CytoTRACE2Error as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse what would otherwise fail after a long computation."""
    if not args.model and args.members is None:
        raise UsageError("nothing to evaluate: give --model or --members.")
    for share in args.downsample:
        if not 0 < share < 1:
            raise UsageError(f"--downsample {share:g}: a share must lie between 0 and 1.")
    for path in (args.json, args.plot):
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise UsageError(f"{path}: cannot be written: give a file in a folder that exists.")
    if args.plot:
        if len(args.model) + (args.members is not None) > len(COLOURS):
            raise UsageError(f"--plot draws at most {len(COLOURS)} models.")
        figure_class = load_matplotlib()
        known = figure_class().canvas.get_supported_filetypes()
        if args.plot.suffix[1:] not in known:
            raise UsageError(
                f"--plot {args.plot}: give a name that ends in one of {', '.join(sorted(known))}."
            )


def evaluate(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Score all datasets with all models; return what --json writes."""
    folders = find_datasets(args.data_dir, args.datasets)
    contenders = find_contenders(args.model, args.members, scratch)
    marks = in_sample_marks(args.in_sample, contenders, [folder.name for folder in folders])
    datasets = {}
    for folder in folders:
        published = read_cells(folder)
        try:
            expression, _ = read_expression(published.values, genes=published.genes)
            data = prepare(expression, published.species)
        except InputError as error:
            raise type(error)(f"{folder}: {error}") from error
        judged = np.flatnonzero(
            (published.potency >= 0) & (data.counts.genes_per_cell >= MIN_GENES)
        )
        if not len(judged):
            print(f"{folder.name}: no cell to judge", file=sys.stderr)
            continue
        whole = data.counts.whole
        potency = published.potency[judged]
        datasets[folder.name] = {
            "species": published.species,
            "features": data.genes.n_mapped,
            "cells": len(judged),
            "cells_in_all": len(data.cells),
            "potencies": {p: int((potency == k).sum()) for k, p in present(potency)},
            "whole_numbers": whole,
            "pseudotime": PSEUDOTIME in published.columns,
        }
        samples = {
            share: sample_down(data.counts[judged], share, whole=whole) for share in args.downsample
        }
        for contender in contenders:
            started = time.monotonic()
            ensemble, members = contender.choose(folder.name)
            outcome = "no member is blind to it"
            figures = None
            if ensemble is not None:
                figures = judge(published, data, judged, ensemble, samples)
                figures["members"] = members
                figures["in_sample"] = (contender.label, folder.name) in marks
                outcome = f"{len(data.cells):,} cells, {time.monotonic() - started:.0f} s"
            contender.figures[folder.name] = figures
            print(f"{folder.name}, {contender.label}: {outcome}", file=sys.stderr, flush=True)
    if not datasets:
        raise InputError(f"{args.data_dir}: no cell has a potency and {MIN_GENES} expressed genes.")
    names = common(contenders)
    return {
        "cytotrace2_lite": __version__,
        "settings": {"min_genes": MIN_GENES, "downsample": args.downsample, "seed": SEED},
        "datasets": datasets,
        "common": names,
        "models": {
            c.label: {
                **c.about,
                "datasets": c.figures,
                "overall": overall(c.figures, names, args.downsample),
            }
            for c in contenders
        },
    }


def find_datasets(data_dir: Path, names: Sequence[str] | None) -> list[Path]:
    """List the dataset folders, all or those named."""
    if not data_dir.is_dir():
        raise InputError(f"{data_dir}: no such folder of datasets.")
    found = {path.parent.name: path.parent for path in sorted(data_dir.glob("*/expr.npz"))}
    if not found:
        raise InputError(f"{data_dir}: no dataset (folder with expr.npz) in this folder.")
    for name in names or ():
        if name not in found:
            raise UsageError(
                f"--datasets {name}: no such dataset in {data_dir}; it has {', '.join(found)}."
            )
    return [path for name, path in found.items() if names is None or name in names]


def find_contenders(models: Sequence[str], members: Path | None, scratch: Path) -> list[Contender]:
    """Load what is to be evaluated, each under a label of its own."""
    contenders = []
    for model in models:
        ensemble = Ensemble.load(model)
        info = ensemble.info
        about = {
            "kind": "model",
            "name": info.name,
            "architecture": info.architecture,
            "n_members": info.n_members,
            "sha256": info.sha256,
        }
        contenders.append(Contender(info.name, partial(always, ensemble), about))
    if members is not None:
        blind = BlindMembers(members, scratch)
        about = {"kind": "left out", "name": blind.name, "n_members": len(blind.files)}
        contenders.append(Contender(f"{blind.name} (left out)", blind.choose, about))
    times = Counter(contender.label for contender in contenders)
    for contender in contenders:
        if times[contender.label] > 1 and "sha256" in contender.about:
            contender.label += f" {contender.about['sha256'][:8]}"
    labels = [contender.label for contender in contenders]
    if len(set(labels)) < len(labels):
        raise UsageError(f"--model: {max(labels, key=labels.count)} is given twice.")
    return contenders


def always(ensemble: Ensemble, _dataset: str) -> tuple[Ensemble, list[str]]:
    """Give the same ensemble for every dataset."""
    return ensemble, []


def in_sample_marks(
    given: Iterable[str], contenders: Sequence[Contender], datasets: Sequence[str]
) -> set[tuple[str, str]]:
    """Labels and datasets that --in-sample marks."""
    marks = set()
    labels = [contender.label for contender in contenders]
    for text in given:
        label, _, name = text.rpartition("=")
        if name not in datasets:
            raise UsageError(
                f"--in-sample {text}: no dataset {name!r} among {', '.join(datasets)}."
            )
        if label and label not in labels:
            raise UsageError(f"--in-sample {text}: no model {label!r} among {', '.join(labels)}.")
        marks |= {(one, name) for one in ([label] if label else labels)}
    return marks


def present(potency: NDArray[np.int64]) -> list[tuple[int, str]]:
    """Potencies that occur, the highest first."""
    return [(int(k), POTENCIES[k]) for k in np.unique(potency)[::-1]]


def judge(
    published: PublishedCells,
    data: ModelInput,
    judged: NDArray[np.intp],
    ensemble: Ensemble,
    samples: Mapping[float, csr_array],
) -> dict[str, Any]:
    """Score a dataset, and compare the scores with what is published."""
    threads = available_cores()
    result = score_cells(data, ensemble, Parameters(species=published.species, max_cores=threads))
    potency = published.potency[judged]
    pseudotime = None
    if PSEUDOTIME in published.columns:
        pseudotime = numbers(published.columns[PSEUDOTIME], f"{published.name}: {PSEUDOTIME}")
        pseudotime = pseudotime[judged]
    raw = result.raw_score[judged]
    figures: dict[str, Any] = {
        "raw": compare(raw, result.probabilities[judged].argmax(axis=1), potency, pseudotime),
        "smoothed": compare(
            result.score[judged], result.potency_index[judged], potency, pseudotime
        ),
        "warnings": result.info["warnings"],
    }
    if samples:
        figures["downsampled"] = {}
    for share, counts in samples.items():
        left = np.flatnonzero(np.diff(counts.indptr))
        kept = counts[left]
        score = ensemble.predict(
            preprocess.log2_cpm(kept), preprocess.rank_expressed(kept), threads=threads
        ).score
        figures["downsampled"][f"{share:g}"] = {
            "spearman": correlation(spearmanr, score, raw[left]),
            "cells": len(left),
        }
    return figures


def numbers(texts: Sequence[str], what: str) -> NDArray[np.float64]:
    """Numbers of a column; NaN where it is empty."""
    try:
        return np.array([float(text) if text else np.nan for text in texts])
    except ValueError as error:
        raise InputError(f"{what} holds something that is not a number: {error}.") from error


def compare(
    score: NDArray[np.float64],
    category: NDArray[np.integer],
    potency: NDArray[np.int64],
    pseudotime: NDArray[np.float64] | None,
) -> dict[str, Any]:
    """Figures of one score.

    Parameters
    ----------
    score, category
        Of each judged cell: its score in [0, 1] and the index of its predicted potency.
    potency
        Index of the published potency.
    pseudotime
        Larger is later; NaN where a cell has none. None where the dataset has none.

    Returns
    -------
    dict
        Figures by name, None where not defined. Row i of `confusion` counts the predictions, from
        Differentiated to Totipotent, of cells whose published potency is i.
    """
    off = np.abs(category.astype(int) - potency)
    confusion = np.zeros((len(POTENCIES), len(POTENCIES)), int)
    np.add.at(confusion, (potency, category), 1)
    figures: dict[str, Any] = {
        "spearman": correlation(spearmanr, score, potency),
        "kendall": correlation(kendalltau, score, potency),
        "mean_absolute_error": float(np.abs(score - potency / (len(POTENCIES) - 1)).mean()),
        "exact": float((off == 0).mean()),
        "within_one": float((off <= 1).mean()),
        "median": {p: float(np.median(score[potency == k])) for k, p in present(potency)},
        "confusion": confusion.tolist(),
    }
    if pseudotime is not None:
        known = np.isfinite(pseudotime)
        figures["spearman_pseudotime"] = correlation(spearmanr, score[known], -pseudotime[known])
    return figures


def correlation(
    measure: Callable[..., tuple[float, float]], a: NDArray[Any], b: NDArray[Any]
) -> float | None:
    """Rank correlation; None where either does not vary."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(measure(a, b)[0])


def sample_down(counts: csr_array, share: float, *, whole: bool) -> csr_array:
    """Sample the values of each cell to a share of its depth, always in the same way."""
    random = np.random.default_rng(SEED)
    values = counts.data
    if whole:
        sampled = random.binomial(values.astype(np.int64), share)
    else:
        sampled = random.poisson(values * share)
    result = counts.copy()
    result.data = sampled.astype(np.float64)
    result.eliminate_zeros()
    return result


def common(contenders: Sequence[Contender]) -> list[str]:
    """Datasets that all models have figures of."""
    return [
        name
        for name in contenders[0].figures
        if all(contender.figures[name] is not None for contender in contenders)
    ]


def overall(
    figures: Mapping[str, dict[str, Any] | None], names: Sequence[str], shares: Sequence[float]
) -> dict[str, Any]:
    """Means over datasets, which all have the same weight.

    Parameters
    ----------
    figures
        Figures by dataset.
    names
        Datasets to take.
    shares
        Of the down-sampling.

    Returns
    -------
    dict
        Correlations over the datasets of two potencies or more, other figures over all.
    """
    of_names = [found for name in names if (found := figures[name]) is not None]
    result: dict[str, Any] = {}
    for score in SCORES:
        result[score] = {
            key: mean(found[score][key] for found in of_names) for key in (*ORDER, *LEVEL)
        }
    result["downsampled"] = {
        share: {"spearman": mean(found["downsampled"][share]["spearman"] for found in of_names)}
        for share in (f"{share:g}" for share in shares)
    }
    return result


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are defined, None where there is none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def tables(report: Mapping[str, Any]) -> list[tuple[str, list[list[str]]]]:
    """Give the figures as titled tables with a row for each dataset."""
    every = list(report["datasets"])
    several = [name for name in every if len(report["datasets"][name]["potencies"]) > 1]
    single = [name for name in every if name not in several]
    timed = [name for name in every if report["datasets"][name]["pseudotime"]]
    shares = [f"{share:g}" for share in report["settings"]["downsample"]]
    levels = {
        "MAE": both("mean_absolute_error"),
        "exact": both("exact"),
        "within 1": both("within_one"),
    }
    planned: list[tuple[str, list[str], dict[str, Callable[[Mapping[str, Any]], str]]]] = [
        (
            "Rank correlation of score and potency, raw / smoothed",
            several,
            {"Spearman": both("spearman"), "Kendall": both("kendall")},
        ),
        (
            f"Spearman correlation of score and -{PSEUDOTIME}, raw / smoothed",
            timed,
            {"": both("spearman_pseudotime")},
        ),
        ("Distance of score and k/5, and categories, raw / smoothed", every, levels),
        ("Median score of each potency, raw / smoothed", several, {"": medians}),
        ("Median score of datasets of one potency, raw / smoothed", single, {"": medians}),
        (
            "Spearman correlation of raw scores at a share of the depth and at full depth",
            every if shares else [],
            {share: partial(sampled, share) for share in shares},
        ),
    ]
    return [(title, table(report, names, columns)) for title, names, columns in planned if names]


def table(
    report: Mapping[str, Any],
    names: Sequence[str],
    columns: Mapping[str, Callable[[Mapping[str, Any]], str]],
) -> list[list[str]]:
    """Rows of a table: a head, some datasets, and the means where there are any."""
    models = report["models"]
    heads = [f"{label} {column}".strip() for column in columns for label in models]
    rows = [["dataset", "cells", *heads]]
    for name in names:
        dataset, row = report["datasets"][name], []
        for give in columns.values():
            for model in models.values():
                figures = model["datasets"][name]
                if figures is None:
                    row.append("no blind member")
                else:
                    row.append(give(figures) + ("*" if figures["in_sample"] else ""))
        potencies = ", ".join(f"{n:,} {p[0]}" for p, n in dataset["potencies"].items())
        rows.append([name if dataset["whole_numbers"] else f"{name} ~", potencies, *row])
    means = [give(model["overall"]) for give in columns.values() for model in models.values()]
    n_common = len(set(names) & set(report["common"]))
    if any(means) and n_common > 1:
        rows.append([f"mean of {n_common}", "", *means])
    return rows


def both(key: str) -> Callable[[Mapping[str, Any]], str]:
    """Give the function that shows a figure of the raw and of the smoothed score."""

    def give(figures: Mapping[str, Any]) -> str:
        found = [figures[score][key] for score in SCORES if key in figures[score]]
        return " / ".join(map(number, found))

    return give


def medians(figures: Mapping[str, Any]) -> str:
    """Show the median scores, raw and smoothed."""
    return " / ".join(
        ", ".join(f"{p[0]} {value:.2f}" for p, value in figures[score].get("median", {}).items())
        for score in SCORES
    ).strip(" /")


def sampled(share: str, figures: Mapping[str, Any]) -> str:
    """Show the correlation at a share of the depth."""
    return number(figures["downsampled"][share]["spearman"])


def number(value: float | None) -> str:
    """Show a figure."""
    return "-" if value is None else f"{value:.2f}"


def confusion_table(figures: Mapping[str, Any]) -> list[list[str]]:
    """Rows of the confusion matrices, raw and smoothed, of the potencies that were published."""
    letters = [potency[0] for potency in POTENCIES]
    rows = [["published", *(f"{score} {letter}" for score in SCORES for letter in letters)]]
    for potency in figures["raw"]["median"]:
        k = POTENCIES.index(potency)
        counts = [n for score in SCORES for n in figures[score]["confusion"][k]]
        rows.append([potency, *map(str, counts)])
    return rows


def show(report: Mapping[str, Any], *, markdown: bool) -> str:
    """Give the report for standard output; the confusion matrices are in the text only."""
    parts = [
        f"### {title}\n\n{pipes(rows)}" if markdown else f"{title}\n\n{aligned(rows)}"
        for title, rows in tables(report)
    ]
    if not markdown:
        for label, model in report["models"].items():
            parts += [
                f"Predicted potencies of {name}, {label}\n\n{aligned(confusion_table(figures))}"
                for name, figures in model["datasets"].items()
                if figures is not None
            ]
    notes = ["Letters: " + ", ".join(f"{p[0]} {p}" for p in reversed(POTENCIES)) + "."]
    if any(f and f["in_sample"] for m in report["models"].values() for f in m["datasets"].values()):
        notes.append("* the model was trained on this dataset.")
    if not all(dataset["whole_numbers"] for dataset in report["datasets"].values()):
        notes.append("~ not whole numbers: down-sampled by Poisson instead of binomial samples.")
    return "\n\n".join([*parts, "  \n".join(notes)])


def pipes(rows: Sequence[Sequence[str]]) -> str:
    """Give rows as a Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Give rows as text in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def load_matplotlib() -> Any:
    """Import the figure of matplotlib, which only --plot needs."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CytoTRACE2Error(
            "--plot needs the package matplotlib, which is not installed: pip install matplotlib"
        ) from error
    return Figure


def draw(report: Mapping[str, Any], file_format: str) -> bytes:
    """Draw Spearman correlation and mean absolute error of every dataset, models side by side.

    Parameters
    ----------
    report
        As `evaluate` returns it.
    file_format
        "png", "svg", "pdf" or what else matplotlib writes.

    Returns
    -------
    bytes
        The content of the file.
    """
    models, every = report["models"], list(report["datasets"])
    several = [name for name in every if len(report["datasets"][name]["potencies"]) > 1]
    figure = load_matplotlib()(figsize=(11, 2 + 0.4 * len(every)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    for axes, key, names, title in (
        (left, "spearman", several, "Spearman correlation with the published potency"),
        (right, "mean_absolute_error", every, "mean absolute error of the score against k/5"),
    ):
        for i, (colour, model) in enumerate(zip(COLOURS, models.values(), strict=False)):
            for row, name in enumerate(names):
                figures = model["datasets"][name]
                values = [figures[score][key] for score in SCORES] if figures else []
                y = row + 0.5 * ((i + 0.5) / len(models) - 0.5)
                if not values or None in values:
                    continue
                axes.plot(values, [y, y], color=colour, lw=1.5, zorder=2)
                axes.plot(values[0], y, "o", color=colour, ms=5, zorder=3)
                axes.plot(values[1], y, "o", color=colour, mfc="none", ms=9, mew=1.5, zorder=3)
                if figures["in_sample"]:
                    axes.annotate(
                        "*", (max(values), y), (6, -5), textcoords="offset points", color=colour
                    )
        for row in range(len(names)):
            axes.axhspan(row - 0.5, row + 0.5, color="0.95" if row % 2 else "white", zorder=0)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
        axes.grid(axis="x", color="0.85", zorder=1)
        axes.set_xlabel(title)
        axes.tick_params(axis="y", length=0)
        axes.axvline(0, color="0.4", lw=1, zorder=1)
        axes.set_xlim(right=1.03 if axes is left else None)
    keys = [
        *((label, colour, colour, 7) for colour, label in zip(COLOURS, models, strict=False)),
        ("raw", "0.3", "0.3", 5),
        ("smoothed", "0.3", "none", 9),
    ]
    for label, edge, face, size in keys:
        left.plot([], [], "o", color=edge, mfc=face, mew=1.5, ms=size, label=label)
    starred = any(
        f and f["in_sample"] for model in models.values() for f in model["datasets"].values()
    )
    figure.legend(
        loc="outside upper center",
        ncols=len(keys),
        frameon=False,
        title="* the model was trained on this dataset" if starred else None,
    )
    content = io.BytesIO()
    figure.savefig(content, format=file_format, dpi=150)
    return content.getvalue()


if __name__ == "__main__":
    sys.exit(main())
