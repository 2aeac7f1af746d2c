"""Values in memory and in temporary files: the same, whatever the sizes."""

import errno
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import formats
import numpy as np
import pytest
from helpers.counts import random_counts
from scipy import sparse
from scipy.sparse import csr_array

import cytotrace2_lite as ct2
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.counts import store
from cytotrace2_lite.read import read_expression
from cytotrace2_lite.system.threads import in_order

DATA = Path(__file__).parent / "data"


@pytest.fixture
def small_pieces(monkeypatch):
    """Chunks and tiles of a few hundred values."""
    monkeypatch.setattr(store, "_CHUNK_VALUES", 300)
    monkeypatch.setattr(store, "_TILE_VALUES", 200)


def matrix(seed=0, n_cells=90, n_genes=70, scale=300):
    random = np.random.default_rng(seed)
    made = sparse.random(n_cells, n_genes, density=0.3, format="csr", random_state=random)
    made.data = np.ceil(made.data * scale)
    made.data[::7] += 0.5 if scale > 100_000 else 0
    return csr_array(made)


def arrive(made, order, *, max_bytes, step=64):
    """Let the values of a matrix come in an order, some at a time."""
    arriving = store.Arriving(max_bytes)
    values = made.tocoo()
    row, column, data = (part[order] for part in (values.row, values.col, values.data))
    for start in range(0, len(data), step):
        part = slice(start, start + step)
        arriving.add(column[part], row[part], data[part])
    return arriving


def sort(n_genes):
    def sorted_csr(start, stop, triples):
        cell, gene, value = triples
        made = csr_array((value, (cell, gene)), shape=(stop - start, n_genes))
        made.sort_indices()
        return made

    return sorted_csr


@pytest.mark.usefixtures("small_pieces")
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
        for threads in (1, 3):
            arriving = arrive(made, order, max_bytes=max_bytes)
            assert arriving.n_values == made.nnz
            counts = store.Counts.collect(
                arriving,
                (100, 70),  # ten cells without a value follow the others
                arriving.value_type,
                sort(70),
                threads=threads,
                release=True,
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
        expression.over(np.arange(70), 70, release=True)


class Full:
    """A file on a disk that is full."""

    def __init__(self, *_, **__):
        pass

    def seek(self, _):
        pass

    def close(self):
        pass

    def write(self, _):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.usefixtures("small_pieces")
def test_a_full_temporary_directory(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(ct2.OutputError) as caught:
        arrive(matrix(), np.arange(matrix().nnz), max_bytes=0)
    assert str(caught.value) == (
        f"{tempfile.gettempdir()}: the values do not fit the memory set aside for them, and cannot "
        "be kept in this temporary directory (No space left on device). Set TMPDIR to one with "
        "more room, or raise --max-memory."
    )


@pytest.mark.parametrize("caller_works", [False, True])
def test_in_order_takes_items_one_by_one(caller_works):
    for threads in (1, 2, 5):
        taken, workers = [], set()

        def square(i, workers=workers):
            workers.add(threading.get_ident())
            return i * i

        def items(taken=taken):
            for i in range(40):
                taken.append(i)
                yield i

        for answer in in_order(square, items(), threads, caller_works=caller_works):
            assert answer == (len(taken) - 1 - (0 if threads == 1 else threads)) ** 2 or (
                len(taken) == 40
            )
        assert len(taken) == 40
        assert len(workers) <= (threads if threads == 1 else threads - caller_works)


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

    def new_file(make=store._File):
        files.append(make())
        return files[-1]

    for case, options in {
        "memory": [],
        "disk": ["--max-memory", "4T"],
        "three": ["-mc", "3"],
    }.items():
        with monkeypatch.context() as patch:
            if case == "disk":
                patch.setattr(store, "_CHUNK_VALUES", 20_000)
                patch.setattr(store, "_TILE_VALUES", 30_000)
                patch.setattr("cytotrace2_lite.job.MAX_BYTES", 0)
                patch.setattr(store, "_File", new_file)
            with pytest.raises(SystemExit) as ended:
                main(["run", str(path), "-o", str(tmp_path / case), "-dpl", "-q", *options])
            assert ended.value.code == 0
        results.append((tmp_path / case / "cytotrace2_results.txt").read_bytes())
    assert len(files) == 2  # as the values came, and sorted
    assert results[0] == results[1] == results[2]
    report = json.loads((tmp_path / "disk/run.json").read_text())
    assert report["parameters"]["max_memory"] == 4 * 10**12


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_temporary_files_have_no_name(tmp_path):
    code = (
        "import os, numpy as np\n"
        "from cytotrace2_lite.counts import store\n"
        "file = store._File()\n"
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


@pytest.mark.parametrize(
    ("size", "n_bytes"),
    [
        ("80000M", 80 * 10**9),
        ("1.5t", 15 * 10**11),
        ("64GiB", 64 << 30),
        ("9" * 12, 10**12 - 1),
    ],
)
def test_sizes(size, n_bytes, tmp_path):
    table, out = DATA / "enteric_300.txt.gz", tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(["run", str(table), "-o", str(out), "-dpl", "-q", "--max-memory", size])
    assert ended.value.code == 0
    assert json.loads((out / "run.json").read_text())["parameters"]["max_memory"] == n_bytes


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        ("much", "'much' is no size: give a number with a unit, such as 800M or 2G."),
        ("0", "'0' is no size: it must be at least one byte."),
        ("-1G", "'-1G' is no size: give a number with a unit, such as 800M or 2G."),
    ],
)
def test_no_sizes(size, problem, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["check", str(DATA / "enteric_300.txt.gz"), f"--max-memory={size}"])
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


def test_a_run_that_needs_more_than_it_may_take_is_refused(tmp_path, capsys):
    table = DATA / "enteric_300.txt.gz"
    for command in (["check"], ["run", "-o", str(tmp_path / "out")]):
        with pytest.raises(SystemExit) as ended:
            main([*command, str(table), "--max-memory", "50M"])
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert "of memory would be needed (an estimate), and 0.1 GB are allowed" in error
    assert not (tmp_path / "out").exists()


def test_the_settings_of_the_paper(tmp_path):
    table = DATA / "enteric_300.txt.gz"
    for options, expected in {
        (): (100_000, 10_000, 14),
        ("-bs", "200", "-r", "3"): (200, 10_000, 3),
    }.items():
        with pytest.raises(SystemExit) as ended:
            main(["run", str(table), "-o", str(tmp_path), "-dpl", "-q", "--preset=paper", *options])
        assert ended.value.code == 0
        parameters = json.loads((tmp_path / "run.json").read_text())["parameters"]
        names = ("batch_size", "smooth_batch_size", "seed")
        assert tuple(parameters[name] for name in names) == expected
    result = ct2.run(table, **ct2.PRESETS["paper"])
    assert result.info["parameters"]["batch_size"] == 100_000
