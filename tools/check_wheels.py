"""Check that wheels of all dependencies exist for each Python and platform that we name.

check_wheels.py [EXTRA...]

Asks the package index that pip is set up with; downloads nothing but metadata. Exits with 1 if a
pair of `NAMED` has no wheels. That wheels exist says that the program can be installed there,
not that it was tested there.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__: list[str] = []

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
# Tags of wheels that run on a system of some years ago.
PLATFORMS = {
    "Linux, x86-64": [f"manylinux_2_{n}_x86_64" for n in (28, 27, 17, 12, 5)]
    + [f"manylinux{n}_x86_64" for n in ("2014", "2010", "1")],
    "Linux, Arm": [f"manylinux_2_{n}_aarch64" for n in (28, 27, 17)] + ["manylinux2014_aarch64"],
    "macOS, Arm": [
        f"macosx_{n}_0_{kind}" for n in (14, 13, 12, 11) for kind in ("arm64", "universal2")
    ]
    + [f"macosx_10_{n}_universal2" for n in (13, 12, 9)],
    "macOS, Intel": [
        f"macosx_{n}_0_{kind}" for n in (14, 13, 12, 11) for kind in ("x86_64", "universal2")
    ]
    + [f"macosx_10_{n}_{kind}" for n in (15, 14, 13, 12, 9) for kind in ("x86_64", "universal2")],
    "Windows, x86-64": ["win_amd64"],
}
# Those of docs/dependencies.md.
NAMED = {(python, platform) for python in PYTHONS for platform in PLATFORMS}
NAMED -= {("3.14", "macOS, Intel")}


def _requirements(extras: list[str]) -> list[str]:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    found: list[str] = []
    for name in ("dependencies", *extras):
        match = re.search(rf"^{name} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
        if match is None:
            sys.exit(f"no extra '{name}' in pyproject.toml")
        found += re.findall(r'"([A-Za-z][^"]*)"', match[1])
    return found


def _resolve(python: str, platform: str, requirements: list[str]) -> dict[str, str] | str:
    """Give the version of each package that pip would install, or what it lacks."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--only-binary", ":all:", "--python-version", python, "--implementation", "cp"]
    for tag in PLATFORMS[platform]:
        command += ["--platform", tag]
    command += ["--target", "unused", "--report", "-", *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        return lines[-1].removeprefix("ERROR: ") if lines else done.stderr.strip()
    report = json.loads(done.stdout[done.stdout.index("{") :])
    return {item["metadata"]["name"]: item["metadata"]["version"] for item in report["install"]}


def _main(extras: list[str]) -> int:
    requirements = _requirements(extras)
    pairs = [(python, platform) for platform in PLATFORMS for python in PYTHONS]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda pair: _resolve(pair[0], pair[1], requirements), pairs))
    missing = 0
    for (python, platform), answer in zip(pairs, answers, strict=True):
        if isinstance(answer, str):
            missing += (python, platform) in NAMED
            print(f"{platform}\t{python}\tno: {answer}")
        else:
            core = ("onnxruntime", "numpy", "scipy", "pyarrow", "llvmlite", "numba")
            versions = ", ".join(f"{name} {answer[name]}" for name in core if name in answer)
            print(f"{platform}\t{python}\t{len(answer)} wheels: {versions}")
    return int(missing > 0)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
