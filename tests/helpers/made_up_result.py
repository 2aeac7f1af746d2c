"""A result of made-up cells, for what is made from results."""

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES, potency_of
from cytotrace2_lite.metadata.coordinates import Embedding
from cytotrace2_lite.result import Result

FINDING = {
    "code": "few_genes",
    "severity": "warning",
    "what": "8,000 of 14,271 genes",
    "why": "Scores may be off",
    "remedy": "Check the species",
}


def made_up_result(n_cells=120, cells=None, **info):
    """Cells in three groups, the last of them without counts."""
    rng = np.random.RandomState(0)
    group = np.arange(n_cells) % 3
    score = np.clip(0.2 + 0.25 * group + rng.normal(scale=0.05, size=n_cells), 0.01, 1)
    score[-1] = np.nan
    potency = np.where(np.isnan(score), -1, potency_of(np.nan_to_num(score))).astype(np.int8)
    return Result(
        cells=cells or [f"cell{k}" for k in range(n_cells)],
        score=score,
        relative=(score - np.nanmin(score)) / (np.nanmax(score) - np.nanmin(score)),
        preknn_score=score,
        raw_score=score,
        probabilities=np.full((n_cells, len(POTENCIES)), 1 / 6),
        potency_index=potency,
        preknn_potency_index=potency,
        n_genes=np.full(n_cells, 2000),
        info={
            "cytotrace2_lite": "0.1.0",
            "model": {"name": "made-up", "sha256": "0" * 64, "licence": "none"},
            "findings": [FINDING],
            "quality": {
                "cells_without_counts": ["the last"],
                "batches": [
                    {
                        "n_cells": n_cells,
                        "median_genes_per_cell": 2000.0,
                        "share_of_cells_under_500_genes": 0.25,
                        "smoothed_over_neighbors": True,
                    }
                ],
            },
            "seconds": {"read": 0.1, "total": 1.5},
            "peak_memory_bytes": 123_000_000,
            **info,
        },
        embedding=Embedding(
            rng.normal(size=(n_cells, 2)) + 5 * group[:, None], ("UMAP 1", "UMAP 2")
        ),
    )


def made_up_labels(n_cells=120):
    """Three labels, as the groups of `made_up_result`."""
    return [("stem", "middle", "mature")[k % 3] for k in range(n_cells)]
