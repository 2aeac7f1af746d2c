"""Results of a run, and how they are written."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import secrets
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.checks import MIN_GENES_PER_CELL
from cytotrace2_lite.ensemble import POTENCIES
from cytotrace2_lite.errors import CytoTRACE2Error, CytoTRACE2Warning, OutputError, UsageError
from cytotrace2_lite.locking import try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from cytotrace2_lite.embedding import Embedding
    from cytotrace2_lite.plot import Plots

__all__ = [
    "COLUMNS",
    "EXTRA_COLUMNS",
    "FORMATS",
    "LABELS",
    "STATUSES",
    "Result",
    "prepare_directory",
    "remove_abandoned",
    "require_writable",
    "write_whole",
]

#: Columns of `cytotrace2_results.txt`, as cytotrace2_py has them.
COLUMNS = (
    "CytoTRACE2_Score",
    "CytoTRACE2_Potency",
    "CytoTRACE2_Relative",
    "preKNN_CytoTRACE2_Score",
    "preKNN_CytoTRACE2_Potency",
)

#: Columns that may follow them, in every kind of table.
EXTRA_COLUMNS = (
    "CytoTRACE2_Raw_Score",
    *(f"CytoTRACE2_Probability_{potency}" for potency in POTENCIES),
    "CytoTRACE2_Pseudotime",
    "CytoTRACE2_Status",
)

#: Values of `CytoTRACE2_Status`.
STATUSES = ("scored", "scored (few genes)", "no counts")

#: Columns that hold labels, with their values; the others hold numbers.
LABELS = {
    "CytoTRACE2_Potency": tuple(POTENCIES),
    "preKNN_CytoTRACE2_Potency": tuple(POTENCIES),
    "CytoTRACE2_Status": STATUSES,
}

_SPECIAL = frozenset('\t\n\r"')

#: Formats of the results file, and the ends of its name.
FORMATS = ("txt", "parquet", "arrow")

_PART_SUFFIX = ".ct2-lite-part"
# Of any file of a run, so that each run removes what others of other formats have left.
_PART = re.compile(rf"\..+\.[0-9a-f]{{16}}{re.escape(_PART_SUFFIX)}", re.DOTALL)
_ABANDONED_SECONDS = 24 * 3600  # where no lock tells


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
    n_genes
        How many of the model's genes have a count in the cell; int64, shape (n_cells,).
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
    n_genes: NDArray[np.int64]
    warnings: list[CytoTRACE2Warning] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    embedding: Embedding | None = None

    @property
    def plot(self) -> Plots:
        """Plots of this result, such as `result.plot.potency_score()`; matplotlib draws them."""
        from cytotrace2_lite.plot import Plots

        return Plots(self)

    def __repr__(self) -> str:
        """Give a line, not all the arrays: notebooks show what a cell ends with."""
        model = self.info.get("model", {}).get("name")
        return f"<Result: {len(self.cells):,} cells{f', model {model!r}' if model else ''}>"

    @property
    def potency(self) -> NDArray[np.str_]:
        """`CytoTRACE2_Potency` of each cell; str, shape (n_cells,)."""
        return _labels(self.potency_index, POTENCIES)

    @property
    def preknn_potency(self) -> NDArray[np.str_]:
        """Potency of the highest probability of each cell; str, shape (n_cells,)."""
        return _labels(self.preknn_potency_index, POTENCIES)

    @property
    def pseudotime(self) -> NDArray[np.float64]:
        """1 - `score`, from the least to the most differentiated; float64, shape (n_cells,)."""
        return 1 - self.score

    @property
    def status(self) -> NDArray[np.str_]:
        """Whether each cell has a score, and a good one; str, shape (n_cells,).

        `"scored"`, `"scored (few genes)"` where fewer than 500 of the model's genes have a count,
        or `"no counts"`: no score.
        """
        return _labels(self._status_index(), STATUSES)

    def columns(self, *, extra_columns: bool = False) -> dict[str, NDArray[Any]]:
        """Give the columns of every kind of table, in their order.

        Parameters
        ----------
        extra_columns
            Append raw score, probabilities, pseudotime and status to upstream's five columns.

        Returns
        -------
        dict
            Name to values, shape (n_cells,): numbers float64, of the labels in `LABELS` the
            position, int8, -1 for none.
        """
        upstream = (
            self.score,
            self.potency_index,
            self.relative,
            self.preknn_score,
            self.preknn_potency_index,
        )
        columns: dict[str, NDArray[Any]] = dict(zip(COLUMNS, upstream, strict=True))
        if extra_columns:
            values = (self.raw_score, *self.probabilities.T, self.pseudotime, self._status_index())
            columns.update(zip(EXTRA_COLUMNS, values, strict=True))
        return columns

    def to_arrow(self, *, extra_columns: bool = False) -> pa.Table:
        """Give the results as an Arrow table.

        Parameters
        ----------
        extra_columns
            Append raw score, probabilities, pseudotime and status.

        Returns
        -------
        pyarrow.Table
            `cell`, then the columns of `cytotrace2_results.txt`. Labels are dictionaries, those of
            potencies ordered. Missing values are null.
        """
        import pyarrow as pa

        columns: dict[str, Any] = {"cell": pa.array(self.cells, pa.string())}
        for name, values in self.columns(extra_columns=extra_columns).items():
            if name in LABELS:
                columns[name] = pa.DictionaryArray.from_arrays(
                    pa.array(values, mask=values < 0),
                    pa.array(LABELS[name], pa.string()),
                    ordered=LABELS[name] is not STATUSES,
                )
            else:
                columns[name] = pa.array(values, from_pandas=True)
        return pa.table(columns)

    def to_pandas(self, *, extra_columns: bool = False) -> pd.DataFrame:
        """Give the results as a data frame, as upstream returns them.

        Parameters
        ----------
        extra_columns
            Append raw score, probabilities, pseudotime and status.

        Returns
        -------
        pandas.DataFrame
            The columns of `cytotrace2_results.txt`, indexed by cell. Labels are categorical, those
            of potencies ordered.

        Raises
        ------
        CytoTRACE2Error
            pandas is not installed.
        """
        pandas = require_pandas()
        columns = {
            name: pandas.Categorical.from_codes(
                values, categories=list(LABELS[name]), ordered=LABELS[name] is not STATUSES
            )
            if name in LABELS
            else values
            for name, values in self.columns(extra_columns=extra_columns).items()
        }
        frame: pd.DataFrame = pandas.DataFrame(columns, index=self.cells)
        return frame

    def to_bytes(self, *, extra_columns: bool = False, file_format: str = "txt") -> bytes:
        """Give the content of the results file.

        Parameters
        ----------
        extra_columns
            Append raw score, probabilities, pseudotime and status to upstream's five columns.
        file_format
            "txt" (tab-separated, UTF-8, as upstream writes it), "parquet" or "arrow" (Arrow IPC
            file, also known as Feather).

        Returns
        -------
        bytes
            The same for the same results.

        Raises
        ------
        UsageError
            There is no such format.
        """
        if file_format == "txt":
            return self._text(extra_columns=extra_columns).encode()
        if file_format not in FORMATS:
            raise UsageError(f"file_format is {file_format!r}; it must be one of {FORMATS}.")
        import pyarrow as pa
        from pyarrow import parquet

        table = self.to_arrow(extra_columns=extra_columns)
        buffer = io.BytesIO()
        if file_format == "parquet":
            parquet.write_table(table, buffer)
        else:
            with pa.ipc.new_file(buffer, table.schema) as writer:
                writer.write_table(table)
        return buffer.getvalue()

    def write(
        self,
        directory: str | os.PathLike[str],
        *,
        extra_columns: bool = False,
        file_format: str = "txt",
    ) -> Path:
        """Write the results file and `run.json`, each whole or not at all.

        Parameters
        ----------
        directory
            Made where it does not exist. Files of these names are replaced.
        extra_columns
            Append raw score, probabilities, pseudotime and status to upstream's five columns.
        file_format
            "txt", "parquet" or "arrow": `cytotrace2_results.txt`, `.parquet`, `.arrow`.

        Returns
        -------
        Path
            The results file.

        Raises
        ------
        OutputError
            The directory or a file in it cannot be written.
        UsageError
            There is no such format.
        """
        files = self.files(directory, extra_columns=extra_columns, file_format=file_format)
        prepare_directory(directory)
        write_whole(files)
        return list(files)[-1]

    def files(
        self,
        directory: str | os.PathLike[str],
        *,
        extra_columns: bool = False,
        file_format: str = "txt",
    ) -> dict[Path, bytes]:
        """Give what `write` writes, for `write_whole`: `run.json`, then the results file.

        Parameters
        ----------
        directory, extra_columns, file_format
            As for `write`.

        Returns
        -------
        dict
            Path to content.

        Raises
        ------
        UsageError
            There is no such format.
        """
        name = f"cytotrace2_results.{file_format}"
        content = self.to_bytes(extra_columns=extra_columns, file_format=file_format)
        # The directory may hold results of an earlier run in another format, or of another run that
        # wrote at the same time: the digest tells which file this report belongs to.
        results = {"results": name, "results_sha256": hashlib.sha256(content).hexdigest()}
        report = json.dumps({**self.info, **results}, indent=2) + "\n"
        return {Path(directory, "run.json"): report.encode(), Path(directory, name): content}

    def write_h5ad(self, source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
        """Write a copy of an `.h5ad` file with all columns in `obs`, and `uns["cytotrace2"]`.

        Parameters
        ----------
        source
            The file that holds the cells that were scored. It is not changed.
        target
            Name of the copy, which must end in .h5ad; replaced whole, or left as it is.

        Raises
        ------
        InputError
            The cells of `source` are others, or its `obs` is stored in an unknown way.
        OutputError
            The copy cannot be written.
        UsageError
            `source` is no `.h5ad`, or `target` is not a name for one.
        CytoTRACE2Error
            h5py is not installed.
        """
        from cytotrace2_lite.anndata_io import annotated_copy, check_h5ad

        check_h5ad(source, target)
        write_whole({Path(target): annotated_copy(source, self)})

    def _status_index(self) -> NDArray[np.int8]:
        few_genes = self.n_genes < MIN_GENES_PER_CELL
        return np.where(self.potency_index < 0, 2, few_genes).astype(np.int8)

    def _text(self, *, extra_columns: bool) -> str:
        columns = self.columns(extra_columns=extra_columns)
        fields = []
        for name, values in columns.items():
            if name in LABELS:
                column = _labels(values, LABELS[name]).tolist()
            else:
                column = values.tolist()
                for cell in np.flatnonzero(np.isnan(values)):
                    column[cell] = ""
            fields.append(column)
        lines = ["\t".join(["", *columns])]
        lines += [
            "\t".join([_quoted(cell), *map(str, row)])
            for cell, *row in zip(self.cells, *fields, strict=True)
        ]
        return "\n".join(lines) + "\n"


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
    except OSError as error:
        raise _no_place(folder, error) from error
    require_writable(folder)
    return folder


def require_writable(folder: Path, option: str = "-o/--output-dir") -> None:
    """See that a file can be made in a directory, and clear it of what killed runs have left.

    Parameters
    ----------
    folder
        The directory.
    option
        What names it, for the message.

    Raises
    ------
    OutputError
        It cannot be written, or does not exist.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _no_place(folder, error, option) from error
    remove_abandoned(folder)


