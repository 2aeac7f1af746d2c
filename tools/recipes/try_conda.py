"""Build the conda packages and run their tests, where there is no channel of conda.

try_conda.py OUTPUT

Makes a channel, `OUTPUT/channel`, of the Python that runs this file and of what is installed there.
That has to be all that the recipe names (the extras, hatchling, hatch-vcs), umap-learn and
py-rattler-build. rattler-build then resolves, builds and tests all packages of the recipe with this
channel alone, and leaves them in `OUTPUT/packages`. So the recipe's commands, files, entry point,
requirements and tests work. Whether conda-forge and bioconda have what it requires is not seen
here. Linux on x86-64 only.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import sysconfig
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import rattler_build
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rattler_build.progress import SimpleProgressCallback

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__: list[str] = []

RECIPE = Path(__file__).with_name("conda") / "recipe.yaml"
SUBDIRECTORY = "linux-64"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE_PACKAGES = f"lib/python{PYTHON}/site-packages"
NAMES = {"matplotlib-base": "matplotlib"}  # in conda: on PyPI


def _required(recipe: dict[str, object]) -> set[str]:
    """Names of all packages that the outputs need to be built or run, but their own and Python."""
    text = json.dumps(recipe["outputs"])
    return {*re.findall(r'"([a-z0-9-]+) >=[\d.]+"', text), "pip"} - {"python"}


def _needs(name: str, extras: Iterable[str]) -> Iterator[Requirement]:
    """Give the requirements of an installed distribution that apply here."""
    for line in metadata.requires(name) or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            yield requirement


def _closure(names: Iterable[str]) -> dict[str, set[str]]:
    """Names of distributions with the names of those that each needs."""
    found: dict[str, set[str]] = {}
    left = [(name, frozenset([""])) for name in names]
    seen = set(left)
    while left:
        name, extras = left.pop()
        needs = list(_needs(name, extras))
        found.setdefault(name, set()).update(canonicalize_name(need.name) for need in needs)
        for need in needs:
            entry = (canonicalize_name(need.name), frozenset(need.extras) | {""})
            if entry not in seen:
                seen.add(entry)
                left.append(entry)
    return found


def _package(
    channel: Path,
    name: str,
    version: str,
    files: Iterable[tuple[Path, str]],
    depends: list[str],
) -> None:
    """Pack files, and their paths below the environment, as a package of conda."""
    rattler_build.assemble_package(
        name=name,
        version=version,
        target_platform=SUBDIRECTORY,
        build_string=f"py{PYTHON.replace('.', '')}_0",
        output_dir=channel / SUBDIRECTORY,
        files=[rattler_build.FileEntry.from_paths(*pair) for pair in files],
        depends=depends,
        compression_level=1,
        detect_prefix=False,
    )


def _python_files() -> Iterator[tuple[Path, str]]:
    """Files of the Python that runs, without what is installed beside it."""
    prefix = Path(sys.base_prefix)
    binary = prefix / f"bin/python{PYTHON}"
    for name in ("python", "python3", f"python{PYTHON}"):
        yield binary, f"bin/{name}"
    for library in (prefix / "lib").glob("libpython*.so*"):
        yield library, f"lib/{library.name}"
    standard = Path(sysconfig.get_path("stdlib"))
    left_out = {"site-packages", "dist-packages", "test", "tests", "__pycache__", "idlelib"}
    for path in standard.rglob("*"):
        within = path.relative_to(standard)
        if path.is_file() and not left_out.intersection(within.parts):
            yield path, f"lib/python{PYTHON}/{within}"


def _distribution_files(name: str) -> Iterator[tuple[Path, str]]:
    """Files of an installed distribution, without its commands."""
    for file in metadata.files(name) or []:
        if ".." not in file.parts and file.suffix != ".pyc":
            yield Path(str(file.locate())), f"{SITE_PACKAGES}/{file}"


def _make_channel(channel: Path, names: set[str]) -> None:
    """Pack Python, the distributions of these names, and what they need."""
    version = ".".join(map(str, sys.version_info[:3]))
    _package(channel, "python", version, _python_files(), [])
    in_conda = {of_pypi: of_conda for of_conda, of_pypi in NAMES.items()}
    for name, needs in _closure({NAMES.get(name, name) for name in names}).items():
        depends = [f"python {PYTHON}.*", *sorted(in_conda.get(need, need) for need in needs)]
        files = _distribution_files(name)
        _package(channel, in_conda.get(name, name), metadata.version(name), files, depends)


def _index(channel: Path) -> None:
    """Write the lists of packages that make directories a channel."""
    packages = {}
    for path in (channel / SUBDIRECTORY).glob("*.conda"):
        package = rattler_build.Package.from_file(path)
        packed = path.read_bytes()
        packages[path.name] = {
            "name": package.name,
            "version": package.version,
            "build": package.build_string,
            "build_number": package.build_number,
            "depends": package.depends,
            "subdir": SUBDIRECTORY,
            "sha256": sha256(packed).hexdigest(),
            "size": len(packed),
        }
    for subdirectory, listed in ((SUBDIRECTORY, packages), ("noarch", {})):
        content = {"info": {"subdir": subdirectory}, "packages": {}, "packages.conda": listed}
        (channel / subdirectory).mkdir(exist_ok=True)
        (channel / subdirectory / "repodata.json").write_text(json.dumps(content))


def _main(output: str) -> None:
    recipe = rattler_build.Stage0Recipe.from_file(RECIPE)
    channel, packages = (Path(output).resolve() / name for name in ("channel", "packages"))
    for earlier in (channel, packages):
        shutil.rmtree(earlier, ignore_errors=True)
    (channel / SUBDIRECTORY).mkdir(parents=True)
    _make_channel(channel, _required(recipe.to_dict()))
    _index(channel)
    tests = rattler_build.ToolConfiguration(test_strategy="native", use_sharded=False)
    for result in recipe.run_build(
        tool_config=tests,
        output_dir=packages,
        channels=[channel.as_uri()],
        package_format="conda",
        progress_callback=SimpleProgressCallback(),
    ):
        print(*result.packages)


if __name__ == "__main__":
    _main(*sys.argv[1:])
