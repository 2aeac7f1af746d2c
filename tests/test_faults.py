"""What a run leaves behind when it is killed, or when disk, memory or its input fail it.

The promises are those of docs/guarantees.md: results are whole or absent, earlier ones stay as they
were until new ones replace them, and what a killed run leaves is gone after the next one.
"""

import collections
import errno
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.directory import score_to_directory
from cytotrace2_lite.system import files as system_files

resource = pytest.importorskip("resource", reason="signals, limits and locks of Unix")

DATA = Path(__file__).parent / "data"
INPUT = DATA / "enteric_300.txt.gz"
H5AD = DATA / "anndata_0.12.19.h5ad"
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")

# As from a terminal, also where the tests themselves run in the background.
PROGRAM = """\
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from cytotrace2_lite.__main__ import program
"""


@pytest.fixture
def start(model_files):
    """Function that starts the program on some real cells, without plots."""

    def run(out, *options, path=INPUT, before="", **more):
        words = ["run", path, "-o", out, "-dpl", "-m", model_files["1.1.0"], *options]
        return subprocess.Popen(
            [sys.executable, "-c", f"{PROGRAM}{before}\nprogram()", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    return run


@pytest.fixture(scope="module")
def made(ensembles, tmp_path_factory):
    """Files of an earlier and of a new run, whose results differ."""
    files = []
    for size in (100, 1000):
        out = tmp_path_factory.mktemp("made")
        score_to_directory(INPUT, out, RunOptions(model=ensembles["1.1.0"], smooth_batch_size=size))
        files.append(visible(out))
    assert files[0]["cytotrace2_results.txt"] != files[1]["cytotrace2_results.txt"]
    return files


@pytest.fixture
def earlier(made, tmp_path):
    """Directory with results of an earlier run."""
    out = tmp_path / "out"
    out.mkdir()
    restore(made[0], out)
    return out


@pytest.fixture
def next_run(ensembles):
    """Function that runs again after a fault; it must leave the directory in order."""

    def run(out):
        score_to_directory(INPUT, out, RunOptions(model=ensembles["1.1.0"]))
        assert belongs_together(visible(out))
        assert hidden(out) == []

    return run


def restore(files, folder):
    for name, content in files.items():
        (folder / name).write_bytes(content)


def visible(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name[0] != "."}


def hidden(folder):
    return sorted(path.name for path in folder.iterdir() if path.name[0] == ".")


def belongs_together(files):
    """Whether the report describes the results beside it. Raises if one of them is not whole."""
    report = json.loads(files["run.json"])
    content = files["cytotrace2_results.txt"]
    assert content.endswith(b"\n")
    assert content.count(b"\n") == 301
    return report["results_sha256"] == hashlib.sha256(content).hexdigest()


EXIT_CODE = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129, "SIGKILL": -9}
WORD = {"SIGINT": "Interrupted", "SIGTERM": "Terminated", "SIGHUP": "Hung up"}


@pytest.mark.parametrize(
    ("name", "n_times"),
    [
        *((name, 2) for name in ("SIGTERM", "SIGKILL")),
        *(
            pytest.param(name, 50, marks=pytest.mark.slow)
            for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL")
        ),
    ],
)
def test_ended_at_random_moments(start, earlier, made, next_run, name, n_times):
    old, new = made[0], made[1]["cytotrace2_results.txt"]
    started = time.monotonic()
    _, err = start(earlier).communicate()
    assert visible(earlier)["cytotrace2_results.txt"] == new, err
    lasts = time.monotonic() - started
    draw = random.Random(f"{name} {n_times}")  # noqa: S311 (a seed)
    outcomes = collections.Counter()
    while outcomes.total() < n_times:
        restore(old, earlier)
        started = time.monotonic()
        process = start(earlier)
        try:
            process.communicate(timeout=draw.uniform(0, lasts))
        except subprocess.TimeoutExpired:
            pass
        else:  # it was faster than before, as the machine is shared
            lasts = time.monotonic() - started
            continue
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=120)
        code = process.returncode
        files = visible(earlier)
        assert set(files) == set(old)
        assert belongs_together(files) or name == "SIGKILL"
        if code == 0 or "\nResults: " in err:  # it was done, or files were being replaced
            assert files["cytotrace2_results.txt"] == new
            assert code in {0, EXIT_CODE[name], -getattr(signal, name)}
        elif name == "SIGKILL":
            assert code == EXIT_CODE[name]
            assert files["cytotrace2_results.txt"] in {old["cytotrace2_results.txt"], new}
        else:
            assert files == old
            assert hidden(earlier) == []
            if code < 0 or not err:  # Python itself was still starting
                assert code in {-getattr(signal, name), EXIT_CODE[name]}
                assert "Model: " not in err
            else:
                assert code == EXIT_CODE[name]
                assert err.splitlines()[-1] == f"{WORD[name]}: no result was written."
                assert "Traceback" not in err
        outcomes[code] += 1
    print(f"{name}: {n_times} times within {lasts:.1f} s; exit codes {dict(outcomes)}")
    next_run(earlier)


