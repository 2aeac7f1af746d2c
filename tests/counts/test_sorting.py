"""Values sorted by cell and feature: compiled code and SciPy give the same bytes."""

import subprocess
import sys

import numpy as np
import pytest
from helpers.counts import random_counts
from hypothesis import given, settings
from hypothesis import strategies as st

from cytotrace2_lite.counts import Arriving, Counts, arriving, expression
from cytotrace2_lite.counts._sorting import Sorter
from cytotrace2_lite.read import read_expression

N_GENES, N_CELLS = 150, 6
VALUES = (
    st.integers(1, 255),
    st.integers(1, 65_535),
    st.integers(1, 1 << 24),
    st.floats(2**-10, 1e4, width=32),
    st.floats(5e-324, 1e300),
    st.integers(1 << 50, 1 << 60),
    st.sampled_from([0.1, 0.2, 0.3, 0.7, 1e16, 1.0, 1.7e308]),
)


def arrive(triples, per_chunk):
    """Let (gene, cell, value) triples come, few at a time."""
    arrived = Arriving()
    gene, cell, value = (np.array(some) for some in zip(*triples, strict=True))
    for start in range(0, len(gene), per_chunk):
        some = slice(start, start + per_chunk)
        arrived.add(gene[some], cell[some], value[some].astype(np.float64))
        arrived._make_chunk()
    return arrived


def collected(arrived, column, n_features, *, compiled, threads=1):
    counts = Counts.collect(
        arrived,
        (N_CELLS, n_features),
        arrived.value_type,
        Sorter(column, n_features, adds=False, compiled=compiled),
        threads=threads,
    )
    some = slice(0, counts.nnz)
    arrays = (counts.indptr, counts._genes[some], counts._values[some])
    return (
        [(a.dtype, a.tobytes()) for a in (*arrays, counts.total, counts.largest)],
        (counts.shape, counts.whole, counts.n_bytes, counts.n_repeated),
    )


@st.composite
def triples(draw):
    """Values of one to three kinds, so that chunks have different types; some places twice."""
    kinds = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=3))
    value = st.one_of(kinds)
    place = st.tuples(st.integers(0, N_GENES - 1), st.integers(0, N_CELLS - 2))
    unique = draw(st.sampled_from([None, lambda item: item[0]]))
    items = draw(st.lists(st.tuples(place, value), min_size=1, max_size=60, unique_by=unique))
    return [(*where, what) for where, what in items]


@given(
    triples=triples(),
    per_step=st.integers(1, 50),
    per_chunk=st.integers(1, 50),
    column=st.permutations(range(N_GENES)),
    n_known=st.integers(1, N_GENES),
)
@settings(deadline=None, derandomize=True, database=None, max_examples=200)
def test_both_ways_give_the_same_bytes(triples, per_step, per_chunk, column, n_known):
    column = np.array(column, np.int32)
    column[column >= n_known] = -1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arriving, "_VALUES_PER_STEP", per_step)
        arrived = arrive(triples, per_chunk)
        with np.errstate(all="raise"):
            expected = collected(arrived, column, n_known, compiled=False)
        for threads in (1, 3):
            found = collected(arrived, column, n_known, compiled=True, threads=threads)
            assert found == expected


def steps(triples):
    return list(arrive(triples, 100).steps(N_CELLS, release=False))


def test_compiled_code_leaves_repeated_values_to_scipy():
    sorter = Sorter(np.arange(N_GENES, dtype=np.int32), N_GENES, adds=False, compiled=True)
    (step,) = steps([(5, 1, 3), (2, 1, 4)])
    assert sorter.by_kernel(step.read()).genes.tolist() == [2, 5]
    (step,) = steps([(5, 1, 3), (2, 1, 4), (5, 1, 6)])
    assert sorter.by_kernel(step.read()) is None
    found = sorter(step)
    assert (found.values.tolist(), found.n_repeated) == ([4.0, 9.0], 1)


@pytest.mark.parametrize("gene", [N_GENES, 70_000, -N_GENES - 1])
def test_compiled_code_reads_nothing_outside_of_the_genes(gene):
    sorter = Sorter(np.arange(N_GENES, dtype=np.int32), N_GENES, adds=False, compiled=True)
    (step,) = steps([(gene, 0, 1)])
    assert sorter.by_kernel(step.read()) is None
    with pytest.raises(IndexError):
        sorter(step)


@pytest.mark.parametrize("n_features", [65_472, 65_473])
def test_more_features_than_compiled_code_can_number(n_features):
    sorter = Sorter(np.arange(n_features, dtype=np.int32), n_features, adds=False, compiled=True)
    assert sorter._compiled == (n_features == 65_472)
    (step,) = steps([(n_features - 1, 0, 7), (3, 0, 8)])
    assert sorter(step).genes.tolist() == [3, n_features - 1]


def test_many_values_are_sorted_by_compiled_code(monkeypatch):
    made = random_counts(40, 500)
    names = [f"g{i}" for i in range(made.shape[1])]
    asked = []

    class Asked(Sorter):
        def __init__(self, *args, compiled, **options):
            asked.append(compiled)
            super().__init__(*args, compiled=compiled, **options)

    monkeypatch.setattr(expression, "Sorter", Asked)
    for least in (made.nnz + 1, made.nnz):
        monkeypatch.setattr(expression, "VALUES_TO_COMPILE_FOR", least)
        given, _ = read_expression(made, genes=names)
        counts = given.counts_of_features(np.arange(len(names)), len(names))[:]
        assert (counts != made).nnz == 0
    monkeypatch.setattr(expression, "may_compile", lambda: False)
    given.counts_of_features(np.arange(len(names)), len(names))
    assert asked == [False, True, False]


def test_few_values_need_no_compiler():
    code = (
        "import sys, numpy as np\n"
        "from cytotrace2_lite.read import read_expression\n"
        "expression, _ = read_expression(np.eye(3), genes=['a', 'b', 'c'])\n"
        "expression.counts_of_features(np.arange(3), 3)\n"
        "assert 'llvmlite' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
