"""The report at the end of a run, whose coordinates it takes, or computes where no plot has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.metadata.coordinates import embedding_table, match_cells, read_embedding
from cytotrace2_lite.output.earlier import read_record
from cytotrace2_lite.plots import UMAP_NAME, compute_umap
from cytotrace2_lite.read import open_input
from cytotrace2_lite.report.contents import Contents, contents_of
from cytotrace2_lite.report.earlier import gene_table_in, some_without_place
from cytotrace2_lite.report.genes import expression_of
from cytotrace2_lite.system.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cytotrace2_lite.base.options import RunOptions
    from cytotrace2_lite.base.progress import Progress
    from cytotrace2_lite.counts import Counts
    from cytotrace2_lite.metadata.coordinates import Embedding
    from cytotrace2_lite.output.scores import Scores

__all__ = ["contents_of_run"]


def contents_of_run(
    scores: Scores,
    counts: Counts,
    directory: str | os.PathLike[str],
    options: RunOptions,
    *,
    labels: Mapping[str, str] | None = None,
    samples: Sequence[str] | None = None,
    input_path: str = "",
    genes: Sequence[str] = (),
    threads: int = 1,
    prefix: str = "",
    computed: Embedding | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Contents:
    """Put together what the report of a run shows that has just been written.

    Parameters
    ----------
    scores
        The result.
    counts
        Expression over the model's features, for a UMAP where there is none yet.
    directory
        Where the results are, and the coordinates of a UMAP that plots were drawn at. A UMAP that
        is computed here is written there, too.
    options
        How the input is read.
    labels
        Cell id to label.
    samples
        One per cell.
    input_path, genes
        Genes to be shown, and the input that has them.
    threads
        How many may compute the UMAP.
    prefix
        What the names of the files begin with.
    computed
        The UMAP, where it was computed already.
    progress
        As for `compute_umap`.

    Returns
    -------
    Contents
        Without a map, and with the reason, where there are no coordinates.

    Raises
    ------
    CytoTRACE2Error
        A gene is not in the input, or a file cannot be read or written.
    """
    folder = Path(directory)
    embedding, why = scores.embedding, ""
    if embedding is None:
        path = folder / (prefix + UMAP_NAME)
        embedding, why = _umap(scores, counts, path, computed, threads, progress)
    if embedding is not None:
        missing = int(np.isnan(embedding.coordinates[:, 0]).sum())
        why = some_without_place(missing, len(scores.cells))
    values: dict[str, Any] = {}
    if genes:
        with open_input(input_path, layer=options.layer, max_memory=options.max_memory) as source:
            values = expression_of(source, genes, scores.cells, options)
    info = read_record(folder, prefix)
    gene_table, why_no_genes = gene_table_in(folder, info, prefix)
    return contents_of(
        scores,
        labels=labels or None,
        samples=samples,
        embedding=embedding,
        why_no_map=why,
        genes=values,
        gene_table=gene_table,
        why_no_genes=why_no_genes,
        info=info,
    )


def _umap(
    scores: Scores,
    counts: Counts,
    path: Path,
    computed: Embedding | None,
    threads: int,
    progress: Callable[[Progress], None] | None,
) -> tuple[Embedding | None, str]:
    if os.path.exists(path):  # noqa: PTH110
        return match_cells(*read_embedding(path), cells=scores.cells, path=path)[0], ""
    try:
        if computed is None:
            computed = compute_umap(counts, scores.components, threads=threads, progress=progress)
    except CytoTRACE2Error as error:
        return None, f"No map: {error}"
    write_whole({path: embedding_table(scores.cells, computed)})
    return computed, ""
