"""Files for MultiQC, which puts the reports of many programs and samples on one page.

MultiQC takes every file whose name ends in `_mqc.json` as a section of its page, and joins sections
of one id. Source: https://docs.seqera.io/multiqc/custom_content.
"""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES, POTENCY_COLORS
from cytotrace2_lite.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.metadata.samples import Samples
    from cytotrace2_lite.output.scores import Scores

__all__ = ["MULTIQC_NAMES", "Row", "multiqc_files", "quality_files", "rows_of_run", "warnings_of"]

#: Names of all files that `multiqc_files` may give.
MULTIQC_NAMES = (
    "cytotrace2_composition_mqc.json",
    "cytotrace2_general_stats_mqc.json",
    "cytotrace2_warnings_mqc.json",
)
_ABOUT = (
    "<a href='https://doi.org/10.1038/s41592-025-02857-2'>CytoTRACE 2</a> predicts how much "
    "developmental potential each cell has."
)


@dataclass(frozen=True, eq=False)
class Row:
    """What MultiQC shows of a sample.

    Attributes
    ----------
    name
        Of the sample.
    n_cells
        Number of cells of each potency, and without a score; shape (7,).
    median
        Of `CytoTRACE2_Score`, NaN where no cell has a score.
    """

    name: str
    n_cells: NDArray[np.int64]
    median: float


def warnings_of(info: Mapping[str, Any]) -> dict[str, str]:
    """Give the warnings of a run.

    Parameters
    ----------
    info
        Its `run.json`.

    Returns
    -------
    dict
        Code to what was found, of those with one code the first.
    """
    found: dict[str, str] = {}
    for one in info["findings"]:
        if one["severity"] == "warning":
            found.setdefault(one["code"], one["what"])
    return found


def rows_of_run(scores: Scores, name: str, samples: Samples | None = None) -> list[Row]:
    """Give a row for a run, or for each of its samples.

    Parameters
    ----------
    scores
        The scores.
    name
        Of the dataset, where it is one sample.
    samples
        The sample of each cell.

    Returns
    -------
    list of Row
        At least one.
    """
    every = [(name, np.ones(len(scores.cells), dtype=bool))]
    if samples is not None:
        every = [(one, samples.of_cell == k) for k, one in enumerate(samples.names)]
    rows = []
    for one, own in every:
        score = scores.score[own]
        n_cells = np.bincount(scores.potency_index[own].astype(np.intp) % 7, minlength=7)
        known = score[~np.isnan(score)]
        rows.append(Row(one, n_cells, float(np.median(known)) if len(known) else np.nan))
    return rows


def multiqc_files(
    rows: Sequence[Row], warnings: Mapping[str, Mapping[str, str]], model: str
) -> dict[str, bytes]:
    """Make the files.

    Parameters
    ----------
    rows
        The samples.
    warnings
        Name of a sample or dataset to its warnings, as `warnings_of` gives them.
    model
        As `Scores.model_label`.

    Returns
    -------
    dict
        Name of the file to its content; none for warnings where there are none.
    """
    description = f"{_ABOUT} Scores of: {_shown(model)}."
    composition = {
        "id": "cytotrace2_composition",
        "section_name": "CytoTRACE 2: potency",
        "description": description,
        "plot_type": "bargraph",
        "pconfig": {
            "id": "cytotrace2_composition_plot",
            "title": "CytoTRACE 2: Cells by potency",
            "ylab": "Cells",
        },
        "categories": {
            name: {"name": name, "color": color}
            for name, color in zip(
                (*POTENCIES, "no score"), (*POTENCY_COLORS, "#D9D9D9"), strict=True
            )
        },
        "data": {
            _shown(row.name): dict(zip((*POTENCIES, "no score"), row.n_cells.tolist(), strict=True))
            for row in rows
        },
    }
    statistics = {
        "id": "cytotrace2_general_stats",
        "plot_type": "generalstats",
        "pconfig": [
            {
                "cytotrace2_median": {
                    "title": "Potency score",
                    "description": f"CytoTRACE 2, {_shown(model)}: median score of the cells",
                    "min": 0,
                    "max": 1,
                    "scale": "Spectral-rev",
                    "format": "{:,.3f}",
                }
            },
            {
                "cytotrace2_cells": {
                    "title": "Cells scored",
                    "description": "CytoTRACE 2: cells that have a score",
                    "min": 0,
                    "scale": "Blues",
                    "format": "{:,.0f}",
                }
            },
            {
                "cytotrace2_warnings": {
                    "title": "Warnings",
                    "description": "CytoTRACE 2: kinds of warnings about the data",
                    "min": 0,
                    "scale": "OrRd",
                    "format": "{:,.0f}",
                }
            },
        ],
        "data": {
            _shown(row.name): {
                **({} if np.isnan(row.median) else {"cytotrace2_median": round(row.median, 6)}),
                "cytotrace2_cells": int(row.n_cells[:-1].sum()),
                # Of samples of one dataset, there are only warnings about all together.
                **(
                    {"cytotrace2_warnings": len(warnings[row.name])} if row.name in warnings else {}
                ),
            }
            for row in rows
        },
    }
    files = dict(zip(MULTIQC_NAMES, (composition, statistics), strict=False))
    codes = list(dict.fromkeys(code for found in warnings.values() for code in found))
    if codes:
        files[MULTIQC_NAMES[2]] = {
            "id": "cytotrace2_warnings",
            "section_name": "CytoTRACE 2: warnings",
            "description": "What was found in the data; run.json has the remedies.",
            "plot_type": "table",
            "pconfig": {"id": "cytotrace2_warnings_table", "title": "CytoTRACE 2: Warnings"},
            "headers": {code: {"title": code, "scale": False} for code in codes},
            "data": {
                _shown(name): {code: _shown(text) for code, text in found.items()}
                for name, found in warnings.items()
                if found
            },
        }
    return {name: f"{json.dumps(content, indent=1)}\n".encode() for name, content in files.items()}


def quality_files(scores: Scores, name: str, samples: Samples | None = None) -> dict[str, bytes]:
    """Make the files of a run, as `multiqc_files` does.

    Parameters
    ----------
    scores, name, samples
        As for `rows_of_run`.

    Returns
    -------
    dict
        Name of the file to its content.
    """
    rows = rows_of_run(scores, name, samples)
    return multiqc_files(rows, {name: warnings_of(scores.info)}, scores.model_label)


def _shown(text: str) -> str:
    """Make a text of the user one line that is no HTML: MultiQC puts it on the page as it is."""
    return html.escape(printable(text))
