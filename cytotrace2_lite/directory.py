"""From a file to a directory of results, as the command line does it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cytotrace2_lite.base.progress import Progress
from cytotrace2_lite.job import open_source, prepare_job
from cytotrace2_lite.metadata.sources import (
    UMAP_KEY,
    annotation_of,
    cell_column,
    conditions_of,
    drawn_at,
    embedding_of_file,
    umap_of_the_input,
)
from cytotrace2_lite.output.composition import CONDITIONS_NAME, few_samples, side_by_side
from cytotrace2_lite.output.h5ad import annotated_copy, check_h5ad
from cytotrace2_lite.output.multiqc import MULTIQC_NAMES, quality_files
from cytotrace2_lite.output.report import REPORT_NAME
from cytotrace2_lite.output.tables import results_name
from cytotrace2_lite.plots import import_ahead, remove_plots, umap_if_possible
from cytotrace2_lite.system.files import (
    check_replaceable,
    prepare_directory,
    refuse_to_replace,
    removed_on_error,
    write_whole,
)
from cytotrace2_lite.system.paths import expanded
from cytotrace2_lite.system.sample_names import sample_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from cytotrace2_lite.base.finding import Finding
    from cytotrace2_lite.base.options import RunOptions
    from cytotrace2_lite.cluster import Cluster
    from cytotrace2_lite.counts import Counts
    from cytotrace2_lite.explanation.explanation import Explanation
    from cytotrace2_lite.explanation.files import ExplainOptions
    from cytotrace2_lite.job import Job
    from cytotrace2_lite.metadata.coordinates import Embedding
    from cytotrace2_lite.metadata.samples import Samples
    from cytotrace2_lite.output.keys import OptionsReport
    from cytotrace2_lite.read import Input
    from cytotrace2_lite.result import Result

__all__ = [
    "Scored",
    "check_file",
    "explain_to_directory",
    "score_to_directory",
]


class Scored(NamedTuple):
    """A run whose results are on the disk, and what its plots need.

    Attributes
    ----------
    result
        As it was written; with the coordinates of the user, if there are any.
    counts
        Expression over the model's features, shape (n_cells, 14271); without values where they
        were not kept.
    labels
        Cell id to label, of the annotation; None without one.
    threads
        How many threads drew the scores, and may compute a UMAP.
    explanation
        Which genes made the scores, where that was asked for.
    samples
        The sample of each cell, where cells are scored by sample.
    umap
        The coordinates of a UMAP that was computed for a copy of the input.
    """

    result: Result
    counts: Counts
    labels: dict[str, str] | None
    threads: int
    explanation: Explanation | None = None
    samples: Samples | None = None
    umap: Embedding | None = None


def check_file(
    input_path: str | os.PathLike[str],
    options: RunOptions,
    *,
    annotation_path: str | os.PathLike[str] = "",
    batch_key: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[Finding]:
    """Look at a file as `score_to_directory` does before it computes anything, and stop there.

    Parameters
    ----------
    input_path, options, annotation_path, batch_key, progress
        As for `score_to_directory`.

    Returns
    -------
    list of Finding
        Warnings and notes.

    Raises
    ------
    CytoTRACE2Error
        As `score_to_directory` raises before it computes anything.
    """
    with open_source(expanded(input_path), options) as source:
        annotation_path = expanded(annotation_path)
        annotation, label_column = annotation_of(annotation_path, batch_key, source)
        job = prepare_job(
            source,
            options,
            annotation=annotation,
            label_column=label_column,
            batch_key=batch_key,
            progress=progress,
        )
    return job.findings


def score_to_directory(
    input_path: str | os.PathLike[str],
    output_dir: str | os.PathLike[str] | None,
    options: RunOptions,
    *,
    annotation_path: str | os.PathLike[str] = "",
    batch_key: str | None = None,
    embedding: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], None] | None = None,
    on_checked: Callable[[list[Finding]], None] | None = None,
    extra_columns: bool = False,
    file_format: str = "txt",
    write_h5ad: str | os.PathLike[str] | None = None,
    keep_counts: bool = True,
    draws: bool = False,
    explain: ExplainOptions | None = None,
    condition: str | None = None,
    multiqc: bool = False,
    prefix: str = "",
    record: OptionsReport | None = None,
    cluster: Cluster | None = None,
) -> Scored:
    """Score the cells of a file; write the results file, `run.json`, and a copy of an `.h5ad`.

    All of these files are written, or none.

    The warnings are in the result; unlike `run`, it gives none of them as Python warnings.

    Parameters
    ----------
    input_path
        As the path of `run`.
    output_dir
        Made where it does not exist; seen to be writable before anything is computed. With None,
        neither results file nor `run.json` is written.
    options
        What decides the scores.
    annotation_path
        A text table of cell ids and labels, whose ids are checked against the cells; or, where
        there is no such file, the name of a column of `obs` of a `.h5ad` input.
    batch_key
        Column of the annotation that holds the sample of each cell, as `batches` of `run`;
        without an annotation a column of `obs` of a `.h5ad` input.
    embedding
        Coordinates for plots: a table of cell ids and two numbers, whose ids are checked against
        the cells; or, where there is no such file, a name in `obsm` of a `.h5ad` input, or "umap"
        to have one computed. By default `X_umap` of a `.h5ad` input, where it has one.
    progress
        As for `run`.
    on_checked
        Called with what was found out about the file before anything is computed, and with what the
        scores add to it.
    extra_columns, file_format
        As for `Result.write`.
    write_h5ad
        Name of a copy of the input with the results, as for `Result.write_h5ad`.
    keep_counts
        Whether a UMAP is to be computed, of the counts where there are several batches; else less
        memory is taken.
    draws
        Whether plots are drawn of the result: what they need is imported meanwhile.
    explain
        What is to be explained, and written beside the results.
    condition
        Column of the annotation, or of `obs`, with the condition of each sample. The scores of the
        conditions are compared.
    multiqc
        Whether files for MultiQC are written, too.
    prefix
        What the names of the files in the directory begin with.
    record
        The options, where `run.json` is to have them.
    cluster
        Scores the cells in place of this process.

    Returns
    -------
    Scored
        The result as it was written, and what its plots need. Plots of an earlier run are gone.

    Raises
    ------
    CytoTRACE2Error
        As `run` and `Result.write` raise; `InputError` where the annotation or the embedding is
        not usable.
    """
    # Most runs explain nothing: what that takes is imported where it is asked for.
    if explain is not None:
        from cytotrace2_lite.explanation.files import explanation_files, remove_outdated

    report = progress or (lambda _: None)
    input_path, annotation_path = expanded(input_path), expanded(annotation_path)
    output_dir, embedding, write_h5ad = map(expanded, (output_dir, embedding, write_h5ad))
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_source(input_path, options))
        annotation, label_column = annotation_of(annotation_path, batch_key, source)
        to_compute = embedding == "umap" and not os.path.exists(embedding)  # noqa: PTH110
        embed = None if embedding is None or to_compute else embedding_of_file(embedding, source)
        if (
            embedding is None
            and keep_counts
            and (found := umap_of_the_input(source, options.orientation))
        ):
            embedding = "umap" if source.is_r else UMAP_KEY
            embed, keep_counts = partial(drawn_at, found, embedding), False
        folder = None if output_dir is None else Path(output_dir)
        # Path.exists raises where it is not allowed to look.
        new = folder if folder is not None and not os.path.exists(folder) else None  # noqa: PTH110
        if folder is not None:
            prepare_directory(folder)
        stack.enter_context(removed_on_error(new))
        if write_h5ad is not None:
            check_h5ad(source, write_h5ad, options.orientation)
        targets = (
            []
            if folder is None
            else [folder / (prefix + REPORT_NAME), folder / results_name(file_format, prefix)]
        )
        targets += [] if write_h5ad is None else [Path(write_h5ad)]
        inputs = [input_path, annotation_path, embedding, options.orthologs, options.model]
        refuse_to_replace(inputs, targets)
        check_replaceable(targets)
        job = prepare_job(
            source,
            options,
            annotation=annotation,
            label_column=label_column,
            batch_key=batch_key,
            embed=embed,
            embedding_name=None if embedding is None or to_compute else str(embedding),
            progress=progress,
            cluster=None if keep_counts or explain is not None else cluster,
        )
        condition_of = {}
        if condition is not None:
            condition_of = conditions_of(
                condition, source, job.annotation, job.samples, job.data.cells
            )
            job.findings.extend(few_samples(condition_of))
        if on_checked is not None:
            on_checked(job.findings)
        if options.strict:
            job.refuse_warnings()
        grouping = None if explain is None else _grouping(explain, source, job)
        umap = None
        if draws:
            import_ahead(with_umap=keep_counts)
        is_needed = explain is not None or (keep_counts and not job.has_components)
        result = job.score(progress, release=not is_needed, cluster=cluster, tell=on_checked)
        if record is not None:
            result = replace(result, info=result.info | {"options": record})
        contents: dict[Path, Any] = {}
        explanation = None
        if explain is not None and folder is not None:
            explanation = _explain(job, result, explain, grouping, progress)
            files = explanation_files(explanation, folder, explain)
            contents |= {path.with_name(prefix + path.name): files[path] for path in files}
        if folder is not None:
            tables = side_by_side(result, job.cell_labels, job.samples, condition_of)
            if multiqc:
                tables |= quality_files(
                    result, prefix.rstrip("._-") or sample_name(os.fspath(input_path)), job.samples
                )
            contents |= {folder / (prefix + name): tables[name] for name in tables}
            contents |= result.files(
                folder, extra_columns=extra_columns, file_format=file_format, prefix=prefix
            )
        if write_h5ad is not None:
            if keep_counts:
                threads = job.parameters.max_cores
                umap = umap_if_possible(job.data.counts, result.components, threads, progress)
            contents[Path(write_h5ad)] = annotated_copy(source, result, umap)
        if folder is not None:
            prepare_directory(folder)  # anew, where it was removed meanwhile
        if contents:
            n_cells = len(result.cells)
            report(Progress("write", 0, n_cells))
            write_whole(contents, ready=lambda: report(Progress("write", n_cells, n_cells)))
    if folder is not None:
        remove_plots(folder, prefix)
        for name in (CONDITIONS_NAME, *MULTIQC_NAMES):
            if folder / (prefix + name) not in contents:  # of an earlier run
                with contextlib.suppress(OSError):
                    (folder / (prefix + name)).unlink()
        if explain is not None:
            remove_outdated(folder, contents, prefix)
    return Scored(
        result=result,
        counts=job.data.counts,
        labels=None if job.annotation is None else job.annotation.labels,
        threads=job.parameters.max_cores,
        explanation=explanation,
        samples=job.samples,
        umap=umap,
    )


def explain_to_directory(
    input_path: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    options: RunOptions,
    explain: ExplainOptions,
    *,
    annotation_path: str | os.PathLike[str] = "",
    batch_key: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    on_checked: Callable[[list[Finding]], None] | None = None,
) -> Explanation:
    """Score the cells of a file, and write which genes made the scores.

    All files are written, or none. The results themselves are not written.

    Parameters
    ----------
    input_path, output_dir, options, annotation_path, batch_key, progress, on_checked
        As for `score_to_directory`.
    explain
        What is explained and written.

    Returns
    -------
    Explanation
        As it was written.

    Raises
    ------
    CytoTRACE2Error
        As `score_to_directory` raises; `UsageError` where there is no such group or gene.
    """
    from cytotrace2_lite.explanation.files import explanation_files, remove_outdated

    report = progress or (lambda _: None)
    input_path, annotation_path = expanded(input_path), expanded(annotation_path)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_source(input_path, options))
        annotation, label_column = annotation_of(annotation_path, batch_key, source)
        folder = Path(expanded(output_dir))
        new = None if os.path.exists(folder) else folder  # noqa: PTH110
        prepare_directory(folder)
        stack.enter_context(removed_on_error(new))
        job = prepare_job(
            source,
            options,
            annotation=annotation,
            label_column=label_column,
            batch_key=batch_key,
            progress=progress,
        )
        if on_checked is not None:
            on_checked(job.findings)
        if options.strict:
            job.refuse_warnings()
        grouping = _grouping(explain, source, job)
        result = job.score(progress, release=False, tell=on_checked)
        explanation = _explain(job, result, explain, grouping, progress)
        contents = explanation_files(explanation, folder, explain)
        prepare_directory(folder)  # anew, where it was removed meanwhile
        n_cells = len(result.cells)
        report(Progress("write", 0, n_cells))
        write_whole(contents, ready=lambda: report(Progress("write", n_cells, n_cells)))
    remove_outdated(folder, contents)
    return explanation


class _Grouping(NamedTuple):
    """The label of each cell, None for its potency, and where the labels are from."""

    labels: list[str] | None
    key: str


def _grouping(explain: ExplainOptions, source: Input, job: Job) -> _Grouping:
    """Find the groups that are explained, and see that all that was asked for can be done."""
    from cytotrace2_lite.explanation.files import check_options
    from cytotrace2_lite.explanation.groups import BY_POTENCY

    labels, key = None, explain.by or ""
    if key and key != BY_POTENCY:
        labels = cell_column("--by", key, source, job.annotation, job.data.cells)
    elif not key and job.annotation is not None:
        labels, key = job.cell_labels, job.annotation.path
    check_options(explain, labels, job.data.names)
    return _Grouping(labels, key)


def _explain(
    job: Job,
    result: Result,
    explain: ExplainOptions,
    grouping: _Grouping | None,
    progress: Callable[[Progress], None] | None,
) -> Explanation:
    from cytotrace2_lite.explanation.explain import explain_scores
    from cytotrace2_lite.explanation.groups import groups_of

    labels, key = grouping or (None, "")
    return explain_scores(
        job.data,
        job.ensemble,
        result,
        groups_of(labels, result, key),
        of=explain.of,
        reference=explain.reference,
        threads=job.parameters.max_cores,
        progress=progress,
    )
