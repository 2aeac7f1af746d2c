"""The command `ct2-lite r-function`: where the R function is."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["r_function"]

_FILE = Path(__file__).parents[1] / "data" / "cytotrace2_lite.R"


@click.command("r-function")
def r_function() -> None:
    """Print the path of an R file with the function cytotrace2_lite().

    It scores Seurat objects, SingleCellExperiments, matrices and data frames. In R:
    source(system2("ct2-lite", "r-function", stdout = TRUE))
    """
    click.echo(_FILE)
