"""Loom files, of the versions 2 and 3 of their specification, and older ones.

Source: "Loom file format specs" in the documentation of loompy. The attributes of the file itself,
which version 2 has on the root and version 3 in a group `attrs`, are not needed.
"""

from __future__ import annotations

import html
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.read._frames import (
    choose_gene_column,
    choose_matrix,
    counts_beside,
    is_gene_column,
)
from cytotrace2_lite.read._hdf5_matrix import NamedMatrix, values_of
from cytotrace2_lite.read._names import check_cells
from cytotrace2_lite.read._source import Source
from cytotrace2_lite.read.hdf5 import child, strings, whole
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.read._options import ReadOptions

__all__ = ["col_attr", "coordinates", "is_loom", "open_loom"]

_MATRIX = "matrix"
# Attributes with names of the axes, lower-case, as loompy, velocyto, SCopeLoomR and anndata call
# them. The first that there is counts; what else may name genes is looked at, too.
_OF_GENES = ("gene", "var_names", "gene_names", "genename", "genes", "symbol", "accession")
_OF_CELLS = ("cellid", "obs_names", "cell_names", "cell_id", "cell", "barcode", "barcodes")


def is_loom(file: Any) -> bool:
    """Tell whether an HDF5 file is a Loom file.

    Parameters
    ----------
    file
        Its content.
    """
    return {"row_attrs", "col_attrs"} <= set(file)


def col_attr(path: str, file: Any, name: str) -> list[str]:
    """Read a column attribute: labels of the cells.

    Parameters
    ----------
    path
        The file, for messages.
    file
        Its content.
    name
        Name of the attribute.

    Returns
    -------
    list of str
        One per cell.

    Raises
    ------
    InputError
        The file is damaged.
    UsageError
        There is no such attribute, or it has more than one value per cell.
    """
    attributes = child(path, file, "col_attrs")
    values = _values(path, attributes, name)
    if values is None:
        names = [
            name for name in attributes if getattr(child(path, attributes, name), "ndim", None) == 1
        ]
        there = f"They are {first_few(names)}." if names else "There are none."
        raise UsageError(f"{path}: col_attrs has no labels {shown(name)}. {there}")
    return [str(value) for value in values]


def coordinates(path: str, file: Any, name: str) -> NDArray[Any]:
    """Read a column attribute that has several values per cell, such as "X_umap" of scanpy.

    Parameters
    ----------
    path
        The file, for messages.
    file
        Its content.
    name
        Name of the attribute.

    Returns
    -------
    ndarray
        A row per cell.

    Raises
    ------
    InputError
        The file is damaged.
    UsageError
        There is no such attribute.
    """
    attributes = child(path, file, "col_attrs")
    item = child(path, attributes, name)
    if item is None or not hasattr(item, "dtype"):
        there = f"There is {first_few(list(attributes), most=20)}." if attributes else ""
        raise UsageError(f"{path}: col_attrs has no array {shown(name)}. {there}".rstrip())
    return whole(item)