def at_replacement(name, number):
    """Code that sends a signal as the program replaces its first or second file."""
    return (
        "import os\n"
        "from pathlib import Path\n"
        "replace, seen = Path.replace, []\n"
        "def stop(self, target):\n"
        "    seen.append(target)\n"
        f"    if len(seen) == {number}:\n"
        f"        os.kill(os.getpid(), signal.{name})\n"
        "    return replace(self, target)\n"
        "Path.replace = stop"
    )


class TestWhileFilesAreReplaced:
    """Moments that random ones miss."""

    @pytest.mark.parametrize(("name", "number"), [("SIGINT", 1), ("SIGTERM", 2)])
    def test_what_can_wait_does(self, start, earlier, name, number):
        old = visible(earlier)
        process = start(earlier, before=at_replacement(name, number))
        _, err = process.communicate()
        assert process.returncode == 0, err
        assert belongs_together(visible(earlier))
        assert visible(earlier) != old
        assert hidden(earlier) == []

    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    def test_killed(self, start, earlier, next_run, number):
        old = visible(earlier)
        process = start(earlier, before=at_replacement("SIGKILL", number))
        process.communicate()
        assert process.returncode == -9
        # Each file is whole. The results come last: before that, the report does not describe the
        # results beside it, which the digest shows.
        assert belongs_together(visible(earlier)) == (number < 4)
        assert (visible(earlier) == old) == (number == 1)
        # New files that were not put in place, and second names of those that were there.
        assert len(hidden(earlier)) == (5 - number) + number
        next_run(earlier)

    def test_a_signal_is_not_forgotten(self, start, earlier):
        """It ends the run after the results, before the plots."""
        code = at_replacement("SIGTERM", 1) + (
            "\nfrom cytotrace2_lite.cli import main as cli\n"
            "from cytotrace2_lite import plots\n"
            "plots.write_plots = lambda *_, **__: 1 / 0\n"
            "import sys; sys.argv.remove('-dpl')"
        )
        process = start(earlier, before=code)
        _, err = process.communicate()
        assert process.returncode == 143
        assert err.endswith("\nTerminated while plotting: the results are complete.\n")
        assert belongs_together(visible(earlier))


