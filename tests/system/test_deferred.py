"""Modules that are imported when they are first used."""

import subprocess
import sys
from importlib.metadata import version

import pytest
from packaging.version import Version

from cytotrace2_lite.system.deferred import defer_imports


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "ct2_deferred"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "late.py").write_text("import ct2_deferred\nct2_deferred.n = 1\nanswer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("ct2_deferred", "ct2_deferred.late"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("package")
def test_a_module_is_imported_when_it_is_used():
    defer_imports("ct2_deferred.late", "ct2_deferred.none")
    import ct2_deferred
    from ct2_deferred import late

    assert not hasattr(ct2_deferred, "n")
    assert late.answer == 42
    assert ct2_deferred.n == 1
    assert ct2_deferred.late is late
    defer_imports("ct2_deferred.late")
    assert sys.modules["ct2_deferred.late"] is late


def test_what_scipy_imports_of_numpy_can_be_used(tmp_path):
    code = (
        "from cytotrace2_lite.system.deferred import defer_imports\n"
        "defer_imports('numpy.f2py', 'numpy.polynomial', 'numpy.testing')\n"
        "import scipy.linalg, numpy\n"
        "numpy.testing.assert_allclose([1.0], [1.0])\n"
        "from numpy.testing import assert_equal\n"
        "assert numpy.f2py.run_main\n"
        "assert numpy.polynomial.Polynomial([0, 1])(2) == 2\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.skipif(
    Version(version("scipy")) < Version("1.17"), reason="older versions import less, or otherwise"
)
def test_scipy_does_not_need_them(tmp_path):
    code = (
        "from cytotrace2_lite.system.deferred import defer_imports\n"
        "defer_imports('numpy.f2py', 'numpy.polynomial', 'numpy.testing')\n"
        "import sys, scipy.linalg, scipy.sparse\n"
        "assert 'numpy.f2py.crackfortran' not in sys.modules\n"
        "assert 'numpy.polynomial.polynomial' not in sys.modules\n"
        "assert 'numpy.testing._private' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
