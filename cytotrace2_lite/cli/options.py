"""Options that commands share, and what the command line makes of them."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cytotrace2_lite.base.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Dataset", "dataset_options", "model_option", "quiet_option", "strict_option"]

_Command = TypeVar("_Command", bound="Callable[..., Any]")


@dataclass(frozen=True)
class Dataset:
    """What a command is to look at, and how.

    Attributes
    ----------
    expression
        The path, "-" for standard input; None where the command was given none.
    annotation_path
        The annotation, "" for none.
    batch_key
        Column with the sample of each cell, if cells are scored by sample.
    options
        What decides the scores.
    """

    expression: str | None
    annotation_path: str
    batch_key: str | None
    options: RunOptions

    @property
    def path(self) -> str:
        """The path, without which the command is a usage error."""
        if self.expression is None:
            raise _once()
        return self.expression


class Size(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
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


_DATASET = (
    click.argument("expression", required=False, metavar="EXPR"),
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
        help="Column of the annotation (without one, of obs of a .h5ad) with the sample of each "
        "cell: score each sample by itself.",
    ),
    click.option(
        "-sp",
        "--species",
        type=click.Choice(["mouse", "human"], case_sensitive=False),
        default="mouse",
        show_default=True,
        help="Species of the gene names.",
    ),
    click.option("--layer", metavar="NAME", help="Layer of a .h5ad to read; X for X."),
    click.option("--use-raw", is_flag=True, help="Read .raw of a .h5ad in place of X."),
    click.option(
        "--orientation",
        type=click.Choice(["auto", "genes-x-cells", "cells-x-genes"]),
        default="auto",
        show_default=True,
        help="Whether the rows of a table are genes or cells; by default the names tell.",
    ),
    click.option(
        "--duplicate-genes",
        type=click.Choice(["error", "first", "sum"]),
        default="error",
        show_default=True,
        help="What to do with genes of one name.",
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
        help="Settings by name; paper: those of the paper, -bs 100000 -sbs 10000 -r 14. Other "
        "options that you give override them.",
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
        help="Number of threads.  [default: all this process may use]",
    ),
    click.option(
        "--max-memory",
        type=Size(),
        metavar="SIZE",
        help="Memory the program may take, such as 800M or 2G; what does not fit lies in a "
        "temporary file.  [default: what the machine leaves]",
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

#: Warnings are errors.
strict_option = click.option(
    "--strict", is_flag=True, help="Take warnings about the data for errors."
)

#: The model to score with.
model_option = click.option(
    "-m",
    "--model",
    metavar="MODEL",
    help="A model's name or an .onnx file.  [default: see ct2-lite models list]",
)

#: Say little.
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Say only warnings and errors.")


def dataset_options(command: _Command) -> _Command:
    """Give a command the argument EXPR and the options on what is read and how it is scored.

    Parameters
    ----------
    command
        Takes them as one keyword argument, `dataset`, and the name of the model as `model`.

    Returns
    -------
    callable
        With the options in their order, to be made a click command.
    """
    names = {field.name for field in fields(RunOptions)}

    @functools.wraps(command)
    def with_dataset(**values: Any) -> Any:
        expression, input_path = values.pop("expression"), values.pop("input_path")
        if expression is not None and input_path is not None:
            raise _once()
        if values.pop("disable_parallelization"):
            values["max_cores"] = 1
        dataset = Dataset(
            expression if input_path is None else input_path,
            values.pop("annotation_path"),
            values.pop("batch_key"),
            RunOptions(**{name: values.pop(name) for name in names & set(values)}),
        )
        return command(dataset=dataset, **values)

    wrapped: Any = with_dataset
    for option in reversed(_DATASET):
        wrapped = option(wrapped)
    decorated: _Command = wrapped
    return decorated


def _once() -> click.UsageError:
    command = click.get_current_context().command.name
    return click.UsageError(f"Give the expression table once: ct2-lite {command} EXPR")
