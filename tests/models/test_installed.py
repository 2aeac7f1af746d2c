"""Where models are kept, and under which names."""

import sys
import types
from pathlib import Path

import pytest

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models import installed
from cytotrace2_lite.models.catalog import find_model
from cytotrace2_lite.models.installed import bundled_model, is_model_name, models_folder


def test_names():
    for name in ("a", "0", "cytotrace2-1.1", "my_model.v2", "a" * 64):
        assert is_model_name(name)
    for name in ("", ".a", "-a", "_a", "A", "a b", "a/b", "..", "a\\b", "a\n", "ä", "a.onnx"):
        assert not is_model_name(name)
    assert not is_model_name("a" * 65)


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
        monkeypatch.setattr(installed, "sys", types.SimpleNamespace(platform=platform))
        assert models_folder() == Path(data, "cytotrace2_lite/models")

    @pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the XDG specification")
    def test_environment(self, monkeypatch):
        monkeypatch.setenv("XDG_DATA_HOME", "relative")
        assert models_folder() == Path("/home/ann/.local/share/cytotrace2_lite/models")
        monkeypatch.setenv("XDG_DATA_HOME", "/data")
        assert models_folder() == Path("/data/cytotrace2_lite/models")
        monkeypatch.setenv("CT2_LITE_MODELS_DIR", "/models")
        assert models_folder() == Path("/models")

    def test_no_home(self, monkeypatch):
        monkeypatch.setattr(installed.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))
        with pytest.raises(ModelError, match="Set CT2_LITE_MODELS_DIR to a folder"):
            models_folder()
        assert find_model() == bundled_model()
