"""Files that are written whole or not at all, and read whole."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cytotrace2_lite.errors import InputError, OutputError, UsageError
from cytotrace2_lite.system.locking import try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = [
    "check_replaceable",
    "prepare_directory",
    "read_whole",
    "refuse_to_replace",
    "remove_abandoned",
    "removed_on_error",
    "require_writable",
    "write_whole",
]

_PART_SUFFIX = ".ct2-lite-part"
# Of any file of a run, so that each run removes what others of other formats have left.
_PART = re.compile(rf"\..+\.[0-9a-f]{{16}}{re.escape(_PART_SUFFIX)}", re.DOTALL)
_ABANDONED_SECONDS = 24 * 3600  # where no lock tells
_LONGEST_NAME = 255  # bytes, on all common file systems
_LARGEST = 1 << 30  # of what is read as a whole


def prepare_directory(directory: str | os.PathLike[str]) -> Path:
    """Make a directory for results and see that a file can be made in it.

    Parameters
    ----------
    directory
        Made with its parents where it does not exist.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    OutputError
        It cannot be made or written.
    """
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_place(folder, error) from error
    require_writable(folder)
    return folder


def require_writable(folder: Path, option: str = "-o/--output-dir") -> None:
    """See that a file can be made in a directory, and clear it of what killed runs have left.

    Parameters
    ----------
    folder
        The directory.
    option
        What names it, for the message.

    Raises
    ------
    OutputError
        It cannot be written, or does not exist.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _no_place(folder, error, option) from error
    remove_abandoned(folder)


def check_replaceable(paths: Iterable[Path]) -> None:
    """See that files can be put where others may be, before there is anything to put there.

    Parameters
    ----------
    paths
        Of the files to come, in directories that exist.

    Raises
    ------
    OutputError
        A name is too long, a directory is in its place, or the file there belongs to another user
        in a directory where only owners may replace files (the sticky bit, as /tmp has).
    """
    for path in paths:
        try:
            there = path.lstat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _not_written(path, error) from error
        if path.is_dir():
            raise _not_written(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
        if sys.platform != "win32":
            folder = path.parent.stat()
            user = os.geteuid()
            if folder.st_mode & stat.S_ISVTX and user not in {0, there.st_uid, folder.st_uid}:
                raise _not_written(path, PermissionError(errno.EPERM, os.strerror(errno.EPERM)))


def refuse_to_replace(inputs: Iterable[Any], targets: Iterable[Path]) -> None:
    """Refuse results that would take the place of a file that is read.

    Parameters
    ----------
    inputs
        What is read; only those that are paths count.
    targets
        The files that are to be written.

    Raises
    ------
    UsageError
        It names the first such file.
    """
    there = {identity: target for target in targets if (identity := _identity(target))}
    for given in inputs:
        identity = _identity(given) if isinstance(given, (str, os.PathLike)) else None
        if identity is not None and (target := there.get(identity)):
            raise UsageError(
                f"{target}: this file is an input of the run, and the results would take its "
                "place. Choose another directory (-o/--output-dir) or rename the file."
            )


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 (a path as given may hold a NUL)
    except (OSError, ValueError):  # it is not there, or can be none
        return None
    return status.st_dev, status.st_ino


@contextlib.contextmanager
def removed_on_error(folder: Path | None) -> Iterator[None]:
    """Remove a new directory if an error comes and there is nothing in it; None for none.

    Parameters
    ----------
    folder
        That was made, or is to be.
    """
    try:
        yield
    except BaseException:
        if folder is not None:
            with contextlib.suppress(OSError):
                folder.rmdir()  # where there is nothing in it
        raise


def write_whole(
    contents: Mapping[Path, bytes | Callable[[Path], None]],
    *,
    ready: Callable[[], None] | None = None,
) -> None:
    """Write files so that none of them is at any time seen in part, and all or none are replaced.

    Parameters
    ----------
    contents
        Path to content, or to a function that writes it to the path it is given; files that exist
        are replaced, after all the new ones lie on the disk.
    ready
        Called when all is on the disk, before the first file is replaced.

    Raises
    ------
    OutputError
        A file cannot be written; earlier files of these names are as they were.
    """
    parts: dict[Path, Path] = {}
    path = next(iter(contents))
    with contextlib.ExitStack() as stack:
        try:
            check_replaceable(contents)
            for path, content in contents.items():
                parts[path], file = _new_part(path)
                stack.enter_context(file)
                if callable(content):
                    content(parts[path])
                else:
                    parts[path].write_bytes(content)
                os.fsync(file.fileno())
                if sys.platform == "win32":  # where an open file cannot be moved
                    file.close()
            if ready is not None:
                ready()
            with _undone_on_error() as replace:
                for path, part in parts.items():
                    replace(part, path)
        except OSError as error:
            raise _not_written(path, error) from error
        finally:
            for part in parts.values():
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)


