"""A batch is scored by a pure function: the same bytes wherever, and however it is called."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, replace

import numpy as np
import pytest
from helpers.counts import random_counts

from cytotrace2_lite.base.parameters import Parameters
from cytotrace2_lite.batch import BatchScores, score_batch
from cytotrace2_lite.genes import features
from cytotrace2_lite.metadata.samples import samples_of
from cytotrace2_lite.output.scores import Scores
from cytotrace2_lite.pipeline import prepare, score_cells
from cytotrace2_lite.read import read_expression

N_CELLS = 1100
# 1,100 cells in batches of 367, 367 and 366 less a few without counts, in two groups each.
PARAMETERS = Parameters(batch_size=400, smooth_batch_size=200)
SAMPLES = np.where(np.arange(N_CELLS) < 1020, "large", "small")  # the second one is not smoothed
EMPTY = [3, 500, 1099]


def dataset(n_cells=N_CELLS, *, spilled=False):
    """A dataset as the pipeline takes it; its values in memory or in a temporary file."""
    matrix = random_counts(n_cells, 300)
    for cell in EMPTY:
        if cell < n_cells:
            matrix.data[matrix.indptr[cell] : matrix.indptr[cell + 1]] = 0
    matrix.eliminate_zeros()
    expression, _ = read_expression(
        matrix, genes=features(), cells=None, max_bytes=1000 if spilled else 1 << 30
    )
    data = prepare(expression, "mouse")
    assert bool(data.counts.n_bytes) != spilled
    return data


def samples():
    return samples_of(SAMPLES, [str(i) for i in range(N_CELLS)])


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.fixture(scope="module")
def ensemble(ensembles):
    return ensembles["1.1.0"]


@pytest.fixture(scope="module")
def scored(ensemble):
    """What the default gives, without samples and with them."""
    return {
        how: score_cells(dataset(), ensemble, PARAMETERS, samples=of_cell)
        for how, of_cell in (("one", None), ("samples", samples()))
    }


def sent(value):
    """What arrives where a value is sent."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 (our own)


def content(answer):
    """All arrays of an answer, as bytes."""
    arrays = [getattr(answer, field.name) for field in fields(answer)]
    return [
        (array.dtype, array.shape, array.tobytes())
        for array in arrays
        if isinstance(array, np.ndarray)
    ]


def same(ours, others):
    assert content(ours) == content(others)
    if isinstance(ours, Scores):
        assert ours.cells == others.cells
        for scores in (ours, others):
            assert set(scores.info["seconds"]) == {
                *("preprocess", "predict", "diffuse", "components", "neighbors"),
            }
        assert ours.info | {"seconds": 0} == others.info | {"seconds": 0}


def batch(*, spilled=False):
    """The counts of 249 cells, in another order than that of their dataset."""
    counts = dataset(250, spilled=spilled).counts
    return counts.take(np.flatnonzero(counts.genes_per_cell)[::-1])


@pytest.fixture(scope="module")
def expected(ensemble):
    """The scores of `batch`."""
    answer = score_batch(batch(), ensemble, PARAMETERS)
    assert len(content(answer)) == len(fields(BatchScores)) - 1  # all but `seconds`
    assert len(np.unique(answer.score)) > 100
    return answer


class TestBatch:
    """`score_batch`."""

    def test_again(self, ensemble, expected):
        counts = batch()
        for _ in range(2):  # it leaves its arguments as they are
            same(score_batch(counts, ensemble, PARAMETERS), expected)

    @pytest.mark.parametrize("threads", [2, 3])
    def test_threads(self, ensemble, expected, threads):
        parameters = replace(PARAMETERS, max_cores=threads)
        same(score_batch(batch(), ensemble, parameters), expected)

    def test_pickled(self, ensemble, expected):
        arguments = sent((batch(), ensemble, PARAMETERS))
        answer = sent(score_batch(*arguments))
        same(answer, expected)
        assert set(answer.seconds) == {"predict", "diffuse", "components", "neighbors"}

    def test_in_another_process(self, pool, ensemble, expected):
        answers = pool.map(score_batch, [batch()] * 2, [ensemble] * 2, [PARAMETERS] * 2)
        for answer in answers:
            same(answer, expected)

    def test_released(self, ensemble, expected):
        """Values are gone where the most memory is taken; how many each cell has stays."""
        counts = batch()
        genes_per_cell, seen = counts.genes_per_cell, []

        def progress(stage, n_cells):
            seen.append((stage, n_cells, counts.n_bytes > 0))

        answer = score_batch(counts, ensemble, PARAMETERS, progress=progress, release=True)
        same(answer, expected)
        np.testing.assert_array_equal(counts.genes_per_cell, genes_per_cell)
        held = {stage: kept for stage, n_cells, kept in seen if n_cells}
        assert held == {"predict": True, "diffuse": True, "components": False, "neighbors": False}
        done = {stage: sum(n for name, n, _ in seen if name == stage) for stage in held}
        assert set(done.values()) == {counts.shape[0]}

    def test_a_few_cells_are_not_smoothed(self, ensemble):
        counts = batch().take(np.arange(99))
        answer = score_batch(counts, ensemble, PARAMETERS, release=True)
        assert answer.score.tobytes() == answer.preknn_score.tobytes()
        assert set(answer.seconds) == {"predict", "diffuse"}

    def test_of_spilled_counts(self, pool, ensemble, expected):
        """What is taken from a temporary file goes to another process, too."""
        counts = batch(spilled=True)
        same(score_batch(sent(counts), ensemble, PARAMETERS), expected)
        same(pool.submit(score_batch, counts, ensemble, PARAMETERS).result(), expected)


