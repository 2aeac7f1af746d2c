"""What was found out about a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cytotrace2_lite.errors import (
    AnnotationWarning,
    CytoTRACE2Error,
    CytoTRACE2Warning,
    EmptyCellWarning,
    FewCellsWarning,
    GeneNameWarning,
    InputError,
    LogTransformedWarning,
    LowGeneCountWarning,
    LowGeneOverlapWarning,
    ModelError,
    ModelWarning,
    NoUsableGenesError,
    PlotWarning,
    SampleWarning,
    SpeciesWarning,
    UsageError,
)
from cytotrace2_lite.text import contained

__all__ = ["Finding"]

_WARNINGS: dict[str, type[CytoTRACE2Warning]] = {
    "species": SpeciesWarning,
    "dates": GeneNameWarning,
    "orthologs": GeneNameWarning,
    "few_genes": LowGeneOverlapWarning,
    "selected_genes": LowGeneOverlapWarning,
    "log_transformed": LogTransformedWarning,
    "empty_cells": EmptyCellWarning,
    "empty_droplets": EmptyCellWarning,
    "few_genes_per_cell": LowGeneCountWarning,
    "few_cells": FewCellsWarning,
    "one_sample": SampleWarning,
    "conditions": SampleWarning,
    "annotation": AnnotationWarning,
    "embedding": PlotWarning,
    "missing_chunks": CytoTRACE2Warning,
    "model": ModelWarning,
    "unlike_training": CytoTRACE2Warning,
}
# Subclasses before their bases.
_ERRORS: dict[type[CytoTRACE2Error], str] = {
    NoUsableGenesError: "no_usable_genes",
    InputError: "unusable_input",
    ModelError: "unusable_model",
    UsageError: "usage",
    CytoTRACE2Error: "error",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found out about a dataset.

    Attributes
    ----------
    code
        What kind of thing it is, for programs: "species", "few_genes", "log_transformed", ...
    severity
        "error": the dataset cannot be scored; "warning": it can, but the scores may not mean what
        they seem to; "note": good to know.
    what
        What was found, without a full stop.
    why
        Why it matters; may be empty.
    remedy
        What to do; may be empty.
    """

    code: str
    severity: Literal["error", "warning", "note"]
    what: str
    why: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        return " ".join(self.sentences)

    @property
    def sentences(self) -> list[str]:
        """What, why and remedy, those that are not empty; each fit to be printed."""
        what = self.what if self.what.endswith(".") else f"{self.what}."
        return [contained(text) for text in (what, self.why, self.remedy) if text]

    @property
    def warning(self) -> CytoTRACE2Warning:
        """The Python warning that says the same; for a finding of severity "warning"."""
        return _WARNINGS[self.code](str(self))

    @classmethod
    def of_error(cls, error: CytoTRACE2Error) -> Finding:
        """Make a finding of an exception; its whole message becomes `what`."""
        code = next(code for kind, code in _ERRORS.items() if isinstance(error, kind))
        return cls(code, "error", str(error).removesuffix("."))
