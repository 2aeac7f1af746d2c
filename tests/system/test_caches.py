"""A place for what numba and matplotlib keep, where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.system import caches


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    ).stdout.split()


CODE = """
import os
from cytotrace2_lite.system import caches
caches._COMPILED = ()
{change}
caches.prepare_caches()
print(os.environ.get("NUMBA_CACHE_DIR", "-"), os.environ.get("MPLCONFIGDIR", "-"))
"""


def test_where_the_defaults_can_be_written_nothing_changes(tmp_path):
    assert run(CODE.format(change=""), HOME=str(tmp_path)) == ["-", "-"]


@pytest.mark.parametrize("change", ["caches._is_writable = lambda _: False", ""])
def test_a_private_directory_is_removed_at_the_end(change, tmp_path):
    code = CODE.format(change=f"caches._numba_has_a_cache = lambda: False; {change}")
    code += "assert os.path.isdir(os.environ['NUMBA_CACHE_DIR'])"
    home = tmp_path / "home"
    home.mkdir()
    numba, matplotlib = run(code, HOME=str(home), TMPDIR=str(tmp_path))
    assert Path(numba).parent == tmp_path
    assert matplotlib == (numba if change else "-")
    assert list(tmp_path.iterdir()) == [home]


def test_what_the_user_has_set_stays(tmp_path):
    given = {"NUMBA_CACHE_DIR": "a", "MPLCONFIGDIR": "b"}
    code = CODE.format(change="caches._numba_has_a_cache = caches._is_writable = lambda *_: False")
    assert run(code, **given) == ["a", "b"]


def test_a_home_that_is_not_known(monkeypatch):
    monkeypatch.setattr(caches.os.path, "expanduser", lambda path: path)
    assert caches._user_folder("cache") is None
    assert not caches._is_writable(None)


def test_a_forked_process_leaves_it(tmp_path):
    caches._remove(str(tmp_path), os.getpid() + 1)
    assert tmp_path.is_dir()
    caches._remove(str(tmp_path), os.getpid())
    assert not tmp_path.exists()


def test_no_place_at_all(monkeypatch):
    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(caches, "_is_writable", lambda _: False)
    monkeypatch.setattr(caches.tempfile, "mkdtemp", refuse)
    with pytest.raises(ct2.CytoTRACE2Error, match=r"Read-only file system.*Set TMPDIR"):
        caches.prepare_caches()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_process_forked_while_another_thread_is_inside():
    code = (
        "import os, signal\n"
        "from cytotrace2_lite.system import caches\n"
        "with caches._lock:\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        signal.alarm(5)\n"
        "        caches.prepare_caches()\n"
        "        os._exit(0)\n"
        "print(os.waitpid(child, 0)[1])"
    )
    assert run(code) == ["0"]
