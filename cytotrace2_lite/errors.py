"""Exceptions and warnings.

::

    CytoTRACE2Error              anything the package refuses to do; catch this to catch all
    ├── UsageError               an option or argument has a value that cannot be used
    ├── InputError               the expression table or the annotation is not usable as it is
    │   └── NoUsableGenesError   the table is sound but none of its genes is known to the model
    ├── ModelError               a model or ensemble member is missing, altered or of another kind
    └── OutputError              the results cannot be written

    CytoTRACE2Warning            anything worth knowing about scores that were computed all the same
    ├── LowGeneOverlapWarning    fewer than 9,000 model features are in the input
    ├── FewCellsWarning          a batch has too few cells to be smoothed over neighbours
    ├── LowGeneCountWarning      many cells express fewer than 500 genes
    ├── LogTransformedWarning    the values look log-transformed
    ├── SpeciesWarning           the gene names look like those of the other species
    ├── GeneNameWarning          gene names were changed, or orthologs are of no use
    ├── EmptyCellWarning         cells without a single count over the model's genes have no score
    ├── AnnotationWarning        the annotation and the table do not have the same cells
    ├── SampleWarning            all cells are of one sample, or a condition has too few samples
    ├── ModelWarning             anybody on the machine may change the model
    └── PlotWarning              a plot is not drawn, or not of all cells; the results are complete

Each error says what is wrong, where, which value, and the remedy, in one sentence or two.

Messages show what strangers may have written: names in files, and names of files. Whatever these
hold, a message is one line of printable text of at most 2,000 characters.
"""

from __future__ import annotations

from cytotrace2_lite.text import contained

__all__ = [
    "AnnotationWarning",
    "CytoTRACE2Error",
    "CytoTRACE2Warning",
    "EmptyCellWarning",
    "FewCellsWarning",
    "GeneNameWarning",
    "InputError",
    "LogTransformedWarning",
    "LowGeneCountWarning",
    "LowGeneOverlapWarning",
    "ModelError",
    "ModelWarning",
    "NoUsableGenesError",
    "OutputError",
    "PlotWarning",
    "SampleWarning",
    "SpeciesWarning",
    "UsageError",
]


class CytoTRACE2Error(Exception):
    """Base of every error this package raises on purpose.

    Parameters
    ----------
    message
        What is wrong; see `contained`.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(contained(message))


class UsageError(CytoTRACE2Error, ValueError):
    """An option or argument has a value that cannot be used."""

    exit_code = 2


class InputError(CytoTRACE2Error, ValueError):
    """The expression table or the annotation is not usable as it is."""

    exit_code = 3


class NoUsableGenesError(InputError):
    """No gene of the input is known to the model."""

    exit_code = 4


class ModelError(CytoTRACE2Error):
    """A model or ensemble member is missing, altered, incomplete or of another kind."""

    exit_code = 5


class OutputError(CytoTRACE2Error):
    """The results cannot be written."""


class CytoTRACE2Warning(UserWarning):
    """Base of every warning this package gives.

    Parameters
    ----------
    message
        What is worth knowing; see `contained`.
    """

    def __init__(self, message: str) -> None:
        super().__init__(contained(message))


class LowGeneOverlapWarning(CytoTRACE2Warning):
    """Fewer than 9,000 model features are in the input."""


class LowGeneCountWarning(CytoTRACE2Warning):
    """At least a fifth of the cells, or of a sample's, express fewer than 500 genes."""


class FewCellsWarning(CytoTRACE2Warning):
    """A batch has fewer than 100 cells and is not smoothed over neighbours."""


class LogTransformedWarning(CytoTRACE2Warning):
    """No value is over 20 and not all are whole numbers, as in log-transformed data."""


class SpeciesWarning(CytoTRACE2Warning):
    """The gene names are written like the other species', or more of them are known there."""


class GeneNameWarning(CytoTRACE2Warning):
    """A spreadsheet program has made dates of gene names, or most orthologs given are unknown."""


class EmptyCellWarning(CytoTRACE2Warning):
    """Cells without a count over the model's genes have no score."""


class AnnotationWarning(CytoTRACE2Warning):
    """The annotation and the expression table do not have the same cells."""


class SampleWarning(CytoTRACE2Warning):
    """All cells are of one sample, or a condition has too few samples to be compared."""


class ModelWarning(CytoTRACE2Warning):
    """The model file, or a directory on its way, can be written by anybody on the machine."""


class PlotWarning(CytoTRACE2Warning):
    """A plot is not drawn, or not of all cells; the results are complete all the same."""
