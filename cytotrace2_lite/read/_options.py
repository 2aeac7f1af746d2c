"""The options of all readers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cytotrace2_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    IsKnown = Callable[[list[str]], NDArray[np.bool_]]

__all__ = ["DUPLICATE_GENES", "ORIENTATIONS", "ReadOptions"]

ORIENTATIONS = ("auto", "genes-x-cells", "cells-x-genes")
DUPLICATE_GENES = ("error", "first", "sum")


@dataclass(frozen=True)
class ReadOptions:
    """The options of all readers. Each reader refuses those that have no meaning for its format.

    Attributes
    ----------
    is_known
        Tells which of some names can be genes of the model, bool, shape (n_names,). If it is None,
        all genes are kept.
    layer
        Name of a layer of AnnData, or of a genome in a 10x .h5 file with several.
    use_raw
        Whether to read `.raw` of AnnData.
    orientation
        "genes-x-cells" if the rows of a table or matrix are genes, "cells-x-genes" if they are
        cells, "auto" to tell that by the names.
    duplicate_genes
        What to do with genes of one name: "error", keep the "first", or "sum".
    threads
        How many threads may parse text. The result does not depend on it.
    gene_column
        Which names of the genes to take: a column of `var` of AnnData, "symbols" or "ids" of 10x
        data. If it is None, those of which most are known genes.
    max_memory
        Bytes of memory that reading may take; None for what the machine has.
    is_gene
        Tells which of some names are genes of any species, bool, shape (n_names,); asked if few
        names are known.
    features
        Gives the feature of each of all genes, as `Expression.counts_of_features` takes them, and
        the number of features; None where that cannot be said of these names. If many values are
        read, and come cell by cell, they are sorted by feature as they come.

    Raises
    ------
    UsageError
        An option has no such value, or both `layer` and `use_raw` are given.
    """

    is_known: IsKnown | None = None
    layer: str | None = None
    use_raw: bool = False
    orientation: str = "auto"
    duplicate_genes: str = "error"
    threads: int = 1
    gene_column: str | None = None
    max_memory: int | None = None
    is_gene: IsKnown | None = None
    features: Callable[[list[str]], tuple[NDArray[np.int32], int] | None] | None = None

    def __post_init__(self) -> None:
        for name, allowed in (
            ("orientation", ORIENTATIONS),
            ("duplicate_genes", DUPLICATE_GENES),
        ):
            value = getattr(self, name)
            if value not in allowed:
                choices = ", ".join(map(repr, allowed))
                raise UsageError(f"{name} is {value!r}; it must be one of {choices}.")
        if self.layer is not None and self.use_raw:
            raise UsageError("a layer and raw are two matrices: choose one of them.")

    def refuse(self, what: str, *, matrix: bool = False, gene_column: bool = False) -> None:
        """Raise if an option is given that has no meaning for an input.

        Parameters
        ----------
        what
            The input, for the message: "a text table".
        matrix
            Whether to refuse `layer` and `use_raw`.
        gene_column
            Whether to refuse `gene_column`.

        Raises
        ------
        UsageError
            Such an option is given.
        """
        if matrix and (self.layer is not None or self.use_raw):
            option = "raw" if self.use_raw else "layers"
            raise UsageError(f"{what} has no {option}: leave the option out.")
        if gene_column and self.gene_column is not None:
            raise UsageError(
                f"{what} has no columns of gene names to choose from: leave the gene column out."
            )
