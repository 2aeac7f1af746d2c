"""Values whose features are known before they are read: the same counts, whatever the format."""

import numpy as np
import pandas as pd
import pytest
from helpers import formats
from helpers.counts import random_counts
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite.genes import N_FEATURES, is_known, map_genes
from cytotrace2_lite.read import ReadOptions, open_input

N_CELLS = 30
GENES = list(ct2.genes.features())


def known(names):
    return is_known(names, "mouse")


def features(names):
    return map_genes(names, "mouse").feature, N_FEATURES


@pytest.fixture(autouse=True)
def many(monkeypatch):
    """Few values count as many, and come in many blocks."""
    monkeypatch.setattr("cytotrace2_lite.read._collect.VALUES_TO_COMPILE_FOR", 1)
    monkeypatch.setattr("cytotrace2_lite.read._blocks._N_VALUES", 1000)
    monkeypatch.setattr("cytotrace2_lite.read.tables._N_VALUES", 50_000)


@pytest.fixture(scope="module")
def data():
    counts = random_counts(N_CELLS, 300).astype(np.int64).tolil()
    counts[[3, 4, 29]] = 0
    counts[7, 50] = 700
    return formats.Dataset(sparse.csr_matrix(counts), [f"c{i}" for i in range(N_CELLS)], GENES)


def read(given, **options):
    with open_input(given) as source:
        return source.read(ReadOptions(known, features=features, **options))[0]


def assert_same(expression, data, *, sorted_as_read):
    assert (expression.sorted_counts is not None) == sorted_as_read
    counts = expression.counts_of_features(*features(data.genes))
    expected = sparse.csr_array(data.counts)
    expected.sort_indices()
    found = counts[:]
    assert (found.indptr == expected.indptr).all()
    assert (found.indices == expected.indices).all()
    assert (found.data == expected.data).all()
    assert (counts.total == expected.sum(axis=1)).all()
    assert (counts.largest == expected.toarray().max(axis=1)).all()
    assert counts.whole
    assert expression.max_value == 700


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("kind", "by_cell"), [("csr", True), ("csc", False), ("dense", True)])
def test_h5ad(data, tmp_path, kind, by_cell, threads):
    pytest.importorskip("h5py")
    path = formats.h5ad(data, tmp_path / "cells.h5ad", kind)
    assert_same(read(path, threads=threads), data, sorted_as_read=by_cell)


def test_10x_h5(data, tmp_path):
    pytest.importorskip("h5py")
    assert_same(read(formats.tenx_v3(data, tmp_path / "m.h5")), data, sorted_as_read=True)


def test_matrices(data):
    anndata = pytest.importorskip("anndata")
    names = {"obs": pd.DataFrame(index=data.cells), "var": pd.DataFrame(index=data.genes)}
    for matrix, by_cell in (
        (data.counts, True),
        (data.counts.tocsc(), False),
        (data.counts.toarray(), True),
    ):
        given = anndata.AnnData(matrix.astype(np.float32), **names)
        assert_same(read(given), data, sorted_as_read=by_cell)


def test_data_frame(data):
    frame = pd.DataFrame(data.counts.toarray().T, data.genes, data.cells)
    assert_same(read(frame), data, sorted_as_read=True)


def test_text_whose_genes_come_with_the_values(data, tmp_path):
    (tmp_path / "t.txt").write_bytes(formats.text(data))
    assert_same(read(tmp_path / "t.txt"), data, sorted_as_read=False)


def test_without_compiled_code(data, monkeypatch):
    monkeypatch.setattr("cytotrace2_lite.read._collect.may_compile", lambda: False)
    frame = pd.DataFrame(data.counts.toarray().T, data.genes, data.cells)
    assert_same(read(frame), data, sorted_as_read=False)


def test_few_values(data, monkeypatch):
    monkeypatch.setattr("cytotrace2_lite.read._collect.VALUES_TO_COMPILE_FOR", 100_000)
    frame = pd.DataFrame(data.counts.toarray().T, data.genes, data.cells)
    assert_same(read(frame), data, sorted_as_read=False)


def h5ad_with(data, path, change):
    """Write an `.h5ad`, and change the arrays of its matrix."""
    import h5py

    formats.h5ad(data, path, "csr")
    with h5py.File(path, "r+") as file:
        matrix = {name: file["X"][name][:] for name in ("indptr", "indices", "data")}
        change(matrix)
        for name, array in matrix.items():
            file["X"][name][:] = array
    return path


@pytest.mark.parametrize("cell", [0, 12, 28])
def test_a_gene_twice_in_a_cell(data, tmp_path, cell):
    pytest.importorskip("h5py")

    def twice(matrix):
        end = matrix["indptr"][cell + 1]
        matrix["indices"][end - 1] = matrix["indices"][end - 2]

    expression = read(h5ad_with(data, tmp_path / "cells.h5ad", twice))
    assert expression.sorted_counts is None
    counts = expression.counts_of_features(*features(data.genes))
    assert counts.n_repeated == 1
    assert (counts.total[:] == np.asarray(data.counts.sum(axis=1)).ravel()).all()
    assert counts.nnz == data.counts.nnz - 1


def test_a_wrong_value_is_found_as_before(data, tmp_path):
    pytest.importorskip("h5py")

    def negative(matrix):
        matrix["data"][-1] = -2

    path = h5ad_with(data, tmp_path / "cells.h5ad", negative)
    with pytest.raises(ct2.InputError, match=r"cell 'c28': the value -2 is negative"):
        read(path, threads=2)


def test_what_is_wrong_with_the_genes_is_said_after_what_is_wrong_with_the_values(data, tmp_path):
    pytest.importorskip("h5py")
    data = formats.Dataset(data.counts, data.cells, [f"x{i}" for i in range(N_FEATURES)])
    path = formats.h5ad(data, tmp_path / "cells.h5ad", "csr")
    with pytest.raises(ct2.NoUsableGenesError, match="none of the gene names"):
        ct2.run(path)

    def negative(matrix):
        matrix["data"][-1] = -2

    with pytest.raises(ct2.InputError, match="the value -2 is negative"):
        ct2.run(h5ad_with(data, tmp_path / "wrong.h5ad", negative))
