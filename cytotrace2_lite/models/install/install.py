"""Install a model: it appears under its name whole, or not at all."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from cytotrace2_lite.errors import ModelError, OutputError, UsageError
from cytotrace2_lite.models.catalog import describe
from cytotrace2_lite.models.install.official import official_ensembles
from cytotrace2_lite.models.installed import (
    FOLDER_VARIABLE,
    OFFICIAL_MODELS,
    SUFFIX,
    installed_model,
    models_folder,
)
from cytotrace2_lite.system.files import remove_abandoned, write_whole
from cytotrace2_lite.system.locking import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cytotrace2_lite.models.install.installation import Installation, Report

__all__ = ["install", "is_installed"]

_DOWNLOADS = ".downloads"  # in the models folder
_LOCK_POLL_SECONDS = 0.2


def is_installed(installation: Installation) -> bool:
    """Tell whether an official model is installed already.

    Parameters
    ----------
    installation
        From `from_network` or `from_files`.

    Returns
    -------
    bool
        True where it is installed and whole.

    Raises
    ------
    UsageError
        A model of that name is installed that is not an official one: it is not overwritten.
    """
    path = installed_model(installation.name)
    if path is None:
        return False
    if installation.name in OFFICIAL_MODELS:
        model = describe(path)
        return not model.problem and model.official == installation.official
    raise UsageError(
        f"{installation.name}: a model of this name is installed. Remove it first "
        f"(ct2-lite models remove {installation.name}), or choose another --name."
    )


def install(installation: Installation, report: Report = lambda _: None) -> Path:
    """Install a model. Its licence must have been accepted before.

    Parameters
    ----------
    installation
        From `from_network` or `from_files`.
    report
        Called with sentences on what is going on, and with each step of a download.

    Returns
    -------
    Path
        The installed file.

    Raises
    ------
    ModelError
        A file cannot be downloaded or written, is not the right one, or is not usable. Then
        nothing was installed. Files downloaded so far are kept, and are not downloaded again.
    UsageError
        As for `is_installed`.
    """
    folder = models_folder()
    path = folder / f"{installation.name}{SUFFIX}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder, report):
            if is_installed(installation):  # by another process, while this one waited
                return path
            remove_abandoned(folder)
            write_whole({path: installation.content(folder / _DOWNLOADS, report)})
            _remove_downloads(folder / _DOWNLOADS, installation.official)
    except (OSError, OutputError) as error:
        reason = error if isinstance(error, OSError) else error.__cause__
        raise ModelError(
            f"{getattr(reason, 'filename', None) or folder}: cannot be written "
            f"({getattr(reason, 'strerror', None) or reason}). {installation.name} was not "
            f"installed. Make room there, or set {FOLDER_VARIABLE} to a folder that can be written."
        ) from error
    return path


@contextlib.contextmanager
def _lock(folder: Path, report: Report) -> Iterator[None]:
    """Keep other processes from installing into a folder; the lock ends with the process."""
    with (folder / ".lock").open("ab") as file:
        is_first = True
        # On a file system without locks (None), two processes might download the same files. That
        # does no harm: each file is verified, and a model is written whole.
        while try_lock(file) is False:
            if is_first:
                report("Another process is installing a model here; waiting for it to end.")
                is_first = False
            time.sleep(_LOCK_POLL_SECONDS)
        yield


def _remove_downloads(folder: Path, version: str) -> None:
    """Remove the downloaded files of a version, once they are folded."""
    for ensemble in official_ensembles().values():
        if ensemble.version == version:
            for file in ensemble.files:
                for name in (file.blob_id, f"{file.blob_id}.part"):
                    (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # files of another version may be in it
        folder.rmdir()
