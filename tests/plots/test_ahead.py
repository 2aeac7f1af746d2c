"""Libraries of plots that are imported while scores are computed."""

import subprocess
import sys
import threading

import pytest

pytest.importorskip("matplotlib")

from cytotrace2_lite.plots import ahead


def test_they_are_imported_in_a_thread():
    code = (
        "import sys, threading\n"
        "from cytotrace2_lite.plots import import_ahead\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import_ahead(with_umap=False)\n"
        "[t.join() for t in threading.enumerate() if t is not threading.current_thread()]\n"
        "assert 'matplotlib.backends.backend_agg' in sys.modules\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert 'scranpy' not in sys.modules\n"
        "import_ahead(with_umap=False)\n"
        "assert threading.active_count() == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_wrong_is_seen_where_they_are_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(ahead, "_DRAWING", ("matplotlib.figure", "no_such_library"))
    monkeypatch.setattr(threading, "excepthook", lambda _: pytest.fail("an exception"))
    before = set(threading.enumerate())
    ahead.import_ahead(with_umap=False)
    for thread in set(threading.enumerate()) - before:
        thread.join()
    with pytest.raises(ImportError):
        import matplotlib.figure  # noqa: F401
