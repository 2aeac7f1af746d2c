"""Matrices, some values at a time, and blocks of these values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.counts.expression import Block
from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read._names import prefix
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Triples = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]

__all__ = ["Unnamed", "block_of", "compressed_steps", "dense_steps", "sliced_steps"]

_N_VALUES = 1 << 20  # of a step
_GIVE = "Give raw counts, CPM or TPM, and 0 where nothing was counted."


class Unnamed(list[str]):
    """Names that are not known here."""

    def __getitem__(self, _: Any) -> Any:
        return "?"


def block_of(
    name: str,
    genes: Sequence[str],
    cells: Sequence[str],
    gene: NDArray[Any],
    cell: NDArray[Any],
    value: NDArray[Any],
    *,
    hint: str = "",
) -> Block:
    """Check some values and make a block of them.

    Parameters
    ----------
    name
        The input, for the message.
    genes, cells
        Names of the axes.
    gene, cell
        Indices of each value, shape (n_values,).
    value
        Shape (n_values,), of a type that holds real numbers; may have zeros.
    hint
        End of the message: what else could be read.

    Returns
    -------
    Block
        The values that are not zero.

    Raises
    ------
    InputError
        A value is not a finite number >= 0.
    """
    if value.dtype.kind not in "iu" and value.dtype != np.float32:
        value = value.astype(np.float64, copy=False)
    positive = value > 0
    if not positive.all():
        bad = np.flatnonzero(~positive & (value != 0))
        if len(bad):
            raise _bad(name, genes, cells, gene[bad[0]], cell[bad[0]], value[bad[0]], hint)
        gene, cell, value = gene[positive], cell[positive], value[positive]
    largest = float(value.max(initial=0))
    if largest == np.inf:
        at = value.argmax()
        raise _bad(name, genes, cells, gene[at], cell[at], value[at], hint)
    return Block(gene, cell, value, largest)


def _bad(
    name: str,
    genes: Sequence[str],
    cells: Sequence[str],
    gene: int,
    cell: int,
    value: float,
    hint: str,
) -> InputError:
    problem = "negative" if -np.inf < value < 0 else "not a finite number"
    return InputError(
        f"{prefix(name)}gene {shown(genes[gene])}, cell {shown(cells[cell])}: the value {value:g} "
        f"is {problem}. {_GIVE}{hint}"
    )


def compressed_steps(
    name: str, indptr: NDArray[Any], indices: Any, data: Any, shape: tuple[int, int]
) -> Iterator[tuple[Triples, int]]:
    """Go through a compressed sparse matrix, some values at a time.

    Parameters
    ----------
    name
        The input, for the message.
    indptr
        Where the values of each row (of CSR; of CSC: column) begin; integers, shape
        (n_rows + 1,).
    indices, data
        Column (of CSC: row) of each value, and the values, shape (n_values,): arrays, or HDF5
        datasets.
    shape
        Numbers of rows and columns (of CSC: columns and rows).

    Yields
    ------
    tuple
        Row, column and value of some consecutive values; and the number of values so far.

    Raises
    ------
    InputError
        The arrays do not fit together.
    """
    n_major, n_minor = shape
    n_values = data.shape[0]
    if not (
        indptr.shape == (n_major + 1,)
        and indptr.dtype.kind in "iu"
        and indptr[0] == 0
        and indptr[-1] == n_values
        and indices.shape == data.shape == (n_values,)
        and (indptr[1:] >= indptr[:-1]).all()
    ):
        raise _damaged(name)
    kind = np.int32 if n_major <= np.iinfo(np.int32).max else np.int64
    for start in range(0, n_values, _N_VALUES):
        stop = min(start + _N_VALUES, n_values)
        first = np.searchsorted(indptr, start, side="right") - 1
        last = np.searchsorted(indptr, stop, side="left")
        sizes = np.diff(np.clip(indptr[first : last + 1], start, stop))
        major = np.repeat(np.arange(first, last, dtype=kind), sizes)
        minor, value = np.asarray(indices[start:stop]), np.asarray(data[start:stop])
        if minor.dtype.kind not in "iu" or minor.min() < 0 or minor.max() >= n_minor:
            raise _damaged(name)
        yield (major, minor, value), stop


def sliced_steps(matrix: Any) -> Iterator[tuple[Triples, int]]:
    """Go through a sparse matrix that only gives slices, as AnnData's on disk, some rows at a time.

    Parameters
    ----------
    matrix
        Has `shape`, `format` ("csr" or "csc") and slices that are SciPy matrices.

    Yields
    ------
    tuple
        Row, column and value of some values; and the number of rows (of CSC: columns) so far.
    """
    by_row = matrix.format == "csr"
    n_major, n_minor = matrix.shape if by_row else matrix.shape[::-1]
    step = max(1, 4 * _N_VALUES // max(n_minor, 1))  # most of it is zero
    for start in range(0, n_major, step):
        stop = min(start + step, n_major)
        some = (matrix[start:stop] if by_row else matrix[:, start:stop]).tocoo()
        row, column = some.row, some.col
        yield (row + start * by_row, column + start * (not by_row), some.data), stop


def dense_steps(matrix: Any) -> Iterator[tuple[Triples, int]]:
    """Go through a dense matrix, some rows and columns at a time.

    Parameters
    ----------
    matrix
        A NumPy array or an HDF5 dataset with two axes; a dataset is read by whole chunks.

    Yields
    ------
    tuple
        Row, column and value of those that are not zero; and the number of all values so far.
    """
    n_rows, n_columns = matrix.shape
    high, wide = getattr(matrix, "chunks", None) or (1, n_columns)
    wide = min(n_columns, wide * max(1, _N_VALUES // max(high * wide, 1)))
    high = min(n_rows, high * max(1, _N_VALUES // max(high * wide, 1)))
    done = 0
    for top in range(0, n_rows, max(high, 1)):
        for left in range(0, n_columns, max(wide, 1)):
            some = np.asarray(matrix[top : top + high, left : left + wide])
            # A chunk may be large, and the indices of its values take more memory than these.
            low, narrow = max(1, _N_VALUES // max(some.shape[1], 1)), _N_VALUES
            for first in range(0, some.shape[0], low):
                for start in range(0, some.shape[1], narrow):
                    part = some[first : first + low, start : start + narrow]
                    row, column = part.nonzero()
                    done += part.size
                    yield (row + (top + first), column + (left + start), part[row, column]), done
            del some, part  # before the next chunk is read


def _damaged(name: str) -> InputError:
    return InputError(
        f"{prefix(name)}the sparse matrix is damaged: its data, indices and indptr do not fit "
        "together. Copy or write it again."
    )
