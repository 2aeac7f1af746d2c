"""The command line `ct2-lite`."""

from __future__ import annotations

import os
import re
import signal
import sys
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import click

from cytotrace2_lite._version import __version__
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.cli.compare import compare
from cytotrace2_lite.cli.models import models
from cytotrace2_lite.cli.progress import StageReporter, say
from cytotrace2_lite.cli.stdout import QuietGroup, check_stdout, write_stdout
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.models.installed import BUNDLED_MODEL
from cytotrace2_lite.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from cytotrace2_lite.base.finding import Finding
    from cytotrace2_lite.base.progress import Progress
    from cytotrace2_lite.directory import Scored
    from cytotrace2_lite.result import Result

__all__ = ["main"]

# What ends a command on purpose; the exit code is that of a process such a signal has killed.
_ENDINGS = {
    getattr(signal, name): word
    for name, word in (("SIGINT", "Interrupted"), ("SIGTERM", "Terminated"), ("SIGHUP", "Hung up"))
    if hasattr(signal, name)  # Windows lacks one
}
# What libraries say that are loaded, or start a thread, where the memory of the process is limited.
_SIGNS_OF_LITTLE_MEMORY = (
    "failed to map segment",
    "cannot allocate memory",
    "can't start new thread",
)
# Options of `run` that `check` has, too: those on what is read and how it is scored.
_CHECKED = (
    "expression",
    "input_path",
    "annotation_path",
    "batch_key",
    "species",
    "layer",
    "use_raw",
    "orientation",
    "duplicate_genes",
    "gene_column",
    "orthologs",
    "preset",
    "batch_size",
    "smooth_batch_size",
    "max_cores",
    "max_memory",
    "disable_parallelization",
    "seed",
    "model",
    "quiet",
)
# Notes that `run` passes on, too.
_SAID = {
    "input": "Input",
    "matrix": "Note:",
    "repeated_values": "Note:",
    "estimate": "It will take",
}


