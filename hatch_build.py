"""What hatchling adds to a wheel: the module with the version.

It is written outside the checkout, where it would be out of date after the next commit.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["VersionHook"]


class VersionHook(BuildHookInterface[Any]):
    """Writes `cytotrace2_lite/_build.py` with the version that hatch-vcs has found."""

    _folder: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file; not to an editable installation, whose version is that of its checkout."""
        if version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name) / "_build.py"
        text = f'"""Made by the build."""\n\nVERSION = "{self.metadata.version}"\n'
        file.write_text(text, encoding="utf-8")
        build_data["force_include"][str(file)] = "cytotrace2_lite/_build.py"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove it."""
        if self._folder is not None:
            self._folder.cleanup()
