"""Several datasets in one command: their names, the sheet that lists them, and what is done."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from cytotrace2_lite._version import __version__
from cytotrace2_lite.base.parameters import OTHER_SPECIES, SPECIES
from cytotrace2_lite.errors import CytoTRACE2Error, InputError, UsageError
from cytotrace2_lite.output.composition import COMPOSITION_NAME, SUMMARY_NAME
from cytotrace2_lite.output.earlier import read_record
from cytotrace2_lite.output.overview import OVERVIEW_COLUMNS, figures, scores_of_file
from cytotrace2_lite.output.tables import results_name
from cytotrace2_lite.plots import PLOTS
from cytotrace2_lite.read import open_input
from cytotrace2_lite.system.files import read_whole
from cytotrace2_lite.system.paths import expanded
from cytotrace2_lite.system.sample_names import sample_name
from cytotrace2_lite.system.small_tables import read_small_table
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cytotrace2_lite.base.options import RunOptions
    from cytotrace2_lite.output.keys import OptionsReport

__all__ = ["Done", "Sample", "done_before", "name_samples", "options_report", "read_sheet"]

SHEET_COLUMNS = ("sample", "path", "species", "annotation")

_UNSAFE = re.compile(r"[^\w.\-]+")
_LONGEST = 120  # bytes of a name that a file name begins with


@dataclass(frozen=True)
class Sample:
    """A dataset that is scored with others.

    Attributes
    ----------
    name
        As it was given, or taken from the name of its file.
    path
        The input.
    file_name
        The name as names of files have it.
    where
        How messages name the place where it was given.
    species, annotation_path
        Of the sheet; None for what the command says.
    conditions
        Further columns of the sheet.
    """

    name: str
    path: str
    file_name: str
    where: str
    species: str | None = None
    annotation_path: str | None = None
    conditions: Mapping[str, str] = field(default_factory=dict)


class Done(NamedTuple):
    """Results that an earlier run has left.

    Attributes
    ----------
    figures
        What the table of the samples has of them.
    results
        Name of the results file.
    """

    figures: dict[str, object]
    results: str


def name_samples(paths: Sequence[str]) -> list[Sample]:
    """Name datasets after their files.

    Parameters
    ----------
    paths
        The inputs.

    Returns
    -------
    list of Sample
        In their order.

    Raises
    ------
    UsageError
        One is standard input, or two names are alike.
    """
    samples = []
    for path in paths:
        name = sample_name(path)
        samples.append(Sample(name, path, _safe(name), path))
    _check(samples)
    return samples


def read_sheet(path: str) -> list[Sample]:
    """Read a sheet, which lists datasets.

    Parameters
    ----------
    path
        A text table with a header: `path`, relative to the sheet, and, if wanted, `sample`,
        `species`, `annotation`, and columns of other names, which are kept.

    Returns
    -------
    list of Sample
        In the order of the lines.

    Raises
    ------
    InputError
        The sheet cannot be read or lists nothing, or a column or a field of it is wrong.
    UsageError
        Two names are alike.
    """
    path = expanded(path)
    table = read_small_table(path, "sheet")
    if len(table.rows) < 2:
        raise InputError(
            f"{path}: the sheet lists no sample. It needs a header with a column 'path', and a "
            "line for each sample."
        )
    header = _header(path, table.rows[0])
    samples = []
    for number, row in enumerate(table.rows[1:], start=1):
        where = table.where(number)
        if len(row) > len(header) and any(text.strip() for text in row[len(header) :]):
            raise InputError(
                f"{where} has {len(row)} fields, and the header {len(header)}. Look for a "
                "delimiter too many; a field that has one in it is quoted."
            )
        fields = dict.fromkeys(header, "") | dict(zip(header, map(str.strip, row), strict=False))
        samples.append(_listed(where, os.path.dirname(path), fields))  # noqa: PTH120
    _check(samples)
    return samples


def _header(path: str, names: Sequence[str]) -> list[str]:
    """Check the names of the columns of a sheet."""
    header = [
        name.strip().lower() if name.strip().lower() in SHEET_COLUMNS else name.strip()
        for name in names
    ]
    known = first_few(SHEET_COLUMNS)
    for name in header:
        if header.count(name) > 1:
            raise InputError(f"{path}: two columns of the sheet are called {shown(name)}.")
        if name in SHEET_COLUMNS:
            continue
        missing = [column for column in SHEET_COLUMNS if column not in header]
        alike = difflib.get_close_matches(name.lower(), missing, 1, 0.75)
        if alike:
            raise InputError(
                f"{path}: a column of the sheet is called {shown(name)}. Is it {alike[0]!r}? The "
                f"columns that mean something are {known}; others are kept in the table of the "
                "samples, unless their names are nearly one of these."
            )
        if not name or name in OVERVIEW_COLUMNS:
            raise InputError(
                f"{path}: a column of the sheet is called {shown(name)}, "
                + ("as a column of the table of the samples." if name else "that is, nothing.")
                + f" Rename or remove it. The columns that mean something are {known}."
            )
    if "path" not in header:
        raise InputError(
            f"{path}: the sheet has no column 'path' with the inputs; its columns are "
            f"{first_few(header)}. The columns that mean something are {known}."
        )
    return header


def _listed(where: str, folder: str, fields: dict[str, str]) -> Sample:
    """Take a sample from a line of a sheet in a directory."""
    given = fields.pop("path")
    species = fields.pop("species", "").lower()
    annotation = fields.pop("annotation", "")
    if not given:
        raise InputError(f"{where} has no path. Give the input of the sample.")
    if species and species not in SPECIES:
        raise InputError(f"{where}: species {shown(species)} is neither 'mouse' nor 'human'.")
    path = given if given == "-" else _beside(folder, given)
    name = fields.pop("sample", "") or sample_name(path)
    labels = _beside(folder, annotation) if annotation else None
    # Without such a file it is the name of a column of obs, unless it looks like a file.
    if labels and not os.path.exists(labels) and not re.search(r"[/\\]|\.\w+$", annotation):  # noqa: PTH110
        labels = annotation
    return Sample(name, path, _safe(name), where, species or None, labels, fields)


def _beside(folder: str, path: str) -> str:
    return os.path.join(folder, expanded(path))  # noqa: PTH118


def _safe(name: str) -> str:
    """Make a name the beginning of a name of a file: no separator, no blank, not hidden."""
    text = _UNSAFE.sub("_", unicodedata.normalize("NFC", name)).lstrip(".-")
    return text.encode()[:_LONGEST].decode(errors="ignore") or "sample"


def _check(samples: Sequence[Sample]) -> None:
    """Refuse standard input, and samples whose files would have the same names."""
    seen: dict[str, Sample] = {}
    for sample in samples:
        if sample.path == "-":
            raise UsageError(
                f"{sample.where}: standard input is read alone. Of several samples, give the files."
            )
        # Some file systems do not tell upper from lower case.
        first = seen.setdefault(sample.file_name.casefold(), sample)
        if first is not sample:
            raise UsageError(
                f"{first.where} and {sample.where}: the results of both would be called "
                f"{sample.file_name}_{results_name('txt')}. Give each sample its own name in the "
                "column 'sample' of a sheet (--sheet), or rename a file."
            )


def options_report(
    options: RunOptions,
    *,
    annotation_path: str,
    batch_key: str | None,
    extra_columns: bool,
    explain: bool,
    condition: str | None,
    plot_format: str | None,
    embedding: str | None,
) -> OptionsReport:
    """Say what decides the files of a run, besides its parameters, model and input.

    Parameters
    ----------
    options
        What decides the scores.
    annotation_path, batch_key, extra_columns, condition, embedding
        As for `score_to_directory`.
    explain
        Whether it is written which genes made the scores.
    plot_format
        Of the plots; None without plots.

    Returns
    -------
    OptionsReport
        As `run.json` has it.
    """
    return {
        "layer": options.layer,
        "use_raw": options.use_raw,
        "orientation": options.orientation,
        "duplicate_genes": options.duplicate_genes,
        "gene_column": options.gene_column,
        "orthologs": _file_or_name(options.orthologs),
        "annotation": _file_or_name(annotation_path or None),
        "batch_key": batch_key,
        "strict": options.strict,
        "extra_columns": extra_columns,
        "explain": explain,
        "condition": condition,
        "plot_format": plot_format,
        "embedding": _file_or_name(embedding),
    }


def _file_or_name(text: str | os.PathLike[str] | None) -> str | None:
    """Give the SHA-256 of a file, or what else an option says."""
    if text is None:
        return None
    try:
        return hashlib.sha256(read_whole(expanded(text))).hexdigest()
    except (OSError, ValueError):  # where it should be a file, the run says so
        return os.fspath(text)


def done_before(
    path: str,
    folder: Path,
    options: RunOptions,
    record: OptionsReport,
    *,
    model_sha256: str,
    file_format: str,
    prefix: str = "",
    plots: bool | None = None,
) -> Done | None:
    """Look for results of the same input, model, options and version.

    Parameters
    ----------
    path
        The input.
    folder, prefix, file_format
        Where they would be, and what they would be called.
    options, record
        The options, and what `options_report` gives for them.
    model_sha256
        Digest of the model.
    plots
        Whether there are labels for the plots that have to be there; None where none have to be.

    Returns
    -------
    Done or None
        None where the results are not there, or not the same in one of these, or where it cannot
        be told.
    """
    try:
        info = read_record(folder, prefix)
        name = results_name(file_format, prefix)
        content = read_whole(folder / name)
        parameters = info["parameters"]
        species = OTHER_SPECIES if options.orthologs else options.species.lower()
        is_same = (
            info["cytotrace2_lite"] == __version__
            and info["model"]["sha256"] == model_sha256
            and info["options"] == record
            and parameters["species"] == species
            and all(
                parameters[key] == getattr(options, key)
                for key in ("batch_size", "smooth_batch_size", "seed")
            )
            and info["results"] == name
            and info["results_sha256"] == hashlib.sha256(content).hexdigest()
            and all((folder / (prefix + one)).is_file() for one in (COMPOSITION_NAME, SUMMARY_NAME))
            and (plots is None or _plots_are_there(folder, prefix, record, plots))
            and _is_same_input(path, info["input"])
        )
        return Done(figures(info, scores_of_file(folder / name)), name) if is_same else None
    except (OSError, ValueError, KeyError, TypeError, CytoTRACE2Error):
        return None


def _plots_are_there(folder: Path, prefix: str, record: OptionsReport, with_labels: bool) -> bool:
    with_samples = record["batch_key"] is not None
    return all(
        (folder / f"{prefix}{spec.file_name}.{record['plot_format']}").is_file()
        for spec in PLOTS
        if spec.can_be_drawn(with_labels=with_labels, with_samples=with_samples)
    )


def _is_same_input(path: str, recorded: Mapping[str, Any]) -> bool:
    """Tell whether an input and the files beside it have the digests of an earlier run."""
    path = expanded(path)
    with open_input(path) as source:
        if recorded["sha256"] is None or source.digest() != recorded["sha256"]:
            return False
    folder = path if os.path.isdir(path) else os.path.dirname(path)  # noqa: PTH112, PTH120
    return all(
        hashlib.sha256(
            read_whole(os.path.join(folder, os.path.basename(file["path"])))  # noqa: PTH118, PTH119
        ).hexdigest()
        == file["sha256"]
        for file in recorded["companions"]
    )
