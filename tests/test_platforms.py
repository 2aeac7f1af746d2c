"""What the program does on macOS and on Windows, with a made-up platform.

This shows that each branch works as written, not that the system behaves as the branch expects.
"""

import hashlib
import importlib.util
import os
import re
import sys
import types
from pathlib import Path

import pytest

from cytotrace2_lite.models import catalog, installed
from cytotrace2_lite.read import _file, hdf5
from cytotrace2_lite.system import caches, files, locking, machine

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stands in for Windows elsewhere")

PACKAGE = Path(installed.__file__).parents[1]

# How often the platform is asked for in each module; all of them are tested here.
BRANCHES = {
    "models/catalog.py": 1,
    "models/installed.py": 3,
    "read/_file.py": 2,
    "read/hdf5.py": 1,
    "system/caches.py": 3,
    "system/files.py": 4,
    "system/locking.py": 1,
    "system/machine.py": 1,
}


@pytest.fixture
def on(monkeypatch):
    """Function that makes modules believe that they run on a platform."""

    def pretend(platform, *modules):
        stand_in = types.SimpleNamespace(platform=platform)
        for module in modules:
            monkeypatch.setattr(module, "sys", stand_in)

    return pretend


def test_all_branches_are_known():
    asked = re.compile(r"\bsys\.platform\b|\bos\.name\b|\bplatform\.system\b")
    found = {
        str(path.relative_to(PACKAGE)): len(asked.findall(path.read_text()))
        for path in PACKAGE.rglob("*.py")
    }
    assert {name: count for name, count in found.items() if count} == BRANCHES


@pytest.mark.parametrize(
    ("platform", "variable", "folder"),
    [
        ("win32", "LOCALAPPDATA", "AppData/Local"),
        ("darwin", None, "Library/Application Support"),
        ("linux", "XDG_DATA_HOME", ".local/share"),
    ],
)
def test_where_models_are_kept(on, monkeypatch, tmp_path, platform, variable, folder):
    on(platform, installed)
    for name in (installed.FOLDER_VARIABLE, "LOCALAPPDATA", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert installed.models_folder() == tmp_path / folder / "cytotrace2_lite/models"
    monkeypatch.setenv("LOCALAPPDATA", "/elsewhere/windows")
    monkeypatch.setenv("XDG_DATA_HOME", "/elsewhere/linux")
    given = {"LOCALAPPDATA": "/elsewhere/windows", "XDG_DATA_HOME": "/elsewhere/linux"}
    expected = given.get(variable, str(tmp_path / folder))
    assert str(installed.models_folder()) == f"{expected}/cytotrace2_lite/models"


@pytest.mark.parametrize(
    ("platform", "variable", "folder"),
    [
        ("win32", "LOCALAPPDATA", ".cache"),
        ("darwin", None, "Library/Caches"),
        ("linux", "XDG_CACHE_HOME", ".cache"),
    ],
)
def test_where_libraries_keep_what_they_compile(on, monkeypatch, platform, variable, folder):
    on(platform, caches)
    monkeypatch.setenv("HOME", "/home/somebody")
    for name in ("LOCALAPPDATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert caches._user_folder("cache") == Path("/home/somebody", folder)
    for name in ("LOCALAPPDATA", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, f"/given/{name}")
    expected = f"/given/{variable}" if variable else f"/home/somebody/{folder}"
    assert caches._user_folder("cache") == Path(expected)


def test_permissions_say_nothing_on_windows(on, tmp_path):
    model = tmp_path / "model.onnx"
    model.touch(mode=0o666)
    model.chmod(0o666)
    assert catalog.open_to_all(model) is not None
    on("win32", catalog)
    assert catalog.open_to_all(model) is None


@pytest.mark.parametrize(("platform", "is_noticed"), [("win32", False), ("linux", True)])
def test_another_file_in_the_place_of_an_open_one(on, tmp_path, platform, is_noticed):
    on(platform, _file)
    path = tmp_path / "table.txt"
    path.write_text("before")
    with _file.InputFile(path) as file:
        file._path_is_watched = True
        assert not file._is_changed()
        path.rename(tmp_path / "moved.txt")
        path.write_text("after")
        file._identity = _file._identity(os.fstat(file.fileno()))  # its name is part of its times
        assert file._is_changed() == is_noticed


@pytest.mark.parametrize(("platform", "is_ahead"), [("linux", True), ("win32", False)])
def test_digests_are_taken_ahead_where_the_position_stays(on, tmp_path, platform, is_ahead):
    on(platform, _file)
    (tmp_path / "t.txt").write_bytes(b"content")
    with _file.InputFile(tmp_path / "t.txt") as file:
        file.digest_ahead()
        assert (file._digesting is not None) == is_ahead
        assert file.digest() == (7, hashlib.sha256(b"content").hexdigest())


def test_hdf5_files_are_not_locked_on_windows(on, monkeypatch):
    on("win32", hdf5)
    monkeypatch.delenv("HDF5_USE_FILE_LOCKING", raising=False)
    with hdf5._locked(None):  # a lock would ask for its descriptor
        pass


@pytest.mark.parametrize(("platform", "factor"), [("darwin", 1), ("linux", 1024)])
def test_the_unit_of_the_peak_of_memory(on, monkeypatch, platform, factor):
    on(platform, machine)
    usage = types.SimpleNamespace(ru_maxrss=7)
    resource = types.SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda _: usage)
    monkeypatch.setitem(sys.modules, "resource", resource)
    assert machine.peak_memory() == 7 * factor


def test_windows_does_not_tell_the_peak_of_memory(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert machine.peak_memory() is None


def test_files_are_closed_before_they_are_moved_on_windows(on, monkeypatch, tmp_path):
    on("win32", files)
    opened = []
    new_part = files._new_part

    def remember(path):
        part, file = new_part(path)
        opened.append(file)
        return part, file

    def no_locks(file):
        raise AssertionError("a file was locked")

    monkeypatch.setattr(files, "_new_part", remember)
    monkeypatch.setattr(files, "try_lock", no_locks)
    monkeypatch.delattr("os.geteuid")  # there is none
    replace = Path.replace

    def replace_closed(self, target):
        assert all(file.closed for file in opened)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replace_closed)
    (tmp_path / "a.txt").write_bytes(b"old")
    files.write_whole({tmp_path / "a.txt": b"new", tmp_path / "b.txt": b"b"})
    assert (tmp_path / "a.txt").read_bytes() == b"new"
    assert len(opened) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]


def test_only_old_parts_are_removed_on_windows(on, monkeypatch, tmp_path):
    on("win32", files)
    part = tmp_path / "part"
    part.touch()
    files._remove_if_abandoned(part)
    assert part.exists()
    monkeypatch.setattr(files, "_ABANDONED_SECONDS", -60)
    files._remove_if_abandoned(part)
    assert not part.exists()


@pytest.mark.parametrize(
    ("error", "answer"), [(None, True), (PermissionError(), False), (OSError(), None)]
)
def test_a_lock_on_windows(monkeypatch, tmp_path, error, answer):
    asked = []

    def lock(descriptor, mode, n_bytes):
        asked.append((descriptor, mode, n_bytes))
        if error is not None:
            raise error

    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(LK_NBLCK=2, locking=lock))
    monkeypatch.setattr(sys, "platform", "win32")
    spec = importlib.util.spec_from_file_location("locking_on_windows", locking.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with (tmp_path / "file").open("xb") as file:
        assert module.try_lock(file) is answer
        assert asked == [(file.fileno(), 2, 1)]