class _Size(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
    """Bytes, as a number with a unit: 1.5G."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Give the number of bytes."""
        del param, ctx
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([KMGT]?)(I?B)?", value.strip().upper())
        if not match:
            self.fail(f"{value!r} is no size: give a number with a unit, such as 800M or 2G.")
        base = 1024 if match[3] == "IB" else 1000
        n_bytes = int(float(match[1]) * base ** " KMGT".index(match[2] or " "))
        if n_bytes < 1:
            self.fail(f"{value!r} is no size: it must be at least one byte.")
        return n_bytes


def _use_preset(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Change the defaults of the options that follow."""
    del param
    if value is not None:
        from cytotrace2_lite.base.parameters import PRESETS

        ctx.default_map = {**(ctx.default_map or {}), **PRESETS[value]}


@click.group(
    cls=QuietGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="ct2-lite")
def cli() -> None:
    """CytoTRACE 2: how much developmental potential each cell has, from single-cell RNA-seq."""


@cli.command()
@click.argument("expression", required=False, metavar="EXPR")
@click.option("-f", "--input-path", metavar="EXPR", help="The same as the argument EXPR.")
@click.option(
    "-a",
    "--annotation-path",
    default="",
    metavar="FILE",
    help="Tab-separated table with a header: cell ids, labels.",
)
@click.option(
    "--batch-key",
    metavar="COLUMN",
    help="Column of the annotation (without one, of obs of a .h5ad) with the sample of each cell: "
    "score each sample by itself.",
)
@click.option(
    "-sp",
    "--species",
    type=click.Choice(["mouse", "human"]),
    default="mouse",
    show_default=True,
    help="Species of the gene names.",
)
@click.option("--layer", metavar="NAME", help="Layer of a .h5ad to read; X for X.")
@click.option("--use-raw", is_flag=True, help="Read .raw of a .h5ad in place of X.")
@click.option(
    "--orientation",
    type=click.Choice(["auto", "genes-x-cells", "cells-x-genes"]),
    default="auto",
    show_default=True,
    help="Whether the rows of a table are genes or cells; by default the names tell.",
)
@click.option(
    "--duplicate-genes",
    type=click.Choice(["error", "first", "sum"]),
    default="error",
    show_default=True,
    help="What to do with genes of one name.",
)
@click.option(
    "--gene-column",
    metavar="NAME",
    help="Names of the genes: a column of var of a .h5ad; symbols or ids of 10x data.  [default: "
    "those of which the model knows most]",
)
@click.option(
    "--orthologs",
    metavar="FILE",
    help="For other species, at your own risk: tab-separated table of genes, mouse symbols.",
)
@click.option(
    "--preset",
    type=click.Choice(["paper"]),
    is_eager=True,
    expose_value=False,
    callback=_use_preset,
    help="Settings by name; paper: those of the paper, -bs 100000 -sbs 10000 -r 14. Options that "
    "are given go before.",
)
@click.option(
    "-bs",
    "--batch-size",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Largest number of cells processed together.",
)
@click.option(
    "-sbs",
    "--smooth-batch-size",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Largest number of cells smoothed by diffusion together.",
)
@click.option(
    "-mc",
    "--max-cores",
    type=click.IntRange(min=1),
    default=None,
    help="Number of threads.  [default: all this process may use]",
)
@click.option(
    "--max-memory",
    type=_Size(),
    metavar="SIZE",
    help="Memory the program may take, such as 800M or 2G; what does not fit lies in a temporary "
    "file.  [default: what the machine leaves]",
)
@click.option("-dpa", "--disable-parallelization", is_flag=True, help="Use one thread.")
@click.option(
    "-r",
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=14,
    show_default=True,
    help="Seed of the random splits into batches.",
)
@click.option(
    "-o",
    "--output-dir",
    default="cytotrace2_results",
    show_default=True,
    metavar="DIR",
    help="Where cytotrace2_results.txt and run.json are written; - writes the results to standard "
    "output, and neither run.json nor plots.",
)
@click.option(
    "--extra-columns",
    is_flag=True,
    help="Add raw score, six probabilities, pseudotime and status to the results.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["txt", "parquet", "arrow"]),
    default="txt",
    show_default=True,
    help="Of the results: cytotrace2_results.txt, .parquet or .arrow.",
)
@click.option(
    "--write-h5ad",
    metavar="FILE",
    help="Write a copy of the .h5ad input, with all columns in obs.",
)
@click.option(
    "-m",
    "--model",
    metavar="MODEL",
    help="A model's name or an .onnx file.  [default: see ct2-lite models list]",
)
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
    "or a name in obsm of a .h5ad.  [default: a UMAP is computed]",
)
@click.option("-dpl", "--disable-plotting", is_flag=True, help="Draw no plots.")
@click.option(
    "-dv", "--disable-verbose", is_flag=True, help="Say only which model, warnings and errors."
)
@click.option("-q", "--quiet", is_flag=True, help="Say only warnings and errors.")
def run(
    *,
    expression: str | None,
    input_path: str | None,
    output_dir: str,
    max_cores: int | None,
    disable_parallelization: bool,
    plot_format: str,
    embedding: str | None,
    disable_plotting: bool,
    disable_verbose: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Score the cells of EXPR: raw counts, CPM or TPM, not log-transformed.

    EXPR is a table of genes by cells as tab- or comma-separated text (also .gz, .bz2, .zst; "-" is
    standard input), Parquet, Feather or Arrow, a 10x directory or .h5, or a .h5ad. Genes are
    symbols or Ensembl ids.
    """
    path = _one_path(expression, input_path)
    to_stdout = output_dir == "-"
    if to_stdout:
        check_stdout(options["file_format"])
        if embedding is not None:
            raise click.UsageError(
                "--embedding is for plots, which need a directory (-o/--output-dir)."
            )
    # Only here are the heavy libraries imported: --help answers at once. OpenBLAS, if it is loaded
    # where no memory is left, tries for ever: it must come before the data.
    import scipy.linalg  # noqa: F401

    from cytotrace2_lite.directory import score_to_directory
    from cytotrace2_lite.models.ensemble import Ensemble

    options["model"] = Ensemble.load(options["model"])
    options["max_cores"] = 1 if disable_parallelization else max_cores
    run_options = _run_options(options)
    if not quiet:
        say(_model_line(options["model"].info))
    with _Reporter(quiet=quiet or disable_verbose) as reporter:

        def on_checked(findings: list[Finding]) -> None:
            reporter.finish()
            for finding in findings:
                if finding.severity == "warning":
                    say(f"Warning: {finding}")
                elif finding.code in _SAID and not (quiet or disable_verbose):
                    say(f"{_SAID[finding.code]} {finding.what}.")

        scored = score_to_directory(
            path,
            None if to_stdout else output_dir,
            run_options,
            annotation_path=options["annotation_path"],
            batch_key=options["batch_key"],
            extra_columns=options["extra_columns"],
            file_format=options["file_format"],
            write_h5ad=options["write_h5ad"],
            embedding=None if disable_plotting else embedding,
            keep_counts=not (disable_plotting or to_stdout or embedding is not None),
            progress=reporter,
            on_checked=on_checked,
        )
    if to_stdout:
        write_stdout(
            scored.result.to_bytes(
                extra_columns=options["extra_columns"], file_format=options["file_format"]
            )
        )
    if not (quiet or disable_verbose):
        name = f"cytotrace2_results.{options['file_format']}"
        results = os.path.join(output_dir, name)  # noqa: PTH118
        where = "standard output; no run.json, no plots" if to_stdout else results
        say(_summary(scored.result, where))
        if options["write_h5ad"]:
            say(f"Copy of the input with the results: {options['write_h5ad']}")
    if not (disable_plotting or to_stdout):
        reporter.results_are_safe()
        with reporter:
            _draw_plots(scored, output_dir, plot_format, reporter, quiet=quiet or disable_verbose)


def _run_options(options: dict[str, Any]) -> RunOptions:
    names = {field.name for field in fields(RunOptions)}
    return RunOptions(**{name: value for name, value in options.items() if name in names})


def _one_path(expression: str | None, input_path: str | None) -> str:
    if (expression is None) == (input_path is None):
        command = click.get_current_context().command.name
        raise click.UsageError(f"Give the expression table once: ct2-lite {command} EXPR")
    return expression or input_path or ""


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Write what was found as JSON.")
def check(
    *,
    expression: str | None,
    input_path: str | None,
    disable_parallelization: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """See whether EXPR is fit to be scored; without EXPR, whether this installation works.

    EXPR is read and looked at as `run` does it before it computes anything: species and number of
    genes, log-transformed values, counts per cell, ids of the annotation, time and memory. Exit
    code 0: it can be scored, though maybe with warnings; 3: it cannot; 4: no usable genes.

    Without EXPR, the model is loaded and scores made-up cells with known scores.
    """
    if disable_parallelization:
        options["max_cores"] = 1
    if expression is None and input_path is None:
        _refuse_options_without_table()
        _check_installation(options["model"], options["max_cores"])
    else:
        path = _one_path(expression, input_path)
        _check_table(path, quiet=quiet, as_json=as_json, **options)


check.params[:0] = [param for param in run.params if param.name in _CHECKED]


def _refuse_options_without_table() -> None:
    context = click.get_current_context()
    allowed = {"model", "max_cores", "disable_parallelization"}
    for param in context.command.params:
        name = param.name or ""
        source = context.get_parameter_source(name)
        if name not in allowed and source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{param.opts[-1]} goes with a table: ct2-lite check EXPR {param.opts[-1]} ..."
            )


def _check_table(
    path: str, *, model: str | None, quiet: bool, as_json: bool, **options: Any
) -> None:
    import json

    from cytotrace2_lite.base.finding import Finding
    from cytotrace2_lite.directory import check_file
    from cytotrace2_lite.models.ensemble import Ensemble

    def report(findings: list[Finding]) -> None:
        click.echo(json.dumps({"input": path, "findings": list(map(asdict, findings))}, indent=2))

    try:
        ensemble = Ensemble.load(model)
        if not quiet:
            say(_model_line(ensemble.info))
        with _Reporter(quiet=quiet) as reporter:
            findings = check_file(
                path,
                _run_options({**options, "model": ensemble}),
                annotation_path=options["annotation_path"],
                batch_key=options["batch_key"],
                progress=reporter,
            )
    except CytoTRACE2Error as error:
        if as_json:
            report([Finding.of_error(error)])
        raise
    if as_json:
        report(findings)
        return
    # What needs attention comes last, where it is seen.
    for finding in sorted(findings, key=lambda finding: finding.severity):
        if quiet and finding.severity == "note":
            continue
        click.echo(f"{finding.severity:<8} " + f"\n{'':<9}".join(finding.sentences))
    n_warnings = sum(finding.severity == "warning" for finding in findings)
    count = f"{n_warnings or 'no'} warning{'' if n_warnings == 1 else 's'}"
    click.echo(f"{printable(path)}: can be scored, {count}")


def _check_installation(model: str | None, max_cores: int | None) -> None:
    import platform
    from importlib.metadata import version

    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.models.verify import verify
    from cytotrace2_lite.system.machine import available_cores, peak_memory

    threads = available_cores() if max_cores is None else max_cores
    libraries = ("onnxruntime", "numpy", "scipy", "pyarrow")
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    click.echo(f"cytotrace2_lite {__version__}, Python {platform.python_version()}, {versions}")
    ensemble = Ensemble.load(model)
    click.echo(_model_line(ensemble.info))
    click.echo(printable(ensemble.info.path))
    result = verify(ensemble, threads=threads)
    memory = peak_memory()
    held = "" if memory is None else f", {memory / 1e6:.0f} MB of memory"
    click.echo(f"{threads} threads{held}")
    click.echo(
        f"ok: {len(result.score)} cells scored, off by {result.difference:.0e} at most "
        f"(scores {result.score.min():.3f} to {result.score.max():.3f})"
    )


cli.add_command(models)
cli.add_command(compare)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    0 done, 1 unexpected, a missing package, or results that cannot be written or differ (compare),
    2 usage, 3 input, 4 no usable genes, 5 model, 129 hung up, 130 interrupted, 141 nobody reads
    standard output any more, 143 terminated.

    Parameters
    ----------
    arguments
        Those of the process by default.
    """
    # Threads share work in fixed parts, so that results do not depend on their number; BLAS would
    # split sums by its own. It reads this when NumPy is first imported.
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    if sys.stderr is None:  # closed by the caller
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 (for as long as the process lasts)
    # Not where the caller has a signal ignored, as Ctrl-C for a job in the background.
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    handlers = {number: signal.getsignal(number) for number in _ENDINGS}
    handlers = {number: handler for number, handler in handlers.items() if handler in defaults}
    _interrupt.reset()
    for number in handlers:
        signal.signal(number, _interrupt)
    try:
        code = cli.main(arguments, prog_name="ct2-lite", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except CytoTRACE2Error as error:
        say(f"Error: {error}")
        code = error.exit_code
    except MemoryError:
        code = _out_of_memory()
    except (KeyboardInterrupt, click.Abort):
        code = _interrupt.exit_code
    except Exception as error:
        # NumPy makes an ImportError of a Ctrl-C while it is imported.
        if _interrupt.number is not None:
            code = _interrupt.exit_code
        elif any(sign in str(error).lower() for sign in _SIGNS_OF_LITTLE_MEMORY):
            code = _out_of_memory()
        else:
            raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if code == _interrupt.exit_code:
        word = _ENDINGS[signal.Signals(code - 128)]
        outcome = (
            " while plotting: the results are complete."
            if _interrupt.results_are_safe
            else ": no result was written."
        )
        say(word + outcome)
    sys.exit(code)


def _out_of_memory() -> int:
    say("Error: out of memory. Use a machine with more, or a smaller -bs/--batch-size.")
    return 1


class _Interrupt:
    """What Ctrl-C does: stop, and be remembered, as a library may swallow the exception.

    Attributes
    ----------
    number
        The first signal that came.
    waits
        Whether it is remembered only.
    results_are_safe
        Whether what there is to stop is not the results.
    """

    number: int | None
    waits: bool
    results_are_safe: bool

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget, for another command of the same process."""
        self.number = None
        self.waits = self.results_are_safe = False

    @property
    def exit_code(self) -> int:
        return 128 + (self.number or signal.SIGINT)

    def __call__(self, number: int, _: object) -> None:
        self.number = self.number or number
        if not self.waits:
            raise KeyboardInterrupt


_interrupt = _Interrupt()


class _Reporter(StageReporter):
    """Progress of a run that Ctrl-C ends, but while its results are put in place."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def __call__(self, event: Progress) -> None:
        if _interrupt.number is not None:
            raise KeyboardInterrupt
        if event.stage != "write":
            super().__call__(event)
            return
        self.finish()
        # From here on it is a matter of milliseconds, and the answer must be one or the other.
        _interrupt.waits = event.done == event.total

    def results_are_safe(self) -> None:
        """Let Ctrl-C end what is left to do, which is not the results."""
        _interrupt.results_are_safe = True
        _interrupt.waits = False
        if _interrupt.number is not None:
            raise KeyboardInterrupt


def _draw_plots(
    scored: Scored, output_dir: str, plot_format: str, reporter: _Reporter, *, quiet: bool
) -> None:
    """Draw what can be drawn; what cannot is no error, as the results are complete."""
    from cytotrace2_lite.plots import missing_packages, no_plots, write_plots

    lacking = missing_packages(with_umap=scored.result.embedding is None)
    if lacking:
        if not quiet:
            say(f"{no_plots(lacking)} (-dpl hides this line)")
        return
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
    if _interrupt.number is not None:  # and taken by a library for an error of its own
        raise KeyboardInterrupt
    for problem in problems:
        say(f"Warning: {problem}")
    if paths and not quiet:
        say(f"Plots: {len(paths)} .{plot_format} files in {output_dir}")


def _model_line(info: Any) -> str:
    notes = []
    if info.official:
        notes.append(f"official CytoTRACE 2 weights, version {info.official}")
    if info.name == BUNDLED_MODEL:
        notes.append("an open ensemble, not the official CytoTRACE 2 weights")
    if info.architecture != "1.1.0":
        notes.append(
            f"architecture {info.architecture} in the pipeline of 1.1.0, "
            "which smooths on log2 CPM, not on ranks"
        )
    note = f" ({'; '.join(notes)})" if notes else ""
    return f"Model: {info.name}{note}, {info.n_members} members, SHA-256 {info.sha256[:12]}"


def _summary(result: Result, results: str) -> str:
    counts = ", ".join(f"{n} {label}" for label, n in result.info["potencies"].items() if n)
    n_features = result.info["genes"]["n_mapped"]
    seconds = result.info["seconds"]["total"]
    return (
        f"{len(result.cells)} cells, {n_features} genes of the model, {seconds:.1f} s: {counts}\n"
        f"Results: {results}"
    )
