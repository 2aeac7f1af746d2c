"""Options that `run` and `check` share: what is read, and how it is scored.

Each is defined once. A decorator adds them to a command in the order of its help, and gives their
values to the command as one `Dataset`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from cytotrace2_lite.cli.log import open_log
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.system.paths import expanded

if TYPE_CHECKING:
    from collections.abc import Callable

    from cytotrace2_lite.base.options import RunOptions

    Command = Callable[..., None]

__all__ = [
    "Dataset",
    "dataset_options",
    "log_option",
    "model_option",
    "output_option",
    "quiet_option",
    "strict_option",
]

_UNITS = " KMGT"
# What results, tables and pictures are called; with a slash at its end it is a directory.
_NAME_OF_A_FILE = re.compile(
    r"(.*[^/\\]+)\.(txt|tsv|csv|tab|parquet|feather|arrow|h5|h5ad|json|xlsx?|rds|mtx|png|pdf|svg)"
    r"(\.(gz|bz2|xz|zst))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Dataset:
    """A dataset that the command line names, and how it is read and scored.

    Attributes
    ----------
    paths
        Of the expression tables, "-" for standard input; none where none was named.
    sheet
        The sheet that lists them; None where there is none.
    annotation_path
        The annotation, "" for none.
    batch_key
        Column with the sample of each cell; None where all cells are one sample.
    options
        What decides the scores; the model as it was named.
    """

    paths: tuple[str, ...]
    sheet: str | None
    annotation_path: str
    batch_key: str | None
    options: RunOptions

    @property
    def path(self) -> str:
        """Path of the expression table. If there is not just one, this raises a UsageError."""
        if len(self.paths) != 1:
            raise _once()
        return self.paths[0]

    @property
    def is_one(self) -> bool:
        """Whether one table was named, and no sheet."""
        return self.sheet is None and len(self.paths) < 2


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
            self.fail(f"{value!r} is not a size. Give a number with a unit, such as 800M or 2G.")
        base = 1024 if match[3] == "IB" else 1000
        n_bytes = int(float(match[1]) * base ** _UNITS.index(match[2] or " "))
        if n_bytes < 1:
            self.fail(f"{value!r} is not a size. It must be at least one byte.")
        return n_bytes


def _use_preset(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Change the defaults of other options. `--preset` is read before them, as it is eager."""
    del param
    if value is not None:
        from cytotrace2_lite.base.parameters import PRESETS

        ctx.default_map = {**(ctx.default_map or {}), **PRESETS[value]}


# In the order of the help.
_DATASET_OPTIONS: tuple[Callable[[Command], Command], ...] = (
    click.option("-f", "--input-path", metavar="EXPR", help="The same as the argument EXPR."),
    click.option(
        "-a",
        "--annotation-path",
        default="",
        metavar="FILE|COLUMN",
        help="Table of cell ids and labels, or the name of a column of obs of a .h5ad.",
    ),
    click.option(
        "--batch-key",
        metavar="COLUMN",
        help="Column with the sample of each cell, in the annotation or, without one, in obs of a "
        ".h5ad. Each sample is then scored by itself.",
    ),
    click.option(
        "-sp",
        "--species",
        type=click.Choice(["mouse", "human"], case_sensitive=False),
        default="mouse",
        show_default=True,
        help="Species of the gene names.",
    ),
    click.option(
        "--layer",
        metavar="NAME",
        help="Layer of a .h5ad to read, X for X; ASSAY/LAYER of an R object.",
    ),
    click.option("--use-raw", is_flag=True, help="Read .raw of a .h5ad in place of X."),
    click.option(
        "--orientation",
        type=click.Choice(["auto", "genes-x-cells", "cells-x-genes"]),
        default="auto",
        show_default=True,
        help="Whether the rows of a table are genes or cells; auto decides by their names.",
    ),
    click.option(
        "--duplicate-genes",
        type=click.Choice(["error", "first", "sum"]),
        default="error",
        show_default=True,
        help="What to do with several genes of the same name.",
    ),
    click.option(
        "--gene-column",
        metavar="NAME",
        help="Names of the genes: a column of var of a .h5ad; symbols or ids of 10x data.  "
        "[default: those of which the model knows most]",
    ),
    click.option(
        "--orthologs",
        metavar="FILE",
        help="For other species, at your own risk: tab-separated table of genes, mouse symbols.",
    ),
    click.option(
        "--preset",
        type=click.Choice(["paper"]),
        is_eager=True,
        expose_value=False,
        callback=_use_preset,
        help="Settings by name. paper: -bs 100000 -sbs 10000 -r 14, as in the paper. Options that "
        "you give override them.",
    ),
    click.option(
        "-bs",
        "--batch-size",
        type=click.IntRange(min=1),
        default=10_000,
        show_default=True,
        help="Largest number of cells processed together.",
    ),
    click.option(
        "-sbs",
        "--smooth-batch-size",
        type=click.IntRange(min=1),
        default=1000,
        show_default=True,
        help="Largest number of cells smoothed by diffusion together.",
    ),
    click.option(
        "-mc",
        "--max-cores",
        type=click.IntRange(min=1),
        default=None,
        help="Number of threads.  [default: one per processor that this process may use]",
    ),
    click.option(
        "--max-memory",
        type=_Size(),
        metavar="SIZE",
        help="Memory that the program may take, such as 800M or 2G. Values that do not fit are "
        "kept in a temporary file.  [default: what the machine has left]",
    ),
    click.option("-dpa", "--disable-parallelization", is_flag=True, help="Use one thread."),
    click.option(
        "-r",
        "--seed",
        type=click.IntRange(0, 2**32 - 1),
        default=14,
        show_default=True,
        help="Seed of the random splits into batches.",
    ),
)

