"""Comparison of two results, column by column, over the cells that are in both."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.card import card
from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.output._results_file import ResultsTable, read_results
from cytotrace2_lite.output.scores import Scores
from cytotrace2_lite.output.tables import COLUMNS, EXTRA_COLUMNS, LABELS
from cytotrace2_lite.output.tables import columns as columns_of
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Comparison", "LabelColumn", "NumberColumn", "compare"]


@dataclass(frozen=True)
class NumberColumn:
    """How the numbers of a column differ, over the cells that are in both results.

    Attributes
    ----------
    name
        Name of the column.
    n_cells
        How many cells have a number in both.
    largest, median
        Absolute difference; NaN where no cell has a number in both.
    cell
        The cell with the largest difference; "" where no numbers differ.
    spearman
        Rank correlation; NaN with fewer than two cells, or where all numbers of one are equal.
    n_beyond
        How many cells differ by more than the tolerance.
    n_one_sided
        How many cells have a number in only one of the results.
    """

    name: str
    n_cells: int
    largest: float
    median: float
    cell: str
    spearman: float
    n_beyond: int
    n_one_sided: int


@dataclass(frozen=True)
class LabelColumn:
    """How the labels of a column differ, over the cells that are in both results.

    Attributes
    ----------
    name
        Name of the column.
    n_cells
        How many cells have a label in at least one of the results.
    n_moved
        How many of them have another label in the second results, or a label in only one.
    moves
        Label in the first results, label in the second ("" for none), and number of cells; the
        most frequent first.
    """

    name: str
    n_cells: int
    n_moved: int
    moves: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, repr=False)
class Comparison:
    """What two results have in common, and in what they differ.

    Attributes
    ----------
    n_cells
        How many cells are in both.
    only_in_a, only_in_b
        Names of the cells that are in one only.
    numbers, labels
        The columns that are in both.
    columns_only_in_a, columns_only_in_b
        Names of the columns that are in one only; they are not compared.
    tolerance, allowed_labels
        As given to `compare`.
    beyond
        A sentence for each difference that goes beyond the tolerances.
    models
        What made the first and the second results; "" where it is not known, as of a file.
    """

    n_cells: int
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    numbers: tuple[NumberColumn, ...]
    labels: tuple[LabelColumn, ...]
    columns_only_in_a: tuple[str, ...]
    columns_only_in_b: tuple[str, ...]
    tolerance: float
    allowed_labels: int
    beyond: tuple[str, ...]
    models: tuple[str, str] = ("", "")

    @property
    def within(self) -> bool:
        """Whether all differences are within the tolerances."""
        return not self.beyond

    def __repr__(self) -> str:
        return f"<Comparison: {self.n_cells:,} cells in both, {self._verdict}>"

    @property
    def _verdict(self) -> str:
        if self.within:
            return "all within the tolerances"
        return f"{len(self.beyond)} beyond the tolerances"

    def _repr_html_(self) -> str:
        """Give a small table for notebooks: how the columns differ."""
        rows: list[tuple[str, ...]] = [
            (
                column.name,
                f"{column.n_cells:,}",
                f"{column.largest:.3g}",
                f"{column.median:.3g}",
                f"{column.spearman:.6f}",
                f"{column.n_beyond + column.n_one_sided:,}",
            )
            for column in self.numbers
        ]
        rows += [
            (column.name, f"{column.n_cells:,}", "", "", "", f"{column.n_moved:,}")
            for column in self.labels
        ]
        models = [name or "not known" for name in self.models] if any(self.models) else []
        return card(
            f"Comparison of {self.n_cells:,} cells: {self._verdict}",
            {
                "Models": " and ".join(models),
                "Tolerance": f"{self.tolerance:g} (numbers), {self.allowed_labels:,} (labels)",
                "Cells only in the first": f"{len(self.only_in_a):,}" if self.only_in_a else "",
                "Cells only in the second": f"{len(self.only_in_b):,}" if self.only_in_b else "",
            },
            ("Column", "Cells", "Largest difference", "Median", "Spearman", "Differ"),
            sorted(rows, key=_usual_place),
            warnings=self.beyond,
        )


def compare(
    a: str | os.PathLike[str] | Scores,
    b: str | os.PathLike[str] | Scores,
    *,
    tolerance: float = 1e-6,
    labels: int = 0,
) -> Comparison:
    """Compare two results: those of this package, or of cytotrace2-py or the R package.

    Cells are matched by name, in any order. Upstream's five columns are compared, and the extra
    columns that both have.

    Parameters
    ----------
    a, b
        A `Result`, or the path of a results file: text, Parquet or Arrow.
    tolerance
        Largest absolute difference of a number, at least 0.
    labels
        How many cells may have another label in a column, at least 0.

    Returns
    -------
    Comparison
        Its `within` says whether both have the same cells and all differences are within the
        tolerances.

    Raises
    ------
    InputError
        A file cannot be read or holds no results, or the two have no cell in common.
    UsageError
        A tolerance is out of range.
    """
    if not 0 <= tolerance < math.inf:
        raise UsageError(f"tolerance is {tolerance}; it must be a number of at least 0.")
    if labels < 0:
        raise UsageError(f"labels is {labels}; it must be at least 0.")
    first, second = _table(a), _table(b)
    row_of = {cell: row for row, cell in enumerate(second.cells)}
    common = [row for row, cell in enumerate(first.cells) if cell in row_of]
    if not common:
        raise InputError(
            f"{first.name} and {second.name} have no cell in common (the first holds "
            f"{first_few(first.cells)}; the second {first_few(second.cells)}). Give two results of "
            "the same cells."
        )
    cells = [first.cells[row] for row in common]
    matched = np.array([row_of[cell] for cell in cells])
    own = set(cells)
    numbers, moved = [], []
    for name in [*COLUMNS, *EXTRA_COLUMNS]:
        if name in first.columns and name in second.columns:
            one, other = first.columns[name][common], second.columns[name][matched]
            if name in LABELS:
                moved.append(_compare_labels(name, one, other))
            else:
                numbers.append(_compare_numbers(name, one, other, cells, tolerance))
    only_in_a = tuple(cell for cell in first.cells if cell not in own)
    only_in_b = tuple(cell for cell in second.cells if cell not in own)
    return Comparison(
        n_cells=len(cells),
        only_in_a=only_in_a,
        only_in_b=only_in_b,
        numbers=tuple(numbers),
        labels=tuple(moved),
        columns_only_in_a=tuple(name for name in first.columns if name not in second.columns),
        columns_only_in_b=tuple(name for name in second.columns if name not in first.columns),
        tolerance=tolerance,
        allowed_labels=labels,
        beyond=(
            *_missing_cells("second", only_in_a, len(first.cells), "first"),
            *_missing_cells("first", only_in_b, len(second.cells), "second"),
            *(sentence for column in numbers for sentence in _judge(column, tolerance)),
            *(
                f"{column.name}: {column.n_moved:,} of {column.n_cells:,} labels moved "
                f"(allowed: {labels:,})"
                for column in moved
                if column.n_moved > labels
            ),
        ),
        models=(_model(a), _model(b)),
    )


def _usual_place(row: Sequence[str]) -> int:
    return [*COLUMNS, *EXTRA_COLUMNS].index(row[0])


def _model(results: str | os.PathLike[str] | Scores) -> str:
    return results.model_label if isinstance(results, Scores) else ""


def _table(results: str | os.PathLike[str] | Scores) -> ResultsTable:
    if isinstance(results, Scores):
        return ResultsTable("the result", results.cells, columns_of(results, extra_columns=True))
    return read_results(results)


def _missing_cells(which: str, cells: tuple[str, ...], n_cells: int, other: str) -> list[str]:
    if not cells:
        return []
    count = f"{len(cells):,} of the {n_cells:,} cells"
    return [f"the {which} lacks {count} of the {other}: {first_few(cells)}"]


def _judge(column: NumberColumn, tolerance: float) -> list[str]:
    """Say what of a column goes beyond the tolerance."""
    sentences = []
    if column.n_beyond:
        sentences.append(
            f"{column.name}: {column.n_beyond:,} of {column.n_cells:,} cells differ by more than "
            f"{tolerance:g}, by {column.largest:.3g} at most (cell {shown(column.cell)})"
        )
    if column.n_one_sided:
        n_cells = column.n_cells + column.n_one_sided
        sentences.append(
            f"{column.name}: {column.n_one_sided:,} of {n_cells:,} cells have a number in one only"
        )
    return sentences


def _compare_numbers(
    name: str, one: NDArray[Any], other: NDArray[Any], cells: list[str], tolerance: float
) -> NumberColumn:
    missing = np.isnan(one), np.isnan(other)
    both = np.flatnonzero(~(missing[0] | missing[1]))
    difference = np.abs(one[both] - other[both])
    largest = median = math.nan
    cell = ""
    if len(both):
        where = int(difference.argmax())
        largest, median = float(difference[where]), float(np.median(difference))
        cell = cells[both[where]] if largest > 0 else ""
    return NumberColumn(
        name=name,
        n_cells=len(both),
        largest=largest,
        median=median,
        cell=cell,
        spearman=_spearman(one[both], other[both]),
        n_beyond=int((difference > tolerance).sum()),
        n_one_sided=int((missing[0] != missing[1]).sum()),
    )


def _spearman(one: NDArray[Any], other: NDArray[Any]) -> float:
    from scipy.stats import rankdata

    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def _compare_labels(name: str, one: NDArray[Any], other: NDArray[Any]) -> LabelColumn:
    labels = [*LABELS[name], ""]
    moves = Counter(zip(one.tolist(), other.tolist(), strict=True))
    moved = [
        (labels[before], labels[after], n)
        for (before, after), n in sorted(moves.items(), key=lambda move: (-move[1], move[0]))
        if before != after
    ]
    n_cells = int(((one >= 0) | (other >= 0)).sum())
    return LabelColumn(name, n_cells, sum(n for *_, n in moved), tuple(moved))
