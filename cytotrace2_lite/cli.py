"""The command line `ct2-lite`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from cytotrace2_lite import __version__
from cytotrace2_lite.cli_models import models
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.models import BUNDLED_MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cytotrace2_lite.pipeline import Progress
    from cytotrace2_lite.results import Result

__all__ = ["main"]

_INTERRUPTED = 130
_STAGES = {
    "read": "Reading",
    "preprocess": "Ranking genes",
    "predict": "Predicting potency",
    "diffuse": "Smoothing by diffusion",
    "components": "Principal components",
    "neighbors": "Smoothing over neighbours",
}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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
    "-sp",
    "--species",
    type=click.Choice(["mouse", "human"]),
    default="mouse",
    show_default=True,
    help="Species of the gene names.",
)
@click.option("--layer", metavar="NAME", help="Layer of a .h5ad to read in place of X.")
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
    "--orthologs",
    metavar="FILE",
    help="For other species, at your own risk: tab-separated table of genes, mouse symbols.",
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
    help="Where cytotrace2_results.txt and run.json are written.",
)
@click.option(
    "-m",
    "--model",
    metavar="MODEL",
    help="A model's name or an .onnx file.  [default: see ct2-lite models list]",
)
@click.option("-dpl", "--disable-plotting", is_flag=True, help="Draw no plots.")
@click.option(
    "-dv", "--disable-verbose", is_flag=True, help="Say only which model, warnings and errors."
)
def run(
    *,
    expression: str | None,
    input_path: str | None,
    max_cores: int | None,
    disable_parallelization: bool,
    disable_plotting: bool,
    disable_verbose: bool,
    **options: Any,
) -> None:
    """Score the cells of EXPR: raw counts, CPM or TPM, not log-transformed.

    EXPR is a table of genes by cells as tab- or comma-separated text (also .gz, .bz2, .zst; "-" is
    standard input), Parquet, Feather or Arrow, a 10x directory or .h5, or a .h5ad. Genes are
    symbols or Ensembl ids.
    """
    if (expression is None) == (input_path is None):
        raise click.UsageError("Give the expression table once: ct2-lite run EXPR")
    # Only here are the heavy libraries imported: --help answers at once.
    from cytotrace2_lite.api import score_to_directory
    from cytotrace2_lite.ensemble import Ensemble

    options["model"] = Ensemble.load(options["model"])
    _say(_model_line(options["model"].info))
    result = score_to_directory(
        expression or input_path or "",
        max_cores=1 if disable_parallelization else max_cores,
        progress=_Reporter(quiet=disable_verbose),
        announce=None if disable_verbose else lambda source: _say(f"Input: {source.describe()}"),
        **options,
    )
    for warning in result.warnings:
        _say(f"Warning: {warning}")
    if not disable_verbose:
        _say(_summary(result, options["output_dir"]))
        if not disable_plotting:
            _say("No plots: this version draws none (-dpl hides this line).")


@cli.command()
@click.option("-m", "--model", metavar="MODEL", help="As for run.")
@click.option(
    "-mc", "--max-cores", type=click.IntRange(min=1), default=None, help="Number of threads."
)
def check(*, model: str | None, max_cores: int | None) -> None:
    """See that this installation works: load the model, score made-up cells with known scores."""
    import platform
    from importlib.metadata import version

    from cytotrace2_lite.ensemble import Ensemble
    from cytotrace2_lite.machine import available_cores, peak_memory
    from cytotrace2_lite.selfcheck import check as check_model

    threads = available_cores() if max_cores is None else max_cores
    libraries = ("onnxruntime", "numpy", "scipy", "pyarrow")
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    click.echo(f"cytotrace2_lite {__version__}, Python {platform.python_version()}, {versions}")
    ensemble = Ensemble.load(model)
    click.echo(_model_line(ensemble.info))
    click.echo(ensemble.info.path)
    result = check_model(ensemble, threads=threads)
    memory = peak_memory()
    held = "" if memory is None else f", {memory / 1e6:.0f} MB of memory"
    click.echo(f"{threads} threads{held}")
    click.echo(
        f"ok: {len(result.score)} cells scored, off by {result.difference:.0e} at most "
        f"(scores {result.score.min():.3f} to {result.score.max():.3f})"
    )


cli.add_command(models)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    0 done, 1 unexpected or the results cannot be written, 2 usage, 3 input, 4 no usable genes,
    5 model, 130 interrupted.

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
    # Not where the caller has Ctrl-C ignored, as for a job in the background.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        _interrupt.pressed = False
        signal.signal(signal.SIGINT, _interrupt)
    try:
        cli.main(arguments, prog_name="ct2-lite", standalone_mode=False)
        code = 0
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except CytoTRACE2Error as error:
        _say(f"Error: {error}")
        code = error.exit_code
    except MemoryError:
        _say("Error: out of memory. Use a machine with more, or a smaller -bs/--batch-size.")
        code = 1
    except (KeyboardInterrupt, click.Abort):
        code = _INTERRUPTED
    except Exception:
        # NumPy makes an ImportError of a Ctrl-C while it is imported.
        if not _interrupt.pressed:
            raise
        code = _INTERRUPTED
    finally:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if code == _INTERRUPTED:
        _say("Interrupted: no result was written.")
    sys.exit(code)


class _Interrupt:
    """What Ctrl-C does: stop, and be remembered, as a library may swallow the exception."""

    pressed = False

    def __call__(self, *_: object) -> None:
        self.pressed = True
        raise KeyboardInterrupt


_interrupt = _Interrupt()


def _say(text: str, *, end: str = "\n") -> None:
    """Write to standard error; nobody reading it is no reason to lose results."""
    with contextlib.suppress(OSError):
        click.echo(text + end, err=True, nl=False)


class _Reporter:
    """One line per stage on standard error; on a terminal it counts up in place."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._stage = ""
        self._started = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def __call__(self, event: Progress) -> None:
        if _interrupt.pressed:
            raise KeyboardInterrupt
        if event.stage == "write":
            # From here on it is a matter of milliseconds, and the answer must be one or the other.
            if signal.getsignal(signal.SIGINT) is _interrupt:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            self.finish()
            return
        now = time.monotonic()
        if event.stage != self._stage:
            self.finish()
            self._stage, self._started = event.stage, now
        if self._terminal and not self._quiet and now - self._shown >= 0.1:
            share = f"{100 * event.done / event.total:3.0f} %" if event.total else ""
            _say(f"\r{_STAGES[event.stage]} {share}", end="")
            self._shown = now

    def finish(self) -> None:
        if self._stage and not self._quiet:
            start = "\r" if self._terminal else ""
            spent = time.monotonic() - self._started
            _say(f"{start}{_STAGES[self._stage]}: {spent:.1f} s")
        self._stage = ""


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


def _summary(result: Result, output_dir: str) -> str:
    counts = ", ".join(f"{n} {label}" for label, n in result.info["potencies"].items() if n)
    n_features = result.info["genes"]["n_mapped"]
    seconds = result.info["seconds"]["total"]
    return (
        f"{len(result.cells)} cells, {n_features} genes of the model, {seconds:.1f} s: {counts}\n"
        f"Results: {os.path.join(output_dir, 'cytotrace2_results.txt')}"  # noqa: PTH118
    )
