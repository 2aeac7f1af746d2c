"""Modules that are imported when they are first used, though others import them earlier."""

from __future__ import annotations

import importlib.util
import sys

__all__ = ["defer_imports"]


def defer_imports(*names: str) -> None:
    """Have modules imported when they are first used.

    For the process of a program, not for a library: `sys.modules` has them from now on.

    Parameters
    ----------
    names
        Modules with their packages, which are imported. What is not there, or is imported already,
        is left as it is.
    """
    for name in names:
        package, _, attribute = name.rpartition(".")
        spec = None if name in sys.modules else importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            continue
        loader = spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        loader.exec_module(module)
        setattr(sys.modules[package], attribute, module)
