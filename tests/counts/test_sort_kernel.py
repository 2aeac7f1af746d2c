"""Values sorted by cell: compiled code, SciPy, and values that come sorted give the same."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytotrace2_lite.counts import Arriving, _sort_kernel, arriving
from cytotrace2_lite.counts._sort_kernel import KERNELS, sort_by_cell
from cytotrace2_lite.counts.arriving import _sorted_by_cell
from cytotrace2_lite.system.compiler import Compiled


@st.composite
def values(draw):
    """Cells, genes and values, the first cell and the number of cells."""
    first = draw(st.sampled_from([0, 7, 65_530]))
    n_cells = draw(st.integers(1, 6))
    n_values = draw(st.integers(1, 60))
    cell = st.integers(first, first + n_cells - 1)
    cells = draw(st.lists(cell, min_size=n_values, max_size=n_values))
    if draw(st.booleans()):
        cells.sort()
    kind = draw(st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]))
    genes = np.array([*range(n_values - 1), 65_535]).astype(np.uint16)
    some = np.arange(1, n_values + 1).astype(kind)
    wide = draw(st.booleans())
    return np.array(cells, np.int32 if wide else np.uint16), genes, some, first, n_cells


@given(values())
def test_as_numpy_sorts(given_values):
    KERNELS["sort_8"]  # compiled
    cells, genes, some, first, n_cells = given_values
    order = np.argsort(cells, kind="stable")
    ends = np.searchsorted(cells[order], np.arange(first, first + n_cells + 1))
    is_small = cells.dtype == np.uint16 and some.dtype.kind == "u"
    by_code = sort_by_cell(*given_values)
    assert (by_code is not None) == is_small
    for found in (by_code, _sorted_by_cell(*given_values)):
        if found is None:
            continue
        assert [array.dtype for array in found] == [np.int32, genes.dtype, some.dtype]
        for array, expected in zip(found, (ends, genes[order], some[order]), strict=True):
            np.testing.assert_array_equal(array, expected)
            assert not any(np.shares_memory(array, other) for other in (cells, genes, some))


def test_it_is_compiled_ahead_and_not_waited_for(monkeypatch):
    fresh = Compiled(KERNELS._source)
    monkeypatch.setattr(_sort_kernel, "KERNELS", fresh)
    monkeypatch.setattr(arriving, "KERNELS", fresh)
    given_values = np.array([1, 0], np.uint16), np.zeros(2, np.uint16), np.ones(2, np.uint8), 0, 2
    assert sort_by_cell(*given_values) is None
    Arriving.compile_ahead()
    for thread in threading.enumerate():
        if thread.name == "compile-ahead":
            thread.join()
    assert sort_by_cell(*given_values) is not None


@pytest.mark.parametrize("compiled", [True, False])
def test_chunks_of_either_sorting(compiled, monkeypatch):
    KERNELS["sort_8"]
    monkeypatch.setattr(arriving, "_VALUES_PER_CHUNK", 300)
    if not compiled:
        monkeypatch.setattr(arriving, "sort_by_cell", lambda *_: None)
    random = np.random.default_rng(3)
    table = random.poisson(0.4, (40, 90)).astype(np.int32)  # genes x cells
    table[7, 11] = 300
    arrived = Arriving()
    for first in range(0, 40, 5):
        gene, cell = table[first : first + 5].nonzero()
        arrived.add(gene + first, cell, table[gene + first, cell])
    again = np.zeros_like(table)
    for step in arrived.steps(90, release=True):
        found = step.read()
        again[found.genes, found.cells + step.start] = found.values
    np.testing.assert_array_equal(again, table)
