"""The whole computation: batches, stages, order, seed.

`score_cells` splits a run into batches, maps `cytotrace2_lite.batch.score_batch` over them and puts
what comes back into the order of the cells.

Source: Kang et al., Nature Methods 2025, doi 10.1038/s41592-025-02857-2; cytotrace2_py 1.1.0.4
`cytotrace2`, `process_subset` (behaviour).
"""

from __future__ import annotations

import builtins
import math
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from cytotrace2_lite import genes
from cytotrace2_lite.base.parameters import MIN_CELLS_FOR_BATCHES, MIN_CELLS_FOR_NEIGHBORS
from cytotrace2_lite.base.potency import N_POTENCIES, potency_of
from cytotrace2_lite.base.progress import Progress
from cytotrace2_lite.batch import BatchScores, Clock, score_batch
from cytotrace2_lite.checks import dataset
from cytotrace2_lite.checks.resources import check_resources
from cytotrace2_lite.checks.spread import unlike_training
from cytotrace2_lite.errors import InputError, NoUsableGenesError
from cytotrace2_lite.output.report import batch_quality, run_report
from cytotrace2_lite.output.scores import Scores
from cytotrace2_lite.system.machine import release_memory
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.base.finding import Finding
    from cytotrace2_lite.base.parameters import Parameters
    from cytotrace2_lite.counts import Counts
    from cytotrace2_lite.counts.expression import Expression
    from cytotrace2_lite.metadata.samples import Samples
    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.output.keys import BatchQuality
    from cytotrace2_lite.output.report import InputRecord

__all__ = [
    "LARGEST_TOTAL",
    "ModelInput",
    "batches",
    "check",
    "prepare",
    "score_cells",
    "split_cells",
]

#: Of the values of a cell: times a million it must still be a number.
LARGEST_TOTAL = 1e300
_STAGES_OF_NEIGHBORS = ("components", "neighbors")


class Map(Protocol):
    """Apply a function to each of some items, and give the answers in the order of the items."""

    def __call__(
        self, function: Callable[[_BatchCounts], BatchScores], items: Iterable[_BatchCounts], /
    ) -> Iterable[BatchScores]: ...


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
    n_batches = math.ceil(n_cells / batch_size) if n_cells >= MIN_CELLS_FOR_BATCHES else 1
    order = np.arange(n_cells)
    if n_batches > 1:
        np.random.RandomState(seed).shuffle(order)
    return np.array_split(order, n_batches)


@dataclass(frozen=True, eq=False)
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
        What there is to say about the gene names, and about values that were added up.
    max_value
        Largest value over all genes of the input.
    seconds
        Time it took.
    names
        What the input calls each feature of the model, "" where it has none; length 14271.
    """

    counts: Counts
    cells: list[str]
    genes: genes.MappingReport
    findings: list[Finding]
    max_value: float
    seconds: float
    names: Sequence[str] = ()


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
        A gene is named twice, or the values of a cell are too large to add up.
    """
    started = time.perf_counter()
    mapping = genes.map_genes(expression.genes, species, orthologs)
    counts = expression.counts_of_features(
        mapping.feature, genes.N_FEATURES, threads=threads, release=True
    )
    if not counts.nnz:
        raise NoUsableGenesError(
            f"none of the {mapping.report.n_mapped} genes known to the model has a count in any "
            f"of the {len(expression.cells)} cells. Check that the table holds the expression "
            "values and that the species is right."
        )
    release_memory()
    _refuse_overflow(counts, mapping.feature, expression)
    names = [""] * genes.N_FEATURES
    for name, feature in zip(expression.genes, mapping.feature.tolist(), strict=True):
        if feature >= 0:
            names[feature] = name
    return ModelInput(
        counts,
        expression.cells,
        mapping.report,
        [*dataset.check_genes(expression.genes, mapping), *dataset.check_repeated(counts)],
        expression.max_value,
        time.perf_counter() - started,
        names,
    )


