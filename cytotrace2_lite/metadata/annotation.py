"""The annotation file: a label, and more, of each cell.

Source: cytotrace2_py 1.1.0.4 `cytotrace2` (its `annotation_path`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cytotrace2_lite.base.finding import Finding
from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.system.small_tables import read_small_table
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = ["Annotation", "check_annotation", "read_annotation"]


@dataclass(frozen=True)
class Annotation:
    """Labels of cells, from a file.

    Attributes
    ----------
    path
        The file.
    header
        Names of all columns. The first is that of the ids; it is "" where the file has no name for
        it, as R's `write.table` writes it.
    fields
        Cell id to the fields after it. The first is the label.
    """

    path: str
    header: list[str]
    fields: dict[str, list[str]]

    @property
    def labels(self) -> dict[str, str]:
        """Cell id to label, the second column."""
        return {cell: fields[0] for cell, fields in self.fields.items()}

    def matched(self, cells: Sequence[str]) -> Annotation:
        """Count the first line as one of a cell where it is not a header.

        Parameters
        ----------
        cells
            Names of the cells of the expression table.

        Returns
        -------
        Annotation
            With the cell of the first line; this annotation where the first line is a header, which
            names no cell of the table.

        Raises
        ------
        InputError
            The cell of the first line appears again or has no label, or there is no cell below a
            header line.
        """
        first = self.header[0] if self.header else ""
        if first == "" or first not in set(cells):
            if not self.fields:
                raise InputError(
                    f"{self.path}: the annotation holds no cell below its header line."
                )
            return self
        if first in self.fields:
            raise InputError(
                f"{self.path}: cell {shown(first)} appears twice (first time on the first line). "
                "Keep one of its labels."
            )
        if len(self.header) == 1:
            raise InputError(
                f"{self.path}: the first line has no label: it needs a cell id and a label "
                "separated by a tab or a comma."
            )
        names = ["", "label", *(f"column {i}" for i in range(3, len(self.header) + 1))]
        return Annotation(self.path, names, {first: self.header[1:]} | self.fields)

    def column(self, name: str, cells: Sequence[str]) -> list[str]:
        """Take the fields of some cells in a column.

        Parameters
        ----------
        name
            Name of the column in the header.
        cells
            Cell ids.

        Returns
        -------
        list of str
            One per cell; "" for a cell that is not in the annotation, or whose line ends before
            that column.

        Raises
        ------
        UsageError
            There is no such column, there are two, or it is the column of the ids.
        """
        where = [i for i, title in enumerate(self.header) if title == name]
        if len(where) != 1:
            raise UsageError(
                f"{self.path}: {'two columns are' if where else 'no column is'} called "
                f"{shown(name)}. Its columns after the ids are "
                f"{first_few(self.header[1:], most=20)}."
            )
        if where == [0]:
            raise UsageError(
                f"{self.path}: {shown(name)} is the column of the cell ids. The columns after it "
                f"are {first_few(self.header[1:], most=20)}."
            )
        index = where[0] - 1
        return [
            fields[index] if index < len(fields) else ""
            for fields in (self.fields.get(cell, []) for cell in cells)
        ]


def read_annotation(path: str | os.PathLike[str]) -> Annotation:
    """Read an annotation.

    Parameters
    ----------
    path
        A text table: cell ids in the first column, labels in the second. Further columns are used
        by `--batch-key` only. The first line is taken for a header here; `Annotation.matched` adds
        it to the cells where it names a cell of the expression table.

    Returns
    -------
    Annotation
        The table.

    Raises
    ------
    InputError
        The file cannot be read, has no second column, or names a cell twice.
    """
    table = read_small_table(path, "annotation")
    header, *rows = table.rows or [[]]
    fields: dict[str, list[str]] = {}
    for number, row in enumerate(rows, start=1):
        if len(row) < 2:
            raise InputError(
                f"{table.where(number)} has no label: it needs a cell id and a label separated by "
                "a tab or a comma."
            )
        if row[0] in fields:
            raise InputError(
                f"{path}: cell {shown(row[0])} appears twice (second time on line "
                f"{table.lines[number]}). Keep one of its labels."
            )
        fields[row[0]] = row[1:]
    if not table.rows:
        raise InputError(f"{path}: the annotation holds no cell.")
    if {len(row) for row in rows} == {len(header) + 1}:  # R names the columns of labels only
        header = ["", *header]
    return Annotation(str(path), header, fields)


def annotation_of_labels(
    where: str, frame: str, column: str, cells: Sequence[str], labels: Sequence[str]
) -> Annotation:
    """Make an annotation of labels that are in the input itself.

    Parameters
    ----------
    where, frame, column
        Name of the input, of its table of the cells, as "obs", and of the column there.
    cells
        Names of the cells.
    labels
        Their labels, "" for none.

    Returns
    -------
    Annotation
        Without the cells that have no label.
    """
    fields = {cell: [label] for cell, label in zip(cells, labels, strict=True) if label}
    return Annotation(f"{where}: {frame}[{column!r}]", ["", column], fields)


def check_annotation(annotation: Annotation, cells: Sequence[str]) -> list[Finding]:
    """Compare the cells of an annotation with those of the expression table.

    Parameters
    ----------
    annotation
        The annotation.
    cells
        Names of the cells of the table.

    Returns
    -------
    list of Finding
        A warning where cells of the table have no label; a note where the annotation only has
        further cells; empty where both have the same cells.
    """
    known = set(cells)
    without_label = [cell for cell in cells if cell not in annotation.fields]
    without_cell = [cell for cell in annotation.fields if cell not in known]
    n_cells, n_labels = len(cells), len(annotation.fields)
    extra = (
        f"{len(without_cell):,} of its {n_labels:,} ids are not cells of the table: "
        f"{first_few(without_cell)}"
    )
    if without_label:
        what = (
            f"{annotation.path}: {len(without_label):,} of {n_cells:,} cells of the table have no "
            f"label: {first_few(without_label)}"
        )
        return [
            Finding(
                "annotation",
                "warning",
                f"{what}; {extra}" if without_cell else what,
                "This does not change the scores; plots show such cells without a label.",
                "Check that the ids are written alike." if without_cell else "Add their labels.",
            )
        ]
    if without_cell:
        return [
            Finding(
                "annotation",
                "note",
                f"{annotation.path}: all {n_cells:,} cells of the table have a label; {extra}",
                "Labels of other cells are not used.",
                "",
            )
        ]
    return []
