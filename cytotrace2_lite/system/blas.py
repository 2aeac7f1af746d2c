"""BLAS with one thread while this package works, and with as many as before afterwards.

Threads of this package share the work already: threads of BLAS would only wait for each other, and
would split sums by the number of processors, which changes the last bits of results.

threadpoolctl finds the BLAS libraries of the process (NumPy and SciPy have one each). Their numbers
of threads are set here by their own functions, because from version 3.7 on threadpoolctl sets that
of OpenBLAS only in the thread of the process that did so first, and does nothing in all others.

Some libraries have one number for the process, which the last run to end sets back. Others have one
for each thread: it is set, and set back, in each thread that enters, and it is set in the threads
of `cytotrace2_lite.system.threads`.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["limit_worker", "one_blas_thread"]

# With the affixes that NumPy's and SciPy's copies have.
_OPENBLAS_FUNCTIONS = [
    (f"{prefix}openblas_get_num_threads{suffix}", f"{prefix}openblas_set_num_threads{suffix}")
    for prefix in ("", "scipy_")
    for suffix in ("", "64_", "_64")
]
_OPENMP_FUNCTIONS = [("omp_get_max_threads", "omp_set_num_threads")]


class _Library(NamedTuple):
    """A BLAS library of this process.

    Attributes
    ----------
    limit
        Sets one thread; returns what `restore` needs.
    restore
        Sets the number of threads back.
    per_thread
        Whether each thread of the process has a number of its own.
    """

    limit: Callable[[], int]
    restore: Callable[[int], object]
    per_thread: bool


class _State:
    """Which threads are inside `one_blas_thread`, and what there is to set back.

    Attributes
    ----------
    lock
        Guards all else. A signal handler may come back to it in the same thread.
    entered
        How many times each thread is inside.
    libraries
        Those that were found last, by path.
    shared
        Libraries with one number for the process, by path, and what to set back.
    own
        The same for libraries with a number for each thread; as attribute `found` of each thread.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.entered: Counter[int] = Counter()
        self.libraries: dict[str, _Library] = {}
        self.shared: dict[str, tuple[_Library, int]] = {}
        self.own = threading.local()

    def enter(self) -> None:
        import scipy.linalg  # noqa: F401 (SciPy has a BLAS of its own, which must be loaded by now)

        with self.lock:
            self.entered[threading.get_ident()] += 1
            self.libraries = _find_libraries()
            for path, library in self.libraries.items():
                changed = self._own if library.per_thread else self.shared
                before = library.limit()
                changed.setdefault(path, (library, before))

    def leave(self) -> None:
        thread = threading.get_ident()
        with self.lock:
            self.entered[thread] -= 1
            if self.entered[thread] <= 0:
                del self.entered[thread]
                _restore(self._own)
            if not self.entered:
                _restore(self.shared)

    def start_anew(self) -> None:
        """Forget the other threads, in a child process that has only the one that forked."""
        thread = threading.get_ident()
        times = self.entered[thread]
        self.entered.clear()
        if times:
            self.entered[thread] = times
        else:
            _restore(self.shared)
        self.lock.release()

    @property
    def _own(self) -> dict[str, tuple[_Library, int]]:
        if not hasattr(self.own, "found"):
            self.own.found = {}
        found: dict[str, tuple[_Library, int]] = self.own.found
        return found


_state = _State()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS from sharing products among threads of its own, while any thread is inside."""
    try:
        _state.enter()
        yield
    finally:
        _state.leave()


def limit_worker() -> None:
    """Limit BLAS in a thread that works for one that is inside `one_blas_thread`.

    To be called in that thread, which ends with the work: nothing is set back.
    """
    with _state.lock:
        if _state.entered:
            for library in _state.libraries.values():
                library.limit()


def _find_libraries() -> dict[str, _Library]:
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    return {controller.filepath: _library(controller) for controller in found}


def _library(controller: Any) -> _Library:
    """Find the functions of a library that threadpoolctl has found."""
    loaded = controller.dynlib
    kind = controller.internal_api
    if kind == "mkl" and hasattr(loaded, "MKL_Set_Num_Threads_Local"):
        # It returns the number that the thread had, or 0 where it had none of its own.
        change = loaded.MKL_Set_Num_Threads_Local
        return _Library(lambda: int(change(1)), change, per_thread=True)
    openmp = kind == "openblas" and controller.threading_layer == "openmp"
    names = _OPENMP_FUNCTIONS if openmp else _OPENBLAS_FUNCTIONS if kind == "openblas" else []
    get, change = next(
        (
            (getattr(loaded, getter), getattr(loaded, setter))
            for getter, setter in names
            if hasattr(loaded, getter) and hasattr(loaded, setter)
        ),
        (controller.get_num_threads, controller.set_num_threads),
    )

    def limit() -> int:
        before = int(get())
        if before != 1:
            change(1)
        return before

    return _Library(limit, change, per_thread=openmp)


def _restore(changed: dict[str, tuple[_Library, int]]) -> None:
    for library, before in changed.values():
        library.restore(before)
    changed.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    # Held while the process forks, so that no other thread holds it in the child for ever.
    os.register_at_fork(
        before=_state.lock.acquire,
        after_in_parent=_state.lock.release,
        after_in_child=_state.start_anew,
    )
