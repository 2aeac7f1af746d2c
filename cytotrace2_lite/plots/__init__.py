"""Plots of a result.

matplotlib, scranpy and umap-learn are imported only where something is drawn or computed.
"""

from cytotrace2_lite.plots.ahead import import_ahead
from cytotrace2_lite.plots.files import (
    FORMATS,
    REPORT_FILE,
    UMAP_NAME,
    missing_packages,
    no_plots,
    remove_plots,
    remove_samples,
    write_plots,
    write_samples,
)
from cytotrace2_lite.plots.plot import Plots
from cytotrace2_lite.plots.table import PLOTS, PlotSpec
from cytotrace2_lite.plots.umap import compute_umap, left_out, require_umap, umap_if_possible

__all__ = [
    "FORMATS",
    "PLOTS",
    "REPORT_FILE",
    "UMAP_NAME",
    "PlotSpec",
    "Plots",
    "compute_umap",
    "import_ahead",
    "left_out",
    "missing_packages",
    "no_plots",
    "remove_plots",
    "remove_samples",
    "require_umap",
    "umap_if_possible",
    "write_plots",
    "write_samples",
]
