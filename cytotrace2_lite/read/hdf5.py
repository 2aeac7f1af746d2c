"""HDF5 files, which may come from strangers: nothing outside the file is followed.

They are read with h5py, which is an extra, from the one opening of the file that there is.
"""

from __future__ import annotations

import math
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.errors import CytoTRACE2Error, InputError
from cytotrace2_lite.system.machine import available_memory
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cytotrace2_lite.read._file import InputFile

__all__ = [
    "attribute",
    "check_claims",
    "child",
    "in_file",
    "opened",
    "reading",
    "require_h5py",
    "strings",
    "whole",
]

_ANYWAY = 1 << 26  # bytes that are read without a check
# Of gzip it is 1032 at best. Other methods can do better, but not with real data.
_BEST_COMPRESSION = 2000
_LARGEST_CHUNK = 1 << 30
# HDF5 takes some 6 kB of memory for each chunk that it reads at a time. A chunk that h5py makes has
# 8 KiB or more.
_FEW_VALUES = 128
_MANY_CHUNKS = 10_000
_BYTES_OF_OBJECT = 64  # of a name or label in Python
# Those that hdf5plugin has. Source: "Registered Filter Plugins" of the HDF Group.
_FILTERS = {
    307: "bzip2",
    32001: "Blosc",
    32004: "LZ4",
    32008: "Bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32017: "SZ",
    32018: "FCIDECOMP",
    32024: "SZ3",
    32026: "Blosc2",
    32028: "Sperr",
}


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
def opened(file: InputFile) -> Iterator[Any]:
    """Read an HDF5 file; what goes wrong meanwhile becomes an `InputError`.

    Parameters
    ----------
    file
        A file on disk, which stays open.

    Yields
    ------
    h5py.File
        Its content.

    Raises
    ------
    InputError
        It is damaged, or open for writing elsewhere.
    CytoTRACE2Error
        h5py is not installed.
    """
    h5py = require_h5py(file.name)
    with reading(file.name), _locked(file), h5py.File(file.anywhere(), "r") as content:
        yield content


@contextmanager
def _locked(file: InputFile) -> Iterator[None]:
    """Lock a file against writing, as HDF5 does with files that it opens itself."""
    # The variable is HDF5's.
    locking = os.environ.get("HDF5_USE_FILE_LOCKING", "").upper() not in {"FALSE", "0"}
    if sys.platform == "win32" or not locking:
        yield
        return
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"{file.name}: a program has the file open for writing. Close it there and start again."
        ) from None
    except OSError:  # the file system has no locks
        yield
        return
    try:
        yield
    finally:
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)


@contextmanager
def reading(path: str | os.PathLike[str], item: Any = None) -> Iterator[None]:
    """Turn what h5py raises for a damaged file into an `InputError`.

    Parameters
    ----------
    path
        The file, for the message.
    item
        What is read, if it may be of another container than an HDF5 file, which it then names.

    Raises
    ------
    InputError
        The file is damaged.
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
        container = getattr(item, "container", "HDF5 file")
        if "filter" in text and container == "HDF5 file":
            raise InputError(
                f"{path}: h5py has no filter for the way in which this file is compressed "
                f'({text}). Write it with compression="gzip".'
            ) from None
        raise InputError(
            f"{path}: the {container} cannot be read ({text}). Copy or write it again."
        ) from error


def child(path: str, group: Any, name: str) -> Any:
    """Get a member of a group, which must be in the same file.

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
        It is a link, or its values are in another file, or it claims too much.
    """
    if hasattr(group, "member"):  # of a Zarr store, which makes checks of its own
        return group.member(name)
    import h5py

    if not isinstance(group, h5py.Group) or name not in group.keys():  # noqa: SIM118 (no paths)
        return None
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise _elsewhere(path, f"{group.name.rstrip('/')}/{name}")
    return in_file(path, group[name])


def in_file(path: str, item: Any) -> Any:
    """Make sure that the values of a dataset are in the file, and are as many as it says.

    Parameters
    ----------
    path
        The file, for messages.
    item
        A group or dataset.

    Returns
    -------
    h5py.Group or h5py.Dataset
        The same.

    Raises
    ------
    InputError
        The values are in another file, or the dataset claims far more of them than there are.
    """
    if getattr(item, "external", None) or getattr(item, "is_virtual", False):
        raise _elsewhere(path, item.name)
    if hasattr(item, "dtype"):
        _check_filters(path, item)
        check_claims(path, item, item.id.get_storage_size())
    return item


def _check_filters(path: str, dataset: Any) -> None:
    """Make sure that a dataset can be decompressed. hdf5plugin is loaded if that needs it."""
    import h5py

    filters = dataset.id.get_create_plist()
    for code in (filters.get_filter(i)[0] for i in range(filters.get_nfilters())):
        if h5py.h5z.filter_avail(code):
            continue
        has_plugin = False
        with suppress(ImportError):
            import hdf5plugin  # noqa: F401 (it adds filters)

            has_plugin = True
        if not h5py.h5z.filter_avail(code):
            name = _FILTERS.get(code, f"the filter {code} of HDF5")
            raise InputError(
                f"{path}: {shown(dataset.name)} is compressed with {name}, which h5py cannot read "
                + (
                    "alone: pip install hdf5plugin."
                    if code in _FILTERS and not has_plugin
                    else 'here. Write the file with compression="gzip".'
                )
            )


def check_claims(path: str, dataset: Any, stored: int) -> None:
    """Refuse a dataset that claims far more than the file holds.

    HDF5 and Zarr give fill values for those that were never written, and decompress whole chunks.

    Parameters
    ----------
    path
        The file, for messages.
    dataset
        The dataset.
    stored
        Bytes that the file holds of it.

    Raises
    ------
    InputError
        It claims more, or its chunks are far too large, or too small.
    """
    itemsize = dataset.dtype.itemsize
    n_bytes = (dataset.size or 0) * itemsize
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
        -(-length // of_chunk)
        for length, of_chunk in zip(dataset.shape, dataset.chunks, strict=True)
    )
    if size < _FEW_VALUES and n_chunks > _MANY_CHUNKS:
        raise InputError(
            f"{path}: {shown(dataset.name)} has {n_chunks:,} chunks of {size} values. Write it "
            "with larger chunks."
        )


def whole(dataset: Any, view: Any = None) -> NDArray[Any]:
    """Read all values of a dataset into memory: names, labels, offsets.

    Parameters
    ----------
    dataset
        The dataset, which has passed `in_file`.
    view
        A view of it to read in its place: its strings, or one of its fields.

    Returns
    -------
    ndarray
        Its values.

    Raises
    ------
    ValueError
        They do not fit into memory.
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
    """Read an attribute that is a string; None if there is no such attribute."""
    value = item.attrs.get(name)
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, str) else None
