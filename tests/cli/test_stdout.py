"""Results on standard output."""

import io
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import parquet

DATA = Path(__file__).parents[1] / "data"


class TestStandardOutput:
    @pytest.fixture
    def command(self, tmp_path, model_files):
        """Function that runs a shell line with `ct2-lite run` of the example in it."""
        words = [
            *(sys.executable, "-m", "cytotrace2_lite", "run", DATA / "enteric_300.txt.gz", "-dpl"),
            *("-m", model_files["1.1.0"]),
        ]
        run = shlex.join(map(str, words))

        def call(line):
            return subprocess.run(
                ["bash", "-c", line.replace("RUN", run)],
                cwd=tmp_path,
                capture_output=True,
                check=False,
                env=os.environ | {"PYTHONPATH": str(DATA.parents[1])},
            )

        return call

    def test_the_bytes_of_the_file_and_nothing_else(self, command, tmp_path):
        for options in ("", "--extra-columns", "--format parquet", "--format arrow"):
            assert command(f"RUN -dv -o out {options}").returncode == 0
            process = command(f"RUN -o - {options}")
            assert process.returncode == 0
            end = options.partition("--format ")[2] or "txt"
            assert process.stdout == (tmp_path / f"out/cytotrace2_results.{end}").read_bytes()
            assert b"\nResults: standard output; no run.json, no plots\n" in process.stderr
            assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert parquet.read_table(io.BytesIO(command("RUN -dv -o - --format parquet").stdout))

    def test_nobody_reads_on(self, command):
        process = command("RUN -dv -o - | true; echo ${PIPESTATUS[0]}")
        assert process.stdout == b"141\n"
        assert process.stderr.startswith(b"Model: ")
        assert process.stderr.count(b"\n") == process.stderr.count(b"\nWarning: ") + 1

    def test_compare_that_nobody_reads(self, command, tmp_path):
        assert command("RUN -dv -o out").returncode == 0
        line = f"{shlex.quote(sys.executable)} -m cytotrace2_lite compare"
        path = "out/cytotrace2_results.txt"
        process = command(f"{line} {path} {path} --json | true; echo ${{PIPESTATUS[0]}}")
        assert (process.stdout, process.stderr) == (b"141\n", b"")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
    def test_full_disk(self, command):
        process = command("RUN -dv -o - > /dev/full")
        assert process.returncode == 1
        assert process.stderr.endswith(
            b"\nError: standard output: cannot be written (No space left on device). "
            b"What was written is not complete.\n"
        )

    def test_closed(self, command):
        process = command("RUN -dv -o - >&-")
        assert process.returncode == 1
        assert process.stderr == (
            b"Error: standard output is closed. Name a directory (-o/--output-dir).\n"
        )

    def test_no_bytes_for_a_terminal(self, command, tmp_path):
        here, terminal = pty.openpty()
        try:
            process = command(f"RUN -dv -o - --format arrow > {os.ttyname(terminal)}")
        finally:
            os.close(here)
            os.close(terminal)
        assert process.returncode == 2
        assert process.stderr == (
            b"Error: --format arrow is not for a terminal: send standard output to a file or a "
            b"program, or name a directory (-o/--output-dir).\n"
        )

    def test_an_error_writes_nothing(self, command, tmp_path):
        process = command("RUN -dv -o - -sp human")
        assert (process.returncode, process.stdout) == (4, b"")
        assert list(tmp_path.iterdir()) == []
