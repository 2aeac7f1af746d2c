"""The handle on an input: a file, a pipe or an object, opened once for all that is asked of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.counts import MAX_BYTES
from cytotrace2_lite.read import anndata, h5ad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

    from cytotrace2_lite.counts.expression import Expression
    from cytotrace2_lite.read._options import ReadOptions
    from cytotrace2_lite.read._stream import Source

__all__ = ["Input", "open_input"]


class Input:
    """What is to be scored; what is asked of it is answered from one opening of it.

    Parameters
    ----------
    data
        A path, "-" for standard input, or an object.

    Attributes
    ----------
    data
        As given.
    is_path
        Whether it is a path.
    """

    def __init__(self, data: str | os.PathLike[str] | Any) -> None:
        self.data = data
        self.is_path = isinstance(data, (str, os.PathLike))

    @property
    def name(self) -> str:
        """How messages name it."""
        return os.fspath(self.data) if self.is_path else type(self.data).__name__

    @property
    def is_h5ad(self) -> bool:
        """Whether it is the path of a `.h5ad` file; its content tells."""
        return self.is_path and h5ad.is_h5ad_path(self.data)

    @property
    def is_anndata(self) -> bool:
        """Whether it is an AnnData object."""
        return not self.is_path and anndata.is_anndata(self.data)

    def read(
        self,
        options: ReadOptions,
        *,
        genes: Sequence[str] | None = None,
        cells: Sequence[str] | None = None,
        progress: Callable[[int, int, str], None] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> tuple[Expression, Source]:
        """Read the expression.

        Parameters
        ----------
        options
            What is read, and how.
        genes, cells
            Names of the axes of a matrix that has none.
        progress
            Called once per block with the progress so far, its total, and what both count.
        max_bytes
            What the values may take in memory.

        Returns
        -------
        tuple
            The expression, and what it was read from.
        """
        from cytotrace2_lite.read import read_with

        return read_with(
            self.data, options, genes=genes, cells=cells, progress=progress, max_bytes=max_bytes
        )

    def close(self) -> None:
        """Close it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_input(data: str | os.PathLike[str] | Any) -> Input:
    """Open an input.

    Parameters
    ----------
    data
        A path, "-" for standard input, or an object.

    Returns
    -------
    Input
        To be closed.
    """
    return Input(data)
