"""Where a model to install comes from: the authors' repository, a directory, or a model file.

An official ensemble is folded only when every file of it has the digest of the package's list.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cytotrace2_lite.errors import CytoTRACE2Error, ModelError, UsageError
from cytotrace2_lite.models import onnx_file
from cytotrace2_lite.models.install.download import download_ensemble, mirror_url
from cytotrace2_lite.models.install.installation import Installation
from cytotrace2_lite.models.install.official import (
    BACKGROUND,
    LICENCE,
    LICENCE_TEXT,
    MAX_BACKGROUND_BYTES,
    git_blob_id,
    has_official_sources,
    official_ensembles,
)
from cytotrace2_lite.models.installed import (
    BUNDLED_MODEL,
    BUNDLED_NAMES,
    OFFICIAL_MODELS,
    is_model_name,
)
from cytotrace2_lite.models.sealed import read_model
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cytotrace2_lite.models.install.installation import Report
    from cytotrace2_lite.models.install.official import OfficialEnsemble

__all__ = ["MIRROR_VARIABLE", "from_files", "from_network"]

#: Environment variable with the URL of a mirror of the authors' repository.
MIRROR_VARIABLE = "CT2_LITE_MIRROR"

_MAX_ENTRIES = 200_000  # files and folders looked at below a directory


def from_network(name: str, mirror: str | None = None) -> Installation:
    """Prepare the installation of an official model from the authors' repository.

    Nothing is downloaded before `install` is called.

    Parameters
    ----------
    name
        A name of `OFFICIAL_MODELS`.
    mirror
        URL below which the files have the paths of the repository. None: what `CT2_LITE_MIRROR`
        says; if it is not set, the repository itself, at the commit of the package's list.

    Returns
    -------
    Installation
        What to pass to `install`.

    Raises
    ------
    UsageError
        The mirror is not such a URL.
    CytoTRACE2Error
        The `export` extra (onnx) is not installed.
    """
    ensemble = official_ensembles()[name]
    mirror = mirror or os.environ.get(MIRROR_VARIABLE)
    base = mirror_url(mirror) if mirror else ""
    _require_onnx()

    def content(downloads: Path, report: Report) -> bytes:
        return _fold(ensemble, download_ensemble(ensemble, base, downloads, report), report)

    return Installation(name, ensemble.version, content)


def from_files(source: Path, official: str | None = None, name: str | None = None) -> Installation:
    """Prepare the installation of a model from files that are there already.

    Parameters
    ----------
    source
        A directory with the `.pt` files of an ensemble in it or below it, or a model file.
    official
        A name of `OFFICIAL_MODELS` if no other model is wanted.
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
    if name is not None and (name in BUNDLED_NAMES or not is_model_name(name)):
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


def _from_directory(source: Path, official: str | None, name: str | None) -> Installation:
    """Find out whether the files of a directory are an official ensemble, or members of another."""
    blob_ids = _pytorch_files(source)
    if not blob_ids:
        raise ModelError(f"{source}: no .pt file in this directory or below it.")
    by_id = {blob_id: path for path, blob_id in blob_ids.items()}
    ensembles = official_ensembles()
    candidates = [ensembles[official]] if official else list(ensembles.values())
    known = {file.blob_id for ensemble in ensembles.values() for file in ensemble.files}
    unofficial = [
        path
        for path, blob_id in blob_ids.items()
        if blob_id not in known and path.name != f"{BACKGROUND}.pt"
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
        extra = next((path for path in unofficial if path.parent in folders), None)
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
        raise _incomplete(source, candidates, blob_ids, unofficial)
    return _from_own_members(source, list(blob_ids), name)


def _from_own_members(source: Path, paths: list[Path], name: str) -> Installation:
    """Prepare members that are not the official ones, once they are as many as those."""
    from cytotrace2_lite.models.fold.export import export
    from cytotrace2_lite.models.fold.members import find_background, member_version

    members = [path for path in paths if path.name != f"{BACKGROUND}.pt"]
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
            f"{version} has. Complete it, or remove what does not belong to it."
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
    """Prepare a copy of a model file."""
    from cytotrace2_lite.models.ensemble import Ensemble

    content = read_model(source).content
    Ensemble.load(source)  # it must be whole, and it must run
    entries = onnx_file.metadata(content)
    version = entries.get("official", "")
    if version and not has_official_sources(entries, version):
        raise ModelError(
            f"{source}: says that it is the official ensemble of version {version}, but names "
            "other files as its sources. Get it anew with ct2-lite models install."
        )
    if official is not None and version != OFFICIAL_MODELS[official]:
        raise ModelError(f"{source}: not {official}, but {entries['name']}.")
    chosen = name or entries["name"]
    if chosen in BUNDLED_NAMES or not is_model_name(chosen):
        raise UsageError(
            f"{source}: {shown(chosen)} cannot be its name here. Give one with --name."
        )

    def give(_: Path, report: Report) -> bytes:
        if version:
            report(
                "The file is whole, and says that it was folded from the official files. Anybody "
                "could write that; only an installation from the members compares their digests."
            )
        return content

    return Installation(chosen, version, give)


def _pytorch_files(source: Path) -> dict[Path, str]:
    """Git blob id of every `.pt` file in a directory and below; empty for one that is too long."""
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
            is_longer = path.stat().st_size > MAX_BACKGROUND_BYTES
            found[path] = "" if is_longer else git_blob_id(path)
    return found


def _incomplete(
    source: Path,
    candidates: list[OfficialEnsemble],
    blob_ids: Mapping[Path, str],
    unofficial: list[Path],
) -> ModelError:
    """Say which files are missing from the official ensemble that is most complete."""
    present = set(blob_ids.values())

    def count(ensemble: OfficialEnsemble) -> int:
        return sum(file.blob_id in present for file in ensemble.members)

    nearest = max(candidates, key=count)
    other = f" By its digest {unofficial[0]} is no official file." if unofficial else ""
    own = " An ensemble that is not the official one is installed with --name NAME."
    if count(nearest) == 0:
        return ModelError(f"{source}: holds no member of {nearest.name}.{other}{own}")
    missing = [file.filename for file in nearest.files if file.blob_id not in present]
    names = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return ModelError(
        f"{source}: has {count(nearest)} of the {len(nearest.members)} members of {nearest.name}; "
        f"missing: {names}.{other}{own if other else ' Complete the directory.'}"
    )


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


def _fold(ensemble: OfficialEnsemble, files: Mapping[str, Path], report: Report) -> bytes:
    """Fold an official ensemble; equal files give equal bytes, whatever their names."""
    from cytotrace2_lite.models.fold.export import fold_members
    from cytotrace2_lite.models.fold.graph import to_onnx
    from cytotrace2_lite.models.fold.members import read_background

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
            raise ModelError(f"{path}: was changed after it was verified. Start again.")
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
