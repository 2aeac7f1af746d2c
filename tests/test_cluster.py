"""Workers of Dask give the same bytes as one process, also where some of them are lost."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.counts import random_counts
from helpers.zarr_store import files_of_store, write_files
from scipy.sparse import csr_array
from test_pipeline import PARAMETERS, dataset, same

import cytotrace2_lite as ct2
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.cluster import Cluster, connected
from cytotrace2_lite.cluster import workers as of_workers
from cytotrace2_lite.directory import score_to_directory
from cytotrace2_lite.genes import features
from cytotrace2_lite.job import open_source, prepare_job
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.pipeline import score_cells

distributed = pytest.importorskip("distributed", reason="distributed is not installed")


# What Dask warns of, such as ports, is not about this package.
pytestmark = pytest.mark.filterwarnings("ignore")
DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def client():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cytotrace2_lite.cluster.connection._WORKER_SECONDS", 3)
        with connected("local:2", max_cores=3) as client:
            yield client


@pytest.fixture(scope="module")
def ensemble(ensembles):
    return ensembles["1.1.0"]


@pytest.fixture(scope="module")
def expected(ensemble):
    return score_cells(dataset(), ensemble, PARAMETERS)


def score(client, ensemble, data=None, *, tell=None, progress=None, **options):
    """Scores of the cluster, and the report on it."""
    cluster = Cluster(client)
    if tell is not None:
        cluster.tell = tell
    with cluster.scoring(ensemble, PARAMETERS) as scoring:
        scores = score_cells(
            data or dataset(), ensemble, PARAMETERS, progress, map=scoring, **options
        )
        return scores, scoring.report()


def patch_worker(name, value, module="cytotrace2_lite.cluster.worker"):
    """Replace something in a module of a worker; gives what it was."""
    found = importlib.import_module(module)
    before = getattr(found, name)
    setattr(found, name, value)
    return before


@pytest.fixture
def patched(client):
    """Function that replaces something in all workers until the test ends."""
    befores = []

    def patch(name, value, module="cytotrace2_lite.cluster.worker"):
        found = client.run(patch_worker, name, value, module)
        befores.append((name, next(iter(found.values())), module))

    yield patch
    for before in befores:
        client.run(patch_worker, *before)


class TestSameBytes:
    def test_of_batches(self, client, ensemble, expected):
        scores, report = score(client, ensemble, dataset(spilled=True))
        same(scores, expected)
        assert report["n_workers"] == 2
        assert report["n_threads"] == 2
        assert report["n_retries"] == 0
        assert report["bytes_received"] > 1100 * 14 * 8

    def test_run(self, client, ensemble):
        matrix = random_counts(600, 500)
        options = {"genes": features(), "model": ensemble, "batches": ["a", "b"] * 300}
        alone = ct2.run(matrix, **options)
        found = ct2.run(matrix, client=client, **options)
        assert found.to_bytes(extra_columns=True) == alone.to_bytes(extra_columns=True)
        assert [key for key in found.info if key not in alone.info] == ["cluster"]
        assert found.info["findings"][:-1] == alone.info["findings"][:-1]  # the last has times
        assert found.info["cluster"]["read_by"] == "driver"

    @pytest.mark.slow
    def test_after_a_worker_was_killed(self, client, ensemble, expected, patched, tmp_path):
        told = []
        patched("score_batch", dying_once(tmp_path / "killed"))
        scores, report = score(client, ensemble, tell=told.append)
        same(scores, expected)
        assert report["n_retries"] >= 1
        assert "is sent to another one." in told[0]
        client.wait_for_workers(2, timeout=60)

    def test_of_a_model_that_workers_cannot_reach(self, client, expected, model_files, tmp_path):
        path = Path(shutil.copy(model_files["1.1.0"], tmp_path / "m.onnx"))
        path.write_bytes(path.read_bytes())
        ensemble = Ensemble.load(path)
        client.run(forget_models)
        # As if the path were that of another model there.
        client.run(patch_find, str(path), str(model_files["1.0.0"]))
        try:
            scores, report = score(client, ensemble)
        finally:
            client.run(patch_find, "", "")
        assert report["bytes_sent"] > 2 * path.stat().st_size
        np.testing.assert_array_equal(scores.score, expected.score)


def dying_once(path):
    """Function for workers in place of `score_batch`: the first process that calls it is killed."""

    def score_or_die(*arguments, **options):
        import os
        import signal

        from cytotrace2_lite.batch import score_batch

        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return score_batch(*arguments, **options)
        return os.kill(os.getpid(), signal.SIGKILL)

    return score_or_die


def forget_models():
    from cytotrace2_lite.cluster import worker

    worker._models.clear()


def patch_find(path, other):
    """Have a worker find another model at a path."""
    from cytotrace2_lite.models import ensemble
    from cytotrace2_lite.models.catalog import find_model

    ensemble.find_model = lambda name: find_model(Path(other) if str(name) == path else name)


class TestReading:
    """Workers read a file themselves, where they can."""

    @pytest.fixture
    def write(self, tmp_path):
        h5py = pytest.importorskip("h5py", reason="h5py is not installed")

        def file(matrix, encoding="csr_matrix"):
            path = tmp_path / "x.h5ad"
            text = h5py.string_dtype()
            with h5py.File(path, "w") as content:
                content.attrs["encoding-type"] = "anndata"
                names = [f"c{i}" for i in range(matrix.shape[0])]
                for frame, index in (("obs", names), ("var", features())):
                    group = content.create_group(frame)
                    group.attrs["_index"] = "_index"
                    group.create_dataset("_index", data=list(index), dtype=text)
                x = content.create_group("X")
                x.attrs["encoding-type"], x.attrs["shape"] = encoding, matrix.shape
                for name in ("data", "indices", "indptr"):
                    x[name] = getattr(matrix, name)
            return path

        return file

    @pytest.fixture(params=["2", "3", "2 zip", "3 zip"])
    def write_zarr(self, request, tmp_path):
        pytest.importorskip("zarr", reason="zarr is not installed")
        version, *zipped = request.param.split()
        if version == "3" and not hasattr(importlib.import_module("zarr.storage"), "LocalStore"):
            pytest.skip("zarr 2 reads no stores of format 3")

        def store(matrix):
            frame = {"encoding-type": "dataframe", "_index": "names"}
            parts = {
                "": {"encoding-type": "anndata"},
                "obs": frame,
                "obs/names": [f"c{i}" for i in range(matrix.shape[0])],
                "var": frame,
                "var/names": list(features()),
                "X": {"encoding-type": f"{matrix.format}_matrix", "shape": list(matrix.shape)},
                **{f"X/{name}": getattr(matrix, name) for name in ("data", "indices", "indptr")},
            }
            files = files_of_store(parts, int(version), 20_000, compressed=True)
            return write_files(files, tmp_path / "x.zarr", zipped=bool(zipped))

        return store

    def run(self, client, path, ensemble, **options):
        """Result of the cluster and that of this process; what was said."""
        cluster, told = Cluster(client), []
        cluster.tell = told.append
        given = RunOptions(model=ensemble, batch_size=400, smooth_batch_size=200, **options)
        found, alone = (
            score_to_directory(path, None, given, cluster=one, keep_counts=False).result
            for one in (cluster, None)
        )
        assert found.to_bytes(extra_columns=True) == alone.to_bytes(extra_columns=True)
        without = ("seconds", "cluster", "peak_memory_bytes", "findings")
        for key in set(alone.info) - set(without):
            assert found.info[key] == alone.info[key]
        kept = [
            [one for one in result.info["findings"] if one["code"] != "estimate"]
            for result in (found, alone)
        ]
        assert kept[0] == kept[1]
        return found.info["cluster"], told

    def test_the_same(self, client, ensemble, write, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.cluster.reading._VALUES_PER_BLOCK", 60_000)
        matrix = random_counts(1100, 300)
        for cell in (3, 500, 1099):
            matrix.data[matrix.indptr[cell] : matrix.indptr[cell + 1]] = 0
        matrix.data[5000] = 300.5  # other types of values in this block alone
        report, told = self.run(client, write(matrix), ensemble)
        assert told == []
        assert report["read_by"] == "workers"
        assert report["bytes_sent"] == 0
        assert report["bytes_between_workers"] > 0

    def test_zarr(self, client, ensemble, write_zarr, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.cluster.reading._VALUES_PER_BLOCK", 60_000)
        report, told = self.run(client, write_zarr(random_counts(450, 300)), ensemble)
        assert told == []
        assert report["read_by"] == "workers"
        assert report["bytes_sent"] == 0

    @pytest.mark.parametrize("write_zarr", ["2", "2 zip"], indirect=True)
    def test_a_store_that_workers_cannot_reach(self, client, ensemble, write_zarr, patched):
        patched("identity_of", lambda _: (0, 0, ""), "cytotrace2_lite.read._rows")
        patched("_identity_of_store", lambda _: (0, 0, ""), "cytotrace2_lite.read._rows")
        report, told = self.run(client, write_zarr(random_counts(120, 300)), ensemble)
        assert told[0].endswith("x.zarr: here is another file of this name.")
        assert report["read_by"] == "driver"

    def test_what_workers_do_not_read(self, client, ensemble, write):
        matrix = random_counts(120, 300)
        path = write(matrix.tocsc(), "csc_matrix")
        report, told = self.run(client, path, ensemble)
        why = "its values are not sorted by cell (CSR), or not in one file."
        assert told == [f"{path} is read here, and sent to the workers: {why}"]
        assert report["read_by"] == "driver"

    def test_what_they_cannot_reach(self, client, ensemble, write, patched):
        patched("identity_of", lambda _: (0, 0, ""), "cytotrace2_lite.read._rows")
        report, told = self.run(client, write(random_counts(120, 300)), ensemble)
        assert told[0].endswith("x.h5ad: here is another file of this name.")
        assert report["read_by"] == "driver"

    def test_wrong_values_have_the_message_of_one_process(self, client, ensemble, write):
        matrix = random_counts(120, 300)
        matrix.data[70 * 300 + 1] = -2
        gene = features()[matrix.indices[70 * 300 + 1]]
        with pytest.raises(ct2.InputError, match=f"gene '{gene}', cell 'c70': the value -2 is neg"):
            ct2.run(write(matrix), model=ensemble, client=client)

    @pytest.mark.slow
    def test_after_a_worker_was_killed(
        self, client, ensemble, write, monkeypatch, patched, tmp_path
    ):
        patched("score_batch", dying_once(tmp_path / "killed"))
        monkeypatch.setattr("cytotrace2_lite.cluster.reading._VALUES_PER_BLOCK", 60_000)
        path, options = write(random_counts(1500, 300)), {"model": ensemble, "batch_size": 150}
        found = ct2.run(path, client=client, **options)
        assert found.to_bytes() == ct2.run(path, **options).to_bytes()
        assert found.info["cluster"]["n_retries"] >= 1
        client.wait_for_workers(2, timeout=60)


class TestDaskArrays:
    """Workers compute the chunks of a Dask array, where they can."""

    @pytest.fixture
    def matrix(self):
        return random_counts(400, 200)

    @pytest.fixture
    def da(self, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.cluster.reading._VALUES_PER_BLOCK", 400_000)
        return pytest.importorskip("dask.array", reason="Dask arrays are not installed")

    def run(self, client, array, ensemble, **options):
        """What the record has of the cluster, and what was said."""
        cluster, told = Cluster(client), []
        cluster.tell = told.append
        given = RunOptions(
            model=ensemble, genes=features(), batch_size=200, smooth_batch_size=200, **options
        )
        found = scored(array, given, cluster)
        alone = scored(array, given, None, client)
        np.testing.assert_array_equal(found.score, alone.score)
        np.testing.assert_array_equal(found.raw_score, alone.raw_score)
        return found.info["cluster"], told

    @pytest.mark.parametrize(
        ("chunks", "orientation", "kind"),
        [
            ((70, -1), "auto", "csr"),
            ((180, 5_000), "auto", None),
            ((6_000, 90), "genes-x-cells", "csc"),
        ],
    )
    def test_from_what_workers_can_make(
        self, client, ensemble, da, matrix, chunks, orientation, kind
    ):
        turned = orientation == "genes-x-cells"
        whole = matrix.T.tocsr() if turned else matrix

        def part(block_info=None):
            (top, bottom), (left, right) = block_info[None]["array-location"]
            found = whole[top:bottom][:, left:right]
            return found.toarray() if kind is None else found.asformat(kind)

        shape = (len(features()), 400) if turned else (400, len(features()))
        array = da.map_blocks(
            part, chunks=da.core.normalize_chunks(chunks, shape), dtype="f8", meta=np.empty((0, 0))
        )
        report, told = self.run(client, array, ensemble, orientation=orientation)
        assert told == []
        assert report["read_by"] == "workers"
        assert report["bytes_sent"] == 0

    def test_persisted(self, client, ensemble, da, matrix):
        array = client.persist(da.from_array(matrix.toarray(), chunks=(100, -1)))
        report, told = self.run(client, array, ensemble)
        assert told == []
        assert report["read_by"] == "workers"
        # Where something is wrong with it, for the message.
        with pytest.raises(ct2.InputError, match="cell '0': the value -1 is negative"):
            ct2.run(array - 1, genes=features(), model=ensemble, client=client)

    @pytest.mark.slow
    def test_after_a_worker_was_killed(self, client, ensemble, da, matrix, patched, tmp_path):
        patched("score_batch", dying_once(tmp_path / "killed"))
        array = da.from_array(matrix.toarray(), chunks=(50, -1)).map_blocks(csr_array)
        options = {"genes": features(), "model": ensemble, "batch_size": 50}
        found = ct2.run(array, client=client, **options)
        assert found.to_bytes() == ct2.run(matrix, **options).to_bytes()
        assert (tmp_path / "killed").exists()
        assert found.info["cluster"]["read_by"] == "workers"
        client.wait_for_workers(2, timeout=60)

    def test_what_is_here(self, client, ensemble, da, matrix, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.cluster.reading._MOST_BYTES_OF_GRAPH", 1_000_000)
        array = da.from_array(matrix.toarray(), chunks=(100, -1))
        report, told = self.run(client, array, ensemble)
        why = "its values are in this process."
        assert told == [f"the Dask array is read here, and sent to the workers: {why}"]
        assert report["read_by"] == "driver"

    def test_what_workers_cannot_make(self, client, ensemble, da, matrix):
        where = os.getpid()

        def part(block_info=None):
            if os.getpid() != where:
                raise OSError("no such disk")
            (top, bottom), _ = block_info[None]["array-location"]
            return matrix[top:bottom].toarray()

        shape = (400, len(features()))
        array = da.map_blocks(
            part, chunks=da.core.normalize_chunks((200, -1), shape), dtype="f8", meta=np.empty(0)
        )
        report, told = self.run(client, array, ensemble)
        assert told[0].endswith("sent to the workers: OSError at a worker: no such disk")
        assert report["read_by"] == "driver"
        lock = threading.Lock()
        report, told = self.run(client, array.map_blocks(lambda x: (lock, x)[1]), ensemble)
        assert "cannot be sent (TypeError: " in told[0]


def scored(array, options, cluster, client=None):
    """Result of a Dask array; what a client holds is fetched by it."""
    dask = importlib.import_module("dask")
    scheduler = client if distributed.futures_of(array) else "threads"
    with (
        open_source(array, options) as source,
        dask.config.set(scheduler=None if client is None else scheduler),
    ):
        return prepare_job(source, options, cluster=cluster).score(
            None, release=True, cluster=cluster
        )


class TestRefusals:
    def test_other_versions(self, client, ensemble, patched):
        patched("versions", lambda: {"numpy": "0.1"})
        with pytest.raises(ct2.CytoTRACE2Error, match="cytotrace2_lite None, and this process has"):
            score(client, ensemble)

    @pytest.mark.parametrize(
        ("error", "text"),
        [
            (MemoryError(), "ran out of memory with a batch of 36. cells. Use a smaller -bs"),
            (ct2.ModelError("no number."), "^no number.$"),
            (ValueError("odd"), r"cannot score a batch of 36. cells \(ValueError: 'odd'\)"),
        ],
    )
    def test_errors_of_workers(self, client, ensemble, patched, error, text):
        def fail(*_, **__):
            raise error

        patched("score_batch", fail)
        with pytest.raises(ct2.CytoTRACE2Error, match=text):
            score(client, ensemble)

    def test_clients(self, client):
        for wrong in ("tcp://localhost:1", 5):
            with pytest.raises(ct2.UsageError, match="it must be a distributed"):
                ct2.run(np.ones((2, 2)), genes=["Actb", "Gapdh"], client=wrong)
        closed = distributed.Client(client.scheduler.address, set_as_default=False)
        closed.close()
        with pytest.raises(ct2.UsageError, match="client is closed"):
            Cluster(closed)

    @pytest.mark.parametrize(
        ("where", "text", "code"),
        [
            ("local:0", "give the number of workers, at least 1", 2),
            ("local:many", "'local:many' is no cluster: give the address", 2),
            ("none.json", "'none.json': there is no such file of a Dask scheduler", 2),
            ("tcp://127.0.0.1:1", "no Dask scheduler that can be used answers there", 1),
        ],
    )
    def test_addresses(self, where, text, code, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.cluster.connection._CONNECT_SECONDS", 0.5)
        with pytest.raises(ct2.CytoTRACE2Error, match=text) as caught, connected(where):
            pass
        assert caught.value.exit_code == code

    def test_without_distributed(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "distributed", None)
        with pytest.raises(ct2.CytoTRACE2Error, match=r"pip install 'cytotrace2-lite\[dask\]'"):
            ct2.run(np.ones((2, 2)), genes=["Actb", "Gapdh"], client=1)


class TestCommand:
    @pytest.fixture
    def run(self, client, model_files, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        tables = ["one.txt.gz", "other.txt.gz"]
        for name in tables:
            shutil.copy(DATA / "enteric_300.txt.gz", tmp_path / name)

        def command(*arguments):
            for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
                monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
            with pytest.raises(SystemExit) as end:
                main(["run", *arguments, "-m", str(model_files["1.1.0"]), "-dpl"])
            return end.value.code

        return command, tables

    def test_one_and_several(self, run, client, capsys):
        command, (one, other) = run
        cluster = ["--dask", client.scheduler.address]
        assert command(one, other, "broken.txt", "-o", "alone") == 3
        assert command(one, other, "broken.txt", "-o", "there", *cluster) == 3
        err = capsys.readouterr().err
        assert "Cluster: 2 workers with 2 threads at tcp://127.0.0.1:" in err
        assert "3 samples: 2 done, 1 failed (broken)" in err
        files = sorted(path.name for path in Path("alone").iterdir())
        assert files == sorted(path.name for path in Path("there").iterdir())
        for name in files:
            if not name.endswith(("run.json", "samples.tsv")):  # these have times
                assert (Path("there") / name).read_bytes() == (Path("alone") / name).read_bytes()
        assert command(one, "-o", "one", *cluster, "-q") == 0
        assert (
            Path("one/cytotrace2_results.txt").read_bytes()
            == Path("alone/one_cytotrace2_results.txt").read_bytes()
        )
        assert list(json.loads(Path("one/run.json").read_text()))[-3:] == [
            "cluster",
            "results",
            "results_sha256",
        ]
        assert capsys.readouterr().err == ""
        assert command(one, other, "-o", "there", "--skip-done", *cluster) == 0
        assert "2 samples: 0 done, 2 done before" in capsys.readouterr().err


class Deadly(distributed.WorkerPlugin):
    """Has each worker, new ones too, end with its first batch."""

    def setup(self, worker):
        patch_worker("score_batch", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))


def score_until(file, ensemble, end):
    """Score on a cluster that ends meanwhile."""
    done = []

    def once(_):
        if not done:
            done.append(1)
            end()

    with connected(str(file)) as client:
        score(client, ensemble, progress=once)


@pytest.mark.slow
class TestFaults:
    """Each takes some seconds of waiting."""

    def test_a_batch_that_kills_each_worker(self, ensemble):
        with connected("local:2", max_cores=2) as client:
            client.register_plugin(Deadly())
            with pytest.raises(ct2.CytoTRACE2Error, match="3 workers were lost one after the"):
                score(client, ensemble)

    def test_no_worker_is_left(self, ensemble, monkeypatch):
        monkeypatch.setitem(of_workers.PATIENCE, "worker", 3)
        with (
            distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster,
            distributed.Client(cluster) as client,
            pytest.raises(ct2.CytoTRACE2Error, match="has had no worker for 3 s"),
        ):
            score(client, ensemble)

    def test_the_scheduler_is_gone(self, ensemble, monkeypatch, tmp_path):
        monkeypatch.setitem(of_workers.PATIENCE, "scheduler", 3)
        file = tmp_path / "scheduler.json"
        program = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
        scheduler = subprocess.Popen(
            [*program, "--scheduler-file", file, "--port", "0", "--no-dashboard"],
            stderr=subprocess.DEVNULL,
        )
        worker = None
        try:
            for _ in range(300):
                if file.exists() and file.read_text().endswith("}"):
                    break
                time.sleep(0.1)
            worker = subprocess.Popen(
                [
                    *(sys.executable, "-m", "distributed.cli.dask_worker"),
                    *("--scheduler-file", file, "--nthreads", "1", "--no-nanny"),
                    *("--no-dashboard", "--death-timeout", "20"),
                ],
                stderr=subprocess.DEVNULL,
            )
            with pytest.raises(ct2.CytoTRACE2Error, match="scheduler of the Dask cluster no lon"):
                score_until(file, ensemble, scheduler.kill)
        finally:
            for process in (scheduler, worker):
                if process is not None:
                    process.kill()
                    process.wait()

    def test_it_can_be_stopped(self, client, ensemble):
        cluster = Cluster(client)
        with cluster.scoring(ensemble, replace(PARAMETERS, batch_size=100)) as scoring:
            threading.Timer(1, cluster.stop).start()
            with pytest.raises(ct2.CytoTRACE2Error, match="stopped"):
                score_cells(dataset(), ensemble, PARAMETERS, map=scoring)
        time.sleep(1)
        assert not any(client.processing().values())
