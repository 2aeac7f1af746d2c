"""The version of the package: that of the build, or of the checkout it runs from.

A build writes `_build.py` (`hatch_build.py`), with the version that hatch-vcs makes of tags and
commits. A checkout has none: its version names the commit, so that records tell revisions apart.
"""

from __future__ import annotations

import os

__all__ = ["RELEASE", "__version__"]

# The release that the code is, or becomes: the topmost in CHANGELOG.md.
RELEASE = "0.1.0"


def _of_the_build() -> str | None:
    try:
        from cytotrace2_lite import _build
    except ImportError:
        return None
    return _build.VERSION


def _of_the_checkout(directory: str) -> str:
    """Name the commit of a checkout; `unknown` in a copy without history.

    Files are read, as no program is started. Changes that are not committed are not seen.
    """
    commit = _commit(os.path.join(directory, ".git"))
    return f"{RELEASE}.dev0+{'unknown' if commit is None else 'g' + commit[:9]}"


def _commit(git: str) -> str | None:
    # Of a worktree, `.git` is a file that names the folder; what all worktrees have is elsewhere.
    link = _read(git)
    if link is not None:
        git = os.path.join(os.path.dirname(git), link.removeprefix("gitdir: "))
    common = os.path.join(git, _read(os.path.join(git, "commondir")) or ".")
    head = _read(os.path.join(git, "HEAD"))
    if head is None or not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    commit = _read(os.path.join(git, name)) or _read(os.path.join(common, name))
    if commit is not None:
        return commit
    for line in (_read(os.path.join(common, "packed-refs")) or "").splitlines():
        if line.endswith(f" {name}"):
            return line.split()[0]
    return None


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeError):
        return None


__version__ = _of_the_build() or _of_the_checkout(os.path.dirname(os.path.dirname(__file__)))
