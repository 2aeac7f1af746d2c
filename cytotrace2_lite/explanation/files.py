"""The files that the command line writes of an explanation."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import CytoTRACE2Error, UsageError
from cytotrace2_lite.explanation.enrichment import require_gseapy
from cytotrace2_lite.explanation.gene_sets import collection_of
from cytotrace2_lite.explanation.means import (
    ALL_CELLS,
    SCORE,
    contrast_table,
    feature_named,
    potency_position,
)
from cytotrace2_lite.explanation.plots import FILES as PICTURES
from cytotrace2_lite.explanation.plots import FORMATS
from cytotrace2_lite.explanation.shares import CELLS_PER_STEP
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from cytotrace2_lite.explanation.explanation import Explanation

__all__ = [
    "CELLS_NAME",
    "CONTRAST_NAME",
    "ENRICHMENT_NAME",
    "GENES_NAME",
    "RECORD_NAME",
    "SETS_NAME",
    "WITHOUT_NAME",
    "ExplainOptions",
    "check_options",
    "explanation_files",
    "remove_outdated",
    "require_h5py",
]

#: Names of the files.
GENES_NAME = "cytotrace2_genes.tsv"
SETS_NAME = "cytotrace2_gene_sets.tsv"
ENRICHMENT_NAME = "cytotrace2_enrichment.tsv"
CONTRAST_NAME = "cytotrace2_contrast.tsv"
WITHOUT_NAME = "cytotrace2_without.tsv"
CELLS_NAME = "cytotrace2_gene_shares.h5ad"
RECORD_NAME = "explain.json"


@dataclass(frozen=True, eq=False, kw_only=True)
class ExplainOptions:
    """What is explained, and what is written of it.

    Attributes
    ----------
    by
        Column of the annotation, or of `obs` of a `.h5ad`, whose labels are the groups; "potency"
        for `CytoTRACE2_Potency`; None for the second column of the annotation, where there is one,
        else for the potency.
    of
        "score" or the name of a potency.
    reference
        "all" or the name of a group.
    contrast
        Two groups whose difference is divided among the genes.
    top
        How many genes of each group are written, up and down; None for all.
    cells
        Whether the shares of every cell are written.
    gene_sets
        Paths of `.gmt` files; the default collection where there is none.
    enrich
        Whether the gene sets are tested, too.
    without
        Genes to be taken out of the cells.
    """

    by: str | None = None
    of: str = SCORE
    reference: str = ALL_CELLS
    contrast: tuple[str, str] | None = None
    top: int | None = 50
    cells: bool = False
    gene_sets: tuple[str, ...] = ()
    enrich: bool = False
    without: tuple[str, ...] = ()


def check_options(
    options: ExplainOptions, labels: Sequence[str] | None, genes: Sequence[str]
) -> None:
    """See that an explanation can be made and written, before anything is computed.

    Parameters
    ----------
    options
        What is to be explained.
    labels
        The label of each cell; None for the potency.
    genes
        What the input calls each feature of the model.

    Raises
    ------
    UsageError
        There is no such potency, group or gene.
    InputError
        A file is no list of gene sets.
    CytoTRACE2Error
        h5py, which `cells` needs, or gseapy, which `enrich` needs, is not installed.
    """
    potency_position(options.of)
    collection_of(options.gene_sets or None)
    if options.cells:
        require_h5py()
    if options.enrich:
        require_gseapy()
    groups = list(POTENCIES if labels is None else sorted(set(labels) - {""}))
    wanted = [] if options.reference == ALL_CELLS else [options.reference]
    for group in (*wanted, *(options.contrast or ())):
        if group not in groups:
            raise UsageError(
                f"there is no group {shown(group)}. The groups are {first_few(groups, most=30)}."
            )
    for gene in options.without:
        feature_named(gene, genes)


def explanation_files(
    explanation: Explanation, directory: str | os.PathLike[str], options: ExplainOptions
) -> dict[Path, bytes | Callable[[Path], None]]:
    """Make the files of an explanation.

    Parameters
    ----------
    explanation
        The explanation.
    directory
        Where they are to be.
    options
        What is written.

    Returns
    -------
    dict
        Path to content, or to a function that writes it: for `write_whole`.

    Raises
    ------
    CytoTRACE2Error
        h5py, which `cells` needs, is not installed.
    UsageError
        There is no such group or gene.
    """
    folder = Path(directory)
    contents: dict[Path, bytes | Callable[[Path], None]] = {
        folder / GENES_NAME: explanation.gene_table(options.top).to_bytes(),
        folder / SETS_NAME: explanation.gene_set_table(options.gene_sets or None).to_bytes(),
    }
    if options.enrich:
        table = explanation.enrichment_table(options.gene_sets or None)
        contents[folder / ENRICHMENT_NAME] = table.to_bytes()
    if options.contrast is not None:
        table = contrast_table(explanation, *options.contrast)
        contents[folder / CONTRAST_NAME] = table.to_bytes()
    if options.without:
        table = explanation.without(options.without).table()
        contents[folder / WITHOUT_NAME] = table.to_bytes()
    if options.cells:
        require_h5py()
        contents[folder / CELLS_NAME] = partial(_write_cells, explanation)
    record = json.dumps(_record(explanation, options), indent=2) + "\n"
    return {folder / RECORD_NAME: record.encode(), **contents}


def remove_outdated(
    directory: str | os.PathLike[str], written: Iterable[Path], prefix: str = ""
) -> None:
    """Remove what an earlier explanation has left, which would not fit the tables beside it.

    Parameters
    ----------
    directory
        Where the files are.
    written
        Those of this explanation, which stay.
    prefix
        What the names of the files begin with.
    """
    names = {ENRICHMENT_NAME, CONTRAST_NAME, WITHOUT_NAME, CELLS_NAME}
    names |= {f"{name}.{kind}" for name in PICTURES.values() for kind in FORMATS}
    for name in {prefix + name for name in names} - {path.name for path in written}:
        with contextlib.suppress(OSError):
            (Path(directory) / name).unlink()


def require_h5py() -> Any:
    """Import h5py, which only the shares of every cell need.

    Returns
    -------
    module
        h5py.

    Raises
    ------
    CytoTRACE2Error
        It is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise CytoTRACE2Error(
            "The shares of every cell are written with the package h5py, which is not installed: "
            "pip install 'cytotrace2-lite[h5ad]'."
        ) from error
    return h5py


