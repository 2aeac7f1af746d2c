"""Which model is used, and the commands on installed models."""

import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from cytotrace2_lite.cli.main import cli, main
from cytotrace2_lite.cli.models import models as group
from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models import catalog as models
from cytotrace2_lite.models.catalog import (
    choose_model,
    describe,
    find_model,
    installed_models,
    seal,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Give an empty models folder of the user, away from the working directory."""
    path = tmp_path / "models"
    path.mkdir()
    monkeypatch.setenv("CT2_LITE_MODELS_DIR", str(path))
    monkeypatch.delenv("CT2_LITE_MODEL", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return path


@pytest.fixture
def put(folder, model_files):
    """Function that installs a made-up model under a name."""

    def install(name, version="1.0.0"):
        return Path(shutil.copy(model_files[version], folder / f"{name}.onnx"))

    return install


@pytest.fixture
def ct2(folder, capsys, monkeypatch):
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


class TestLookup:
    def test_order(self, put, model_files, monkeypatch):
        assert choose_model().path == models.bundled_model()
        assert choose_model().reason == "the bundled model, as no official one is installed"
        old = put("cytotrace2-1.0")
        assert choose_model() == (old, "the installed official model")
        new = put("cytotrace2-1.1")
        assert choose_model() == (new, "the installed official model")
        lab = put("lab")
        assert choose_model().path == new  # one's own is used only when named
        monkeypatch.setenv("CT2_LITE_MODEL", "lab")
        assert choose_model() == (lab, "named by CT2_LITE_MODEL")
        monkeypatch.setenv("CT2_LITE_MODEL", str(model_files["1.0.0"]))
        assert choose_model() == (model_files["1.0.0"], "named by CT2_LITE_MODEL")
        assert choose_model("cytotrace2-1.0") == (old, "as asked for")
        assert find_model("open") == models.bundled_model()
        monkeypatch.setenv("CT2_LITE_MODEL", "")
        assert find_model() == new

    def test_a_file_wins_over_a_name_only_if_it_looks_like_a_path(self, put, model_files):
        installed = put("lab")
        for name in ("lab", "lab.onnx", "open", "cytotrace2-1.1"):
            shutil.copy(model_files["1.0.0"], name)
        assert find_model("lab") == installed
        assert find_model("open") == models.bundled_model()
        assert find_model("lab.onnx") == Path("lab.onnx")
        assert find_model("./lab") == Path("lab")
        assert find_model(Path("lab")) == Path("lab")
        with pytest.raises(ModelError, match=r"ct2-lite models install cytotrace2-1\.1$"):
            find_model("cytotrace2-1.1")

    def test_nothing_there(self, folder, monkeypatch):
        for model in ("lab", "lab.onnx", "./lab", Path("lab"), "../open", "a/../open", "Open", ""):
            with pytest.raises(ModelError, match="no such model"):
                find_model(model)
        Path("other").touch()
        with pytest.raises(ModelError) as caught:
            find_model("other")
        assert str(caught.value) == (
            f"other: no model of this name is installed. For the file, write .{os.sep}other"
        )
        with pytest.raises(ModelError) as caught:
            find_model("cytotrace2-1.0")
        assert str(caught.value) == (
            "cytotrace2-1.0: this official model is not installed. "
            "Install it with: ct2-lite models install cytotrace2-1.0"
        )
        monkeypatch.setenv("CT2_LITE_MODEL", "cytotrace2-1.1")
        with pytest.raises(ModelError, match=r"^CT2_LITE_MODEL: cytotrace2-1\.1: this official"):
            find_model()

    def test_a_folder_that_cannot_be_looked_into(self, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setenv("CT2_LITE_MODELS_DIR", str(tmp_path / "file" / "models"))
        assert find_model() == models.bundled_model()
        assert installed_models() == []

    def test_names(self):
        for name in ("a", "0", "cytotrace2-1.1", "my_model.v2", "a" * 64):
            assert models.is_model_name(name)
        for name in ("", ".a", "-a", "_a", "A", "a b", "a/b", "..", "a\\b", "a\n", "ä", "a.onnx"):
            assert not models.is_model_name(name)
        assert not models.is_model_name("a" * 65)


class TestFolder:
    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch):
        for variable in ("CT2_LITE_MODELS_DIR", "XDG_DATA_HOME", "LOCALAPPDATA"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("HOME", "/home/ann")

    @pytest.mark.skipif(sys.platform == "win32", reason="paths of other platforms")
    @pytest.mark.parametrize(
        ("platform", "data"),
        [
            ("linux", "/home/ann/.local/share"),
            ("darwin", "/home/ann/Library/Application Support"),
            ("win32", "/home/ann/AppData/Local"),
        ],
    )
    def test_platforms(self, monkeypatch, platform, data):
        monkeypatch.setattr(models, "sys", types.SimpleNamespace(platform=platform))
        assert models.models_folder() == Path(data, "cytotrace2_lite/models")

    @pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the XDG specification")
    def test_environment(self, monkeypatch):
        monkeypatch.setenv("XDG_DATA_HOME", "relative")
        assert models.models_folder() == Path("/home/ann/.local/share/cytotrace2_lite/models")
        monkeypatch.setenv("XDG_DATA_HOME", "/data")
        assert models.models_folder() == Path("/data/cytotrace2_lite/models")
        monkeypatch.setenv("CT2_LITE_MODELS_DIR", "/models")
        assert models.models_folder() == Path("/models")

    def test_no_home(self, monkeypatch):
        monkeypatch.setattr(models.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))
        with pytest.raises(ModelError, match="Set CT2_LITE_MODELS_DIR to a folder"):
            models.models_folder()
        assert find_model() == models.bundled_model()


class TestDescribe:
    def test_whole(self, put):
        path = put("lab", "1.1.0")
        model = describe(path)
        assert (model.name, model.architecture, model.n_members) == ("lab", "1.1.0", 3)
        assert (model.licence, model.official, model.problem) == ("unknown", "", "")
        assert model.size == path.stat().st_size

    def test_broken(self, put, folder):
        path = put("cytotrace2-1.0")
        path.write_bytes(path.read_bytes()[:1000])
        assert describe(path).problem == (
            f"{path}: not a cytotrace2_lite model, or truncated (1000 bytes). "
            "Install it anew: ct2-lite models install cytotrace2-1.0"
        )
        path = put("lab")
        path.write_bytes(b"x" + path.read_bytes()[1:])
        assert describe(path).problem == (
            f"{path}: the model was altered after it was written (its SHA-256 does not match). "
            "Remove it (ct2-lite models remove lab) and install it again."
        )
        path.write_bytes(seal(b"nonsense"))
        assert describe(path).problem.startswith(f"{path}: ")
        assert describe(folder / "none.onnx").problem.startswith(f"{folder / 'none.onnx'}: cannot")


class TestCommands:
    def test_list(self, ct2, put, monkeypatch, model_files):
        code, out, err = ct2("list")
        assert (code, err) == (0, "")
        assert out.endswith(
            "\n* used by run: the bundled model, as no official one is installed.\n"
        )
        put("lab")
        official = put("cytotrace2-1.0")
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

    def test_list_with_trouble(self, ct2, put, folder, monkeypatch):
        path = put("lab")
        path.write_bytes(b"nothing")
        (folder / "Not A Name.onnx").touch()
        (folder / ".cytotrace2-1.1.onnx.0123456789abcdef.ct2-lite-part").touch()
        (folder / "directory.onnx").mkdir()
        monkeypatch.setenv("CT2_LITE_MODEL", "missing")
        code, out, _ = ct2("list")
        assert code == 0
        assert [line.split()[:2] for line in out.splitlines()[1:3]] == [
            ["lab", "broken"],
            ["open", "1.1.0"],
        ]
        assert f"\nbroken: {path}: not a cytotrace2_lite model, or truncated (7 bytes)." in out
        assert "\nrun would stop: CT2_LITE_MODEL: missing: no such model." in out

    def test_verify(self, ct2, put):
        put("lab")
        code, out, err = ct2("verify")
        assert (code, err) == (0, "")
        assert [line.partition(":")[0] for line in out.splitlines()] == ["lab", "open"]
        assert all(line.endswith(": ok") for line in out.splitlines())
        path = put("bad")
        path.write_bytes(path.read_bytes()[:-1])
        code, out, err = ct2("verify")
        assert code == 5
        assert [line.partition(":")[0] for line in out.splitlines()] == ["lab", "open"]
        assert err.startswith(f"Error: {path}: not a cytotrace2_lite model, or truncated")
        assert ct2("verify", "lab")[0] == 0
        assert ct2("verify", "bad")[:2] == (5, "")
        assert ct2("verify", path)[:2] == (5, "")
        assert ct2("verify", "cytotrace2-1.1")[0] == 5

    def test_path(self, ct2, put):
        assert ct2("path", "lab")[0] == 5
        path = put("lab")
        assert ct2("path", "lab") == (0, f"{path}\n", "")
        assert ct2("path", "open") == (0, f"{models.bundled_model()}\n", "")

    def test_remove(self, ct2, put, folder):
        path = put("lab")
        path.write_bytes(b"broken")
        assert ct2("remove", "lab") == (0, "", f"Removed {path}\n")
        assert not path.exists()
        assert ct2("remove", "lab") == (
            *(5, ""),
            "Error: lab: no such model is installed. See ct2-lite models list.\n",
        )
        assert ct2("remove", f"../{folder.name}/lab")[0] == 5
        code, _, err = ct2("remove", "open")
        assert (code, err) == (
            2,
            "Error: open: the bundled model is part of the package and stays.\n",
        )
        assert models.bundled_model().is_file()


def test_list_needs_no_heavy_library(put, tmp_path):
    put("lab")
    code = (
        "import sys\n"
        "from cytotrace2_lite.cli.models import models\n"
        "models(['list'], standalone_mode=False)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    root = Path(models.__file__).parents[1]
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
