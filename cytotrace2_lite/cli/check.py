"""The command `ct2-lite check`: whether a table can be scored, or the installation works."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from cytotrace2_lite._version import __version__
from cytotrace2_lite.cli.interrupt import RunReporter
from cytotrace2_lite.cli.options import Dataset, dataset_options, model_option, quiet_option
from cytotrace2_lite.cli.progress import model_line, say
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cytotrace2_lite.base.finding import Finding
    from cytotrace2_lite.base.options import RunOptions

__all__ = ["check"]

# Options that mean something without a table.
_FOR_INSTALLATION = {"model", "max_cores", "disable_parallelization"}
_LIBRARIES = ("onnxruntime", "numpy", "scipy", "pyarrow")


@click.command()
@dataset_options
@model_option
@quiet_option
@click.option("--json", "as_json", is_flag=True, help="Write what was found as JSON.")
@click.pass_context
def check(ctx: click.Context, *, dataset: Dataset, quiet: bool, as_json: bool) -> None:
    """Check whether EXPR can be scored; without EXPR, whether this installation works.

    EXPR is read and checked as `run` does before it computes anything: species and number of
    genes, log-transformed values, counts per cell, ids of the annotation, time and memory. Exit
    code 0: it can be scored, though maybe with warnings; 3: it cannot; 4: no usable genes.

    Without EXPR, the model is loaded and scores made-up cells with known scores.
    """
    if dataset.path is None:
        _refuse_options_on_tables(ctx)
        _check_installation(dataset.options)
    else:
        _check_table(dataset, quiet=quiet, as_json=as_json)


def _refuse_options_on_tables(ctx: click.Context) -> None:
    for param in ctx.command.params:
        name = param.name or ""
        given = ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name not in _FOR_INSTALLATION:
            raise click.UsageError(
                f"{param.opts[-1]} goes with a table: ct2-lite check EXPR {param.opts[-1]} ..."
            )


def _check_table(dataset: Dataset, *, quiet: bool, as_json: bool) -> None:
    from cytotrace2_lite.base.finding import Finding
    from cytotrace2_lite.directory import check_file
    from cytotrace2_lite.models.ensemble import Ensemble

    path = dataset.require_path()
    try:
        model = Ensemble.load(dataset.options.model)
        if not quiet:
            say(model_line(model.info))
        with RunReporter(quiet=quiet) as reporter:
            findings = check_file(
                path,
                replace(dataset.options, model=model),
                annotation_path=dataset.annotation_path,
                batch_key=dataset.batch_key,
                progress=reporter,
            )
    except CytoTRACE2Error as error:
        if as_json:
            click.echo(_as_json(path, [Finding.of_error(error)]))
        raise
    if as_json:
        click.echo(_as_json(path, findings))
    else:
        _print_findings(path, findings, quiet=quiet)


def _as_json(path: str, findings: Sequence[Finding]) -> str:
    return json.dumps({"input": path, "findings": list(map(asdict, findings))}, indent=2)


def _print_findings(path: str, findings: Sequence[Finding], *, quiet: bool) -> None:
    # What needs attention comes last, where it is seen.
    for finding in sorted(findings, key=lambda finding: finding.severity):
        if quiet and finding.severity == "note":
            continue
        click.echo(f"{finding.severity:<8} " + f"\n{'':<9}".join(finding.sentences))
    n_warnings = sum(finding.severity == "warning" for finding in findings)
    count = f"{n_warnings or 'no'} warning{'' if n_warnings == 1 else 's'}"
    click.echo(f"{printable(path)}: can be scored, {count}")


def _check_installation(options: RunOptions) -> None:
    import platform
    from importlib.metadata import version

    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.models.verify import verify
    from cytotrace2_lite.system.machine import available_cores, peak_memory

    threads = available_cores() if options.max_cores is None else options.max_cores
    versions = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    click.echo(f"cytotrace2_lite {__version__}, Python {platform.python_version()}, {versions}")
    model = Ensemble.load(options.model)
    click.echo(model_line(model.info))
    click.echo(printable(model.info.path))
    result = verify(model, threads=threads)
    memory = peak_memory()
    held = "" if memory is None else f", {memory / 1e6:.0f} MB of memory"
    click.echo(f"{threads} threads{held}")
    click.echo(
        f"ok: {len(result.score)} cells scored, off by {result.difference:.0e} at most "
        f"(scores {result.score.min():.3f} to {result.score.max():.3f})"
    )
