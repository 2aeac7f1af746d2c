"""Results of a run, and how they are written."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.ensemble import POTENCIES
from cytotrace2_lite.errors import CytoTRACE2Error, CytoTRACE2Warning, OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from cytotrace2_lite.embedding import Embedding
    from cytotrace2_lite.plot import Plots

__all__ = ["COLUMNS", "Result", "prepare_directory", "write_whole"]

#: Columns of `cytotrace2_results.txt`, as cytotrace2_py has them.
COLUMNS = (
    "CytoTRACE2_Score",
    "CytoTRACE2_Potency",
    "CytoTRACE2_Relative",
    "preKNN_CytoTRACE2_Score",
    "preKNN_CytoTRACE2_Potency",
)


@dataclass(frozen=True)
class Result:
    """Scores of the cells of one run, in input order.

    A cell without a count over the model's genes has no score: NaN in every number, -1 in every
    index, an empty label.

    Attributes
    ----------
    cells
        Names of the cells.
    score
        `CytoTRACE2_Score`, 0 (differentiated) to 1 (totipotent); float64, shape (n_cells,).
    relative
        `CytoTRACE2_Relative`, the score from 0 (lowest of the run) to 1 (highest); float64,
        shape (n_cells,).
    preknn_score
        Score before smoothing over neighbours; float64, shape (n_cells,).
    raw_score
        Score of the ensemble before any smoothing; float64, shape (n_cells,).
    probabilities
        Mean potency probabilities of the ensemble; float64, shape (n_cells, 6), columns as
        `cytotrace2_lite.POTENCIES`.
    potency_index, preknn_potency_index
        Position of the potency in `cytotrace2_lite.POTENCIES`; int8, shape (n_cells,).
    warnings
        What is worth knowing about the scores.
    info
        What `run.json` holds: version, model, parameters, input, genes, quality, seconds.
    embedding
        Where `plot` draws the cells, unless it is told otherwise; None where the run was not asked
        for it.
    """

    cells: list[str]
    score: NDArray[np.float64]
    relative: NDArray[np.float64]
    preknn_score: NDArray[np.float64]
    raw_score: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    potency_index: NDArray[np.int8]
    preknn_potency_index: NDArray[np.int8]
    warnings: list[CytoTRACE2Warning] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    embedding: Embedding | None = None

    @property
    def plot(self) -> Plots:
        """Plots of this result, such as `result.plot.potency_score()`; matplotlib draws them."""
        from cytotrace2_lite.plot import Plots

        return Plots(self)

    @property
    def potency(self) -> NDArray[np.str_]:
        """`CytoTRACE2_Potency` of each cell; str, shape (n_cells,)."""
        return _labels(self.potency_index)

    @property
    def preknn_potency(self) -> NDArray[np.str_]:
        """Potency of the highest probability of each cell; str, shape (n_cells,)."""
        return _labels(self.preknn_potency_index)

    def to_arrow(self) -> pa.Table:
        """Give all columns as an Arrow table.

        Returns
        -------
        pyarrow.Table
            `cell`, the five columns of `cytotrace2_results.txt`, `raw_score` and
            `probability_Differentiated` to `probability_Totipotent`; missing values are null.
        """
        import pyarrow as pa

        columns: dict[str, Any] = {"cell": pa.array(self.cells, pa.string())}
        columns |= {
            name: pa.array(values, from_pandas=True)
            if isinstance(values, np.ndarray)
            else pa.array(values)
            for name, values in self._columns().items()
        }
        columns["raw_score"] = pa.array(self.raw_score, from_pandas=True)
        for k, potency in enumerate(POTENCIES):
            columns[f"probability_{potency}"] = pa.array(self.probabilities[:, k], from_pandas=True)
        return pa.table(columns)

    def to_pandas(self) -> pd.DataFrame:
        """Give the columns of `cytotrace2_results.txt` as upstream returns them.

        Returns
        -------
        pandas.DataFrame
            Indexed by cell; `CytoTRACE2_Potency` is an ordered categorical.

        Raises
        ------
        CytoTRACE2Error
            pandas is not installed.
        """
        pandas = require_pandas()
        frame: pd.DataFrame = pandas.DataFrame(self._columns(), index=self.cells)
        frame["CytoTRACE2_Potency"] = pandas.Categorical.from_codes(
            self.potency_index, categories=list(POTENCIES), ordered=True
        )
        return frame

    def write(self, directory: str | os.PathLike[str]) -> Path:
        """Write `cytotrace2_results.txt` and `run.json`, each whole or not at all.

        Parameters
        ----------
        directory
            Made where it does not exist. Files of these names are replaced.

        Returns
        -------
        Path
            The results file.

        Raises
        ------
        OutputError
            The directory or a file in it cannot be written.
        """
        folder = prepare_directory(directory)
        text = io.StringIO()
        writer = csv.writer(text, delimiter="\t", lineterminator="\n")
        writer.writerow(["", *COLUMNS])
        columns = [
            values.tolist() if isinstance(values, np.ndarray) else values
            for values in self._columns().values()
        ]
        scored = (self.potency_index >= 0).tolist()
        writer.writerows(
            [cell, *row] if has_score else [cell, *[""] * len(COLUMNS)]
            for cell, has_score, row in zip(
                self.cells, scored, zip(*columns, strict=True), strict=True
            )
        )
        results = folder / "cytotrace2_results.txt"
        report = json.dumps(self.info, indent=2) + "\n"
        write_whole({folder / "run.json": report.encode(), results: text.getvalue().encode()})
        return results

    def _columns(self) -> dict[str, NDArray[np.float64] | list[str | None]]:
        return {
            "CytoTRACE2_Score": self.score,
            "CytoTRACE2_Potency": [label or None for label in self.potency.tolist()],
            "CytoTRACE2_Relative": self.relative,
            "preKNN_CytoTRACE2_Score": self.preknn_score,
            "preKNN_CytoTRACE2_Potency": [label or None for label in self.preknn_potency.tolist()],
        }


def require_pandas() -> Any:
    """Import pandas, which only this return type needs.

    Returns
    -------
    module
        pandas.

    Raises
    ------
    CytoTRACE2Error
        pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise CytoTRACE2Error(
            "A DataFrame needs the package pandas, which is not installed: pip install pandas. "
            "Without it, cytotrace2_lite.run() returns arrays and Result.to_arrow() a table."
        ) from error
    return pd


def prepare_directory(directory: str | os.PathLike[str]) -> Path:
    """Make a directory for results and see that a file can be made in it.

    Parameters
    ----------
    directory
        Made with its parents where it does not exist.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    OutputError
        It cannot be made or written.
    """
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot write results here ({error.strerror}). "
            "Choose another directory (-o/--output-dir)."
        ) from error
    return folder


def write_whole(contents: Mapping[Path, bytes]) -> None:
    """Write files so that none of them is at any time seen in part, and all or none are replaced.

    Parameters
    ----------
    contents
        Path to content; files that exist are replaced, after all the new ones lie on the disk.

    Raises
    ------
    OutputError
        A file cannot be written; earlier files of these names are as they were.
    """
    parts = {path: path.with_name(f".{path.name}.{secrets.token_hex(8)}.part") for path in contents}
    path = next(iter(contents))
    try:
        for path, content in contents.items():
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            with parts[path].open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot write the file ({error.strerror}). Choose another place for it."
        ) from error
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


def _labels(index: NDArray[np.int8]) -> NDArray[np.str_]:
    return np.array([*POTENCIES, ""])[index]
