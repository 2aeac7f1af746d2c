"""An explanation into the AnnData that was explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import UsageError
from cytotrace2_lite.explanation.shares import CELLS_PER_STEP
from cytotrace2_lite.output.anndata import make_actual
from cytotrace2_lite.output.tables import require_pandas
from cytotrace2_lite.text import first_few

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.explanation.means import GroupMeans

__all__ = ["SHARES_KEY", "UNS_KEY", "write"]

#: Name in `varm` and in `layers`.
SHARES_KEY = "cytotrace2_shares"
#: Name in `uns`.
UNS_KEY = "cytotrace2_explanation"


def write(
    means: GroupMeans,
    adata: Any,
    cells: Sequence[str],
    shares_of: Callable[[slice], NDArray[np.float32]] | None = None,
) -> None:
    """Write mean shares into `varm`, what was explained into `uns`, shares into a layer.

    Parameters
    ----------
    means
        Mean shares of the groups.
    adata
        The AnnData whose cells were scored.
    cells
        Their names.
    shares_of
        Gives the shares of some cells, for the layer; None for no layer.

    Raises
    ------
    UsageError
        Its cells or genes are others than those that were explained.
    """
    if [str(name) for name in adata.obs_names] != list(cells):
        raise UsageError("the AnnData has other cells than those that were explained.")
    position = {name: i for i, name in enumerate(means.genes) if name}
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
    table = np.zeros((len(names), len(means.groups)))
    table[rows] = means.mean_shares[:, columns].T
    pandas = require_pandas()
    make_actual(adata)
    adata.varm[SHARES_KEY] = pandas.DataFrame(
        table, index=adata.var_names, columns=list(means.groups)
    )
    adata.uns[UNS_KEY] = {
        "of": means.of,
        "reference": means.reference.name,
        "reference_value": means.reference.value,
        "reference_n_cells": means.reference.n_cells,
        "groups": np.array(means.groups, dtype=object),
    }
    if shares_of is not None:
        shares = np.zeros((len(cells), len(names)), np.float32)
        for first in range(0, len(shares), CELLS_PER_STEP):
            some = slice(first, first + CELLS_PER_STEP)
            shares[some, rows] = shares_of(some)[:, columns]
        adata.layers[SHARES_KEY] = shares
