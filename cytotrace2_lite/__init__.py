"""CytoTRACE 2 developmental potential from single-cell RNA-seq, without torch.

>>> import cytotrace2_lite as ct2
>>> result = ct2.run("expr.txt", species="human")
>>> result.score, result.potency  # doctest: +SKIP

`run` takes a file or a matrix and returns a `Result`; `explain` says which genes made the scores,
`model_genes` which genes a model goes by; `Ensemble.load` loads a model once for many runs;
`cytotrace2` has the signature of cytotrace2_py's function of that name; `compare` says how two
results differ. `tl.cytotrace2` and `pl` are for an AnnData, called as scanpy's are.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cytotrace2_lite._version import __version__

if TYPE_CHECKING:
    from cytotrace2_lite import pl, tl
    from cytotrace2_lite.api import check, cytotrace2, explain, run
    from cytotrace2_lite.base.finding import Finding
    from cytotrace2_lite.base.parameters import PRESETS
    from cytotrace2_lite.base.potency import POTENCIES
    from cytotrace2_lite.base.progress import Progress
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
        OutputError,
        PlotWarning,
        SampleWarning,
        SpeciesWarning,
        UsageError,
    )
    from cytotrace2_lite.explanation.explanation import Explanation
    from cytotrace2_lite.explanation.model_genes import model_genes
    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.models.info import ModelInfo
    from cytotrace2_lite.output.comparison import Comparison, compare
    from cytotrace2_lite.result import Result

__all__ = [
    "POTENCIES",
    "PRESETS",
    "AnnotationWarning",
    "Comparison",
    "CytoTRACE2Error",
    "CytoTRACE2Warning",
    "EmptyCellWarning",
    "Ensemble",
    "Explanation",
    "FewCellsWarning",
    "Finding",
    "GeneNameWarning",
    "InputError",
    "LogTransformedWarning",
    "LowGeneCountWarning",
    "LowGeneOverlapWarning",
    "ModelError",
    "ModelInfo",
    "ModelWarning",
    "NoUsableGenesError",
    "OutputError",
    "PlotWarning",
    "Progress",
    "Result",
    "SampleWarning",
    "SpeciesWarning",
    "UsageError",
    "__version__",
    "check",
    "compare",
    "cytotrace2",
    "explain",
    "model_genes",
    "pl",
    "run",
    "tl",
]

_MODULES = {
    "Comparison": "output.comparison",
    "POTENCIES": "base.potency",
    "PRESETS": "base.parameters",
    "Ensemble": "models.ensemble",
    "Explanation": "explanation.explanation",
    "Finding": "base.finding",
    "ModelInfo": "models.info",
    "Progress": "base.progress",
    "Result": "result",
    "check": "api",
    "compare": "output.comparison",
    "cytotrace2": "api",
    "explain": "api",
    "model_genes": "explanation.model_genes",
    "run": "api",
}


def __getattr__(name: str) -> Any:
    # NumPy alone takes most of a tenth of a second to import: nothing is until it is used.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in {"pl", "tl"}:
        return import_module(f"{__name__}.{name}")
    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