def open_loom(path: str, file: Any, options: ReadOptions) -> NamedMatrix:
    """Find the matrix and the names in a Loom file.

    Parameters
    ----------
    path
        The file, for messages.
    file
        Its content.
    options
        Which matrix and which names of the genes; and whether its columns are genes, although the
        rows are in every Loom file.

    Returns
    -------
    NamedMatrix
        Its genes are the row attribute `Gene`, or another one that has more known genes. Its cells
        are the column attribute `CellID`.

    Raises
    ------
    InputError
        There is no such matrix, something is missing, or a name is repeated.
    UsageError
        There is no such attribute, or the options ask for `.raw`.
    """
    if options.use_raw:
        raise UsageError(f"{path}: a Loom file has no raw: leave the option out.")
    layers = child(path, file, "layers")
    names = [] if layers is None else list(layers)
    matrix = child(path, file, _MATRIX)
    chosen, others = choose_matrix(
        path, has_x=matrix is not None, layers=names, has_raw=False, options=options, main=_MATRIX
    )

    def matrix_of(name: str) -> Any:
        layer = next((layer for layer in names if name == f"layers[{layer!r}]"), None)
        item = matrix if layer is None else child(path, layers, layer)
        if not hasattr(item, "dtype"):
            raise InputError(f"{path}: {name} is no table of numbers. The file is damaged.")
        return item

    def values(name: str) -> Iterable[NDArray[Any]]:
        same = matrix_of(name).shape == matrix_of(chosen).shape
        return values_of(path, matrix_of(name)) if same else ()

    chosen, others, instead_of = counts_beside(chosen, others, values, options, main=_MATRIX)
    of_genes, of_cells = "row_attrs", "col_attrs"
    is_swapped = options.orientation == "cells-x-genes"
    if is_swapped:
        of_genes, of_cells = of_cells, of_genes
    wanted = (_OF_CELLS, _OF_GENES) if is_swapped else (_OF_GENES, _OF_CELLS)
    cells = _axis(path, file, of_cells, wanted[1])[1]
    check_cells(path, cells)
    index, gene_names = _axis(path, file, of_genes, wanted[0], options.gene_column)
    attributes = child(path, file, of_genes)
    columns: dict[str, Callable[[], Sequence[Any] | None]] = {
        name: partial(_names, path, attributes, name) for name in attributes if name != index
    }
    columns |= {index: lambda: gene_names} if options.gene_column == index else {}
    origin, genes = choose_gene_column(
        path, of_genes, (f"{of_genes}[{index!r}]", gene_names), columns, options
    )
    source = Source(
        "loom",
        path,
        matrix=chosen,
        other_matrices=others,
        orientation="cells x genes" if is_swapped else "genes x cells",
        gene_names=origin,
        instead_of=instead_of,
    )
    gene_of = np.arange(len(genes))
    return NamedMatrix(matrix_of(chosen), cells, genes, gene_of, source, not is_swapped)


def _axis(
    path: str, file: Any, group: str, usual: Sequence[str], wanted: str | None = None
) -> tuple[str, list[str]]:
    """Find the attribute that names an axis: what it is called, and the names."""
    attributes = child(path, file, group)
    there = [] if attributes is None else list(attributes)
    by_name = {name.lower(): name for name in reversed(there)}
    found = [by_name[name] for name in usual if name in by_name]
    found += [name for name in there if usual is _OF_GENES and is_gene_column(name)]
    if not found and wanted in there:
        found = [wanted]
    for name in found:
        names = _names(path, attributes, name)
        if names is not None:
            return name, names
    what = "genes" if usual is _OF_GENES else "cells"
    known = "Gene" if usual is _OF_GENES else "CellID"
    has = f"it has {first_few(there, most=20)}" if there else "it is empty"
    remedy = f"Add an attribute {known!r} with them (in Python, with loompy)"
    if what == "genes" and there:
        remedy = f"Choose one with --gene-column NAME, or a{remedy[1:]}"
    raise InputError(f"{path}: no attribute in {group} names the {what}; {has}. {remedy}.")


def _names(path: str, attributes: Any, name: str) -> list[str] | None:
    """Read an attribute that may be names: text or whole numbers; None if it is something else."""
    values = _values(path, attributes, name)
    if values is None or any(type(value) not in {str, int} for value in values):
        return None
    return [str(value) for value in values]


def _values(path: str, attributes: Any, name: str) -> list[Any] | None:
    """Read an attribute with one value each; None if there is no such one."""
    item = child(path, attributes, name)
    if item is None or getattr(item, "ndim", 0) != 1:
        return None
    if item.dtype.kind not in "SO":
        values: list[Any] = whole(item).tolist()
        return values
    # Letters beyond ASCII are written as entities of XML; loompy reads all text in this way.
    return [html.unescape(text) if "&" in text else text for text in strings(item)]
