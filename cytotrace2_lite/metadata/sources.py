"""What is known about the cells of a run besides their expression: where it is read from."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.base.finding import Finding
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.metadata.annotation import Annotation, read_annotation
from cytotrace2_lite.metadata.coordinates import (
    Embedding,
    checked_embedding,
    match_cells,
    obsm_embedding,
    read_embedding,
)
from cytotrace2_lite.metadata.samples import condition_of_samples, obs_column
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cytotrace2_lite.metadata.samples import Samples
    from cytotrace2_lite.read import Input

__all__ = [
    "UMAP_KEY",
    "annotation_of",
    "cell_column",
    "conditions_of",
    "drawn_at",
    "embedding_of_file",
    "umap_of_the_input",
]

#: Name in `obsm` of the coordinates that plots use by default; as scanpy calls it.
UMAP_KEY = "X_umap"


def conditions_of(
    condition: str,
    source: Input,
    annotation: Annotation | None,
    samples: Samples | None,
    cells: Sequence[str],
) -> dict[str, str]:
    """Find the condition of each sample.

    Parameters
    ----------
    condition
        Name of a column of the annotation, or of `obs` of the input.
    source
        The input.
    annotation
        The annotation, where there is one.
    samples
        The sample of each cell.
    cells
        Names of the cells.

    Returns
    -------
    dict
        Sample to condition.

    Raises
    ------
    UsageError
        There are no samples, or no such column.
    InputError
        As `condition_of_samples` raises.
    """
    if samples is None:
        raise UsageError(
            "--condition compares samples: name their column, too (--batch-key COLUMN)."
        )
    given = cell_column("--condition", condition, source, annotation, cells)
    return condition_of_samples([str(value) for value in given], samples, shown(condition))


def cell_column(
    option: str,
    column: str,
    source: Input,
    annotation: Annotation | None,
    cells: Sequence[str],
) -> list[Any]:
    """Take a column of the annotation, or one that the input itself has.

    Parameters
    ----------
    option
        That names the column, for messages.
    column
        Its name.
    source
        The input.
    annotation
        The annotation, where there is one. Its columns come before those of the input.
    cells
        Names of the cells.

    Returns
    -------
    list
        One per cell.

    Raises
    ------
    UsageError
        There is no such column.
    """
    if source.has_cell_data and not (annotation and column in annotation.header):
        return list(obs_column(source, column))
    if annotation is None:
        raise _needs_annotation(option)
    return annotation.column(column, cells)


def _needs_annotation(option: str) -> UsageError:
    return UsageError(
        f"{option} names a column of the annotation: give the file, too (-a/--annotation-path). "
        "Only AnnData, MuData, Loom and R objects have some."
    )


def umap_of_the_input(source: Input, orientation: str) -> Embedding | None:
    """Take the UMAP that an input brings.

    Parameters
    ----------
    source
        The input.
    orientation
        As for `cytotrace2_lite.run`.

    Returns
    -------
    Embedding or None
        None where it has none of its cells.
    """
    if not source.describes_cells(orientation):
        return None
    try:
        return obsm_embedding(source, UMAP_KEY)
    except UsageError:
        return None


def drawn_at(found: Embedding, key: str, cells: list[str]) -> tuple[Embedding, list[Finding]]:
    """Check the UMAP that the input brings, and say that plots use it.

    Parameters
    ----------
    found
        As `umap_of_the_input` gives it.
    key
        Its name in the input.
    cells
        Names of the cells.

    Returns
    -------
    embedding : Embedding
        A copy of it.
    findings : list of Finding
        A note.
    """
    where = f"obsm[{key!r}]" if key == UMAP_KEY else f"the reduction {key!r}"
    note = Finding(
        "coordinates",
        "note",
        f"plots are drawn at {where} of the input",
        "",
        "To have a UMAP computed, pass --embedding umap.",
    )
    return checked_embedding(found, cells)[0], [note]


def embedding_of_file(
    embedding: str | os.PathLike[str], source: Input
) -> Callable[[list[str]], tuple[Embedding, list[Finding]]]:
    """Read coordinates for plots.

    Parameters
    ----------
    embedding
        A file, or the name of an array in `obsm` of the input.
    source
        The input.

    Returns
    -------
    callable
        Takes the names of the cells; gives their coordinates, and findings.

    Raises
    ------
    CytoTRACE2Error
        As `read_embedding` and `obsm_embedding` raise.
    """
    if not os.path.exists(embedding) and source.has_cell_data:  # noqa: PTH110
        return partial(checked_embedding, obsm_embedding(source, str(embedding)))
    return partial(match_cells, *read_embedding(embedding), path=embedding)


def annotation_of(
    path: str | os.PathLike[str], batch_key: str | None, source: Input
) -> tuple[Annotation | None, str | None]:
    """Read the annotation.

    Parameters
    ----------
    path
        The file, or the name of a column of `obs` of the input; "" for none.
    batch_key
        Column with the sample of each cell.
    source
        The input.

    Returns
    -------
    annotation : Annotation or None
        What a file holds.
    label_column : str or None
        The column of `obs` that takes its place.

    Raises
    ------
    InputError
        As `read_annotation` raises.
    UsageError
        There is no such column, or no annotation for `batch_key`.
    """
    if path and not os.path.exists(path) and source.has_cell_data:  # noqa: PTH110
        return None, str(path)
    if path:
        annotation = read_annotation(path)
        if batch_key is not None:
            annotation.column(batch_key, [])  # that it is there is seen before the cells are read
        return annotation, None
    if batch_key is not None and not source.has_cell_data:
        raise _needs_annotation("--batch-key")
    return None, None
