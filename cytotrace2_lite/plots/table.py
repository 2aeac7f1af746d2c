"""The table of the plots that a run writes.

Source: cytotrace2_py 1.1.0.4 `plot_all_outputs` (names of the first five files).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from cytotrace2_lite.plots.plot import Plots

__all__ = ["PLOTS", "PlotSpec"]


@dataclass(frozen=True)
class PlotSpec:
    """A plot that a run writes.

    Attributes
    ----------
    method
        Name of the method of `Plots` that draws it.
    file_name
        Of the file, without the extension.
    needs_coordinates
        Whether it shows each cell at its coordinates.
    needs_labels
        Whether the method takes the labels of the cells.
    needs_samples
        Whether the method takes the samples of the cells.
    parts
        Methods of the plots that it shows in two columns.
    """

    method: str
    file_name: str
    needs_coordinates: bool
    needs_labels: bool
    needs_samples: bool = False
    parts: tuple[str, ...] = ()

    def can_be_drawn(self, *, with_labels: bool, with_samples: bool) -> bool:
        """Tell whether it can be drawn where there are labels and samples, or where not."""
        return (with_labels or not self.needs_labels) and (with_samples or not self.needs_samples)

    def draw(
        self,
        plots: Plots,
        labels: Mapping[str, str] | None,
        samples: Sequence[str] | None = None,
    ) -> Figure:
        """Draw it.

        Parameters
        ----------
        plots
            Plots of the result.
        labels
            Cell id to label; not None where `needs_labels`.
        samples
            The sample of each cell; not None where `needs_samples`.

        Returns
        -------
        matplotlib.figure.Figure
            Of its own.
        """
        given = [labels] * self.needs_labels + [samples] * self.needs_samples
        drawn = getattr(plots, self.method)(*given)
        figure: Figure = getattr(drawn, "figure", None) or drawn
        return figure


_PANEL = (
    *("potency_category", "potency_score", "relative_order", "phenotype"),
    *("composition", "violins_by_phenotype", "potency_by_phenotype"),
)
#: All plots, in the order in which they are drawn.
PLOTS = (
    PlotSpec("potency_category", "cytotrace2_potency_category_UMAP", True, False),
    PlotSpec("potency_score", "cytotrace2_potency_score_UMAP", True, False),
    PlotSpec("relative_order", "cytotrace2_relative_order_UMAP", True, False),
    PlotSpec("phenotype", "phenotype_UMAP", True, True),
    PlotSpec("potency_by_phenotype", "cytotrace2_potency_score_by_phenotype", False, True),
    PlotSpec("violins_by_phenotype", "cytotrace2_potency_score_violin", False, True),
    PlotSpec("composition", "cytotrace2_composition", False, True),
    PlotSpec("panel", "cytotrace2_panel", True, True, parts=_PANEL),
    PlotSpec("samples", "cytotrace2_samples", False, False, needs_samples=True),
)
