"""Code that is compiled at run time."""

from __future__ import annotations

import threading

import pytest

from cytotrace2_lite.system import compiler
from cytotrace2_lite.system.compiler import Compiled

ADD = "define i64 @add(i64 %a, i64 %b) {\n  %c = add i64 %a, %b\n  ret i64 %c\n}"


def join_threads() -> None:
    for thread in threading.enumerate():
        if thread.name == "compile-ahead":
            thread.join()


def test_a_function_is_called_with_whole_numbers() -> None:
    kernels = Compiled(lambda: ADD)
    assert kernels["add"](2, 3) == 5


def test_what_is_compiled_ahead_is_compiled_once() -> None:
    calls: list[str] = []

    def source() -> str:
        calls.append(threading.current_thread().name)
        return ADD

    kernels = Compiled(source)
    assert not kernels.is_ready
    kernels.compile_ahead()
    join_threads()
    assert kernels.is_ready
    assert kernels["add"](2, 3) == 5
    kernels.compile_ahead()
    join_threads()
    assert calls == ["compile-ahead"]


def test_an_error_ahead_is_raised_where_a_function_is_asked_for(
    capfd: pytest.CaptureFixture[str],
) -> None:
    kernels = Compiled(lambda: "no assembly")
    kernels.compile_ahead()
    join_threads()
    assert not kernels.is_ready
    assert capfd.readouterr().err == ""
    with pytest.raises(RuntimeError):
        kernels["add"]


def test_nothing_is_compiled_ahead_where_the_system_forbids_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiler, "may_compile", lambda: False)
    kernels = Compiled(lambda: ADD)
    kernels.compile_ahead()
    join_threads()
    assert not kernels.is_ready
