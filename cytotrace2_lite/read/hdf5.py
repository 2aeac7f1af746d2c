"""HDF5 files, which may come from strangers: nothing outside the file is followed.

They are read with h5py, an extra.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.errors import CytoTRACE2Error, InputError
from cytotrace2_lite.read._blocks import block_of, compressed_parts, dense_parts
from cytotrace2_lite.read._other_formats import FROM_R
from cytotrace2_lite.read._stream import Source, digest
from cytotrace2_lite.system.machine import available_memory
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from cytotrace2_lite.counts.expression import Block
    from cytotrace2_lite.read._options import ReadOptions

__all__ = [
    "Hdf5Matrix",
    "SparseGroup",
    "attribute",
    "child",
    "here",
    "open_hdf5",
    "opened",
    "reading",
    "require_h5py",
    "strings",
    "whole",
]

_ANYWAY = 1 << 26  # bytes that are worth no question
_BEST_COMPRESSION = 2000  # of gzip, 1032; that of others can be better, of no real data
_LARGEST_CHUNK = 1 << 30
# HDF5 takes some 6 kB of memory for each chunk that it reads at a time; h5py's have 8 KiB or more.
_FEW_VALUES = 128
_MANY_CHUNKS = 10_000
_BYTES_OF_OBJECT = 64  # that becomes of a value in Python


def open_hdf5(path: str, options: ReadOptions) -> Hdf5Matrix:
    """Open an HDF5 file by the layout it has.

    Parameters
    ----------
    path
        The file.
    options
        Which matrix to read, and how.

    Returns
    -------
    Hdf5Matrix
        Its names are read, its values are not.

    Raises
    ------
    InputError
        It is damaged or of another layout.
    CytoTRACE2Error
        h5py is not installed.
    """
    h5py = require_h5py(path)
    with reading(path):
        file = h5py.File(path, "r")
    try:
        with reading(path):
            return _open(path, file, options)
    except BaseException:
        file.close()
        raise


def _open(path: str, file: Any, options: ReadOptions) -> Hdf5Matrix:
    from cytotrace2_lite.read import h5ad, tenx_h5

    keys = set(file)
    if h5ad.is_h5ad(file):
        return h5ad.open_h5ad(path, file, options)
    if tenx_h5.genomes(path, file):
        return tenx_h5.open_10x(path, file, options)
    for marks, what, remedy in (
        (
            {"row_attrs", "col_attrs"},
            "a Loom file",
            f'In Python, anndata.io.read_loom("{path}").write_h5ad("expr.h5ad") converts it.',
        ),
        (
            {"mod"},
            "a MuData file",
            f'In Python, mudata.read_h5mu("{path}")["rna"].write_h5ad("expr.h5ad") converts it.',
        ),
        ({"assays", "cell.names"}, "a SeuratDisk file (.h5Seurat)", FROM_R),
    ):
        if marks <= keys:
            raise InputError(f"{path}: this is {what}, which is not read. {remedy}")
    found = first_few(sorted(keys), most=5) or "nothing"
    raise InputError(
        f"{path}: this HDF5 file is neither .h5ad nor the .h5 of a 10x matrix; it holds {found}."
    )


class Hdf5Matrix:
    """A matrix of an HDF5 file with the names of its axes.

    Parameters
    ----------
    path
        The file's path.
    file
        The file, which is closed with this.
    matrix
        A `SparseGroup`, or a dataset, cells x genes.
    cells, genes
        Names in input order.
    gene_of
        Index of the gene of each column of the matrix, -1 for a column that is none; intp.
    source
        What it is.

    Attributes
    ----------
    name
        How messages name the file.
    by_gene
        Whether the values come gene after gene.
    """

    def __init__(
        self,
        path: str,
        file: Any,
        matrix: Any,
        cells: list[str],
        genes: list[str],
        gene_of: NDArray[np.intp],
        source: dict[str, Any],
    ) -> None:
        self.name = path
        self._file = file
        self._matrix = matrix
        self.cells = cells
        self.genes = genes
        self._gene_of = gene_of
        self._source = source
        is_sparse = isinstance(matrix, SparseGroup)
        self.by_gene = is_sparse and not matrix.by_row
        if not is_sparse and (len(matrix.shape) != 2 or matrix.dtype.kind not in "biuf"):
            raise InputError(
                f"{path}: the matrix has {len(matrix.shape)} dimensions and is of {matrix.dtype}; "
                "it must be a table of numbers."
            )
        if matrix.shape != (len(cells), len(gene_of)):
            raise InputError(
                f"{path}: the matrix has {matrix.shape[0]:,} rows and {matrix.shape[1]:,} columns, "
                f"but there are {len(cells):,} cells and {len(gene_of):,} genes. The file is "
                "damaged."
            )
        self.unit = "values"
        self.n_read = 0
        self.n_total = matrix.data.shape[0] if is_sparse else matrix.shape[0] * matrix.shape[1]

    @property
    def source(self) -> Source:
        """What was read; the file is read once more for its digest."""
        n_bytes, sha256 = digest(self.name)
        return Source(path=self.name, n_bytes=n_bytes, sha256=sha256, **self._source)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def blocks(self) -> Iterator[Block]:
        """Yield the matrix in blocks, once.

        Raises
        ------
        InputError
            The file is damaged, or a value is not a finite number >= 0.
        """
        matrix = self._matrix
        swapped = self.by_gene
        parts = matrix.parts() if isinstance(matrix, SparseGroup) else dense_parts(matrix)
        hint = Source(**self._source).hint()
        while True:
            with reading(self.name):
                part = next(parts, None)
            if part is None:
                return
            (row, column, value), self.n_read = part
            cell, gene = (column, row) if swapped else (row, column)
            gene = self._gene_of[gene]
            of_gene = gene >= 0
            if not of_gene.all():
                gene, cell, value = gene[of_gene], cell[of_gene], value[of_gene]
            yield block_of(self.name, self.genes, self.cells, gene, cell, value, hint=hint)


class SparseGroup:
    """A compressed sparse matrix of an HDF5 file.

    Parameters
    ----------
    path
        The file, for messages.
    group
        Has the datasets `data`, `indices` and `indptr`.
    shape
        Rows and columns.
    by_row
        Whether it is CSR, not CSC.

    Raises
    ------
    InputError
        A part is missing or not in the file.
    """

    def __init__(self, path: str, group: Any, shape: tuple[int, int], *, by_row: bool) -> None:
        self._path = path
        self.shape = shape
        self.by_row = by_row
        parts = [child(path, group, name) for name in ("data", "indices", "indptr")]
        if any(getattr(part, "ndim", 0) != 1 for part in parts):
            raise InputError(f"{path}: {group.name} has no sparse matrix. The file is damaged.")
        self.data, self._indices, indptr = parts
        if self.data.dtype.kind not in "biuf":
            raise InputError(f"{path}: the matrix holds {self.data.dtype}, not real numbers.")
        self._indptr = whole(indptr)

    def parts(self) -> Iterator[Any]:
        """Go through the values as `compressed_parts` does."""
        shape = self.shape if self.by_row else self.shape[::-1]
        return compressed_parts(self._path, self._indptr, self._indices, self.data, shape)


def require_h5py(path: str | os.PathLike[str]) -> Any:
    """Import h5py.

    Parameters
    ----------
    path
        The file that needs it, for the message.

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
            f"{path}: HDF5 files need the package h5py: pip install 'cytotrace2-lite[h5ad]'."
        ) from error
    return h5py


