"""The unit of work: the scores of one batch, as a pure function of its counts.

Source: Kang et al., Nature Methods 2025, doi 10.1038/s41592-025-02857-2; cytotrace2_py 1.1.0.4
`process_subset` (behaviour).
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cytotrace2_lite.base.parameters import MIN_CELLS_FOR_NEIGHBORS, Parameters
from cytotrace2_lite.base.potency import potency_of
from cytotrace2_lite.stages import binning, components, diffusion, neighbors
from cytotrace2_lite.stages.gene_sums import GeneSums
from cytotrace2_lite.stages.standardised import compile_ahead, standardise
from cytotrace2_lite.system.blas import one_blas_thread
from cytotrace2_lite.system.machine import release_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from cytotrace2_lite.counts import Counts
    from cytotrace2_lite.models.ensemble import Ensemble

__all__ = ["BatchScores", "Clock", "score_batch"]


@dataclass(frozen=True, eq=False)
class BatchScores:
    """Scores of the cells of one batch, in its order, and how their computation went.

    Attributes
    ----------
    raw_score
        Score of the ensemble; float64, shape (n_cells,).
    probabilities
        Mean potency probabilities of the ensemble; float64, shape (n_cells, 6).
    preknn_potency_index
        Position of the highest of them; intp, shape (n_cells,).
    preknn_score
        Score after diffusion and binning; float64, shape (n_cells,).
    score
        Final score; float64, shape (n_cells,).
    genes_per_cell
        Genes of the model that each cell expresses; int64, shape (n_cells,).
    seconds
        Time by stage.
    components
        Principal components that the scores are smoothed over; float64, shape (n_cells, 30). None
        where there are too few cells for that.
    score_sd
        Spread of the members' raw scores; float64, shape (n_cells,).
    """

    raw_score: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    preknn_potency_index: NDArray[np.intp]
    preknn_score: NDArray[np.float64]
    score: NDArray[np.float64]
    genes_per_cell: NDArray[np.int64]
    seconds: dict[str, float]
    components: NDArray[np.float64] | None
    score_sd: NDArray[np.float64] | None = None


def score_batch(
    counts: Counts,
    ensemble: Ensemble,
    parameters: Parameters,
    *,
    progress: Callable[[str, int], None] | None = None,
    release: bool = False,
) -> BatchScores:
    """Compute the scores of the cells of one batch: all stages, one after the other.

    It depends on its arguments alone, and all of them can be pickled, as what it returns can: a
    batch may be scored in any thread, process or machine, with the same bytes.

    Parameters
    ----------
    counts
        Expression over the model's features, shape (n_cells, 14271), a value in each cell at least.
    ensemble
        The model.
    parameters
        Sizes, seed, threads.
    progress
        Called with a stage and the number of cells done since the last call: 0 where a stage
        begins. From any thread.
    release
        Whether to drop the values of `counts` once they are not needed, before the stage that
        takes the most memory.

    Returns
    -------
    BatchScores
        In the order of the cells of `counts`.

    Raises
    ------
    CytoTRACE2Error
        The principal component analysis did not converge.
    """
    threads, n_cells = parameters.max_cores, counts.shape[0]
    genes_per_cell = counts.genes_per_cell
    sums = GeneSums.of_no_cells(counts.shape[1])
    clock = Clock(progress or (lambda *_: None))
    if n_cells >= MIN_CELLS_FOR_NEIGHBORS:
        compile_ahead(n_cells)
    with one_blas_thread():
        with clock.timed("predict"):
            prediction = ensemble.predict_counts(
                counts,
                threads=threads,
                progress=partial(clock.progress, "predict"),
                sums=sums,
            )
        with clock.timed("diffuse"):
            diffused = diffusion.diffuse(
                counts,
                prediction.score,
                diffusion.variable_genes(sums),
                group_size=parameters.smooth_batch_size,
                seed=parameters.seed,
                threads=threads,
                progress=partial(clock.progress, "diffuse"),
            )
            score = preknn = binning.spread(diffused, prediction.potency)
        coordinates = None
        if n_cells >= MIN_CELLS_FOR_NEIGHBORS:
            with clock.timed("components"):
                standardised = standardise(counts, threads=threads)
                if release:
                    counts.release()
                release_memory()  # the most memory is taken from here on
                coordinates = components.principal_components(
                    standardised, neighbors.N_COMPONENTS, threads=threads
                )
                del standardised
                clock.progress("components", n_cells)
            with clock.timed("neighbors"):
                nearest, distances = neighbors.nearest_neighbors(
                    coordinates, threads=threads, progress=partial(clock.progress, "neighbors")
                )
                score = neighbors.smooth_over_neighbors(preknn, nearest, distances, potency_of)
    return BatchScores(
        raw_score=prediction.score,
        probabilities=prediction.probabilities,
        preknn_potency_index=prediction.potency,
        preknn_score=preknn,
        score=score,
        genes_per_cell=genes_per_cell,
        seconds=dict(clock.seconds),
        components=coordinates,
        score_sd=prediction.score_sd,
    )


class Clock:
    """Time by stage; freed memory goes back to the system where a stage ends."""

    def __init__(self, progress: Callable[[str, int], None]) -> None:
        self.progress = progress
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Take the time of a stage, which begins now."""
        begun = time.perf_counter()
        self.progress(stage, 0)
        try:
            yield
            release_memory()
        finally:
            self.seconds[stage] += time.perf_counter() - begun
