"""Many processes, threads and calls at a time give the same bytes as one alone."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.counts import random_counts
from test_faults import belongs_together, hidden, visible

import cytotrace2_lite as ct2
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.directory import score_to_directory
from cytotrace2_lite.genes import features

DATA = Path(__file__).parent / "data"
INPUT = DATA / "enteric_300.txt.gz"
pytestmark = [
    pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning"),
    # Python 3.12 warns of every fork of a process with threads, which is tested here.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


@pytest.fixture
def alone(ensembles, tmp_path):
    score_to_directory(INPUT, tmp_path / "alone", RunOptions(model=ensembles["1.1.0"]))
    return visible(tmp_path / "alone")["cytotrace2_results.txt"]


@pytest.mark.parametrize("n", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_processes_with_one_output_and_one_model_directory(n, alone, model_files, tmp_path):
    (tmp_path / "models").mkdir()
    shutil.copy(model_files["1.1.0"], tmp_path / "models/lab.onnx")
    out = tmp_path / "out"
    words = ["-m", "cytotrace2_lite", "run", INPUT, "-o", out, "-m", "lab", "-dpl", "-q"]
    processes = [
        subprocess.Popen(
            [sys.executable, *map(str, words)],
            env=os.environ | {"CT2_LITE_MODELS_DIR": str(tmp_path / "models")},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(n)
    ]
    assert [process.communicate()[1] for process in processes] == [""] * n
    assert [process.returncode for process in processes] == [0] * n
    assert visible(out)["cytotrace2_results.txt"] == alone
    assert belongs_together(visible(out))
    assert hidden(out) == []
    assert os.listdir(tmp_path / "models") == ["lab.onnx"]  # noqa: PTH208


def score(ensemble, cores=1):
    counts = random_counts(120, 400)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = ct2.run(counts, genes=features(), model=ensemble, max_cores=cores)
    return result.to_bytes(extra_columns=True)


def test_16_threads_share_an_ensemble(ensembles):
    expected = score(ensembles["1.1.0"])
    start = threading.Barrier(16)

    def work(number):
        start.wait()
        return score(ensembles["1.1.0"], cores=1 + number % 2)

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(work, range(16))) == {expected}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_ensemble_of_a_host_process(method, ensembles):
    """It was used here, with threads, before the other process starts."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    expected = score(ensembles["1.1.0"], cores=2)
    with multiprocessing.get_context(method).Pool(2) as pool:
        answers = pool.starmap_async(score, [(ensembles["1.1.0"], 2)] * 4).get(timeout=300)
    assert set(answers) == {expected}
    assert score(ensembles["1.1.0"], cores=2) == expected


def test_ensemble_inherited_by_a_fork(ensembles):
    """The forked process has it as a global; it is not sent."""
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    expected = score(ensembles["1.1.0"], cores=2)
    process = os.fork()
    if process == 0:
        os._exit(0 if score(ensembles["1.1.0"], cores=2) == expected else 1)
    assert os.waitpid(process, 0)[1] == 0


def test_ensemble_whose_file_was_replaced(model_files, tmp_path):
    path = tmp_path / "m.onnx"
    shutil.copy(model_files["1.1.0"], path)
    function, arguments = ct2.Ensemble.load(path).__reduce__()
    assert function(*arguments).info.path == str(path)
    shutil.copy(model_files["1.0.0"], path)
    with pytest.raises(ct2.ModelError, match=r"m\.onnx: the model was replaced by another one"):
        function(*arguments)


@pytest.mark.slow
def test_10_000_calls_take_no_more_memory(ensembles):
    counts = random_counts(3, 60)
    genes = features()

    def held():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    if not Path("/proc/self/statm").exists():
        pytest.skip("this system does not tell")
    memory, answers = [], set()
    for call in range(10_001):
        result = ct2.run(counts, genes=genes, model=ensembles["1.1.0"], max_cores=2)
        answers.add(result.to_bytes())
        if call % 1000 == 0:
            memory.append(held())
            files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
            if call == 0:
                files_at_first = files
    print("MB held every 1,000 calls:", [round(n_bytes / 1e6, 1) for n_bytes in memory])
    assert len(answers) == 1
    assert files == files_at_first
    assert threading.active_count() < 10
    # The first thousand calls fill caches.
    assert memory[-1] - memory[1] < 5e6