@contextmanager
def opened(path: str | os.PathLike[str], mode: str = "r") -> Iterator[Any]:
    """Open an HDF5 file; what goes wrong while it is open is an `InputError`.

    Parameters
    ----------
    path
        The file.
    mode
        "r", or "r+" to change it.

    Raises
    ------
    InputError
        It is damaged.
    CytoTRACE2Error
        h5py is not installed.
    """
    h5py = require_h5py(path)
    with reading(path), h5py.File(path, mode) as file:
        yield file


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Make an `InputError` of whatever h5py raises at a damaged file.

    Parameters
    ----------
    path
        The file.
    """
    try:
        yield
    except CytoTRACE2Error:
        raise
    except (
        OSError,
        RuntimeError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
    ) as error:
        text = str(error)
        if "filter" in text:
            raise InputError(
                f"{path}: it is compressed in a way that h5py lacks a filter for ({text}). Write "
                'it with compression="gzip".'
            ) from None
        raise InputError(
            f"{path}: the HDF5 file cannot be read ({text}). Copy or write it again."
        ) from error


def child(path: str, group: Any, name: str) -> Any:
    """Get a member of a group, which must lie in the file.

    Parameters
    ----------
    path
        The file, for messages.
    group
        The group.
    name
        A name without slashes.

    Returns
    -------
    h5py.Group or h5py.Dataset or None
        None where there is no such member.

    Raises
    ------
    InputError
        It is a link, or its values are in another file.
    """
    import h5py

    if not isinstance(group, h5py.Group) or name not in group.keys():  # noqa: SIM118 (no paths)
        return None
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise _elsewhere(path, f"{group.name.rstrip('/')}/{name}")
    return here(path, group[name])


def here(path: str, item: Any) -> Any:
    """See that the values of a dataset lie in the file.

    Parameters
    ----------
    path
        The file, for messages.
    item
        A group or dataset, which is returned.

    Raises
    ------
    InputError
        They lie in another file.
    """
    if getattr(item, "external", None) or getattr(item, "is_virtual", False):
        raise _elsewhere(path, item.name)
    if hasattr(item, "dtype"):
        _check_claims(path, item)
    return item


def _check_claims(path: str, dataset: Any) -> None:
    """Refuse a dataset whose header claims far more than the file holds.

    HDF5 reads values that were never written as if they had been, and decompresses a chunk as a
    whole.
    """
    itemsize = dataset.dtype.itemsize
    n_bytes = (dataset.size or 0) * itemsize
    stored = dataset.id.get_storage_size()
    if n_bytes > _ANYWAY + _BEST_COMPRESSION * stored:
        raise InputError(
            f"{path}: {shown(dataset.name)} claims {dataset.size:,} values, but the file holds "
            f"{stored:,} bytes of them. Copy or write it again."
        )
    if dataset.chunks is None:
        return
    size = math.prod(dataset.chunks)
    if size * itemsize > _LARGEST_CHUNK:
        raise InputError(
            f"{path}: {shown(dataset.name)} has chunks of more than 1 GiB. Write it with smaller "
            "chunks."
        )
    n_chunks = math.prod(
        -(-length // part) for length, part in zip(dataset.shape, dataset.chunks, strict=True)
    )
    if size < _FEW_VALUES and n_chunks > _MANY_CHUNKS:
        raise InputError(
            f"{path}: {shown(dataset.name)} has {n_chunks:,} chunks of {size} values. Write it "
            "with larger chunks."
        )


def whole(dataset: Any, view: Any = None) -> NDArray[Any]:
    """Read all values of a dataset that are held in memory at once: names, labels, offsets.

    Parameters
    ----------
    dataset
        The dataset, of which `here` thinks nothing bad.
    view
        What to read of it, its strings or a field; all by default.

    Returns
    -------
    ndarray
        Its values.

    Raises
    ------
    ValueError
        They would not fit into the memory there is.
    """
    n_values = math.prod(dataset.shape)
    needed = n_values * (dataset.dtype.itemsize + _BYTES_OF_OBJECT)
    if needed > _ANYWAY and needed > (available_memory() or math.inf):
        raise ValueError(f"its {n_values:,} names or labels do not fit into memory")
    values: NDArray[Any] = (dataset if view is None else view)[:]
    return values


def _elsewhere(path: str, name: str) -> InputError:
    return InputError(
        f"{path}: {name} is a link or lies in another file, which is not followed. Write the data "
        "into one file."
    )


def strings(dataset: Any) -> list[str]:
    """Read names.

    Parameters
    ----------
    dataset
        Of strings or whole numbers, shape (n,).

    Raises
    ------
    TypeError
        It is of another type or shape.
    """
    if dataset.ndim != 1:
        raise TypeError(f"{dataset.name} has {dataset.ndim} dimensions")
    if dataset.dtype.kind in "iu":
        return [str(number) for number in whole(dataset).tolist()]
    names: list[str] = whole(dataset, dataset.asstr()).tolist()
    return names


def attribute(item: Any, name: str) -> str | None:
    """Read an attribute that is a string; None where there is none."""
    value = item.attrs.get(name)
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, str) else None