class TestLeftOvers:
    NAME = ".run.json.0123456789abcdef.ct2-lite-part"

    def test_what_a_live_process_writes_stays(self, tmp_path):
        other = "x.7fedcba987654321.ct2-lite-part"  # no dot: not one of ours
        for name in (self.NAME, other):
            (tmp_path / name).write_bytes(b"half")
        (tmp_path / f"{self.NAME}.d").mkdir()
        (tmp_path / ".y.0123456789abcdef.ct2-lite-part").symlink_to(tmp_path / other)

        def write(path):
            system_files.remove_abandoned(tmp_path)  # as another process does at this moment
            path.write_bytes(b"whole")

        system_files.write_whole({tmp_path / "a": write, tmp_path / "b": b"2"})
        assert visible(tmp_path)["a"] == b"whole"
        assert visible(tmp_path)["b"] == b"2"
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            f"{self.NAME}.d",
            ".y.0123456789abcdef.ct2-lite-part",
            *("a", "b"),
            other,
        ]

    def test_taken_for_abandoned_before_it_was_locked(self, tmp_path, monkeypatch):
        lock, times = system_files.try_lock, []

        def late(file):
            times.append(file.name)
            if len(times) == 1:
                Path(file.name).unlink()  # what another process did
            return len(times) != 2 and lock(file)  # that process has locked the second one

        monkeypatch.setattr(system_files, "try_lock", late)
        system_files.write_whole({tmp_path / "a": b"1"})
        assert len(times) == 3
        assert visible(tmp_path) == {"a": b"1"}

    def test_a_file_system_without_locks(self, tmp_path, monkeypatch):
        fcntl = pytest.importorskip("fcntl")

        def refuse(*_):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", refuse)
        old, new = (tmp_path / f".{name}.0123456789abcdef.ct2-lite-part" for name in ("old", "new"))
        for path in (old, new):
            path.touch()
        os.utime(old, (0, time.time() - 25 * 3600))
        system_files.remove_abandoned(tmp_path)
        assert hidden(tmp_path) == [new.name]
        system_files.write_whole({tmp_path / "a": b"1"})
        assert visible(tmp_path) == {"a": b"1"}

    def test_beside_the_copy_of_the_input(self, start, tmp_path):
        left = tmp_path / ".copy.h5ad.0123456789abcdef.ct2-lite-part"
        left.touch()
        process = start(tmp_path / "o", "--write-h5ad", tmp_path / "copy.h5ad", path=H5AD)
        _, err = process.communicate()
        assert process.returncode == 0, err
        assert (tmp_path / "copy.h5ad").is_file()
        assert hidden(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 5 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=5m", "none", str(folder)]
    try:
        subprocess.run(words, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system may be mounted: {getattr(error, 'stderr', error)}".strip())
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def ct2_lite(capsys, model_files):
    def run(*words, path=INPUT):
        with pytest.raises(SystemExit) as caught:
            main(
                ["run", str(path), "-dpl", "-q", "-m", str(model_files["1.1.0"]), *map(str, words)]
            )
        output = capsys.readouterr()
        return caught.value.code, output.err.splitlines()[-1] if output.err else ""

    return run


def fill(folder, left):
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    (folder / "filler").write_bytes(bytes(free - left))


NO_SPACE = "cannot write the file (No space left on device). Choose another place for it."


class TestDisk:
    def test_full(self, ct2_lite, small_disk):
        out = small_disk / "out"
        assert ct2_lite("-o", out, "-sbs", 100)[0] == 0
        old = visible(out)
        fill(small_disk, 4 * 4096)
        assert ct2_lite("-o", out, "--extra-columns") == (
            1,
            f"Error: {out / 'cytotrace2_results.txt'}: {NO_SPACE}",
        )
        assert visible(out) == old
        assert hidden(out) == []
        (small_disk / "filler").unlink()
        assert ct2_lite("-o", out)[0] == 0
        assert belongs_together(visible(out))

    def test_full_of_a_copy(self, ct2_lite, small_disk, tmp_path):
        fill(small_disk, 2 * 4096)
        copy = small_disk / "copy.h5ad"
        code, err = ct2_lite("-o", tmp_path / "o", "--write-h5ad", copy, path=H5AD)
        assert (code, err) == (1, f"Error: {copy}: {NO_SPACE}")
        assert list(visible(small_disk)) == ["filler"]
        assert hidden(small_disk) == []
        assert not (tmp_path / "o").exists()

    def test_made_read_only_meanwhile(self, small_disk, model_files):
        out = small_disk / "out"
        options = RunOptions(model=model_files["1.1.0"])
        score_to_directory(INPUT, out, replace(options, smooth_batch_size=100))
        old = visible(out)

        def remount(_):
            words = ["mount", "-o", "remount,ro", str(small_disk)]
            subprocess.run(words, check=True)

        with pytest.raises(
            ct2.OutputError, match=r"cannot write results here \(Read-only file sys"
        ):
            score_to_directory(INPUT, out, options, on_checked=remount)
        assert visible(out) == old
        # A directory that is read-only from the start is refused before anything is computed.
        with pytest.raises(
            ct2.OutputError, match=r"cannot write results here \(Read-only file sys"
        ):
            score_to_directory(INPUT, out, options, on_checked=lambda _: pytest.fail("computed"))
        assert visible(out) == old

    def test_limit_on_the_size_of_files(self, start, earlier):
        """Like a full disk, for systems on which nothing may be mounted."""
        old = visible(earlier)
        process = start(
            earlier,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)),
        )
        _, err = process.communicate()
        assert process.returncode == 1
        assert err.splitlines()[-1] == (
            f"Error: {earlier / 'cytotrace2_results.txt'}: cannot write the file (File too large). "
            "Choose another place for it."
        )
        assert visible(earlier) == old
        assert hidden(earlier) == []

    def test_directory_removed_meanwhile(self, tmp_path, model_files):
        out = tmp_path / "a/out"
        options = RunOptions(model=model_files["1.1.0"])
        score_to_directory(INPUT, out, options, on_checked=lambda _: shutil.rmtree(out.parent))
        assert belongs_together(visible(out))

    def test_a_file_in_place_of_the_directory(self, tmp_path, model_files):
        out = tmp_path / "out"

        def put_a_file(_):
            out.rmdir()
            out.write_text("mine")

        message = r"out: cannot write results here \(File exists\)\. Choose another directory"
        with pytest.raises(ct2.OutputError, match=message):
            score_to_directory(
                INPUT, out, RunOptions(model=model_files["1.1.0"]), on_checked=put_a_file
            )
        assert out.read_text() == "mine"


