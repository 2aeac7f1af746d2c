"""Read labelled single-cell datasets, for training and for evaluation, and marker genes.

A folder per dataset holds `expr.npz` (scipy CSR, cells x genes, not log), `genes.txt` (a name per
column), `cells.tsv` (tab-separated, with columns `label` and `potency`) and `info.txt` (lines
`species` and `units`).
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from cytotrace2_lite.base.parameters import SPECIES
from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import InputError
from cytotrace2_lite.genes import features, map_genes
from cytotrace2_lite.stages import preprocess

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MIN_GENES = 200  # cells with fewer expressed features are not used


@dataclass(frozen=True, eq=False)
class PublishedCells:
    """All cells of one dataset, over its own genes.

    Attributes
    ----------
    name, species
        Folder name; "mouse" or "human".
    values
        Counts or normalised values; CSC float64, shape (n_cells, n_genes).
    genes
        Names of the genes, each once: of repeated names the first is kept.
    potency
        Index into `POTENCIES`, -1 for a cell without a potency; int64, shape (n_cells,).
    columns
        `cells.tsv` by column: its name to a text for each cell.
    """

    name: str
    species: str
    values: sp.csc_array
    genes: list[str]
    potency: NDArray[np.int64]
    columns: dict[str, list[str]]


@dataclass(frozen=True, eq=False)
class Dataset:
    """The labelled cells of one dataset over the model's features.

    Attributes
    ----------
    name, species
        Folder name; "mouse" or "human".
    values
        Counts or normalised values; CSR float32, shape (n_cells, n_features), no stored zero.
    potency
        Index into `POTENCIES`; int64, shape (n_cells,).
    label
        Index of the published label; int64, shape (n_cells,).
    measured
        Whether a gene of the dataset reaches the feature; bool, shape (n_features,).
    """

    name: str
    species: str
    values: sp.csr_matrix
    potency: NDArray[np.int64]
    label: NDArray[np.int64]
    measured: NDArray[np.bool_]


def read_cells(folder: Path) -> PublishedCells:
    """Read all cells of one dataset folder.

    Parameters
    ----------
    folder
        Laid out as the module says.

    Returns
    -------
    PublishedCells
        Values whose magnitudes look squared are their square roots; ranks stay as they are.

    Raises
    ------
    InputError
        A file is missing, not usable or does not fit the others; the message names it.
    """
    for name in ("expr.npz", "genes.txt", "cells.tsv", "info.txt"):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: {name} is missing; see --help for the layout.")
    info = dict(line.split("\t", 1) for line in _lines(folder / "info.txt") if "\t" in line)
    species = info.get("species")
    if species not in SPECIES:
        raise InputError(f"{folder / 'info.txt'}: species is {species!r}, not mouse or human.")
    genes = _lines(folder / "genes.txt")
    columns = _read_columns(folder / "cells.tsv")
    unknown = set(columns["potency"]) - {*POTENCIES, ""}
    if unknown:
        raise InputError(
            f"{folder / 'cells.tsv'}: potency {min(unknown)!r} is none of {', '.join(POTENCIES)}."
        )
    try:
        values = sp.load_npz(folder / "expr.npz").tocsr().astype(np.float64)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{folder / 'expr.npz'}: not a SciPy sparse matrix ({error}).") from error
    n_cells = len(columns["potency"])
    if values.shape != (n_cells, len(genes)):
        raise InputError(
            f"{folder / 'expr.npz'}: shape {values.shape}, but cells.tsv has {n_cells} cells "
            f"and genes.txt {len(genes)} genes."
        )
    if not np.isfinite(values.data).all() or (values.data < 0).any():
        raise InputError(f"{folder / 'expr.npz'}: holds negative or non-finite values.")
    if "within-cell ranks only" in info.get("units", ""):
        values.data = np.sqrt(values.data)
    column = np.sort(np.unique(genes, return_index=True)[1])
    potency = [POTENCIES.index(p) if p else -1 for p in columns["potency"]]
    return PublishedCells(
        name=folder.name,
        species=species,
        values=sp.csc_array(values)[:, column],
        genes=[genes[i] for i in column],
        potency=np.array(potency, np.int64),
        columns=columns,
    )


def read_dataset(folder: Path, n_features: int, without: Sequence[str] = ()) -> Dataset | None:
    """Read the labelled cells of one dataset folder; None where no cell has a potency.

    Parameters
    ----------
    folder
        Laid out as the module says.
    n_features
        Number of features of the model.
    without
        Labels of cells that are not wanted.

    Returns
    -------
    Dataset or None
        The cells that have a potency and at least `MIN_GENES` expressed features.

    Raises
    ------
    InputError
        As for `read_cells`, or no cell has a label of `without`.
    """
    published = read_cells(folder)
    labels = np.array(published.columns["label"])
    for label in without:
        if label not in labels:
            raise InputError(f"{folder / 'cells.tsv'}: no cell has the label {label!r}.")
    feature = map_genes(published.genes, published.species).feature
    counts = preprocess.counts_over_features(published.values, feature, n_features)
    values = sp.csr_matrix(counts).astype(np.float32)
    values.eliminate_zeros()
    wanted = (published.potency >= 0) & ~np.isin(labels, without)
    kept = np.flatnonzero(wanted & (np.diff(values.indptr) >= MIN_GENES))
    if not len(kept):
        return None
    measured = np.zeros(n_features, bool)
    measured[feature[feature >= 0]] = True
    return Dataset(
        name=published.name,
        species=published.species,
        values=values[kept],
        potency=published.potency[kept],
        label=np.unique(labels[kept], return_inverse=True)[1],
        measured=measured,
    )


@dataclass(frozen=True, eq=False)
class MarkerSet:
    """Genes that mark a potency, or a programme that rises ("+") or falls ("-") with it.

    Attributes
    ----------
    name
        As in its table.
    potency
        One of `POTENCIES`, "+" or "-".
    genes
        Feature indices, each once; int64, shape (n_genes,).
    """

    name: str
    potency: str
    genes: NDArray[np.int64]


def read_markers(path: Path) -> list[MarkerSet]:
    """Read a tab-separated table with the columns name, potency and genes (spaces between).

    A column organ may stand before the genes, as in the collection of the package.

    Raises
    ------
    InputError
        A column is missing, a potency or gene is unknown; the message names the line.
    """
    position = {gene: i for i, gene in enumerate(features())}
    header, *rows = [line.split("\t") for line in _lines(path)] or [[]]
    if header not in (["name", "potency", "genes"], ["name", "potency", "organ", "genes"]):
        raise InputError(f"{path}: the header must be name, potency, genes, not {header}.")
    sets = []
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InputError(f"{path}, line {number}: {len(row)} fields, not {len(header)}.")
        if row[1] not in (*POTENCIES, "+", "-"):
            raise InputError(
                f"{path}, line {number}: {row[1]!r} is none of {', '.join(POTENCIES)}, + and -."
            )
        unknown = [gene for gene in row[-1].split() if gene not in position]
        if unknown:
            raise InputError(
                f"{path}, line {number}: {unknown[0]!r} is no gene of the model (mouse symbols)."
            )
        sets.append(
            MarkerSet(row[0], row[1], np.unique([position[gene] for gene in row[-1].split()]))
        )
    return sets


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text.") from error


def _read_columns(path: Path) -> dict[str, list[str]]:
    header, *rows = [line.split("\t") for line in _lines(path)] or [[]]
    if not {"label", "potency"} <= set(header):
        raise InputError(f"{path}: needs columns label and potency, has {header}.")
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise InputError(
                f"{path}: line {number} has {len(row)} fields, the header {len(header)}."
            )
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}
