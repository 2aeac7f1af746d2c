"""Install models: the official ones from their authors' repository, or from files already there.

An official file is known by its git blob id, which the package has a list of, wherever it comes
from: the authors' repository, a mirror of it, a directory. An ensemble is folded only when every
file of it has the right one, and a model appears under its name whole or not at all.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import importlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import quote

from cytotrace2_lite.errors import CytoTRACE2Error, ModelError, OutputError, UsageError
from cytotrace2_lite.models import onnx_file
from cytotrace2_lite.models.catalog import (
    BUNDLED_MODEL,
    FOLDER_VARIABLE,
    OFFICIAL_MODELS,
    describe,
    installed_model,
    is_model_name,
    models_folder,
    read_model,
)
from cytotrace2_lite.models.install.download import check_url, download, git_blob_id
from cytotrace2_lite.system.locking import try_lock
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    #: Called with a sentence, or with how far a download is.
    Report = Callable[[str | "Download"], None]

__all__ = [
    "LICENCE_TEXT",
    "LICENCE_URL",
    "MIRROR_VARIABLE",
    "Download",
    "Installation",
    "OfficialEnsemble",
    "OfficialFile",
    "from_files",
    "from_network",
    "install",
    "is_installed",
    "official_ensembles",
]

#: Environment variable with the URL of a mirror of the authors' repository.
MIRROR_VARIABLE = "CT2_LITE_MIRROR"
LICENCE = "Stanford non-commercial"
LICENCE_URL = "https://github.com/digitalcytometry/cytotrace2/blob/main/LICENSE"
LICENCE_TEXT = (
    "The weights of CytoTRACE 2 were published by Stanford University for non-commercial use only, "
    "and may not be passed on. For commercial use, write to their authors. What counts is the text "
    f"of the licence: {LICENCE_URL}"
)

_REPOSITORY = "https://raw.githubusercontent.com/digitalcytometry/cytotrace2"
_MANIFEST = Path(__file__).parents[2] / "data" / "official_models.tsv"
_BACKGROUND = "background"
_DOWNLOADS = ".downloads"  # in the models folder

_LOCK_POLL_SECONDS = 0.2
# Members have 4 to 8 MB; what is longer is something else, and is not stored.
_MAX_MEMBER_BYTES = 20 << 20
_MAX_BACKGROUND_BYTES = 64 << 20
_MAX_ENTRIES = 200_000  # files and folders looked at below a directory


class OfficialFile(NamedTuple):
    """A file of an official ensemble.

    Attributes
    ----------
    member
        Name of the member, or `"background"`.
    blob_id
        Git's name of the content: SHA-1 of `blob <size>`, a zero byte and the content, in hex.
    commit
        Commit of the authors' repository that has it.
    path
        Path in the repository.
    """

    member: str
    blob_id: str
    commit: str
    path: str

    @property
    def filename(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def max_bytes(self) -> int:
        """Size over which a file cannot be this one."""
        return _MAX_BACKGROUND_BYTES if self.member == _BACKGROUND else _MAX_MEMBER_BYTES


class OfficialEnsemble(NamedTuple):
    """An official ensemble.

    Attributes
    ----------
    name
        Name of the model.
    version
        Version of CytoTRACE 2, which is that of the architecture, too.
    members
        Its members, in the order in which the model holds them.
    background
        The matrix of control genes, which version 1.0.0 does not have.
    """

    name: str
    version: str
    members: tuple[OfficialFile, ...]
    background: OfficialFile | None

    @property
    def files(self) -> tuple[OfficialFile, ...]:
        """The members, and the background where there is one."""
        return self.members if self.background is None else (*self.members, self.background)


class Download(NamedTuple):
    """How far the download of one file of several is.

    Attributes
    ----------
    number, n_files
        Which file, from 1, and how many there are.
    name
        Name of the file.
    n_bytes
        Bytes that are there.
    done
        Whether the file is complete and is the official one.
    """

    number: int
    n_files: int
    name: str
    n_bytes: int
    done: bool


@dataclass(frozen=True)
class Installation:
    """What is to be installed, found usable as far as can be told without downloading.

    Attributes
    ----------
    name
        Name of the model.
    official
        Version of the official ensemble it is, whose licence applies; else empty.
    content
        Function that gives the content of the model file, from the models folder and a function
        to call with what is going on.
    """

    name: str
    official: str
    content: Callable[[Path, Report], bytes]


def official_ensembles() -> dict[str, OfficialEnsemble]:
    """Read the package's list of official files.

    Returns
    -------
    dict
        Ensembles by the name of the model, in the order of `OFFICIAL_MODELS`.
    """
    files: dict[str, list[OfficialFile]] = {version: [] for version in OFFICIAL_MODELS.values()}
    with _MANIFEST.open(newline="", encoding="utf-8") as table:
        for version, *fields in list(csv.reader(table, delimiter="\t"))[1:]:
            files[version].append(OfficialFile(*fields))
    ensembles = {}
    for name, version in OFFICIAL_MODELS.items():
        members = tuple(file for file in files[version] if file.member != _BACKGROUND)
        background = next((file for file in files[version] if file.member == _BACKGROUND), None)
        ensembles[name] = OfficialEnsemble(name, version, members, background)
    return ensembles


def from_network(name: str, mirror: str | None = None) -> Installation:
    """Prepare the installation of an official model from the authors' repository.

    Nothing is downloaded before `install`.

    Parameters
    ----------
    name
        A name of `OFFICIAL_MODELS`.
    mirror
        URL below which the files have the paths of the repository. None: what `CT2_LITE_MIRROR`
        says; else the repository itself, at the commit of the package's list.

    Returns
    -------
    Installation
        What to pass to `install`.

    Raises
    ------
    UsageError
        The mirror is no such URL.
    CytoTRACE2Error
        The `export` extra (onnx) is not installed.
    """
    ensemble = official_ensembles()[name]
    mirror = mirror or os.environ.get(MIRROR_VARIABLE)
    base = check_url(mirror) if mirror else ""
    _require_onnx()

    def content(folder: Path, report: Report) -> bytes:
        return _fold(ensemble, _download(ensemble, base, folder / _DOWNLOADS, report), report)

    return Installation(name, ensemble.version, content)


def from_files(source: Path, official: str | None = None, name: str | None = None) -> Installation:
    """Prepare the installation of a model from files already there.

    Parameters
    ----------
    source
        A directory with the `.pt` files of an ensemble in it or below it, or a model file.
    official
        A name of `OFFICIAL_MODELS` where only that model will do.
    name
        Name to install the model under; by default the official name, or what a model file says.
        Needed for members that are not the official ones.

    Returns
    -------
    Installation
        What to pass to `install`.

    Raises
    ------
    ModelError
        There is no complete ensemble, or no usable model file.
    UsageError
        The name cannot be used, or one is needed.
    CytoTRACE2Error
        The `export` extra (onnx) is needed and not installed.
    """
    if name is not None and (name == BUNDLED_MODEL or not is_model_name(name)):
        raise UsageError(
            f"--name {shown(name)}: give another name: lower-case letters, digits, '.', '_' and "
            f"'-', not {BUNDLED_MODEL!r}, which is the bundled model."
        )
    try:
        source.stat()
        prepare = _from_directory if source.is_dir() else _from_model_file
        installation = prepare(source, official, name)
    except OSError as error:
        raise _unreadable(source, error) from error
    expected = OFFICIAL_MODELS.get(installation.name)
    if expected is not None and installation.official != expected:
        raise UsageError(
            f"{source}: not the official ensemble of version {expected}, so it cannot be installed "
            f"as {installation.name}. Give another name with --name."
        )
    return installation


def is_installed(installation: Installation) -> bool:
    """Tell whether there is nothing to do.

    Parameters
    ----------
    installation
        Of `from_network` or `from_files`.

    Returns
    -------
    bool
        True where the official model is installed and whole.

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
    """Install a model; the licence must have been accepted.

    Parameters
    ----------
    installation
        Of `from_network` or `from_files`.
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
        nothing was installed; files downloaded so far are kept, and are not downloaded again.
    UsageError
        As `is_installed`.
    """
    from cytotrace2_lite.system.files import remove_abandoned, write_whole

    folder = models_folder()
    path = folder / f"{installation.name}.onnx"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder, report):
            if is_installed(installation):  # by another process, while this one waited
                return path
            remove_abandoned(folder)
            write_whole({path: installation.content(folder, report)})
            _forget_downloads(folder / _DOWNLOADS, installation.official)
    except (OSError, OutputError) as error:
        reason = error if isinstance(error, OSError) else error.__cause__
        raise ModelError(
            f"{getattr(reason, 'filename', None) or folder}: cannot be written "
            f"({getattr(reason, 'strerror', None) or reason}). {installation.name} was not "
            f"installed. Make room there, or set {FOLDER_VARIABLE} to a folder that can be written."
        ) from error
    return path


