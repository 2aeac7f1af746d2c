"""The table over the samples of one command: a line for each, `cytotrace2_samples.tsv`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.output._results_file import read_results
from cytotrace2_lite.text import printable

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "OVERVIEW_COLUMNS",
    "OVERVIEW_NAME",
    "SampleLine",
    "figures",
    "overview",
    "scores_of_file",
]

#: Name of the table.
OVERVIEW_NAME = "cytotrace2_samples.tsv"
#: Its columns; those of the sheet that mean nothing to the program come between the first two.
OVERVIEW_COLUMNS = (
    *("sample", "path", "species", "status", "exit_code", "cells", "cells_scored"),
    *("mean_score", "median_score", *POTENCIES),
    *("warnings", "seconds", "results", "error"),
)


@dataclass(frozen=True)
class SampleLine:
    """What became of a sample.

    Attributes
    ----------
    sample, path
        Name of the sample, and its input as it was given.
    conditions
        Further columns of the sheet.
    status
        "done", "skipped" (it was done before), "failed", or "not run".
    exit_code
        That of a run of this sample alone; None where it was not run.
    figures
        What `figures` gives, of a sample that has results.
    results
        Name of the results file.
    error
        Why there are no results.
    """

    sample: str
    path: str
    conditions: Mapping[str, str]
    status: str = "not run"
    exit_code: int | None = None
    figures: Mapping[str, object] = field(default_factory=dict)
    results: str = ""
    error: str = ""


def overview(lines: Sequence[SampleLine]) -> bytes:
    """Give the content of the table.

    Parameters
    ----------
    lines
        The samples, in their order, at least one; all with the same conditions.

    Returns
    -------
    bytes
        Tab-separated text, UTF-8. Fields without a value are empty.
    """
    first, *others = OVERVIEW_COLUMNS
    rows: list[list[object]] = [[first, *lines[0].conditions, *others]]
    rows += [_fields(line) for line in lines]
    text = "\n".join("\t".join(map(_field, row)) for row in rows)
    return f"{text}\n".encode(errors="backslashreplace")


def figures(info: Mapping[str, Any], scores: NDArray[np.float64]) -> dict[str, object]:
    """Give what the table has of the results of a sample.

    Parameters
    ----------
    info
        As `run.json`.
    scores
        `CytoTRACE2_Score` of its cells, NaN for none; float64, shape (n_cells,).

    Returns
    -------
    dict
        Column to value, None for none.
    """
    found = scores[~np.isnan(scores)]
    codes = [one["code"] for one in info["findings"] if one["severity"] == "warning"]
    return {
        "species": info["parameters"]["species"],
        "cells": len(scores),
        "cells_scored": len(found),
        "mean_score": float(found.mean()) if len(found) else None,
        "median_score": float(np.median(found)) if len(found) else None,
        **info["potencies"],
        "warnings": ", ".join(dict.fromkeys(codes)),
        "seconds": info["seconds"]["total"],
    }


def scores_of_file(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """Read the scores of a results file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    ndarray
        `CytoTRACE2_Score`, NaN for none; float64, shape (n_cells,).

    Raises
    ------
    InputError
        It cannot be read.
    """
    scores: NDArray[np.float64] = read_results(path).columns["CytoTRACE2_Score"]
    return scores


def _fields(line: SampleLine) -> list[object]:
    named: dict[str, object] = {
        "path": line.path,
        "status": line.status,
        "exit_code": line.exit_code,
        "results": line.results,
        "error": line.error,
        **line.figures,
    }
    values = (named.get(name) for name in OVERVIEW_COLUMNS[1:])
    return [line.sample, *line.conditions.values(), *values]


def _field(value: object) -> str:
    """Write a field; no name in it, of a file or a sample, breaks a line of the table."""
    return "" if value is None else printable(str(value))
