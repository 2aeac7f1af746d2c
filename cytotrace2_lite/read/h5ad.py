"""Files of AnnData (`.h5ad`) and Zarr stores, as all versions of anndata write them.

Source: "On-disk format" in the documentation of anndata; of versions before 0.7 the files.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.read._frames import choose_gene_column, choose_matrix, counts_beside
from cytotrace2_lite.read._hdf5_matrix import NamedMatrix, SparseGroup, values_of
from cytotrace2_lite.read._names import check_cells
from cytotrace2_lite.read._source import Source
from cytotrace2_lite.read.hdf5 import attribute, child, in_file, strings, whole
from cytotrace2_lite.read.mudata import choose_modality
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from cytotrace2_lite.read._options import ReadOptions

__all__ = ["is_h5ad", "obs_column", "obsm", "open_h5ad", "open_mudata", "rna", "row_names"]


def is_h5ad(file: Any) -> bool:
    """Tell whether an HDF5 file is AnnData's.

    Parameters
    ----------
    file
        Its content.
    """
    return attribute(file, "encoding-type") == "anndata" or {"obs", "var"} <= set(file)


def obs_column(path: str, file: Any, column: str) -> list[str]:
    """Read a column of `obs`.

    Parameters
    ----------
    path
        The file, for messages.
    file
        Its content.
    column
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
        There is no such column, or it has no labels.
    """
    obs = child(path, file, "obs")
    index = _index_name(obs)
    values = None if column == index else _column(path, obs, column)
    if values is not None and hasattr(obs, "dtype"):
        categories = child(path, child(path, file, "uns"), f"{column}_categories")
        if categories is not None:
            values = _take(np.array(values), _dataset(categories))
    if values is None:
        columns = [name for name in _columns(obs) if name not in {index, "__categories"}]
        there = f"Its columns are {first_few(columns)}." if columns else "It has no columns."
        raise UsageError(f"{path}: obs has no column {shown(column)} of labels. {there}")
    return ["" if value is None else str(value) for value in values]


def obsm(path: str, file: Any, key: str) -> NDArray[Any]:
    """Read an array of `obsm`.

    Parameters
    ----------
    path
        The file, for messages.
    file
        Its content.
    key
        Name of the array, such as "X_umap".

    Returns
    -------
    ndarray
        A row per cell.

    Raises
    ------
    InputError
        The file is damaged.
    UsageError
        There is no such array.
    """
    group = child(path, file, "obsm")
    item = child(path, group, key)
    if item is None or not hasattr(item, "dtype"):
        keys = [] if group is None else _columns(group)
        there = f"There is {first_few(keys, most=20)}." if keys else "It is empty."
        raise UsageError(f"{path}: obsm has no array {shown(key)}. {there}")
    return whole(item)


def open_h5ad(path: str, file: Any, options: ReadOptions) -> NamedMatrix:
    """Find the matrix and the names in a file of AnnData.

    Parameters
    ----------
    path
        The file, for messages.
    file
        Its content.
    options
        Which matrix, whether its rows are genes, and which names they have.

    Returns
    -------
    NamedMatrix
        Its cells are the index of `obs`. Its genes are the index of `var`, or a column of `var` if
        that has more known genes. If the rows are genes, it is the other way round.

    Raises
    ------
    InputError
        There is no such matrix, something is missing, or a name is repeated.
    UsageError
        There is no such column of names.
    """
    layers = child(path, file, "layers")
    raw = child(path, file, "raw")
    # Before anndata 0.7, the members of raw were members of the root.
    raw_x = child(path, file, "raw.X") if raw is None else child(path, raw, "X")
    raw_var = child(path, file, "raw.var") if raw is None else child(path, raw, "var")
    x = child(path, file, "X")
    if x is not None and attribute(x, "encoding-type") == "null":
        x = None
    chosen, others = choose_matrix(
        path,
        has_x=x is not None,
        layers=[] if layers is None else list(layers),
        has_raw=raw_x is not None,
        options=options,
    )

    def matrix_of(name: str) -> Any:
        if name == "raw.X":
            return _matrix(path, raw_x)
        layer = next((layer for layer in layers or () if name == f"layers[{layer!r}]"), None)
        return _matrix(path, x if layer is None else child(path, layers, layer))

    def values(name: str) -> Iterable[NDArray[Any]]:
        matrix = matrix_of(name)
        return values_of(path, matrix) if matrix.shape[0] == matrix_of(chosen).shape[0] else ()

    chosen, others, instead_of = counts_beside(chosen, others, values, options)
    var, cells_frame = child(path, file, "var"), child(path, file, "obs")
    if chosen == "raw.X":
        var = raw_var
    of_genes = "var"
    by_gene = options.orientation == "genes-x-cells"
    if by_gene:
        var, cells_frame, of_genes = cells_frame, var, "obs"
    cells = row_names(path, cells_frame)
    check_cells(path, cells)
    names = row_names(path, var)
    index = _index_name(var)
    columns = {
        column: partial(_names, path, var, column)
        for column in _columns(var)
        if column not in {index, "__categories"}
    }
    origin, genes = choose_gene_column(
        path, of_genes, (f"the index of {of_genes}", names), columns, options
    )
    source = Source(
        "h5ad",
        path,
        matrix=chosen,
        other_matrices=others,
        orientation="genes x cells" if by_gene else "cells x genes",
        gene_names=origin,
        instead_of=instead_of,
    )
    gene_of = np.arange(len(genes))
    return NamedMatrix(matrix_of(chosen), cells, genes, gene_of, source, by_gene)


def open_mudata(path: str, file: Any, options: ReadOptions) -> NamedMatrix:
    """Find the matrix and the names of the modality `rna` of MuData.

    Parameters
    ----------
    path
        The file, for messages.
    file
        Its content.
    options
        As for `open_h5ad`.

    Returns
    -------
    NamedMatrix
        As of the `.h5ad` file of this modality. The source names the others.

    Raises
    ------
    InputError
        There is no such modality, or as `open_h5ad`.
    UsageError
        As `open_h5ad`.
    """
    modality = rna(path, file)
    named = open_h5ad(path, modality, options)
    own = modality.name.rpartition("/")[2]
    others = tuple(f"mod[{name!r}]" for name in child(path, file, "mod") if name != own)
    source = replace(
        named.source,
        format="h5mu",
        matrix=f"{named.source.matrix} of mod[{own!r}]",
        other_matrices=(*named.source.other_matrices, *others),
    )
    return named._replace(source=source)


def rna(path: str, file: Any) -> Any:
    """Find the modality of gene expression of MuData, as `mudata.choose_modality` does.

    Parameters
    ----------
    path
        The file, for messages.
    file
        Its content.

    Returns
    -------
    h5py.Group
        The content of the `.h5ad` file of this modality.

    Raises
    ------
    InputError
        There is no such modality, or several.
    """
    modalities = child(path, file, "mod")
    name = choose_modality(
        f"{path}: this MuData file",
        list(modalities),
        f'In Python, mudata.read_h5mu("{path}")["NAME"].write_h5ad("expr.h5ad") writes one of '
        "them.",
    )
    return child(path, modalities, name)


def _matrix(path: str, item: Any) -> Any:
    """Give a dataset unchanged, and a group as a sparse matrix."""
    if hasattr(item, "dtype"):
        return item
    kind = attribute(item, "encoding-type") or attribute(item, "h5sparse_format")
    if kind not in {"csr_matrix", "csc_matrix", "csr", "csc"}:
        raise InputError(
            f"{path}: {item.name} is a {kind}, not a dense, CSR or CSC matrix. Write it as one of "
            "these."
        )
    shape = item.attrs["shape" if "shape" in item.attrs else "h5sparse_shape"]
    n_rows, n_columns = (int(length) for length in shape)
    return SparseGroup(path, item, (n_rows, n_columns), by_row=kind.startswith("csr"))


def _columns(frame: Any) -> list[str]:
    return list(frame.dtype.names or ()) if hasattr(frame, "dtype") else list(frame)


def row_names(path: str, frame: Any) -> list[str]:
    """Read the names of the rows of a data frame.

    Parameters
    ----------
    path
        The file, for messages.
    frame
        `obs` or `var`; None if there is none.

    Raises
    ------
    InputError
        There is none, or it has no names.
    """
    if frame is None:
        raise InputError(f"{path}: there is no obs or no var. The file is damaged.")
    names = _names(path, frame, _index_name(frame))
    if names is None or None in names:
        raise InputError(f"{path}: {frame.name} has no names of its rows. The file is damaged.")
    return [str(name) for name in names]


def _index_name(frame: Any) -> str:
    if not hasattr(frame, "dtype"):
        return attribute(frame, "_index") or "_index"
    columns = _columns(frame)  # before anndata 0.7: one dataset of records
    return next((name for name in columns if name in {"_index", "index"}), columns[0])


def _names(path: str, frame: Any, name: str) -> list[str | None] | None:
    """Read a column of names, with None for missing ones; None if it holds something else."""
    values = _column(path, frame, name)
    if values is None or any(type(value) not in {str, int, type(None)} for value in values):
        return None
    return [None if value is None else str(value) for value in values]


def _column(path: str, frame: Any, name: str) -> list[Any] | None:
    """Read a column of a data frame, with None for missing values; None without such a column."""
    if hasattr(frame, "dtype"):
        return _items(whole(frame, frame.fields(name))) if name in _columns(frame) else None
    item = child(path, frame, name)
    if item is None:
        return None
    if not hasattr(item, "dtype"):
        if (codes := child(path, item, "codes")) is not None:
            return _take(whole(codes), _dataset(child(path, item, "categories")))
        if (values := child(path, item, "values")) is not None:  # nullable
            mask = child(path, item, "mask")
            if mask is not None:
                pairs = zip(_dataset(values), whole(mask).tolist(), strict=True)
                return [None if is_missing else value for value, is_missing in pairs]
        return None
    categories = item.attrs.get("categories")  # anndata 0.7: a reference
    if isinstance(categories, str):  # the same in a Zarr store: a path
        labels = child(path, child(path, frame, "__categories"), name)
        return None if labels is None else _take(whole(item), _dataset(labels))
    if categories is not None:
        return _take(whole(item), _dataset(in_file(path, item.file[categories])))
    return _dataset(item)


def _dataset(dataset: Any) -> list[Any]:
    return strings(dataset) if dataset.dtype.kind in "SO" else _items(whole(dataset))


def _items(values: NDArray[Any]) -> list[Any]:
    return [value.decode() if isinstance(value, bytes) else value for value in values.tolist()]


def _take(codes: NDArray[Any], categories: list[Any]) -> list[Any]:
    return [None if code < 0 else categories[code] for code in codes.tolist()]
