"""The session of onnxruntime that runs a model, opened by a thread of its own.

To open a session takes nearly a tenth of a second, outside of Python: time in which SciPy is
imported and the first values can be read.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Session", "raise_memory_error"]


class Session:
    """A session that runs on one thread; all methods but `is_open` wait until it is open.

    Parameters
    ----------
    content
        A model file.
    path
        Where it was read from, for messages.
    """

    def __init__(self, content: bytes, path: Path) -> None:
        # From version 1.29 on, onnxruntime sends usage data over the network unless this variable
        # is set when it is first imported. On Windows it logs usage data (ETW) unless the call
        # below is made.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        # Imported here, not in the thread: to load a library while another thread asks which ones
        # are loaded, as threadpoolctl does, can block both for ever.
        import onnxruntime

        onnxruntime.disable_telemetry_events()
        # Not a daemon: at the end of the process, it is waited for.
        pool = ThreadPoolExecutor(1, thread_name_prefix="open-model")
        self._opening = pool.submit(_open, content, path)
        pool.shutdown(wait=False)

    @property
    def is_open(self) -> bool:
        """Whether it was opened, or could not be."""
        return self._opening.done()

    def wait(self) -> Any:
        """Give the session itself.

        Raises
        ------
        ModelError
            onnxruntime cannot load the model.
        """
        return self._opening.result()

    @property
    def inputs(self) -> frozenset[str]:
        """Names of the inputs."""
        return frozenset(tensor.name for tensor in self.wait().get_inputs())

    def gives_logits(self, n_modules: int) -> bool:
        """Whether there is an output of logits, float32, shape (n_cells, n_modules)."""
        return any(
            tensor.name == "logits"
            and tensor.type == "tensor(float)"
            and list(tensor.shape[1:]) == [n_modules]
            for tensor in self.wait().get_outputs()
        )

    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Compute some outputs. onnxruntime's errors have no public base class."""
        answers: list[Any] = self.wait().run(outputs, inputs)
        return answers


def _open(content: bytes, path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One thread for each run of the session, so that the score of a cell is computed in the same
    # order whatever the number of threads: they share the cells instead.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised; a log would have names of nodes
    # The arena keeps the memory that a tile needs (tens of MB for each thread). Without it, memory
    # is taken from the system and given back for every tile, which in worker threads can take as
    # long as the work.
    options.enable_cpu_mem_arena = True
    try:
        session = onnxruntime.InferenceSession(
            content,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # else it prints before it raises
        )
    except Exception as error:  # onnxruntime has no public base class of its exceptions
        raise_memory_error(error)
        raise ModelError(f"{path}: onnxruntime cannot load the model: {error}") from error
    # It keeps the file, 13 MB, only to load it again on other hardware.
    session._model_bytes = None
    return session


def raise_memory_error(error: Exception) -> None:
    """Raise a MemoryError, as everywhere else, where onnxruntime ran out of memory."""
    if "bad_alloc" in str(error):
        raise MemoryError("onnxruntime ran out of memory") from error
