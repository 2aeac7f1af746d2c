"""Samples, labels and potencies side by side: how many cells, which scores, and a test.

A cell is no independent observation of a condition: cells of one donor are alike. So the test
compares the means of samples, not of cells.

Source: Squair et al., Nature Communications 2021, doi 10.1038/s41467-021-25960-2 (false discoveries
where cells are taken for replicates); Welch, Biometrika 1947; Benjamini and Hochberg, 1995.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cytotrace2_lite.base.finding import Finding
from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.output.table import Table
from cytotrace2_lite.text import first_few

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.metadata.samples import Samples
    from cytotrace2_lite.output.scores import Scores

__all__ = [
    "COMPOSITION_NAME",
    "CONDITIONS_NAME",
    "MIN_CELLS",
    "SUMMARY_NAME",
    "compare_samples",
    "composition",
    "composition_table",
    "conditions",
    "few_samples",
    "score_summary",
    "side_by_side",
    "summary_of",
    "summary_table",
]

#: Names of the files of the three tables.
COMPOSITION_NAME = "cytotrace2_composition.tsv"
SUMMARY_NAME = "cytotrace2_score_summary.tsv"
CONDITIONS_NAME = "cytotrace2_conditions.tsv"

#: What stands for all samples, and for all labels.
ALL = ""
_NO_SCORE = "no score"
#: A mean of fewer cells says little about a sample.
MIN_CELLS = 10
_MIN_SAMPLES = 3


class _Part(NamedTuple):
    """The cells of a sample that have a label."""

    sample: str
    label: str
    cells: NDArray[np.intp]

    def scored(self, scores: Scores) -> NDArray[np.float64]:
        """Give the scores of those that have one."""
        score = scores.score[self.cells]
        found: NDArray[np.float64] = score[~np.isnan(score)]
        return found


def composition(
    scores: Scores,
    labels: Sequence[str] | None = None,
    samples: Samples | None = None,
) -> Table:
    """Count the cells of each potency, for each sample and label.

    Parameters
    ----------
    scores
        The scores.
    labels
        The label of each cell, "" for none; length n_cells.
    samples
        The sample of each cell.

    Returns
    -------
    Table
        `sample`, `label` ("" for all), `potency`, `n_cells`, and `fraction` of the cells of that
        sample and label that have a score, 0 to 1. Potencies are those of
        `cytotrace2_lite.POTENCIES`; a row "no score", without a fraction, where there are such
        cells.
    """
    return _composition(scores, _parts(scores, labels, samples))


def _composition(scores: Scores, parts: Iterable[_Part]) -> Table:
    n_columns = len(POTENCIES) + 1
    # Of the cells without a score the position is -1, the last.
    column = scores.potency_index.astype(np.intp) % n_columns
    return composition_table(
        (part.sample, part.label, np.bincount(column[part.cells], minlength=n_columns))
        for part in parts
    )


def composition_table(parts: Iterable[tuple[str, str, NDArray[np.int64]]]) -> Table:
    """Make the table of `composition` of numbers of cells.

    Parameters
    ----------
    parts
        Sample, label, and number of cells of each potency and without a score; shape (7,).

    Returns
    -------
    Table
        As `composition` gives it.
    """
    rows: list[tuple[str | float, ...]] = []
    for sample, label, counts in parts:
        *n_cells, n_missing = counts.tolist()
        n_scored = sum(n_cells)
        for potency, n in zip(POTENCIES, n_cells, strict=True):
            rows.append((sample, label, potency, n, n / n_scored if n_scored else np.nan))
        if n_missing:
            rows.append((sample, label, _NO_SCORE, n_missing, np.nan))
    return _table(("sample", "label", "potency", "n_cells", "fraction"), rows)


def score_summary(
    scores: Scores,
    labels: Sequence[str] | None = None,
    samples: Samples | None = None,
) -> Table:
    """Summarise `CytoTRACE2_Score` for each sample and label.

    Parameters
    ----------
    scores, labels, samples
        As for `composition`.

    Returns
    -------
    Table
        `sample`, `label` ("" for all), `n_cells` with a score, `mean`, `lower_quartile`, `median`,
        `upper_quartile`, 0 to 1; NaN where no cell has a score.
    """
    return _summary(scores, _parts(scores, labels, samples))


def _summary(scores: Scores, parts: Iterable[_Part]) -> Table:
    return summary_table(
        (part.sample, part.label, summary_of(part.scored(scores))) for part in parts
    )


def summary_of(scores: NDArray[np.float64]) -> tuple[float, ...]:
    """Give number, mean, lower quartile, median and upper quartile of scores, none missing."""
    quartiles = np.quantile(scores, [0.25, 0.5, 0.75]) if len(scores) else [np.nan] * 3
    return (len(scores), scores.mean() if len(scores) else np.nan, *quartiles)


def summary_table(parts: Iterable[tuple[str, str, tuple[float, ...]]]) -> Table:
    """Make the table of `score_summary` of what `summary_of` gives for each sample and label."""
    names = ("sample", "label", "n_cells", "mean", "lower_quartile", "median", "upper_quartile")
    return _table(names, [(sample, label, *summary) for sample, label, summary in parts])


def conditions(
    scores: Scores,
    samples: Samples,
    condition_of: dict[str, str],
    labels: Sequence[str] | None = None,
) -> Table:
    """Compare the scores of conditions, with samples as the units.

    Parameters
    ----------
    scores
        The scores.
    samples
        The sample of each cell.
    condition_of
        Sample to condition, as `metadata.samples.condition_of_samples` gives it.
    labels
        The label of each cell, "" for none; length n_cells.

    Returns
    -------
    Table
        A row for each pair of conditions and each label ("" for all cells): `label`, `condition`,
        `other`, `n_samples`, `n_samples_other`, `mean`, `mean_other` (means of the mean scores of
        the samples), `difference`, `p` of Welch's t-test of these means, two-sided, `adjusted_p`
        (Benjamini and Hochberg, over all rows). A sample counts for a label with at least 10 scored
        cells of it. p is NaN with fewer than two samples on a side, or where none differs.

    Raises
    ------
    UsageError
        A sample has no condition.
    """
    if lacking := [name for name in samples.names if name not in condition_of]:
        raise UsageError(f"samples without a condition: {first_few(lacking)}.")
    return _conditions(scores, _parts(scores, labels, samples), samples, condition_of, labels)


def _conditions(
    scores: Scores,
    parts: Iterable[_Part],
    samples: Samples,
    condition_of: dict[str, str],
    labels: Sequence[str] | None,
) -> Table:
    mean_of: dict[tuple[str, str], float] = {}
    for part in parts:
        score = part.scored(scores)
        if part.sample != ALL and len(score) >= MIN_CELLS:
            mean_of[part.sample, part.label] = float(score.mean())
    return compare_samples(mean_of, samples.names, [ALL, *_names(labels)], condition_of)


def compare_samples(
    mean_of: Mapping[tuple[str, str], float],
    samples: Sequence[str],
    labels: Sequence[str],
    condition_of: Mapping[str, str],
) -> Table:
    """Make the table of `conditions` of mean scores.

    Parameters
    ----------
    mean_of
        Sample and label to the mean score, of those that count.
    samples, labels
        Their names, "" for all cells among the labels.
    condition_of
        Sample to condition.

    Returns
    -------
    Table
        As `conditions` gives it.
    """
    names = sorted(set(condition_of.values()))
    rows: list[tuple[str | float, ...]] = []
    for label in labels:
        means: dict[str, list[float]] = {name: [] for name in names}
        for sample in samples:
            if (sample, label) in mean_of:
                means[condition_of[sample]].append(mean_of[sample, label])
        for one, other in itertools.combinations(names, 2):
            first, second = means[one], means[other]
            mean, mean_other = (float(np.mean(m)) if m else np.nan for m in (first, second))
            sides = (len(first), len(second), mean, mean_other, mean - mean_other)
            rows.append((label, one, other, *sides, _welch(first, second)))
    columns = ("label", "condition", "other", "n_samples", "n_samples_other", "mean", "mean_other")
    table = _table((*columns, "difference", "p"), rows)
    table.columns["adjusted_p"] = _adjusted(table.columns["p"])
    return table


def few_samples(condition_of: dict[str, str]) -> list[Finding]:
    """Look at how many samples each condition has.

    Parameters
    ----------
    condition_of
        Sample to condition.

    Returns
    -------
    list of Finding
        A warning where a condition has fewer than three samples; else empty.
    """
    sizes = Counter(condition_of.values())
    few = [f"{name} ({n})" for name, n in sorted(sizes.items()) if n < _MIN_SAMPLES]
    if not few:
        return []
    return [
        Finding(
            "conditions",
            "warning",
            f"conditions with fewer than {_MIN_SAMPLES} samples: {first_few(few)}",
            "Samples are the units of the test, and it can hardly tell so few apart.",
            "Read the differences as a description, or add samples.",
        )
    ]


def side_by_side(
    scores: Scores,
    labels: Sequence[str] | None = None,
    samples: Samples | None = None,
    condition_of: dict[str, str] | None = None,
) -> dict[str, bytes]:
    """Make the files of all tables.

    Parameters
    ----------
    scores, labels, samples
        As for `composition`.
    condition_of
        As for `conditions`; None or empty for no comparison.

    Returns
    -------
    dict
        Name of the file to its content.
    """
    parts = list(_parts(scores, labels, samples))
    tables = {COMPOSITION_NAME: _composition(scores, parts), SUMMARY_NAME: _summary(scores, parts)}
    if samples is not None and condition_of:
        tables[CONDITIONS_NAME] = _conditions(scores, parts, samples, condition_of, labels)
    return {name: table.to_bytes() for name, table in tables.items()}


def _parts(
    scores: Scores, labels: Sequence[str] | None, samples: Samples | None
) -> Iterator[_Part]:
    """Yield all cells, those of each label, and the same for each sample."""
    n_cells, names = len(scores.cells), _names(labels)
    label_of_cell = np.full(n_cells, -1)
    if labels is not None:
        position = {name: i for i, name in enumerate(names)}
        label_of_cell[:] = [position.get(label, -1) for label in labels]
    chosen = [(ALL, np.arange(n_cells))]
    if samples is not None:
        chosen += [
            (name, np.flatnonzero(samples.of_cell == i)) for i, name in enumerate(samples.names)
        ]
    for sample, cells in chosen:
        yield _Part(sample, ALL, cells)
        by_label = cells[np.argsort(label_of_cell[cells], kind="stable")]
        edges = np.searchsorted(label_of_cell[by_label], np.arange(len(names) + 1))
        for i, name in enumerate(names):
            if edges[i] < edges[i + 1]:
                yield _Part(sample, name, by_label[edges[i] : edges[i + 1]])


def _names(labels: Sequence[str] | None) -> list[str]:
    """List the labels in the order of their names."""
    return [] if labels is None else sorted(set(labels) - {""})


def _welch(first: list[float], second: list[float]) -> float:
    """Test whether two means are equal, without equal variances; the p value, two-sided."""
    if min(len(first), len(second)) < 2 or np.ptp(first) == np.ptp(second) == 0:
        return np.nan
    from scipy.stats import ttest_ind  # takes a third of a second to import

    return float(ttest_ind(first, second, equal_var=False).pvalue)


def _adjusted(p: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ~np.isnan(p)
    adjusted = np.full(len(p), np.nan)
    if known.any():
        from scipy.stats import false_discovery_control

        adjusted[known] = false_discovery_control(p[known])
    return adjusted


def _table(names: Sequence[str], rows: Sequence[tuple[str | float, ...]]) -> Table:
    return Table(
        {name: np.array([row[i] for row in rows]) for i, name in enumerate(names)},
    )
