"""Time and memory of a run: an estimate, and whether there is enough memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.base.finding import Finding
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.system import machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.counts import Counts

__all__ = ["check_resources", "estimate"]

# Costs, from runs on 300 to 20,000 cells with 700 to 7,000 genes each (tests/benchmarks/
# estimate.py). On the machine of these runs, most estimates are off by less than a factor of 1.3,
# and the worst by a factor of 2.
_SECONDS_PER_CELL = 3.5e-4
_SECONDS_PER_VALUE = 2.6e-7
_SECONDS_PER_PAIR = 5e-9  # of cells, in the search for neighbours
_PARALLEL_SHARE = 0.8
_BYTES_AT_REST = 1.9e8  # libraries, model, tables of genes
_BYTES_PER_VALUE = 9  # of a batch
_BYTES_PER_CELL = 7e3  # of a batch
_BYTES_PER_CELL_IN_ALL = 300  # names, scores, the results as text
_BYTES_PER_THREAD = 4e7


def estimate(
    counts: Counts, batches: Sequence[NDArray[np.intp]], threads: int
) -> tuple[float, float]:
    """Estimate time and memory of a run.

    Parameters
    ----------
    counts
        Expression over the model's genes, shape (n_cells, n_features).
    batches
        Cells of each batch, at least one.
    threads
        Number of threads.

    Returns
    -------
    seconds : float
        From now to the results.
    memory : float
        Bytes at the peak, what is held by now included.
    """
    genes_per_cell = counts.genes_per_cell
    n_cells = np.array([len(cells) for cells in batches])
    n_values = np.array([genes_per_cell[cells].sum() for cells in batches])
    one_thread = (
        _SECONDS_PER_CELL * n_cells + _SECONDS_PER_VALUE * n_values + _SECONDS_PER_PAIR * n_cells**2
    ).sum()
    of_batch = (_BYTES_PER_VALUE * n_values + _BYTES_PER_CELL * n_cells).max()
    held = counts.n_bytes + _BYTES_PER_CELL_IN_ALL * counts.shape[0]
    return (
        float(one_thread * (1 - _PARALLEL_SHARE + _PARALLEL_SHARE / threads)),
        max(
            machine.peak_memory() or 0,
            _BYTES_AT_REST + held + of_batch + _BYTES_PER_THREAD * threads,
        ),
    )


def check_resources(
    counts: Counts,
    batches: Sequence[NDArray[np.intp]],
    threads: int,
    batch_size: int,
    max_memory: int | None = None,
) -> list[Finding]:
    """Estimate time and memory of a run, and refuse a run that would take too much memory.

    Parameters
    ----------
    counts, batches, threads
        As for `estimate`.
    batch_size
        Largest number of cells in a batch, for the message.
    max_memory
        Bytes that the process may take; None for all that the machine has left for it.

    Returns
    -------
    list of Finding
        The estimate.

    Raises
    ------
    UsageError
        The run would take more memory than that.
    """
    seconds, memory = estimate(counts, batches, threads)
    allowed = machine.available_memory() if max_memory is None else max_memory
    if allowed is not None and memory > allowed:
        there = "are there" if max_memory is None else "are allowed (--max-memory)"
        raise UsageError(
            f"about {_amount(memory)} of memory would be needed (an estimate), and "
            f"{_amount(allowed)} {there}. Use a -bs/--batch-size (batch_size in Python) smaller "
            f"than {batch_size:,}, a machine with more memory, or, where the estimate is too "
            "cautious, a larger --max-memory."
        )
    return [
        Finding(
            "estimate",
            "note",
            f"about {_duration(seconds)} from here and about {_amount(memory)} of memory with "
            f"{threads} thread{'s' if threads > 1 else ''} (an estimate)",
            "Machines, and what else they do, differ by a factor of 2 or more.",
        )
    ]


def _amount(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
