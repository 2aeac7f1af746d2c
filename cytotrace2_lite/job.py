"""A dataset that was read and checked, and all it takes to score it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.finding import Finding
from cytotrace2_lite.base.parameters import (
    MIN_CELLS_FOR_NEIGHBORS,
    OTHER_SPECIES,
    Parameters,
)
from cytotrace2_lite.base.progress import Progress
from cytotrace2_lite.checks.permissions import model_permissions
from cytotrace2_lite.checks.spread import unlike_training
from cytotrace2_lite.counts import MAX_BYTES
from cytotrace2_lite.errors import CytoTRACE2Error, InputError, UsageError
from cytotrace2_lite.genes import N_FEATURES, is_known, map_genes
from cytotrace2_lite.genes.orthologs import read_orthologs
from cytotrace2_lite.metadata.annotation import Annotation, annotation_of_labels, check_annotation
from cytotrace2_lite.metadata.samples import Samples, obs_column, samples_of
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.output.report import InputRecord
from cytotrace2_lite.pipeline import ModelInput, batches, prepare, score_cells
from cytotrace2_lite.pipeline import check as check_input
from cytotrace2_lite.read import ReadOptions, collect, open_input
from cytotrace2_lite.result import Result
from cytotrace2_lite.system.machine import available_cores, available_memory

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cytotrace2_lite.base.options import RunOptions
    from cytotrace2_lite.cluster import Cluster
    from cytotrace2_lite.metadata.coordinates import Embedding
    from cytotrace2_lite.read import Input, Source

__all__ = ["Job", "open_source", "prepare_job"]


@dataclass(frozen=True, eq=False)
class Job:
    """A dataset that was read and checked, with all it takes to score it."""

    data: ModelInput
    ensemble: Ensemble
    parameters: Parameters
    samples: Samples | None
    findings: list[Finding]
    embedding: Embedding | None
    record: InputRecord
    annotation: Annotation | None

    @property
    def cell_labels(self) -> list[str] | None:
        """The label of each cell, "" for none; None without an annotation."""
        if self.annotation is None:
            return None
        labels = self.annotation.labels
        return [labels.get(cell, "") for cell in self.data.cells]

    @property
    def has_components(self) -> bool:
        """Whether the scores come with components, which are all that a UMAP takes."""
        counts, size = self.data.counts, self.parameters.batch_size
        is_one_batch = self.samples is None and len(batches(counts.shape[0], size, 0)) == 1
        n_scored = int(np.count_nonzero(counts.genes_per_cell))
        return is_one_batch and n_scored >= MIN_CELLS_FOR_NEIGHBORS

    def refuse_warnings(self) -> None:
        """Raise where there is a warning about the dataset, for whom warnings are errors.

        Raises
        ------
        InputError
            It names the first of them.
        """
        found = [finding for finding in self.findings if finding.severity == "warning"]
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise InputError(
                "nothing is scored, as warnings are errors (--strict; strict=True): "
                f"{found[0]}{more}"
            )

    def score(
        self,
        progress: Callable[[Progress], None] | None,
        *,
        release: bool,
        cluster: Cluster | None = None,
        tell: Callable[[list[Finding]], None] | None = None,
    ) -> Result:
        """Score the cells.

        Parameters
        ----------
        progress, release
            As for `cytotrace2_lite.pipeline.score_cells`.
        cluster
            Scores them in place of this process.
        tell
            Called with what is found out about the dataset by its scores, if anything is.

        Returns
        -------
        Result
            The scores.
        """
        score = partial(
            score_cells,
            self.data,
            self.ensemble,
            self.parameters,
            progress,
            samples=self.samples,
            findings=self.findings,
            record=self.record,
            release=release,
        )
        if cluster is None:
            scores = score()
        else:
            with cluster.scoring(self.ensemble, self.parameters) as scoring:
                scores = score(map=scoring)
                scores = replace(scores, info=scores.info | {"cluster": scoring.report()})
        found = unlike_training(self.ensemble.info, scores.score_sd)
        if found and tell is not None:
            tell(found)
        return Result(**vars(replace(scores, embedding=self.embedding)))


def open_source(data: Any, options: RunOptions) -> Input:
    """Open a dataset with what a file of R, which is read whole, has to know before.

    Parameters
    ----------
    data
        As for `cytotrace2_lite.run`.
    options
        Which matrix is read, and how much memory it may take.
    """
    return open_input(data, layer=options.layer, max_memory=options.max_memory)


def prepare_job(
    source: Input,
    options: RunOptions,
    *,
    batch_key: str | None = None,
    annotation: Annotation | None = None,
    label_column: str | None = None,
    embed: Callable[[list[str]], tuple[Embedding, list[Finding]]] | None = None,
    embedding_name: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    cluster: Cluster | None = None,
) -> Job:
    """Read and check a dataset: all that a run does before it computes anything.

    Parameters
    ----------
    source
        The dataset.
    options
        What decides the scores.
    batch_key
        Column of the annotation, or of `obs`, with the sample of each cell.
    annotation
        What is known about the cells.
    label_column
        The column of `obs` that has their labels, in place of an annotation.
    embed
        Called with the names of the cells; gives their coordinates for plots, and findings.
    embedding_name
        What the record of the run calls these coordinates.
    progress
        Called while the dataset is read.
    cluster
        Has its workers read the file, if they can; the values are then not here.

    Returns
    -------
    Job
        Its `score` does the rest.

    Raises
    ------
    CytoTRACE2Error
        As `cytotrace2_lite.run` raises before it computes anything.
    """
    started = time.perf_counter()
    parameters = _parameters(options)
    table = None if options.orthologs is None else read_orthologs(options.orthologs)
    mouse_symbol = None if table is None else table.symbol_of
    model = options.model
    ensemble = model if isinstance(model, Ensemble) else Ensemble.opening(model)

    def report(done: int, total: int, unit: str) -> None:
        ensemble.wait(if_open=True)
        if progress is not None:
            progress(Progress("read", done, total, unit))

    # Before anything is read: whether there is such a column is soon seen.
    batches = options.batches
    key = batches if isinstance(batches, str) else batch_key or ""
    labels = obs_column(source, key) if key and annotation is None else batches
    cell_labels = [] if label_column is None else obs_column(source, label_column)

    def described(names: list[str]) -> tuple[Annotation | None, Samples | None]:
        """Say what is known about the cells, once their names are known."""
        matched, of_cells = annotation, labels
        if label_column is not None:
            matched = annotation_of_labels(
                source.name, source.frame_name or "obs", label_column, names, cell_labels
            )
        elif matched is not None:
            matched = matched.matched(names)
        if matched is not None and batch_key is not None and label_column is None:
            of_cells = matched.column(batch_key, names)
        return matched, None if of_cells is None else samples_of(of_cells, names, key)

    def features(names: list[str]) -> tuple[NDArray[np.int32], int] | None:
        try:
            return map_genes(names, parameters.species, mouse_symbol).feature, N_FEATURES
        except CytoTRACE2Error:  # raised by `prepare`, once it is known what else is wrong
            return None

    expression, origin = source.read(
        ReadOptions(
            is_known=lambda names: is_known(names, parameters.species, mouse_symbol),
            layer=options.layer,
            use_raw=options.use_raw,
            orientation=options.orientation,
            duplicate_genes=options.duplicate_genes,
            threads=parameters.max_cores,
            gene_column=options.gene_column,
            max_memory=parameters.max_memory,
            is_gene=lambda names: is_known(names, "mouse") | is_known(names, "human"),
            features=features,
        ),
        genes=options.genes,
        cells=options.cells,
        progress=report,
        max_bytes=_bytes_of_values(parameters),
        collect_file=collect
        if cluster is None
        else cluster.reading(ensemble, parameters, mouse_symbol, lambda names: described(names)[1]),
    )
    ensemble.wait()
    read_seconds = time.perf_counter() - started
    names = expression.cells
    known, samples = described(names)
    layout, remarks = embed(names) if embed is not None else (None, [])
    prepared = prepare(expression, parameters.species, mouse_symbol, threads=parameters.max_cores)
    del expression
    findings = [Finding("input", "note", f"read as {origin.describe()}"), *_chosen(origin)]
    findings += check_input(prepared, parameters, samples, origin.hint()) + remarks
    findings += model_permissions(ensemble.info.path)
    if table is not None:
        findings += table.findings()
    if known is not None:
        findings += check_annotation(known, names)
    return Job(
        data=prepared,
        ensemble=ensemble,
        parameters=parameters,
        samples=samples,
        findings=findings,
        embedding=layout,
        record=InputRecord(
            source=origin,
            started=started,
            read_seconds=read_seconds,
            orthologs=table,
            annotation=known,
            embedding=embedding_name,
        ),
        annotation=known,
    )


def _chosen(origin: Source) -> list[Finding]:
    """Say what was read in place of something else."""
    findings = []
    if origin.n_missing_chunks:
        noun = "chunk of" if origin.n_missing_chunks == 1 else "chunks of"
        findings.append(
            Finding(
                "missing_chunks",
                "warning",
                f"the Zarr store lacks {origin.n_missing_chunks:,} {noun} {origin.matrix}, which "
                "are read as zeros",
                "A store may leave out chunks of zeros, but they are also missing where a copy of "
                "it is incomplete.",
                "Compare the number of files with that of the original.",
            )
        )
    if origin.instead_of is not None:
        findings.append(
            Finding(
                "matrix",
                "note",
                f"{origin.instead_of} does not hold whole numbers and {origin.matrix} does, so "
                f"that is read (--layer {origin.instead_of}, or "
                f'layer="{origin.instead_of}" in Python, takes {origin.instead_of} all the same)',
            )
        )
    return findings


def _parameters(options: RunOptions) -> Parameters:
    return Parameters(
        species=_species(options.species, options.orthologs),
        batch_size=options.batch_size,
        smooth_batch_size=options.smooth_batch_size,
        seed=options.seed,
        max_cores=available_cores() if options.max_cores is None else options.max_cores,
        max_memory=options.max_memory,
    )


def _bytes_of_values(parameters: Parameters) -> int:
    """Set aside memory for values, so that a batch finds room, too."""
    allowed = parameters.max_memory or available_memory()
    return MAX_BYTES if allowed is None else min(MAX_BYTES, allowed // 4)


def _species(species: str, orthologs: str | os.PathLike[str] | None) -> str:
    species = species.strip().lower() if isinstance(species, str) else species
    if orthologs is None:
        if species == OTHER_SPECIES:
            raise UsageError("species is 'other', which needs a table of orthologs.")
        return species
    if species == "human":
        raise UsageError(
            "a table of orthologs maps the genes to mouse, so species 'human' has no meaning: "
            "leave it out."
        )
    return OTHER_SPECIES
