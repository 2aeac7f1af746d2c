"""Files of AnnData (`.h5ad`), of all its versions.

Source: "On-disk format" in the documentation of anndata; of versions before 0.7 the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._names import check_cells, choose_gene_names
from cytotrace2_lite.read.anndata import choose_matrix, is_gene_column
from cytotrace2_lite.read.hdf5 import Hdf5Matrix, SparseGroup, attribute, child, here, strings

if TYPE_CHECKING:
    from cytotrace2_lite.read._options import ReadOptions

__all__ = ["is_h5ad", "open_h5ad"]


def is_h5ad(file: Any) -> bool:
    """Tell whether an HDF5 file is AnnData's."""
    return attribute(file, "encoding-type") == "anndata" or {"obs", "var"} <= set(file)


def open_h5ad(path: str, file: Any, options: ReadOptions) -> Hdf5Matrix:
    """Open a file of AnnData.

    Parameters
    ----------
    path
        The file, for messages.
    file
        The file.
    options
        Which matrix, and whether two genes may have one name.

    Returns
    -------
    Hdf5Matrix
        Its cells are the index of `obs`; its genes that of `var`, or the column of `var` that comes
        to more genes of the model.

    Raises
    ------
    InputError
        There is no such matrix, a part is missing, or a name is repeated.
    UsageError
        An orientation is given: the rows of AnnData are cells.
    """
    options.refuse(f"{path}: a .h5ad file", orientation=True)
    layers = child(path, file, "layers")
    raw = child(path, file, "raw")
    # Before anndata 0.7, the parts of raw were members of the root.
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
    item, var = x, child(path, file, "var")
    if options.use_raw:
        item, var = raw_x, raw_var
    elif options.layer is not None:
        item = child(path, layers, options.layer)
    cells = _index(path, child(path, file, "obs"))
    check_cells(path, cells)
    columns = {"the index of var": _index(path, var)}
    for column in _columns(var):
        if is_gene_column(column) and (names := _column(path, var, column)) is not None:
            columns[f"var[{column!r}]"] = names
    origin, genes = choose_gene_names(path, columns, options)
    source = {
        "format": "h5ad",
        "matrix": chosen,
        "other_matrices": others,
        "orientation": "cells x genes",
        "gene_names": origin,
    }
    matrix = _matrix(path, item)
    return Hdf5Matrix(path, file, matrix, cells, genes, np.arange(len(genes)), source)


def _matrix(path: str, item: Any) -> Any:
    """Give a dataset as it is, and a group as a sparse matrix."""
    if hasattr(item, "dtype"):
        return item
    kind = attribute(item, "encoding-type") or attribute(item, "h5sparse_format")
    if kind not in {"csr_matrix", "csc_matrix", "csr", "csc"}:
        raise InputError(f"{path}: {item.name} is a {kind}, not a dense, CSR or CSC matrix.")
    shape = item.attrs["shape" if "shape" in item.attrs else "h5sparse_shape"]
    n_rows, n_columns = (int(length) for length in shape)
    return SparseGroup(path, item, (n_rows, n_columns), by_row=kind.startswith("csr"))


def _columns(frame: Any) -> list[str]:
    return list(frame.dtype.names or ()) if hasattr(frame, "dtype") else list(frame)


def _index(path: str, frame: Any) -> list[str]:
    """Read the names of the rows of a data frame."""
    if frame is None:
        raise InputError(f"{path}: there is no obs or no var. The file is damaged.")
    if hasattr(frame, "dtype"):  # before anndata 0.7: one dataset of records
        columns = _columns(frame)
        name = next((name for name in columns if name in {"_index", "index"}), columns[0])
    else:
        name = attribute(frame, "_index") or "_index"
    names = _column(path, frame, name)
    if names is None:
        raise InputError(f"{path}: {frame.name} has no names of its rows. The file is damaged.")
    return names


def _column(path: str, frame: Any, name: str) -> list[str] | None:
    """Read a column of a data frame; None where it is not of strings, or some are missing."""
    if hasattr(frame, "dtype"):
        values = frame.fields(name)[:] if name in _columns(frame) else np.empty(0)
        if values.dtype.kind not in "SO":
            return None
        return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
    item = child(path, frame, name)
    if item is None:
        return None
    if not hasattr(item, "dtype"):
        if (codes := child(path, item, "codes")) is not None:
            return _take(codes[:], strings(child(path, item, "categories")))
        if (values := child(path, item, "values")) is not None:  # nullable
            mask = child(path, item, "mask")
            return None if mask is None or mask[:].any() else strings(values)
        return None
    categories = item.attrs.get("categories")  # anndata 0.7: a reference
    if categories is not None:
        return _take(item[:], strings(here(path, item.file[categories])))
    if item.dtype.kind not in "SOiu":
        return None
    return strings(item)


def _take(codes: Any, categories: list[str]) -> list[str] | None:
    if codes.min(initial=0) < 0:
        return None
    return [categories[code] for code in codes.tolist()]
