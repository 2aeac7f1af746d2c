"""How far a run is."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Progress"]


class Progress(NamedTuple):
    """How far a run is.

    Attributes
    ----------
    stage
        `"read"`, `"preprocess"`, `"predict"`, `"diffuse"`, `"components"`, `"neighbors"`;
        `"explain"` where the scores are divided among the genes;
        `"write"` where files are written: twice, before, and when all that is left is to put
        them in place; `"embed"`, `"draw"` where plots are.
    done, total
        Bytes or values while reading (0 in all where that is not known), plots while drawing;
        otherwise cells of the whole run that have counts and take part in the stage.
    unit
        What `done` and `total` count: `"bytes"`, `"values"`, `"rows"`, `"plots"` or `"cells"`.
    """

    stage: str
    done: int
    total: int
    unit: str = "cells"
