"""Make the pictures and texts of the tutorial and of the page on genes with the program itself.

    python docs/make_pictures.py

Needs `pip install '.[plot]'`. Run it after the model, the plots or the messages have changed. It
writes the plots, reduced in size, to `docs/pictures`, and what the commands print to
`docs/tutorial.md` and `docs/genes.md`.
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
TUTORIAL = ROOT / "docs/tutorial.md"
GENES = ROOT / "docs/genes.md"
TABLE = "tests/data/enteric_300.txt.gz"
ANNOTATION = "tests/data/enteric_300_annotation.txt"
MARROW = "tests/data/palantir_300.txt.gz"
MARROW_ANNOTATION = "tests/data/palantir_300_annotation.txt"
EXPLAIN = (
    *("explain", MARROW, "-sp", "human", "-a", MARROW_ANNOTATION, "-o", "marrow"),
    *("--contrast", "HSC_MPP", "Mono", "--without", "CRHBP,HOPX"),
)
DOTS = "cytotrace2_genes_dots.png"
WIDTH = 900  # pixels
N_COLORS = 256
N_LINES = 6


def say(directory: Path, *arguments: str) -> str:
    """Run `ct2-lite` in a directory with the example data; return all that it prints."""
    # Readers do not have the models that are installed on this machine.
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


def with_text(page: str, what: str, text: str) -> str:
    """Replace the text of one code block of a page."""
    start = f"<!-- docs/make_pictures.py: {what} -->\n```text\n"
    before, after = page.split(start)
    return before + start + text + after[after.index("```\n") :]


def small(path: Path) -> bytes:
    """Return a plot with fewer pixels and colours, as a PNG."""
    with Image.open(path) as image:
        height = round(image.height * WIDTH / image.width)
        scaled = image.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    few = scaled.quantize(N_COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(content, "png", optimize=True)
    return content.getvalue()


def main() -> None:
    """Write all pictures and texts."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "tests").mkdir()
        shutil.copytree(ROOT / "tests/data", directory / "tests/data")
        texts = {
            "check": say(directory, "check", TABLE, "-a", ANNOTATION),
            "run": say(directory, "run", TABLE, "-a", ANNOTATION),
        }
        results = directory / "cytotrace2_results"
        lines = (results / "cytotrace2_results.txt").read_text().splitlines(keepends=True)
        texts["head"] = "".join(lines[:N_LINES])
        page = TUTORIAL.read_text(encoding="utf-8")
        for what, text in texts.items():
            page = with_text(page, what, text)
        TUTORIAL.write_text(page, encoding="utf-8")
        for path in sorted(results.glob("*.png")):
            if path.stem == "cytotrace2_panel":  # the others in one
                continue
            (PICTURES / path.name).write_bytes(small(path))
        page = with_text(GENES.read_text(encoding="utf-8"), "explain", say(directory, *EXPLAIN))
        GENES.write_text(page, encoding="utf-8")
        (PICTURES / DOTS).write_bytes(small(directory / "marrow" / DOTS))


if __name__ == "__main__":
    main()
