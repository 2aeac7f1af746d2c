"""Code for this processor, from LLVM's assembly language, compiled when it is first needed.

NumPy and SciPy have no fast product for some shapes of data. Such a product is written down in
LLVM's language and compiled by llvmlite, which numba brings. That takes less than a tenth of a
second, so nothing is kept on disk: a cache would need a directory that can be written to.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import re
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Compiled", "may_compile"]

_TYPES: dict[str, Any] = {
    "void": None,
    "ptr": ctypes.c_void_p,
    "i8": ctypes.c_int8,
    "i32": ctypes.c_int32,
    "i64": ctypes.c_int64,
}
_OPTIMISATION = 3  # of LLVM's code generator


@functools.cache
def may_compile() -> bool:
    """Say whether the system lets programs run code that they have compiled."""
    from llvmlite import binding

    try:
        binding.check_jit_execution()
    except OSError:
        return False
    return True


class Compiled:
    """Functions that LLVM compiles for the processor at hand.

    A function is called without Python's lock, so threads may call it at once. Where `may_compile`
    says no, a call would end the process. The functions live as long as this object.

    Parameters
    ----------
    source
        Makes LLVM's assembly language (opaque pointers, so LLVM 15 or later); called once.
    """

    def __init__(self, source: Callable[[], str]) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._engine: Any = None  # the code lives as long as it does
        self._functions: dict[str, Callable[..., Any]] = {}

    def __getitem__(self, name: str) -> Callable[..., Any]:
        """Give a function by its name. Arrays are passed as addresses, all numbers as int."""
        with self._lock:
            if not self._functions:
                self._compile()
        return self._functions[name]

    @property
    def is_ready(self) -> bool:
        """Whether the functions are compiled."""
        return bool(self._functions)

    def compile_ahead(self) -> None:
        """Compile in a thread of its own, while the calling one does something else.

        Nothing happens where `may_compile` says no. An error is raised where a function is asked
        for.
        """

        def ahead() -> None:
            with contextlib.suppress(Exception), self._lock:
                if not self._functions:
                    self._compile()

        # llvmlite is imported here, not in the thread: to load a library while another thread asks
        # which ones are loaded, as threadpoolctl does, can block both for ever.
        if not self.is_ready and may_compile():
            threading.Thread(target=ahead, name="compile-ahead").start()

    def _compile(self) -> None:
        from llvmlite import binding

        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        module = binding.parse_assembly(self._source())
        module.verify()
        machine = binding.Target.from_default_triple().create_target_machine(
            cpu=binding.get_host_cpu_name(),
            features=binding.get_host_cpu_features().flatten(),
            opt=_OPTIMISATION,
        )
        self._engine = binding.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        self._functions = {
            function.name: _type_of(function)(self._engine.get_function_address(function.name))
            for function in module.functions
            if function.linkage == binding.Linkage.external and not function.is_declaration
        }


def _type_of(function: Any) -> Any:
    """Give ctypes' type of a function of a module."""
    returned, *arguments = re.findall(r"\w+", str(function.global_value_type))
    return ctypes.CFUNCTYPE(_TYPES[returned], *(_TYPES[name] for name in arguments))
