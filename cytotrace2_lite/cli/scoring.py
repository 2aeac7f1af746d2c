"""What `run` does with one dataset: score it, say what came out, draw plots."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cytotrace2_lite.cli.explain import draw_gene_plots, explanation_summary
from cytotrace2_lite.cli.findings import teller
from cytotrace2_lite.cli.interrupt import interrupt
from cytotrace2_lite.cli.progress import say
from cytotrace2_lite.errors import CytoTRACE2Error, OutputError

if TYPE_CHECKING:
    from cytotrace2_lite.base.options import RunOptions
    from cytotrace2_lite.cli.interrupt import InterruptibleReporter
    from cytotrace2_lite.cluster import Cluster
    from cytotrace2_lite.directory import Scored
    from cytotrace2_lite.output.keys import OptionsReport
    from cytotrace2_lite.result import Result

__all__ = ["Task", "Wanted", "draw", "needs_plots", "options_record", "say_result", "score"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be written, and what is to be said; each as the option of that name.

    Attributes
    ----------
    output_dir
        "-" for standard output.
    with_genes
        Whether it is written which genes made the scores.
    quiet
        Whether only warnings and errors are said.
    """

    output_dir: str
    extra_columns: bool
    file_format: str
    write_h5ad: str | None
    with_genes: bool
    condition: str | None
    multiqc: bool
    plot_format: str
    embedding: str | None
    disable_plotting: bool
    require_plots: bool
    skip_done: bool
    dask: str | None
    report: bool
    report_genes: tuple[str, ...]
    quiet: bool

    @property
    def to_stdout(self) -> bool:
        """Whether results go to standard output."""
        return self.output_dir == "-"

    @property
    def has_plots(self) -> bool:
        """Whether plots are to be drawn."""
        return not (self.disable_plotting or self.to_stdout)

    @property
    def shows_cells(self) -> bool:
        """Whether plots or a report need coordinates."""
        return self.has_plots or self.report


@dataclass(frozen=True)
class Task:
    """A dataset to be scored.

    Attributes
    ----------
    path, annotation_path, batch_key, options
        As for `score_to_directory`; the model is loaded.
    prefix
        What the names of its files begin with.
    sample
        Its name, where there are several.
    """

    path: str
    annotation_path: str
    batch_key: str | None
    options: RunOptions
    prefix: str = ""
    sample: str = ""


def options_record(task: Task, wanted: Wanted) -> OptionsReport:
    """Say for `run.json` what decides the files of a dataset."""
    from cytotrace2_lite.cohort import options_report

    return options_report(
        task.options,
        annotation_path=task.annotation_path,
        batch_key=task.batch_key,
        extra_columns=wanted.extra_columns,
        explain=wanted.with_genes,
        condition=wanted.condition,
        plot_format=wanted.plot_format if wanted.has_plots else None,
        embedding=wanted.embedding if wanted.shows_cells else None,
    )


def needs_plots(task: Task, wanted: Wanted) -> bool | None:
    """Tell whether plots can be drawn with labels; None where no plots can be drawn."""
    from cytotrace2_lite.plots import missing_packages

    if not wanted.has_plots or missing_packages():
        return None
    return bool(task.annotation_path)


def score(
    task: Task,
    wanted: Wanted,
    reporter: InterruptibleReporter,
    record: OptionsReport | None = None,
    cluster: Cluster | None = None,
) -> Scored:
    """Score a dataset, here or on a cluster, and write the results."""
    from cytotrace2_lite.directory import score_to_directory

    explain = None
    if wanted.with_genes:
        from cytotrace2_lite.explanation.files import ExplainOptions

        explain = ExplainOptions()
    return score_to_directory(
        task.path,
        None if wanted.to_stdout else wanted.output_dir,
        task.options,
        annotation_path=task.annotation_path,
        batch_key=task.batch_key,
        extra_columns=wanted.extra_columns,
        file_format=wanted.file_format,
        write_h5ad=wanted.write_h5ad,
        embedding=wanted.embedding if wanted.shows_cells else None,
        keep_counts=wanted.shows_cells and wanted.embedding in (None, "umap"),
        draws=needs_plots(task, wanted) is not None,
        progress=reporter,
        on_checked=teller(reporter, quiet=wanted.quiet, sample=task.sample),
        explain=explain,
        condition=wanted.condition,
        multiqc=wanted.multiqc,
        prefix=task.prefix,
        record=record,
        cluster=cluster,
    )


