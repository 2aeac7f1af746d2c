"""The input: opened once, and never used if it changes while it is read."""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import formats
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite import job
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.directory import score_to_directory
from cytotrace2_lite.genes import features
from cytotrace2_lite.read import ReadOptions, _formats, open_input
from cytotrace2_lite.read import h5ad as read_h5ad
from cytotrace2_lite.read._file import InputFile

GENES = list(features()[::10])
N_CELLS = 12
AN_HOUR_AGO = 3600


def dataset(seed, n_cells=N_CELLS):
    random = np.random.RandomState(seed)
    counts = random.poisson(0.3, (n_cells, len(GENES)))
    return formats.Dataset(sparse.csr_matrix(counts), [f"c{i}" for i in range(n_cells)], GENES)


def text(data, path):
    path.write_bytes(formats.text(data))
    return path


def text_gz(data, path):
    path.write_bytes(gzip.compress(formats.text(data)))
    return path


def h5ad(kind):
    """Writer of a `.h5ad` with a column of `obs` and an array of `obsm`."""

    def write(data, path):
        h5py = pytest.importorskip("h5py")
        formats.h5ad(data, path, kind, compression="gzip")
        with h5py.File(path, "r+") as file:
            file["obs/donor"] = np.array([f"d{i % 2}" for i in range(len(data.cells))], "S")
            file["obsm/X_umap"] = np.arange(2.0 * len(data.cells)).reshape(-1, 2)
            file.create_group("uns")
        return path

    return write


def tenx_h5(data, path):
    pytest.importorskip("h5py")
    return formats.tenx_v3(data, path)


def table(writer, **options):
    """Writer of a table whose rows are cells."""

    def write(data, path):
        return writer(data, path, transposed=True, **options)

    return write


# What is in the files, rewritten or replaced: the matrix of a directory.
WRITERS = {
    "text": text,
    "text.gz": text_gz,
    "mtx": formats.directory_v2,
    "mtx.gz": formats.directory_v3,
    "10x h5": tenx_h5,
    "h5ad csr": h5ad("csr"),
    "h5ad csc": h5ad("csc"),
    "h5ad dense": h5ad("dense"),
    "parquet": table(formats.parquet),
    "arrow": table(formats.arrow),
    "arrow stream": table(formats.arrow, stream=True),
    "feather": table(formats.feather),
}


def matrix_of(path):
    """The file that has the values."""
    return next(path.glob("matrix.mtx*")) if path.is_dir() else path


def replace(path, other):
    """Put another file in the place of one, as programs do that write a file whole."""
    other.replace(path)


def rewrite(path, other):
    path.write_bytes(other.read_bytes())


