"""Values in memory and in temporary files: the same, whatever the order and the sizes."""

import json
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from helpers import formats
from helpers.counts import random_counts
from helpers.full_disk import Full
from scipy import sparse
from scipy.sparse import csr_array

import cytotrace2_lite as ct2
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.counts import Arriving, Counts, arriving, spill
from cytotrace2_lite.counts._sorting import Sorter
from cytotrace2_lite.read import read_expression

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks and steps of a few hundred values."""
    monkeypatch.setattr(arriving, "_VALUES_PER_CHUNK", 300)
    monkeypatch.setattr(arriving, "_VALUES_PER_STEP", 200)


def matrix(seed=0, n_cells=90, n_genes=70, scale=300):
    random = np.random.default_rng(seed)
    made = sparse.random(n_cells, n_genes, density=0.3, format="csr", random_state=random)
    made.data = np.ceil(made.data * scale)
    made.data[::7] += 0.5 if scale > 100_000 else 0
    return csr_array(made)


def arrive(made, order, *, max_bytes, step=64):
    """Let the values of a matrix come in an order, some at a time."""
    arrived = Arriving(max_bytes)
    values = made.tocoo()
    row, column, data = (array[order] for array in (values.row, values.col, values.data))
    for start in range(0, len(data), step):
        some = slice(start, start + step)
        arrived.add(column[some], row[some], data[some])
    return arrived


def collect(made, max_bytes, *, n_cells=90, order=None, threads=1, compiled=False):
    """Counts of a matrix whose values came in an order, by cell without one."""
    order = np.arange(made.nnz) if order is None else order
    arrived = arrive(made, order, max_bytes=max_bytes)
    assert arrived.n_values == made.nnz
    n_genes = made.shape[1]
    return Counts.collect(
        arrived,
        (n_cells, n_genes),
        arrived.value_type,
        Sorter(np.arange(n_genes, dtype=np.int32), n_genes, adds=False, compiled=compiled),
        threads=threads,
        release=True,
    )


def pickled(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301 (our own)


@pytest.mark.usefixtures("small_chunks")
class TestCounts:
    @pytest.mark.parametrize("max_bytes", [0, 2000, 1 << 30])
    @pytest.mark.parametrize("scale", [200, 60_000, 1e6])
    @pytest.mark.parametrize("by", ["cell", "gene", "chance"])
    def test_any_order_and_place(self, by, scale, max_bytes):
        made = matrix(scale=scale)
        coordinates = made.tocoo()
        order = {
            "cell": np.arange(made.nnz),
            "gene": np.lexsort((coordinates.row, coordinates.col)),
            "chance": np.random.default_rng(1).permutation(made.nnz),
        }[by]
        for threads, compiled in ((1, False), (3, False), (3, True)):
            # Ten cells without a value follow the others.
            counts = collect(
                made, max_bytes, n_cells=100, order=order, threads=threads, compiled=compiled
            )
            assert counts.shape == (100, 70)
            assert counts.nnz == made.nnz
            assert (counts.n_bytes == 0) == (max_bytes < counts.nnz * 3)
            assert counts.whole == (scale < 1e6)
            np.testing.assert_array_equal(counts.total[:90], made.sum(axis=1))
            np.testing.assert_array_equal(counts[:][:90].toarray(), made.toarray())
            assert counts[:].nnz == made.nnz
            for cells in (
                np.array([5, 6, 7, 3, 99, 3, 0]),
                np.array([], np.intp),
                np.arange(89, -1, -1),
            ):
                some = counts[cells]
                assert some.has_sorted_indices
                expected = made.toarray()[np.minimum(cells, 89)] * (cells < 90)[:, None]
                np.testing.assert_array_equal(some.toarray(), expected)

    def test_values_may_be_looked_at_before_they_are_given_away(self):
        made = matrix()
        names = [f"g{i}" for i in range(70)]
        expression, _ = read_expression(made, genes=names)
        for _ in range(2):
            np.testing.assert_array_equal(expression.values.toarray(), made.toarray())
        expression.counts_of_features(np.arange(70), 70, release=True)

    def test_pickling(self):
        made = matrix()
        cells = np.array([7, 8, 9, 3])
        for max_bytes in (0, 1 << 30):
            counts = collect(made, max_bytes)
            batch = pickled(counts.take(cells))
            np.testing.assert_array_equal(batch[:].toarray(), made.toarray()[cells])
            np.testing.assert_array_equal(batch.total, made.sum(axis=1)[cells])
            assert (batch.shape, batch.whole, batch.n_bytes > 0) == ((4, 70), True, True)
            np.testing.assert_array_equal(batch.genes_per_cell, np.diff(made.indptr)[cells])
        again = pickled(counts)
        np.testing.assert_array_equal(again[:].toarray(), made.toarray())

    def test_what_lies_in_a_file_cannot_be_pickled(self):
        counts = collect(matrix(), 0)
        with pytest.raises(TypeError) as caught:
            pickle.dumps(counts)
        assert str(caught.value) == (
            "these counts lie in a temporary file of this process and cannot be pickled: pickle "
            "the batches that take(cells) gives"
        )
        counts.release()
        assert pickled(counts).nnz == matrix().nnz


@pytest.mark.usefixtures("small_chunks")
def test_files_are_closed_as_their_values_are_given_back(monkeypatch):
    made = []

    def new_file(make=spill.ArrayFile):
        file = make()
        made.append(weakref.ref(file))
        return file

    monkeypatch.setattr(arriving, "_BYTES_PER_FILE", 2000)
    monkeypatch.setattr(arriving, "ArrayFile", new_file)
    arrived = arrive(matrix(), np.arange(matrix().nnz), max_bytes=0)
    steps = arrived.steps(90, release=True)
    opened = [sum(file() is not None for file in made) for _ in steps]
    assert len(made) > 3
    assert opened[0] == len(made)
    assert opened[-1] == 1
    assert opened == sorted(opened, reverse=True)


@pytest.mark.usefixtures("small_chunks")
def test_a_full_temporary_directory(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(ct2.OutputError) as caught:
        arrive(matrix(), np.arange(matrix().nnz), max_bytes=0)
    assert str(caught.value) == (
        f"{tempfile.gettempdir()}: the values do not fit the memory set aside for them, and cannot "
        "be kept in this temporary directory (No space left on device). Set TMPDIR to one with "
        "more room, or raise --max-memory."
    )


@pytest.mark.parametrize("name", ["enteric_300.txt.gz", "cells.h5ad"])
def test_spilled_runs_are_the_same_to_the_byte(name, tmp_path, monkeypatch):
    path = DATA / name
    if name == "cells.h5ad":
        pytest.importorskip("h5py")
        counts = random_counts(150, 600)
        names = [f"cell{i}" for i in range(150)]
        path = formats.h5ad(
            formats.Dataset(counts, names, list(ct2.genes.features())), tmp_path / name, "csr"
        )
    results = []
    files = []

    def new_file(make=spill.ArrayFile):
        files.append(make())
        return files[-1]

    for case, options in {
        "memory": [],
        "disk": ["--max-memory", "4T"],
        "three": ["-mc", "3"],
        "as they come": [],
    }.items():
        with monkeypatch.context() as patch:
            if case == "disk":
                patch.setattr(arriving, "_VALUES_PER_CHUNK", 20_000)
                patch.setattr(arriving, "_VALUES_PER_STEP", 30_000)
                patch.setattr("cytotrace2_lite.job.MAX_BYTES", 0)
                patch.setattr(arriving, "ArrayFile", new_file)
                patch.setattr("cytotrace2_lite.counts.counts.ArrayFile", new_file)
            elif case == "as they come":
                patch.setattr("cytotrace2_lite.job.MAX_BYTES", 0)
                patch.setattr("cytotrace2_lite.read._collect.VALUES_TO_COMPILE_FOR", 1)
                patch.setattr("cytotrace2_lite.counts.cell_by_cell.ArrayFile", new_file)
            with pytest.raises(SystemExit) as ended:
                main(["run", str(path), "-o", str(tmp_path / case), "-dpl", "-q", *options])
            assert ended.value.code == 0
        results.append((tmp_path / case / "cytotrace2_results.txt").read_bytes())
    # As the values came, and sorted; for those that come by cell, the genes and the values.
    assert len(files) == (4 if name == "cells.h5ad" else 2)
    assert len(set(results)) == 1
    report = json.loads((tmp_path / "disk/run.json").read_text())
    assert report["parameters"]["max_memory"] == 4 * 10**12


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_temporary_files_have_no_name(tmp_path):
    code = (
        "import os, numpy as np\n"
        "from cytotrace2_lite.counts.spill import ArrayFile\n"
        "file = ArrayFile()\n"
        "kept = file.append(np.arange(1000))\n"
        "assert kept[3:5].tolist() == [3, 4]\n"
        "assert os.listdir(os.environ['TMPDIR']) == []\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"TMPDIR": str(tmp_path)}, check=False
    )
    assert ended.returncode == -9
    assert list(tmp_path.iterdir()) == []


def wait_for_advice():
    for thread in threading.enumerate():
        if thread.name == "read-ahead":
            thread.join(60)


@pytest.mark.usefixtures("small_chunks")
def test_what_is_read_ahead(monkeypatch):
    asked = []

    def advise(number, position, size, advice):
        asked.append((position, size))
        assert advice == getattr(os, "POSIX_FADV_WILLNEED", advice)
        raise OSError("advice is not taken")

    monkeypatch.setattr(os, "posix_fadvise", advise, raising=False)
    monkeypatch.setattr(os, "POSIX_FADV_WILLNEED", 3, raising=False)
    in_memory, in_file = collect(matrix(), 1 << 20), collect(matrix(), 0)
    cells = np.array([7, 8, 9, 3])
    in_memory.read_ahead(cells)
    assert asked == []
    in_file.read_ahead(cells)
    wait_for_advice()
    # The genes take two bytes each; after all of them come the values, with two bytes each, too.
    ends, n_values = matrix().indptr, matrix().nnz
    runs = [(2 * ends[7], 2 * (ends[10] - ends[7])), (2 * ends[3], 2 * (ends[4] - ends[3]))]
    assert asked == [*runs, *((2 * n_values + position, size) for position, size in runs)]
    monkeypatch.delattr(os, "posix_fadvise")
    in_file.read_ahead(cells)
    wait_for_advice()
    np.testing.assert_array_equal(in_file[cells].toarray(), matrix().toarray()[cells])


def test_the_next_batch_is_read_ahead(monkeypatch):
    asked = []

    def note(self, cells):
        asked.append(cells)

    monkeypatch.setattr(Counts, "read_ahead", note)
    counts = random_counts(1000, 200)
    names = list(ct2.genes.features())
    with pytest.warns(ct2.CytoTRACE2Warning):
        ct2.run(csr_array(counts), genes=names, batch_size=400)
    assert [len(cells) for cells in asked] == [333, 333]
