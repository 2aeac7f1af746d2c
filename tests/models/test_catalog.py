"""Which model is used, and what model files say of themselves."""

import os
import shutil
from pathlib import Path

import pytest

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models.catalog import choose_model, describe, find_model
from cytotrace2_lite.models.installed import bundled_model, installed_models
from cytotrace2_lite.models.sealed import seal


class TestLookup:
    def test_order(self, put_model, model_files, monkeypatch):
        assert choose_model().path == bundled_model()
        assert choose_model().reason == "the bundled model, as no official one is installed"
        old = put_model("cytotrace2-1.0")
        assert choose_model() == (old, "the installed official model")
        new = put_model("cytotrace2-1.1")
        assert choose_model() == (new, "the installed official model")
        lab = put_model("lab")
        assert choose_model().path == new  # one's own is used only when named
        monkeypatch.setenv("CT2_LITE_MODEL", "lab")
        assert choose_model() == (lab, "named by CT2_LITE_MODEL")
        monkeypatch.setenv("CT2_LITE_MODEL", str(model_files["1.0.0"]))
        assert choose_model() == (model_files["1.0.0"], "named by CT2_LITE_MODEL")
        assert choose_model("cytotrace2-1.0") == (old, "as asked for")
        assert find_model("open") == bundled_model()
        monkeypatch.setenv("CT2_LITE_MODEL", "")
        assert find_model() == new

    def test_a_file_wins_over_a_name_only_if_it_looks_like_a_path(self, put_model, model_files):
        installed = put_model("lab")
        for name in ("lab", "lab.onnx", "open", "cytotrace2-1.1"):
            shutil.copy(model_files["1.0.0"], name)
        assert find_model("lab") == installed
        assert find_model("open") == bundled_model()
        assert find_model("lab.onnx") == Path("lab.onnx")
        assert find_model("./lab") == Path("lab")
        assert find_model(Path("lab")) == Path("lab")
        with pytest.raises(ModelError, match=r"ct2-lite models install cytotrace2-1\.1$"):
            find_model("cytotrace2-1.1")

    def test_nothing_there(self, models_home, monkeypatch):
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

    def test_unknown(self):
        with pytest.raises(ModelError) as caught:
            find_model("cytotrace3")
        assert str(caught.value) == (
            "cytotrace3: no such model. Give the path of an .onnx file written by "
            "tools/export_onnx.py, or 'open' for the bundled model."
        )

    def test_a_folder_that_cannot_be_looked_into(self, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setenv("CT2_LITE_MODELS_DIR", str(tmp_path / "file" / "models"))
        assert find_model() == bundled_model()
        assert installed_models() == []


class TestDescribe:
    def test_whole(self, put_model):
        path = put_model("lab", "1.1.0")
        model = describe(path)
        assert (model.name, model.architecture, model.n_members) == ("lab", "1.1.0", 3)
        assert (model.licence, model.official, model.problem) == ("unknown", "", "")
        assert model.size == path.stat().st_size

    def test_broken(self, put_model, models_home):
        path = put_model("cytotrace2-1.0")
        path.write_bytes(path.read_bytes()[:1000])
        assert describe(path).problem == (
            f"{path}: not a cytotrace2_lite model, or truncated (1000 bytes). "
            "Install it anew: ct2-lite models install cytotrace2-1.0"
        )
        path = put_model("lab")
        path.write_bytes(b"x" + path.read_bytes()[1:])
        assert describe(path).problem == (
            f"{path}: the model was altered after it was written (its SHA-256 does not match). "
            "Remove it (ct2-lite models remove lab) and install it again."
        )
        path.write_bytes(seal(b"nonsense"))
        assert describe(path).problem.startswith(f"{path}: ")
        assert describe(models_home / "none.onnx").problem.startswith(
            f"{models_home / 'none.onnx'}: cannot"
        )