class _Batch(NamedTuple):
    """Cells with counts that are processed together, and their sample ("" without samples)."""

    sample: str
    cells: NDArray[np.intp]


def _split(data: ModelInput, parameters: Parameters, samples: Samples | None) -> list[_Batch]:
    """Split a run into batches, sample by sample as if each were alone."""
    has_counts = data.counts.genes_per_cell > 0
    split = [
        _Batch(sample, cells[has_counts[cells]])
        for sample, cells in split_cells(len(data.cells), parameters, samples)
    ]
    return [batch for batch in split if len(batch.cells)]


def split_cells(
    n_cells: int, parameters: Parameters, samples: Samples | None
) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Split all cells of a run into batches, those without counts included.

    Parameters
    ----------
    n_cells
        Number of cells.
    parameters, samples
        As for `score_cells`.

    Yields
    ------
    tuple
        Sample ("" without samples), and the indices of the cells of a batch of it.
    """
    parts = (
        {"": np.arange(n_cells)}
        if samples is None
        else {name: np.flatnonzero(samples.of_cell == i) for i, name in enumerate(samples.names)}
    )
    for sample, part in parts.items():
        for batch in batches(len(part), parameters.batch_size, parameters.seed):
            yield sample, part[batch]


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
        *dataset.check_values(data.counts, data.cells, hint),
        *dataset.check_cells(data.counts, data.cells, samples),
        *dataset.check_samples(samples, [(batch.sample, len(batch.cells)) for batch in split]),
        *check_resources(
            data.counts,
            [batch.cells for batch in split],
            parameters.max_cores,
            parameters.batch_size,
            parameters.max_memory,
        ),
    ]


class _BatchCounts(NamedTuple):
    """The counts of the cells of a batch, and whether they may be dropped once they are used."""

    counts: Counts
    release: bool


def score_cells(
    data: ModelInput,
    ensemble: Ensemble,
    parameters: Parameters,
    progress: Callable[[Progress], None] | None = None,
    *,
    samples: Samples | None = None,
    findings: Sequence[Finding] = (),
    record: InputRecord | None = None,
    release: bool = False,
    map: Map | None = None,  # noqa: A002 (it has the meaning of the builtin)
) -> Scores:
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
        What was found out about the dataset, to go with the scores.
    record
        Where the dataset came from, to be reported.
    release
        Whether the values of `data` are not needed afterwards: they are dropped with the last
        batch's, before the stage that takes the most memory.
    map
        How `score_batch` is applied to the batches: one after the other by default, in threads of
        this process. Another executor gets a function and batches that can be pickled, and
        progress is then told batch by batch.

    Returns
    -------
    Scores
        In the order of the cells of `data`.

    Raises
    ------
    CytoTRACE2Error
        A principal component analysis did not converge.
    """
    n_cells = len(data.cells)
    split = _split(data, parameters, samples)
    tally = _Tally(progress, [len(batch.cells) for batch in split])
    tally.seconds["preprocess"] = data.seconds

    def taken() -> Iterator[_BatchCounts]:
        for n_taken, batch in enumerate(split, 1):
            with tally.timed("preprocess"):
                counts = data.counts.take(batch.cells)
                is_copy = counts is not data.counts
                if n_taken < len(split):
                    data.counts.read_ahead(split[n_taken].cells)
                elif release and is_copy:
                    data.counts.release()
                tally("preprocess", len(batch.cells))
            yield _BatchCounts(counts, release=release or is_copy)

    elsewhere = map is not None
    score_one = partial(_score, ensemble, parameters, None if elsewhere else tally)
    answers = map(score_one, taken()) if map is not None else builtins.map(score_one, taken())
    arrays = _missing(n_cells)
    quality: list[BatchQuality] = []
    cells_of_sample: defaultdict[str, list[NDArray[np.intp]]] = defaultdict(list)
    components = None
    for batch, found in zip(split, answers, strict=True):
        for name in ("raw_score", "probabilities", "preknn_potency_index", "preknn_score", "score"):
            arrays[name][batch.cells] = getattr(found, name)
        if found.score_sd is not None:
            arrays["score_sd"][batch.cells] = found.score_sd
        quality.append(batch_quality(batch.sample, found.genes_per_cell))
        cells_of_sample[batch.sample].append(batch.cells)
        if len(split) == 1 and found.components is not None:
            components = np.full((n_cells, found.components.shape[1]), np.nan)
            components[batch.cells] = found.components
        for stage, spent in found.seconds.items():
            tally.seconds[stage] += spent
            if elsewhere:
                tally(stage, len(batch.cells))
    for parts in cells_of_sample.values():
        cells = np.concatenate(parts)
        score = arrays["score"][cells]
        arrays["relative"][cells] = (score - score.min()) / (np.ptp(score) or 1.0)
    has_counts = (n_genes := data.counts.genes_per_cell) > 0
    arrays["potency_index"][has_counts] = potency_of(arrays["score"][has_counts])
    findings = [*findings, *unlike_training(ensemble.info, arrays["score_sd"])]
    return Scores(
        cells=data.cells,
        **arrays,
        n_genes=n_genes,
        components=components,
        warnings=[finding.warning for finding in findings if finding.severity == "warning"],
        info=dict(
            run_report(
                model=ensemble.info,
                parameters=parameters,
                n_cells=n_cells,
                max_value=data.max_value,
                genes=data.genes,
                samples=samples,
                cells_without_counts=[data.cells[i] for i in np.flatnonzero(~has_counts)],
                batches=quality,
                potency_index=arrays["potency_index"],
                findings=findings,
                seconds=tally.seconds,
                record=record,
            )
        ),
    )