def write_whole(
    contents: Mapping[Path, bytes | Callable[[Path], None]],
    *,
    ready: Callable[[], None] | None = None,
) -> None:
    """Write files so that none of them is at any time seen in part, and all or none are replaced.

    Parameters
    ----------
    contents
        Path to content, or to a function that writes it to the path it is given; files that exist
        are replaced, after all the new ones lie on the disk.
    ready
        Called when all is on the disk, before the first file is replaced.

    Raises
    ------
    OutputError
        A file cannot be written; earlier files of these names are as they were.
    """
    parts: dict[Path, Path] = {}
    path = next(iter(contents))
    with contextlib.ExitStack() as stack:
        try:
            for path, content in contents.items():
                if path.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
                parts[path], file = _new_part(path)
                stack.enter_context(file)
                if callable(content):
                    content(parts[path])
                else:
                    parts[path].write_bytes(content)
                os.fsync(file.fileno())
                if sys.platform == "win32":  # where an open file cannot be moved
                    file.close()
            if ready is not None:
                ready()
            for path, part in parts.items():
                part.replace(path)
        except OSError as error:
            raise OutputError(
                f"{path}: cannot write the file ({error.strerror or error}). "
                "Choose another place for it."
            ) from error
        finally:
            for part in parts.values():
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed while they wrote files have left in a directory.

    Parameters
    ----------
    folder
        Where `write_whole` has written. Files that another process is writing stay.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _PART.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(Path(entry.path))


