"""The input of a run, opened once for all that is asked of it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.counts import MAX_BYTES
from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.read import _formats
from cytotrace2_lite.read._bytes import ByteStream
from cytotrace2_lite.read._collect import collect
from cytotrace2_lite.read._file import InputFile
from cytotrace2_lite.read._layouts import CellData
from cytotrace2_lite.read._objects import open_object, refuse_names
from cytotrace2_lite.read._options import ReadOptions
from cytotrace2_lite.read._store import StoreDirectory, is_store_directory
from cytotrace2_lite.read.anndata import is_anndata
from cytotrace2_lite.read.hdf5 import opened
from cytotrace2_lite.read.mudata import anndata_of, is_mudata, source_in
from cytotrace2_lite.read.rds import RFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

    from cytotrace2_lite.counts.expression import Expression
    from cytotrace2_lite.read._source import Source

__all__ = ["Input", "open_input", "read_expression"]


class Input:
    """What is to be scored: a file or an object.

    A file is opened once, when something is first asked of it. All answers come from this opening.
    If the file changes meanwhile, there is an error instead of an answer.

    Parameters
    ----------
    data
        A path, "-" for standard input, or an object.
    layer, max_memory
        As in `ReadOptions`: a file of R is read whole when something is first asked of it.

    Attributes
    ----------
    data
        As given; of MuData the modality of gene expression.
    is_path
        Whether it is a path.
    """

    def __init__(
        self,
        data: str | os.PathLike[str] | Any,
        *,
        layer: str | None = None,
        max_memory: int | None = None,
    ) -> None:
        self.is_path = isinstance(data, (str, os.PathLike))
        self._mudata = data if not self.is_path and is_mudata(data) else None
        self.data = data if self._mudata is None else anndata_of(data)
        self._opened: InputFile | None = None
        self._layer, self._max_memory = layer, max_memory
        self._of_r: RFile | None = None
        self._store: StoreDirectory | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._opened is not None:
            self._opened.close()

    @property
    def name(self) -> str:
        """How messages name it."""
        return os.fspath(self.data) if self.is_path else type(self.data).__name__

    @property
    def is_h5ad(self) -> bool:
        """Whether it is a `.h5ad` file on disk; its content tells.

        Raises
        ------
        InputError
            There is no such file, it cannot be opened, or it is a damaged HDF5 file.
        CytoTRACE2Error
            It is an HDF5 file, and h5py is not installed.
        """
        if not self.is_path or self._is_directory:
            return False
        with (file := self._file).unchanged():
            return _formats.is_h5ad(file)

    @property
    def is_r(self) -> bool:
        """Whether it is a file of R on disk; its content tells.

        Raises
        ------
        InputError
            There is no such file, or it cannot be opened.
        """
        if not self.is_path or self._is_directory:
            return False
        with self._file.unchanged():
            return _formats.is_r(self._file)

    @property
    def frame_name(self) -> str:
        """What the table of the cells is called: "obs"; in R "meta.data" or "colData"."""
        return self._r_file(self._layer, self._max_memory).frame_name if self.is_r else "obs"

    @property
    def has_cell_data(self) -> bool:
        """Whether it is a file that can have labels and coordinates of its cells, as a `.h5ad`.

        A file of R is read for this.

        Raises
        ------
        InputError
            There is no such file, it cannot be opened, or it is a damaged file of HDF5 or R.
        UsageError
            Several objects in a file of R have expression, or it takes too much memory.
        CytoTRACE2Error
            It is an HDF5 file, and h5py is not installed.
        """
        with self._cell_data() as found:
            return found is not None

    def describes_cells(self, orientation: str) -> bool:
        """Tell whether labels and coordinates of a file are about what is scored as cells.

        Parameters
        ----------
        orientation
            With which it is read.

        Raises
        ------
        InputError
            As `has_cell_data` raises.
        CytoTRACE2Error
            As `has_cell_data` raises.
        """
        with self._cell_data() as found:
            return found is not None and orientation != found.swapped

    @contextmanager
    def _cell_data(self) -> Iterator[CellData | None]:
        store = self._store_directory
        if not self.is_path or (self._is_directory and store is None):
            yield None
            return
        if self.is_r:
            r = self._r_file(self._layer, self._max_memory)
            yield CellData(r.labels, r.reduction, "") if r.frame_name else None
            return
        file = self._file if store is None else store
        with file.unchanged(), _formats.cell_data(file) as found:
            yield found

    @property
    def is_anndata(self) -> bool:
        """Whether it is an AnnData object."""
        return not self.is_path and is_anndata(self.data)

    @property
    def _is_directory(self) -> bool:
        return os.path.isdir(self.name)  # noqa: PTH112 (a path as given may hold a NUL)

    @property
    def _store_directory(self) -> StoreDirectory | None:
        """The Zarr store, if it is a directory that is one."""
        if self._store is None and self.is_path and self._is_directory:
            self._store = StoreDirectory(self.name) if is_store_directory(self.name) else None
        return self._store

    @property
    def _file(self) -> InputFile:
        if self._opened is None:
            path = self.name
            if self._is_directory:
                from cytotrace2_lite.read._directory import find_matrix

                path = find_matrix(path)
            self._opened = InputFile(path)
        return self._opened

    def read(
        self,
        options: ReadOptions,
        *,
        genes: Sequence[str] | None = None,
        cells: Sequence[str] | None = None,
        progress: Callable[[int, int, str], None] | None = None,
        max_bytes: int = MAX_BYTES,
        collect_file: Callable[..., tuple[Expression, Source]] = collect,
    ) -> tuple[Expression, Source]:
        """Read the expression.

        Parameters
        ----------
        options
            What to read, and how.
        genes, cells
            Names of the axes of a matrix that has none; cells are "0", "1", ... by default.
        progress
            Called once per block with the progress so far, its total (0 if it is not known), and
            what both count: "bytes" of text, "values" or "rows".
        max_bytes, collect_file
            As for `cytotrace2_lite.read.collect`; and what collects a file or Dask array instead.

        Returns
        -------
        tuple
            The expression, and what it was read from.

        Raises
        ------
        InputError
            The data cannot be read, or are not finite values >= 0 with unique gene and cell names;
            or the file changed meanwhile.
        UsageError
            An option has no meaning for the data.
        OutputError
            The temporary directory is full.
        CytoTRACE2Error
            The format needs a package that is not installed.
        """
        if not self.is_path:
            reader = open_object(self.data, options, genes=genes, cells=cells)
            gather = collect_file if getattr(reader, "dask_array", None) is not None else collect
            expression, source = gather(reader, options, progress, max_bytes=max_bytes)
            mudata = self._mudata
            return expression, source if mudata is None else source_in(mudata, self.data, source)
        refuse_names("file", genes, cells)
        with (file := self._store_directory or self._file).unchanged():
            if self.is_r:
                r = self._r_file(options.layer, options.max_memory, with_values=True)
                reader = r.reader(options)
            else:
                reader = _formats.open_file(file, options)
            try:
                return collect_file(reader, options, progress, max_bytes=max_bytes)
            finally:
                reader.close()

    def _r_file(
        self, layer: str | None, max_memory: int | None, *, with_values: bool = False
    ) -> RFile:
        found = self._of_r
        if found is None or found.layer != layer or (with_values and not found.has_values):
            self._of_r = None  # dropped before it is read anew
            with self._file.unchanged():
                found = self._of_r = RFile(ByteStream(self._file), layer, max_memory)
        return found

    @contextmanager
    def hdf5(self) -> Iterator[Any]:
        """Read the content of a HDF5 file.

        Yields
        ------
        h5py.File
            Its content.

        Raises
        ------
        InputError
            It is damaged, open for writing elsewhere, or changed meanwhile.
        """
        with self._file.unchanged(), opened(self._file) as content:
            yield content

    def obs_column(self, column: str) -> list[str]:
        """Read labels of the cells of a file that has some: a column of `obs` of a `.h5ad`.

        Parameters
        ----------
        column
            Name of the column.

        Returns
        -------
        list of str
            One per cell, "" where it is missing.

        Raises
        ------
        InputError
            The file is damaged, or changed meanwhile.
        UsageError
            There is no such column, or it has no labels.
        """
        with self._cell_data() as found:
            if found is None:
                raise UsageError(f"{self.name}: a file of this format has no labels of its cells.")
            return found.labels(column)

    def obsm(self, key: str) -> NDArray[Any]:
        """Read an array with a row per cell of a file that has some: of `obsm` of a `.h5ad`.

        Parameters
        ----------
        key
            Name of the array, such as "X_umap".

        Returns
        -------
        ndarray
            A row per cell.

        Raises
        ------
        InputError
            The file is damaged, or changed meanwhile.
        UsageError
            There is no such array.
        """
        with self._cell_data() as found:
            if found is None:
                raise UsageError(f"{self.name}: a file of this format has no coordinates.")
            return found.coordinates(key)

    def digest(self) -> str | None:
        """Give the SHA-256 of the file or store with the values, as the record of a run has it.

        Returns
        -------
        str or None
            Hex digest; None for an object, a pipe or standard input.

        Raises
        ------
        InputError
            There is no such file, or it cannot be read.
        """
        if not self.is_path:
            return None
        file = self._store_directory or self._file
        if isinstance(file, InputFile) and not file.is_file:
            return None
        with file.unchanged():
            return file.digest()[1]

    def copy_to(self, target: str | os.PathLike[str]) -> None:
        """Write all bytes of a file on disk into another one.

        Parameters
        ----------
        target
            The other file, which is replaced.

        Raises
        ------
        InputError
            The file cannot be read, or changed since it was opened.
        OSError
            The copy cannot be written.
        """
        self._file.copy_to(target)


def open_input(
    data: str | os.PathLike[str] | Any,
    *,
    layer: str | None = None,
    max_memory: int | None = None,
) -> Input:
    """Open an input.

    Parameters
    ----------
    data
        A path, "-" for standard input, or an object: AnnData, MuData, a pandas data frame, an Arrow
        table, a SciPy sparse matrix, or what NumPy takes. The content of a file tells its format: a
        text table (plain, gzip, bzip2, xz, Zstandard), a directory of 10x Genomics, their `.h5`, a
        `.h5ad` or `.h5mu`, Loom, Zarr, `.rds` or `.RData` of R, Parquet, Feather or Arrow.
    layer, max_memory
        As for `Input`.

    Returns
    -------
    Input
        To be closed.
    """
    return Input(data, layer=layer, max_memory=max_memory)


def read_expression(
    data: str | os.PathLike[str] | Any,
    is_known: Callable[[list[str]], NDArray[np.bool_]] | None = None,
    *,
    genes: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    orientation: str = "auto",
    duplicate_genes: str = "error",
    gene_column: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    max_bytes: int = MAX_BYTES,
    threads: int = 1,
) -> tuple[Expression, Source]:
    """Open an input, read the expression, and close it.

    Parameters
    ----------
    data
        As for `open_input`.
    is_known
        Tells which of some gene names are known, bool, shape (n_names,). The values of the others
        are checked, but not kept. By default, all are kept.
    genes, cells, progress, max_bytes
        As for `Input.read`.
    layer, use_raw, orientation, duplicate_genes, gene_column, threads
        As in `ReadOptions`.

    Returns
    -------
    tuple
        The expression, and what it was read from.

    Raises
    ------
    CytoTRACE2Error
        As `Input.read` and `ReadOptions` raise.
    """
    with open_input(data) as source:
        return source.read(
            ReadOptions(
                is_known, layer, use_raw, orientation, duplicate_genes, threads, gene_column
            ),
            genes=genes,
            cells=cells,
            progress=progress,
            max_bytes=max_bytes,
        )
