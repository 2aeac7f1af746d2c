"""A directory of results that was written before: the table, and the record of the run."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.output._results_file import ResultsTable, read_results
from cytotrace2_lite.output.report import REPORT_NAME
from cytotrace2_lite.output.tables import FORMATS, results_name
from cytotrace2_lite.system.files import read_whole
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Earlier", "read_directory", "read_record"]


class Earlier(NamedTuple):
    """Results that were written before.

    Attributes
    ----------
    table
        The results.
    info
        What `run.json` holds; empty where there is none.
    """

    table: ResultsTable
    info: Mapping[str, Any]


def read_directory(directory: str | os.PathLike[str], prefix: str = "") -> Earlier:
    """Read a directory of results.

    Parameters
    ----------
    directory
        With a results file, as `run`, cytotrace2-py or the R package writes it, and `run.json`
        where there is one.
    prefix
        What the names of its files begin with.

    Returns
    -------
    Earlier
        The results that `run.json` is about.

    Raises
    ------
    InputError
        There is no directory or results file, a file cannot be read, or `run.json` is about other
        results.
    """
    folder = Path(directory)
    if not os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises where it must not look)
        raise InputError(
            f"{folder}: this is not a directory. Give the directory with the results of a run."
        )
    info = read_record(folder, prefix)
    names = [results_name(kind, prefix) for kind in FORMATS]
    record = prefix + REPORT_NAME
    if info:
        named = info.get("results")
        if named not in names:
            raise InputError(
                f"{folder / record}: it names {shown(named)} as its results, which is not "
                f"one of {', '.join(names)}. Run the scores again."
            )
        names = [named]
    found = [name for name in names if os.path.exists(folder / name)]  # noqa: PTH110
    if len(found) != 1:
        what = f"several results files ({', '.join(found)})" if found else "no results file"
        raise InputError(
            f"{folder}: there is {what} in it. Give a directory with one of {', '.join(names)}"
            f"{_prefix_hint(folder)}."
        )
    path = folder / found[0]
    table = read_results(path)
    if info and hashlib.sha256(read_whole(path)).hexdigest() != info.get("results_sha256"):
        raise InputError(
            f"{path}: it was changed after {record} was written, which has another digest. "
            f"Run the scores again, or move {record} away to go without the record of the run."
        )
    return Earlier(table, info)


def _prefix_hint(folder: Path) -> str:
    """Say what the names of the files there begin with, where they are not found without it."""
    end = f"_{REPORT_NAME}"
    prefixes = sorted(path.name.removesuffix(end) for path in folder.glob(f"*{end}"))
    return f"; the names of the files there begin with {first_few(prefixes)} (--prefix)" * bool(
        prefixes
    )


def read_record(directory: str | os.PathLike[str], prefix: str = "") -> dict[str, Any]:
    """Read the `run.json` of a directory of results.

    Parameters
    ----------
    directory
        The directory.
    prefix
        What the name of the file begins with.

    Returns
    -------
    dict
        Empty where there is no such file.

    Raises
    ------
    InputError
        It cannot be read, or is not the record of a run.
    """
    path = Path(directory, prefix + REPORT_NAME)
    try:
        info = json.loads(read_whole(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: the file cannot be read ({reason}). Copy it again.") from None
    if not isinstance(info, dict) or "cytotrace2_lite" not in info:
        raise InputError(
            f"{path}: this is not the run.json of ct2-lite. Remove it, or copy it again."
        )
    return info
