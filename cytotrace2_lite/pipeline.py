"""The whole computation: batches, stages, order, seed.

Source: Kang et al., Nature Methods 2025, doi 10.1038/s41592-025-02857-2; cytotrace2_py 1.1.0.4
`cytotrace2`, `process_subset` (behaviour).
"""

from __future__ import annotations

import math
import operator
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cytotrace2_lite import __version__, binning, checks, diffusion, genes, knn, pca, preprocess
from cytotrace2_lite.ensemble import POTENCIES, Prediction
from cytotrace2_lite.errors import InputError, NoUsableGenesError, UsageError, shown
from cytotrace2_lite.machine import release_memory
from cytotrace2_lite.results import Result
from cytotrace2_lite.threads import in_order, one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.checks import Finding
    from cytotrace2_lite.ensemble import Ensemble
    from cytotrace2_lite.expression import Expression
    from cytotrace2_lite.samples import Samples
    from cytotrace2_lite.store import Counts

__all__ = [
    "PRESETS",
    "ModelInput",
    "Parameters",
    "Progress",
    "batches",
    "check",
    "prepare",
    "score_cells",
]

#: Settings by name: "paper" are those of Kang et al. (batches of 100,000 cells, 10,000 of them
#: smoothed together), which need more memory and time than the defaults.
PRESETS = {"paper": {"batch_size": 100_000, "smooth_batch_size": 10_000, "seed": 14}}
_MIN_CELLS_FOR_BATCHES = 1000
_LARGEST_TOTAL = 1e300  # times a million it must still be a number
_CELLS_PER_STEP = 256
_STAGES_OF_NEIGHBORS = ("components", "neighbors")


class Progress(NamedTuple):
    """How far a run is.

    Attributes
    ----------
    stage
        `"read"`, `"preprocess"`, `"predict"`, `"diffuse"`, `"components"`, `"neighbors"`;
        `"write"` where files are written: twice, before, and when all that is left is to put
        them in place; `"embed"`, `"draw"` where plots are.
    done, total
        Bytes or values while reading (0 in all where that is not known), plots while drawing;
        otherwise cells of the whole run that have counts and take part in the stage.
    unit
        What `done` and `total` count: `"bytes"`, `"values"`, `"rows"`, `"plots"` or `"cells"`.
    """

    stage: str
    done: int
    total: int
    unit: str = "cells"


@dataclass(frozen=True)
class Parameters:
    """What a run can be told; the defaults are those of upstream's command line.

    Attributes
    ----------
    species
        `"mouse"` or `"human"`, or `"other"` with a table of orthologs.
    batch_size
        Largest number of cells processed together, at least 1.
    smooth_batch_size
        Largest number of cells smoothed by diffusion together, at least 1.
    seed
        Seed of the shuffles into batches and groups, 0 to 2**32 - 1.
    max_cores
        Number of threads, at least 1. Results do not depend on it.
    max_memory
        Bytes the process may take, at least 1; None for what the machine leaves it. Results do not
        depend on it.

    Raises
    ------
    UsageError
        A value is out of range.
    """

    species: str = "mouse"
    batch_size: int = 10_000
    smooth_batch_size: int = 1000
    seed: int = 14
    max_cores: int = 1
    max_memory: int | None = None

    def __post_init__(self) -> None:
        if self.species not in {*genes.SPECIES, genes.OTHER_SPECIES}:
            raise UsageError(f"species is {self.species!r}; it must be 'mouse' or 'human'.")
        for name in ("batch_size", "smooth_batch_size", "seed", "max_cores", "max_memory"):
            value = getattr(self, name)
            if value is None and name == "max_memory":
                continue
            try:
                object.__setattr__(self, name, operator.index(value))  # NumPy's integers, too
            except TypeError as error:
                raise UsageError(f"{name} is {value!r}; it must be a whole number.") from error
            if name != "seed" and value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed is {self.seed}; it must be from 0 to {2**32 - 1}.")


