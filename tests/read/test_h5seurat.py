"""Files of SeuratDisk: assays and layers, labels, coordinates."""

from pathlib import Path

import numpy as np
import pytest
from helpers.readers import message
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite import genes as gene_tables
from cytotrace2_lite.read import open_input, read_expression

h5py = pytest.importorskip("h5py")
GENES = list(gene_tables.features()[:3])
CELLS = ["c1", "c2", "a-b", "z"]
COUNTS = np.array([[0, 7, 0], [3, 0, 65536], [0, 0, 1], [1, 255, 12]])


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def put(group, name, matrix):
    """Write a matrix of genes x cells as SeuratDisk does."""
    if not sparse.issparse(matrix):
        group[name] = matrix.T
        return
    inner = group.create_group(name)
    inner.attrs["dims"] = matrix.shape
    by_cell = matrix.tocsc()
    for part in ("data", "indices", "indptr"):
        inner[part] = getattr(by_cell, part)


@pytest.fixture
def write():
    def write(assays, active="RNA", change=len):
        with h5py.File("x.h5Seurat", "w") as file:
            file.attrs["active.assay"], file.attrs["version"] = active, "3.1.5.9900"
            file.create_dataset("cell.names", data=CELLS, dtype=h5py.string_dtype())
            for name in ("meta.data", "reductions", "assays"):
                file.create_group(name)
            for assay, layers in assays.items():
                group = file.create_group(f"assays/{assay}")
                group.create_dataset("features", data=GENES, dtype=h5py.string_dtype())
                for layer, matrix in layers.items():
                    put(group, layer, matrix)
            change(file)
        return "x.h5Seurat"

    return write


@pytest.mark.parametrize("form", [np.asarray, sparse.csc_matrix])
def test_layers(write, form):
    counts = COUNTS.T.astype(float)
    path = write({
        "RNA": {"counts": form(counts), "data": form(2 * counts), "scale.data": -counts},
        "SCT": {"counts": form(3 * counts)},
    }, active="SCT")  # fmt: skip
    for layer, factor, name in (
        (None, 1, "RNA/counts"),
        ("data", 2, "RNA/data"),
        ("SCT", 3, "SCT/counts"),
        ("SCT/counts", 3, "SCT/counts"),
    ):
        expression, source = read_expression(path, layer=layer)
        assert (expression.cells, expression.genes) == (CELLS, GENES)
        np.testing.assert_array_equal(expression.values.toarray(), factor * COUNTS)
        assert (source.format, source.matrix) == ("h5seurat", name)
        assert len(source.other_matrices) == 2
    assert message(path, error=ct2.UsageError, layer="scale.data") == (
        "x.h5Seurat: there is no layer 'scale.data'. There is 'RNA/counts', 'RNA/data', "
        "'SCT/counts'."
    )
    assert message(path, error=ct2.UsageError, use_raw=True) == (
        "x.h5Seurat: a SeuratDisk file has no raw: leave the option out."
    )


def test_without_counts(write):
    path = write({"RNA": {"data": COUNTS.T}})
    assert message(path) == (
        "x.h5Seurat: the assay 'RNA' of this Seurat object has no counts. There is 'RNA/data'; "
        "--layer NAME (layer= in Python) reads one."
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cell.names", "x.h5Seurat: "),
        ("assays/RNA/features", "x.h5Seurat: the assay 'RNA' has no names. The file is damaged."),
        ("assays/RNA/counts/data", "x.h5Seurat: /assays/RNA/counts has no sparse matrix."),
        ("assays/RNA", "x.h5Seurat: this Seurat object has no assays."),
    ],
)
def test_damaged(write, name, text):
    path = write({"RNA": {"counts": sparse.csc_matrix(COUNTS.T)}}, change=lambda f: f.pop(name))
    assert message(path).startswith(text)


def test_labels_and_coordinates(write):
    def change(file):
        file["meta.data/donor"] = [b"a", b"NA", b"a", b"b"]
        file["meta.data/seurat_clusters/levels"] = [b"0", b"1"]
        file["meta.data/seurat_clusters/values"] = np.array([1, 2, -(2**31), 1], np.int32)
        file["reductions/umap/cell.embeddings"] = np.arange(8.0).reshape(2, 4)

    path = write({"RNA": {"counts": COUNTS.T}}, change=change)
    with open_input(Path(path)) as source:
        assert source.obs_column("donor") == ["a", "", "a", "b"]
        assert source.obs_column("seurat_clusters") == ["0", "1", "", "0"]
        for name in ("umap", "X_umap"):
            assert source.obsm(name).tolist() == np.arange(8.0).reshape(2, 4).T.tolist()
        with pytest.raises(ct2.UsageError) as caught:
            source.obs_column("nothing")
        assert str(caught.value) == (
            "x.h5Seurat: meta.data has no column 'nothing' of labels. Its columns are 'donor', "
            "'seurat_clusters'."
        )
        with pytest.raises(ct2.UsageError) as caught:
            source.obsm("tsne")
        assert str(caught.value) == ("x.h5Seurat: there is no reduction 'tsne'. There is 'umap'.")
