"""What will be installed, and how an installation reports what is going on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    #: Called with a sentence, or with how far a download is.
    Report = Callable[[str | "DownloadProgress"], None]

__all__ = ["DownloadProgress", "Installation", "Report"]


class DownloadProgress(NamedTuple):
    """How far the download of one file of several is.

    Attributes
    ----------
    number, n_files
        Which file, from 1, and how many there are.
    name
        Name of the file.
    n_bytes
        Number of bytes that are there.
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
    """A model that can be installed, as far as this is known before anything is downloaded.

    Attributes
    ----------
    name
        Name of the model.
    official
        Version of the official ensemble, if it is one, so that its licence applies; else empty.
    content
        Function that gives the content of the model file. It gets a folder for downloads and a
        function to call with what is going on.
    """

    name: str
    official: str
    content: Callable[[Path, Report], bytes]