def _from_directory(source: Path, official: str | None, name: str | None) -> Installation:
    blob_ids = _pytorch_files(source)
    if not blob_ids:
        raise ModelError(f"{source}: no .pt file in this directory or below it.")
    by_id = {blob_id: path for path, blob_id in blob_ids.items()}
    ensembles = official_ensembles()
    candidates = [ensembles[official]] if official else list(ensembles.values())
    known = {file.blob_id for ensemble in ensembles.values() for file in ensemble.files}
    strangers = [
        path
        for path, blob_id in blob_ids.items()
        if blob_id not in known and path.name != f"{_BACKGROUND}.pt"
    ]
    complete = [one for one in candidates if all(file.blob_id in by_id for file in one.files)]
    if len(complete) > 1:
        raise UsageError(
            f"{source}: has several official ensembles. Say which: "
            f"ct2-lite models install {complete[0].name} --from {source}"
        )
    if complete:
        ensemble = complete[0]
        folders = {by_id[file.blob_id].parent for file in ensemble.members}
        extra = next((path for path in strangers if path.parent in folders), None)
        if extra is None:
            _require_onnx()
            return Installation(
                name or ensemble.name,
                ensemble.version,
                lambda _, report: _fold(ensemble, by_id, report),
            )
        if name is None or official is not None:
            raise ModelError(
                f"{extra}: does not belong to {ensemble.name}, whose members are all there. Move "
                "it elsewhere."
            )
    if name is None or official is not None:
        raise _incomplete(source, candidates, blob_ids, strangers)
    return _from_own_members(source, list(blob_ids), name)


