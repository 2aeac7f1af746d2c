"""Expression of single genes, read from the input again for the report.

A run keeps the genes that the model knows; here any gene of the input can be asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.genes import N_FEATURES, is_known, map_genes
from cytotrace2_lite.genes.orthologs import read_orthologs
from cytotrace2_lite.read import ReadOptions
from cytotrace2_lite.text import first_few, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cytotrace2_lite.base.options import RunOptions
    from cytotrace2_lite.read import Input

__all__ = ["expression_of"]


def expression_of(
    source: Input, genes: Sequence[str], cells: Sequence[str], options: RunOptions
) -> dict[str, NDArray[np.float64]]:
    """Read the expression of some genes.

    Parameters
    ----------
    source
        The input.
    genes
        Their names, as the input has them.
    cells
        The cells of the results.
    options
        How the input is read; species.

    Returns
    -------
    dict
        Name to log2(CPM + 1), float64, shape (n_cells,); CPM of the sum over the genes that the
        model knows, as it is computed for the scores.

    Raises
    ------
    InputError
        The input cannot be read, or has other cells.
    UsageError
        A gene is not in it.
    """
    wanted = list(dict.fromkeys(genes))
    table = None if options.orthologs is None else read_orthologs(options.orthologs)
    mouse_symbol = None if table is None else table.symbol_of

    def is_of_use(names: Sequence[str]) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = is_known(names, options.species, mouse_symbol)
        return known | np.isin(np.asarray(names, dtype=object), wanted)

    expression, _ = source.read(
        ReadOptions(
            is_known=is_of_use,
            layer=options.layer,
            use_raw=options.use_raw,
            orientation=options.orientation,
            duplicate_genes=options.duplicate_genes,
            gene_column=options.gene_column,
            is_gene=lambda names: is_known(names, "mouse") | is_known(names, "human"),
        )
    )
    row = {cell: k for k, cell in enumerate(expression.cells)}
    missing = [cell for cell in cells if cell not in row]
    if missing:
        raise InputError(
            f"{source.name}: {len(missing):,} of {len(cells):,} cells of the results are not in "
            f"this input: {first_few(missing)}. Give the input that was scored (--input)."
        )
    position = {name: k for k, name in enumerate(expression.genes)}
    absent = [gene for gene in wanted if gene not in position]
    if absent:
        lower = {name.lower(): name for name in expression.genes}
        alike = [lower[gene.lower()] for gene in absent if gene.lower() in lower]
        hint = f" Did you mean {first_few(alike)}?" if alike else " Write it as the input does."
        raise UsageError(f"{source.name}: there is no gene {shown(absent[0])} in it.{hint}")
    total = expression.counts_of_features(
        map_genes(expression.genes, options.species, mouse_symbol).feature, N_FEATURES
    ).total
    column = np.full(len(expression.genes), -1, np.intp)
    column[[position[gene] for gene in wanted]] = np.arange(len(wanted))
    order = np.array([row[cell] for cell in cells], dtype=np.intp)
    counts = expression.counts_of_features(column, len(wanted))[:][order].toarray()
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.log2(1e6 * counts / total[order][:, np.newaxis] + 1)
    values[~np.isfinite(values)] = np.nan
    return {gene: values[:, k] for k, gene in enumerate(wanted)}
