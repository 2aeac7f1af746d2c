"""Names of columns that say something about genes or cells, beside the counts.

Source: featureCounts of Subread 2.0; the metadata of Seurat 3 to 5; `obs` and `var` of scanpy.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.text import first_few

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["about_genes_or_cells", "refuse_about"]

_NAMES = frozenset(
    """
    Geneid Chr Start End Strand Length Chromosome chromosome seqnames strand
    gene_id gene_ids gene_name gene_names gene_symbol gene_symbols gene_biotype gene_type
    gene_length gene_version gene_source gene_description ensembl_gene_id external_gene_name
    entrezgene_id hgnc_symbol mgi_symbol feature_types feature_type highly_variable
    highly_variable_rank means dispersions dispersions_norm n_cells n_cells_by_counts mean_counts
    pct_dropout_by_counts
    orig.ident seurat_clusters S.Score G2M.Score Phase S_score G2M_score phase
    n_genes n_genes_by_counts n_counts leiden louvain doublet_score predicted_doublet
    cell_type celltype cell_type_ontology_term_id
    """.split()  # noqa: SIM905 (reads better)
)
_PATTERN = re.compile(
    r"n(Count|Feature)_\w+|percent[._](mt|mito|ribo|rb|hb|rp|rpl|rps)|pct_counts_\w+|log1p_\w+"
    r"|total_counts(_\w+)?|\w+_snn_res\.[\d.]+"
)
_MARKS = ("nCount_", "nFeature_", "percent", "pct_counts_", "log1p_", "total_counts", "_snn_res.")


def about_genes_or_cells(names: Iterable[str]) -> list[str]:
    """List those of some names that say something about genes or cells and are neither."""
    names = list(names)
    text = "\n".join(names)  # which is searched for many names at once
    if any(mark in text for mark in _MARKS):
        return [name for name in names if name in _NAMES or _PATTERN.fullmatch(name)]
    if _NAMES.isdisjoint(names):
        return []
    return [name for name in names if name in _NAMES]


def refuse_about(where: str, cells: Iterable[str]) -> None:
    """Raise if columns about genes or cells are among the cells.

    Parameters
    ----------
    where
        Start of the message.
    cells
        Their names.

    Raises
    ------
    InputError
        A name is one that featureCounts, Seurat or scanpy give to such a column.
    """
    found = about_genes_or_cells(cells)
    if found:
        are, they = ("is", "It is a column") if len(found) == 1 else ("are", "They are columns")
        raise InputError(
            f"{where}{first_few(found, most=8)} {are} among the cells. {they} about genes or cells "
            "that featureCounts, Seurat or scanpy write beside the counts: remove "
            f"{'it' if len(found) == 1 else 'them'}."
        )
