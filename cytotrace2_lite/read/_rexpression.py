"""Where R objects keep expression, labels and coordinates: Seurat, SingleCellExperiment, others.

Source: the slots of the classes in SeuratObject 4.1 and 5, SingleCellExperiment 1.20 and
SummarizedExperiment 1.28.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.read._robjects import (
    RMatrix,
    classes,
    columns_of,
    elements,
    is_frame,
    is_matrix,
    matrix_of,
    n_elements,
    row_names,
    slot,
    texts,
)
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.read._rvectors import RObject

__all__ = ["Part", "RExpression", "Table", "choose", "expressions", "listed"]

_COUNTS = "counts"
_RNA = "RNA"
_MOST = 20
_LAYERS = (_COUNTS, "data", "scale.data")


class Part(NamedTuple):
    """A matrix, genes x cells.

    Attributes
    ----------
    matrix
        Its values.
    genes, cells
        Position of its rows and columns among the genes and cells of all; intp.
    """

    matrix: RMatrix
    genes: NDArray[np.intp]
    cells: NDArray[np.intp]


class Table(NamedTuple):
    """Expression in an object.

    Attributes
    ----------
    genes, cells
        Names; None where the object has none.
    parts
        The values.
    columns
        Columns of the table of the genes, which may name them, too.
    frame_name
        What that table is called.
    """

    genes: list[str] | None
    cells: list[str] | None
    parts: list[Part]
    columns: dict[str, RObject]
    frame_name: str = "the object"


@dataclass
class RExpression:
    """An object with expression.

    Attributes
    ----------
    name
        In a workspace or a list; "" of the only one.
    what
        Its kind, for messages.
    tables
        Reads one of its matrices, by the name that `--layer` takes.
    default
        Which of them is read if none is chosen; None if that is not clear.
    why
        What to say then.
    frame_name
        What the table of the cells is called.
    frame
        Its columns.
    cells
        Names of its rows.
    reductions
        Coordinates: names of the rows, and a matrix.
    rows_are_genes
        Whether that is known.
    """

    name: str
    what: str
    tables: dict[str, Callable[[str], Table]]
    default: str | None
    why: str = ""
    frame_name: str = ""
    frame: dict[str, RObject] = field(default_factory=dict)
    cells: list[str] | None = None
    reductions: dict[str, RObject] = field(default_factory=dict)
    rows_are_genes: bool = True


def expressions(root: RObject, *, is_workspace: bool) -> list[RExpression]:
    """Find the objects with expression in what a file holds.

    Parameters
    ----------
    root
        The object of the file.
    is_workspace
        Whether it is a list of the objects of a workspace.
    """
    if is_workspace:
        found = [_expression(name, item) for name, item in root.attributes.items()]
    else:
        one = _expression("", root)
        if one is not None or root.kind != "list" or classes(root):
            return [] if one is None else [one]
        found = [_expression(name, item) for name, item in elements(root).items()]
    return [one for one in found if one is not None]


def choose(
    where: str, found: list[RExpression], layer: str | None
) -> tuple[RExpression, str, tuple[str, ...]]:
    """Choose an object, and one of its matrices.

    Parameters
    ----------
    where
        The file, for messages.
    found
        At least one.
    layer
        NAME/ASSAY/LAYER, whose parts may be left out where they are clear.

    Returns
    -------
    tuple
        The object, the name of its matrix, and those of its others.

    Raises
    ------
    UsageError
        None is chosen, or there is no such object or matrix.
    """
    first, _, rest = (layer or "").partition("/")
    if len(found) == 1:
        chosen = found[0]
        wanted = rest if first and first == chosen.name else layer or ""
    else:
        chosen = next((one for one in found if one.name == first), found[0])
        if chosen.name != first:
            there = listed([(one.name, one.what) for one in found])
            raise UsageError(
                f"{where}: several objects have expression: {there}. Choose one with --layer NAME "
                f'(layer="NAME" in Python); --layer NAME/ASSAY/LAYER also chooses its matrix.'
            )
        wanted = rest
    tables = list(chosen.tables)
    if wanted:
        assay = (chosen.default or tables[0] if tables else "").rpartition("/")[0]
        ways = (wanted, f"{assay}/{wanted}", f"{wanted}/{_COUNTS}")
        name = next((way for way in ways if way in chosen.tables), None)
        if name is None:
            there = (
                f"There is {first_few(tables, most=20)}."
                if tables != [""]
                else (f"This {chosen.what} has no layers: leave the option out.")
            )
            raise UsageError(f"{where}: there is no layer {shown(wanted)}. {there}")
    else:
        name = chosen.default
        if name is None:
            there = first_few(tables, most=20) or "no other matrix"
            raise UsageError(
                f"{where}: {chosen.why}. There is {there}; --layer NAME (layer= in Python) reads "
                "one all the same."
            )
    return chosen, name, tuple(other for other in tables if other != name)


def listed(objects: Sequence[tuple[str, str]]) -> str:
    """List objects with what they are, for messages; the first twenty."""
    parts = [f"{shown(name)} ({what})" for name, what in objects[:_MOST]]
    return ", ".join([*parts, *["..."] * (len(objects) > _MOST)])


def _expression(name: str, found: RObject) -> RExpression | None:
    slots = found.attributes.keys()
    if found.kind == "S4" and {"assays", "meta.data"} <= slots:
        return _seurat(name, found)
    if found.kind == "S4" and {"assays", "colData"} <= slots:
        return _experiment(name, found)
    if is_frame(found) or is_matrix(found):
        what = shown(classes(found)[0]) if classes(found) else "matrix"
        table = partial(_plain, found)
        return RExpression(name, what, {"": table}, "", rows_are_genes=False)
    return None


def _plain(found: RObject, where: str) -> Table:
    matrix = matrix_of(where, found)
    return Table(matrix.rows, matrix.columns, [_whole(matrix)], {})


def _whole(matrix: RMatrix) -> Part:
    rows, columns = matrix.shape
    return Part(matrix, np.arange(rows), np.arange(columns))


# Seurat.


def _seurat(name: str, found: RObject) -> RExpression:
    assays = elements(slot(found, "assays"))
    tables: dict[str, Callable[[str], Table]] = {}
    empty = set()
    for assay, content in assays.items():
        for layer, item in _layers(content).items():
            if item is not None and _is_empty(item):
                empty.add(f"{assay}/{layer}")
                continue
            tables[f"{assay}/{layer}"] = partial(_assay_table, content, layer)
    active = next((text for text in texts(slot(found, "active.assay")) if text), "")
    assay = _RNA if _RNA in assays else active
    default = f"{assay}/{_COUNTS}"
    frame = slot(found, "meta.data")
    columns = columns_of(frame)
    ident = slot(found, "active.ident")
    if ident.kind == "integer":
        columns.setdefault("ident", ident)
    reductions = {
        reduction: slot(item, "cell.embeddings")
        for reduction, item in elements(slot(found, "reductions")).items()
    }
    return RExpression(
        name,
        "Seurat",
        # The one that is read first is the first.
        {way: tables[way] for way in sorted(tables, key=lambda way: way != default)},
        default if default in tables else None,
        f"the assay {shown(assay)} of this Seurat object has no counts",
        "meta.data",
        columns,
        row_names(frame),
        reductions,
    )


def _layers(assay: RObject) -> dict[str, RObject | None]:
    """Give the matrices of an assay of Seurat; None for one that is in several parts."""
    if "layers" in assay.attributes:  # of version 5
        layers: dict[str, RObject | None] = dict(elements(slot(assay, "layers")))
        joined = [
            layer
            for layer in _LAYERS
            if layer not in layers and any(name.startswith(f"{layer}.") for name in layers)
        ]
        return dict.fromkeys(joined) | layers
    return {layer: slot(assay, layer) for layer in _LAYERS if layer in assay.attributes}


def _is_empty(matrix: RObject) -> bool:
    shape = slot(matrix, "Dim" if matrix.kind == "S4" else "dim")
    return shape.kind in {"integer", "double"} and 0 in shape.value


def _assay_table(assay: RObject, layer: str, where: str) -> Table:
    frame_name = "meta.data" if "layers" in assay.attributes else "meta.features"
    frame = slot(assay, frame_name)
    frame_name = f"{frame_name} of the assay"
    columns = columns_of(frame)
    if "layers" not in assay.attributes:
        matrix = matrix_of(where, slot(assay, layer))
        columns = columns if row_names(frame) == matrix.rows else {}
        return Table(matrix.rows, matrix.columns, [_whole(matrix)], columns, frame_name)
    if "Assay5T" in classes(assay):
        raise InputError(
            f"{where}: this assay is an Assay5T, whose layers are cells x genes, which is not "
            "read. In R, save the matrix of the counts alone, genes x cells, with saveRDS."
        )
    layers = elements(slot(assay, "layers"))
    genes, has_gene = _log_map(where, slot(assay, "features"))
    cells, has_cell = _log_map(where, slot(assay, "cells"))
    parts = []
    for name in [layer] if layer in layers else [n for n in layers if n.startswith(f"{layer}.")]:
        matrix = matrix_of(where, layers[name])
        if name not in has_gene or name not in has_cell:
            raise _damaged(where)
        part = Part(matrix, has_gene[name], has_cell[name])
        if (len(part.genes), len(part.cells)) != matrix.shape:
            raise _damaged(where)
        parts.append(part)
    # Cells of other layers have no values here.
    kept = np.zeros(len(cells), np.bool_)
    for part in parts:
        if kept[part.cells].any():
            raise InputError(
                f"{where}: cells are in several of the layers that would be joined. Choose one "
                "with --layer."
            )
        kept[part.cells] = True
    place = np.cumsum(kept) - 1
    there = [cell for cell, is_there in zip(cells, kept.tolist(), strict=True) if is_there]
    parts = [part._replace(cells=place[part.cells]) for part in parts]
    columns = columns if _fits(frame, genes) else {}
    return Table(genes, there, parts, columns, frame_name)


def _fits(frame: RObject, genes: list[str]) -> bool:
    return all(n_elements(column) == len(genes) for column in columns_of(frame).values())


def _log_map(where: str, found: RObject) -> tuple[list[str], dict[str, NDArray[np.intp]]]:
    """Read which names are in which layers: a logical matrix with both as its names."""
    dim, dimnames = slot(found, "dim"), slot(found, "dimnames")
    if found.kind != "logical" or dimnames.kind != "list" or len(dimnames.value) != 2:
        raise _damaged(where)
    rows, layers = (texts(axis) for axis in dimnames.value)
    if dim.kind != "integer" or dim.value.tolist() != [len(rows), len(layers)]:
        raise _damaged(where)
    if len(found.value) != len(rows) * len(layers):
        raise _damaged(where)
    columns = found.value.reshape(len(layers), len(rows)) == 1
    in_layer = {
        layer or "": np.flatnonzero(column) for layer, column in zip(layers, columns, strict=True)
    }
    return [row or "" for row in rows], in_layer


# Bioconductor.


def _experiment(name: str, found: RObject) -> RExpression:
    assays = elements(slot(found, "assays", "data"))
    frame = slot(found, "colData")
    tables: dict[str, Callable[[str], Table]] = {
        assay: partial(_experiment_table, found, item) for assay, item in assays.items()
    }
    default = _COUNTS if _COUNTS in tables else next(iter(tables), None)
    reductions = elements(slot(found, "int_colData"))
    inner = reductions.get("reducedDims")
    return RExpression(
        name,
        "SingleCellExperiment" if "int_colData" in found.attributes else "SummarizedExperiment",
        tables,
        default if len(tables) == 1 or default == _COUNTS else None,
        "this experiment has no assay counts"
        if tables
        else (
            "the assays of this experiment are kept as Bioconductor did before 2019: in R, "
            "updateObject(x) writes them anew"
        ),
        "colData",
        columns_of(frame),
        row_names(frame),
        {} if inner is None else elements(inner),
    )


def _experiment_table(found: RObject, assay: RObject, where: str) -> Table:
    matrix = matrix_of(where, assay)
    ranges = slot(found, "rowRanges")
    frame = slot(found, "elementMetadata")
    if ranges.kind != "NULL":
        frame = slot(ranges, "elementMetadata")
    named = (
        slot(found, "NAMES"),
        slot(ranges, "partitioning", "NAMES"),
        slot(ranges, "ranges", "NAMES"),
    )
    given = next((texts(one) for one in named if texts(one)), None)
    genes = matrix.rows if given is None else [gene or "" for gene in given]
    columns = columns_of(frame)
    cells = row_names(slot(found, "colData")) or matrix.columns
    if genes is not None and len(genes) != matrix.shape[0]:
        raise _damaged(where)
    if any(n_elements(column) != matrix.shape[0] for column in columns.values()):
        columns = {}
    return Table(genes, cells, [_whole(matrix)], columns, "rowData")


def _damaged(where: str) -> InputError:
    return InputError(f"{where}: the R data are damaged. Copy or save the file again.")
