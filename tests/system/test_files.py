"""All files of a set are replaced, or none."""

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.system import files


def content(folder):
    return {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.fixture(params=["links", "no links"])
def folder(request, tmp_path, monkeypatch):
    """Directory with old files, on a file system with hard links and on one without."""
    if request.param == "no links":

        def refuse(*_, **__):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

        monkeypatch.setattr(files.os, "link", refuse)
    for name in "ab":
        (tmp_path / name).write_text(f"old {name}")
    return tmp_path


def test_all_are_replaced(folder):
    files.write_whole({folder / name: f"new {name}".encode() for name in "abc"})
    assert content(folder) == {name: f"new {name}" for name in "abc"}


@pytest.mark.parametrize("failing", range(3))
@pytest.mark.parametrize("error", [PermissionError(errno.EPERM, "Operation not permitted"), None])
def test_a_move_that_fails_undoes_those_before(folder, monkeypatch, failing, error):
    moved = []
    replace = Path.replace

    def some(part, target):
        if Path(target).name in "abc" and Path(target).suffix == "":
            moved.append(target)
            if len(moved) == failing + 1:
                raise error or KeyboardInterrupt
        return replace(part, target)

    monkeypatch.setattr(Path, "replace", some)
    kind = ct2.OutputError if error else KeyboardInterrupt
    with pytest.raises(kind) as caught:
        files.write_whole({folder / name: f"new {name}".encode() for name in "abc"})
    if error:
        assert str(caught.value) == (
            f"{folder / 'abc'[failing]}: cannot write the file (Operation not permitted). "
            "Choose another place for it."
        )
    assert content(folder) == {name: f"old {name}" for name in "ab"}


def test_a_symbolic_link_is_put_back(folder):
    (folder / "a").unlink()
    (folder / "a").symlink_to("b")
    (folder / "d").mkdir()
    with pytest.raises(ct2.OutputError, match=r"d: cannot write the file \(Is a directory\)"):
        files.write_whole({folder / "a": b"new", folder / "d": b"new"})
    assert (folder / "a").is_symlink()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root")
class TestWhatOnlyRootCanSetUp:
    def as_another_user(self, code, *arguments):
        return subprocess.run(
            ["setpriv", "--reuid", "12345", "--clear-groups", "python3", "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    def test_a_file_mounted_over(self, tmp_path):
        for name in "ab":
            (tmp_path / name).write_text(f"old {name}")
        (tmp_path / "other").write_text("other")
        words = ["mount", "--bind", str(tmp_path / "other"), str(tmp_path / "b")]
        if subprocess.run(words, capture_output=True, check=False).returncode:
            pytest.skip("nothing may be mounted here")
        try:
            with pytest.raises(ct2.OutputError, match="Device or resource busy"):
                files.write_whole({tmp_path / name: b"new" for name in "ab"})
            assert content(tmp_path) == {"a": "old a", "b": "other", "other": "other"}
        finally:
            subprocess.run(["umount", str(tmp_path / "b")], check=True)

    def test_another_users_file_in_a_sticky_directory(self, tmp_path, monkeypatch):
        mine, theirs = tmp_path / "a", tmp_path / "b"
        for path in (mine, theirs):
            path.write_text("old")
        os.chown(theirs, 12346, 12346)
        tmp_path.chmod(0o1777)
        os.chown(tmp_path, 12347, 12347)
        monkeypatch.setattr(files.os, "geteuid", lambda: 12345)
        os.chown(mine, 12345, 12345)
        with pytest.raises(ct2.OutputError, match=r"b: cannot write the file \(Operation not perm"):
            files.check_replaceable([mine, theirs])
        files.check_replaceable([mine])


class TestNames:
    @pytest.mark.parametrize("name", ["x" * 255, "ä" * 127])
    def test_the_longest(self, tmp_path, name):
        files.write_whole({tmp_path / name: b"new"})
        assert content(tmp_path) == {name: "new"}

    def test_too_long(self, tmp_path):
        with pytest.raises(ct2.OutputError, match="File name too long"):
            files.check_replaceable([tmp_path / ("x" * 256)])

    def test_what_is_left_of_a_long_one_is_removed(self, tmp_path):
        part = files._part_name(tmp_path / ("x" * 255))
        part.touch()
        assert len(part.name) == 255
        files.remove_abandoned(tmp_path)
        assert not part.exists()


def test_modes_of_new_files_are_those_of_any(tmp_path):
    files.write_whole({tmp_path / "a": b"new"})
    (tmp_path / "b").touch()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "b").stat().st_mode
    )


class TestWriteWhole:
    def test_functions_write_to_a_part(self, tmp_path):
        seen = []

        def write(path):
            assert not (tmp_path / "a").exists()
            path.write_bytes(b"1")
            seen.append(path)

        contents = {tmp_path / "a": write, tmp_path / "b": b"2"}
        files.write_whole(contents, ready=lambda: seen.append(sorted(tmp_path.glob("?"))))
        assert seen[1] == []
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
            "a": b"1",
            "b": b"2",
        }

    def test_interrupted_when_all_is_ready(self, tmp_path):
        (tmp_path / "a").write_bytes(b"earlier")

        def interrupt():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            files.write_whole({tmp_path / "a": b"1", tmp_path / "b": b"2"}, ready=interrupt)
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"earlier"]
