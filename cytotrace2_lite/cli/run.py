"""The command `ct2-lite run`: score a file, write the results, draw plots."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from cytotrace2_lite.cli.explain import draw_gene_plots, explanation_summary
from cytotrace2_lite.cli.findings import teller
from cytotrace2_lite.cli.interrupt import InterruptibleReporter, interrupt
from cytotrace2_lite.cli.model_line import model_line
from cytotrace2_lite.cli.options import (
    Dataset,
    dataset_options,
    log_option,
    model_option,
    output_option,
    quiet_option,
    strict_option,
)
from cytotrace2_lite.cli.progress import say
from cytotrace2_lite.cli.stdout import check_stdout, write_stdout
from cytotrace2_lite.errors import CytoTRACE2Error, OutputError

if TYPE_CHECKING:
    from cytotrace2_lite.directory import Scored
    from cytotrace2_lite.result import Result

__all__ = ["run"]


@click.command()
@dataset_options("EXPR")
@output_option(
    "Directory for cytotrace2_results.txt, run.json and plots. With -, only the results are "
    "written, to standard output.",
    or_stdout=True,
)
@click.option(
    "--extra-columns",
    is_flag=True,
    help="Add raw score, six probabilities, pseudotime and status to the results.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["txt", "txt.gz", "parquet", "arrow"]),
    default="txt",
    show_default=True,
    help="Of the results: cytotrace2_results.txt, .txt.gz, .parquet or .arrow.",
)
@click.option(
    "--write-h5ad",
    metavar="FILE",
    help="Write a copy of the .h5ad input, with all columns in obs.",
)
@click.option(
    "--explain",
    "with_genes",
    is_flag=True,
    help="Write which genes made the scores, too, as ct2-lite explain does.",
)
@model_option
@click.option(
    "--plot-format",
    type=click.Choice(["png", "pdf", "svg"]),
    default="png",
    show_default=True,
    help="Format of the plots.",
)
@click.option(
    "--embedding",
    metavar="FILE|NAME",
    help="Draw the cells at these coordinates: a table of cell ids, x, y, tab- or comma-separated, "
    "a name in obsm of a .h5ad, or umap to compute one.  [default: X_umap of a .h5ad, else umap]",
)
@click.option("-dpl", "--disable-plotting", is_flag=True, help="Draw no plots.")
@click.option(
    "-dv",
    "--disable-verbose",
    is_flag=True,
    help="Print only which model is used, warnings and errors.",
)
@quiet_option
@log_option
@strict_option
@click.option(
    "--require-plots",
    is_flag=True,
    help="End with exit code 1 where plots are missing; the results are written all the same.",
)
def run(
    *,
    dataset: Dataset,
    output_dir: str,
    extra_columns: bool,
    file_format: str,
    write_h5ad: str | None,
    with_genes: bool,
    plot_format: str,
    embedding: str | None,
    disable_plotting: bool,
    disable_verbose: bool,
    quiet: bool,
    require_plots: bool,
) -> None:
    """Score the cells of EXPR: raw counts, CPM or TPM, not log-transformed.

    EXPR is a table of genes by cells as tab- or comma-separated text (also .gz, .bz2, .zst; "-" is
    standard input), Parquet, Feather or Arrow, a 10x directory or .h5, or a .h5ad. Genes are
    symbols or Ensembl ids.
    """
    path = dataset.path
    to_stdout = output_dir == "-"
    if to_stdout:
        check_stdout(file_format)
        if embedding is not None:
            raise click.UsageError(
                "--embedding is for plots, which need a directory (-o/--output-dir)."
            )
        if with_genes:
            raise click.UsageError("--explain writes files: give a directory (-o/--output-dir).")
    if require_plots and (disable_plotting or to_stdout):
        raise click.UsageError("--require-plots goes neither with -dpl nor with -o -.")
    # Large libraries are imported only here, so that --help answers at once. OpenBLAS comes before
    # the data: where no memory is left when it is loaded, it tries for ever.
    import scipy.linalg  # noqa: F401

    from cytotrace2_lite.directory import score_to_directory
    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.plots import missing_packages, no_plots

    explain = None
    if with_genes:
        from cytotrace2_lite.explanation.files import ExplainOptions

        explain = ExplainOptions()
    if require_plots and (lacking := missing_packages(with_umap=embedding == "umap")):
        raise CytoTRACE2Error(no_plots(lacking))
    ensemble = Ensemble.load(dataset.options.model)
    is_silent = quiet or disable_verbose
    say(model_line(ensemble.info), quiet=quiet)
    with InterruptibleReporter(quiet=is_silent) as reporter:
        scored = score_to_directory(
            path,
            None if to_stdout else output_dir,
            replace(dataset.options, model=ensemble),
            annotation_path=dataset.annotation_path,
            batch_key=dataset.batch_key,
            extra_columns=extra_columns,
            file_format=file_format,
            write_h5ad=write_h5ad,
            embedding=None if disable_plotting else embedding,
            keep_counts=not (disable_plotting or to_stdout) and embedding in (None, "umap"),
            progress=reporter,
            on_checked=teller(reporter, quiet=is_silent),
            explain=explain,
        )
    if to_stdout:
        write_stdout(scored.result.to_bytes(extra_columns=extra_columns, file_format=file_format))
    results = os.path.join(output_dir, f"cytotrace2_results.{file_format}")  # noqa: PTH118
    where = "standard output; no run.json, no plots" if to_stdout else results
    say(_summary(scored.result, where), quiet=is_silent)
    if write_h5ad:
        say(f"Copy of the input with the results: {write_h5ad}", quiet=is_silent)
    if scored.explanation is not None:
        say(explanation_summary(scored.explanation, output_dir), quiet=is_silent)
    if not (disable_plotting or to_stdout):
        reporter.results_are_safe()
        with reporter:
            if scored.explanation is not None:
                draw_gene_plots(scored.explanation, output_dir, plot_format, quiet=is_silent)
            is_complete = _draw_plots(scored, output_dir, plot_format, reporter, quiet=is_silent)
        if require_plots and not is_complete:
            raise OutputError(
                f"{output_dir}: the results are complete, but not all plots are there "
                "(--require-plots)."
            )


def _draw_plots(
    scored: Scored,
    output_dir: str,
    plot_format: str,
    reporter: InterruptibleReporter,
    *,
    quiet: bool,
) -> bool:
    """Draw what can be drawn; tell whether that is all. The results are complete in any case."""
    from cytotrace2_lite.plots import PLOTS, missing_packages, no_plots, write_plots

    lacking = missing_packages(with_umap=scored.result.embedding is None)
    if lacking:
        say(f"{no_plots(lacking)} (-dpl hides this line)", quiet=quiet)
        return False
    paths, problems = write_plots(
        scored.result,
        scored.counts,
        scored.labels,
        output_dir,
        threads=scored.threads,
        plot_format=plot_format,
        progress=reporter,
    )
    reporter.finish()
    interrupt.stop_if_asked()  # a library may have taken it for an error of its own
    for problem in problems:
        say(f"Warning: {problem}")
    if paths:
        say(f"Plots: {len(paths)} .{plot_format} files in {output_dir}", quiet=quiet)
    return len(paths) == sum(bool(scored.labels) or not spec.needs_labels for spec in PLOTS)


def _summary(result: Result, results: str) -> str:
    counts = ", ".join(f"{n} {label}" for label, n in result.info["potencies"].items() if n)
    n_features = result.info["genes"]["n_mapped"]
    seconds = result.info["seconds"]["total"]
    return (
        f"{len(result.cells)} cells, {n_features} genes of the model, {seconds:.1f} s: {counts}\n"
        f"Results: {results}"
    )
