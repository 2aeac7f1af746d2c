"""The libraries that plots need, imported while scores are computed.

They take half a second to import, and more where matplotlib looks for the fonts of a machine for
the first time. While scores are computed, a second processor has time for that.
"""

from __future__ import annotations

import contextlib
import sys
from importlib import import_module
from importlib.util import find_spec
from threading import Thread

from cytotrace2_lite.system.caches import prepare_caches

__all__ = ["import_ahead"]

_DRAWING = ("matplotlib.figure", "matplotlib.backends.backend_agg", "PIL.PngImagePlugin")
_LAYOUT = ("scranpy", "knncolle")


def import_ahead(*, with_umap: bool) -> None:
    """Begin to import what plots need, in a thread of its own, and do not wait for it.

    Who needs one of the libraries waits for it where it is imported, and sees there what is wrong
    with it. A program that ends meanwhile waits for the thread, too: a library in C++ must not be
    cut off in the middle.

    Parameters
    ----------
    with_umap
        Whether a UMAP is to be computed.
    """
    names = [*_DRAWING, *(_LAYOUT if with_umap and find_spec("scranpy") is not None else ())]
    if not all(name in sys.modules for name in names):
        Thread(target=_import, args=(names,), name="import of plots").start()


def _import(names: list[str]) -> None:
    # Any exception: it comes again where the library is imported to be used.
    with contextlib.suppress(Exception):
        prepare_caches()
        for name in names:
            import_module(name)