#: Adds `--strict`, which is in the options of the `Dataset`.
strict_option = click.option(
    "--strict", is_flag=True, help="Treat warnings about the data as errors."
)

#: Adds `-m`, which is in the options of the `Dataset`.
model_option = click.option(
    "-m",
    "--model",
    metavar="MODEL",
    help="A model's name or an .onnx file.  [default: see ct2-lite models list]",
)

#: Adds `-q`.
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print only warnings and errors.")

#: Adds `--log`, which is opened before the other options are read.
log_option = click.option(
    "--log",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=open_log,
    help="Append what is said on standard error to FILE, with times; with -q, too, what it hides.",
)


def output_option(text: str, *, or_stdout: bool = False) -> Callable[[Command], Command]:
    """Make the option `-o`, which takes no name of a file.

    Parameters
    ----------
    text
        Its help.
    or_stdout
        Whether "-" stands for standard output.

    Returns
    -------
    callable
        A decorator of a command.
    """

    def checked(ctx: click.Context, param: click.Parameter, value: str) -> str:
        del ctx, param
        match = _NAME_OF_A_FILE.fullmatch(value)
        if match is None or os.path.isdir(expanded(value)):  # noqa: PTH112
            return value
        remedy = f"Give a directory, such as -o {match[1]}"
        if or_stdout and match[2].lower() == "h5ad":
            remedy += f"; --write-h5ad {value} writes a copy of an .h5ad input with the results"
        elif or_stdout:
            remedy += f"; -o - > {value} writes the results alone to such a file"
        raise UsageError(
            f"{value}: -o/--output-dir is a directory, and this looks like the name of a file. "
            f"{remedy}."
        )

    return click.option(
        "-o",
        "--output-dir",
        default="cytotrace2_results",
        show_default=True,
        metavar="DIR",
        callback=checked,
        help=text,
    )


def dataset_options(metavar: str, *, several: bool = False) -> Callable[[Command], Command]:
    """Add the options on a dataset to a command, which takes them as its argument `dataset`.

    The command has the options of `model_option` and `strict_option`, too.

    Parameters
    ----------
    metavar
        How the usage line shows the expression table.
    several
        Whether there may be several, and a sheet.

    Returns
    -------
    callable
        A decorator, whose result `click.command` takes.
    """
    argument = click.argument(
        "expression", required=False, nargs=-1 if several else 1, metavar=metavar
    )

    def decorated(command: Command) -> Command:
        command = _with_dataset(command)
        return argument(_sheet_option(command) if several else command)

    return decorated


_sheet_option = click.option(
    "--sheet",
    metavar="FILE",
    help="Table of several EXPR, tab- or comma-separated, with the columns path and, if wanted, "
    "sample, species, annotation. Paths are relative to it.",
)


def _with_dataset(command: Command) -> Command:
    """Add all options on a dataset but the argument."""

    @wraps(command)
    def with_dataset(
        *,
        expression: str | tuple[str, ...] | None,
        input_path: str | None,
        sheet: str | None = None,
        annotation_path: str,
        batch_key: str | None,
        species: str,
        layer: str | None,
        use_raw: bool,
        orientation: str,
        duplicate_genes: str,
        gene_column: str | None,
        orthologs: str | None,
        model: str | None,
        batch_size: int,
        smooth_batch_size: int,
        seed: int,
        max_cores: int | None,
        max_memory: int | None,
        disable_parallelization: bool,
        strict: bool,
        **own: object,
    ) -> None:
        from cytotrace2_lite.base.options import RunOptions

        paths = (expression,) if isinstance(expression, str) else expression or ()
        if input_path is not None:
            if paths:
                raise _once()
            paths = (input_path,)
        if paths and sheet is not None:
            raise click.UsageError("Give expression tables or a --sheet of them, not both.")
        dataset = Dataset(
            paths=paths,
            sheet=sheet,
            annotation_path=annotation_path,
            batch_key=batch_key,
            options=RunOptions(
                layer=layer,
                use_raw=use_raw,
                orientation=orientation,
                duplicate_genes=duplicate_genes,
                gene_column=gene_column,
                species=species,
                orthologs=orthologs,
                model=model,
                batch_size=batch_size,
                smooth_batch_size=smooth_batch_size,
                seed=seed,
                max_cores=1 if disable_parallelization else max_cores,
                max_memory=max_memory,
                strict=strict,
            ),
        )
        command(dataset=dataset, **own)

    decorated: Command = with_dataset
    for option in reversed(_DATASET_OPTIONS):
        decorated = option(decorated)
    return decorated


def _once() -> click.UsageError:
    command = click.get_current_context().command.name
    return click.UsageError(f"Give the expression table once: ct2-lite {command} EXPR")
