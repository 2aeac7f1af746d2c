"""Progress of a run, as it is told to callers."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["STAGES", "Progress"]

#: What people are told of each stage that may last.
STAGES = {
    "read": "Reading and checking",
    "preprocess": "Ranking genes",
    "predict": "Predicting potency",
    "diffuse": "Smoothing by diffusion",
    "components": "Principal components",
    "neighbors": "Smoothing over neighbours",
    "explain": "Dividing scores among genes",
    "embed": "UMAP",
    "draw": "Drawing plots",
}


class Progress(NamedTuple):
    """How much of a stage of a run is done.

    Attributes
    ----------
    stage
        The stages of the scores are `"read"`, `"preprocess"`, `"predict"`, `"diffuse"`,
        `"components"` and `"neighbors"`; `"explain"` divides them among the genes. `"write"` is
        told twice: before the files are written, and when they are whole and are about to be put in
        place. Of plots, `"embed"` is the UMAP and `"draw"` the drawing.
    done, total
        How much is done, and how much there is; both in `unit`. While reading, `total` is 0 where
        it is not known. Cells are those of the whole run that have counts and take part in the
        stage.
    unit
        `"bytes"`, `"values"` or `"rows"` while reading, `"plots"` while drawing, otherwise
        `"cells"`.
    """

    stage: str
    done: int
    total: int
    unit: str = "cells"