def batches(n_cells: int, batch_size: int, seed: int) -> list[NDArray[np.intp]]:
    """Split the cells of a run at random into batches that are processed by themselves.

    Parameters
    ----------
    n_cells
        Number of cells, those without counts included.
    batch_size
        Largest number of cells in a batch; fewer than 1,000 cells are never split.
    seed
        Seed of the shuffle.

    Returns
    -------
    list of ndarray
        Cell indices of each batch.
    """
    n_batches = math.ceil(n_cells / batch_size) if n_cells >= _MIN_CELLS_FOR_BATCHES else 1
    order = np.arange(n_cells)
    if n_batches > 1:
        np.random.RandomState(seed).shuffle(order)
    return np.array_split(order, n_batches)


@dataclass(frozen=True)
class ModelInput:
    """A dataset as the model sees it.

    Attributes
    ----------
    counts
        Expression over the model's features, shape (n_cells, 14271).
    cells
        Names of the cells.
    genes
        What became of the gene names.
    findings
        What there is to say about the gene names.
    max_value
        Largest value over all genes of the input.
    seconds
        Time it took.
    """

    counts: Counts
    cells: list[str]
    genes: genes.MappingReport
    findings: list[Finding]
    max_value: float
    seconds: float


def prepare(
    expression: Expression,
    species: str,
    orthologs: Mapping[str, str] | None = None,
    *,
    threads: int = 1,
) -> ModelInput:
    """Map the genes of a dataset to the model's, and sort its values by cell.

    Parameters
    ----------
    expression
        Counts or CPM/TPM; its values are gone afterwards.
    species
        "mouse" or "human"; of no matter with orthologs.
    orthologs
        Mouse symbols of the genes of another species.
    threads
        How many threads share the work. The result does not depend on it.

    Returns
    -------
    ModelInput
        What `score_cells` needs.

    Raises
    ------
    NoUsableGenesError
        No gene is known to the model, or none of those has a count in any cell.
    InputError
        A gene is named twice, or has two values in a cell, or the values of a cell are too large
        to add up.
    """
    started = time.perf_counter()
    mapping = genes.map_genes(expression.genes, species, orthologs)
    counts = expression.over(mapping.feature, genes.N_FEATURES, threads=threads, release=True)
    if not counts.nnz:
        raise NoUsableGenesError(
            f"none of the {mapping.report.n_mapped} genes known to the model has a count in any "
            f"of the {len(expression.cells)} cells. Check that the table holds the expression "
            "values and that the species is right."
        )
    release_memory()
    _refuse_overflow(counts, mapping.feature, expression)
    return ModelInput(
        counts,
        expression.cells,
        mapping.report,
        checks.check_genes(expression.genes, mapping),
        expression.max_value,
        time.perf_counter() - started,
    )


class _Batch(NamedTuple):
    """Cells with counts that are processed together, and their sample ("" without samples)."""

    sample: str
    cells: NDArray[np.intp]


def _split(data: ModelInput, parameters: Parameters, samples: Samples | None) -> list[_Batch]:
    """Split a run into batches, sample by sample as if each were alone."""
    has_counts = data.counts.n_genes > 0
    split = []
    parts = (
        {"": np.arange(len(data.cells))}
        if samples is None
        else {name: np.flatnonzero(samples.of_cell == i) for i, name in enumerate(samples.names)}
    )
    for sample, part in parts.items():
        for batch in batches(len(part), parameters.batch_size, parameters.seed):
            cells = part[batch]
            split.append(_Batch(sample, cells[has_counts[cells]]))
    return [batch for batch in split if len(batch.cells)]


def check(
    data: ModelInput, parameters: Parameters, samples: Samples | None = None, hint: str = ""
) -> list[Finding]:
    """Look at a dataset before it is scored.

    Parameters
    ----------
    data
        The dataset, from `prepare` with the species of `parameters`.
    parameters, samples
        As for `score_cells`.
    hint
        Which other matrices the input has, for a remedy.

    Returns
    -------
    list of Finding
        Notes and warnings; other errors were raised by `prepare`.

    Raises
    ------
    UsageError
        The run would take more memory than it may.
    """
    split = _split(data, parameters, samples)
    return [
        *data.findings,
        *checks.check_values(data.counts, data.max_value, hint),
        *checks.check_cells(data.counts, data.cells, samples),
        *checks.check_samples(samples, [(batch.sample, len(batch.cells)) for batch in split]),
        *checks.check_resources(
            data.counts,
            [batch.cells for batch in split],
            parameters.max_cores,
            parameters.batch_size,
            parameters.max_memory,
        ),
    ]