def _record(explanation: Explanation, options: ExplainOptions) -> dict[str, Any]:
    """Say what was explained, by what model, and how far the shares are from adding up."""
    info = explanation.scores.info
    values = explanation.group_values
    sums = explanation.mean_shares.sum(axis=1) + explanation.reference.value
    return {
        "cytotrace2_lite": info.get("cytotrace2_lite", ""),
        "model": {
            name: info.get("model", {}).get(name, "") for name in ("name", "architecture", "sha256")
        },
        "of": explanation.of,
        "reference": asdict(explanation.reference),
        "groups": [
            {"name": name, "n_cells": int(size), "mean": float(value)}
            for name, size, value in zip(
                explanation.groups, explanation.group_sizes, values, strict=True
            )
        ],
        "sums_off_by": float(np.abs(sums - values).max()),
        "options": asdict(options),
    }


def _write_cells(explanation: Explanation, path: Path) -> None:
    """Write the shares of every cell as a `.h5ad`, some cells at a time.

    Source: on-disk format of anndata, https://anndata.readthedocs.io/en/latest/fileformat-prose.html
    """
    h5py = require_h5py()
    text = h5py.string_dtype()
    genes = explanation.in_input
    n_cells = len(explanation.cells)
    # `write_whole` holds a lock on it.
    with h5py.File(path, "w", locking=False) as file:
        _encode(file, "anndata", "0.1.0")
        shares = file.create_dataset(
            "X",
            (n_cells, len(genes)),
            np.float32,
            chunks=(min(CELLS_PER_STEP, n_cells), min(len(genes), 1024)),
        )
        _encode(shares, "array", "0.2.0")
        for first in range(0, n_cells, CELLS_PER_STEP):
            some = slice(first, min(first + CELLS_PER_STEP, n_cells))
            shares[some] = explanation.shares(some)[:, genes]
        labels = np.array([*explanation.groups, ""], dtype=object)[explanation.group_index]
        frames: dict[str, dict[str, Any]] = {
            "obs": {
                "_index": np.array(explanation.cells, dtype=object),
                "group": labels,
                explanation.of if explanation.of != SCORE else "raw_score": explanation.value,
            },
            "var": {
                "_index": np.array(explanation.genes, dtype=object)[genes],
                "mouse_symbol": np.array(explanation.features, dtype=object)[genes],
            },
        }
        for name, columns in frames.items():
            frame = file.create_group(name)
            _encode(frame, "dataframe", "0.2.0")
            frame.attrs["_index"] = "_index"
            order = [column for column in columns if column != "_index"]
            frame.attrs.create("column-order", order, dtype=text)
            for column, values in columns.items():
                is_text = values.dtype == object
                stored = frame.create_dataset(column, data=values, dtype=text if is_text else None)
                _encode(stored, "string-array" if is_text else "array", "0.2.0")
        notes = file.create_group("uns")
        _encode(notes, "dict", "0.1.0")
        for key, value in (("of", explanation.of), ("reference", explanation.reference.name)):
            _encode(notes.create_dataset(key, data=value, dtype=text), "string", "0.2.0")
        value = notes.create_dataset("reference_value", data=explanation.reference.value)
        _encode(value, "numeric-scalar", "0.2.0")


def _encode(element: Any, kind: str, version: str) -> None:
    element.attrs["encoding-type"] = kind
    element.attrs["encoding-version"] = version
