"""Matrices in memory."""

import numpy as np
import pytest
from helpers.readers import COUNTS, GENES, is_known
from scipy import sparse

from cytotrace2_lite.read import read_expression

pytestmark = pytest.mark.usefixtures("working_directory")


def test_an_unsorted_matrix_with_parts_of_values(monkeypatch):
    monkeypatch.setattr("cytotrace2_lite.read._blocks._N_VALUES", 2)
    counts = sparse.csr_matrix(COUNTS)
    shuffled = sparse.csr_matrix((3, 4))
    shuffled.indptr, shuffled.indices, shuffled.data = counts.indptr, counts.indices, counts.data
    shuffled.indices[:2], shuffled.data[:2] = shuffled.indices[1::-1], shuffled.data[1::-1]
    shuffled.has_sorted_indices = False
    for matrix in (shuffled, shuffled.tocsc(), COUNTS):
        expression, _ = read_expression(matrix, is_known, genes=GENES)
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS)
        assert expression.values.has_canonical_format


def test_values_given_twice_in_memory_are_summed_as_scipy_does():
    twice = sparse.csr_matrix(([3, 4], [1, 1], [0, 2]), shape=(1, 2))
    expression, _ = read_expression(twice, genes=["a", "b"])
    assert expression.values.toarray().tolist() == [[0, 7]]
    assert twice.nnz == 2
