"""Loom files: names, layers, labels, and files that loompy and anndata write."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers import formats
from helpers.readers import message
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite import genes as gene_tables
from cytotrace2_lite.cli.main import cli
from cytotrace2_lite.read import ReadOptions, open_input, read_expression

h5py = pytest.importorskip("h5py")
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")
GENES = list(gene_tables.features()[:3])
CELLS = ["c1", "c2", "a-b", "z"]
COUNTS = np.array([[0, 7, 0], [3, 0, 65536], [0, 0, 1], [1, 255, 12]])


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data():
    return formats.Dataset(sparse.csr_array(COUNTS), CELLS, GENES)


@pytest.fixture
def loom(data):
    """Write a Loom file and change it."""

    def write(change=len, **options):
        path = formats.loom(data, Path("t.loom"), **options)
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return write


def is_known(names):
    return gene_tables.is_known(names, "mouse")


class TestNames:
    @pytest.mark.parametrize("name", ["obs_names", "cell_names", "Barcode", "CELLID"])
    def test_other_names_of_cells(self, loom, name):
        path = loom(lambda file: file["col_attrs"].move("CellID", name))
        assert read_expression(path)[0].cells == CELLS

    @pytest.mark.parametrize("name", ["var_names", "gene_names", "GeneName", "gene_symbols"])
    def test_other_names_of_genes(self, loom, name):
        path = loom(lambda file: file["row_attrs"].move("Gene", name), ids=False)
        expression, source = read_expression(path, is_known)
        assert expression.genes == GENES
        assert source.gene_names == f"row_attrs[{name!r}]"

    def test_accessions_where_symbols_are_unknown(self, loom):
        ids = ["ENSMUSG00000029580", "ENSMUSG00000025902", "ENSMUSG00000064341"]

        def change(file):
            file["row_attrs/Gene"][...] = ["x1", "x2", "x3"]
            file["row_attrs/Accession"][...] = ids

        expression, source = read_expression(loom(change), is_known)
        assert expression.genes == ids
        assert source.gene_names == "row_attrs['Accession']"

    def test_chosen(self, loom):
        def change(file):
            file["row_attrs/other"] = ["x", "y", "z"]

        path = loom(change)
        for name, genes in (("other", ["x", "y", "z"]), ("Gene", GENES)):
            expression, source = read_expression(path, is_known, gene_column=name)
            assert expression.genes == genes
            assert source.gene_names == f"row_attrs[{name!r}]"
        assert message(path, error=ct2.UsageError, gene_column="nothing") == (
            "t.loom: row_attrs has no column 'nothing' of names. Its columns are 'Accession', "
            "'other'."
        )
        path = loom(lambda file: file["row_attrs"].move("Gene", "weird"), ids=False)
        assert read_expression(path, gene_column="weird")[0].genes == GENES

    def test_entities_of_xml(self, loom):
        def change(file):
            del file["col_attrs/CellID"]
            file["col_attrs/CellID"] = np.array([b"caf&#233;", b"b&amp;c", b"c", b"d"])

        path = loom(change, spec="2.0.1")
        assert read_expression(path)[0].cells == ["caf\u00e9", "b&c", "c", "d"]

    def test_columns_that_are_genes(self, loom):
        expression, source = read_expression(loom(), orientation="cells-x-genes")
        assert (expression.cells, expression.genes) == (GENES, CELLS)
        assert source.orientation == "cells x genes"
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS.T)


class TestMatrix:
    def test_layers(self, loom):
        path = loom(lambda file: file["layers"].create_dataset("spliced", data=2 * COUNTS.T))
        expression, source = read_expression(path)
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)
        assert (source.matrix, source.other_matrices) == ("matrix", ("layers['spliced']",))
        expression, source = read_expression(path, layer="spliced")
        np.testing.assert_array_equal(expression.values.toarray(), 2 * COUNTS)

    def test_counts_are_taken(self, loom):
        def change(file):
            file["layers/counts"] = COUNTS.T
            file["matrix"][...] = np.log1p(COUNTS.T)

        path = loom(change)
        expression, source = read_expression(path)
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)
        assert (source.matrix, source.instead_of) == ("layers['counts']", "matrix")
        expression, source = read_expression(path, layer="matrix")
        assert expression.max_value == np.float32(np.log1p(65536))
        assert (source.matrix, source.instead_of) == ("matrix", None)

    @pytest.mark.parametrize("chunks", [(1, 1), (3, 1), (1, 4), (2, 3), (3, 4)])
    def test_chunks(self, loom, chunks, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.read._blocks._N_VALUES", 3)
        np.testing.assert_array_equal(
            read_expression(loom(chunks=chunks))[0].values.toarray(), COUNTS
        )

    def test_each_chunk_is_read_once(self):
        """What is read at a time ends at ends of chunks, whose cache holds few of them."""
        from cytotrace2_lite.read._blocks import dense_steps

        class Dataset:
            shape, chunks, dtype = (20_000, 3000), (64, 64), np.dtype("f4")

            def __init__(self):
                self.asked = []

            def __getitem__(self, where):
                self.asked.append(where)
                stops = zip(where, self.shape, strict=True)
                return np.zeros([min(part.stop, n) - part.start for part, n in stops], "f4")

        dataset = Dataset()
        for _ in dense_steps(dataset):
            pass
        assert all(part.start % 64 == 0 for where in dataset.asked for part in where)
        n_values = sum(
            (min(rows.stop, 20_000) - rows.start) * (min(columns.stop, 3000) - columns.start)
            for rows, columns in dataset.asked
        )
        assert n_values == 20_000 * 3000


class TestCells:
    @pytest.fixture
    def path(self, loom):
        def change(file):
            file["col_attrs/donor"] = np.array([b"a", b"b", b"a", b"b"])
            file["col_attrs/ClusterID"] = np.array([1, 2, 1, 2])
            file["col_attrs/X_umap"] = np.arange(8.0).reshape(4, 2)

        return loom(change)

    def test_labels(self, path):
        with open_input(path) as source:
            assert source.has_cell_data
            assert not source.is_h5ad
            assert source.obs_column("donor") == ["a", "b", "a", "b"]
            assert source.obs_column("ClusterID") == ["1", "2", "1", "2"]
            assert source.obsm("X_umap").tolist() == np.arange(8.0).reshape(4, 2).tolist()
            assert source.describes_cells("auto")
            assert not source.describes_cells("cells-x-genes")
            source.read(ReadOptions())

    def test_wrong_labels(self, path):
        with open_input(path) as source:
            with pytest.raises(ct2.UsageError) as caught:
                source.obs_column("X_umap")
            assert str(caught.value) == (
                "t.loom: col_attrs has no labels 'X_umap'. They are 'CellID', 'ClusterID', 'donor'."
            )
            with pytest.raises(ct2.UsageError) as caught:
                source.obsm("X_tsne")
            assert str(caught.value) == (
                "t.loom: col_attrs has no array 'X_tsne'. There is 'CellID', 'ClusterID', "
                "'X_umap', 'donor'."
            )

    def test_the_command_line(self, path, model_files):
        command = ["run", str(path), "-m", model_files["1.1.0"], "-dpl", "-o", "out"]
        done = CliRunner().invoke(cli, [*command, "--batch-key", "donor"])
        assert done.exit_code == 0, done.output
        report = json.loads(Path("out/run.json").read_text())
        assert report["input"]["format"] == "loom"
        assert report["input"]["matrix"] == "matrix"
        assert [batch["sample"] for batch in report["quality"]["batches"]] == ["a", "b"]


class TestLoompy:
    """Files that loompy itself and anndata write, where these are installed."""

    @pytest.mark.filterwarnings("ignore")
    def test_loompy(self, data, tmp_path):
        loompy = pytest.importorskip("loompy")
        path = str(tmp_path / "x.loom")
        rows = {"Gene": np.array(GENES), "Accession": np.array(data.ids)}
        columns = {"CellID": np.array(["caf\u00e9", *CELLS[1:]]), "n": np.arange(4)}
        loompy.create(path, {"": COUNTS.T, "spliced": 2 * COUNTS.T}, rows, columns)
        for layer, factor in ((None, 1), ("spliced", 2)):
            expression, _ = read_expression(path, layer=layer)
            assert expression.genes == GENES
            assert expression.cells == ["caf\u00e9", *CELLS[1:]]
            np.testing.assert_array_equal(expression.values.toarray(), factor * COUNTS)
        with open_input(path) as source:
            assert source.obs_column("n") == ["0", "1", "2", "3"]

    @pytest.mark.filterwarnings("ignore")
    def test_anndata(self, data, tmp_path):
        anndata = pytest.importorskip("anndata")
        pytest.importorskip("loompy")
        import pandas as pd

        adata = anndata.AnnData(
            sparse.csr_matrix(COUNTS.astype("f4")),
            obs=pd.DataFrame({"donor": ["a", "b", "a", "b"]}, index=CELLS),
            var=pd.DataFrame(index=GENES),
            obsm={"X_umap": np.zeros((4, 2))},
        )
        path = tmp_path / "x.loom"
        adata.write_loom(path, write_obsm_varm=True)
        expression, origin = read_expression(path)
        assert (expression.cells, expression.genes) == (CELLS, GENES)
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)
        assert origin.gene_names == "row_attrs['var_names']"
        with open_input(path) as source:
            assert source.obs_column("donor") == ["a", "b", "a", "b"]
            assert source.obsm("X_umap").shape == (4, 2)
