"""The options of a run, as the public functions and the command line take them.

They are not checked here: what is checked becomes `cytotrace2_lite.base.parameters.Parameters`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.system.paths import expanded

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["RunOptions"]


@dataclass(frozen=True, eq=False, kw_only=True)
class RunOptions:
    """All that decides the scores of a dataset, and which resources they may take.

    It is built once, by `cytotrace2_lite.run`, by `cytotrace2_lite.check` or by the command line,
    and passed on as a whole. Each option means what it means for `cytotrace2_lite.run`.

    Attributes
    ----------
    genes, cells, layer, use_raw, orientation, duplicate_genes, gene_column
        Which values are read, and how.
    species, orthologs
        Which species the genes are of.
    model
        A path, a name, or a loaded `Ensemble`; None for the default model.
    batches
        The sample of each cell, or a name of a column with it; None where all cells are one sample.
    batch_size, smooth_batch_size, seed
        How cells are split into batches and groups.
    max_cores, max_memory
        Number of threads and bytes of memory; None for what the machine has.
    strict
        Whether warnings about the dataset are errors.
    """

    genes: Sequence[str] | None = None
    cells: Sequence[str] | None = None
    layer: str | None = None
    use_raw: bool = False
    orientation: str = "auto"
    duplicate_genes: str = "error"
    gene_column: str | None = None
    species: str = "mouse"
    orthologs: str | os.PathLike[str] | None = None
    model: Any = None
    batches: ArrayLike | str | None = None
    batch_size: int = 10_000
    smooth_batch_size: int = 1000
    seed: int = 14
    max_cores: int | None = None
    max_memory: int | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        for name in ("orthologs", "model"):
            object.__setattr__(self, name, expanded(getattr(self, name)))
