"""Expression from a matrix in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array, issparse

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.expression import Expression

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["from_matrix"]


def from_matrix(
    matrix: Any, genes: Sequence[str] | None, cells: Sequence[str] | None = None
) -> Expression:
    """Take the expression from a matrix; the matrix is not changed.

    Parameters
    ----------
    matrix
        Shape (n_cells, n_genes); a SciPy sparse matrix or array, or anything NumPy takes.
    genes
        Names of the genes, each once.
    cells
        Names of the cells, each once; "0", "1", ... by default.

    Returns
    -------
    Expression
        The same numbers, without stored zeros.

    Raises
    ------
    UsageError
        Names are missing or do not fit the shape.
    InputError
        A value is not a finite number >= 0, or a name is repeated.
    """
    if genes is None:
        raise UsageError("a matrix needs the names of its genes: pass genes=[...].")
    given = matrix if issparse(matrix) else np.asarray(matrix)
    if given.ndim != 2:
        raise UsageError(f"the matrix has {given.ndim} dimensions; it must be cells x genes.")
    if given.dtype.kind not in "biufO":
        raise InputError(f"the matrix holds {given.dtype}, not real numbers.")
    try:
        values = csr_array(given, dtype=np.float64, copy=True)
    except (TypeError, ValueError) as error:
        raise InputError(f"the matrix does not hold numbers: {error}.") from error
    n_cells, n_genes = values.shape
    gene_names = [str(name) for name in genes]
    cell_names = [str(name) for name in (range(n_cells) if cells is None else cells)]
    for axis, names, length in (("genes", gene_names, n_genes), ("cells", cell_names, n_cells)):
        if len(names) != length:
            raise UsageError(
                f"the matrix has {n_cells} rows (cells) and {n_genes} columns (genes), but "
                f"{len(names)} names of {axis} are given. Is it transposed?"
            )
        if not names:
            raise InputError(f"the matrix has no {axis}.")
        _check_names(axis.removesuffix("s"), names)
    # Genes are compared where they are mapped.
    if len(set(cell_names)) < n_cells:
        first: dict[str, int] = {}
        again = next(i for i, name in enumerate(cell_names) if first.setdefault(name, i) != i)
        raise InputError(
            f"cell {cell_names[again]!r} appears twice (cells {first[cell_names[again]] + 1:,} and "
            f"{again + 1:,}). Rename or drop one."
        )
    values.sum_duplicates()
    values.eliminate_zeros()
    bad = np.flatnonzero(~(np.isfinite(values.data) & (values.data > 0)))
    if len(bad):
        cell = int(np.searchsorted(values.indptr, bad[0], side="right")) - 1
        value = values.data[bad[0]]
        problem = "negative" if value < 0 else "not a finite number"
        raise InputError(
            f"gene {gene_names[values.indices[bad[0]]]!r}, cell {cell_names[cell]!r}: the value "
            f"{value:g} is {problem}. Give raw counts, CPM or TPM, and 0 where nothing was "
            "counted."
        )
    largest = float(values.data.max(initial=0.0))
    return Expression(values.tocsc(), cell_names, gene_names, largest)


def _check_names(what: str, names: list[str]) -> None:
    for position, name in enumerate(names, 1):
        if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
            raise InputError(
                f"the name {name!r} of {what} {position} is not valid text. Rename it."
            )
