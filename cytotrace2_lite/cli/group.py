"""The command `ct2-lite` with its subcommands.

Their modules import NumPy and other large libraries only when a command works: `--help` and
`--version` answer at once.
"""

from __future__ import annotations

from typing import Any

import click

from cytotrace2_lite._version import __version__
from cytotrace2_lite.cli.check import check
from cytotrace2_lite.cli.compare import compare
from cytotrace2_lite.cli.explain import explain
from cytotrace2_lite.cli.models import models
from cytotrace2_lite.cli.r_function import r_function
from cytotrace2_lite.cli.report import report
from cytotrace2_lite.cli.run import run
from cytotrace2_lite.cli.stdout import abandon_stdout

__all__ = ["cli"]

_CLOSED_PIPE = 128 + 13  # what shells report of a process that SIGPIPE ended


class _QuietGroup(click.Group):
    """Commands that end without a message where the reader of a pipe has gone, as `| head` does."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            abandon_stdout()
            ctx.exit(_CLOSED_PIPE)


@click.group(
    cls=_QuietGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="ct2-lite")
def cli() -> None:
    """CytoTRACE 2: how much developmental potential each cell has, from single-cell RNA-seq."""


for _command in (run, explain, check, models, compare, report, r_function):
    cli.add_command(_command)
