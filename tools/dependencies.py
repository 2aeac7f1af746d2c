"""List what an installation consists of: versions, licences, sizes, and what needs each.

    PYTHON tools/dependencies.py          # the tables of docs/dependencies.md
    PYTHON tools/dependencies.py --check  # exits with 1 if a package has no licence that is known

Run with the Python of an environment that has the wheel with the extras of interest. Sizes are
those of the installed files without bytecode.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__: list[str] = []

PACKAGE = "cytotrace2-lite"
EXTRAS = ("plot", "h5ad", "export", "report", "zarr", "dask", "enrich")
# Licences under which packages may be used and passed on with this one.
PERMISSIVE = re.compile(
    r"\b(0BSD|Apache|Apache-2\.0|BSD|BSD-2-Clause|BSD-3-Clause|CNRI-Python|HPND|ISC|MIT|MIT-CMU|MPL-2\.0|"
    r"Mozilla Public License|PSF|PSF-2\.0|Python Software Foundation|Unlicense|Zlib|Zope Public)\b"
)


def _licence(found: Distribution) -> str:
    """Give the licence of a package: an expression, classifiers, or the words of its author."""
    metadata = found.metadata
    if "License-Expression" in metadata:
        return str(metadata["License-Expression"])
    classifiers = [
        line.rpartition(" :: ")[2].removesuffix(" License")
        for line in metadata.get_all("Classifier") or []
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    if classifiers:
        return ", ".join(classifiers)
    # Some packages have the whole text here.
    words = [line for text in metadata.get_all("License") or [] for line in text.splitlines()]
    return words[0][:40] if words else "unknown"


def _bytes(found: Distribution) -> int:
    files = (found.locate_file(path) for path in found.files or [] if path.suffix != ".pyc")
    return sum(path.stat().st_size for path in files if path.is_file())  # type: ignore[attr-defined]


@cache
def _needs(name: str, extra: str) -> frozenset[str]:
    """Give the packages that are installed for a package, or for one of its extras alone."""
    try:
        lines = distribution(name).requires or []
    except PackageNotFoundError:
        return frozenset()
    needed = set()
    for requirement in map(Requirement, lines):
        marker = requirement.marker
        wanted = marker is None or marker.evaluate({"extra": ""})
        if extra:
            wanted = not wanted and marker is not None and marker.evaluate({"extra": extra})
        if wanted:
            needed.add(canonicalize_name(requirement.name))
    return frozenset(needed)


def _closure(names: frozenset[str]) -> set[str]:
    done: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        done.add(name)
        waiting |= _needs(name, "") - done
    return done


def _tables() -> tuple[list[str], list[str], list[str]]:
    try:
        distribution(PACKAGE)
    except PackageNotFoundError:
        sys.exit(f"{PACKAGE} is not installed for {sys.executable}. Install its wheel first.")
    core = _closure(frozenset({PACKAGE}))
    installed = {canonicalize_name(found.metadata["Name"]) for found in distributions()}
    extras = {
        extra: _closure(_needs(PACKAGE, extra)) - core
        for extra in EXTRAS
        if _needs(PACKAGE, extra) <= installed
    }
    everything = core.union(*extras.values())
    found = {name: distribution(name) for name in everything}
    size = {name: _bytes(found[name]) / 1e6 for name in everything}
    largest = sorted(core, key=lambda name: -size[name])[:8]
    sizes = ["| | packages | MB | the largest |", "|---|---|---|---|"]
    words = ", ".join(f"{name} {size[name]:.0f}" for name in largest)
    sizes.append(f"| core | {len(core)} | {sum(size[name] for name in core):.0f} | {words} |")
    for extra, names in extras.items():
        if not names:
            continue
        words = ", ".join(
            f"{name} {size[name]:.0f}" for name in sorted(names, key=lambda name: -size[name])[:3]
        )
        total = sum(size[name] for name in names)
        sizes.append(f"| `{extra}` | +{len(names)} | +{total:.0f} | {words} |")
    licences = ["| package | version | licence | needed by |", "|---|---|---|---|"]
    unknown = []
    for name in sorted(everything - {PACKAGE}):
        by = (
            "core"
            if name in core
            else ", ".join(extra for extra, names in extras.items() if name in names)
        )
        licence = _licence(found[name])
        licences.append(f"| {name} | {found[name].version} | {licence} | {by} |")
        if not PERMISSIVE.search(licence):
            unknown.append(f"{name} {found[name].version}: {licence}")
    return sizes, licences, unknown


if __name__ == "__main__":
    _sizes, _licences, _unknown = _tables()
    if "--check" in sys.argv:
        print(*_unknown or [f"{len(_licences) - 2} packages, all of permissive licences"], sep="\n")
        sys.exit(bool(_unknown))
    print(*_sizes, "", *_licences, sep="\n")
