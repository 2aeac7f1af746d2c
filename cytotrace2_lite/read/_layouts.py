"""The layouts of HDF5 files and Zarr stores: how each is recognised, and what reads it.

The first row of `LAYOUTS` that fits counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cytotrace2_lite.read import h5ad, h5seurat, loom, tenx_h5

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.read._hdf5_matrix import NamedMatrix
    from cytotrace2_lite.read._options import ReadOptions

    OpenLayout = Callable[[str, Any, ReadOptions], NamedMatrix]

__all__ = ["LAYOUTS", "ZARR_LAYOUTS", "CellData", "Layout", "layout_of"]


class Layout(NamedTuple):
    """A layout of HDF5 files.

    Attributes
    ----------
    what
        How messages name such a file.
    fits
        Takes the path, for messages, and the content; tells whether a file has this layout.
    opener
        Finds the matrix and the names; None if the layout is not read.
    remedy
        What to do with such a file, if the layout is not read. "{path}" stands for its path.
    labels, coordinates
        Read labels of the cells, and an array with a row per cell, by their names; None if the
        layout has none. They take the path, for messages, and the content, too.
    swapped
        The orientation under which what these read is not about the cells, but about the genes.
    """

    what: str
    fits: Callable[[str, Any], bool]
    opener: OpenLayout | None = None
    remedy: str = ""
    labels: Callable[[str, Any, str], list[str]] | None = None
    coordinates: Callable[[str, Any, str], NDArray[Any]] | None = None
    swapped: str = "genes-x-cells"


class CellData(NamedTuple):
    """What a file says about its cells besides expression, while it is open.

    Attributes
    ----------
    labels
        Reads a column of labels: one per cell, "" where it is missing.
    coordinates
        Reads an array with a row per cell.
    swapped
        The orientation under which these are not about the cells, but about the genes.
    """

    labels: Callable[[str], list[str]]
    coordinates: Callable[[str], NDArray[Any]]
    swapped: str


def layout_of(path: str, content: Any, layouts: Sequence[Layout]) -> Layout | None:
    """Find the layout of a file; None if it has none of these.

    Parameters
    ----------
    path
        The file, for messages.
    content
        Its content.
    layouts
        Those that it may have.
    """
    return next((row for row in layouts if row.fits(path, content)), None)


def _has(*names: str) -> Callable[[str, Any], bool]:
    """Recognise a layout by groups at the top of the file."""
    return lambda _, content: set(names) <= set(content)


# Cell Ranger 3 and newer, and 2.
_OF_MOLECULES = ({"barcode_idx", "feature_idx", "count"}, {"barcode", "umi", "gene", "reads"})

# MuData has obs and var, too, so it comes before AnnData.
LAYOUTS = (
    Layout(
        "a MuData file",
        _has("mod"),
        h5ad.open_mudata,
        labels=lambda path, content, name: h5ad.obs_column(path, h5ad.rna(path, content), name),
        coordinates=lambda path, content, name: h5ad.obsm(path, h5ad.rna(path, content), name),
    ),
    Layout(
        "a .h5ad file",
        lambda _, content: h5ad.is_h5ad(content),
        h5ad.open_h5ad,
        labels=h5ad.obs_column,
        coordinates=h5ad.obsm,
    ),
    Layout(
        "a 10x .h5 file",
        lambda path, content: bool(tenx_h5.genomes(path, content)),
        tenx_h5.open_10x,
    ),
    Layout(
        "molecule_info.h5 of Cell Ranger, a list of molecules",
        lambda _, content: any(names <= set(content) for names in _OF_MOLECULES),
        remedy="Give filtered_feature_bc_matrix.h5 instead, which Cell Ranger writes beside it.",
    ),
    Layout(
        "a Loom file",
        lambda _, content: loom.is_loom(content),
        loom.open_loom,
        labels=loom.col_attr,
        coordinates=loom.coordinates,
        swapped="cells-x-genes",
    ),
    Layout(
        "a SeuratDisk file (.h5Seurat)",
        _has("assays", "cell.names"),
        h5seurat.open_h5seurat,
        labels=h5seurat.meta_data,
        coordinates=h5seurat.embedding,
        swapped="cells-x-genes",
    ),
)
ZARR_LAYOUTS = tuple(row for row in LAYOUTS if row.opener in {h5ad.open_mudata, h5ad.open_h5ad})
