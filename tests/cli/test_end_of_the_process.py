"""The process ends without taking its modules apart, and nothing is lost by that."""

import subprocess
import sys

import pytest

CODE = """
import atexit, sys
from cytotrace2_lite.__main__ import program
atexit.register(print, "at the end")
sys.argv = ["ct2-lite", *sys.argv[1:]]
program()
"""


def run(*command):
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("option", "code"), [("--version", 0), ("--nonsense", 2)])
def test_what_is_to_be_done_at_the_end(option, code):
    done = run("-c", CODE, option)
    assert done.returncode == code
    assert done.stdout.endswith("at the end\n")


def test_modules_are_not_taken_apart():
    code = CODE.replace(
        "program()",
        "class Loud:\n"
        "    def __del__(self):\n"
        "        sys.__stdout__.write('taken apart')\n"
        "sys.modules['loud'] = Loud()\n"
        "program()",
    )
    assert "taken apart" not in run("-c", code, "--version").stdout


def test_a_profile_is_written():
    done = run("-m", "cProfile", "-m", "cytotrace2_lite", "--version")
    assert "function calls" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_output_that_cannot_be_written():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-c", CODE, "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode != 0
    assert "No space left" in done.stderr
