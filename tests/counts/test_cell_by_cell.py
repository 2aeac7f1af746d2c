"""Values sorted as they come: the same bytes as those sorted afterwards."""

import itertools
import tempfile

import numpy as np
import pytest
from helpers.full_disk import Full
from hypothesis import given, settings
from hypothesis import strategies as st

import cytotrace2_lite as ct2
from cytotrace2_lite.counts import Arriving, Block, Expression
from cytotrace2_lite.counts import cell_by_cell as module
from cytotrace2_lite.counts.cell_by_cell import CellByCell, take_all
from cytotrace2_lite.counts.expression import SortedCounts

N_CELLS, N_GENES = 12, 40
VALUES = (
    st.integers(1, 255),
    st.integers(1, 65_535),
    st.integers(1, 1 << 24),
    st.integers(1, 1 << 50),
    st.floats(2**-10, 1e4, width=32),
    st.floats(5e-324, 1e300),
)


@st.composite
def triples(draw):
    """Cell, gene and value of some values by cell, no place twice; of types that change."""
    items = {}
    for kind in draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=3)):
        place = st.tuples(st.integers(0, N_CELLS - 2), st.integers(0, N_GENES - 1))
        items |= dict(draw(st.lists(st.tuples(place, kind), min_size=1, max_size=60)))
    places = sorted(items, key=lambda place: place[0])
    cell, gene = (np.array(axis, np.int32) for axis in zip(*places, strict=True))
    return cell, gene, np.array([items[place] for place in places], np.float64)


def blocks(cell, gene, value, cuts=()):
    """Blocks of values, cut at some places."""
    ends = [0, *sorted(min(cut, len(cell)) for cut in cuts), len(cell)]
    for start, stop in itertools.pairwise(ends):
        some = slice(start, stop)
        yield Block(gene[some], cell[some], value[some], value[some].max(initial=0))


def features(n_known, order):
    """Feature of each gene, -1 for some of them."""
    feature = np.array(order, np.int32)
    feature[feature >= n_known] = -1
    return feature


def sorted_afterwards(given, feature, n_features):
    """Counts of blocks that came in any order."""
    arriving = Arriving()
    for block in given:
        arriving.add(block.gene, block.cell, block.value)
    return counts_of(arriving, feature, n_features)


def counts_of(arriving, feature, n_features):
    cells, genes = ([str(i) for i in range(n)] for n in (N_CELLS, N_GENES))
    expression = Expression(arriving, cells, genes, 0.0, np.arange(N_GENES))
    return expression.counts_of_features(feature, n_features)


def content(counts):
    every = counts[:]
    arrays = (every.indptr, every.indices, every.data.astype(np.float64))
    return [array.tobytes() for array in (*arrays, counts.total, counts.largest)], counts.whole


ORDER = st.permutations(range(N_GENES))


@given(
    given=triples(),
    cuts=st.lists(st.integers(0, 100), max_size=6),
    order=ORDER,
    n_known=st.integers(1, N_GENES),
    max_bytes=st.sampled_from([0, 50, 200, 1 << 20]),
    usual=st.integers(0, 200),
)
@settings(deadline=None, derandomize=True, database=None, max_examples=200)
def test_the_same_as_afterwards(given, cuts, order, n_known, max_bytes, usual):
    feature = features(n_known, order)
    by_cell = CellByCell(feature, n_known, max_bytes=max_bytes, usual=usual)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_NUMBERS_AT_A_TIME", 7)
        assert all(by_cell.add(block) for block in blocks(*given, cuts))
        assert by_cell.complete()
    counts = by_cell.counts(N_CELLS)
    assert content(counts) == content(sorted_afterwards(blocks(*given), feature, n_known))
    size = counts._genes[0 : counts.nnz].nbytes + counts._values[0 : counts.nnz].nbytes
    assert counts.n_bytes == (size if max(size, 3 * usual) <= max_bytes else 0)
    assert counts.shape == (N_CELLS, n_known)


@given(
    given=triples(),
    cuts=st.lists(st.integers(0, 100), max_size=4),
    order=ORDER,
    wrong=st.sampled_from(["backwards", "repeated"]),
    max_bytes=st.sampled_from([0, 50, 1 << 20]),
)
@settings(deadline=None, derandomize=True, database=None, max_examples=200)
def test_what_does_not_come_by_cell_is_handed_over(given, cuts, order, wrong, max_bytes):
    feature = features(N_GENES - 5, order)
    # The first value once more: in the same cell, or after others.
    cell, gene, value = (np.append(array, array[0]) for array in given)
    if wrong == "repeated":
        by = np.argsort(cell, kind="stable")
        cell, gene, value = cell[by], gene[by], value[by]
    arriving = Arriving(max_bytes)
    by_cell, largest = take_all(
        blocks(cell, gene, value, cuts),
        lambda _: CellByCell(feature, N_GENES - 5, max_bytes=max_bytes, usual=0),
        arriving,
        lambda block: (block.gene, block.cell, block.value),
    )
    took_all = by_cell is not None
    assert largest == value.max()
    # A repeated gene that is no feature is of no matter.
    is_repeated = wrong == "repeated" or cell[0] == cell[-2]
    assert took_all == (is_repeated and feature[gene[0]] < 0)
    counts = by_cell.counts(N_CELLS) if took_all else counts_of(arriving, feature, N_GENES - 5)
    afterwards = sorted_afterwards(blocks(cell, gene, value), feature, N_GENES - 5)
    assert content(counts) == content(afterwards)
    if not took_all:
        assert counts.n_repeated == afterwards.n_repeated


def one_cell(n, *, cell=0, value=1.0):
    return Block(np.arange(n), np.full(n, cell), np.full(n, value), value)


def test_none_of_a_refused_block_is_kept():
    identity = np.arange(N_GENES, dtype=np.int32)
    for first in ([], [one_cell(3)]):
        by_cell = CellByCell(identity, N_GENES, max_bytes=1 << 20, usual=0)
        assert all(map(by_cell.add, first))
        gene = np.array([4, 5, 7, 7, 8])
        refused = Block(gene, np.array([1, 1, 2, 2, 3]), np.ones(5), 1.0)
        assert not by_cell.add(refused)
        assert by_cell.add(one_cell(0))
        assert by_cell.complete()
        assert by_cell.counts(N_CELLS).genes_per_cell.tolist() == [3 * len(first), *[0] * 11]


def test_no_values():
    by_cell = CellByCell(np.arange(N_GENES, dtype=np.int32), N_GENES, max_bytes=0, usual=0)
    assert by_cell.add(one_cell(0))
    assert by_cell.complete()
    counts = by_cell.counts(N_CELLS)
    assert counts[:].nnz == counts.n_bytes == 0
    assert counts.whole


def test_a_full_temporary_directory(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    by_cell = CellByCell(np.arange(N_GENES, dtype=np.int32), N_GENES, max_bytes=100, usual=0)
    assert by_cell.add(one_cell(30))
    assert by_cell.add(one_cell(30, cell=1))
    with pytest.raises(ct2.OutputError, match=r"No space left on device.*TMPDIR"):
        by_cell.add(one_cell(30, cell=2))


def test_counts_over_other_features_are_refused():
    feature = np.arange(N_GENES, dtype=np.int32)
    counts = sorted_afterwards([one_cell(3)], feature, N_GENES)
    made = SortedCounts(feature, counts)
    expression = Expression(Arriving(), [], [], 1.0, feature, sorted_counts=made)
    assert expression.counts_of_features(feature.astype(np.int64), N_GENES) is counts
    with pytest.raises(ValueError, match="by other features"):
        expression.counts_of_features(feature[::-1], N_GENES)
