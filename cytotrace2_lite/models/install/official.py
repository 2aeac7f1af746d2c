"""The official ensembles: which files they have, and how each file is known.

A file is known by its git blob id, wherever it comes from: the authors' repository, a mirror of
it, or a directory. The package has the list of them.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cytotrace2_lite.models.installed import OFFICIAL_MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BACKGROUND",
    "LICENCE",
    "LICENCE_TEXT",
    "LICENCE_URL",
    "MAX_BACKGROUND_BYTES",
    "REPOSITORY",
    "OfficialEnsemble",
    "OfficialFile",
    "git_blob_id",
    "has_official_sources",
    "official_ensembles",
]

LICENCE = "Stanford non-commercial"
LICENCE_URL = "https://github.com/digitalcytometry/cytotrace2/blob/main/LICENSE"
LICENCE_TEXT = (
    "The weights of CytoTRACE 2 were published by Stanford University for non-commercial use only, "
    "and may not be passed on. For commercial use, write to their authors. What counts is the text "
    f"of the licence: {LICENCE_URL}"
)
#: Name of the matrix of control genes, without `.pt`.
BACKGROUND = "background"
#: Where the authors publish the files, by commit and path.
REPOSITORY = "https://raw.githubusercontent.com/digitalcytometry/cytotrace2"
# Members have 4 to 8 MB, control genes 28 MB. A longer file is something else, and is not stored.
MAX_BACKGROUND_BYTES = 64 << 20
_MAX_MEMBER_BYTES = 20 << 20

_MANIFEST = Path(__file__).parents[2] / "data" / "official_models.tsv"
_BLOCK_BYTES = 1 << 18  # read at a time


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
        """A longer file cannot be this one."""
        return MAX_BACKGROUND_BYTES if self.member == BACKGROUND else _MAX_MEMBER_BYTES


class OfficialEnsemble(NamedTuple):
    """An official ensemble.

    Attributes
    ----------
    name
        Name of the model.
    version
        Version of CytoTRACE 2, which is also that of the architecture.
    members
        Its members, in the order in which the model has them.
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
        members = tuple(file for file in files[version] if file.member != BACKGROUND)
        background = next((file for file in files[version] if file.member == BACKGROUND), None)
        ensembles[name] = OfficialEnsemble(name, version, members, background)
    return ensembles


def has_official_sources(entries: Mapping[str, str], version: str) -> bool:
    """Tell whether a model says that it was folded from the official files of a version.

    Parameters
    ----------
    entries
        Metadata of the model, with the entries `architecture` and `sources`.
    version
        Version of CytoTRACE 2.

    Returns
    -------
    bool
        True where the stated digests are those of all files of this version, in order.
    """
    for ensemble in official_ensembles().values():
        if ensemble.version == version == entries["architecture"]:
            stated = json.loads(entries["sources"])
            return [
                source.get("git_blob_sha1") if isinstance(source, dict) else None
                for source in stated
            ] == [file.blob_id for file in ensemble.files]
    return False


def git_blob_id(path: Path) -> str:
    """Name the content of a file as git does.

    Parameters
    ----------
    path
        A file.

    Returns
    -------
    str
        40 hexadecimal digits.
    """
    with path.open("rb") as file:
        # SHA-1 is git's choice. To find another file with a given SHA-1 is still out of reach.
        digest = hashlib.sha1(
            f"blob {os.fstat(file.fileno()).st_size}\0".encode(), usedforsecurity=False
        )
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
