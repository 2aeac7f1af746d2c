"""How the z-scored cells of a batch are kept."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from cytotrace2_lite.stages import standardised
from cytotrace2_lite.stages.preprocess import log2_cpm

N_GENES = 40


def many_cells(
    counts: csr_array, monkeypatch: pytest.MonkeyPatch, threads: int = 1
) -> standardised.ManyCells:
    monkeypatch.setattr(standardised, "_MAX_FEW", 0)
    cells = standardised.standardise(counts, threads=threads)
    assert isinstance(cells, standardised.ManyCells)
    return cells


def some_counts(n_cells: int) -> csr_array:
    random = np.random.default_rng(n_cells)
    share = np.linspace(0, 0.8, N_GENES)  # of the cells that express each gene
    counts = random.poisson(3, (n_cells, N_GENES)) * (random.random((n_cells, N_GENES)) < share)
    counts[:, -1] += 1  # no cell is empty
    return csr_array(counts)


@pytest.mark.parametrize("n_cells", [1, 63, 64, 200])
def test_each_value_is_kept_once_where_the_products_look_for_it(
    n_cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = some_counts(n_cells)
    monkeypatch.setattr(standardised, "_VALUES_PER_STEP", 300)
    cells = many_cells(counts, monkeypatch)
    expected = np.rint(log2_cpm(counts).toarray() * 2**26)
    n = np.count_nonzero(expected, axis=0)
    order = np.argsort(-n, kind="stable")
    is_dense = n[order] > 0.4 * n_cells
    n_groups = len(cells.dense)
    dense = cells.dense.transpose(0, 2, 1).reshape(8 * n_groups, -1)
    n_dense = np.count_nonzero(is_dense)
    assert np.array_equal(dense[:n_dense, :n_cells], expected[:, order[is_dense]].T)
    assert not dense[n_dense:].any()
    assert not dense[:, n_cells:].any()
    sparse = [gene for gene in order[n_dense:].tolist() if n[gene]]
    assert len(cells.first) == len(sparse) + 1
    for i, gene in enumerate(sparse):
        where = slice(cells.first[i], cells.first[i + 1])
        expressing = np.flatnonzero(expected[:, gene])
        filled = len(expressing) % 2
        assert np.array_equal(cells.cells[where], np.pad(expressing, (0, filled)))
        assert np.array_equal(cells.values[where], np.pad(expected[expressing, gene], (0, filled)))
    assert cells.n_unexpressed == N_GENES - len(sparse) - 8 * n_groups


def test_scale_and_shift_are_those_of_the_values_that_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = some_counts(100)
    cells = many_cells(counts, monkeypatch)
    kept = np.rint(log2_cpm(counts).toarray() * 2**26) * 2.0**-26
    mean, std = kept.mean(axis=1, keepdims=True), kept.std(axis=1, keepdims=True)
    np.testing.assert_allclose(cells.scale, 1 / std, rtol=1e-13)
    np.testing.assert_allclose(cells.shift, mean / std, rtol=1e-13)


def test_the_scale_of_a_constant_cell_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = many_cells(csr_array(np.full((3, N_GENES), 7)), monkeypatch)
    log2 = np.rint(np.log2(1e6 / N_GENES + 1) * 2**26) / 2**26
    np.testing.assert_array_equal(cells.scale, 1.0)
    np.testing.assert_allclose(cells.shift, log2, rtol=1e-15)


def test_the_same_bytes_with_any_number_of_threads_and_size_of_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = some_counts(300)
    once = many_cells(counts, monkeypatch)
    monkeypatch.setattr(standardised, "_VALUES_PER_STEP", 100)
    monkeypatch.setattr(standardised, "_PARTS", 7)
    again = many_cells(counts, monkeypatch, threads=3)
    for name in ("scale", "shift", "dense", "values", "cells", "first"):
        np.testing.assert_array_equal(getattr(once, name), getattr(again, name))
