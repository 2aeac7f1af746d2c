"""Labels of cells, as upstream's annotation file holds them."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from cytotrace2_lite.errors import AnnotationWarning, InputError, first_few

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = ["check_annotation", "read_annotation"]


def read_annotation(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the labels of cells.

    Parameters
    ----------
    path
        A tab-separated table with a header: cell ids in the first column, labels in the second,
        the rest ignored.

    Returns
    -------
    dict
        Cell id to label.

    Raises
    ------
    InputError
        The file cannot be read, has no second column, or names a cell twice.
    """
    labels: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:  # noqa: PTH123 (path may be a str)
            rows = csv.reader(file, delimiter="\t", strict=True)
            next(rows, None)
            for row in rows:
                if not row:
                    continue
                if len(row) < 2:
                    raise InputError(
                        f"{path}: line {rows.line_num} has no label: it needs a cell id and a "
                        "label separated by a tab."
                    )
                if row[0] in labels:
                    raise InputError(
                        f"{path}: cell {row[0]!r} appears twice (second time on line "
                        f"{rows.line_num}). Keep one of its labels."
                    )
                labels[row[0]] = row[1]
    except OSError as error:
        raise InputError(f"{path}: cannot read the annotation ({error.strerror}).") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: the annotation is not a tab-separated UTF-8 text ({error})."
        ) from error
    if not labels:
        raise InputError(f"{path}: the annotation holds no cell below its header line.")
    return labels


def check_annotation(
    labels: dict[str, str], cells: Sequence[str], path: str | os.PathLike[str]
) -> list[AnnotationWarning]:
    """Compare the cells of an annotation with those of the expression table.

    Parameters
    ----------
    labels
        Cell id to label.
    cells
        Names of the cells of the table.
    path
        The file, for the message.

    Returns
    -------
    list of AnnotationWarning
        Empty where every cell has a label.
    """
    missing = [cell for cell in cells if cell not in labels]
    if not missing:
        return []
    return [
        AnnotationWarning(
            f"{path}: {len(missing)} of {len(cells)} cells of the table have no label: "
            f"{first_few(missing)}. Check that the ids are written alike."
        )
    ]
