"""Several values of one gene and cell are added up, whatever the input, and that is said."""

import h5py
import numpy as np
import pytest
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite.read import read_expression

# Of gene 0 and cell 0 there are 100 and 100, whose sum is too large for int8; of gene 2 and cell 1
# there are 3 and 4.
CELL = np.array([0, 0, 0, 1, 1, 1, 2])
GENE = np.array([0, 1, 0, 2, 0, 2, 1])
VALUE = np.array([100, 7, 100, 3, 9, 4, 5])
SUMS = [[200, 7, 0], [9, 0, 7], [0, 5, 0]]
NAMES = ["Actb", "Sox17", "Gapdh"]
CELLS = ["a", "b", "c"]


def csr(kind):
    return sparse.csr_matrix(
        (VALUE.astype(kind), GENE, np.array([0, 3, 6, 7], np.int32)), shape=(3, 3)
    )


def csc(kind):
    order = np.argsort(GENE, kind="stable")
    indptr = np.searchsorted(GENE[order], np.arange(4))
    return sparse.csc_matrix((VALUE[order].astype(kind), CELL[order], indptr), shape=(3, 3))


def coo(kind):
    return sparse.coo_matrix((VALUE.astype(kind), (CELL, GENE)), shape=(3, 3))


def write_h5ad(path, matrix):
    with h5py.File(path, "w") as file:
        for frame, names in (("obs", CELLS), ("var", NAMES)):
            group = file.create_group(frame)
            group.attrs["_index"] = "_index"
            group["_index"] = names
        group = file.create_group("X")
        group.attrs["encoding-type"] = f"{matrix.format}_matrix"
        group.attrs["shape"] = matrix.shape
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(matrix, part)
    return path


def write_10x_h5(path):
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"], group["shape"] = CELLS, [3, 3]
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(csr(np.int32), part)
        group["features/id"] = group["features/name"] = NAMES
        group["features/feature_type"] = ["Gene Expression"] * 3
    return path


def write_directory(path):
    path.mkdir()
    entries = zip(GENE + 1, CELL + 1, VALUE, strict=True)
    lines = "".join(f"{gene} {cell} {value}\n" for gene, cell, value in entries)
    head = "%%MatrixMarket matrix coordinate integer general\n3 3 7\n"
    (path / "matrix.mtx").write_text(head + lines)
    (path / "genes.tsv").write_text("".join(f"{name}\t{name}\n" for name in NAMES))
    (path / "barcodes.tsv").write_text("".join(f"{name}\n" for name in CELLS))
    return path


INPUTS = {
    "csr": lambda _: csr(np.int64),
    "csc": lambda _: csc(np.float32),
    "coo": lambda _: coo(np.int64),
    "csr of 8 bits": lambda _: csr(np.int8),
    "csc of 8 bits": lambda _: csc(np.uint8),
    "coo of 8 bits": lambda _: coo(np.int8),
    "h5ad csr": lambda path: write_h5ad(path / "x.h5ad", csr(np.float32)),
    "h5ad csc": lambda path: write_h5ad(path / "x.h5ad", csc(np.int8)),
    "10x h5": lambda path: write_10x_h5(path / "x.h5"),
    "10x mtx": lambda path: write_directory(path / "x"),
}


@pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("duplicate_genes", ["error", "sum"])
def test_one_rule(tmp_path, kind, duplicate_genes):
    data = INPUTS[kind](tmp_path)
    names = {} if isinstance(data, type(tmp_path)) else {"genes": NAMES, "cells": CELLS}
    expression, _ = read_expression(data, **names, duplicate_genes=duplicate_genes)
    assert expression.values.toarray().tolist() == SUMS
    findings = ct2.check(data, **names, duplicate_genes=duplicate_genes)
    (finding,) = (finding for finding in findings if finding.code == "repeated_values")
    assert str(finding) == (
        "2 values are of a gene and cell that have another value, too; they are added up. SciPy "
        "and scanpy read such a sparse matrix in the same way."
    )


@pytest.mark.parametrize("max_bytes", [0, 1 << 20])
@pytest.mark.parametrize(("value", "times"), [(255, 2), (65535, 3), (0.1, 3)])
def test_sums_are_exact(value, times, max_bytes):
    """Sums are kept exactly where the type of the values is too small for them."""
    n = 3000
    cell = np.concatenate([np.arange(n), np.full(times - 1, n - 1)])
    matrix = sparse.coo_matrix((np.full(len(cell), value), (cell, cell % 7)), shape=(n, 7))
    expression, _ = read_expression(matrix, genes=list("abcdefg"), max_bytes=max_bytes)
    counts = expression.counts_of_features(np.arange(7), 7)
    assert counts.n_repeated == times - 1
    expected = np.full(n, value)
    expected[-1] = sum([value] * times)
    assert counts[:].data.tolist() == expected.tolist()


def test_same_scores_as_the_sums(ensembles):
    rng = np.random.default_rng(0)
    names = [f"g{i}" for i in range(30)] + NAMES
    dense = rng.integers(1, 9, (20, len(names)))
    twice = sparse.coo_matrix(dense)
    twice = sparse.coo_matrix(
        (np.tile(twice.data, 2), (np.tile(twice.row, 2), np.tile(twice.col, 2))), dense.shape
    )
    with pytest.warns():
        found = ct2.run(twice, genes=names, model=ensembles["1.1.0"])
    with pytest.warns():
        expected = ct2.run(2 * dense, genes=names, model=ensembles["1.1.0"])
    assert found.to_bytes(extra_columns=True) == expected.to_bytes(extra_columns=True)
    assert "repeated_values" in [finding["code"] for finding in found.info["findings"]]
