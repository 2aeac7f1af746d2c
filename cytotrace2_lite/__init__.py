"""CytoTRACE 2 developmental potential from single-cell RNA-seq, without torch."""

__version__ = "0.1.0"
