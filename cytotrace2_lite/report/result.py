"""The report of a result in memory."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.metadata.coordinates import embedding_of
from cytotrace2_lite.plots import REPORT_FILE
from cytotrace2_lite.report.contents import contents_of
from cytotrace2_lite.report.page import report_bytes
from cytotrace2_lite.system.files import write_whole

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike

    from cytotrace2_lite.explanation.explanation import Explanation
    from cytotrace2_lite.metadata.coordinates import Embedding
    from cytotrace2_lite.output.scores import Scores

__all__ = ["write_report"]

_GENES = 50  # of each group, each way, as the command line writes them


def write_report(
    scores: Scores,
    path: str | os.PathLike[str],
    *,
    embedding: ArrayLike | Embedding | None = None,
    explanation: Explanation | None = None,
    **shown: Any,
) -> Path:
    """Write the report of a result.

    Parameters
    ----------
    scores
        The result.
    path
        Of the file, or of a directory.
    embedding, explanation
        As for `Result.report`.
    **shown
        Labels, samples and genes, as for `contents_of`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    CytoTRACE2Error
        As `Result.report` raises.
    """
    target = Path(path)
    if target.is_dir():
        target /= REPORT_FILE
    place = scores.embedding
    if embedding is not None:
        place = embedding_of(embedding, len(scores.cells))
    table = "" if explanation is None else explanation.gene_table(_GENES).to_bytes().decode()
    rows = list(csv.reader(table.splitlines(keepends=True), delimiter="\t"))
    contents = contents_of(scores, embedding=place, gene_table=rows, **shown)
    write_whole({target: report_bytes(contents)})
    return target
