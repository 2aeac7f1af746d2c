"""The options of a run, as the public functions and the command line take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["RunOptions"]


@dataclass(frozen=True, eq=False, kw_only=True)
class RunOptions:
    """What decides the scores of a dataset, and what they are computed with.

    It is built once, by `cytotrace2_lite.run`, by `cytotrace2_lite.check` or by the command line,
    and passed on whole.

    Attributes
    ----------
    genes, cells, layer, use_raw, orientation, duplicate_genes
        What is read, and how; as for `cytotrace2_lite.run`.
    species, orthologs
        Whose genes they are.
    model
        A path, a name, or a loaded `Ensemble`.
    batches, batch_size, smooth_batch_size, seed
        Which cells are scored together.
    max_cores, max_memory
        What may be used.
    """

    genes: Sequence[str] | None = None
    cells: Sequence[str] | None = None
    layer: str | None = None
    use_raw: bool = False
    orientation: str = "auto"
    duplicate_genes: str = "error"
    species: str = "mouse"
    orthologs: str | os.PathLike[str] | None = None
    model: Any = None
    batches: ArrayLike | str | None = None
    batch_size: int = 10_000
    smooth_batch_size: int = 1000
    seed: int = 14
    max_cores: int | None = None
    max_memory: int | None = None
