"""Names of cells and genes: which are chosen, what is refused, which axis has the genes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import formats
from helpers.readers import CELLS, COUNTS, GENES, is_known, message, text_file
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite.genes import features
from cytotrace2_lite.read import read_expression

pytestmark = pytest.mark.usefixtures("working_directory")


REMEDY = (
    'Sum or drop one, or pass --duplicate-genes sum or first (duplicate_genes="sum" in Python).'
)


class TestNames:
    def adata(self, index, **columns):
        frame = pd.DataFrame(columns, index=index)

        class AnnData:
            X = sparse.csr_matrix(COUNTS)
            obs = pd.DataFrame(index=CELLS)
            obs_names, uns = obs.index, None
            var, var_names = frame, frame.index
            layers = raw = None

        AnnData.layers = {}
        return AnnData()

    def test_the_column_that_comes_to_more_genes(self):
        ids = ["ENSMUSG00000029580.4", "x", "y", "z"]
        expression, source = read_expression(self.adata(ids, feature_name=GENES), is_known)
        assert (expression.genes, source.gene_names) == (GENES, "var['feature_name']")
        expression, source = read_expression(self.adata(GENES, gene_ids=ids), is_known)
        assert (expression.genes, source.gene_names) == (GENES, "var_names")
        expression, source = read_expression(self.adata(list("wxyz"), gene_ids=ids), is_known)
        assert (expression.genes, source.gene_names) == (ids, "var['gene_ids']")

    def test_columns_of_other_names_or_with_gaps(self):
        odd = list("wxyz")
        gaps = [*GENES[:3], None]
        for columns, origin in (
            ({"mouse_ortholog": GENES}, "var['mouse_ortholog']"),
            ({"gene_symbols": gaps}, "var['gene_symbols'] (1 name from var_names)"),
        ):
            _, source = read_expression(self.adata(odd, **columns), is_known)
            assert source.gene_names == origin
        # Only where far more of their names are known.
        _, source = read_expression(self.adata(GENES, real_gene_name=gaps), is_known)
        assert source.gene_names == "var_names"

    def test_ids_rather_than_repeated_symbols(self):
        ids = ["ENSMUSG00000029580", "ENSMUSG00000057666", "ENSMUSG00000012396", "x"]
        symbols = ["Actb", "Gapdh", "Nanog", "Actb"]
        expression, source = read_expression(self.adata(symbols, gene_ids=ids), is_known)
        assert source.gene_names == "var['gene_ids']"
        assert expression.genes == ids
        few = ["ENSMUSG00000029580", "w", "x", "y"]
        assert message(self.adata(symbols, gene_ids=few)) == (
            f"AnnData X: gene 'Actb' appears twice (genes 1 and 4). {REMEDY}"
        )
        expression, source = read_expression(
            self.adata(symbols, gene_ids=ids), is_known, duplicate_genes="sum"
        )
        assert source.gene_names == "var_names"
        assert expression.genes == ["Actb", "Gapdh", "Nanog"]


def with_repeats():
    """Make a dataset in which Actb is there three times and Gapdh twice."""
    genes = ["Actb", "Gapdh", "Actb", "Nanog", "foo", "Gapdh", "Actb"]
    counts = np.array([[200, 0, 100, 3, 0, 1, 0], [0, 2, 0, 0, 9, 0, 1], [1, 0, 0, 0, 1, 0, 0]])
    return formats.Dataset(sparse.csr_matrix(counts), CELLS, genes)


REPEATED = [
    text_file,
    lambda d: text_file(d, transposed=True),
    formats.table,
    lambda d: formats.parquet(d, "t.parquet", transposed=True),
    lambda d: formats.arrow(d, "t.arrow", transposed=True),
    lambda d: pd.DataFrame(d.counts.toarray(), index=d.cells, columns=d.genes),
]


class TestDuplicateGenes:
    @pytest.mark.parametrize("make", REPEATED, ids=range(len(REPEATED)))
    @pytest.mark.parametrize(
        ("how", "values"),
        [
            ("first", [[200, 0, 3, 0], [0, 2, 0, 0], [1, 0, 0, 0]]),
            ("sum", [[300, 1, 3, 0], [1, 2, 0, 0], [1, 0, 0, 0]]),
        ],
    )
    def test_every_format(self, make, how, values):
        expression, source = read_expression(make(with_repeats()), is_known, duplicate_genes=how)
        assert expression.genes == ["Actb", "Gapdh", "Nanog", "foo"]
        assert expression.values.toarray().tolist() == values
        assert expression.values.has_canonical_format
        assert expression.values.dtype == (np.uint16 if how == "sum" else np.uint8)
        assert (source.duplicate_genes, source.n_duplicates) == (how, 3)
        assert f"3 repeated genes {'added up' if how == 'sum' else 'left out'}" in source.describe()

    def test_10x_and_h5ad(self, tmp_path):
        pytest.importorskip("h5py")
        data = with_repeats()
        expected, _ = read_expression(text_file(data), is_known, duplicate_genes="sum")
        for path in (
            formats.directory_v2(data, tmp_path / "v2"),
            formats.tenx_v3(data, tmp_path / "t.h5"),
            formats.h5ad(data, tmp_path / "csc.h5ad", "csc"),
        ):
            expression, _ = read_expression(path, is_known, duplicate_genes="sum")
            np.testing.assert_array_equal(expression.values.toarray(), expected.values.toarray())
            assert expression.values.dtype == expected.values.dtype

    def test_no_repeats(self, data):
        expression, source = read_expression(text_file(data), is_known, duplicate_genes="sum")
        assert expression.genes == GENES
        assert source.n_duplicates == 0
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)

    def test_error_is_the_default(self, tmp_path):
        data = with_repeats()
        at = "gene 'Actb' appears twice"
        assert message(text_file(data)) == f"t.txt: {at} (lines 2 and 4). {REMEDY}"
        path = text_file(data, transposed=True)
        assert message(path) == f"t.txt: {at} (columns 2 and 4). {REMEDY}"
        data.ids[1] = data.ids[0]
        assert message(formats.directory_v2(data, Path("v2"))) == (
            f"v2/genes.tsv: {at} (genes 1 and 3); so does 1 more. {REMEDY}"
        )

    @pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")
    def test_run(self, ensembles):
        counts = np.random.RandomState(0).poisson(1.0, (30, 600))
        genes = list(features()[:600])
        merged = counts.copy()
        merged[:, 0] += merged[:, 1]
        merged = np.delete(merged, 1, axis=1)
        repeated = [genes[0], genes[0], *genes[2:]]
        one = ct2.run(counts, genes=repeated, duplicate_genes="sum", model=ensembles["1.1.0"])
        other = ct2.run(merged, genes=[genes[0], *genes[2:]], model=ensembles["1.1.0"])
        np.testing.assert_array_equal(one.score, other.score)
        assert one.info["input"]["duplicate_genes"] == "sum"
        assert one.info["input"]["n_duplicates"] == 1


class TestOrientation:
    @pytest.mark.parametrize("transposed", [False, True])
    def test_said(self, data, transposed):
        # these names tell nothing
        data.genes = ["w", "x", "y", "z"]
        orientation = "cells-x-genes" if transposed else "genes-x-cells"
        table = formats.table(data, transposed=transposed)
        for given in (
            text_file(data, transposed=transposed),
            table,
            table.to_pandas().set_index("name"),
        ):
            expression, _ = read_expression(given, orientation=orientation)
            assert expression.genes == data.genes
            np.testing.assert_array_equal(expression.values.toarray(), COUNTS)

    def test_names_that_tell_nothing(self, data):
        data.genes = ["w", "x", "y", "z"]
        assert read_expression(text_file(data), is_known)[0].cells == CELLS
        assert read_expression(formats.table(data, transposed=True), is_known)[0].cells == CELLS

    def test_cells_named_like_genes_by_chance(self, data):
        data.cells = ["Nanog", "Gapdh", "c"]
        assert read_expression(text_file(data), is_known)[0].cells == data.cells
        assert read_expression(formats.table(data), is_known)[0].cells == data.cells

    def test_messages_of_transposed_text(self, data, tmp_path):
        text = formats.text(data, transposed=True).decode()
        for change, problem in (
            (
                ("\t7", "\t-7"),
                (
                    "line 4, cell 'c', gene 'Xkr4': '-7' is negative. Give counts or "
                    "CPM/TPM, neither logged nor scaled."
                ),
            ),
            (("\nc\t", "\na\t"), "cell 'a' appears twice (lines 2 and 4). Rename or drop one."),
            (
                ("\t7", "\tNA"),
                (
                    "line 4, cell 'c', gene 'Xkr4': the value is missing ('NA'). Write 0 "
                    "or remove the cell."
                ),
            ),
            (
                ("\t7", ""),
                (
                    "line 4 (cell 'c') has 4 fields instead of 5, the cell's name and "
                    "one per gene. Look for a missing or an extra tab."
                ),
            ),
        ):
            (tmp_path / "t.txt").write_text(text.replace(*change))
            assert message("t.txt") == f"t.txt: {problem}"
