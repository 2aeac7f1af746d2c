"""The commands on installed models."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cytotrace2_lite
from cytotrace2_lite.cli.group import cli
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.cli.models import models as group
from cytotrace2_lite.models.catalog import describe
from cytotrace2_lite.models.installed import bundled_model


@pytest.fixture
def ct2(models_home, capsys, monkeypatch):
    """Function that runs `ct2-lite models`; returns exit code, standard output and error."""
    monkeypatch.setitem(cli.commands, "models", group)
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(["models", *map(str, arguments)])
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return caught.value.code, output.out, output.err

    return run


class TestCommands:
    def test_list(self, ct2, put_model, monkeypatch, model_files):
        code, out, err = ct2("list")
        assert (code, err) == (0, "")
        assert out.endswith(
            "\n* used by run: the bundled model, as no official one is installed.\n"
        )
        put_model("lab")
        official = put_model("cytotrace2-1.0")
        _, out, _ = ct2("list")
        lines = out.splitlines()
        assert lines[0].split() == [
            *("NAME", "VERSION", "MEMBERS", "LICENCE", "SHA-256", "SIZE", "PATH")
        ]
        digest = describe(official).sha256[:12]
        size = f"{official.stat().st_size / 1e6:.1f}"
        assert lines[1].split() == [
            *("*", "cytotrace2-1.0", "1.0.0", "3", "unknown", digest, size, "MB", str(official))
        ]
        assert [line.split()[0] for line in lines[2:4]] == ["lab", "open"]
        assert lines[-1] == "* used by run: the installed official model."
        monkeypatch.setenv("CT2_LITE_MODEL", str(model_files["1.1.0"]))
        _, out, _ = ct2("list")
        assert out.splitlines()[1].split()[:3] == ["*", model_files["1.1.0"].stem, "1.1.0"]
        assert out.endswith("* used by run: named by CT2_LITE_MODEL.\n")

    def test_list_with_trouble(self, ct2, put_model, models_home, monkeypatch):
        path = put_model("lab")
        path.write_bytes(b"nothing")
        (models_home / "Not A Name.onnx").touch()
        (models_home / ".cytotrace2-1.1.onnx.0123456789abcdef.ct2-lite-part").touch()
        (models_home / "directory.onnx").mkdir()
        monkeypatch.setenv("CT2_LITE_MODEL", "missing")
        code, out, _ = ct2("list")
        assert code == 0
        assert [line.split()[:2] for line in out.splitlines()[1:3]] == [
            ["lab", "broken"],
            ["open", "1.1.0"],
        ]
        assert f"\nbroken: {path}: not a cytotrace2_lite model, or truncated (7 bytes)." in out
        assert "\nrun would stop: CT2_LITE_MODEL: missing: no such model." in out

    def test_list_for_programs(self, ct2, put_model, monkeypatch):
        official = put_model("cytotrace2-1.0")
        broken = put_model("lab")
        broken.write_bytes(b"nothing")
        code, out, err = ct2("list", "--json")
        assert (code, err) == (0, "")
        document = json.loads(out)
        assert document["reason"] == "the installed official model"
        assert document["problem"] is None
        models = {model["name"]: model for model in document["models"]}
        assert list(models) == ["cytotrace2-1.0", "lab", "open"]
        assert [model["used"] for model in models.values()] == [True, False, False]
        assert models["cytotrace2-1.0"] == {
            "name": "cytotrace2-1.0",
            "used": True,
            "architecture": "1.0.0",
            "n_members": 3,
            "licence": "unknown",
            "official": "",
            "sha256": describe(official).sha256,
            "n_bytes": official.stat().st_size,
            "path": str(official),
            "open_to_all": None,
            "problem": None,
        }
        assert models["lab"]["problem"].startswith(f"{broken}: not a cytotrace2_lite model")
        assert models["lab"]["path"] == str(broken)
        monkeypatch.setenv("CT2_LITE_MODEL", "missing")
        document = json.loads(ct2("list", "--json")[1])
        assert document["reason"] is None
        assert document["problem"].startswith("CT2_LITE_MODEL: missing: no such model.")
        assert not any(model["used"] for model in document["models"])

    def test_verify(self, ct2, put_model):
        put_model("lab")
        code, out, err = ct2("verify")
        assert (code, err) == (0, "")
        assert [line.partition(":")[0] for line in out.splitlines()] == ["lab", "open"]
        assert all(line.endswith(": ok") for line in out.splitlines())
        path = put_model("bad")
        path.write_bytes(path.read_bytes()[:-1])
        code, out, err = ct2("verify")
        assert code == 5
        assert [line.partition(":")[0] for line in out.splitlines()] == ["lab", "open"]
        assert err.startswith(f"Error: {path}: not a cytotrace2_lite model, or truncated")
        assert ct2("verify", "lab")[0] == 0
        assert ct2("verify", "bad")[:2] == (5, "")
        assert ct2("verify", path)[:2] == (5, "")
        assert ct2("verify", "cytotrace2-1.1")[0] == 5

    def test_path(self, ct2, put_model):
        assert ct2("path", "lab")[0] == 5
        path = put_model("lab")
        assert ct2("path", "lab") == (0, f"{path}\n", "")
        assert ct2("path", "open") == (0, f"{bundled_model()}\n", "")

    def test_remove(self, ct2, put_model, models_home):
        path = put_model("lab")
        path.write_bytes(b"broken")
        assert ct2("remove", "lab") == (0, "", f"Removed {path}\n")
        assert not path.exists()
        assert ct2("remove", "lab") == (
            *(5, ""),
            "Error: lab: no such model is installed. See ct2-lite models list.\n",
        )
        assert ct2("remove", f"../{models_home.name}/lab")[0] == 5
        code, _, err = ct2("remove", "open")
        assert (code, err) == (
            2,
            "Error: open: the bundled model is part of the package and stays.\n",
        )
        assert bundled_model().is_file()


def test_list_needs_no_heavy_library(put_model, tmp_path):
    put_model("lab")
    code = (
        "import sys\n"
        "from cytotrace2_lite.cli.models import models\n"
        "models(['list'], standalone_mode=False)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    root = Path(cytotrace2_lite.__file__).parents[1]
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert "\n  lab" in process.stdout
    loaded = process.stdout.splitlines()[-1]
    for library in ("numpy", "scipy", "onnxruntime", "onnx", "urllib3"):
        assert f"'{library}'" not in loaded
