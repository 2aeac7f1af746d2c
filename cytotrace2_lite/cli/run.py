"""The command `ct2-lite run`: score files, write the results, draw plots."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from cytotrace2_lite.cli.cluster import opened_cluster, say_with
from cytotrace2_lite.cli.cohort import find_done, run_samples
from cytotrace2_lite.cli.explain import names_in_list
from cytotrace2_lite.cli.interrupt import InterruptibleReporter
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
from cytotrace2_lite.cli.scoring import Task, Wanted, draw, options_record, say_result, score
from cytotrace2_lite.cli.stdout import check_stdout, write_stdout
from cytotrace2_lite.errors import CytoTRACE2Error

if TYPE_CHECKING:
    from cytotrace2_lite.cluster import Cluster
    from cytotrace2_lite.models.ensemble import Ensemble

__all__ = ["run"]


def _prefix(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Check the beginning of names of files, and end it so that it stands out."""
    del ctx, param
    if not value:
        return ""
    if not re.fullmatch(r"[^\W_][\w.\-]{0,99}", value):
        raise click.BadParameter(
            f"{value!r}: names of files may begin with letters, digits, '.', '-' and '_', at most "
            "100, the first a letter or digit."
        )
    return value if value[-1] in "._-" else f"{value}_"


@click.command()
@dataset_options("EXPR...", several=True)
@output_option(
    "Directory for cytotrace2_results.txt, run.json and plots. With -, only the results are "
    "written, to standard output.",
    or_stdout=True,
)
@click.option(
    "--extra-columns",
    is_flag=True,
    help="Add raw score, six probabilities, pseudotime, status and spread of the members to the "
    "results.",
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
@click.option(
    "--condition",
    metavar="COLUMN",
    help="Compare the scores of conditions, sample by sample: column of the --sheet with the "
    "condition of each sample; with --batch-key, column with that of each cell, in the annotation "
    "or, without one, in obs of a .h5ad.",
)
@click.option(
    "--multiqc",
    is_flag=True,
    help="Write files for MultiQC, too: potencies, scores and warnings (cytotrace2_*_mqc.json).",
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
@click.option(
    "--report",
    is_flag=True,
    help="Write cytotrace2_report.html, too: one file with linked views, for any browser.",
)
@click.option(
    "--report-genes",
    multiple=True,
    metavar="GENE[,GENE]",
    callback=names_in_list,
    help="Genes of EXPR that the report can colour the cells by; means --report.",
)
@click.option(
    "--prefix",
    default="",
    metavar="NAME",
    callback=_prefix,
    help="Begin the names of all files with NAME_; of several EXPR, before the name of the sample.",
)
@click.option(
    "--skip-done",
    is_flag=True,
    help="Leave out what has results of the same input, model, options and version.",
)
@click.option(
    "--dask",
    metavar="ADDRESS|local[:N]",
    help="Score on a Dask cluster: the address of its scheduler, the path of its file (.json), or "
    "local:N for N processes of this machine. The results are the same. Needs the extra dask.",
)
def run(
    *,
    dataset: Dataset,
    prefix: str,
    disable_verbose: bool,
    quiet: bool,
    **what: Any,
) -> None:
    """Score the cells of EXPR: raw counts, CPM or TPM, not log-transformed.

    EXPR is a table of genes by cells as tab- or comma-separated text (also .gz, .bz2, .zst; "-" is
    standard input), Parquet, Feather or Arrow, a 10x directory or .h5, .h5ad, .h5mu, Zarr
    or Loom. Genes are symbols or Ensembl ids.

    With several EXPR, or a --sheet of them, each is a sample, scored by itself: its files are
    SAMPLE_cytotrace2_results.txt and so on, and cytotrace2_samples.tsv has a line for each. An
    error of one does not end the others; the exit code is that of the first that failed.
    """
    what["report"] = what["report"] or bool(what["report_genes"])
    wanted = Wanted(quiet=quiet or disable_verbose, **what)
    path = dataset.path if dataset.is_one else None
    _refuse(dataset, wanted, prefix)
    # Large libraries are imported only here, so that --help answers at once.
    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.system.deferred import defer_imports

    ensemble = Ensemble.opening(dataset.options.model)
    # SciPy imports all of NumPy, also these, which take half of the time and are not needed.
    defer_imports("numpy.f2py", "numpy.polynomial", "numpy.testing")
    # OpenBLAS comes before the data: where no memory is left when it is loaded, it tries for ever.
    import scipy.linalg  # noqa: F401

    from cytotrace2_lite.plots import missing_packages, no_plots

    if wanted.require_plots:
        lacking = missing_packages(with_umap=wanted.embedding == "umap")
        if lacking:
            raise CytoTRACE2Error(no_plots(lacking))
    if wanted.report:
        from cytotrace2_lite.report import require_bokeh

        require_bokeh()
    say(model_line(ensemble.info), quiet=quiet)
    with opened_cluster(wanted.dask, dataset.options, quiet=wanted.quiet) as cluster:
        if path is None:
            code = run_samples(dataset, ensemble, wanted, prefix, cluster)
        else:
            options = replace(dataset.options, model=ensemble)
            task = Task(path, dataset.annotation_path, dataset.batch_key, options, prefix)
            code = _run_one(task, wanted, ensemble, cluster)
    if code:
        click.get_current_context().exit(code)


def _refuse(dataset: Dataset, wanted: Wanted, prefix: str) -> None:
    """Refuse options that do not go together."""
    if wanted.to_stdout:
        check_stdout(wanted.file_format)
        if wanted.embedding is not None:
            raise click.UsageError(
                "--embedding is for plots, which need a directory (-o/--output-dir)."
            )
        if wanted.condition is not None:
            raise click.UsageError("--condition writes a file: give a directory (-o/--output-dir).")
        if wanted.multiqc:
            raise click.UsageError("--multiqc writes files: give a directory (-o/--output-dir).")
        if wanted.with_genes:
            raise click.UsageError("--explain writes files: give a directory (-o/--output-dir).")
        if wanted.report:
            raise click.UsageError("--report writes a file: give a directory (-o/--output-dir).")
        if prefix or wanted.skip_done:
            raise click.UsageError(
                "--prefix and --skip-done are for files, which -o - writes none of."
            )
    if wanted.skip_done and wanted.write_h5ad:
        raise click.UsageError(
            "--skip-done cannot tell whether the file of --write-h5ad is up to date: leave one out."
        )
    if wanted.skip_done and wanted.report:
        raise click.UsageError(
            "--skip-done does not look for reports: leave --report out, and use ct2-lite report."
        )
    if wanted.report_genes and "-" in dataset.paths:
        raise click.UsageError(
            "--report-genes reads EXPR a second time, which standard input does not allow."
        )
    if wanted.condition is not None and dataset.batch_key is None and dataset.sheet is None:
        raise click.UsageError(
            "--condition compares samples: name their column, too (--batch-key COLUMN), or list "
            "them with their conditions in a --sheet."
        )
    if wanted.require_plots and not wanted.has_plots:
        raise click.UsageError("--require-plots goes neither with -dpl nor with -o -.")
    if not dataset.is_one and (wanted.to_stdout or wanted.write_h5ad or "-" in dataset.paths):
        raise click.UsageError(
            "Standard input, -o - and --write-h5ad go with one EXPR. With several, give files, and "
            "a directory for the results."
        )


def _run_one(task: Task, wanted: Wanted, ensemble: Ensemble, cluster: Cluster | None) -> int:
    """Score a dataset that was given alone; give the exit code."""
    done = find_done(task, wanted, ensemble) if wanted.skip_done else None
    if done is not None:
        say(
            "Skipped: done before, with the same input, model, options and version: "
            f"{os.path.join(wanted.output_dir, done.results)}",  # noqa: PTH118
            quiet=wanted.quiet,
        )
        return 0
    # Of a run as it always was, run.json stays as it always was.
    record = options_record(task, wanted) if task.prefix or wanted.skip_done else None
    with InterruptibleReporter(quiet=wanted.quiet) as reporter:
        say_with(cluster, reporter, quiet=wanted.quiet)
        scored = score(task, wanted, reporter, record, cluster)
    if wanted.to_stdout:
        write_stdout(
            scored.result.to_bytes(
                extra_columns=wanted.extra_columns, file_format=wanted.file_format
            )
        )
    say_result(scored, task, wanted)
    if wanted.shows_cells:
        reporter.results_are_safe()
        draw(scored, task, wanted, reporter)
    return 0