class TestInputThatChanges:
    """It is cut while it is read. Cut at the end of a line, the rest is still a valid table."""

    def table(self, path, n_genes=8000):
        genes = ct2_genes()[:n_genes]
        line = "\t".join(["7"] * 400)
        with path.open("w") as file:
            file.write("\t".join(["", *(f"c{i}" for i in range(400))]) + "\n")
            file.writelines(f"{gene}\t{line}\n" for gene in genes)
        return path

    def refused(self, path, change, ensembles, data=None):
        changed = []

        def progress(event):
            if event.stage == "read" and not changed:
                changed.append(event)
                change()

        with pytest.raises(ct2.InputError) as caught:
            ct2.run(data or path, model=ensembles["1.1.0"], progress=progress)
        assert changed
        assert str(caught.value) == (
            f"{path}: the file changed while it was read. Start again when it is complete."
        )

    def test_text(self, tmp_path, ensembles):
        path = self.table(tmp_path / "t.txt")
        content = path.read_bytes()
        at = content.index(b"\n", len(content) * 9 // 10) + 1
        self.refused(path, lambda: os.truncate(path, at), ensembles)
        path.write_bytes(content)
        self.refused(path, lambda: os.truncate(path, at - 3), ensembles)
        path.write_bytes(content)

        def grow():
            with path.open("ab") as file:
                file.write(b"more\t1\n")

        self.refused(path, grow, ensembles)

    def test_hdf5(self, tmp_path, ensembles):
        path = tmp_path / "t.h5ad"
        shutil.copy(H5AD, path)

        def touch():
            os.utime(path, (0, 0))

        self.refused(path, touch, ensembles)
        self.refused(path, lambda: os.truncate(path, path.stat().st_size - 9), ensembles)

    def test_matrix_market(self, tmp_path, ensembles):
        folder = tmp_path / "10x"
        folder.mkdir()
        names = ct2_genes()[:300]
        (folder / "features.tsv").write_text("".join(f"{name}\n" for name in names))
        (folder / "barcodes.tsv").write_text("c1\nc2\n")
        head = "%%MatrixMarket matrix coordinate integer general\n300 2 600\n"
        entries = "".join(f"{1 + i % 300} {1 + i // 300} 4\n" for i in range(600))
        (folder / "matrix.mtx").write_text(head + entries)
        path = folder / "matrix.mtx"
        self.refused(path, lambda: os.truncate(path, 2000), ensembles, data=folder)


def ct2_genes():
    from cytotrace2_lite.genes import features

    return features()


class TestMemory:
    SAID = "Error: out of memory. Use a machine with more, or a smaller -bs/--batch-size."

    @pytest.mark.parametrize(
        "error",
        [
            MemoryError(),
            ImportError("libarrow.so: failed to map segment from shared object"),
            RuntimeError("can't start new thread"),
            OSError(12, "Cannot allocate memory"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_said_in_one_line(self, ct2_lite, tmp_path, monkeypatch, error):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr("cytotrace2_lite.job.score_cells", fail)
        assert ct2_lite("-o", tmp_path / "o") == (1, self.SAID)
        assert not (tmp_path / "o").exists()

    def test_of_onnxruntime(self, ct2_lite, tmp_path, monkeypatch):
        from cytotrace2_lite.models.ensemble import Ensemble

        def run(*_):
            raise RuntimeError("Non-zero status code: std::bad_alloc")

        opening = Ensemble.opening

        def open_other(model):
            ensemble = opening(model)
            ensemble._session.run = run
            return ensemble

        monkeypatch.setattr(Ensemble, "opening", open_other)
        assert ct2_lite("-o", tmp_path / "o") == (1, self.SAID)

    @pytest.mark.slow
    def test_limits_on_the_address_space(self, start, earlier, next_run):
        """Libraries may crash or never return where they get no memory; earlier results stay."""
        old = visible(earlier)
        outcomes = collections.Counter()
        for megabytes in range(100, 1300, 60):

            def limit(n_bytes=megabytes * 10**6):
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))

            process = start(earlier, "-q", preexec_fn=limit)
            try:
                _, err = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                outcomes["hung"] += 1
            else:
                assert "Traceback" not in err
                said = self.SAID in err
                outcomes["said" if said else process.returncode] += 1
            files = visible(earlier)
            assert process.returncode == 0 or files == old
            assert belongs_together(files)
            restore(old, earlier)
        print(f"outcomes of 20 limits: {dict(outcomes)}")
        assert outcomes["said"] >= 5
        next_run(earlier)

    @pytest.mark.slow
    def test_limit_of_a_container(self, start, earlier, next_run):
        group = Path("/sys/fs/cgroup/memory", f"ct2-lite-test-{os.getpid()}")
        try:
            group.mkdir()
            (group / "memory.limit_in_bytes").write_text("80M")
        except OSError as error:
            pytest.skip(f"no cgroup (v1) may be made: {error}")
        old = visible(earlier)
        try:
            process = start(
                earlier,
                preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())),
            )
            process.communicate(timeout=120)
        finally:
            group.rmdir()
        assert process.returncode == -9
        assert visible(earlier) == old
        next_run(earlier)


def test_reader_of_a_pipe_goes_away(model_files):
    words = [sys.executable, "-m", "cytotrace2_lite", "run", INPUT, "-o", "-", "-q"]
    words += ["-m", model_files["1.1.0"]]
    with subprocess.Popen(
        list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        head = process.stdout.read(10)
        process.stdout.close()
        err = process.stderr.read()
    assert head == b"\tCytoTRACE"
    # All of the output may have gone into the pipe before.
    assert process.returncode in {0, 141}
    assert b"Traceback" not in err
    assert b"Exception" not in err
