"""Files of SeuratDisk (`.h5Seurat`): an object of Seurat 3 or 4 in HDF5.

Source: "h5Seurat File Format" in the documentation of SeuratDisk. A matrix of R that is dense is
stored the other way round, as cells x genes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.read._hdf5_matrix import NamedMatrix, SparseGroup
from cytotrace2_lite.read._names import check_cells, choose_gene_names
from cytotrace2_lite.read._source import Source
from cytotrace2_lite.read.hdf5 import attribute, child, strings, whole
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cytotrace2_lite.read._options import ReadOptions

__all__ = ["embedding", "meta_data", "open_h5seurat"]

_RNA, _COUNTS = "RNA", "counts"
_LAYERS = (_COUNTS, "data")  # scale.data has other genes, and is never counts
_PREFIX = "X_"  # of AnnData's names of embeddings


def open_h5seurat(path: str, file: Any, options: ReadOptions) -> NamedMatrix:
    """Find the matrix and the names in a file of SeuratDisk.

    Parameters
    ----------
    path
        The file, for messages.
    file
        Its content.
    options
        The layer is that of an assay ("data"), an assay ("SCT") or both ("SCT/data").

    Returns
    -------
    NamedMatrix
        By default the counts of the assay RNA; if there is none, of the active assay.

    Raises
    ------
    InputError
        There are no counts, something is missing, or a name is repeated.
    UsageError
        There is no such layer, or an option has no meaning for the file.
    """
    if options.use_raw or options.orientation == "cells-x-genes":
        what = "raw" if options.use_raw else "matrix of cells x genes"
        raise UsageError(f"{path}: a SeuratDisk file has no {what}: leave the option out.")
    options.refuse(f"{path}: a SeuratDisk file", gene_column=True)
    assays = child(path, file, "assays")
    tables = [
        f"{assay}/{layer}"
        for assay in assays
        for layer in _LAYERS
        if child(path, child(path, assays, assay), layer) is not None
    ]
    if not len(assays):  # a group without members is not false
        raise InputError(f"{path}: this Seurat object has no assays. The file is damaged.")
    active = attribute(file, "active.assay") or next(iter(assays), "")
    chosen = _choose(path, tables, _RNA if _RNA in assays else active, options.layer)
    assay, _, layer = chosen.rpartition("/")
    group = child(path, assays, assay)
    features, names = child(path, group, "features"), child(path, file, "cell.names")
    if features is None or names is None:
        raise InputError(f"{path}: the assay {shown(assay)} has no names. The file is damaged.")
    cells = strings(names)
    check_cells(path, cells)
    origin, genes = choose_gene_names(path, {f"features of {assay}": strings(features)}, options)
    item = child(path, group, layer)
    matrix = item if hasattr(item, "dtype") else _sparse(path, item)
    source = Source(
        "h5seurat",
        path,
        matrix=chosen,
        other_matrices=tuple(table for table in tables if table != chosen),
        orientation="genes x cells",
        gene_names=origin,
    )
    return NamedMatrix(matrix, cells, genes, np.arange(len(genes)), source)


def meta_data(path: str, file: Any, name: str) -> list[str]:
    """Read a column of `meta.data`: labels of the cells.

    Parameters
    ----------
    path
        The file, for messages.
    file
        Its content.
    name
        Name of the column.

    Returns
    -------
    list of str
        One per cell, "" where it is missing.

    Raises
    ------
    InputError
        The file is damaged.
    UsageError
        There is no such column.
    """
    frame = child(path, file, "meta.data")
    item = child(path, frame, name)
    levels, codes = child(path, item, "levels"), child(path, item, "values")
    if levels is not None and codes is not None:  # a factor, whose codes begin with 1
        labels = strings(levels)
        return [labels[code - 1] if code > 0 else "" for code in whole(codes).tolist()]
    if item is None or getattr(item, "ndim", 0) != 1:
        columns = [] if frame is None else list(frame)
        there = f"Its columns are {first_few(columns)}." if columns else "It has no columns."
        raise UsageError(f"{path}: meta.data has no column {shown(name)} of labels. {there}")
    if item.dtype.kind in "SO":
        return ["" if text == "NA" else text for text in strings(item)]
    return [str(value) for value in whole(item).tolist()]


def embedding(path: str, file: Any, name: str) -> NDArray[Any]:
    """Read the coordinates of a reduction.

    Parameters
    ----------
    path
        The file, for messages.
    file
        Its content.
    name
        Name of the reduction, such as "umap", also as AnnData has it: "X_umap".

    Returns
    -------
    ndarray
        A row per cell.

    Raises
    ------
    InputError
        The file is damaged.
    UsageError
        There is no such reduction.
    """
    reductions = child(path, file, "reductions")
    item = child(path, child(path, reductions, name.removeprefix(_PREFIX)), "cell.embeddings")
    if item is None or getattr(item, "ndim", 0) != 2:
        there = f"There is {first_few(list(reductions), most=20)}." if reductions else ""
        raise UsageError(f"{path}: there is no reduction {shown(name)}. {there}".rstrip())
    return whole(item).T


def _choose(path: str, tables: list[str], assay: str, layer: str | None) -> str:
    """Choose one of the matrices."""
    if layer is None:
        chosen = f"{assay}/{_COUNTS}"
        if chosen not in tables:
            there = first_few(tables, most=20) or "no other matrix"
            raise InputError(
                f"{path}: the assay {shown(assay)} of this Seurat object has no counts. There is "
                f"{there}; --layer NAME (layer= in Python) reads one."
            )
        return chosen
    for way in (layer, f"{assay}/{layer}", f"{layer}/{_COUNTS}"):
        if way in tables:
            return way
    there = f"There is {first_few(tables, most=20)}." if tables else "There is none."
    raise UsageError(f"{path}: there is no layer {shown(layer)}. {there}")


def _sparse(path: str, group: Any) -> SparseGroup:
    """Give a `dgCMatrix`, which has genes as rows and is stored by cell."""
    n_genes, n_cells = (int(length) for length in group.attrs["dims"])
    return SparseGroup(path, group, (n_cells, n_genes), by_row=True)
