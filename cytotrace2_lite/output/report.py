"""The record of a run: what `run.json` and `Result.info` hold, built here and nowhere else."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, cast

import numpy as np

from cytotrace2_lite._version import __version__
from cytotrace2_lite.base.parameters import MIN_CELLS_FOR_NEIGHBORS, MIN_GENES_PER_CELL
from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.output.keys import RunReport
from cytotrace2_lite.system.machine import peak_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.base.finding import Finding
    from cytotrace2_lite.base.parameters import Parameters
    from cytotrace2_lite.genes import MappingReport
    from cytotrace2_lite.genes.orthologs import Orthologs
    from cytotrace2_lite.metadata.annotation import Annotation
    from cytotrace2_lite.metadata.samples import Samples
    from cytotrace2_lite.models.info import ModelInfo
    from cytotrace2_lite.output.keys import (
        BatchQuality,
        FindingReport,
        GenesReport,
        InputReport,
        ModelReport,
        OrthologsReport,
        ParametersReport,
    )
    from cytotrace2_lite.read import Source

__all__ = [
    "REPORT_NAME",
    "InputRecord",
    "batch_quality",
    "orthologs_report",
    "run_report",
    "to_bytes",
]

#: Name of the file of a report.
REPORT_NAME = "run.json"
#: Version of cytotrace2_py whose pipeline is followed.
PIPELINE = "1.1.0"


@dataclass(frozen=True, eq=False)
class InputRecord:
    """Where the data of a run came from, and when the run began.

    Attributes
    ----------
    source
        What was read.
    started
        When the run began, by `time.perf_counter`.
    read_seconds
        How long reading took.
    orthologs, annotation
        These tables, where they were given.
    embedding
        File or name of the coordinates for plots, where they were given.
    """

    source: Source
    started: float
    read_seconds: float
    orthologs: Orthologs | None = None
    annotation: Annotation | None = None
    embedding: str | None = None


def batch_quality(sample: str, genes_per_cell: NDArray[np.int64]) -> BatchQuality:
    """Say what a batch is like.

    Parameters
    ----------
    sample
        The sample that its cells are of; "" where cells are not scored by sample.
    genes_per_cell
        Genes of the model that each cell expresses; shape (n_cells,), at least one cell.

    Returns
    -------
    BatchQuality
        As `run.json` has it.
    """
    named: _Sample = {"sample": sample} if sample else {}
    return {
        **named,
        "n_cells": len(genes_per_cell),
        "median_genes_per_cell": float(np.median(genes_per_cell)),
        "share_of_cells_under_500_genes": float((genes_per_cell < MIN_GENES_PER_CELL).mean()),
        "smoothed_over_neighbors": len(genes_per_cell) >= MIN_CELLS_FOR_NEIGHBORS,
    }


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
    cells_without_counts
        Names of the cells without a score.
    batches
        What each batch was like.
    potency_index
        Final potency of each cell, -1 for none; int8, shape (n_cells,).
    findings
        What was found out before anything was computed.
    seconds
        Time by stage.
    record
        Where the data came from; None where the caller made them.

    Returns
    -------
    RunReport
        With its keys in their order.
    """
    report: RunReport = {
        "cytotrace2_lite": __version__,
        "model": _model(model),
        "pipeline": PIPELINE,
        "parameters": _parameters(parameters),
        "input": _input(record, n_cells=n_cells, n_genes=genes.n_genes, max_value=max_value),
        "genes": _genes(genes),
        "quality": {"cells_without_counts": cells_without_counts, "batches": batches},
        "potencies": {label: int((potency_index == k).sum()) for k, label in enumerate(POTENCIES)},
        "findings": [_finding(finding) for finding in findings],
        "warnings": [
            f"{type(finding.warning).__name__}: {finding.warning}"
            for finding in findings
            if finding.severity == "warning"
        ],
        "seconds": {stage: round(spent, 3) for stage, spent in seconds.items()},
    }
    if samples is not None:
        report["samples"] = {"key": samples.key, "n_cells": samples.sizes}
    if record is not None:
        _add_record(report, record)
    return _in_order(report)