def say_result(scored: Scored, task: Task, wanted: Wanted) -> None:
    """Say in a few lines what came out, and where it is."""
    results = os.path.join(  # noqa: PTH118
        wanted.output_dir, f"{task.prefix}cytotrace2_results.{wanted.file_format}"
    )
    where = "standard output; no run.json, no plots" if wanted.to_stdout else results
    say(_summary(scored.result, where), quiet=wanted.quiet)
    if wanted.write_h5ad:
        say(f"Copy of the input with the results: {wanted.write_h5ad}", quiet=wanted.quiet)
    if scored.explanation is not None:
        summary = explanation_summary(scored.explanation, wanted.output_dir, task.prefix)
        say(summary, quiet=wanted.quiet)


def draw(scored: Scored, task: Task, wanted: Wanted, reporter: InterruptibleReporter) -> None:
    """Draw the plots, and write the report; the results are complete in any case.

    Raises
    ------
    OutputError
        Plots are missing that have to be there, or there is no report.
    """
    is_complete = True
    with reporter:
        if wanted.has_plots:
            if scored.explanation is not None:
                draw_gene_plots(
                    scored.explanation,
                    wanted.output_dir,
                    wanted.plot_format,
                    quiet=wanted.quiet,
                    prefix=task.prefix,
                )
            is_complete = _draw_plots(scored, task, wanted, reporter)
        if wanted.report:
            _write_report(scored, task, wanted, reporter)
    if wanted.require_plots and not is_complete:
        raise OutputError(
            f"{wanted.output_dir}: the results are complete, but not all plots are there "
            "(--require-plots)."
        )


def _write_report(
    scored: Scored, task: Task, wanted: Wanted, reporter: InterruptibleReporter
) -> None:
    from cytotrace2_lite.report import REPORT_FILE, contents_of_run, report_bytes
    from cytotrace2_lite.system.files import write_whole

    path = Path(wanted.output_dir, task.prefix + REPORT_FILE)
    samples = scored.samples
    try:
        contents = contents_of_run(
            scored.result,
            scored.counts,
            wanted.output_dir,
            task.options,
            labels=scored.labels,
            samples=None if samples is None else [samples.names[k] for k in samples.of_cell],
            input_path=task.path,
            genes=wanted.report_genes,
            threads=scored.threads,
            prefix=task.prefix,
            computed=scored.umap,
            progress=reporter,
        )
        write_whole({path: report_bytes(contents)})
    except CytoTRACE2Error as error:
        raise OutputError(f"{path}: no report (the results are complete): {error}") from error
    reporter.finish()
    say(f"Report: {path}", quiet=wanted.quiet)


def _draw_plots(
    scored: Scored, task: Task, wanted: Wanted, reporter: InterruptibleReporter
) -> bool:
    """Draw what can be drawn; tell whether that is all."""
    from cytotrace2_lite.plots import PLOTS, missing_packages, no_plots, write_plots

    lacking = missing_packages(with_umap=scored.result.embedding is None)
    if lacking:
        say(f"{no_plots(lacking)} (-dpl hides this line)", quiet=wanted.quiet)
        return False
    paths, problems = write_plots(
        scored.result,
        scored.counts,
        scored.labels,
        wanted.output_dir,
        threads=scored.threads,
        plot_format=wanted.plot_format,
        prefix=task.prefix,
        samples=scored.samples,
        computed=scored.umap,
        progress=reporter,
    )
    reporter.finish()
    interrupt.stop_if_asked()  # a library may have taken it for an error of its own
    where = f"{task.sample}: " if task.sample else ""
    for problem in problems:
        say(f"Warning: {where}{problem}")
    if paths:
        files = f"{len(paths)} .{wanted.plot_format} files in {wanted.output_dir}"
        say(f"Plots: {files}", quiet=wanted.quiet)
    known = {
        "with_labels": bool(scored.labels),
        "with_samples": scored.samples is not None,
    }
    return len(paths) == sum(spec.can_be_drawn(**known) for spec in PLOTS)


def _summary(result: Result, results: str) -> str:
    counts = ", ".join(f"{n} {label}" for label, n in result.info["potencies"].items() if n)
    n_features = result.info["genes"]["n_mapped"]
    seconds = result.info["seconds"]["total"]
    return (
        f"{len(result.cells)} cells, {n_features} genes of the model, {seconds:.1f} s: {counts}\n"
        f"Results: {results}"
    )