def _from_own_members(source: Path, paths: list[Path], name: str) -> Installation:
    from cytotrace2_lite.models.fold.export import export, find_background, member_version

    members = [path for path in paths if path.name != f"{_BACKGROUND}.pt"]
    folders = sorted({path.parent for path in members})
    if len(folders) != 1:
        places = ", ".join(map(str, folders)) or "none"
        raise ModelError(
            f"{source}: the members of an ensemble must be in one directory (here: {places}). "
            "Give that directory."
        )
    version = member_version(members[0])
    (ensemble,) = (one for one in official_ensembles().values() if one.version == version)
    n_members = len(ensemble.members)
    if len(members) != n_members:
        raise ModelError(
            f"{folders[0]}: {len(members)} members, not {n_members}, as an ensemble of version "
            f"{version} has. Complete it, or take away what does not belong to it."
        )
    if ensemble.background is not None:
        try:
            find_background(folders[0])
        except ModelError:
            raise ModelError(
                f"{folders[0]}: background.pt is neither in this directory nor in its parent; "
                f"members of version {version} need it."
            ) from None
    _require_onnx()

    def content(_: Path, report: Report) -> bytes:
        report(f"Folding {n_members} members that are not the official ones.")
        return export(folders[0], name=name, n_members=n_members)[1]

    return Installation(name, "", content)


def _from_model_file(source: Path, official: str | None, name: str | None) -> Installation:
    from cytotrace2_lite.models.ensemble import Ensemble

    content = read_model(source)
    Ensemble.load(source)  # it must not only be whole, but also run
    entries = onnx_file.metadata(content)
    version = entries.get("official", "")
    if version and not _has_official_sources(entries, version):
        raise ModelError(
            f"{source}: says that it is the official ensemble of version {version}, but names "
            "other files as its sources. Get it anew with ct2-lite models install."
        )
    if official is not None and version != OFFICIAL_MODELS[official]:
        raise ModelError(f"{source}: not {official}, but {entries['name']}.")
    wanted = name or entries["name"]
    if wanted == BUNDLED_MODEL or not is_model_name(wanted):
        raise UsageError(
            f"{source}: {shown(wanted)} cannot be its name here. Give one with --name."
        )

    def give(_: Path, report: Report) -> bytes:
        if version:
            report(
                "The file is whole, and says that it was folded from the official files. That is "
                "the word of whoever made it; only an installation from the members checks them."
            )
        return content

    return Installation(wanted, version, give)


def _pytorch_files(source: Path) -> dict[Path, str]:
    """Git blob id of every `.pt` file in a directory and below; empty for one that is too big."""
    found = {}
    n_entries = 0
    for folder, folders, files in os.walk(source):
        folders.sort()
        n_entries += len(folders) + len(files)
        if n_entries > _MAX_ENTRIES:
            raise ModelError(
                f"{source}: more than {_MAX_ENTRIES:,} files below it. Give the directory that "
                "holds the .pt files."
            )
        for path in sorted(Path(folder, file) for file in files if file.endswith(".pt")):
            if not path.is_file():  # a dangling link, a pipe
                continue
            too_big = path.stat().st_size > _MAX_BACKGROUND_BYTES
            found[path] = "" if too_big else git_blob_id(path)
    return found


