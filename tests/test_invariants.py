"""What must hold for any counts, on counts that hypothesis makes up.

pytest tests/test_invariants.py            # the same few hundred datasets every time
pytest tests/test_invariants.py -m slow    # thousands of new ones each time
"""

import os
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cytotrace2_lite as ct2
from cytotrace2_lite.base.potency import potency_of
from cytotrace2_lite.genes import features
from cytotrace2_lite.stages import binning

#: float32 has 24 bits: a score is a mean of sums of a few thousand products.
ROUNDING = 2e-6
GENES = features()
DEEP = os.environ.get("CT2_LITE_DEEP_EXAMPLES", "2000")

common = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    "database": None,
}


def invariant(n_examples, **strategies):
    """Check a function of strategies and fixtures on few examples, and on many as a slow test."""

    def decorate(test):
        few = settings(max_examples=n_examples, derandomize=True, **common)
        many = settings(max_examples=int(DEEP), **common)

        @pytest.mark.parametrize(
            "check",
            [
                pytest.param(few(given(**strategies)(test)), id="few"),
                pytest.param(many(given(**strategies)(test)), id="many", marks=pytest.mark.slow),
            ],
        )
        def run(check, ensembles):
            check(ensembles=ensembles)

        return run

    return decorate


counts = st.integers(1, 20_000).map(float)
#: Largest where a cell's total is still below 1e300.
amounts = st.one_of(
    counts,
    st.floats(1e-3, 1e6),
    st.floats(min_value=5e-324, max_value=1e298, allow_subnormal=True),
    st.sampled_from([5e-324, 2.2250738585072014e-308, 1e-300, 1e-16, 1.0, 1e16, 1e298]),
)


@st.composite
def tables(draw, values=counts, most_cells=8, least_cells=1):
    """Cells x genes over the model's features, few cells and a few dozen genes, no cell empty."""
    genes = draw(st.lists(st.integers(0, len(GENES) - 1), min_size=1, max_size=30, unique=True))
    n_cells = draw(st.integers(least_cells, most_cells))
    kinds = st.one_of(st.just(0.0), values)
    rows = [
        draw(st.lists(kinds, min_size=len(genes), max_size=len(genes)).filter(any))
        for _ in range(n_cells)
    ]
    return np.array(rows), [GENES[i] for i in genes]


def score(ensembles, matrix, genes, version="1.1.0", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ct2.errors.CytoTRACE2Warning)
        return ct2.run(matrix, genes=genes, model=ensembles[version], max_cores=1, **options)


def same(one, other):
    """Whether two results are the same to the last bit."""
    return one.to_bytes(extra_columns=True) == other.to_bytes(extra_columns=True)


versions = st.sampled_from(["1.1.0", "1.0.0"])


@invariant(60, table=tables(values=st.one_of(counts, st.floats(1e-3, 1e6))), data=st.data())
def test_powers_of_two_change_nothing(ensembles, table, data):
    matrix, genes = table
    powers = data.draw(
        st.lists(st.integers(-40, 40), min_size=len(matrix), max_size=len(matrix)), "powers"
    )
    version = data.draw(versions)
    before = score(ensembles, matrix, genes, version)
    after = score(ensembles, matrix * 2.0 ** np.array(powers)[:, None], genes, version)
    assert same(before, after)


