"""The `.h5` of 10x Genomics: one group `matrix` (version 3), or one per genome (version 2).

Source: the layouts that Cell Ranger documents under "Feature-Barcode Matrices HDF5"; CellBender
writes the first, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.read._hdf5_matrix import NamedMatrix, SparseGroup
from cytotrace2_lite.read._names import check_cells, choose_gene_names
from cytotrace2_lite.read._source import Source
from cytotrace2_lite.read._tenx import chosen_names, gene_expression
from cytotrace2_lite.read.hdf5 import child, strings, whole
from cytotrace2_lite.text import first_few

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cytotrace2_lite.read._options import ReadOptions

__all__ = ["genomes", "open_10x"]


def genomes(path: str, file: Any) -> list[str]:
    """List the groups of an HDF5 file that are matrices of 10x Genomics.

    Parameters
    ----------
    path
        The file, for messages.
    file
        Its content.

    Returns
    -------
    list of str
        Their names; empty if it is another file.

    Raises
    ------
    InputError
        A group is a link.
    """
    return [
        name
        for name in file
        if {"barcodes", "data", "indices", "indptr", "shape"}
        <= set(getattr(child(path, file, name), "keys", tuple)())
    ]


def open_10x(path: str, file: Any, options: ReadOptions) -> NamedMatrix:
    """Find the matrix and the names in a `.h5` of 10x Genomics.

    Parameters
    ----------
    path
        The file, for messages.
    file
        Its content.
    options
        The layer is a genome if there are several.

    Returns
    -------
    NamedMatrix
        Its cells are the barcodes, its genes the features of the type gene expression. If the
        orientation is "cells-x-genes", it is the other way round.

    Raises
    ------
    InputError
        A dataset is missing, or a name is repeated.
    UsageError
        Options do not fit the file.
    """
    groups = genomes(path, file)
    if len(groups) == 1 or options.use_raw:
        options.refuse(f"{path}: a 10x .h5 file of one genome", matrix=True)
    if len(groups) > 1 and options.layer not in groups:
        there = first_few(groups, most=20)
        raise UsageError(f"{path}: this has the genomes {there}; choose one with --layer NAME.")
    name = groups[0] if options.layer is None else options.layer
    group = child(path, file, name)
    features = child(path, group, "features")
    id_name, symbol_name = ("genes", "gene_names") if features is None else ("id", "name")
    table = group if features is None else features
    found = {
        origin: child(path, table, member)
        for origin, member in (("symbols", symbol_name), ("ids", id_name))
    }
    columns = {origin: strings(item) for origin, item in found.items() if item is not None}
    if not columns:
        raise InputError(f"{path}: {table.name} names no genes. The file is damaged.")
    n_features = len(next(iter(columns.values())))
    kinds = child(path, table, "feature_type")
    kept = np.arange(n_features) if kinds is None else gene_expression(path, strings(kinds))
    gene_of = np.full(n_features, -1)
    gene_of[kept] = np.arange(len(kept))
    cells = strings(child(path, group, "barcodes"))
    candidates: Mapping[str, Sequence[str]] = {
        origin: [names[i] for i in kept] for origin, names in columns.items()
    }
    by_gene = options.orientation == "cells-x-genes"
    if by_gene:  # the features are cells, and the barcodes genes
        gene_of = np.arange(len(cells))
        candidates, cells = {"barcodes": cells}, columns.get("ids") or columns["symbols"]
    check_cells(path, cells)
    candidates = chosen_names(path, candidates, options)
    origin, genes = choose_gene_names(path, candidates, options)
    n_rows, n_columns = whole(child(path, group, "shape")).tolist()  # features x barcodes, CSC
    source = Source(
        "10x h5",
        path,
        matrix=name if len(groups) > 1 else None,
        other_matrices=tuple(other for other in groups if other != name),
        orientation="cells x genes" if by_gene else "genes x cells",
        gene_names=f"{origin} of {group.name if by_gene else table.name}",
    )
    matrix = SparseGroup(path, group, (n_columns, n_rows), by_row=True)
    return NamedMatrix(matrix, cells, genes, gene_of, source, by_gene)
