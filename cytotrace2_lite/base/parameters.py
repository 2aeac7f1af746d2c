"""What a run can be told, and the sizes of data at which it behaves differently."""

from __future__ import annotations

import operator
from dataclasses import dataclass

from cytotrace2_lite.errors import UsageError

__all__ = [
    "MIN_CELLS_FOR_BATCHES",
    "MIN_CELLS_FOR_NEIGHBORS",
    "MIN_GENES_PER_CELL",
    "OTHER_SPECIES",
    "PRESETS",
    "SPECIES",
    "Parameters",
]

SPECIES = ("mouse", "human")
#: Any other, whose genes are mapped by the user's table of orthologs.
OTHER_SPECIES = "other"

#: Batches of fewer cells are not smoothed over neighbours.
MIN_CELLS_FOR_NEIGHBORS = 100
#: Cells that express fewer genes of the model are poor ones.
MIN_GENES_PER_CELL = 500
#: Fewer cells are never split into batches.
MIN_CELLS_FOR_BATCHES = 1000
#: Settings by name: "paper" are those of Kang et al. (batches of 100,000 cells, 10,000 of them
#: smoothed together), which need more memory and time than the defaults.
PRESETS = {"paper": {"batch_size": 100_000, "smooth_batch_size": 10_000, "seed": 14}}


@dataclass(frozen=True)
class Parameters:
    """What a run can be told; the defaults are those of upstream's command line.

    Attributes
    ----------
    species
        `"mouse"` or `"human"`, or `"other"` with a table of orthologs.
    batch_size
        Largest number of cells processed together, at least 1.
    smooth_batch_size
        Largest number of cells smoothed by diffusion together, at least 1.
    seed
        Seed of the shuffles into batches and groups, 0 to 2**32 - 1.
    max_cores
        Number of threads, at least 1. Results do not depend on it.
    max_memory
        Bytes the process may take, at least 1; None for what the machine leaves it. Results do not
        depend on it.

    Raises
    ------
    UsageError
        A value is out of range.
    """

    species: str = "mouse"
    batch_size: int = 10_000
    smooth_batch_size: int = 1000
    seed: int = 14
    max_cores: int = 1
    max_memory: int | None = None

    def __post_init__(self) -> None:
        if self.species not in {*SPECIES, OTHER_SPECIES}:
            raise UsageError(f"species is {self.species!r}; it must be 'mouse' or 'human'.")
        for name in ("batch_size", "smooth_batch_size", "seed", "max_cores", "max_memory"):
            value = getattr(self, name)
            if value is None and name == "max_memory":
                continue
            try:
                object.__setattr__(self, name, operator.index(value))  # NumPy's integers, too
            except TypeError as error:
                raise UsageError(f"{name} is {value!r}; it must be a whole number.") from error
            if name != "seed" and value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed is {self.seed}; it must be from 0 to {2**32 - 1}.")
