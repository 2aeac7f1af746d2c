"""Options that have no meaning for a format."""

from pathlib import Path

import pytest
from helpers import formats
from helpers.readers import COUNTS, GENES, message, text_file

import cytotrace2_lite as ct2

pytestmark = pytest.mark.usefixtures("working_directory")


def test_options_without_meaning(data):
    path = text_file(data)
    error = ct2.UsageError
    assert message(path, error=error, layer="x") == (
        "a text table has no layers: leave the option out."
    )
    assert message(path, error=error, use_raw=True) == (
        "a text table has no raw: leave the option out."
    )
    assert message(path, error=error, use_raw=True, layer="x") == (
        "a layer and raw are two matrices: choose one of them."
    )
    assert message(path, error=error, orientation="x") == (
        "orientation is 'x'; it must be one of 'auto', 'genes-x-cells', 'cells-x-genes'."
    )
    assert message(path, error=error, duplicate_genes=None) == (
        "duplicate_genes is None; it must be one of 'error', 'first', 'sum'."
    )
    folder = formats.directory_v2(data, Path("v2"))
    assert message(folder, error=error, layer="x") == (
        "a 10x directory has no layers: leave the option out."
    )
    no_columns = "has no columns of gene names to choose from: leave the gene column out."
    assert message(path, error=error, gene_column="x") == f"a text table {no_columns}"
    assert message(COUNTS, error=error, genes=GENES, gene_column="x") == f"a matrix {no_columns}"
    assert message(COUNTS, error=error, genes=GENES, layer="x") == (
        "a matrix has no layers: leave the option out."
    )
    assert message(formats.table(data), error=error, genes=GENES) == (
        "genes and cells name the axes of a matrix; a Table has its own names."
    )
