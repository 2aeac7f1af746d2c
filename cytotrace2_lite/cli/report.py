"""The command `ct2-lite report`: the report of results that were written before."""

from __future__ import annotations

from pathlib import Path

import click

from cytotrace2_lite.cli.explain import names_in_list
from cytotrace2_lite.cli.options import log_option, quiet_option
from cytotrace2_lite.cli.progress import say
from cytotrace2_lite.system.paths import expanded

__all__ = ["report"]


@click.command()
@click.argument("directory", metavar="DIR")
@click.option(
    "-a",
    "--annotation-path",
    default="",
    metavar="FILE",
    help="Table of cell ids and labels.",
)
@click.option(
    "--batch-key", metavar="COLUMN", help="Column of the annotation with the sample of each cell."
)
@click.option(
    "--embedding",
    metavar="FILE",
    help="Table of cell ids, x, y for the map.  [default: cytotrace2_umap.tsv in DIR]",
)
@click.option(
    "--input",
    "input_path",
    metavar="EXPR",
    help="The expression that was scored, for --genes.",
)
@click.option(
    "--genes",
    multiple=True,
    metavar="GENE[,GENE]",
    callback=names_in_list,
    help="Genes of --input that the report can colour the cells by.",
)
@click.option(
    "--prefix", default="", metavar="NAME", help="The names of the files in DIR begin with NAME_."
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Where the report is written.  [default: cytotrace2_report.html in DIR]",
)
@quiet_option
@log_option
def report(
    *,
    directory: str,
    annotation_path: str,
    batch_key: str | None,
    embedding: str | None,
    input_path: str | None,
    genes: tuple[str, ...],
    prefix: str,
    output: str | None,
    quiet: bool,
) -> None:
    """Write a report of earlier results, for any browser.

    It is one HTML file with linked views of the cells, and the tables of the run. It shows what is
    in DIR: the results, run.json, cytotrace2_umap.tsv (of a run with plots or --report) and
    cytotrace2_genes.tsv (of --explain or ct2-lite explain). Raw scores are there if the results
    have them (--extra-columns).
    """
    if batch_key is not None and not annotation_path:
        raise click.UsageError(
            "--batch-key names a column of the annotation: give the file, too "
            "(-a/--annotation-path)."
        )
    if bool(genes) != (input_path is not None):
        raise click.UsageError("--genes and --input go together: which genes, of which file.")
    from cytotrace2_lite.report import (
        REPORT_FILE,
        Added,
        contents_of_directory,
        report_bytes,
        require_bokeh,
    )
    from cytotrace2_lite.system.files import write_whole

    require_bokeh()
    directory = expanded(directory)
    begin = f"{prefix.removesuffix('_')}_" if prefix else ""
    added = Added(
        annotation_path=expanded(annotation_path),
        batch_key=batch_key,
        embedding=expanded(embedding),
        input_path=expanded(input_path),
        genes=genes,
        prefix=begin,
    )
    target = Path(directory, begin + REPORT_FILE) if output is None else Path(expanded(output))
    contents = contents_of_directory(directory, added)
    write_whole({target: report_bytes(contents)})
    for why in (contents.why_no_map, contents.why_no_genes):
        if why:
            say(f"Warning: {why}")
    say(f"Report: {target}", quiet=quiet)