def orthologs_report(table: Orthologs) -> OrthologsReport:
    """Report a table of orthologs.

    Parameters
    ----------
    table
        The table.

    Returns
    -------
    OrthologsReport
        As `run.json` has it.
    """
    return {
        "path": table.path,
        "sha256": table.sha256,
        "n_pairs": table.n_pairs,
        "n_without": table.n_without,
        "n_unknown": table.n_unknown,
    }


def to_bytes(report: Mapping[str, Any], name: str, results: bytes) -> bytes:
    """Give the content of `run.json`.

    Parameters
    ----------
    report
        Of the run.
    name, results
        Name and content of the results file, whose digest the report gets. The directory may hold
        results of an earlier run in another format, or of another run that wrote at the same time:
        the digest tells which of them the report is about.

    Returns
    -------
    bytes
        JSON.
    """
    document = {**report, "results": name, "results_sha256": hashlib.sha256(results).hexdigest()}
    return (json.dumps(document, indent=2) + "\n").encode()


class _Sample(TypedDict, total=False):
    sample: str


def _add_record(report: RunReport, record: InputRecord) -> None:
    """Add what only a run on data has: times in all, and the other files that were read."""
    total = time.perf_counter() - record.started
    report["seconds"] = {
        "read": round(record.read_seconds, 3),
        **report["seconds"],
        "total": round(total, 3),
    }
    if record.orthologs is not None:
        report["orthologs"] = orthologs_report(record.orthologs)
    if record.annotation is not None:
        report["annotation"] = {
            "path": record.annotation.path,
            "n_cells": len(record.annotation.fields),
        }
    report["peak_memory_bytes"] = peak_memory()
    if record.embedding is not None:
        report["embedding"] = record.embedding


def _in_order(report: RunReport) -> RunReport:
    """Put the keys into the order in which `RunReport` lists them."""
    values = dict(report)
    ordered = {key: values[key] for key in RunReport.__annotations__ if key in values}
    return cast("RunReport", ordered)


def _model(info: ModelInfo) -> ModelReport:
    return {
        "name": info.name,
        "licence": info.licence,
        "architecture": info.architecture,
        "n_members": info.n_members,
        "sha256": info.sha256,
        "path": info.path,
        "sources": tuple(dict(source) for source in info.sources),
        "official": info.official,
    }


def _parameters(parameters: Parameters) -> ParametersReport:
    return {
        "species": parameters.species,
        "batch_size": parameters.batch_size,
        "smooth_batch_size": parameters.smooth_batch_size,
        "seed": parameters.seed,
        "max_cores": parameters.max_cores,
        "max_memory": parameters.max_memory,
    }


def _input(
    record: InputRecord | None, *, n_cells: int, n_genes: int, max_value: float
) -> InputReport:
    if record is None:
        return {"n_cells": n_cells, "n_genes": n_genes, "max_value": max_value}
    source = record.source
    return {
        "format": source.format,
        "path": source.path,
        "compression": source.compression,
        "n_bytes": source.n_bytes,
        "sha256": source.sha256,
        "matrix": source.matrix,
        "other_matrices": source.other_matrices,
        "orientation": source.orientation,
        "gene_names": source.gene_names,
        "duplicate_genes": source.duplicate_genes,
        "n_duplicates": source.n_duplicates,
        "companions": tuple(
            {"path": file.path, "n_bytes": file.n_bytes, "sha256": file.sha256}
            for file in source.companions
        ),
        "instead_of": source.instead_of,
        "n_cells": n_cells,
        "n_genes": n_genes,
        "max_value": max_value,
    }


def _genes(genes: MappingReport) -> GenesReport:
    return {
        "species": genes.species,
        "n_genes": genes.n_genes,
        "n_mapped": genes.n_mapped,
        "symbol": genes.symbol,
        "ortholog": genes.ortholog,
        "uppercase": genes.uppercase,
        "alias": genes.alias,
        "ensembl": genes.ensembl,
        "superseded": [
            {"name": entry.name, "feature": entry.feature, "winner": entry.winner}
            for entry in genes.superseded
        ],
        "upper_case_share": genes.upper_case_share,
        "likely_species": genes.likely_species,
        "dates": genes.dates,
        "n_features": genes.n_features,
    }


def _finding(finding: Finding) -> FindingReport:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "what": finding.what,
        "why": finding.why,
        "remedy": finding.remedy,
    }
