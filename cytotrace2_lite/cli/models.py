"""The commands `ct2-lite models`: list, install, verify, path, genes, remove."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cytotrace2_lite.cli.explain import number_or_all
from cytotrace2_lite.cli.progress import DownloadReporter, say
from cytotrace2_lite.cli.stdout import check_stdout, write_stdout
from cytotrace2_lite.errors import ModelError, UsageError
from cytotrace2_lite.models.catalog import choose_model, describe, find_model, open_to_all
from cytotrace2_lite.models.installed import (
    BUNDLED_NAMES,
    OFFICIAL_MODELS,
    bundled_model,
    installed_model,
    installed_models,
)
from cytotrace2_lite.text import printable

if TYPE_CHECKING:
    from cytotrace2_lite.models.catalog import ModelFile
    from cytotrace2_lite.models.install.installation import Installation

__all__ = ["models"]

_COLUMNS = ("NAME", "VERSION", "MEMBERS", "LICENCE", "SHA-256", "SIZE", "PATH")


@click.group()
def models() -> None:
    """List, install, verify and remove models.

    `run` uses the model named by -m/--model, else by the environment variable CT2_LITE_MODEL, else
    the installed official model, 1.1 before 1.0, else the bundled one. It never downloads anything.
    """


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_models(*, as_json: bool) -> None:
    """List the bundled and installed models, and say which one `run` uses."""
    paths = [*installed_models(), bundled_model()]
    trouble = ""
    try:
        chosen, reason = choose_model()
    except ModelError as error:
        chosen, reason, trouble = None, "", str(error)
    if chosen is not None and chosen not in paths:
        paths.insert(0, chosen)
    found = [describe(path) for path in paths]
    if as_json:
        click.echo(_as_json(found, chosen, reason, trouble))
        return
    rows = [_COLUMNS, *(_row(model) for model in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, path in zip(rows, [None, *paths], strict=True):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(f"{'*' if path and path == chosen else ' '} {printable(cells)}".rstrip())
    for model in found:
        if model.problem:
            click.echo(f"\nbroken: {model.problem}")
    for path in paths:
        if place := open_to_all(path):
            click.echo(
                f"\nwarning: {path}: anybody on this machine may change it, as all may write "
                f"{place}. Remove that permission: chmod o-w '{place}'"
            )
    click.echo(f"\n* used by run: {reason}." if not trouble else f"\nrun would stop: {trouble}")


@models.command()
@click.argument(
    "model",
    required=False,
    type=click.Choice(list(OFFICIAL_MODELS)),
    metavar=f"[{'|'.join(OFFICIAL_MODELS)}]",
)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE.onnx",
    help="Install from files already there: a directory with the members (.pt) of an ensemble, "
    "such as a checkout of the authors' repository or the resources of an installed "
    "cytotrace2-py, or a model file.",
)
@click.option(
    "--name",
    help="Name to install it under; needed for members that are not the official ones.",
)
@click.option(
    "--mirror",
    metavar="URL",
    help="Download from URL/PATH, with the paths of the authors' repository.  "
    "[environment variable: CT2_LITE_MIRROR]",
)
@click.option(
    "--accept-license",
    "--accept-licence",
    "accepted",
    is_flag=True,
    help="Accept the licence of the official weights without being asked.",
)
def install(
    *,
    model: str | None,
    source: Path | None,
    name: str | None,
    mirror: str | None,
    accepted: bool,
) -> None:
    """Install a model: an official one from its authors' repository, or from files.

    The official weights are for non-commercial use. Each file is checked against its digest, and
    the members are folded into one file, which is all that `run` needs.
    """
    if source is None and model is None:
        raise click.UsageError(
            f"Say what to install: {' or '.join(OFFICIAL_MODELS)}, or --from DIR|FILE.onnx"
        )
    if source is None and name is not None:
        raise click.UsageError("--name goes with --from; official models have their own names.")
    if source is not None and mirror is not None:
        raise click.UsageError("Give --from or --mirror, not both.")
    from cytotrace2_lite.models.install.install import install as install_model
    from cytotrace2_lite.models.install.install import is_installed
    from cytotrace2_lite.models.install.sources import from_files, from_network

    if source is not None:
        installation = from_files(source, official=model, name=name)
    else:
        installation = from_network(model or "", mirror)
    already = is_installed(installation)
    if not already:
        _ask_consent(installation, accepted=accepted)
        install_model(installation, DownloadReporter())
    path = find_model(installation.name)
    done = "is installed already" if already else "installed"
    say(f"{_line(describe(path))}, {done}: {path}")
    _say_what_run_uses(path)


@models.command()
@click.argument("model", required=False, metavar="[NAME]")
def verify(model: str | None) -> None:
    """Check that models are whole and can be loaded; all of them without a NAME."""
    from cytotrace2_lite.models.ensemble import Ensemble

    paths = [find_model(model)] if model else [*installed_models(), bundled_model()]

    def problem(path: Path) -> str:
        try:
            Ensemble.load(path)
        except ModelError as error:
            return str(error)
        click.echo(f"{_line(describe(path))}: ok")
        return ""

    problems = [text for text in map(problem, paths) if text]
    for text in problems[:-1]:
        say(f"Error: {text}")
    if problems:
        raise ModelError(problems[-1])


@models.command("path")
@click.argument("model", metavar="NAME")
def show_path(model: str) -> None:
    """Print the path of a model's file, which is all another machine needs."""
    click.echo(find_model(model))


