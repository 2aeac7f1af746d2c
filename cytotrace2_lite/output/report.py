"""The record of a run: what `run.json` and `Result.info` hold, built here and nowhere else.

The keys and their order are part of the interface; docs/formats.md explains each.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypedDict, cast

import numpy as np

from cytotrace2_lite._version import __version__
from cytotrace2_lite.base.parameters import MIN_CELLS_FOR_NEIGHBORS, MIN_GENES_PER_CELL
from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.system.machine import peak_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.base.finding import Finding
    from cytotrace2_lite.base.parameters import Parameters
    from cytotrace2_lite.genes import MappingReport
    from cytotrace2_lite.genes.orthologs import OrthologsReport
    from cytotrace2_lite.metadata.annotation import AnnotationReport
    from cytotrace2_lite.metadata.samples import Samples
    from cytotrace2_lite.models.ensemble import ModelInfo
    from cytotrace2_lite.read import Source

__all__ = [
    "REPORT_NAME",
    "BatchQuality",
    "InputRecord",
    "RunReport",
    "batch_quality",
    "run_report",
    "to_bytes",
]

#: Name of the file of a report.
REPORT_NAME = "run.json"
#: Version of the pipeline of cytotrace2_py whose steps are followed.
PIPELINE = "1.1.0"


class _BatchQuality(TypedDict):
    n_cells: int
    median_genes_per_cell: float
    share_of_cells_under_500_genes: float
    smoothed_over_neighbors: bool


class BatchQuality(_BatchQuality, total=False):
    """What a batch was like; `sample` is there where cells are scored by sample."""

    sample: str


class SamplesReport(TypedDict):
    """Which samples there were: the column they are from, and the cells of each."""

    key: str
    n_cells: dict[str, int]


class QualityReport(TypedDict):
    """How much there was of the cells: names of those without a count, and the batches."""

    cells_without_counts: list[str]
    batches: list[BatchQuality]


class _RunReport(TypedDict):
    cytotrace2_lite: str
    model: dict[str, Any]  # the fields of `ModelInfo`
    pipeline: str
    parameters: dict[str, Any]  # the fields of `Parameters`
    input: dict[str, Any]  # the fields of `Source`, then n_cells, n_genes, max_value
    genes: dict[str, Any]  # the fields of `MappingReport`
    quality: QualityReport
    potencies: dict[str, int]
    findings: list[dict[str, Any]]  # the fields of `Finding`
    warnings: list[str]
    seconds: dict[str, float]


class RunReport(_RunReport, total=False):
    """What made the scores of a run, and how the run went."""

    samples: SamplesReport
    orthologs: OrthologsReport
    annotation: AnnotationReport
    peak_memory_bytes: int | None
    embedding: str
    results: str
    results_sha256: str


@dataclass(frozen=True)
class InputRecord:
    """Where the data of a run came from, and when it began.

    Attributes
    ----------
    source
        What was read.
    started
        When the run began, by `time.perf_counter`.
    read_seconds
        How long reading took.
    orthologs, annotation
        What is reported of these files, where they were given.
    embedding
        The file or name of the coordinates for plots, where there is one.
    """

    source: Source
    started: float
    read_seconds: float
    orthologs: OrthologsReport | None = None
    annotation: AnnotationReport | None = None
    embedding: str | None = None


def batch_quality(sample: str, genes_per_cell: NDArray[np.int64]) -> BatchQuality:
    """Say what a batch is like.

    Parameters
    ----------
    sample
        The sample it is of; "" where cells are not scored by sample.
    genes_per_cell
        Genes of the model that each cell expresses, shape (n_cells,), at least one cell.

    Returns
    -------
    BatchQuality
        As `run.json` has it.
    """
    named: dict[str, Any] = {"sample": sample} if sample else {}
    named |= {
        "n_cells": len(genes_per_cell),
        "median_genes_per_cell": float(np.median(genes_per_cell)),
        "share_of_cells_under_500_genes": float((genes_per_cell < MIN_GENES_PER_CELL).mean()),
        "smoothed_over_neighbors": len(genes_per_cell) >= MIN_CELLS_FOR_NEIGHBORS,
    }
    return cast("BatchQuality", named)


def run_report(
    *,
    model: ModelInfo,
    parameters: Parameters,
    n_cells: int,
    max_value: float,
    genes: MappingReport,
    samples: Samples | None,
    cells_without_counts: list[str],
    batches: list[BatchQuality],
    potency_index: NDArray[np.int8],
    findings: Sequence[Finding],
    seconds: Mapping[str, float],
    record: InputRecord | None,
) -> RunReport:
    """Report a run that has just ended.

    Parameters
    ----------
    model, parameters
        What the cells were scored with.
    n_cells, max_value, genes
        Number of cells, largest value over all genes, and what became of the gene names.
    samples
        The samples, where cells were scored by sample.
    cells_without_counts, batches
        Names of cells without a score; what each batch was like.
    potency_index
        Final potency of each cell, -1 for none; shape (n_cells,).
    findings
        What was found out before anything was computed.
    seconds
        Time by stage.
    record
        Where the data came from; None where the caller made them.

    Returns
    -------
    RunReport
        With the keys in their order.
    """
    report: dict[str, Any] = {
        "cytotrace2_lite": __version__,
        "model": asdict(model),
        "pipeline": PIPELINE,
        "parameters": asdict(parameters),
        "input": {
            **({} if record is None else asdict(record.source)),
            "n_cells": n_cells,
            "n_genes": genes.n_genes,
            "max_value": max_value,
        },
        "genes": asdict(genes) | {"superseded": [entry._asdict() for entry in genes.superseded]},
    }
    if samples is not None:
        report["samples"] = {"key": samples.key, "n_cells": samples.sizes}
    report |= {
        "quality": {"cells_without_counts": cells_without_counts, "batches": batches},
        "potencies": {label: int((potency_index == k).sum()) for k, label in enumerate(POTENCIES)},
        "findings": [asdict(finding) for finding in findings],
        "warnings": [
            f"{type(finding.warning).__name__}: {finding.warning}"
            for finding in findings
            if finding.severity == "warning"
        ],
        "seconds": {stage: round(spent, 3) for stage, spent in seconds.items()},
    }
    if record is not None:
        total = time.perf_counter() - record.started
        report["seconds"] = {
            "read": round(record.read_seconds, 3),
            **report["seconds"],
            "total": round(total, 3),
        }
        if record.orthologs is not None:
            report["orthologs"] = record.orthologs
        if record.annotation is not None:
            report["annotation"] = record.annotation
        report["peak_memory_bytes"] = peak_memory()
        if record.embedding is not None:
            report["embedding"] = record.embedding
    return cast("RunReport", report)


def to_bytes(report: Mapping[str, Any], name: str, results: bytes) -> bytes:
    """Give the content of `run.json`.

    Parameters
    ----------
    report
        Of the run.
    name, results
        Name and content of the results file. The directory may hold results of an earlier run in
        another format, or of another run that wrote at the same time: the digest tells which file
        a report belongs to.

    Returns
    -------
    bytes
        JSON.
    """
    document = {**report, "results": name, "results_sha256": hashlib.sha256(results).hexdigest()}
    return (json.dumps(document, indent=2) + "\n").encode()