def backwards(function, items):
    """Another order of work; answers in the order of the items, as any map."""
    answers = [function(item) for item in reversed(list(items))]
    return reversed(answers)


def pickling(function, items):
    """Everything is sent somewhere and back."""
    for item in items:
        there, it = sent((function, item))
        yield sent(there(it))


class TestMap:
    """`score_cells(map=...)`."""

    @pytest.mark.parametrize("spilled", [False, True], ids=["in memory", "spilled"])
    @pytest.mark.parametrize("how", ["one", "samples"])
    @pytest.mark.parametrize("way", ["default", "processes", "pickling", "backwards"])
    def test_same_bytes(self, pool, ensemble, scored, way, how, spilled):
        ways = {"default": None, "processes": pool.map, "pickling": pickling}
        data = dataset(spilled=spilled)
        given = score_cells(
            data,
            ensemble,
            PARAMETERS,
            samples=samples() if how == "samples" else None,
            map=ways.get(way, backwards),
        )
        same(given, scored[how])
        batches = given.info["quality"]["batches"]
        assert len(batches) == (3 if how == "one" else 4)
        assert given.info["quality"]["cells_without_counts"] == [str(cell) for cell in EMPTY]

    @pytest.mark.parametrize("way", ["default", "processes"])
    @pytest.mark.parametrize("n_cells", [N_CELLS, 250], ids=["batches", "one batch"])
    def test_released(self, pool, ensemble, way, n_cells):
        expected = score_cells(dataset(n_cells), ensemble, PARAMETERS)
        data, held = dataset(n_cells), []
        genes_per_cell = data.counts.genes_per_cell

        def progress(event):
            held.append((event.stage, data.counts.n_bytes > 0))

        given = score_cells(
            data,
            ensemble,
            PARAMETERS,
            progress,
            release=True,
            map=pool.map if way == "processes" else None,
        )
        same(given, expected)
        assert data.counts.n_bytes == 0
        np.testing.assert_array_equal(data.counts.genes_per_cell, genes_per_cell)
        assert held[0] == ("preprocess", True)
        # Before the last batch takes the most memory, however many there are.
        assert held[-1] == ("neighbors", False)

    def test_kept(self, pool, ensemble):
        data = dataset()
        for way in (None, pool.map):
            score_cells(data, ensemble, PARAMETERS, map=way)
            assert data.counts[:].sum() == dataset().counts[:].sum() > 0

    @pytest.mark.parametrize("how", ["one", "samples"])
    @pytest.mark.parametrize("way", ["default", "processes", "backwards"])
    def test_progress(self, pool, ensemble, way, how):
        events = []
        ways = {"default": None, "processes": pool.map, "backwards": backwards}
        score_cells(
            dataset(),
            ensemble,
            replace(PARAMETERS, max_cores=2),
            events.append,
            samples=samples() if how == "samples" else None,
            map=ways[way],
        )
        n_cells = N_CELLS - len(EMPTY)
        n_smoothed = n_cells if how == "one" else 1020 - 2
        totals = {
            **dict.fromkeys(("preprocess", "predict", "diffuse"), n_cells),
            **dict.fromkeys(("components", "neighbors"), n_smoothed),
        }
        assert list(dict.fromkeys(event.stage for event in events)) == list(totals)
        for stage, total in totals.items():
            done = [event.done for event in events if event.stage == stage]
            assert {event.total for event in events if event.stage == stage} == {total}
            assert done == sorted(done)
            assert done[-1] == total

    def test_an_error_of_a_batch_is_raised(self, ensemble):
        def fail(function, items):
            for item in items:
                yield function(item)
                raise RuntimeError("lost a machine")

        with pytest.raises(RuntimeError, match="lost a machine"):
            score_cells(dataset(), ensemble, PARAMETERS, map=fail)

    def test_an_answer_that_is_missing_is_an_error(self, ensemble):
        def forget(function, items):
            return [function(item) for item in items][:-1]

        with pytest.raises(ValueError, match="shorter"):
            score_cells(dataset(), ensemble, PARAMETERS, map=forget)