@contextlib.contextmanager
def _undone_on_error() -> Iterator[Callable[[Path, Path], None]]:
    """Give a function that moves a file over another; an error undoes all these moves."""
    done: list[tuple[Path, Path | None]] = []

    def replace(part: Path, path: Path) -> None:
        old = _second_name(path)
        done.append((path, old))
        try:
            part.replace(path)
        except OSError:
            done.pop()
            if old is not None:
                old.unlink()
            raise

    try:
        yield replace
    except BaseException:
        for path, old in reversed(done):
            with contextlib.suppress(OSError):
                if old is None:
                    path.unlink()
                else:
                    old.replace(path)
                    # Two names of one file, as where it was not replaced yet, both stay.
                    old.unlink(missing_ok=True)
        raise
    for _, old in done:
        if old is not None:
            with contextlib.suppress(OSError):
                old.unlink()


def _second_name(path: Path) -> Path | None:
    """Give a file another name, under which it stays when the first is taken; None for no file."""
    if not os.path.lexists(path):
        return None
    old = _part_name(path)
    try:
        os.link(path, old, follow_symlinks=False)
    except (OSError, NotImplementedError):  # a file system without links, another user's file
        shutil.copy2(path, old, follow_symlinks=False)
    return old


def remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed while they wrote files have left in a directory.

    Parameters
    ----------
    folder
        Where `write_whole` has written. Files that another process is writing stay.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _PART.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(Path(entry.path))


def _part_name(path: Path) -> Path:
    """Make up a hidden name beside a file, which is no longer than names may be."""
    end = f".{secrets.token_hex(8)}{_PART_SUFFIX}"
    start = path.name.encode(errors="surrogateescape")[: _LONGEST_NAME - len(end) - 1]
    return path.with_name(f".{start.decode(errors='ignore')}{end}")


def _not_written(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path}: cannot write the file ({error.strerror or error}). Choose another place for it."
    )


def _new_part(path: Path) -> tuple[Path, IO[bytes]]:
    """Make the file that will replace another one; its lock tells others that it is in use."""
    while True:
        part = _part_name(path)
        file = part.open("xb")
        is_taken = sys.platform != "win32" and try_lock(file) is False
        # Before it was locked, another process may have thought that it was abandoned.
        if not is_taken and part.exists():
            return part, file
        file.close()


def _remove_if_abandoned(part: Path) -> None:
    with part.open("rb+") as file:
        # On Windows, a file that is open cannot be removed.
        locked = None if sys.platform == "win32" else try_lock(file)
        if locked:
            part.unlink()
    if locked is None and time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
        part.unlink()


def _no_place(folder: Path, error: OSError, option: str = "-o/--output-dir") -> OutputError:
    return OutputError(
        f"{folder}: cannot write results here ({error.strerror}). "
        f"Choose another directory ({option})."
    )


def read_whole(path: str | os.PathLike[str]) -> bytes:
    """Read a file that is held in memory: what goes with the expression, and results.

    Parameters
    ----------
    path
        The file, or a pipe.

    Returns
    -------
    bytes
        All of it.

    Raises
    ------
    InputError
        It is larger than any such file, as a device that never ends.
    OSError, ValueError
        It cannot be read.
    """
    with Path(path).open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise InputError(
            f"{path}: the file has more than {_LARGEST >> 20} MiB. Give a table with a line per "
            "cell or gene."
        )
    return content
