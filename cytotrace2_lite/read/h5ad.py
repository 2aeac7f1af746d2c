"""Files of AnnData (`.h5ad`), as all versions of anndata write them.

Source: "On-disk format" in the documentation of anndata; of versions before 0.7 the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.read._hdf5_matrix import NamedMatrix, SparseGroup
from cytotrace2_lite.read._names import check_cells, choose_gene_names
from cytotrace2_lite.read._source import Source
from cytotrace2_lite.read.anndata import choose_matrix, is_gene_column
from cytotrace2_lite.read.hdf5 import attribute, child, in_file, strings, whole
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cytotrace2_lite.read._options import ReadOptions

__all__ = ["is_h5ad", "obs_column", "obsm", "open_h5ad", "row_names"]


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
        Which matrix, and whether two genes may have one name.

    Returns
    -------
    NamedMatrix
        Its cells are the index of `obs`. Its genes are the index of `var`, or a column of `var` if
        that has more known genes.

    Raises
    ------
    InputError
        There is no such matrix, something is missing, or a name is repeated.
    UsageError
        An orientation is given: the rows of AnnData are cells.
    """
    options.refuse(f"{path}: a .h5ad file", orientation=True)
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
    item, var = x, child(path, file, "var")
    if options.use_raw:
        item, var = raw_x, raw_var
    elif options.layer is not None:
        item = child(path, layers, options.layer)
    cells = row_names(path, child(path, file, "obs"))
    check_cells(path, cells)
    columns = {"the index of var": row_names(path, var)}
    for column in _columns(var):
        if is_gene_column(column) and (names := _names(path, var, column)) is not None:
            columns[f"var[{column!r}]"] = names
    origin, genes = choose_gene_names(path, columns, options)
    source = Source(
        "h5ad",
        path,
        matrix=chosen,
        other_matrices=others,
        orientation="cells x genes",
        gene_names=origin,
    )
    return NamedMatrix(_matrix(path, item), cells, genes, np.arange(len(genes)), source)


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
    if names is None:
        raise InputError(f"{path}: {frame.name} has no names of its rows. The file is damaged.")
    return names


def _index_name(frame: Any) -> str:
    if not hasattr(frame, "dtype"):
        return attribute(frame, "_index") or "_index"
    columns = _columns(frame)  # before anndata 0.7: one dataset of records
    return next((name for name in columns if name in {"_index", "index"}), columns[0])


def _names(path: str, frame: Any, name: str) -> list[str] | None:
    """Read a column of names; None if it holds something else, or some are missing."""
    values = _column(path, frame, name)
    if values is None or any(type(value) not in {str, int} for value in values):
        return None
    return [str(value) for value in values]


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
    if categories is not None:
        return _take(whole(item), _dataset(in_file(path, item.file[categories])))
    return _dataset(item)


def _dataset(dataset: Any) -> list[Any]:
    return strings(dataset) if dataset.dtype.kind in "SO" else _items(whole(dataset))


def _items(values: NDArray[Any]) -> list[Any]:
    return [value.decode() if isinstance(value, bytes) else value for value in values.tolist()]


def _take(codes: NDArray[Any], categories: list[Any]) -> list[Any]:
    return [None if code < 0 else categories[code] for code in codes.tolist()]
