"""What is found out about a dataset before anything is computed; it takes seconds.

What makes scores impossible is an exception, raised where it is found. All else is a finding: a
warning, which is given as a Python warning and is in `run.json`, or a note.

Source: the thresholds of genes, cells and values are those of ``preprocess`` and ``cytotrace2`` in
cytotrace2-py 1.1.0.4 (behaviour).

Differs: upstream warns of log-transformed values wherever no value is over 20; here, whole numbers
are never taken for log-transformed. Cells with few genes are counted over all cells or the cells of
a sample; upstream counts them in each batch, which is a random choice of cells. Ensembl ids, which
are all upper-case, do not count as names of human genes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite import genes
from cytotrace2_lite.base.finding import Finding
from cytotrace2_lite.base.parameters import (
    MIN_CELLS_FOR_NEIGHBORS,
    MIN_GENES_PER_CELL,
    OTHER_SPECIES,
)
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.counts import Counts
    from cytotrace2_lite.metadata.samples import Samples

__all__ = ["check_cells", "check_genes", "check_repeated", "check_samples", "check_values"]


# Fewer genes of the model in the input are few.
_MIN_FEATURES = 9_000
# Share of the genes that all cells express. In the 16 datasets used for development it is 0.63 to 1
# with all genes, 0.56 to 0.94 without the genes that few cells express, and at most 0.54 with only
# 2,000 to 8,000 variable genes, selected in two ways.
_MIN_UBIQUITOUS_SHARE = 0.55
# What has fewer genes is an empty droplet, if so many are like this.
_GENES_OF_AN_EMPTY_DROPLET = 100
_SHARE_OF_EMPTY_DROPLETS = 0.9
_MANY_CELLS = 1000
# More cells with few genes are many.
_MAX_SHARE_OF_POOR_CELLS = 0.2
# Larger values are not logarithms.
_HIGHEST_LOG_VALUE = 20
_ODD_CELLS = 5  # columns that are no cells, at most; or one of 100
# Genes per cell with which scores are best, for a message.
_ENOUGH_GENES = f"{MIN_GENES_PER_CELL} to 1,000 genes a cell or more"
_MOST_SAMPLES = 10  # that are named in a message


_OTHER_SPECIES = Finding(
    "species",
    "warning",
    "the genes are mapped to mouse by a table of orthologs",
    "CytoTRACE 2 was made for mouse and human cells, and its scores for other species are "
    "untested.",
)


def check_genes(names: Sequence[str], mapping: genes.GeneMapping) -> list[Finding]:
    """Check the names of the genes.

    Parameters
    ----------
    names
        Gene names of the input.
    mapping
        Which of the model's genes they are.

    Returns
    -------
    list of Finding
        Which names are known; whether they are names of the other species, dates, few, or
        selected genes; and which are left out because a better name of the same gene is there.
    """
    report = mapping.report
    if report.species == OTHER_SPECIES:
        kinds = (
            f"{report.n_mapped + len(report.superseded):,} have a mouse ortholog that the model "
            "knows"
        )
        as_species, on_species = "orthologs", [_OTHER_SPECIES]
    else:
        known = genes.recognised(names)
        kinds = " and ".join(
            f"{n:,} are {species} {kind}"
            for species, counts in known.items()
            for kind, n in (("symbols", counts.symbols), ("Ensembl ids", counts.ids))
            if n
        )
        kinds += " that the model knows"
        as_species, on_species = f"{report.species} genes", _species(report, known)
    found = [
        Finding(
            "genes",
            "note",
            f"of {report.n_genes:,} gene names, {kinds}; {report.n_mapped:,} of its "
            f"{report.n_features:,} genes are in the input as {as_species}",
            "Other genes are not used, nor counted in a cell's total.",
        ),
        *on_species,
    ]
    if report.dates:
        n_dates = len(report.dates)
        found.append(
            Finding(
                "dates",
                "warning",
                f"{n_dates:,} gene {'name is a date' if n_dates == 1 else 'names are dates'}: "
                f"{first_few(report.dates)}",
                "A spreadsheet program has changed names such as March1 or Sept2, and these genes "
                "are lost.",
                "Use the table as it was before.",
            )
        )
    if report.n_mapped < _MIN_FEATURES:
        found.append(_few_genes(report, genes.ubiquitous_share(mapping)))
    if report.superseded:
        left_out = [f"{entry.name} (for {entry.winner})" for entry in report.superseded]
        found.append(
            Finding(
                "superseded",
                "note",
                f"{len(left_out):,} gene names are left out, as a better name of the same gene is "
                f"in the input: {first_few(left_out)}",
                "One row stands for a gene; an official symbol goes before an alias.",
            )
        )
    return found


def _species(report: genes.MappingReport, known: dict[str, genes.Recognised]) -> list[Finding]:
    """Warn where the names look like another species, or more of them are known genes of one."""
    likely = report.likely_species
    n_known = {species: sum(counts) for species, counts in known.items()}
    most = max(n_known, key=lambda species: (n_known[species], species == report.species))
    if likely not in {None, report.species}:
        if likely == "human":
            share, written = report.upper_case_share, "upper-case symbols, ENSG ids"
        else:
            share, written = 1 - report.upper_case_share, "symbols not all upper-case, ENSMUSG ids"
        what = (
            f"{share:.1%} of the {report.n_genes:,} gene names are written like {likely} ones "
            f"({written}), but the species is {report.species}"
        )
    elif n_known[most] > n_known[report.species]:
        likely = most
        what = (
            f"{n_known[likely]:,} of the {report.n_genes:,} gene names are known {likely} genes "
            f"and {n_known[report.species]:,} known {report.species} ones, but the species is "
            f"{report.species}"
        )
    else:
        return []
    return [
        Finding(
            "species",
            "warning",
            what,
            "Genes of the other species are found by chance or not at all.",
            f"If the cells are {likely}, pass {genes.species_option(str(likely))}.",
        )
    ]


def _few_genes(report: genes.MappingReport, ubiquitous_share: float) -> Finding:
    """Warn of few genes. They look selected where many that all cells express are not there."""
    few = (
        f"only {report.n_mapped:,} of the {report.n_features:,} genes of the model are in the input"
    )
    if ubiquitous_share < _MIN_UBIQUITOUS_SHARE:
        return Finding(
            "selected_genes",
            "warning",
            f"{few}, and {ubiquitous_share:.0%} of those that all cells express (ribosome, "
            "proteasome, respiration): it looks cut down to variable or otherwise selected genes",
            "A cell's genes are ranked among all genes, so scores from a selection are unreliable.",
            "Give the table with all genes measured.",
        )
    is_other = report.species == OTHER_SPECIES
    check = "the table of orthologs" if is_other else f"that the species is {report.species}"
    return Finding(
        "few_genes",
        "warning",
        f"{few} ({_MIN_FEATURES:,} or more are expected)",
        "That makes the scores less reliable.",
        f"Check {check}, and give all genes measured.",
    )


def check_values(counts: Counts, cells: Sequence[str], hint: str = "") -> list[Finding]:
    """Check whether the values look log-transformed.

    A few cells are no evidence against it: a column of another kind, such as the lengths of the
    genes, may stand among those of the cells.

    Parameters
    ----------
    counts
        Expression over the model's genes, shape (n_cells, n_features), at least one value.
    cells
        Names of the cells.
    hint
        Which other matrices the input has, for the remedy.

    Returns
    -------
    list of Finding
        At most one.
    """
    largest = counts.largest
    over = np.flatnonzero(largest > _HIGHEST_LOG_VALUE)
    n_cells = int(np.count_nonzero(largest))
    n_odd = max(n_cells // 100, min(_ODD_CELLS, n_cells // 4))
    if counts.whole or len(over) > n_odd:
        return []
    highest = largest[largest <= _HIGHEST_LOG_VALUE].max()
    but = (
        f" but for {len(over):,} {'cell' if len(over) == 1 else 'cells'} "
        f"({first_few([cells[i] for i in over.tolist()])})"
        if len(over)
        else ""
    )
    return [
        Finding(
            "log_transformed",
            "warning",
            f"the largest value of the model's genes is {highest:g}{but}, and not all are whole "
            "numbers: it looks log-transformed",
            "Cells are normalised and logged here; done twice, that changes the scores.",
            f"Give raw counts, CPM or TPM.{hint}",
        )
    ]


def check_repeated(counts: Counts) -> list[Finding]:
    """Say how many values were added up because they are of the same gene and cell.

    Parameters
    ----------
    counts
        Expression over the model's genes.

    Returns
    -------
    list of Finding
        At most one.
    """
    n = counts.n_repeated
    if not n:
        return []
    one = n == 1
    return [
        Finding(
            "repeated_values",
            "note",
            f"{n:,} {'value is' if one else 'values are'} of a gene and cell that "
            f"{'has' if one else 'have'} another value, too; they are added up",
            "SciPy and scanpy read such a sparse matrix in the same way.",
        )
    ]


def check_cells(
    counts: Counts, cells: Sequence[str], samples: Samples | None = None
) -> list[Finding]:
    """Check how many counts and genes the cells have.

    Parameters
    ----------
    counts
        Expression over the model's genes, shape (n_cells, n_features), at least one value.
    cells
        Names of the cells.
    samples
        Their samples, if they are scored by sample.

    Returns
    -------
    list of Finding
        Counts and genes per cell; whether most are empty droplets; which cells have no counts;
        whether many express few genes.
    """
    found = []
    genes_per_cell = counts.genes_per_cell
    scored = genes_per_cell > 0
    total = counts.total[scored]
    n_genes = genes_per_cell[scored]
    unit = "counts" if counts.whole else "in all"
    poor = n_genes < MIN_GENES_PER_CELL
    found.append(
        Finding(
            "cells",
            "note",
            f"{len(cells):,} cells; a cell has {_spread(total)} {unit} and {_spread(n_genes)} "
            f"genes of the model; {poor.mean():.1%} of cells have fewer than {MIN_GENES_PER_CELL} "
            "genes",
            f"Scores are best with {_ENOUGH_GENES}.",
        )
    )
    share = float(np.mean(genes_per_cell < _GENES_OF_AN_EMPTY_DROPLET))
    # A panel of few genes, as in spatial data, gives no cell many genes.
    has_cells = genes_per_cell.max() >= MIN_GENES_PER_CELL
    if has_cells and len(cells) >= _MANY_CELLS and share >= _SHARE_OF_EMPTY_DROPLETS:
        found.append(
            Finding(
                "empty_droplets",
                "warning",
                f"{share:.1%} of {len(cells):,} cells have fewer than "
                f"{_GENES_OF_AN_EMPTY_DROPLET} of the model's genes: this looks like all droplets "
                "of an experiment, and most of them are empty",
                "The scores of the cells depend on what they are scored with.",
                "Give the filtered matrix, of cells only: filtered_feature_bc_matrix instead of "
                "raw_feature_bc_matrix of Cell Ranger, filtered/ instead of raw/ of STARsolo.",
            )
        )
    empty = np.flatnonzero(~scored)
    if len(empty):
        found.append(
            Finding(
                "empty_cells",
                "warning",
                f"{len(empty):,} of {len(cells):,} cells have no count over the model's genes and "
                f"get no score: {first_few([cells[i] for i in empty.tolist()])}",
                "They take no part in any step.",
                "Leave them out, or expect empty fields.",
            )
        )
    where = ""
    if samples is not None:
        of_cell = samples.of_cell[scored]
        n_cells = np.bincount(of_cell, minlength=len(samples.names))
        n_poor = np.bincount(of_cell[poor], minlength=len(samples.names))
        bad = np.flatnonzero((n_poor >= _MAX_SHARE_OF_POOR_CELLS * n_cells) & (n_cells > 0))
        where = f" of samples {first_few([samples.names[i] for i in bad.tolist()])}"
        poor = poor[np.isin(of_cell, bad)]
    if len(poor) and poor.mean() >= _MAX_SHARE_OF_POOR_CELLS:
        found.append(
            Finding(
                "few_genes_per_cell",
                "warning",
                f"{poor.mean():.1%} of the cells{where} express fewer than {MIN_GENES_PER_CELL} "
                "of the model's genes",
                f"Scores are best with {_ENOUGH_GENES}.",
                "Consider leaving such cells out.",
            )
        )
    return found


def check_samples(samples: Samples | None, batches: Sequence[tuple[str, int]]) -> list[Finding]:
    """Check which cells are scored together.

    Parameters
    ----------
    samples
        The samples, if cells are scored by sample.
    batches
        Sample ("" without) and number of cells of each batch.

    Returns
    -------
    list of Finding
        The samples; whether there is only one; and which batches are small.
    """
    found = []
    if samples is not None:
        sizes = samples.sizes
        listed = ", ".join(
            f"{shown(name)} {n:,}" for name, n in list(sizes.items())[:_MOST_SAMPLES]
        )
        more = ", ..." if len(sizes) > _MOST_SAMPLES else ""
        of = f" of {shown(samples.key)}" if samples.key else ""
        if len(sizes) == 1:
            found.append(
                Finding(
                    "one_sample",
                    "warning",
                    f"all cells are of one sample{of}: {listed} cells",
                    "The scores are the same as without samples.",
                    "Check that these are the labels you mean.",
                )
            )
        else:
            found.append(
                Finding(
                    "samples",
                    "note",
                    f"{len(sizes):,} samples{of} are scored one by one: {listed}{more} cells",
                    "CytoTRACE2_Relative goes from 0 to 1 in each.",
                )
            )
    small = [(sample, n) for sample, n in batches if n < MIN_CELLS_FOR_NEIGHBORS]
    if small:
        n_cells = sum(n for _, n in batches)
        n_small = sum(n for _, n in small)
        together = (
            f"{n_small:,} of {n_cells:,} cells are scored together with fewer than "
            f"{MIN_CELLS_FOR_NEIGHBORS}"
        )
        names = list(dict.fromkeys(sample for sample, _ in small))
        found.append(
            Finding(
                "few_cells",
                "warning",
                together if samples is None else f"{together}, in samples {first_few(names)}",
                "Their scores are not smoothed over neighbours and mostly rank the cells within "
                "their potency; a cell alone gets the lowest score of its potency.",
                "Look at the raw scores, too.",
            )
        )
    return found


def _spread(values: NDArray[np.float64] | NDArray[np.int64]) -> str:
    """Show the median, the smallest and the largest of some values."""
    low, median, high = (f"{x:,.0f}" for x in (values.min(), np.median(values), values.max()))
    return f"{median} (median; {low} to {high})"