def _score(
    ensemble: Ensemble,
    parameters: Parameters,
    progress: Callable[[str, int], None] | None,
    batch: _BatchCounts,
) -> BatchScores:
    return score_batch(batch.counts, ensemble, parameters, progress=progress, release=batch.release)


def _missing(n_cells: int) -> dict[str, Any]:
    """Make the arrays of `Scores` for cells that have no score yet."""
    numbers = ("score", "relative", "preknn_score", "raw_score", "score_sd")
    labels = ("potency_index", "preknn_potency_index")
    return (
        {name: np.full(n_cells, np.nan) for name in numbers}
        | {name: np.full(n_cells, -1, dtype=np.int8) for name in labels}
        | {"probabilities": np.full((n_cells, N_POTENCIES), np.nan)}
    )


class _Tally(Clock):
    """Time and progress of a run: cells done in each stage, over all batches."""

    def __init__(
        self, progress: Callable[[Progress], None] | None, batch_sizes: Sequence[int]
    ) -> None:
        super().__init__(self)
        self._report = progress
        self._lock = threading.Lock()
        self._done: defaultdict[str, int] = defaultdict(int)
        self._n_cells = sum(batch_sizes)
        self._n_smoothed = sum(n for n in batch_sizes if n >= MIN_CELLS_FOR_NEIGHBORS)

    def __call__(self, stage: str, n_cells: int) -> None:
        """Take note of cells done, from any thread."""
        if self._report is not None:
            with self._lock:
                self._done[stage] += n_cells
                total = self._n_smoothed if stage in _STAGES_OF_NEIGHBORS else self._n_cells
                self._report(Progress(stage, self._done[stage], total))


def _refuse_overflow(counts: Counts, feature: NDArray[np.int32], expression: Expression) -> None:
    cells = np.flatnonzero(~(counts.total < LARGEST_TOTAL))
    if len(cells):
        row = counts[cells[:1]]
        largest = row.indices[row.data.argmax()]
        gene = expression.genes[int(np.flatnonzero(feature == largest)[0])]
        raise InputError(
            f"cell {shown(expression.cells[cells[0]])}: its values add up to "
            f"{counts.total[cells[0]]:g} (the largest, {row.data.max():g}, is of gene "
            f"{shown(gene)}). These are no counts, CPM or TPM."
        )
