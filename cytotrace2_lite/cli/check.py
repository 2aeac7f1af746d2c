"""The command `ct2-lite check`: whether a table can be scored, or the installation works."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import click

from cytotrace2_lite._version import __version__
from cytotrace2_lite.cli.interrupt import InterruptibleReporter
from cytotrace2_lite.cli.model_line import model_line
from cytotrace2_lite.cli.options import (
    Dataset,
    dataset_options,
    log_option,
    model_option,
    quiet_option,
    strict_option,
)
from cytotrace2_lite.cli.progress import say
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.text import printable

__all__ = ["check"]

_WARNINGS_FOUND = 6  # exit code, where it was asked for


@click.command()
@dataset_options("[EXPR]")
@model_option
@quiet_option
@log_option
@strict_option
@click.option("--json", "as_json", is_flag=True, help="Write what was found as JSON.")
def check(*, dataset: Dataset, quiet: bool, as_json: bool) -> None:
    """Check whether EXPR can be scored; without EXPR, whether this installation works.

    EXPR is read and checked as `run` does before it computes anything: species and number of
    genes, log-transformed values, counts per cell, ids of the annotation, time and memory. Exit
    code 0: it can be scored, though maybe with warnings; 3: it cannot; 4: no usable genes; 6, with
    --strict: there are warnings.

    Without EXPR, the model is loaded and scores made-up cells with known scores.
    """
    if dataset.expression is None:
        _refuse_options_without_table()
        _check_installation(dataset.options.model, dataset.options.max_cores)
    else:
        _check_table(dataset, quiet=quiet, as_json=as_json)


def _refuse_options_without_table() -> None:
    context = click.get_current_context()
    allowed = {"model", "max_cores", "disable_parallelization", "log"}
    for param in context.command.params:
        name = param.name or ""
        source = context.get_parameter_source(name)
        if name not in allowed and source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{param.opts[-1]} goes with a table: ct2-lite check EXPR {param.opts[-1]} ..."
            )


def _check_table(dataset: Dataset, *, quiet: bool, as_json: bool) -> None:
    path = dataset.path
    from cytotrace2_lite.base.finding import Finding
    from cytotrace2_lite.directory import check_file
    from cytotrace2_lite.models.ensemble import Ensemble

    def report(findings: list[Finding]) -> None:
        click.echo(json.dumps({"input": path, "findings": list(map(asdict, findings))}, indent=2))

    try:
        ensemble = Ensemble.load(dataset.options.model)
        say(model_line(ensemble.info), quiet=quiet)
        with InterruptibleReporter(quiet=quiet) as reporter:
            findings = check_file(
                path,
                replace(dataset.options, model=ensemble),
                annotation_path=dataset.annotation_path,
                batch_key=dataset.batch_key,
                progress=reporter,
            )
    except CytoTRACE2Error as error:
        if as_json:
            report([Finding.of_error(error)])
        raise
    n_warnings = sum(finding.severity == "warning" for finding in findings)
    exit_code = _WARNINGS_FOUND if dataset.options.strict and n_warnings else 0
    if as_json:
        report(findings)
        click.get_current_context().exit(exit_code)
    # What needs attention comes last, where it is seen.
    for finding in sorted(findings, key=lambda finding: finding.severity):
        if quiet and finding.severity == "note":
            continue
        click.echo(f"{finding.severity:<8} " + f"\n{'':<9}".join(finding.sentences))
    count = f"{n_warnings or 'no'} warning{'' if n_warnings == 1 else 's'}"
    click.echo(f"{printable(path)}: can be scored, {count}")
    click.get_current_context().exit(exit_code)


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
    click.echo(model_line(ensemble.info))
    click.echo(printable(ensemble.info.path))
    result = verify(ensemble, threads=threads)
    memory = peak_memory()
    held = "" if memory is None else f", {memory / 1e6:.0f} MB of memory"
    click.echo(f"{threads} threads{held}")
    click.echo(
        f"ok: {len(result.score)} cells scored, off by {result.difference:.0e} at most "
        f"(scores {result.score.min():.3f} to {result.score.max():.3f})"
    )