@one_blas_thread()
def score_cells(
    data: ModelInput,
    ensemble: Ensemble,
    parameters: Parameters,
    progress: Callable[[Progress], None] | None = None,
    *,
    samples: Samples | None = None,
    findings: Sequence[Finding] = (),
    release: bool = False,
) -> Result:
    """Compute the scores of all cells.

    Parameters
    ----------
    data
        The dataset, from `prepare` with the species of `parameters`.
    ensemble
        The model.
    parameters
        Species, batch sizes, seed, threads.
    progress
        Called as the stages go on, from one thread at a time.
    samples
        Score the cells of each sample as if they were alone.
    findings
        What was found out about the dataset, to go with the result.
    release
        Whether the values of `data` are not needed afterwards: they are dropped with the last
        batch's, before the stage that takes the most memory.

    Returns
    -------
    Result
        In the order of the cells of `data`.

    Raises
    ------
    CytoTRACE2Error
        A principal component analysis did not converge.
    """
    n_cells = len(data.cells)
    split = _split(data, parameters, samples)
    run = _Run(ensemble, parameters, [len(batch.cells) for batch in split], progress)
    run.seconds["preprocess"] = data.seconds

    scores = _Scores.empty(n_cells)
    for batch in split:
        run.score_batch(data.counts, batch, scores, release=release and batch is split[-1])

    relative = np.full(n_cells, np.nan)
    cells_of_sample: defaultdict[str, list[NDArray[np.intp]]] = defaultdict(list)
    for batch in split:
        cells_of_sample[batch.sample].append(batch.cells)
    for parts in cells_of_sample.values():
        cells = np.concatenate(parts)
        span = np.ptp(scores.score[cells])
        relative[cells] = (scores.score[cells] - scores.score[cells].min()) / (span or 1.0)
    n_genes = data.counts.n_genes
    has_counts = n_genes > 0
    potency = np.full(n_cells, -1, dtype=np.int8)
    potency[has_counts] = binning.potency_of(scores.score[has_counts])
    warnings = [finding.warning for finding in findings if finding.severity == "warning"]
    return Result(
        cells=data.cells,
        score=scores.score,
        relative=relative,
        preknn_score=scores.preknn,
        raw_score=scores.raw,
        probabilities=scores.probabilities,
        potency_index=potency,
        preknn_potency_index=scores.potency,
        n_genes=n_genes,
        warnings=warnings,
        info={
            "cytotrace2_lite": __version__,
            "model": asdict(ensemble.info),
            "pipeline": "1.1.0",
            "parameters": asdict(parameters),
            "input": {
                "n_cells": n_cells,
                "n_genes": data.genes.n_genes,
                "max_value": data.max_value,
            },
            "genes": asdict(data.genes)
            | {"superseded": [entry._asdict() for entry in data.genes.superseded]},
            **(
                {}
                if samples is None
                else {"samples": {"key": samples.key, "n_cells": samples.sizes}}
            ),
            "quality": {
                "cells_without_counts": [data.cells[i] for i in np.flatnonzero(~has_counts)],
                "batches": run.quality,
            },
            "potencies": {label: int((potency == k).sum()) for k, label in enumerate(POTENCIES)},
            "findings": [asdict(finding) for finding in findings],
            "warnings": [f"{type(w).__name__}: {w}" for w in warnings],
            "seconds": {stage: round(spent, 3) for stage, spent in run.seconds.items()},
        },
    )


@dataclass(frozen=True)
class _Scores:
    """What the batches fill in; missing values where a cell has no counts."""

    raw: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    potency: NDArray[np.int8]
    preknn: NDArray[np.float64]
    score: NDArray[np.float64]

    @classmethod
    def empty(cls, n_cells: int) -> _Scores:
        def missing(*shape: int) -> NDArray[np.float64]:
            return np.full(shape, np.nan)

        return cls(
            missing(n_cells),
            missing(n_cells, len(POTENCIES)),
            np.full(n_cells, -1, dtype=np.int8),
            missing(n_cells),
            missing(n_cells),
        )


