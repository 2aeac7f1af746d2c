"""The command `ct2-lite check`: whether a table can be scored, or the installation works."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from cytotrace2_lite._version import __version__
from cytotrace2_lite.cli.cohort import samples_of, task_of
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
from cytotrace2_lite.cli.scoring import Task
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.text import printable

if TYPE_CHECKING:
    from cytotrace2_lite.base.finding import Finding

__all__ = ["check"]

_WARNINGS_FOUND = 6  # exit code, where it was asked for


@click.command()
@dataset_options("[EXPR]...", several=True)
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
    --strict: there are warnings. Of several EXPR, or a --sheet of them, all are checked, and the
    exit code is that of the first that cannot be scored.

    Without EXPR, the model is loaded and scores made-up cells with known scores.
    """
    if dataset.is_one and not dataset.paths:
        _refuse_options_without_table()
        _check_installation(dataset.options.model, dataset.options.max_cores)
    elif dataset.is_one:
        _check_table(dataset, quiet=quiet, as_json=as_json)
    else:
        _check_samples(dataset, quiet=quiet, as_json=as_json)


def _refuse_options_without_table() -> None:
    context = click.get_current_context()
    allowed = {"model", "max_cores", "disable_parallelization", "log"}
    for param in context.command.params:
        if isinstance(param, click.Argument):
            continue  # the table; click 8.1 takes one that is not there for given
        name = param.name or ""
        source = context.get_parameter_source(name)
        if name not in allowed and source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{param.opts[-1]} goes with a table: ct2-lite check EXPR {param.opts[-1]} ..."
            )


def _check_table(dataset: Dataset, *, quiet: bool, as_json: bool) -> None:
    path = dataset.path
    from cytotrace2_lite.base.finding import Finding
    from cytotrace2_lite.models.ensemble import Ensemble

    try:
        ensemble = Ensemble.load(dataset.options.model)
        say(model_line(ensemble.info), quiet=quiet)
        options = replace(dataset.options, model=ensemble)
        task = Task(path, dataset.annotation_path, dataset.batch_key, options)
        findings = _findings(task, quiet=quiet)
    except CytoTRACE2Error as error:
        if as_json:
            click.echo(json.dumps(_as_json(path, [Finding.of_error(error)]), indent=2))
        raise
    if as_json:
        click.echo(json.dumps(_as_json(path, findings), indent=2))
    else:
        _tell(path, findings, quiet=quiet)
    has_warnings = any(finding.severity == "warning" for finding in findings)
    strict = dataset.options.strict and has_warnings
    click.get_current_context().exit(_WARNINGS_FOUND if strict else 0)


def _check_samples(dataset: Dataset, *, quiet: bool, as_json: bool) -> None:
    """Check several tables; an error of one of them does not end the others."""
    from cytotrace2_lite.base.finding import Finding
    from cytotrace2_lite.models.ensemble import Ensemble

    samples = samples_of(dataset)
    ensemble = Ensemble.load(dataset.options.model)
    say(model_line(ensemble.info), quiet=quiet)
    documents, exit_codes = [], []
    has_warnings = False
    for sample in samples:
        code = 0
        try:
            findings = _findings(task_of(sample, dataset, ensemble), quiet=quiet)
        except CytoTRACE2Error as error:
            code, findings = error.exit_code, [Finding.of_error(error)]
            say(f"Error: {sample.name}: {error}")
            if not as_json:
                click.echo(f"{printable(sample.path)}: cannot be scored")
        else:
            has_warnings |= any(finding.severity == "warning" for finding in findings)
            if not as_json:
                _tell(sample.path, findings, quiet=quiet)
        documents.append({"sample": sample.name, **_as_json(sample.path, findings)})
        exit_codes.append(code)
    if as_json:
        click.echo(json.dumps(documents, indent=2))
    strict = _WARNINGS_FOUND if dataset.options.strict and has_warnings else 0
    click.get_current_context().exit(next(filter(None, exit_codes), strict))


def _findings(task: Task, *, quiet: bool) -> list[Finding]:
    from cytotrace2_lite.directory import check_file

    with InterruptibleReporter(quiet=quiet) as reporter:
        return check_file(
            task.path,
            task.options,
            annotation_path=task.annotation_path,
            batch_key=task.batch_key,
            progress=reporter,
        )


def _as_json(path: str, findings: list[Finding]) -> dict[str, object]:
    return {"input": path, "findings": list(map(asdict, findings))}


def _tell(path: str, findings: list[Finding], *, quiet: bool) -> None:
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