@invariant(60, table=tables(), data=st.data())
def test_any_factor_leaves_raw_scores(ensembles, table, data):
    """Whole numbers: rounding cannot change their ranks."""
    matrix, genes = table
    factors = data.draw(
        st.lists(st.floats(1e-9, 1e9), min_size=len(matrix), max_size=len(matrix)), "factors"
    )
    version = data.draw(versions)
    before = score(ensembles, matrix, genes, version)
    after = score(ensembles, matrix * np.array(factors)[:, None], genes, version)
    np.testing.assert_allclose(after.raw_score, before.raw_score, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(after.probabilities, before.probabilities, rtol=0, atol=ROUNDING)


@invariant(60, table=tables(values=amounts), data=st.data())
def test_the_order_of_genes_is_of_no_matter(ensembles, table, data):
    matrix, genes = table
    others = ["unknown", "other"]  # ignored, wherever they are in the table
    wide = np.hstack([matrix, np.full((len(matrix), 2), 7.0)])
    order = data.draw(st.permutations(range(wide.shape[1])))
    version = data.draw(versions)
    before = score(ensembles, matrix, genes, version)
    names = [*genes, *others]
    assert same(before, score(ensembles, wide[:, order], [names[i] for i in order], version))


@invariant(60, table=tables(values=amounts, least_cells=2), data=st.data())
def test_the_order_of_cells_within_a_batch(ensembles, table, data):
    """The network sees each cell by itself, and each category gets the same set of scores."""
    matrix, genes = table
    order = np.array(data.draw(st.permutations(range(len(matrix)))))
    before, after = score(ensembles, matrix, genes), score(ensembles, matrix[order], genes)
    np.testing.assert_array_equal(after.raw_score, before.raw_score[order])
    np.testing.assert_array_equal(after.probabilities, before.probabilities[order])
    np.testing.assert_array_equal(after.preknn_potency_index, before.preknn_potency_index[order])
    np.testing.assert_array_equal(np.sort(after.preknn_score), np.sort(before.preknn_score))


@invariant(40, table=tables(least_cells=2), data=st.data())
def test_cells_do_not_see_each_other(ensembles, table, data):
    """Raw scores of some of the cells are those they have among all."""
    matrix, genes = table
    chosen = data.draw(st.lists(st.integers(0, len(matrix) - 1), min_size=1, max_size=6))
    everyone = score(ensembles, matrix, genes)
    some = score(ensembles, matrix[chosen], genes)  # a cell may be chosen twice
    np.testing.assert_array_equal(some.raw_score, everyone.raw_score[chosen])
    np.testing.assert_array_equal(some.probabilities, everyone.probabilities[chosen])


@invariant(120, table=tables(values=amounts), version=versions)
def test_ranges(ensembles, table, version):
    matrix, genes = table
    result = score(ensembles, matrix, genes, version)
    np.testing.assert_allclose(result.probabilities.sum(axis=1), 1, rtol=0, atol=1e-14)
    for values in (
        result.probabilities,
        result.raw_score,
        result.preknn_score,
        result.score,
        result.relative,
        result.pseudotime,
    ):
        assert ((values >= 0) & (values <= 1)).all()
    assert result.relative.min() == 0
    assert result.relative.max() == (1 if np.ptp(result.score) else 0)
    np.testing.assert_array_equal(potency_of(result.score), result.potency_index)
    np.testing.assert_array_equal(result.preknn_potency_index, result.probabilities.argmax(axis=1))
    assert (result.n_genes == (matrix > 0).sum(axis=1)).all()


numbers = st.floats(0, 1, allow_subnormal=True)


@invariant(300, cells=st.lists(st.tuples(numbers, st.integers(0, 5)), max_size=40))
def test_binning_keeps_the_order(ensembles, cells):
    given_scores = np.array([cell[0] for cell in cells], dtype=float)
    potency = np.array([cell[1] for cell in cells], dtype=int)
    spread = binning.spread(given_scores, potency)
    np.testing.assert_array_equal(potency_of(spread), potency)
    for k in range(6):
        of_category = potency == k
        before, after = given_scores[of_category], spread[of_category]
        assert len(set(after)) == len(after)
        order = np.argsort(before, kind="stable")  # equal ones in their order
        assert (np.diff(after[order]) > 0).all()
        if len(after):
            assert after.min() >= k / 6
            assert after.max() <= (k + 1) / 6


EXTREME = {
    "1e-300": np.full((3, 4), 1e-300),
    "1e299": np.diag([1e299] * 4),
    "denormal": np.full((3, 4), 5e-324),
    "denormal beside huge": np.array([[5e-324, 1e299, 0, 1]] * 3),
    "one gene": np.array([[0, 0, 3.0, 0]]),
    "equal counts": np.full((5, 4), 7),
    "one cell": np.array([[1, 2, 3, 4]]),
    "empty beside full": np.array([[0, 0, 0, 0], [1, 2, 3, 4]]),
    "bool": np.array([[True, False, True, True]] * 2),
    "int64": np.array([[2**62, 1, 0, 3]] * 2),
    "uint64": np.array([[2**63, 1, 0, 3]] * 2, np.uint64),
    "float16": np.array([[65504, 6e-8, 0, 3]] * 2, np.float16),
}


@pytest.mark.parametrize("name", EXTREME)
@pytest.mark.parametrize("version", ["1.1.0", "1.0.0"])
def test_extremes(ensembles, name, version):
    matrix = EXTREME[name]
    result = score(ensembles, matrix, GENES[: matrix.shape[1]], version)
    has_counts = (matrix != 0).any(axis=1)
    assert (np.isfinite(result.score) == has_counts).all()
    values = result.raw_score[has_counts]
    assert ((values >= 0) & (values <= 1)).all()
    np.testing.assert_allclose(result.probabilities[has_counts].sum(axis=1), 1, atol=1e-14)


@pytest.mark.parametrize("version", ["1.1.0", "1.0.0"])
@pytest.mark.parametrize("value", [1, "all different"])
def test_every_gene_expressed(ensembles, value, version):
    row = np.ones(len(GENES)) if value == 1 else np.arange(1.0, len(GENES) + 1)
    result = score(ensembles, np.stack([row, 3 * row]), GENES, version)
    assert ((result.raw_score >= 0) & (result.raw_score <= 1)).all()
    np.testing.assert_allclose(*result.raw_score, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("matrix", [[[1e300, 1.0]], [[9e299, 9e299]], [[1.7e308, 1.7e308]]])
def test_more_than_can_be_added_up(ensembles, matrix):
    with pytest.raises(ct2.InputError, match="These are no counts, CPM or TPM"):
        score(ensembles, np.array(matrix), GENES[:2])


@pytest.mark.parametrize("value", [-1, np.nan, np.inf, -np.inf, -5e-324])
def test_no_counts(ensembles, value):
    with pytest.raises(ct2.InputError, match=r"^gene 'A1cf', cell '1': the value "):
        score(ensembles, np.array([[1, 2.0], [3, value]]), GENES[:2])


def test_duplicates_in_a_large_batch(ensembles):
    """A hundred cells are smoothed over neighbours, which must not change the raw scores."""
    random = np.random.RandomState(0)
    matrix = random.poisson(2.0, (60, 300))
    result = score(ensembles, np.vstack([matrix, matrix]), GENES[:300])
    np.testing.assert_array_equal(result.raw_score[:60], result.raw_score[60:])
    np.testing.assert_array_equal(result.probabilities[:60], result.probabilities[60:])
    assert ((result.score >= 0) & (result.score <= 1)).all()
