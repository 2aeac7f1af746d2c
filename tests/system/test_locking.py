"""Locks on files."""

import errno
import os

import pytest

from cytotrace2_lite.system.locking import try_lock


def test_a_lock_lasts_as_long_as_the_file_is_open(tmp_path):
    path = tmp_path / "lock"
    with path.open("ab") as one, path.open("ab") as other:
        assert try_lock(one) is True
        assert try_lock(other) is False
    with path.open("ab") as other:
        assert try_lock(other) is True


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (tmp_path / "lock").open("ab") as file:
        assert try_lock(file) is None