def _incomplete(
    source: Path,
    candidates: list[OfficialEnsemble],
    blob_ids: Mapping[Path, str],
    strangers: list[Path],
) -> ModelError:
    """Say what an ensemble lacks, of the one that lacks least."""
    present = set(blob_ids.values())

    def count(ensemble: OfficialEnsemble) -> int:
        return sum(file.blob_id in present for file in ensemble.members)

    nearest = max(candidates, key=count)
    odd = f" By its digest {strangers[0]} is no official file." if strangers else ""
    own = " An ensemble that is not the official one is installed with --name NAME."
    if count(nearest) == 0:
        return ModelError(f"{source}: holds no member of {nearest.name}.{odd}{own}")
    missing = [file.filename for file in nearest.files if file.blob_id not in present]
    names = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return ModelError(
        f"{source}: has {count(nearest)} of the {len(nearest.members)} members of {nearest.name}; "
        f"missing: {names}.{odd}{own if odd else ' Complete the directory.'}"
    )


def _has_official_sources(entries: Mapping[str, str], version: str) -> bool:
    for ensemble in official_ensembles().values():
        if ensemble.version == version == entries["architecture"]:
            stated = json.loads(entries["sources"])
            return [
                source.get("git_blob_sha1") if isinstance(source, dict) else None
                for source in stated
            ] == [file.blob_id for file in ensemble.files]
    return False


def _unreadable(path: Path, error: OSError) -> ModelError:
    return ModelError(
        f"{error.filename or path}: cannot be read ({error.strerror}). Check the path, and who may "
        "read it."
    )


def _require_onnx() -> None:
    try:
        importlib.import_module("onnx")
    except ImportError as error:
        raise CytoTRACE2Error(
            "Folding the members of an ensemble needs the package onnx, which is not installed: "
            "pip install 'cytotrace2-lite[export]'. Nothing was downloaded or installed."
        ) from error


def _download(
    ensemble: OfficialEnsemble, base: str, folder: Path, report: Report
) -> dict[str, Path]:
    """Fetch the files of an ensemble that are not there yet; blob id to path."""
    folder.mkdir(exist_ok=True)
    report(f"Downloading {ensemble.name} from {base or _REPOSITORY}")
    files = {}
    for index, file in enumerate(ensemble.files, 1):
        path = files[file.blob_id] = folder / file.blob_id

        def step(n_bytes: int, done: bool = False, i: int = index, f: OfficialFile = file) -> None:
            report(Download(i, len(ensemble.files), f.filename, n_bytes, done))

        if not path.is_file() or git_blob_id(path) != file.blob_id:
            download(
                f"{base or f'{_REPOSITORY}/{file.commit}'}/{quote(file.path)}",
                path,
                blob_id=file.blob_id,
                max_bytes=file.max_bytes,
                progress=step,
                say=report,
            )
        step(path.stat().st_size, done=True)
    return files


def _forget_downloads(folder: Path, version: str) -> None:
    for ensemble in official_ensembles().values():
        if ensemble.version == version:
            for file in ensemble.files:
                for name in (file.blob_id, f"{file.blob_id}.part"):
                    (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another version's files may be in it
        folder.rmdir()


def _fold(ensemble: OfficialEnsemble, files: Mapping[str, Path], report: Report) -> bytes:
    """Fold an official ensemble; equal files give equal bytes, whatever their names."""
    from cytotrace2_lite.models.fold.export import fold_members, read_background, to_onnx

    report(f"Folding {len(ensemble.members)} members.")
    sources = []
    for file in ensemble.files:
        path = files[file.blob_id]
        try:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            unchanged = git_blob_id(path) == file.blob_id
        except OSError as error:
            raise _unreadable(path, error) from error
        if not unchanged:
            raise ModelError(f"{path}: was changed since it was checked. Start again.")
        sources.append({"name": file.filename, "sha256": sha256, "git_blob_sha1": file.blob_id})
    background = None
    if ensemble.background is not None:
        background = read_background(files[ensemble.background.blob_id])
    members = [files[file.blob_id] for file in ensemble.members]
    folded = fold_members(members, ensemble.version, background)
    metadata = {
        "name": ensemble.name,
        "licence": LICENCE,
        "licence_text": LICENCE_TEXT,
        "official": ensemble.version,
        "sources": json.dumps(sources),
    }
    return to_onnx(folded, metadata)


@contextlib.contextmanager
def _lock(folder: Path, report: Report) -> Iterator[None]:
    """Keep other processes from installing into a folder; the lock ends with the process."""
    with (folder / ".lock").open("ab") as file:
        told = False
        while not _try_lock(file):
            if not told:
                report("Another process is installing a model here; waiting for it to end.")
                told = True
            time.sleep(_LOCK_POLL_SECONDS)
        yield


def _try_lock(file: BinaryIO) -> bool:
    try:
        return try_lock(file)
    except OSError:
        # A file system without locks: two processes might download twice, but each file is checked
        # after the download and the model is still written whole.
        return True
