"""Where a Zarr store is: a directory or a zip archive, with a list of all that is in it.

The list is made once. Names, metadata and the question whether a chunk is there are answered from
it, so that nothing outside the store is touched, whatever its metadata say.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cytotrace2_lite.read._file import InputFile

__all__ = ["ROOTS", "Store", "StoreDirectory", "in_zip", "is_store_directory"]

#: What the root of a store holds: of format 2, and of format 3.
ROOTS = (".zgroup", "zarr.json")
_LARGEST_METADATA = 1 << 26
_LARGEST_MEMBER = 1 << 30  # of an archive: it is read whole
_STEP = 1 << 20


class Store(NamedTuple):
    """A store that is open.

    Attributes
    ----------
    path
        How messages name it.
    sizes
        Bytes of each file in it, by its path from the root with slashes.
    zarr
        The store as the package zarr takes it.
    prefix
        What precedes the path of a node for the package zarr; empty, or ending with a slash.
    archive
        The zip archive; None for a directory.
    """

    path: str
    sizes: dict[str, int]
    zarr: Any
    prefix: str = ""
    archive: zipfile.ZipFile | None = None

    def metadata(self, name: str) -> bytes | None:
        """Read a file of metadata.

        Parameters
        ----------
        name
            Its path from the root.

        Returns
        -------
        bytes or None
            None if there is none.

        Raises
        ------
        ValueError
            It is far too large, or damaged.
        """
        if name not in self.sizes:
            return None
        if self.sizes[name] > _LARGEST_METADATA:
            raise ValueError(f"{name} has {self.sizes[name]:,} bytes")
        if self.archive is not None:
            try:
                return self.archive.read(self.prefix + name)
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise ValueError(f"{name}: {error}") from None
        with open(os.path.join(self.path, name), "rb") as file:  # noqa: PTH118, PTH123 (as given)
            return file.read()


class StoreDirectory:
    """A directory that is a Zarr store, with what is asked of an `InputFile`.

    Parameters
    ----------
    path
        The directory.

    Attributes
    ----------
    path
        The path as given.
    name
        How messages name it.
    sizes
        Bytes of each file in it, by its path from the root.
    n_bytes
        The sum of these.
    times
        When each was changed last, in ns.

    Raises
    ------
    InputError
        It cannot be read, or has a link or something that is neither file nor directory.
    """

    def __init__(self, path: str) -> None:
        self.path = self.name = path
        self._files = self._list()
        self.sizes = {name: size for name, (size, *_) in self._files.items()}
        self.n_bytes = sum(self.sizes.values())
        self.times = {name: time for name, (_, time, _) in self._files.items()}

    def close(self) -> None:
        """Do nothing: each file is open only while it is read."""

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Raise if a file of the store is not what it was when it was listed.

        This is checked before and after the body of the `with` statement, as of an `InputFile`.

        Raises
        ------
        InputError
            One was added, changed, replaced or removed.
        """
        self._check()
        try:
            yield
        except Exception:
            self._check()
            raise
        self._check()

    def digest(self) -> tuple[int, str]:
        """Give the size and a SHA-256 of all files.

        The digest is that of lines as `sha256sum` writes them, one per file, in the order of the
        bytes of their paths: `HEX  ./PATH`.

        Returns
        -------
        tuple
            Bytes, and the hex digest.

        Raises
        ------
        InputError
            A file cannot be read.
        """
        lines = hashlib.sha256()
        for name in sorted(self.sizes, key=os.fsencode):
            sha256 = hashlib.sha256()
            try:
                with open(os.path.join(self.path, name), "rb", buffering=0) as file:  # noqa: PTH118, PTH123
                    while data := file.read(_STEP):
                        sha256.update(data)
            except OSError as error:
                raise _unreadable(os.path.join(self.path, name), error) from None  # noqa: PTH118
            lines.update(f"{sha256.hexdigest()}  ./".encode() + os.fsencode(name) + b"\n")
        return self.n_bytes, lines.hexdigest()

    def _check(self) -> None:
        if self._list() != self._files:
            raise InputError(
                f"{self.name}: the store changed while it was read. Start again when it is "
                "complete."
            ) from None

    def _list(self) -> dict[str, tuple[int, int, int]]:
        """List all files: path from the root to size, time and number."""
        found = {}
        folders = [""]
        while folders:
            folder = folders.pop()
            where = os.path.join(self.path, folder) if folder else self.path  # noqa: PTH118
            try:
                with os.scandir(where) as entries:
                    for entry in entries:
                        name = f"{folder}/{entry.name}" if folder else entry.name
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISDIR(status.st_mode):
                            folders.append(name)
                        elif stat.S_ISREG(status.st_mode):
                            found[name] = (status.st_size, status.st_mtime_ns, status.st_ino)
                        else:
                            raise self._no_file(name, is_link=stat.S_ISLNK(status.st_mode))
            except InputError:
                raise
            except (OSError, ValueError) as error:
                raise _unreadable(where, error) from None
        return found

    def _no_file(self, name: str, *, is_link: bool) -> InputError:
        what = "a link, which is not followed" if is_link else "neither a file nor a directory"
        return InputError(
            f"{self.name}: {shown(name)} is {what}. Copy the store with its files in it."
        )


def is_store_directory(path: str) -> bool:
    """Tell whether a directory is a Zarr store.

    Parameters
    ----------
    path
        The directory.
    """
    return any(os.path.isfile(os.path.join(path, name)) for name in ROOTS)  # noqa: PTH113, PTH118


def in_zip(file: InputFile) -> tuple[dict[str, int], str, zipfile.ZipFile] | None:
    """Find a Zarr store in a zip archive: at its top, or in the one folder that is there.

    Parameters
    ----------
    file
        The archive, on disk.

    Returns
    -------
    tuple or None
        Bytes of each file, by its path from the root of the store; what precedes these paths in
        the archive; and the archive. None if there is no store in it.

    Raises
    ------
    InputError
        It has two files of one name, or a name that leads out of it.
    """
    try:
        archive = zipfile.ZipFile(file.anywhere())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    members = [member for member in archive.infolist() if not member.is_dir()]
    names = {member.filename for member in members}
    tops = {name.partition("/")[0] for name in names}
    prefix = ""
    if not names.intersection(ROOTS):
        prefix = f"{tops.pop()}/" if len(tops) == 1 else ""
        if not prefix or not names.intersection(prefix + root for root in ROOTS):
            archive.close()
            return None
    sizes: dict[str, int] = {}
    for member in members:
        parts = member.filename.split("/")
        if {"", ".", ".."} & set(parts) or "\\" in member.filename or ":" in parts[0]:
            raise InputError(
                f"{file.name}: the zip archive has a file called {shown(member.filename)}, which "
                "may lead out of it. Make the archive again."
            )
        name = member.filename.removeprefix(prefix)
        if name in sizes:
            raise InputError(
                f"{file.name}: the zip archive has two files called {shown(name)}. Make it again."
            )
        if member.file_size > _LARGEST_MEMBER:
            raise InputError(
                f"{file.name}: {shown(name)} has more than 1 GiB, and a file in a zip archive is "
                "read whole. Unpack the archive and give the directory."
            )
        sizes[name] = member.file_size
    return sizes, prefix, archive


def _unreadable(path: str, error: OSError | ValueError) -> InputError:
    reason = getattr(error, "strerror", None) or error
    return InputError(f"{path}: cannot be read ({reason}).")
