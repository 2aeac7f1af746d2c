"""The version of the package: that of the build, or of the checkout it runs from.

A build adds `_build.py` (`hatch_build.py`), with the version that hatch-vcs makes of tags and
commits. A checkout has none: its version names the commit, so that records tell revisions apart.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

__all__ = ["RELEASE", "__version__"]

# The release that the code is, or becomes: the topmost in CHANGELOG.md.
RELEASE = "0.1.0"


def _of_the_build() -> str | None:
    try:
        return str(import_module("cytotrace2_lite._build").VERSION)
    except ImportError:
        return None


def _of_the_checkout(directory: Path) -> str:
    """Name the commit of a checkout, if the copy has a history.

    Files are read, as no program is started. Changes that are not committed are not seen.
    """
    commit = _commit(directory / ".git")
    return f"{RELEASE}.dev0" + (f"+g{commit[:9]}" if commit else "")


def _commit(git: Path) -> str | None:
    # Of a worktree, `.git` is a file that names the folder; what all worktrees have is elsewhere.
    link = _read(git)
    if link is not None:
        git = git.parent / link.removeprefix("gitdir: ")
    head = _read(git / "HEAD")
    if head is None or not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    common = git / (_read(git / "commondir") or "")
    commit = _read(common / name)
    if commit is not None:
        return commit
    for line in (_read(common / "packed-refs") or "").splitlines():
        if line.endswith(f" {name}"):
            return line.split()[0]
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError):
        return None


__version__ = _of_the_build() or _of_the_checkout(Path(__file__).parents[1])
