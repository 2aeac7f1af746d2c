"""The commands of `ct2-lite`. Nothing heavy is imported here: `--help` answers at once."""

from __future__ import annotations

import click

from cytotrace2_lite._version import __version__
from cytotrace2_lite.cli.check import check
from cytotrace2_lite.cli.compare import compare
from cytotrace2_lite.cli.models import models
from cytotrace2_lite.cli.run import run
from cytotrace2_lite.cli.stdout import QuietGroup

__all__ = ["cli"]


@click.group(
    cls=QuietGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="ct2-lite")
def cli() -> None:
    """CytoTRACE 2: how much developmental potential each cell has, from single-cell RNA-seq."""


for command in (run, check, models, compare):
    cli.add_command(command)
