"""Zarr stores of AnnData and MuData, of format 2 and 3, in a directory or a zip archive.

What is in a store is found and checked here, from its list of files and its metadata; the package
zarr reads the values. Groups and arrays have as much of h5py's interface as `h5ad.py` uses, so
that it reads both.

Source: the specifications of Zarr 2 and 3; "On-disk format" in the documentation of anndata.
"""

from __future__ import annotations

import json
import math
import warnings
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import CytoTRACE2Error, InputError
from cytotrace2_lite.read import _store
from cytotrace2_lite.read._store import Store, StoreDirectory
from cytotrace2_lite.read.hdf5 import check_claims, reading
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cytotrace2_lite.read._file import InputFile

__all__ = ["Array", "Group", "anndata_groups", "is_zip_store", "opened_store"]

# Those that only compute. Others unpickle, that is, execute what is in the file.
_CODECS = frozenset(
    """
    adler32 astype bitround blosc bz2 crc32 crc32c delta fixedscaleoffset fletcher32 gzip lz4 lzma
    packbits quantize shuffle vlen-bytes vlen-utf8 zlib zstd
    bytes endian transpose sharding_indexed
    """.split()  # noqa: SIM905 (reads better)
)
_MOST_NAMED = 3


def is_zip_store(file: InputFile) -> bool:
    """Tell whether a zip archive is a Zarr store.

    Parameters
    ----------
    file
        The archive, on disk.

    Raises
    ------
    InputError
        It has two files of one name, or a name that leads out of it.
    """
    found = _store.in_zip(file)
    if found is None:
        return False
    found[2].close()
    return True


@contextmanager
def opened_store(file: InputFile | StoreDirectory) -> Iterator[Group]:
    """Read a Zarr store; what goes wrong meanwhile becomes an `InputError`.

    Parameters
    ----------
    file
        A directory that is a store, or a zip archive with one.

    Yields
    ------
    Group
        Its root.

    Raises
    ------
    InputError
        It is damaged.
    CytoTRACE2Error
        The package zarr is not installed, or is too old.
    """
    zarr = _require_zarr(file.name)
    with reading(file.name, Group):
        if isinstance(file, StoreDirectory):
            kind = getattr(zarr.storage, "LocalStore", None) or zarr.storage.DirectoryStore
            store = Store(file.name, file.sizes, kind(file.path))
            yield _root(store, zarr)
            return
        found = _store.in_zip(file)
        if found is None:
            raise InputError(f"{file.name}: there is no Zarr store in this zip archive.")
        sizes, prefix, archive = found
        with archive:
            inner = zarr.storage.ZipStore(file.path, mode="r")
            try:
                yield _root(Store(file.name, sizes, inner, prefix, archive), zarr)
            finally:
                with suppress(AttributeError):  # of zarr 3, if nothing was read
                    inner.close()


def anndata_groups(root: Group) -> list[str]:
    """Find the groups of a store, below its root, that are AnnData.

    Parameters
    ----------
    root
        The root.

    Returns
    -------
    list of str
        Their paths from the root, as those of SpatialData: "tables/table".
    """
    found: list[str] = []
    groups = [root[name] for name in root if isinstance(root[name], Group)]
    while groups and len(found) < _MOST_NAMED:
        group = groups.pop(0)
        if group.attrs.get("encoding-type") == "anndata":
            found.append(group.name.lstrip("/"))
        elif group.name.count("/") < _MOST_NAMED:
            groups += [group[name] for name in group if isinstance(group[name], Group)]
    return found


def _require_zarr(path: str) -> Any:
    try:
        import zarr
    except ImportError as error:
        raise CytoTRACE2Error(
            f"{path}: Zarr stores need the package zarr: pip install 'cytotrace2-lite[zarr]'."
        ) from error
    return zarr


def _root(store: Store, zarr: Any) -> Group:
    version = 3 if "zarr.json" in store.sizes else 2
    if version == 3 and not hasattr(zarr.storage, "LocalStore"):
        raise CytoTRACE2Error(
            f"{store.path}: this is a Zarr store of format 3, and zarr {zarr.__version__} reads "
            "format 2: pip install 'zarr>=3', which needs Python 3.11 or newer."
        )
    tree: dict[str, Any] = {}
    for name in store.sizes:
        at = tree
        *folders, last = name.split("/")
        for folder in folders:
            at = at.setdefault(folder, {})
            if not isinstance(at, dict):
                raise ValueError(f"{name} is in a file")  # noqa: TRY004 (as other damage)
        at[last] = store.sizes[name]
    return Group(store, version, "", tree)


