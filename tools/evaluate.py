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

--downsample SHARE ... samples the expression of all cells down to those shares, scores the samples,
too, and gives the Spearman correlation of scores with those at full depth: binomial samples of
whole numbers; of other values Poisson samples of value times share, which are noisier (marked ~).
Cells left without any count are not compared.

--intervals adds the means over the datasets of two potencies or more that no model is marked to
have been trained on, with 95 % intervals from 1,000 resamples of the datasets and, within each
potency, of their cells; and the differences from the first model, which sees the same resamples.

--auc DATASET HIGH LOW gives the chance that a cell whose label matches the regular expression HIGH
scores above one whose label matches LOW. The spread is the standard deviation of the raw score
over the members: its mean, its Spearman correlation with |raw score - k/5|, and the mean of that
distance in the thirds of the cells with the smallest and the largest spread.

--in-sample marks datasets that a model was trained on with a *: NAME for all models, MODEL=NAME for
one. A progress line per dataset and model goes to standard error, the report to standard output.
Results are the same in every run. --members needs the `export` extra, --plot needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import re
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
from evaluation_figures import PSEUDOTIME, SEED, judge, overall, present, sample_down
from evaluation_intervals import area_under_curve, intervals
from evaluation_report import COLOURS, draw, load_matplotlib, show

from cytotrace2_lite._version import __version__
from cytotrace2_lite.errors import CytoTRACE2Error, InputError, ModelError, UsageError
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.pipeline import prepare
from cytotrace2_lite.read import read_expression
from cytotrace2_lite.system.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from datasets import PublishedCells
    from evaluation_intervals import JudgedCells
    from scipy.sparse import csc_array

    from cytotrace2_lite.models.fold.folded import FoldedEnsemble
    from cytotrace2_lite.pipeline import ModelInput


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
    cells
        The judged cells by dataset.
    """

    label: str
    choose: Callable[[str], tuple[Ensemble | None, list[str]]]
    about: dict[str, Any]
    figures: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    cells: dict[str, JudgedCells] = field(default_factory=dict)


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
        from cytotrace2_lite.models.fold.members import (
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
        from cytotrace2_lite.models.fold.export import fold_members
        from cytotrace2_lite.models.fold.folded import FoldedEnsemble
        from cytotrace2_lite.models.fold.graph import to_onnx

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
    parser.add_argument(
        "--intervals", action="store_true", help="intervals of the means, from resampled data"
    )
    parser.add_argument(
        "--auc",
        nargs=3,
        action="append",
        default=[],
        metavar=("DATASET", "HIGH", "LOW"),
        help="area under the curve: do cells of labels like HIGH score above those like LOW?",
    )
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
    try:
        for _, *patterns in args.auc:
            list(map(re.compile, patterns))
    except re.error as error:
        raise UsageError(f"--auc {error.pattern!r} is no regular expression: {error}.") from error
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
    datasets: dict[str, dict[str, Any]] = {}
    for folder in folders:
        published = read_cells(folder)
        data = model_input(folder, published, published.values)
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
            share: model_input(folder, published, sample_down(published.values, share, whole=whole))
            for share in args.downsample
        }
        for contender in contenders:
            started = time.monotonic()
            ensemble, members = contender.choose(folder.name)
            outcome = "no member is blind to it"
            figures = None
            if ensemble is not None:
                figures, cells = judge(published, data, judged, ensemble, samples)
                contender.cells[folder.name] = cells
                figures["areas"] = areas(cells, folder.name, args.auc)
                figures["members"] = members
                figures["in_sample"] = (contender.label, folder.name) in marks
                outcome = f"{len(data.cells):,} cells, {time.monotonic() - started:.0f} s"
            contender.figures[folder.name] = figures
            print(f"{folder.name}, {contender.label}: {outcome}", file=sys.stderr, flush=True)
    if not datasets:
        raise InputError(f"{args.data_dir}: no cell has a potency and {MIN_GENES} expressed genes.")
    names = common(contenders)
    marked = {name for _, name in marks}
    unseen = [n for n in names if n not in marked and len(datasets[n]["potencies"]) > 1]
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
        "unseen": intervals({c.label: c.cells for c in contenders}, unseen)
        if args.intervals and unseen
        else None,
    }


def model_input(folder: Path, published: PublishedCells, values: csc_array) -> ModelInput:
    """Give a dataset, or a sample of it, as the model sees it."""
    try:
        expression, _ = read_expression(values, genes=published.genes)
        return prepare(expression, published.species)
    except InputError as error:
        raise type(error)(f"{folder}: {error}") from error


def areas(cells: JudgedCells, name: str, asked: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Areas under the curve that --auc asks for of a dataset."""
    found = []
    for dataset, high, low in asked:
        if dataset != name:
            continue
        above, below = (
            np.array([re.search(words, label) is not None for label in cells.label])
            for words in (high, low)
        )
        for words, chosen in ((high, above), (low, below)):
            if not chosen.any():
                raise UsageError(f"--auc {name}: no judged cell has a label like {words!r}.")
        found.append(
            {
                "above": high,
                "below": low,
                "raw": area_under_curve(cells.raw, above, below),
                "smoothed": area_under_curve(cells.smoothed, above, below),
            }
        )
    return found


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


def common(contenders: Sequence[Contender]) -> list[str]:
    """Datasets that all models have figures of."""
    return [
        name
        for name in contenders[0].figures
        if all(contender.figures[name] is not None for contender in contenders)
    ]


if __name__ == "__main__":
    sys.exit(main())