def cut(path, _):
    os.truncate(path, path.stat().st_size * 2 // 3)


def remove(path, _):
    path.unlink()


CHANGES = [replace, rewrite, cut, remove]


@pytest.fixture
def files(tmp_path):
    """Function that writes an input, and another one with other values and fewer cells.

    It returns the path of the input, that of the file with its values, and what changes this file.
    """

    def write(kind, change=replace):
        path = WRITERS[kind](dataset(1), tmp_path / "expr")
        other = WRITERS[kind](dataset(2, N_CELLS - 1), tmp_path / "other")
        target, source = matrix_of(path), matrix_of(other)
        # The clock of a file system may be too slow to tell two writes.
        before = target.stat().st_mtime - AN_HOUR_AGO
        os.utime(target, (before, before))
        return path, target, lambda: change(target, source)

    return write


@pytest.fixture
def openings(monkeypatch):
    """Paths that are opened, by Python and by the libraries that open files themselves."""
    opened = []

    def watch(owner, name):
        original = getattr(owner, name)

        class Watched(original if isinstance(original, type) else object):
            def __new__(cls, source, *arguments, **options):
                if isinstance(source, (str, bytes, os.PathLike)):
                    opened.append(os.fsdecode(source))
                return original(source, *arguments, **options)

        monkeypatch.setattr(owner, name, Watched)

    for owner, name in [(pa, "memory_map"), (pa, "OSFile"), (pq, "ParquetFile")]:
        watch(owner, name)
    try:
        import h5py
    except ImportError:
        pass
    else:
        watch(h5py, "File")

    def hook(event, arguments):
        if event == "open" and is_watching and isinstance(arguments[0], (str, bytes)):
            opened.append(os.fsdecode(arguments[0]))

    is_watching = True
    sys.addaudithook(hook)  # for good
    yield opened
    is_watching = False


class TestOpenedOnce:
    @pytest.mark.parametrize("kind", WRITERS)
    def test_read(self, files, openings, kind):
        path, target, _ = files(kind)
        openings.clear()
        with open_input(path) as source:
            assert source.is_h5ad == kind.startswith("h5ad")
            expression, origin = source.read(ReadOptions())
        assert len(expression.cells) == N_CELLS
        assert origin.n_bytes == target.stat().st_size
        assert openings.count(str(target)) == 1
        for file in path.iterdir() if path.is_dir() else []:
            assert openings.count(str(file)) == 1

    def test_everything_that_a_run_asks(self, files, openings, tmp_path, model_files):
        path, _, _ = files("h5ad csr")
        openings.clear()
        score_to_directory(
            path,
            tmp_path / "out",
            RunOptions(model=model_files["1.1.0"]),
            batch_key="donor",
            embedding="X_umap",
            write_h5ad=tmp_path / "scored.h5ad",
        )
        assert openings.count(str(path)) == 1

    def test_nothing_is_opened_before_it_is_needed(self, tmp_path):
        with open_input(tmp_path / "absent") as source:
            assert not source.is_anndata
        with pytest.raises(ct2.InputError, match=r"absent: no such file\. Check the path\."):
            assert open_input(tmp_path / "absent").is_h5ad

    def test_a_directory_is_not_a_file(self, files, tmp_path):
        path, _, _ = files("mtx")
        with open_input(path) as source:
            assert not source.is_h5ad
            assert source.read(ReadOptions())[0].cells == dataset(1).cells
        with open_input(tmp_path) as source:
            assert not source.is_h5ad

    @pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
    def test_a_pipe_is_opened_once_whatever_is_asked(self, files, tmp_path):
        path, _, _ = files("text.gz")
        os.mkfifo(tmp_path / "pipe")
        with subprocess.Popen(["cp", path, tmp_path / "pipe"]) as writer:
            with open_input(tmp_path / "pipe") as source:
                assert not source.is_h5ad
                expression, origin = source.read(ReadOptions())
            assert writer.wait() == 0
        assert expression.cells == dataset(1).cells
        assert origin.n_bytes == path.stat().st_size


class TestChanged:
    def refused(self, target):
        message = f"{target}: the file changed while it was read. Start again when it is complete."
        return pytest.raises(ct2.InputError, match=f"^{message.replace('.', '[.]')}$")

    @pytest.mark.parametrize("change", CHANGES)
    @pytest.mark.parametrize("kind", WRITERS)
    def test_while_names_are_read(self, files, kind, change):
        path, target, act = files(kind, change)
        done = []

        def is_known(names):
            if not done:
                done.append(act())
            return np.ones(len(names), np.bool_)

        with self.refused(target), open_input(path) as source:
            source.read(ReadOptions(is_known))
        assert done

    @pytest.mark.parametrize("change", CHANGES)
    @pytest.mark.parametrize("kind", WRITERS)
    def test_while_values_are_read(self, files, kind, change, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.read._blocks._N_VALUES", 1000)
        monkeypatch.setattr("cytotrace2_lite.read.tables._N_VALUES", 5000)
        path, target, act = files(kind, change)
        done = []

        def progress(*_):
            if not done:
                done.append(act())

        with self.refused(target), open_input(path) as source:
            source.read(ReadOptions(), progress=progress)
        assert done

    @pytest.mark.parametrize("change", CHANGES)
    @pytest.mark.parametrize("kind", WRITERS)
    def test_between_questions(self, files, kind, change):
        path, target, act = files(kind, change)
        with self.refused(target), open_input(path) as source:
            assert source.is_h5ad == kind.startswith("h5ad")
            if path.is_dir():  # opened by being read
                source._file.digest()
            act()
            source.read(ReadOptions())

    @pytest.mark.parametrize("change", CHANGES)
    @pytest.mark.parametrize("ask", ["obs_column", "obsm"])
    def test_while_labels_and_coordinates_are_read(self, files, ask, change, monkeypatch):
        path, target, act = files("h5ad csr", change)
        key = {"obs_column": "donor", "obsm": "X_umap"}[ask]
        reads = {"obs_column": "labels", "obsm": "coordinates"}[ask]
        layout = next(row for row in _formats.LAYOUTS if row.opener is read_h5ad.open_h5ad)
        original = getattr(layout, reads)
        with open_input(path) as source:
            assert len(getattr(source, ask)(key)) == N_CELLS

        def acting(*arguments):
            answer = original(*arguments)
            act()
            return answer

        monkeypatch.setattr(_formats, "LAYOUTS", (layout._replace(**{reads: acting}),))
        with self.refused(target), open_input(path) as source:
            getattr(source, ask)(key)

    @pytest.mark.parametrize("change", CHANGES)
    @pytest.mark.parametrize("question", ["is_h5ad", "labels"])
    def test_after_an_answer(self, files, question, change):
        path, target, act = files("h5ad csr", change)
        with open_input(path) as source:
            assert source.is_h5ad if question == "is_h5ad" else source.obs_column("donor")
            act()
            for ask in (
                lambda: source.obsm("X_umap"),
                lambda: source.read(ReadOptions()),
                lambda: source.copy_to(path.with_name("copy")),
                lambda: source.is_h5ad,
            ):
                with self.refused(target):
                    ask()

    @pytest.mark.parametrize("name", ["genes.tsv", "barcodes.tsv"])
    @pytest.mark.parametrize("change", CHANGES)
    def test_names_beside_the_matrix(self, files, name, change, tmp_path):
        path, _, _ = files("mtx")
        target = path / name
        shutil.copy(target, tmp_path / "other.tsv")
        os.utime(target, (0, 0))
        with self.refused(target), open_input(path) as source:
            source.read(ReadOptions(), progress=lambda *_: change(target, tmp_path / "other.tsv"))

    @pytest.mark.parametrize("change", CHANGES)
    def test_before_a_copy_is_made(self, files, change, tmp_path, model_files):
        path, target, act = files("h5ad csr", change)
        out, copy = tmp_path / "out", tmp_path / "scored.h5ad"
        with self.refused(target):
            score_to_directory(
                path,
                out,
                RunOptions(model=model_files["1.1.0"]),
                on_checked=lambda _: act(),
                write_h5ad=copy,
            )
        assert not out.exists()
        assert not copy.exists()

    def test_a_copy_of_other_bytes(self, files, tmp_path):
        """Too fast for the clock of the file system: the digest tells."""
        path, target, _ = files("h5ad csr")
        with open_input(path) as source:
            source.read(ReadOptions())
            before = target.stat()
            content = bytearray(target.read_bytes())
            content[-1] ^= 1
            target.write_bytes(content)
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
            with self.refused(target):
                source.copy_to(tmp_path / "copy")

    @pytest.mark.parametrize("moment", ["names", "values"])
    @pytest.mark.parametrize("kind", WRITERS)
    def test_nothing_is_written(self, files, kind, moment, monkeypatch, capsys, model_files):
        path, target, act = files(kind)
        out = path.with_name("out")
        module, name = job, {"names": "is_known", "values": "collect"}[moment]
        original, done = getattr(module, name), []

        def acting(*arguments, **options):
            answer = original(*arguments, **options)
            if not done:
                done.append(act())
            return answer

        monkeypatch.setattr(module, name, acting)
        with pytest.raises(SystemExit) as caught:
            main(["run", str(path), "-o", str(out), "-dpl", "-q", "-m", str(model_files["1.1.0"])])
        assert caught.value.code == 3
        assert capsys.readouterr().err.endswith(
            f"Error: {target}: the file changed while it was read. Start again when it is "
            "complete.\n"
        )
        assert not out.exists()


class TestOpenForWriting:
    def test_a_file_that_is_open_for_writing_is_not_read(self, files, monkeypatch):
        h5py = pytest.importorskip("h5py")
        path, _, _ = files("h5ad csr")
        with h5py.File(path, "r+"):
            with pytest.raises(ct2.InputError) as caught, open_input(path) as source:
                source.read(ReadOptions())
            assert str(caught.value) == (
                f"{path}: a program has the file open for writing. Close it there and start again."
            )
            monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "FALSE")
            with open_input(path) as source:
                assert source.read(ReadOptions())[0].cells == dataset(1).cells

    def test_the_lock_ends_when_it_has_been_read(self, files):
        h5py = pytest.importorskip("h5py")
        path, _, _ = files("h5ad csr")
        with open_input(path) as source:
            source.read(ReadOptions())
            with h5py.File(path, "r+"):
                pass


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is read ahead")
class TestDigestAhead:
    @pytest.fixture
    def path(self, tmp_path, monkeypatch):
        monkeypatch.setattr("cytotrace2_lite.read._file._STEP", 100)
        (tmp_path / "file").write_bytes(os.urandom(12_345))
        return tmp_path / "file"

    def test_the_file_is_read_where_it_was(self, path):
        with InputFile(path) as file:
            content = file.anywhere()
            start = content.read(7)
            file.digest_ahead()
            file.digest_ahead()
            assert start + content.read() == path.read_bytes()
            for _ in range(2):
                assert file.digest() == (12_345, hashlib.sha256(path.read_bytes()).hexdigest())

    def test_closing_does_not_wait_for_the_end(self, path, monkeypatch):
        reading = threading.Event()

        def endless(*_):
            reading.set()
            return b"more"

        monkeypatch.setattr(os, "pread", endless)
        before = set(threading.enumerate())
        with InputFile(path) as file:
            file.digest_ahead()
            assert reading.wait(60)
            # Other tests' threads may end meanwhile.
            started = set(threading.enumerate()) - before
            assert len(started) == 1
        for thread in started:
            thread.join(60)
            assert not thread.is_alive()

    def test_what_cannot_be_read(self, path, monkeypatch):
        def broken(*_):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "pread", broken)
        with InputFile(path) as file:
            file.digest_ahead()
            with pytest.raises(ct2.InputError, match=r"cannot be read \(Input/output error\)"):
                file.digest()

    @pytest.mark.parametrize("threads", [1, 2])
    def test_a_thread_takes_the_digest_if_there_may_be_one(self, files, monkeypatch, threads):
        pytest.importorskip("h5py")
        path, _, _ = files("h5ad csr")
        asked = []
        monkeypatch.setattr(InputFile, "digest_ahead", lambda _: asked.append(1))
        with open_input(path) as source:
            _, origin = source.read(ReadOptions(threads=threads))
        assert len(asked) == threads - 1
        assert origin.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
