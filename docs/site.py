"""What mkdocs adds to the pages of this folder: those that the root of the repository has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

__all__ = ["on_files"]

PAGES = {
    "changelog.md": "CHANGELOG.md",
    "model-card.md": "models/README.md",
    "security.md": "SECURITY.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, with links that are right here."""
    root = Path(config.config_file_path).parent
    for name, source in PAGES.items():
        text = (root / source).read_text(encoding="utf-8")
        text = re.sub(r"\]\((?:\.\./)?docs/", "](", text)
        files.append(File.generated(config, name, content=text))
    return files