def _new_part(path: Path) -> tuple[Path, IO[bytes]]:
    """Make the file that is to become another one, and lock it, which says that it is in use."""
    while True:
        part = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_PART_SUFFIX}")
        file = part.open("xb")
        try:
            locked = sys.platform == "win32" or try_lock(file)
        except OSError:  # a file system without locks
            locked = True
        # Before it was locked, another process may have taken it for abandoned.
        if locked and part.exists():
            return part, file
        file.close()


def _remove_if_abandoned(part: Path) -> None:
    with part.open("rb+") as file:
        if sys.platform != "win32":  # where an open file cannot be removed
            with contextlib.suppress(OSError):  # a file system without locks
                if try_lock(file):
                    part.unlink()
                return
    if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
        part.unlink()


def _no_place(folder: Path, error: OSError, option: str = "-o/--output-dir") -> OutputError:
    return OutputError(
        f"{folder}: cannot write results here ({error.strerror}). "
        f"Choose another directory ({option})."
    )


def _quoted(name: str) -> str:
    """Quote a name that would leave its field; `csv` leaves a lone carriage return as it is."""
    if not _SPECIAL.isdisjoint(name):
        name = name.replace('"', '""')
        return f'"{name}"'
    return name


def _labels(index: NDArray[np.int8], labels: Sequence[str]) -> NDArray[np.str_]:
    return np.array([*labels, ""])[index]
