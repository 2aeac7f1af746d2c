"""The command `ct2-lite explain`: which genes made the scores."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from cytotrace2_lite.cli.findings import teller
from cytotrace2_lite.cli.interrupt import InterruptibleReporter, interrupt
from cytotrace2_lite.cli.model_line import model_line
from cytotrace2_lite.cli.options import (
    Dataset,
    dataset_options,
    log_option,
    model_option,
    output_option,
    quiet_option,
    strict_option,
)
from cytotrace2_lite.cli.progress import say

if TYPE_CHECKING:
    from cytotrace2_lite.explanation.explanation import Explanation

__all__ = ["draw_gene_plots", "explain", "explanation_summary", "names_in_list", "number_or_all"]


# `base.potency` has the names, too, but takes NumPy along, and --help is to answer at once.
_OF = (
    *("score", "Differentiated", "Unipotent", "Oligopotent"),
    *("Multipotent", "Pluripotent", "Totipotent"),
)


def number_or_all(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    """Read a number of genes, or None for all of them."""
    del ctx, param
    if value.lower() == "all":
        return None
    if value.isdecimal() and int(value):
        return int(value)
    raise click.BadParameter(f"{value!r} is neither a whole number from 1 on nor 'all'.")


def names_in_list(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    """Take names that are given one by one, or separated by commas."""
    del ctx, param
    return tuple(name.strip() for text in value for name in text.split(",") if name.strip())


@click.command()
@dataset_options("EXPR")
@click.option(
    "--by",
    metavar="COLUMN",
    help="Groups to explain: a column of the annotation (without one, of obs of a .h5ad), or "
    "potency.  [default: the labels of the annotation; without one, potency]",
)
@click.option(
    "--of",
    type=click.Choice(_OF, case_sensitive=False),
    default="score",
    show_default=True,
    help="What is explained: the raw score, or the probability of a potency.",
)
@click.option(
    "--reference",
    default="all",
    show_default=True,
    metavar="all|GROUP",
    help="What the cells are compared with: the mean of all cells, or of a group.",
)
@click.option(
    "--contrast",
    nargs=2,
    metavar="GROUP GROUP",
    help="Divide the difference of two groups among the genes: cytotrace2_contrast.tsv.",
)
@click.option(
    "--top",
    default="50",
    show_default=True,
    metavar="N|all",
    callback=number_or_all,
    help="How many genes of each group are written, up and down.",
)
@click.option(
    "--cells",
    "write_cells",
    is_flag=True,
    help="Write the shares of each cell, too: cytotrace2_gene_shares.h5ad.",
)
@click.option(
    "--gene-sets",
    multiple=True,
    metavar="FILE",
    help="Gene sets (.gmt) whose shares are added up, in place of the collection of the "
    "package; may be given again.",
)
@click.option(
    "--enrich",
    is_flag=True,
    help="Test the gene sets, too (gseapy's prerank; the extra enrich): cytotrace2_enrichment.tsv.",
)
@click.option(
    "--without",
    multiple=True,
    metavar="GENE[,GENE]",
    callback=names_in_list,
    help="Score the cells as if they did not express these genes: cytotrace2_without.tsv.",
)
@output_option("Where the files are written.")
@model_option
@click.option(
    "--plot-format",
    type=click.Choice(["png", "pdf", "svg"]),
    default="png",
    show_default=True,
    help="Format of the pictures.",
)
@click.option("-dpl", "--disable-plotting", is_flag=True, help="Draw no pictures.")
@click.option(
    "-dv", "--disable-verbose", is_flag=True, help="Say only which model, warnings and errors."
)
@quiet_option
@log_option
@strict_option
def explain(
    *,
    dataset: Dataset,
    output_dir: str,
    write_cells: bool,
    plot_format: str,
    disable_plotting: bool,
    disable_verbose: bool,
    quiet: bool,
    **what: Any,
) -> None:
    """Say which genes made the scores of the cells of EXPR, group by group.

    EXPR is scored as `run` does it, and the raw score of every cell divided among the genes: the
    shares add up to it. Writes cytotrace2_genes.tsv (the genes of each group with their shares),
    cytotrace2_gene_sets.tsv, explain.json and pictures.
    """
    path = dataset.path
    import scipy.linalg  # noqa: F401 (as for `run`)

    from cytotrace2_lite.directory import explain_to_directory
    from cytotrace2_lite.explanation.files import ExplainOptions
    from cytotrace2_lite.models.ensemble import Ensemble

    ensemble = Ensemble.load(dataset.options.model)
    is_silent = quiet or disable_verbose
    say(model_line(ensemble.info), quiet=quiet)
    with InterruptibleReporter(quiet=is_silent) as reporter:
        explanation = explain_to_directory(
            path,
            output_dir,
            replace(dataset.options, model=ensemble),
            ExplainOptions(cells=write_cells, **what),
            annotation_path=dataset.annotation_path,
            batch_key=dataset.batch_key,
            progress=reporter,
            on_checked=teller(reporter, quiet=is_silent),
        )
    say(explanation_summary(explanation, output_dir), quiet=is_silent)
    if not disable_plotting:
        reporter.results_are_safe()
        draw_gene_plots(explanation, output_dir, plot_format, quiet=is_silent)


def explanation_summary(explanation: Explanation, output_dir: str, prefix: str = "") -> str:
    """Say in a line per group what raises and what lowers it most, and where the files are."""
    from cytotrace2_lite.explanation.files import GENES_NAME

    reference = explanation.reference
    mean = f"mean of {reference.n_cells:,} cells {reference.value:.3f}"
    lines = [f"{len(explanation.groups)} groups; {mean}"]
    shown = explanation.groups[:10]
    for position, group in enumerate(shown):
        share = explanation.mean_shares[position]
        genes = explanation.extremes(position, 4).tolist()
        named = {
            sign: " ".join(explanation.genes[gene] for gene in genes if share[gene] * sign > 0)
            for sign in (1, -1)
        }
        value = explanation.group_values[position]
        lines.append(f"  {group} ({value:.3f}): up {named[1] or '-'}; down {named[-1] or '-'}")
    if len(shown) < len(explanation.groups):
        lines.append(f"  and {len(explanation.groups) - len(shown)} more groups")
    lines.append(f"Genes: {os.path.join(output_dir, prefix + GENES_NAME)}")  # noqa: PTH118
    return "\n".join(lines)


def draw_gene_plots(
    explanation: Explanation,
    output_dir: str,
    plot_format: str,
    *,
    quiet: bool,
    prefix: str = "",
) -> None:
    """Draw the pictures; what cannot be drawn is no error, as the tables are complete."""
    from cytotrace2_lite.explanation.plots import draw_files
    from cytotrace2_lite.plots import missing_packages, no_plots
    from cytotrace2_lite.system.files import write_whole

    lacking = missing_packages(with_umap=False)
    if lacking:
        say(f"{no_plots(lacking)} (-dpl hides this line)", quiet=quiet)
        return
    try:
        files = draw_files(explanation, output_dir, plot_format)
        write_whole({path.with_name(prefix + path.name): files[path] for path in files})
    except Exception as error:  # noqa: BLE001 (whatever it is, the tables stay)
        interrupt.stop_if_asked()  # a library may have taken it for an error of its own
        say(f"Warning: pictures of the genes not drawn (the tables are complete): {error}")
        return
    say(f"Pictures of the genes: .{plot_format} files in {output_dir}", quiet=quiet)
