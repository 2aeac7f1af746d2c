"""The report of a directory of results, at the end of a run or later."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.errors import InputError
from cytotrace2_lite.metadata.annotation import read_annotation
from cytotrace2_lite.metadata.coordinates import match_cells, read_embedding
from cytotrace2_lite.output.earlier import read_directory
from cytotrace2_lite.plots import UMAP_NAME
from cytotrace2_lite.read import open_input
from cytotrace2_lite.report.contents import Contents, groups_of
from cytotrace2_lite.report.genes import expression_of
from cytotrace2_lite.system.files import read_whole
from cytotrace2_lite.system.small_tables import read_small_table
from cytotrace2_lite.text import first_few

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cytotrace2_lite.metadata.coordinates import Embedding

__all__ = ["Added", "contents_of_directory", "gene_table_in", "some_without_place"]

#: Name of the table of genes that `explain` writes.
GENES_FILE = "cytotrace2_genes.tsv"
#: Name of its record.
EXPLAIN_FILE = "explain.json"
# Formats whose matrices a run.json calls as `--layer` does, and those with an X beside layers.
_NAMED_AS_THE_OPTION = ("rds", "RData", "h5seurat", "10x h5")
_WITH_X = ("h5ad", "h5mu", "zarr")
_COLUMNS = (
    "CytoTRACE2_Score",
    "CytoTRACE2_Relative",
    "CytoTRACE2_Raw_Score",
    "preKNN_CytoTRACE2_Score",
)


@dataclass(frozen=True, kw_only=True)
class Added:
    """What is shown besides what the directory holds.

    Attributes
    ----------
    annotation_path
        Table of cell ids and labels; "" for none.
    batch_key
        Its column with the samples.
    embedding
        Table of coordinates; by default that of the UMAP in the directory.
    input_path
        The expression that was scored.
    genes
        Genes of it to be shown.
    prefix
        What the names of the files in the directory begin with.
    """

    annotation_path: str | os.PathLike[str] = ""
    batch_key: str | None = None
    embedding: str | os.PathLike[str] | None = None
    input_path: str | os.PathLike[str] | None = None
    genes: Sequence[str] = ()
    prefix: str = ""


def contents_of_directory(directory: str | os.PathLike[str], added: Added) -> Contents:
    """Read what the report of a directory of results shows.

    Parameters
    ----------
    directory
        With a results file and, where they are there, `run.json`, `cytotrace2_umap.tsv` and
        `cytotrace2_genes.tsv`.
    added
        What else is shown.

    Returns
    -------
    Contents
        Of all cells of the results.

    Raises
    ------
    InputError
        A file cannot be read, or is about other cells.
    UsageError
        There is no such column or gene, or there are too many genes.
    """
    folder = Path(directory)
    table, info = read_directory(folder, added.prefix)
    cells = table.cells
    groups = []
    if added.annotation_path:
        annotation = read_annotation(added.annotation_path).matched(cells)
        labels = annotation.labels
        if not any(cell in labels for cell in cells):
            raise InputError(
                f"{annotation.path}: none of the {len(cells):,} cells of the results has a label: "
                f"the results have {first_few(cells)}, the annotation {first_few(list(labels))}. "
                "Write the ids alike."
            )
        groups.append(groups_of("Label", labels, cells))
        if added.batch_key is not None:
            column = annotation.column(added.batch_key, cells)
            groups.append(groups_of("Sample", column, cells))
    embedding, why = _place(folder / (added.prefix + UMAP_NAME), added.embedding, cells)
    gene_table, why_no_genes = gene_table_in(folder, info, added.prefix)
    contents = Contents(
        cells=cells,
        numbers={name: table.columns[name] for name in _COLUMNS if name in table.columns},
        potency_index=table.columns["CytoTRACE2_Potency"],
        groups=groups,
        embedding=embedding,
        why_no_map=why,
        info=info,
        gene_table=gene_table,
        why_no_genes=why_no_genes,
    )
    if added.genes and added.input_path is not None:
        options = _options(info)
        with open_input(added.input_path, layer=options.layer) as source:
            genes = expression_of(source, added.genes, cells, options)
        contents = replace(contents, genes=genes)
    return contents


def _options(info: Any) -> RunOptions:
    """Read the input again as the record of the run says that it was read."""
    source, parameters = info.get("input", {}), info.get("parameters", {})
    matrix = source.get("matrix") or ""
    orientation = str(source.get("orientation", "auto")).replace(" ", "-")
    return RunOptions(
        layer=_layer(matrix, source.get("format")),
        use_raw=matrix.partition(" ")[0] == "raw.X",
        orientation=orientation if source.get("format") in {"tsv", "csv"} else "auto",
        duplicate_genes=source.get("duplicate_genes", "error"),
        species=parameters.get("species", "mouse"),
        orthologs=info.get("orthologs", {}).get("path"),
    )


def _layer(matrix: str, kind: str | None) -> str | None:
    """Name a matrix of a run.json as `--layer` names it; None where there is no choice."""
    if kind in _NAMED_AS_THE_OPTION:
        return matrix or None
    if "layers['" in matrix:
        return matrix.partition("layers['")[2].partition("']")[0]
    return "X" if kind in _WITH_X and matrix.partition(" ")[0] == "X" else None


def _place(
    umap: Path, given: str | os.PathLike[str] | None, cells: list[str]
) -> tuple[Embedding | None, str]:
    """Find the coordinates; without any, or where some cells have none, say why."""
    path = umap if given is None else given
    if given is None and not os.path.exists(path):  # noqa: PTH110
        return None, (
            f"No map: there is no {umap.name} with the results, which a run with plots or with "
            "--report writes. Run it again without -dpl, or give coordinates: a table of cell ids "
            "and two numbers, with --embedding FILE."
        )
    embedding, findings = match_cells(*read_embedding(path), cells=cells, path=path)
    missing = int(np.isnan(embedding.coordinates[:, 0]).sum())
    del findings  # said on the map itself
    return embedding, some_without_place(missing, len(cells))


def some_without_place(missing: int, n_cells: int) -> str:
    """Say how many cells are not on the map; "" for none."""
    if not missing:
        return ""
    return f"{missing:,} of {n_cells:,} cells have no coordinates and are not on the map."


def gene_table_in(
    folder: Path, info: Mapping[str, Any], prefix: str = ""
) -> tuple[list[list[str]], str]:
    """Read the table of genes that `explain` has written.

    Parameters
    ----------
    folder
        The directory of the results.
    info
        The record of the run; empty where there is none.
    prefix
        What the name of its file begins with.

    Returns
    -------
    rows : list of list of str
        The first is its header; empty where there is no such table.
    why_not : str
        A sentence, where there is a table that is not about these scores.

    Raises
    ------
    InputError
        It cannot be read, or is another table.
    """
    path = folder / (prefix + GENES_FILE)
    if not os.path.exists(path):  # noqa: PTH110
        return [], ""
    rows = read_small_table(path, "table of genes").rows
    header = rows[0] if rows else []
    if not {"group", "gene", "mean_share"} <= set(header) or header[0] != "group":
        raise InputError(f"{path}: this is not the table of genes of ct2-lite. Explain again.")
    at = header.index("mean_share")
    try:
        is_whole = all(len(row) == len(header) and float(row[at] or 0) < 2 for row in rows[1:])
    except ValueError:
        is_whole = False
    if not is_whole:
        raise InputError(
            f"{path}: a line has fields that are missing or no numbers. Explain again."
        )
    explained = _model_explained(folder / (prefix + EXPLAIN_FILE))
    scored = info.get("model", {}).get("sha256")
    if explained and scored and explained != scored:
        return [], f"The {path.name} there explains the scores of another model. Explain again."
    return rows, ""


def _model_explained(path: Path) -> str:
    """Find the digest of the model that was explained; "" where that is not recorded."""
    try:
        record = json.loads(read_whole(path))
        return str(record["model"]["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