@dataclass
class _Run:
    """State of a run that is not data: time, progress, warnings, quality."""

    ensemble: Ensemble
    parameters: Parameters
    batch_sizes: list[int]
    progress: Callable[[Progress], None] | None
    quality: list[dict[str, Any]] = field(default_factory=list)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def __post_init__(self) -> None:
        self._done: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        self._n_cells = sum(self.batch_sizes)
        self._n_smoothed = sum(n for n in self.batch_sizes if n >= checks.MIN_CELLS_FOR_NEIGHBORS)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        self.advance(stage, 0)
        try:
            yield
            release_memory()
        finally:
            self.seconds[stage] += time.perf_counter() - start

    def advance(self, stage: str, n_cells: int) -> None:
        if self.progress is not None:
            with self._lock:
                self._done[stage] += n_cells
                total = self._n_smoothed if stage in _STAGES_OF_NEIGHBORS else self._n_cells
                self.progress(Progress(stage, self._done[stage], total))

    def score_batch(self, counts: Counts, batch: _Batch, scores: _Scores, *, release: bool) -> None:
        """Run all stages on some cells that have counts, and fill in their scores."""
        cells = batch.cells
        threads, n_cells = self.parameters.max_cores, len(cells)
        smooth_over_neighbors = n_cells >= checks.MIN_CELLS_FOR_NEIGHBORS
        with self.timed("preprocess"):
            of_batch = counts.take(cells)
            genes_per_cell = of_batch.n_genes
            self.quality.append(
                ({"sample": batch.sample} if batch.sample else {})
                | {
                    "n_cells": n_cells,
                    "median_genes_per_cell": float(np.median(genes_per_cell)),
                    "share_of_cells_under_500_genes": float(
                        (genes_per_cell < checks.MIN_GENES_PER_CELL).mean()
                    ),
                    "smoothed_over_neighbors": smooth_over_neighbors,
                }
            )
            self.advance("preprocess", n_cells)
        with self.timed("predict"):
            prediction = self._predict(of_batch)
        with self.timed("diffuse"):
            diffused = diffusion.diffuse(
                of_batch,
                prediction.score,
                group_size=self.parameters.smooth_batch_size,
                seed=self.parameters.seed,
                threads=threads,
                progress=lambda n: self.advance("diffuse", n),
            )
            score = preknn = binning.spread(diffused, prediction.potency)
        if smooth_over_neighbors:
            with self.timed("components"):
                standardised = pca.standardise(of_batch, threads=threads)
                del of_batch
                if release:
                    counts.release()
                release_memory()  # the most memory is taken from here on
                coordinates = pca.principal_components(
                    standardised, knn.N_COMPONENTS, threads=threads
                )
                del standardised
                self.advance("components", n_cells)
            with self.timed("neighbors"):
                neighbors, distances = knn.nearest_neighbors(
                    coordinates, threads=threads, progress=lambda n: self.advance("neighbors", n)
                )
                score = knn.smooth_over_neighbors(preknn, neighbors, distances, binning.potency_of)
        scores.raw[cells] = prediction.score
        scores.probabilities[cells] = prediction.probabilities
        scores.potency[cells] = prediction.potency
        scores.preknn[cells] = preknn
        scores.score[cells] = score

    def _predict(self, counts: Counts) -> Prediction:
        """Predict some cells at a time: log2 CPM and ranks of all would be the largest arrays."""

        def predict(start: int) -> Prediction:
            some = counts[start : start + _CELLS_PER_STEP]
            prediction = self.ensemble.predict(
                preprocess.log2_cpm(some), preprocess.rank_expressed(some)
            )
            self.advance("predict", some.shape[0])
            return prediction

        steps = range(0, counts.shape[0], _CELLS_PER_STEP)
        parts = list(in_order(predict, steps, self.parameters.max_cores))
        return Prediction(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("probabilities", "score", "potency")
            )
        )


def _refuse_overflow(counts: Counts, feature: NDArray[np.int32], expression: Expression) -> None:
    cells = np.flatnonzero(~(counts.total < _LARGEST_TOTAL))
    if len(cells):
        row = counts[cells[:1]]
        largest = row.indices[row.data.argmax()]
        gene = expression.genes[int(np.flatnonzero(feature == largest)[0])]
        raise InputError(
            f"cell {shown(expression.cells[cells[0]])}: its values add up to "
            f"{counts.total[cells[0]]:g} (the largest, {row.data.max():g}, is of gene "
            f"{shown(gene)}). These are no counts, CPM or TPM."
        )