@models.command()
@click.argument("model", metavar="NAME")
def remove(model: str) -> None:
    """Remove an installed model."""
    if model in BUNDLED_NAMES:
        raise UsageError(f"{model}: the bundled model is part of the package and stays.")
    path = installed_model(model)
    if path is None:
        raise ModelError(f"{model}: no such model is installed. See ct2-lite models list.")
    try:
        path.unlink()
    except OSError as error:
        raise ModelError(f"{path}: cannot be removed ({error.strerror}).") from error
    say(f"Removed {path}")


@models.command("genes")
@click.argument("model", required=False, metavar="[NAME]")
@click.option(
    "--top",
    default="20",
    show_default=True,
    metavar="N|all",
    callback=number_or_all,
    help="How many genes of each potency, up and down.",
)
@click.option(
    "-sp",
    "--species",
    type=click.Choice(["mouse", "human"]),
    default="mouse",
    show_default=True,
    help="Species of the names in the column gene.",
)
def show_genes(*, model: str | None, top: int | None, species: str) -> None:
    """Print which genes a model goes by, for the score and for each potency.

    A tab-separated table on standard output. The weight is what a gene adds where it is the 100th
    of its cell with 1,500 CPM: for a potency to its logit, over the mean of all six; for the score
    to the score of a cell that could be anything. members_up and members_down say in how many
    members it raises and lowers.
    """
    check_stdout("txt")
    from cytotrace2_lite.explanation.model_genes import model_gene_table
    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.models.weights import read_weights

    weights = read_weights(Ensemble.load(model).info)
    write_stdout(model_gene_table(weights, n=top, species=species).to_bytes())


def _ask_consent(installation: Installation, *, accepted: bool) -> None:
    if not installation.official:
        return
    from cytotrace2_lite.models.install.official import LICENCE_TEXT

    click.echo(LICENCE_TEXT, err=True)
    if accepted:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            "the licence was not accepted, and there is no terminal to ask on. Nothing was "
            "downloaded or installed. If you accept it, pass --accept-license."
        )
    # click.confirm writes to standard output in older versions, which is for results.
    click.echo(
        "Is your use non-commercial, and do you accept this licence? [y/N]: ", err=True, nl=False
    )
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UsageError("the licence was not accepted. Nothing was downloaded or installed.")


def _say_what_run_uses(path: Path) -> None:
    try:
        chosen, reason = choose_model()
    except ModelError as error:
        click.echo(f"ct2-lite run would stop: {error}", err=True)
        return
    if chosen == path:
        click.echo("ct2-lite run uses it, unless told otherwise.", err=True)
    else:
        click.echo(
            f"ct2-lite run uses {chosen.stem} ({reason}); for this model, add -m {path.stem}",
            err=True,
        )


def _as_json(found: list[ModelFile], chosen: Path | None, reason: str, trouble: str) -> str:
    """Give the list for programs; docs/models.md explains the keys."""
    import json

    entries = [
        {
            "name": model.name,
            "used": model.path == chosen,
            "architecture": model.architecture,
            "n_members": model.n_members,
            "licence": model.licence,
            "official": model.official,
            "sha256": model.sha256,
            "n_bytes": model.size,
            "path": str(model.path),
            "open_to_all": None if (place := open_to_all(model.path)) is None else str(place),
            "problem": model.problem or None,
        }
        for model in found
    ]
    document = {"models": entries, "reason": reason or None, "problem": trouble or None}
    return json.dumps(document, indent=2)


def _row(model: ModelFile) -> tuple[str, ...]:
    if model.problem:
        return (model.name, "broken", "", "", "", "", str(model.path))
    return (
        model.name,
        model.architecture,
        str(model.n_members),
        model.licence,
        model.sha256[:12],
        f"{model.size / 1e6:.1f} MB",
        str(model.path),
    )


def _line(model: ModelFile) -> str:
    origin = f"official {model.official}" if model.official else "not official weights"
    return f"{model.name}: {origin}, {model.n_members} members, SHA-256 {model.sha256[:12]}"
