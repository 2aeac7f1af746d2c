"""Made-up results, and the names of the plots of a run."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np

from cytotrace2_lite.base.potency import potency_of
from cytotrace2_lite.metadata.coordinates import Embedding
from cytotrace2_lite.result import Result

# File names of plots, without the extension.
ON_CELLS = [
    "cytotrace2_potency_category_UMAP",
    "cytotrace2_potency_score_UMAP",
    "cytotrace2_relative_order_UMAP",
]
BY_LABEL = [
    "cytotrace2_composition",
    "cytotrace2_panel",
    "cytotrace2_potency_score_by_phenotype",
    "cytotrace2_potency_score_violin",
    "phenotype_UMAP",
]
BY_SAMPLE = ["cytotrace2_samples"]
# Labels that need several lines.
LONG = [
    f"{kind} of the {organ}, {state}"
    for kind, organ, state in itertools.product(
        ["microvascular endothelial cell", "CD4-positive, alpha-beta T cell", "fibroblast"],
        ["lung", "small intestine", "visceral pleura", "Distal_Airway_Epithelium_Branch_No_2", "x"],
        ["proliferating", "quiescent (G0)"],
    )
]


def made_up(n_cells, n_missing=0, seed=0):
    """Result whose score grows along the first of two made-up coordinates."""
    random = np.random.RandomState(seed)
    coordinates = random.normal(size=(n_cells, 2))
    score = random.permutation(np.linspace(0, 1, n_cells))
    coordinates[:, 0] += 5 * score
    score[random.choice(n_cells, n_missing, replace=False)] = np.nan
    potency = np.full(n_cells, -1, dtype=np.int8)
    potency[~np.isnan(score)] = potency_of(score[~np.isnan(score)])
    return Result(
        cells=[f"c{i}" for i in range(n_cells)],
        score=score,
        relative=score,
        preknn_score=score,
        raw_score=score,
        probabilities=np.zeros((n_cells, 6)),
        potency_index=potency,
        preknn_potency_index=potency,
        n_genes=np.full(n_cells, 1000),
        info={
            "model": {"name": "open", "official": ""},
            "parameters": {"max_cores": 1},
        },
        embedding=Embedding(coordinates, ("UMAP 1", "UMAP 2")),
    )


def made_up_without_embedding(n_cells):
    """The same result without coordinates."""
    return replace(made_up(n_cells), embedding=None)


def labelled(result, names):
    """Labels of the cells of a result, one name after the other."""
    return [names[i % len(names)] for i in range(len(result.cells))]


def all_axes(result, names):
    """All plots of a result, by what they show."""
    labels = labelled(result, names)
    return {
        "category": result.plot.potency_category(),
        "score": result.plot.potency_score(),
        "relative": result.plot.relative_order(),
        "phenotype": result.plot.phenotype(labels),
        "boxes": result.plot.potency_by_phenotype(labels),
        "violins": result.plot.violins_by_phenotype(labels),
        "composition": result.plot.composition(labels),
    }


def plots_in(folder):
    """Names of the plots on cells in a folder."""
    return sorted(path.name for path in Path(folder).iterdir() if "UMAP" in path.name)
