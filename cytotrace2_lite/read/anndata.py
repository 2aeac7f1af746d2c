"""AnnData objects, in memory or backed by a file. anndata is not imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._frames import choose_gene_column, choose_matrix, counts_beside
from cytotrace2_lite.read._lazy import column_of
from cytotrace2_lite.read._source import Source
from cytotrace2_lite.read.matrix import Matrix, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.read._options import ReadOptions

__all__ = ["from_anndata", "is_anndata"]


def is_anndata(data: Any) -> bool:
    """Tell whether an object is an AnnData, or works like one.

    Parameters
    ----------
    data
        Anything.

    Returns
    -------
    bool
        Whether it has the attributes that are used. `X` is looked up in the class: making it may
        cost time and memory.
    """
    names = ("obs", "obs_names", "var", "layers", "uns")
    return hasattr(type(data), "X") and all(hasattr(data, name) for name in names)


def from_anndata(data: Any, options: ReadOptions) -> Matrix:
    """Make a reader of a matrix of an AnnData object, which may be on disk.

    Parameters
    ----------
    data
        The object; it is not changed.
    options
        Which matrix, whether its rows are genes, and which names they have.

    Returns
    -------
    Matrix
        Its cells are `obs_names`. Its genes are `var_names`, or a column of `var` if that has more
        known genes. If the rows are genes, it is the other way round.

    Raises
    ------
    InputError
        There is no such matrix, a name is repeated, or the object is not in memory.
    UsageError
        There is no such column of names.
    """
    for frame in (data.obs, data.var):
        if not hasattr(frame, "iloc") and not hasattr(frame, "to_memory"):
            raise InputError(
                "AnnData: its obs and var are not in memory. Pass adata.to_memory() instead."
            )
    x = data.X  # a copy where the object is a view of another
    raw: Any = getattr(data, "raw", None)
    # Newer versions of anndata have a layer None, which is X.
    layers = {f"layers[{str(layer)!r}]": layer for layer in data.layers if layer is not None}
    chosen, others = choose_matrix(
        "AnnData",
        has_x=x is not None,
        layers=[str(layer) for layer in layers.values()],
        has_raw=raw is not None,
        options=options,
    )

    def matrix_of(name: str) -> Any:
        if name == "raw.X":
            return raw.X
        return data.layers[layers[name]] if name in layers else x

    def values(name: str) -> Iterable[NDArray[Any]]:
        matrix = matrix_of(name)
        return values_of(matrix) if matrix.shape[0] == len(data.obs_names) else ()

    chosen, others, instead_of = counts_beside(chosen, others, values, options)
    var, cells = raw.var if chosen == "raw.X" else data.var, data.obs
    of_genes = "var"
    if options.orientation == "genes-x-cells":
        var, cells, of_genes = cells, var, "obs"
    columns = {str(column): _reader(var, column, i) for i, column in enumerate(var.columns)}
    index = (f"{of_genes}_names", [str(name) for name in var.index])
    what = f"AnnData {chosen}"
    origin, genes = choose_gene_column(what, of_genes, index, columns, options)
    source = Source("AnnData", matrix=chosen, other_matrices=others, instead_of=instead_of)
    names = [str(name) for name in cells.index]
    return Matrix(matrix_of(chosen), {origin: genes}, names, options, source, what)


def _reader(frame: Any, name: Any, position: int) -> Callable[[], Sequence[Any] | None]:
    """Give a function that reads a column, with None for missing values, if it has names."""

    def read() -> Sequence[Any] | None:
        # By position: a data frame of pandas may have two columns of one name.
        is_lazy = hasattr(frame, "to_memory")
        column = column_of(frame, name) if is_lazy else frame.iloc[:, position]
        values = [
            None if is_missing else value
            for value, is_missing in zip(column, column.isna(), strict=True)
        ]
        if any(not isinstance(value, (str, int, type(None))) for value in values):
            return None
        return values if any(value is not None for value in values) else None

    return read
