"""The command `ct2-lite explain`: which genes made the scores."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.cli.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cytotrace2_lite.explanation.explanation import Explanation
    from cytotrace2_lite.explanation.files import ExplainOptions

__all__ = [
    "draw_gene_plots",
    "explain_options",
    "explanation_summary",
    "number_or_all",
    "options_of",
]

Command = TypeVar("Command", bound="Callable[..., Any]")


def number_or_all(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    """Read a number of genes, or None for all of them."""
    del ctx, param
    if value.lower() == "all":
        return None
    if value.isdecimal() and int(value):
        return int(value)
    raise click.BadParameter(f"{value!r} is neither a whole number from 1 on nor 'all'.")


def _names(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    del ctx, param
    return tuple(name.strip() for text in value for name in text.split(",") if name.strip())


#: What `ct2-lite explain` can be told besides what is read and how it is scored.
OPTIONS = (
    click.option(
        "--by",
        metavar="COLUMN",
        help="Groups to explain: a column of the annotation (without one, of obs of a .h5ad), or "
        "potency.  [default: the labels of the annotation; without one, potency]",
    ),
    click.option(
        "--of",
        type=click.Choice(["score", *POTENCIES], case_sensitive=False),
        default="score",
        show_default=True,
        help="What is explained: the raw score, or the probability of a potency.",
    ),
    click.option(
        "--reference",
        default="all",
        show_default=True,
        metavar="all|GROUP",
        help="What the cells are compared with: the mean of all cells, or of a group.",
    ),
    click.option(
        "--contrast",
        nargs=2,
        metavar="GROUP GROUP",
        help="Divide the difference of two groups among the genes: cytotrace2_contrast.tsv.",
    ),
    click.option(
        "--top",
        default="50",
        show_default=True,
        metavar="N|all",
        callback=number_or_all,
        help="How many genes of each group are written, up and down.",
    ),
    click.option(
        "--cells",
        "write_cells",
        is_flag=True,
        help="Write the shares of each cell, too: cytotrace2_gene_shares.h5ad.",
    ),
    click.option(
        "--gene-sets",
        multiple=True,
        metavar="FILE",
        help="Gene sets (.gmt) whose shares are added up, in place of the collection of the "
        "package; may be given again.",
    ),
    click.option(
        "--enrich",
        is_flag=True,
        help="Test the gene sets, too (gseapy's prerank; the extra enrich): "
        "cytotrace2_enrichment.tsv.",
    ),
    click.option(
        "--without",
        multiple=True,
        metavar="GENE[,GENE]",
        callback=_names,
        help="Score the cells as if they did not express these genes: cytotrace2_without.tsv.",
    ),
    click.option(
        "-o",
        "--output-dir",
        default="cytotrace2_results",
        show_default=True,
        metavar="DIR",
        help="Where the files are written.",
    ),
)


def explain_options(command: Command) -> Command:
    """Give a command these options, in their order."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def options_of(options: Mapping[str, Any]) -> ExplainOptions:
    """Take what is to be explained out of the options of the command."""
    from cytotrace2_lite.explanation.files import ExplainOptions

    return ExplainOptions(
        by=options["by"],
        of=options["of"],
        reference=options["reference"],
        contrast=options["contrast"],
        top=options["top"],
        cells=options["write_cells"],
        gene_sets=options["gene_sets"],
        enrich=options["enrich"],
        without=options["without"],
    )


def explanation_summary(explanation: Explanation, output_dir: str) -> str:
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
    lines.append(f"Genes: {os.path.join(output_dir, GENES_NAME)}")  # noqa: PTH118
    return "\n".join(lines)


def draw_gene_plots(
    explanation: Explanation, output_dir: str, plot_format: str, *, quiet: bool
) -> None:
    """Draw the pictures; what cannot be drawn is no error, as the tables are complete."""
    from cytotrace2_lite.explanation.plots import draw_files
    from cytotrace2_lite.plots import missing_packages, no_plots
    from cytotrace2_lite.system.files import write_whole

    lacking = missing_packages(with_umap=False)
    if lacking:
        if not quiet:
            say(f"{no_plots(lacking)} (-dpl hides this line)")
        return
    try:
        write_whole(draw_files(explanation, output_dir, plot_format))
    except Exception as error:  # noqa: BLE001 (whatever it is, the tables stay)
        say(f"Warning: pictures of the genes not drawn (the tables are complete): {error}")
        return
    if not quiet:
        say(f"Pictures of the genes: .{plot_format} files in {output_dir}")