class _Node:
    """What a group and an array have in common: a place in the store, and attributes."""

    container = "Zarr store"

    def __init__(self, store: Store, version: int, place: str, tree: dict[str, Any]) -> None:
        self._store = store
        self._version = version
        self._place = place
        self._tree = tree
        self.name = f"/{place}"

    @cached_property
    def attrs(self) -> dict[str, Any]:
        if self._version == 2:
            return self._metadata(".zattrs") or {}
        found = (self._metadata("zarr.json") or {}).get("attributes", {})
        if not isinstance(found, dict):
            raise ValueError(f"the attributes of {self.name} are no dictionary")  # noqa: TRY004
        return found

    def _metadata(self, file: str) -> dict[str, Any] | None:
        path = f"{self._place}/{file}" if self._place else file
        content = self._store.metadata(path)
        if content is None:
            return None
        found = json.loads(content)
        if not isinstance(found, dict):
            raise ValueError(f"{path} is no dictionary")  # noqa: TRY004 (as other damage)
        return found


class Group(_Node):
    """A group of a Zarr store, with as much of the interface of h5py's as is used."""

    def member(self, name: Any) -> Any:
        """Get a member; None where there is no such member.

        Parameters
        ----------
        name
            A name without slashes.

        Raises
        ------
        InputError
            It is an array that claims far more than there is, or is packed in an unknown way.
        """
        if not isinstance(name, str) or name not in self:
            return None
        return self[name]

    def __getitem__(self, name: str) -> Any:
        place = f"{self._place}/{name}" if self._place else name
        tree = self._tree[name]
        if self._version == 2:
            is_array = ".zarray" in tree
        else:
            found = _Node(self._store, 3, place, tree)._metadata("zarr.json") or {}
            if found.get("node_type") not in {"array", "group"}:
                raise ValueError(f"/{place} is a {found.get('node_type')}")
            is_array = found["node_type"] == "array"
        kind = Array if is_array else Group
        return kind(self._store, self._version, place, tree)

    def __contains__(self, name: object) -> bool:
        tree = self._tree.get(str(name))
        markers = (".zgroup", ".zarray") if self._version == 2 else ("zarr.json",)
        return isinstance(tree, dict) and any(marker in tree for marker in markers)

    def __iter__(self) -> Iterator[str]:
        return (name for name in sorted(self._tree) if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def keys(self) -> list[str]:
        """List the names of its members."""
        return list(self)


class Array(_Node):
    """An array of a Zarr store, with as much of the interface of h5py's datasets as is used.

    Attributes
    ----------
    shape, chunks
        Of the array, and of the parts in which it is decompressed.
    dtype
        Of text: object.
    bytes_of_chunk
        Of a chunk in memory.
    """

    def __init__(self, store: Store, version: int, place: str, tree: dict[str, Any]) -> None:
        super().__init__(store, version, place, tree)
        metadata = self._metadata(".zarray" if version == 2 else "zarr.json") or {}
        _check_codecs(store.path, self.name, metadata)
        zarr = _require_zarr(store.path)
        options = {} if version == 2 and not _is_new(zarr) else {"zarr_format": version}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on text, whose form in format 3 is not yet final
            try:
                self._array = zarr.open_array(
                    store=store.zarr, path=store.prefix + place, mode="r", **options
                )
            except Exception as error:  # whatever a codec raises
                raise ValueError(f"{self.name}: {error}") from error
        self.shape = tuple(map(int, self._array.shape))
        self.ndim = len(self.shape)
        self.size = math.prod(self.shape)
        self.chunks = tuple(map(int, self._array.chunks))
        kind = self._array.dtype
        is_text = getattr(kind, "kind", "O") in "OTU"
        self.dtype = np.dtype(object) if is_text else np.dtype(kind)
        self.bytes_of_chunk = math.prod(self.chunks) * self.dtype.itemsize
        self._stored = self._chunk_files(metadata)
        if min((*self.shape, 0)) < 0 or min((*self.chunks, 1)) < 1:
            raise ValueError(f"{self.name} has the shape {self.shape} and chunks {self.chunks}")
        check_claims(store.path, self, sum(_sizes(tree)))

    def __getitem__(self, where: Any) -> NDArray[Any]:
        try:
            values = np.asarray(self._array[where])
        except Exception as error:
            raise ValueError(f"{self.name}: {error}") from error
        return values if self.dtype.kind != "O" else values.astype(object)

    def asstr(self) -> _Text:
        """Give a view that reads text."""
        return _Text(self)

    @property
    def n_missing_chunks(self) -> int:
        """How many of its chunks the store lacks; it may leave out those of the fill value."""
        return self._stored[1] - self._stored[0]

    def require_chunks(self) -> None:
        """Raise if the store lacks a chunk, of an array that cannot be 0 over a whole one.

        Raises
        ------
        InputError
            It lacks one.
        """
        n_found, n_chunks = self._stored
        if n_found < n_chunks:
            raise InputError(
                f"{self._store.path}: {shown(self.name)} has {n_chunks:,} chunks, and "
                f"{n_chunks - n_found:,} of them are not in the store. Copy or write it again."
            )

    def _chunk_files(self, metadata: dict[str, Any]) -> tuple[int, int]:
        """Count the files of chunks (or shards) that there are, and that there could be."""
        each = getattr(self._array, "shards", None) or self.chunks
        counts = [-(-n // size) for n, size in zip(self.shape, map(int, each), strict=True)]
        n_chunks = math.prod(counts)
        if self._version == 2:
            separator, folder = metadata.get("dimension_separator", "."), ""
        else:
            encoding = metadata.get("chunk_key_encoding") or {}
            settings = encoding.get("configuration") or {}
            is_default = encoding.get("name") == "default"
            separator = settings.get("separator", "/" if is_default else ".")
            folder = "c" if is_default else ""
        start = f"{folder}{separator}" if folder else ""
        n_found = 0
        for key in _paths(self._tree):
            if not key.startswith(start):
                continue
            parts = key[len(start) :].split(separator)
            n_found += len(parts) == len(counts) and all(
                part.isascii() and part.isdecimal() and int(part) < n
                for part, n in zip(parts, counts, strict=True)
            )
        return n_found, n_chunks


class _Text:
    """Text of an array."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def __getitem__(self, where: Any) -> NDArray[np.object_]:
        values = self._array[where].ravel().tolist()
        text = [value.decode() if isinstance(value, bytes) else value for value in values]
        if not all(isinstance(value, str) for value in text):
            raise TypeError(f"{self._array.name} holds something else than text")
        return np.array([*text, None], object)[:-1]


def _check_codecs(path: str, name: str, metadata: dict[str, Any]) -> None:
    """Refuse codecs that are not known to do nothing but compute."""
    codecs = [*(metadata.get("filters") or ()), metadata.get("compressor")]
    codecs += metadata.get("codecs") or ()
    while codecs:
        codec = codecs.pop()
        if codec is None:
            continue
        known = codec if isinstance(codec, dict) else {"name": codec}
        kind = str(known.get("id", known.get("name")))
        if kind.removeprefix("numcodecs.") not in _CODECS:
            raise InputError(
                f"{path}: {shown(name)} is packed with {shown(kind)}, which is not read. Write the "
                "store with Blosc, Zstandard or gzip."
            )
        inner = known.get("configuration")
        if isinstance(inner, dict):
            codecs += [*(inner.get("codecs") or ()), *(inner.get("index_codecs") or ())]


def _is_new(zarr: Any) -> bool:
    return hasattr(zarr.storage, "LocalStore")


def _paths(tree: dict[str, Any], before: str = "") -> Iterator[str]:
    for name, below in tree.items():
        if isinstance(below, dict):
            yield from _paths(below, f"{before}{name}/")
        else:
            yield before + name


def _sizes(tree: dict[str, Any]) -> Iterator[int]:
    for below in tree.values():
        if isinstance(below, dict):
            yield from _sizes(below)
        else:
            yield below
