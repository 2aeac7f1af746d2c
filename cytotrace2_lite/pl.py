"""`ct2.pl`: plots of the scores that are in the `obs` of an AnnData, as scanpy's plots are called.

Each function draws what the method of `Result.plot` of its name draws, and returns the axes, or
the figure where it has several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.metadata.coordinates import obsm_embedding
from cytotrace2_lite.metadata.samples import obs_column
from cytotrace2_lite.output.anndata import KEY, scores_of
from cytotrace2_lite.plots import Plots
from cytotrace2_lite.read import open_input
from cytotrace2_lite.read.mudata import anndata_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cytotrace2_lite.metadata.coordinates import Embedding

__all__ = [
    "composition",
    "panel",
    "phenotype",
    "potency_by_phenotype",
    "potency_category",
    "potency_score",
    "relative_order",
    "samples",
    "violins_by_phenotype",
]


def potency_category(
    adata: Any, *, basis: str = "umap", key: str = KEY, ax: Axes | None = None
) -> Axes:
    """Draw the cells in the colours of their potency.

    Parameters
    ----------
    adata
        An AnnData with scores in `obs` and coordinates in `obsm`; of MuData the modality "rna".
    basis
        Name of the coordinates: "umap" for `obsm["X_umap"]`.
    key
        The `key_added` of the run.
    ax
        Where to draw; by default on a figure of its own, which shows itself in a notebook.

    Returns
    -------
    matplotlib.axes.Axes
        With the plot.

    Raises
    ------
    UsageError
        There are no such scores or coordinates.
    CytoTRACE2Error
        matplotlib is not installed.
    """
    plots = _plots(adata, ["CytoTRACE2_Potency"], key)
    return plots.potency_category(ax, embedding=_coordinates(adata, basis))


def potency_score(
    adata: Any, *, basis: str = "umap", key: str = KEY, ax: Axes | None = None
) -> Axes:
    """Draw the cells in the colours of their score.

    Parameters
    ----------
    adata, basis, key, ax
        As for `potency_category`.

    Returns
    -------
    matplotlib.axes.Axes
        With the plot.

    Raises
    ------
    CytoTRACE2Error
        As `potency_category` raises.
    """
    plots = _plots(adata, ["CytoTRACE2_Score"], key)
    return plots.potency_score(ax, embedding=_coordinates(adata, basis))


def relative_order(
    adata: Any, *, basis: str = "umap", key: str = KEY, ax: Axes | None = None
) -> Axes:
    """Draw the cells in the colours of their relative order.

    Parameters
    ----------
    adata, basis, key, ax
        As for `potency_category`.

    Returns
    -------
    matplotlib.axes.Axes
        With the plot.

    Raises
    ------
    CytoTRACE2Error
        As `potency_category` raises.
    """
    plots = _plots(adata, ["CytoTRACE2_Relative"], key)
    return plots.relative_order(ax, embedding=_coordinates(adata, basis))


def phenotype(adata: Any, groupby: str, *, basis: str = "umap", ax: Axes | None = None) -> Axes:
    """Draw the cells in colours of their labels.

    Parameters
    ----------
    adata
        As for `potency_category`; no scores are needed.
    groupby
        The column of `obs` with the labels; at most 100 different ones.
    basis, ax
        As for `potency_category`.

    Returns
    -------
    matplotlib.axes.Axes
        With the plot.

    Raises
    ------
    CytoTRACE2Error
        As `potency_category` raises; `UsageError` where there is no such column of labels.
    """
    labels = _labels(adata, groupby)
    return _plots(adata, [], KEY).phenotype(labels, ax, embedding=_coordinates(adata, basis))


def potency_by_phenotype(
    adata: Any, groupby: str, *, key: str = KEY, ax: Axes | None = None
) -> Axes:
    """Draw a box of the scores for every label, the highest median on top.

    Parameters
    ----------
    adata
        As for `potency_category`; no coordinates are needed.
    groupby
        The column of `obs` with the labels; at most 100 different ones.
    key, ax
        As for `potency_category`.

    Returns
    -------
    matplotlib.axes.Axes
        With the plot.

    Raises
    ------
    CytoTRACE2Error
        As `potency_category` raises; `UsageError` where there is no such column of labels.
    """
    plots = _plots(adata, ["CytoTRACE2_Score"], key)
    return plots.potency_by_phenotype(_labels(adata, groupby), ax)


def violins_by_phenotype(
    adata: Any, groupby: str, *, key: str = KEY, ax: Axes | None = None
) -> Axes:
    """Draw a violin of the scores for every label, the highest median on top.

    Parameters
    ----------
    adata, groupby, key, ax
        As for `potency_by_phenotype`.

    Returns
    -------
    matplotlib.axes.Axes
        With the plot.

    Raises
    ------
    CytoTRACE2Error
        As `potency_by_phenotype` raises.
    """
    plots = _plots(adata, ["CytoTRACE2_Score"], key)
    return plots.violins_by_phenotype(_labels(adata, groupby), ax)


def composition(adata: Any, groupby: str, *, key: str = KEY, ax: Axes | None = None) -> Axes:
    """Draw a bar for every label: the shares of the potencies, the highest median score on top.

    Parameters
    ----------
    adata, groupby, key, ax
        As for `potency_by_phenotype`.

    Returns
    -------
    matplotlib.axes.Axes
        With the plot.

    Raises
    ------
    CytoTRACE2Error
        As `potency_by_phenotype` raises.
    """
    plots = _plots(adata, ["CytoTRACE2_Score"], key)
    return plots.composition(_labels(adata, groupby), ax)


def panel(adata: Any, groupby: str, *, basis: str = "umap", key: str = KEY) -> Figure:
    """Draw all plots above in one figure.

    Parameters
    ----------
    adata, basis, key
        As for `potency_category`; `obs` must have potency, score and relative order.
    groupby
        As for `phenotype`.

    Returns
    -------
    matplotlib.figure.Figure
        Of its own, which a notebook shows.

    Raises
    ------
    CytoTRACE2Error
        As `potency_category` and `phenotype` raise.
    """
    needed = ["CytoTRACE2_Score", "CytoTRACE2_Potency", "CytoTRACE2_Relative"]
    plots = _plots(adata, needed, key)
    return plots.panel(_labels(adata, groupby), embedding=_coordinates(adata, basis))


def samples(adata: Any, batch_key: str, *, key: str = KEY) -> Figure:
    """Draw samples side by side: shares of the potencies, and violins of the scores.

    Parameters
    ----------
    adata, key
        As for `potency_category`; no coordinates are needed.
    batch_key
        The column of `obs` with the samples; at most 100 different ones.

    Returns
    -------
    matplotlib.figure.Figure
        Of its own, which a notebook shows.

    Raises
    ------
    CytoTRACE2Error
        matplotlib is not installed; `UsageError` where there is no such column or no score.
    """
    return _plots(adata, ["CytoTRACE2_Score"], key).samples(_labels(adata, batch_key))


def _anndata(adata: Any) -> Any:
    found = anndata_of(adata)
    if found is None:
        raise UsageError(f"ct2.pl draws what is in an AnnData, not a {type(adata).__name__}.")
    return found


def _plots(adata: Any, needed: Sequence[str], key: str) -> Plots:
    return Plots(scores_of(_anndata(adata), needed, key))


def _labels(adata: Any, column: str) -> list[Any]:
    with open_input(_anndata(adata)) as source:
        return list(obs_column(source, column))


def _coordinates(adata: Any, basis: str) -> Embedding:
    found = _anndata(adata)
    with open_input(found) as source:
        return obsm_embedding(source, basis if basis in found.obsm else f"X_{basis}")
