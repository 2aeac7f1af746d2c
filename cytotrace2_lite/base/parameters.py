"""Parameters of a run, and the numbers of cells and genes at which it behaves differently."""

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
#: Any other species: its genes are mapped to mouse by a table of orthologs that the user gives.
OTHER_SPECIES = "other"

#: A batch of fewer cells is not smoothed over neighbours.
MIN_CELLS_FOR_NEIGHBORS = 100
#: The score of a cell that expresses fewer genes of the model is less reliable.
MIN_GENES_PER_CELL = 500
#: A run on fewer cells is one batch.
MIN_CELLS_FOR_BATCHES = 1000
#: Settings by name. Those of Kang et al. are "paper": they need more memory and time than the
#: defaults.
PRESETS = {"paper": {"batch_size": 100_000, "smooth_batch_size": 10_000, "seed": 14}}


@dataclass(frozen=True)
class Parameters:
    """Parameters of a run, checked; the defaults are those of upstream's command line.

    Attributes
    ----------
    species
        `"mouse"` or `"human"`, or `"other"` with a table of orthologs.
    batch_size
        Largest number of cells in a batch (cells that are scored together), at least 1.
    smooth_batch_size
        Largest number of cells in a group (cells that are diffused together), at least 1.
    seed
        Seed of the shuffles into batches and groups, 0 to 2**32 - 1.
    max_cores
        Number of threads, at least 1. Results do not depend on it.
    max_memory
        Bytes of memory that the process may take, at least 1; None for all that the machine has
        left for it. Results do not depend on it.

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
        if self.species not in [*SPECIES, OTHER_SPECIES]:
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
