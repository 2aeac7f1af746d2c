"""Values of Python objects: numbers, or an error that names them."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.read._names import prefix
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["Objects", "array_of", "is_missing", "is_number", "numbers"]

_NUMBERS = (int, float, np.bool_, np.integer, np.floating, Decimal, Fraction)
_MISSING = {"NoneType", "NAType", "NaTType", "MaskedConstant"}  # without pandas being imported


def is_number(value: Any) -> bool:
    """Tell whether a value is a real number."""
    return _is_kind_of_number(type(value))


def _is_kind_of_number(kind: type) -> bool:
    # NumPy's differences of times are integers by their type.
    return issubclass(kind, _NUMBERS) and not issubclass(kind, np.timedelta64)


def is_missing(value: Any) -> bool:
    """Tell whether a value stands for a missing one."""
    return type(value).__name__ in _MISSING


def numbers(
    values: NDArray[np.object_], name_of: Callable[[int], str], *, missing: float | None = None
) -> NDArray[np.float64]:
    """Turn objects into numbers, if they are numbers.

    Parameters
    ----------
    values
        Shape (n_values,).
    name_of
        Takes the position of a value; begins a message on it.
    missing
        The number for missing values; None if they are an error.

    Returns
    -------
    ndarray
        Shape (n_values,).

    Raises
    ------
    InputError
        A value is not a number, or too large.
    """
    if all(map(_is_kind_of_number, set(map(type, values)))):
        with suppress(OverflowError, ValueError):  # which the slow way names
            return values.astype(np.float64)
    found = np.empty(len(values))
    for i, value in enumerate(values):
        if is_number(value):
            try:
                found[i] = float(value)
            except (OverflowError, ValueError):
                raise InputError(f"{name_of(i)}: the value is too large for a number.") from None
        elif missing is not None and is_missing(value):
            found[i] = missing
        elif is_missing(value) or (isinstance(value, (str, bytes)) and not value):
            raise InputError(
                f"{name_of(i)}: the value is missing. Write 0 where nothing was counted."
            )
        else:
            what = f"the text {shown(value)}" if isinstance(value, str) else type(value).__name__
            raise InputError(f"{name_of(i)}: the value is {what}, not a number.")
    return found


class Objects:
    """A dense matrix of objects, of which parts are given as numbers.

    Parameters
    ----------
    values
        Shape (n_rows, n_columns).
    name_of
        Takes row and column of a value; begins a message on it.
    """

    def __init__(self, values: NDArray[np.object_], name_of: Callable[[int, int], str]) -> None:
        self._values = values
        self._name_of = name_of
        self.shape = values.shape

    def __getitem__(self, where: tuple[slice, slice]) -> NDArray[np.float64]:
        some = self._values[where]
        top, left = (part.start for part in where)
        n_columns = max(some.shape[1], 1)

        def name_of(i: int) -> str:
            return self._name_of(top + i // n_columns, left + i % n_columns)

        return numbers(some.ravel(), name_of).reshape(some.shape)


def array_of(matrix: Any, name: str) -> NDArray[Any]:
    """Make an array of what NumPy takes, without a guess at what is no number.

    Parameters
    ----------
    matrix
        Not sparse.
    name
        How messages name it.

    Returns
    -------
    ndarray
        Of numbers, or of objects that are still to be looked at: masked values are None.

    Raises
    ------
    InputError
        Its rows are of different lengths.
    UsageError
        Its values are not in memory.
    """
    if isinstance(matrix, np.ma.MaskedArray):
        if not np.ma.getmaskarray(matrix).any():
            return np.asarray(matrix.data)
        objects = np.array(matrix.data, dtype=object)
        objects[np.ma.getmaskarray(matrix)] = None
        return objects
    try:
        array = np.asarray(matrix)
        if isinstance(matrix, (list, tuple)) and array.dtype.kind not in "biuf":
            array = np.asarray(matrix, dtype=object)
    except (RuntimeError, TypeError, ValueError) as error:
        if isinstance(matrix, (list, tuple)):
            raise InputError(
                f"{prefix(name)}the matrix has rows of different lengths, or values that are no "
                "numbers."
            ) from None
        raise InputError(
            f"{prefix(name)}NumPy makes no array of this {_kind(matrix)} ({error}). Pass a NumPy "
            "array or a SciPy sparse matrix."
        ) from None
    shape: Sequence[int] | None = getattr(matrix, "shape", None)
    if shape is not None and len(shape) == 2 and array.shape != tuple(shape):
        raise UsageError(
            f"{prefix(name)}the values of this {_kind(matrix)} are not in memory. Read them first: "
            "adata.to_memory() of AnnData, .compute() of a Dask array."
        )
    return array


def _kind(matrix: Any) -> str:
    kind = type(matrix)
    return f"{kind.__module__.partition('.')[0]} {kind.__name__}"
