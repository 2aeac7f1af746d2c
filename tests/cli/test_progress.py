"""What the command line says while it works: a terminal, a log, and nothing."""

import os
import pty
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from cytotrace2_lite.base.progress import Progress
from cytotrace2_lite.cli import progress as cli_progress
from cytotrace2_lite.cli.progress import StageReporter
from cytotrace2_lite.genes import features


class Clock:
    """Time that passes when told to."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(cli_progress, "time", clock)
    return clock


class Written:
    """What was written to standard error so far."""

    def __init__(self, capsys):
        self._capsys = capsys
        self._text = ""

    @property
    def text(self):
        self._text += self._capsys.readouterr().err
        return self._text

    @property
    def lines(self):
        """What a person sees on a terminal, whose last line may be overwritten."""
        return screen(self.text)


def screen(text):
    """The lines that are left once every carriage return has done its work."""
    lines = []
    for written in text.replace("\r\n", "\n").split("\n"):
        line = ""
        for part in written.split("\r"):
            line = part + line[len(part) :]
        lines.append(line.rstrip())
    return lines


@pytest.fixture
def log(capsys, clock):
    return Written(capsys)


@pytest.fixture
def terminal(log, monkeypatch):
    """A terminal of 100 columns."""
    monkeypatch.setattr(
        cli_progress, "sys", SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: True))
    )
    monkeypatch.setenv("COLUMNS", "100")
    return log


def go(reporter, clock, *events):
    """Let events come, each some seconds after the one before."""
    for seconds, event in events:
        clock.now += seconds
        reporter(Progress(*event))


class TestTerminal:
    def test_a_bar_that_a_line_takes_the_place_of(self, terminal, clock):
        reporter = StageReporter()
        go(reporter, clock, (1, ("predict", 0, 26_000)), (2, ("predict", 6_500, 26_000)))
        assert terminal.lines == [
            (
                "Predicting potency [#######                       ]  25% 6,500 of 26,000 cells, "
                "2,167/s, 0:09 left"
            )
        ]
        go(
            reporter,
            clock,
            (9, ("predict", 26_000, 26_000)),
            (0, ("diffuse", 0, 26_000)),
            (1, ("diffuse", 1000, 26_000)),
        )
        assert terminal.lines[0] == "Predicting potency: 12.0 s"
        assert terminal.lines[1].startswith("Smoothing by diffusion [#   ")

    def test_batches_take_turns_in_one_line(self, terminal, clock):
        reporter = StageReporter()
        go(
            reporter,
            clock,
            (0, ("predict", 0, 200)),
            (4, ("predict", 100, 200)),
            (0, ("diffuse", 0, 200)),
            (6, ("diffuse", 100, 200)),
            (0, ("predict", 100, 200)),
            (2, ("predict", 150, 200)),
        )
        # A rate of the stage itself, and the time that is left by the clock.
        (line,) = terminal.lines
        assert line.endswith("]  75% 150 of 200 cells, 25/s, 0:04 left")
        go(
            reporter,
            clock,
            (2, ("predict", 200, 200)),
            (0, ("diffuse", 100, 200)),
            (5, ("diffuse", 200, 200)),
        )
        reporter.finish()
        assert terminal.lines == [
            "Predicting potency: 8.0 s",
            "Smoothing by diffusion: 11.0 s",
            "",
        ]

    @pytest.mark.parametrize("columns", [20, 50, 60, 70, 80, 200])
    def test_no_line_wraps(self, terminal, clock, monkeypatch, columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        reporter = StageReporter()
        longest = 10**7
        go(reporter, clock, (0, ("neighbors", 0, longest)), (9, ("neighbors", 10**6, longest)))
        (line,) = terminal.lines
        assert len(line) < columns
        assert ("[" in line) == (columns >= 200)
        assert line.startswith("Smoothing over neighbours"[: columns - 1])

    def test_bytes(self, terminal, clock):
        reporter = StageReporter()
        go(reporter, clock, (2, ("read", 50_000_000, 200_000_000, "bytes")))
        (line,) = terminal.lines
        assert line.endswith("]  25% 50.0 of 200.0 MB, 25 MB/s, 0:06 left")
        assert line.startswith("Reading and checking [#######     ")

    def test_a_pipe(self, terminal, clock):
        reporter = StageReporter()
        go(reporter, clock, (2, ("read", 50_000_000, 0, "bytes")))
        assert terminal.lines == ["Reading and checking 50.0 MB, 25 MB/s"]
        reporter.finish()
        assert terminal.lines == ["Reading and checking: 2.0 s", ""]

    def test_values_of_other_formats(self, terminal, clock):
        reporter = StageReporter()
        go(reporter, clock, (2, ("read", 50_000_000, 200_000_000, "values")))
        (line,) = terminal.lines
        assert line.endswith("]  25% 50,000,000 of 200,000,000 values, 25,000,000/s, 0:06 left")

    def test_an_error_stands_below_the_bar(self, terminal, clock):
        reporter = StageReporter()
        go(reporter, clock, (2, ("read", 5_000_000, 20_000_000, "bytes")))
        reporter.finish()
        cli_progress.say("Error: x")
        assert terminal.lines[1:] == ["Error: x", ""]

    def test_is_drawn_ten_times_a_second_at_most(self, terminal, clock):
        reporter = StageReporter()
        go(reporter, clock, *((0.01, ("predict", n, 1000)) for n in range(100)))
        assert 8 <= terminal.text.count("\r") <= 11

    def test_hours(self, terminal, clock):
        reporter = StageReporter()
        go(reporter, clock, (0, ("predict", 0, 100)), (100, ("predict", 1, 100)))
        assert terminal.lines[0].endswith(", 2:45:00 left")


class TestLog:
    def test_a_line_per_stage(self, log, clock):
        reporter = StageReporter()
        go(
            reporter,
            clock,
            (3, ("read", 9, 9, "bytes")),
            (0, ("predict", 0, 100)),
            (9, ("predict", 50, 100)),
            (9, ("predict", 100, 100)),
        )
        reporter.finish()
        assert log.text == "Reading and checking: 3.0 s\nPredicting potency: 18.0 s\n"

    def test_a_line_every_half_minute_of_one_that_lasts(self, log, clock):
        reporter = StageReporter()
        go(reporter, clock, *((10, ("predict", n, 100)) for n in range(0, 101, 10)))
        reporter.finish()
        assert log.text == (
            "Predicting potency: 20 of 100 cells, 1/s, 2:00 left\n"
            "Predicting potency: 50 of 100 cells, 1/s, 1:00 left\n"
            "Predicting potency: 80 of 100 cells, 1/s, 0:22 left\n"
            "Predicting potency: 110.0 s\n"
        )

    def test_many_small_samples_are_not_many_lines(self, log, clock):
        reporter = StageReporter()
        for n in range(200):
            for stage in ("predict", "diffuse"):
                go(reporter, clock, (0.1, (stage, n, 200)), (0.1, (stage, n + 1, 200)))
        reporter.finish()
        assert len(log.text.splitlines()) == 4
        assert log.text.endswith("Predicting potency: 40.1 s\nSmoothing by diffusion: 39.9 s\n")


def test_quiet(terminal, clock):
    reporter = StageReporter(quiet=True)
    go(reporter, clock, (50, ("read", 1, 9, "bytes")), (50, ("read", 9, 9, "bytes")))
    reporter.finish()
    assert terminal.text == ""


def on_terminal(*words, columns=90):
    """Run the command line with a terminal as standard error; return its exit code and text."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cytotrace2_lite", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "COLUMNS": str(columns)},
    )
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not part:
            break
        text += part
    os.close(ours)
    out, _ = process.communicate()
    return SimpleNamespace(code=process.returncode, out=out.decode(), err=text.decode())


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    random = np.random.RandomState(0)
    path = tmp_path_factory.mktemp("table") / "expr.txt"
    values = random.poisson(1.0, (400, 3000))
    lines = ["\t".join(["", *(f"c{i}" for i in range(3000))])]
    lines += [
        "\t".join([gene, *map(str, row)])
        for gene, row in zip(features()[:400], values.tolist(), strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_run_on_a_real_terminal(table, tmp_path, model_files):
    done = on_terminal(
        *("run", table, "-m", model_files["1.1.0"], "-bs", 1000, "-mc", 1, "-o", tmp_path / "out"),
        "-dpl",
    )
    assert (done.code, done.out) == (0, "")
    assert re.search(r"\r\w.*\[#* *\] +\d+% [\d,.]+ of [\d,.]+ (cells|MB), \d", done.err)
    assert max(map(len, re.split(r"[\r\n]", done.err.partition("Warning")[0]))) < 90
    lines = screen(done.err)
    assert lines[0].startswith("Model: made-up, ")
    stages = [line for line in lines if re.fullmatch(r"[\w ]+: \d+\.\d s", line)]
    assert [line.partition(":")[0] for line in stages] == [
        *("Reading and checking", "Ranking genes", "Predicting potency"),
        *("Smoothing by diffusion", "Principal components", "Smoothing over neighbours"),
    ]
    assert [line.split()[0] for line in lines[:-1] if line not in stages] == [
        *("Model:", "Input", "Warning:", "Warning:", "It", "3000", "Results:")
    ]


@pytest.mark.parametrize("command", ["run", "check"])
def test_quiet_on_a_real_terminal(table, tmp_path, model_files, command):
    words = [command, table, "-m", model_files["1.1.0"], "-q"]
    if command == "run":
        words += ["-o", tmp_path / "out", "-dpl"]
    done = on_terminal(*words)
    assert done.code == 0
    warnings = ["Warning:", "Warning:"] if command == "run" else []
    assert [line.split()[0] for line in done.err.splitlines()] == warnings
    assert bool(done.out) == (command == "check")


def test_quiet_keeps_errors(tmp_path, model_files):
    done = on_terminal("run", tmp_path / "none", "-m", model_files["1.1.0"], "-q")
    assert (done.code, done.out) == (3, "")
    assert done.err.splitlines() == [f"Error: {tmp_path / 'none'}: no such file. Check the path."]
