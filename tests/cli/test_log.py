"""The log of a command: what is said on standard error, with times, also with -q."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cytotrace2_lite._version import __version__
from cytotrace2_lite.base.progress import Progress
from cytotrace2_lite.cli import progress as cli_progress
from cytotrace2_lite.cli.log import log
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.cli.progress import StageReporter

DATA = Path(__file__).parents[1] / "data"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} (.+)")


def said(path):
    """Lines of a log, without their times, which all of them have."""
    return [TIME.fullmatch(line)[1] for line in path.read_text().splitlines()]


@pytest.fixture
def ct2(capsys, model_files, tmp_path, monkeypatch, tiny_table):
    """Function that runs a command with a log; returns exit code, standard error, and the log."""
    monkeypatch.chdir(tmp_path)
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
    tiny_table()

    def run(command, *words):
        words = [command, *words, "-m", str(model_files["1.1.0"]), "--log", "logs/ct2.log"]
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert not log.is_open
        return caught.value.code, capsys.readouterr().err, said(tmp_path / "logs/ct2.log")

    return run


def test_it_has_what_standard_error_has(ct2):
    code, err, lines = ct2("run", "expr.txt", "-dpl")
    assert code == 0
    assert lines[0].startswith("ct2-lite run expr.txt -dpl -m ")
    assert lines[0].endswith(f" --log logs/ct2.log (version {__version__})")
    assert lines[1:] == [*err.splitlines(), "exit code 0"]


def test_quiet_commands_have_a_log_too(ct2, tmp_path):
    code, err, lines = ct2("run", "expr.txt", "-dpl", "-q")
    assert code == 0
    assert all(line.startswith("Warning: ") for line in err.splitlines())
    assert lines[1].startswith("Model: made-up")
    for start in ("Reading and checking: ", "Warning: ", "It will take ", "Results: "):
        assert any(line.startswith(start) for line in lines)
    assert lines[-1] == "exit code 0"
    n_lines = len(lines)
    code, err, lines = ct2("explain", "expr.txt", "-q", "-dpl")  # appended
    assert code == 0
    assert lines[n_lines].startswith("ct2-lite explain ")
    n_lines = len(lines)
    code, err, lines = ct2("check", "expr.txt", "-q")
    assert lines[n_lines].startswith("ct2-lite check ")
    code, err, lines = ct2("check")
    assert code == 0
    assert (tmp_path / "cytotrace2_results/cytotrace2_results.txt").is_file()


def test_errors(ct2):
    assert ct2("run", "none.txt")[2][-2:] == [
        "Error: none.txt: no such file. Check the path.",
        "exit code 3",
    ]
    lines = ct2("run", "expr.txt", "--species", "cat")[2]
    assert lines[-2].startswith("Error: Invalid value for '-sp' / '--species': 'cat' is not one of")
    assert lines[-1] == "exit code 2"


def test_a_bug_leaves_its_traceback(ct2, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr("cytotrace2_lite.directory.prepare_job", fail)
    with pytest.raises(RuntimeError):
        main(["run", "expr.txt", "--log", "bug.log"])
    assert not log.is_open
    assert said(tmp_path / "bug.log")[-1] == "RuntimeError: a bug"


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        (
            "expr.txt",
            2,
            (
                "expr.txt: this file is not a log of ct2-lite, to which --log would append. Give "
                "the log another name."
            ),
        ),
        ("out", 1, "out: cannot write the log (Is a directory). Choose another place for it "),
        ("expr.txt/l", 1, "expr.txt/l: cannot write the log (File exists). Choose another place"),
        ("x" * 300, 1, f"{'x' * 300}: cannot write the log (File name too long). Choose another "),
    ],
)
def test_a_log_that_cannot_be(tmp_path, monkeypatch, capsys, tiny_table, name, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    before = tiny_table().read_bytes()
    with pytest.raises(SystemExit) as caught:
        main(["run", "expr.txt", "--log", name])
    assert caught.value.code == code
    assert capsys.readouterr().err.startswith(f"Error: {message}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expr.txt", "out"]
    assert (tmp_path / "expr.txt").read_bytes() == before


def test_a_full_disk_costs_no_results(ct2, tmp_path, tiny_table, model_files):
    tiny_table()
    with pytest.raises(SystemExit) as caught:
        main(["run", "expr.txt", "-dpl", "-m", str(model_files["1.1.0"]), "--log", "/dev/full"])
    assert caught.value.code == 0
    assert (tmp_path / "cytotrace2_results/cytotrace2_results.txt").is_file()


def test_half_minutes_are_in_it_while_a_terminal_shows_a_bar(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(cli_progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(cli_progress.sys.stderr, "isatty", lambda: True, raising=False)
    log.open(str(tmp_path / "l"))
    reporter = StageReporter()
    for seconds, done in ((0, 0), (31, 10), (20, 20), (20, 30), (20, 100)):
        now[0] += seconds
        reporter(Progress("predict", done, 100))
    reporter.finish()
    log.close()
    lines = said(tmp_path / "l")[1:]
    assert [line.partition(",")[0] for line in lines] == [
        "Predicting potency: 10 of 100 cells",
        "Predicting potency: 30 of 100 cells",
        "Predicting potency: 91.0 s",
    ]


def test_an_interrupt_is_in_it(tmp_path, model_files):
    words = ("run", DATA / "palantir_300.txt.gz", "-sp", "human", "-o", tmp_path / "out", "-q")
    words += ("-m", model_files["1.1.0"], "--log", tmp_path / "l")
    code = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
        "from cytotrace2_lite.cli.main import main; main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, words)])
    deadline = time.monotonic() + 60
    while not (tmp_path / "l").exists() or b"Model: " not in (tmp_path / "l").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert said(tmp_path / "l")[-2:] == ["Terminated: no result was written.", "exit code 143"]
