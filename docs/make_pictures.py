"""Make the pictures and texts of the tutorial with the program itself.

    python docs/make_pictures.py

To be run where `pip install '.[plot]'` was, whenever the model or the plots have changed. Writes
`docs/pictures`: the plots, made small, and what the commands say.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs/pictures"
TABLE = "tests/data/enteric_300.txt.gz"
ANNOTATION = "tests/data/enteric_300_annotation.txt"
WIDTH = 900  # pixels
N_COLORS = 256
N_LINES = 6


def say(directory: Path, *arguments: str) -> str:
    """Run `ct2-lite` in a directory with the example data; give all that it says."""
    # Models that are installed on this machine are not what readers have.
    environment = os.environ | {
        "CT2_LITE_MODELS_DIR": str(directory / "models"),
        "PYTHONPATH": str(ROOT),
    }
    environment.pop("CT2_LITE_MODEL", None)
    return subprocess.run(  # noqa: S603 (fixed arguments)
        [sys.executable, "-m", "cytotrace2_lite", *arguments],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    ).stdout


def small(path: Path) -> bytes:
    """Give a plot in fewer pixels and colours."""
    with Image.open(path) as image:
        height = round(image.height * WIDTH / image.width)
        scaled = image.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    few = scaled.quantize(N_COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(content, "png", optimize=True)
    return content.getvalue()


def main() -> None:
    """Write all pictures and texts."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "tests").mkdir()
        shutil.copytree(ROOT / "tests/data", directory / "tests/data")
        texts = {
            "check.txt": say(directory, "check", TABLE, "-a", ANNOTATION, "-q"),
            "run.txt": say(directory, "run", TABLE, "-a", ANNOTATION),
        }
        results = directory / "cytotrace2_results"
        lines = (results / "cytotrace2_results.txt").read_text().splitlines(keepends=True)
        texts["head.txt"] = "".join(lines[:N_LINES])
        for file_name, text in texts.items():
            (PICTURES / file_name).write_text(text)
        for path in sorted(results.glob("*.png")):
            (PICTURES / path.name).write_bytes(small(path))


if __name__ == "__main__":
    main()
