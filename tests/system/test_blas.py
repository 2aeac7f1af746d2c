"""BLAS has one thread while anything runs, whichever thread calls, and its own number afterwards.

BLAS reads its number of threads when it is loaded, and the other tests have it at one: each test
here that calls it needs a process.
"""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from cytotrace2_lite.genes import features
from cytotrace2_lite.system import blas
from cytotrace2_lite.system.blas import one_blas_thread
from cytotrace2_lite.system.threads import in_order, thread_pool

HEAD = """
import asyncio, os, sys, threading, time, warnings
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_info, threadpool_limits
import cytotrace2_lite as ct2
from cytotrace2_lite.genes import features
from cytotrace2_lite.system.blas import one_blas_thread

warnings.simplefilter("ignore")

def numbers():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

own = numbers()
assert own and 1 not in own, own

def in_a_thread(function, *arguments):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()

def inside():
    with one_blas_thread():
        return numbers()
"""


def python(code, *arguments):
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    if os.cpu_count() == 1:  # of itself, BLAS would have one thread
        environment["OPENBLAS_NUM_THREADS"] = "3"
    command = [sys.executable, "-c", HEAD + code, *map(str, arguments)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


SCORE = """
rng = np.random.default_rng(0)
counts = rng.poisson(rng.gamma(0.3, 2, (1100, 400)))  # so many that sums are in parts
model = ct2.Ensemble.load(sys.argv[1])
seen = set()

def score(_=None):
    result = ct2.run(
        counts, genes=list(features()[:400]), model=model, max_cores=2,
        progress=lambda event: seen.update(numbers() if event.stage == "predict" else ()),
    )
    return result.score.tobytes()
"""


@pytest.mark.parametrize(
    "order",
    [
        "[score(), in_a_thread(score), *ThreadPoolExecutor(2).map(score, range(2))]",
        "[in_a_thread(score), asyncio.run(asyncio.to_thread(score)), score()]",
    ],
    ids=["main thread first", "another thread first"],
)
def test_the_same_bytes_in_any_thread(order, model_files):
    code = f"""
assert len(set({order})) == 1
assert seen == {{1}}, seen
assert numbers() == own
"""
    python(SCORE + code, model_files["1.1.0"])


def test_the_number_of_the_host_is_kept():
    code = """
threadpool_limits(2)  # of threadpoolctl, too: only this thread may now set it there
own = numbers()
for call in (inside, lambda: in_a_thread(inside)):
    assert set(call()) == {1}
    assert numbers() == own
with threadpool_limits(1):
    assert set(in_a_thread(inside)) == {1}
    assert set(numbers()) == {1}
assert numbers() == own
"""
    python(code)


def test_runs_that_overlap():
    code = """
entered, leave = threading.Event(), threading.Event()

def stay():
    with one_blas_thread():
        entered.set()
        leave.wait(60)
        return numbers()

for last in ("worker", "main"):
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(stay)
        assert entered.wait(60)
        if last == "main":
            with one_blas_thread():
                leave.set()
                assert set(other.result()) == {1}
                assert set(numbers()) == {1}
        else:
            assert set(inside()) == {1}
            assert set(numbers()) == {1}
            leave.set()
            assert set(other.result()) == {1}
    assert numbers() == own, last
    entered.clear(), leave.clear()
"""
    python(code)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_other_threads_enter_and_leave():
    code = """
stop = False

def work():
    while not stop:
        with one_blas_thread():
            pass

def child(expected):
    assert numbers() == expected, (numbers(), expected)
    assert set(inside()) == {1}
    assert numbers() == expected
    np.ones((300, 300)) @ np.ones((300, 300))
    os._exit(0)

def fork(expected):
    process = os.fork()
    if process == 0:
        try:
            child(expected)
        finally:
            os._exit(1)
    for _ in range(3000):
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            assert status == 0, status
            return
        time.sleep(0.01)
    os.kill(process, 9)
    raise AssertionError("the child hangs")

threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
try:
    for _ in range(15):
        fork(own)
    with one_blas_thread():
        fork([1] * len(own))
finally:
    stop = True
    for thread in threads:
        thread.join()
assert numbers() == own
"""
    python(code)


class PerThread:
    """A library with a number for each thread, as OpenBLAS built with OpenMP, and MKL."""

    def __init__(self):
        self._own = threading.local()

    @property
    def number(self):
        return getattr(self._own, "number", 4)

    @number.setter
    def number(self, number):
        self._own.number = number

    def limit(self):
        before, self.number = self.number, 1
        return before

    def restore(self, number):
        self.number = number

    def library(self):
        return blas._Library(self.limit, self.restore, per_thread=True)


@pytest.fixture
def per_thread(monkeypatch):
    library = PerThread()
    monkeypatch.setattr(blas, "_find_libraries", lambda: {"path": library.library()})
    return library


def test_a_library_with_a_number_for_each_thread(per_thread):
    entered, leave = threading.Event(), threading.Event()

    def enter_and_stay():
        per_thread.number = 7
        with one_blas_thread():
            entered.set()
            leave.wait(60)
            found = per_thread.number
        return found, per_thread.number

    def number(_=None):
        return per_thread.number

    with ThreadPoolExecutor(1) as host:
        other = host.submit(enter_and_stay)
        assert entered.wait(60)
        assert number() == 4
        with one_blas_thread():
            with one_blas_thread():
                assert number() == 1
            assert number() == 1
            with thread_pool(2) as ours:
                assert set(ours.map(number, range(8))) == {1}
            assert set(in_order(number, range(8), 2)) == {1}
        assert number() == 4
        leave.set()
        assert other.result() == (1, 7)
    with thread_pool(1) as ours:  # outside, nothing is limited
        assert set(ours.map(number, range(2))) == {4}


class TestFromPython:
    """BLAS reads its number of threads when it is loaded, so each test needs a process."""

    def python(self, *arguments):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "3"}
        subprocess.run([sys.executable, *map(str, arguments)], check=True, env=environment)

    def test_results_are_those_of_the_command_line(self, model_files, tmp_path):
        rng = np.random.default_rng(0)
        counts = rng.poisson(rng.gamma(0.3, 2, (1100, 400)))  # so many that sums are in parts
        table = pd.DataFrame(counts.T, features()[:400], range(1100))
        table.to_csv(tmp_path / "table.txt", sep="\t")
        code = (
            "import sys, warnings, cytotrace2_lite as ct2\n"
            "warnings.simplefilter('ignore')\n"
            "ct2.run(sys.argv[1], model=sys.argv[2], max_cores=2).write(sys.argv[3])\n"
        )
        table, model = tmp_path / "table.txt", model_files["1.1.0"]
        self.python("-c", code, table, model, tmp_path / "python")
        options = ["-m", model, "-o", tmp_path / "shell", "-q", "-dpl"]
        self.python("-m", "cytotrace2_lite", "run", table, *options)
        name = "cytotrace2_results.txt"
        python, shell = ((tmp_path / way / name).read_bytes() for way in ("python", "shell"))
        assert python == shell

    def test_has_one_thread_while_anything_runs_and_its_own_afterwards(self):
        code = """
import scipy.linalg
from threadpoolctl import threadpool_info
from cytotrace2_lite.system.blas import one_blas_thread

def threads():
    return {pool["num_threads"] for pool in threadpool_info()}

own = threads()
assert own != {1}
first, second = one_blas_thread(), one_blas_thread()
first.__enter__()
assert threads() == {1}
second.__enter__()
first.__exit__(None, None, None)
assert threads() == {1}
second.__exit__(None, None, None)
assert threads() == own
"""
        self.python("-c", code)
