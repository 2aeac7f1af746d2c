"""`ct2-lite r-function`; what the function does is tested in tests/test_r_function.py."""

import subprocess
import sys
from pathlib import Path

import pytest

from cytotrace2_lite.cli.main import main

CODE = """
import sys
from cytotrace2_lite.cli.main import main
try:
    main(["r-function"])
finally:
    assert "numpy" not in sys.modules
"""


def test_prints_one_line_the_path_of_the_file(capsys, monkeypatch):
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
    with pytest.raises(SystemExit) as caught:
        main(["r-function"])
    out, err = capsys.readouterr()
    assert (caught.value.code, err) == (0, "")
    path = Path(out.removesuffix("\n"))
    assert path.is_absolute()
    # In whatever locale R reads it.
    lines = path.read_bytes().decode("ascii").split("\n")
    assert max(map(len, lines)) <= 100
    assert lines.count("cytotrace2_lite <- local({") == 1


def test_loads_no_numpy():
    subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True)
