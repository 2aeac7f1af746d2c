"""An explanation into the AnnData that was explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.explanation.shares import CELLS_PER_STEP
from cytotrace2_lite.output.tables import require_pandas
from cytotrace2_lite.text import first_few

if TYPE_CHECKING:
    from cytotrace2_lite.explanation.explanation import Explanation

__all__ = ["SHARES_KEY", "UNS_KEY", "write"]

#: Name in `varm` and in `layers`.
SHARES_KEY = "cytotrace2_shares"
#: Name in `uns`.
UNS_KEY = "cytotrace2_explanation"


def write(explanation: Explanation, adata: Any, *, layer: bool) -> None:
    """Write mean shares into `varm`, what was explained into `uns`, shares into a layer.

    Parameters
    ----------
    explanation
        The explanation.
    adata
        The AnnData whose cells were scored.
    layer
        Whether the shares of every cell are written, too.

    Raises
    ------
    UsageError
        Its cells or genes are others than those that were explained.
    """
    if [str(name) for name in adata.obs_names] != list(explanation.cells):
        raise UsageError("the AnnData has other cells than those that were explained.")
    position = {name: i for i, name in enumerate(explanation.genes) if name}
    names = [str(name) for name in adata.var_names]
    if not position.keys() & set(names):  # a column of var has named the genes
        for column in adata.var.columns:
            texts = [str(name) for name in adata.var[column]]
            if position.keys() <= set(texts):
                names = texts
                break
        else:
            raise UsageError(
                "the AnnData has none of the genes that were explained: "
                f"{first_few(list(position))}. After use_raw, pass adata.raw.to_adata()."
            )
    columns, rows, seen = [], [], set()
    for row, name in enumerate(names):
        if name in position and name not in seen:  # of genes of one name, the first
            seen.add(name)
            rows.append(row)
            columns.append(position[name])
    means = np.zeros((len(names), len(explanation.groups)))
    means[rows] = explanation.mean_shares[:, columns].T
    pandas = require_pandas()
    adata.varm[SHARES_KEY] = pandas.DataFrame(
        means, index=adata.var_names, columns=list(explanation.groups)
    )
    adata.uns[UNS_KEY] = {
        "of": explanation.of,
        "reference": explanation.reference.name,
        "reference_value": explanation.reference.value,
        "reference_n_cells": explanation.reference.n_cells,
        "groups": np.array(explanation.groups, dtype=object),
    }
    if layer:
        shares = np.zeros((len(explanation.cells), len(names)), np.float32)
        for first in range(0, len(shares), CELLS_PER_STEP):
            some = slice(first, first + CELLS_PER_STEP)
            shares[some, rows] = explanation.shares(some)[:, columns]
        adata.layers[SHARES_KEY] = shares
