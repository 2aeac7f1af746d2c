"""Tables over datasets that were scored one by one, from the files of each.

So they are the same whether a dataset was scored now or before.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.output.composition import (
    COMPOSITION_NAME,
    CONDITIONS_NAME,
    MIN_CELLS,
    SUMMARY_NAME,
    compare_samples,
    composition_table,
    summary_of,
    summary_table,
)
from cytotrace2_lite.output.overview import scores_of_file
from cytotrace2_lite.output.report import REPORT_NAME
from cytotrace2_lite.system.files import read_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["JOINED_NAMES", "Dataset", "joined_tables", "read_dataset"]

#: Names of all files that `joined_tables` may give.
JOINED_NAMES = (COMPOSITION_NAME, SUMMARY_NAME, CONDITIONS_NAME)


@dataclass(frozen=True, eq=False)
class Dataset:
    """What the tables have of a dataset.

    Attributes
    ----------
    name
        Of the sample.
    scores
        `CytoTRACE2_Score` of its cells, without those that have none; float64.
    n_cells
        Label ("" for all) to number of cells of each potency, and without a score; int64, shape
        (7,).
    summaries
        Label ("" for all) to number of scored cells, mean, quartiles.
    info
        Its `run.json`.
    """

    name: str
    scores: NDArray[np.float64]
    n_cells: dict[str, NDArray[np.int64]]
    summaries: dict[str, tuple[float, ...]]
    info: dict[str, Any]

    @property
    def median(self) -> float:
        """Median score of the cells, NaN where none has one."""
        return float(np.median(self.scores)) if len(self.scores) else np.nan


def read_dataset(name: str, folder: Path, prefix: str) -> Dataset:
    """Read the files of a dataset that was scored.

    Parameters
    ----------
    name
        Of the sample.
    folder, prefix
        Where they are, and what their names begin with.

    Returns
    -------
    Dataset
        Of its samples, if it has some, only all together.

    Raises
    ------
    OSError
        A file is not there.
    InputError
        The results cannot be read.
    """
    info: dict[str, Any] = json.loads(read_whole(folder / (prefix + REPORT_NAME)))
    scores = scores_of_file(folder / info["results"])
    n_cells: dict[str, NDArray[np.int64]] = {}
    for row in _rows(folder / (prefix + COMPOSITION_NAME)):
        counts = n_cells.setdefault(row["label"], np.zeros(len(POTENCIES) + 1, dtype=np.int64))
        known = row["potency"] in POTENCIES
        counts[POTENCIES.index(row["potency"]) if known else -1] = int(row["n_cells"])
    names = ("n_cells", "mean", "lower_quartile", "median", "upper_quartile")
    summaries = {
        row["label"]: (int(row["n_cells"]), *(float(row[one] or "nan") for one in names[1:]))
        for row in _rows(folder / (prefix + SUMMARY_NAME))
    }
    return Dataset(name, scores[~np.isnan(scores)], n_cells, summaries, info)


def joined_tables(
    datasets: Sequence[Dataset], condition_of: Mapping[str, str] | None = None
) -> dict[str, bytes]:
    """Make the files of the tables over datasets.

    Parameters
    ----------
    datasets
        At least one, of different names.
    condition_of
        Name of the sample to its condition; None or empty for no comparison.

    Returns
    -------
    dict
        Name of the file to its content.
    """
    pooled: dict[str, NDArray[np.int64]] = {}
    for dataset in datasets:
        for label, counts in dataset.n_cells.items():
            pooled[label] = pooled.get(label, np.int64(0)) + counts
    parts = [("", label, pooled[label]) for label in sorted(pooled)]
    # The quartiles of a label over all samples cannot be told from those of each.
    summaries = [("", "", summary_of(np.concatenate([one.scores for one in datasets])))]
    for dataset in datasets:
        parts += [(dataset.name, *item) for item in dataset.n_cells.items()]
        summaries += [(dataset.name, *item) for item in dataset.summaries.items()]
    tables = {
        COMPOSITION_NAME: composition_table(parts),
        SUMMARY_NAME: summary_table(summaries),
    }
    if condition_of:
        mean_of = {
            (one.name, label): summary[1]
            for one in datasets
            for label, summary in one.summaries.items()
            if summary[0] >= MIN_CELLS
        }
        labels = sorted({label for one in datasets for label in one.summaries})
        names = [one.name for one in datasets]
        tables[CONDITIONS_NAME] = compare_samples(mean_of, names, labels, condition_of)
    return {name: table.to_bytes() for name, table in tables.items()}


def _rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a table that are about all samples."""
    text = read_whole(path).decode()
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t")
    return [row for row in rows if row["sample"] == ""]
