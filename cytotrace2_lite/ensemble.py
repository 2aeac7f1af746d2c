"""Run the folded ensemble in onnxruntime: ranks and log2 CPM to potency probabilities.

Source: Kang et al., Nature Methods 2025, doi 10.1038/s41592-025-02857-2; cytotrace2_py 1.1.0.4
`predict` (behaviour).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models import find_model, read_model
from cytotrace2_lite.onnx_file import check_graph, metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = ["POTENCIES", "Ensemble", "ModelInfo", "Prediction", "expected_score"]

POTENCIES = (
    "Differentiated",
    "Unipotent",
    "Oligopotent",
    "Multipotent",
    "Pluripotent",
    "Totipotent",
)

# Every run of the session has the same number of cells, and genes in steps: the order in which
# float32 terms are added, and so the last bit of a score, must not depend on a cell's neighbours.
_TILE_CELLS = 4
_GENE_STEP = 64


@dataclass(frozen=True)
class ModelInfo:
    """What a model says of itself.

    Attributes
    ----------
    name, licence
        As given when the model was exported.
    architecture
        `"1.1.0"` (ranks and log2 CPM) or `"1.0.0"` (ranks only).
    n_members
        Number of folded networks per potency.
    sha256
        Digest of the model file.
    path
        Where it was read from.
    sources
        Name and digest of each file it was folded from.
    official
        Version of CytoTRACE 2 whose official weights these are, as the installer found by their
        digests; empty for all others.
    """

    name: str
    licence: str
    architecture: str
    n_members: int
    sha256: str
    path: str
    sources: tuple[dict[str, str], ...]
    official: str = ""


@dataclass(frozen=True)
class Prediction:
    """Scores of the ensemble, before any smoothing.

    Attributes
    ----------
    probabilities
        Mean over the members; float64, shape (n_cells, 6), rows sum to 1, columns as `POTENCIES`.
    score
        Mean expected potency, in [0, 1]; float64, shape (n_cells,).
    potency
        Index of the most probable potency; intp, shape (n_cells,).
    """

    probabilities: NDArray[np.float64]
    score: NDArray[np.float64]
    potency: NDArray[np.intp]


class Ensemble:
    """A loaded model. Load it once and use it for any number of datasets, from any thread.

    It works in a forked process, too; passed to another process, it is loaded anew from its file.

    Attributes
    ----------
    info
        What the model says of itself.
    check_scores
        Scores the model carries for `cytotrace2_lite.selfcheck.check_cells`.
    """

    def __init__(
        self, session: Any, info: ModelInfo, max_rank: float, check_scores: Sequence[float]
    ) -> None:
        self._session = session
        self._max_rank = max_rank
        self._inputs = {tensor.name for tensor in session.get_inputs()}
        self.info = info
        self.check_scores = tuple(check_scores)

    @classmethod
    def load(cls, model: str | os.PathLike[str] | None = None) -> Ensemble:
        """Load a model.

        Parameters
        ----------
        model
            The path of an `.onnx` file or the name of a model; by default as
            `cytotrace2_lite.models.find_model` says.

        Returns
        -------
        Ensemble
            Ready to predict.

        Raises
        ------
        ModelError
            There is no such model, or its file is truncated, altered or of another kind.
        """
        # From 1.29 on, onnxruntime tells its makers of its use over the network, unless this is set
        # when it is first imported; on Windows it tells the system, unless the call below is made.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        from cytotrace2_lite.genes import features

        onnxruntime.disable_telemetry_events()

        path = find_model(model)
        content = read_model(path)
        try:
            check_graph(content)
            described = metadata(content)
            info, max_rank, check_scores = _describe(described, content, path)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        if tuple(described.get("features", "").split("\n")) != features():
            raise ModelError(f"{path}: the model was made for other genes than this package's.")
        options = onnxruntime.SessionOptions()
        # One thread a run: threads share the cells among them, so that a cell's score is computed
        # in the same order whatever their number.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised
        # A session of its own arena would keep the largest tile of every thread for good.
        options.enable_cpu_mem_arena = False
        try:
            session = onnxruntime.InferenceSession(
                content,
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # else it prints before it raises
            )
        # onnxruntime has no public base class of its exceptions.
        except Exception as error:
            _raise_memory_error(error)
            raise ModelError(f"{path}: onnxruntime cannot load the model: {error}") from error
        return cls(session, info, max_rank, check_scores)

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_again, (self.info.path, self.info.sha256)

    def predict(
        self,
        log2_cpm: csr_array,
        rank: NDArray[np.float32],
        *,
        threads: int = 1,
        progress: Callable[[int], None] | None = None,
    ) -> Prediction:
        """Predict the potency of each cell.

        Parameters
        ----------
        log2_cpm
            log2(CPM + 1) over the model's features; float64 CSR, shape (n_cells, 14271).
        rank
            Rank of each stored value of `log2_cpm` in its cell, 1 = highest; float32,
            shape (n_values,).
        threads
            How many threads share the cells. The result does not depend on it.
        progress
            Called with the number of cells done since the last call, from any thread.

        Returns
        -------
        Prediction
            Probabilities, score and potency of each cell.
        """
        probabilities = self._run(log2_cpm, rank, "probabilities", threads, progress)
        return Prediction(
            probabilities, expected_score(probabilities), probabilities.argmax(axis=1)
        )

    def logits(
        self, log2_cpm: csr_array, rank: NDArray[np.float32], *, threads: int = 1
    ) -> NDArray[np.float32]:
        """Compute what each network of each member says, before any softmax.

        Parameters
        ----------
        log2_cpm, rank, threads
            As for `predict`.

        Returns
        -------
        ndarray
            float32, shape (n_cells, 6 n_members); column 6 i + k is potency k of member i.
        """
        return self._run(log2_cpm, rank, "logits", threads, None)

    def _run(
        self,
        log2_cpm: csr_array,
        rank: NDArray[np.float32],
        output: str,
        threads: int,
        progress: Callable[[int], None] | None,
    ) -> NDArray[Any]:
        def run(start: int) -> NDArray[Any]:
            stop = min(start + _TILE_CELLS, log2_cpm.shape[0])
            feed = self._feed(log2_cpm, rank, start, stop)
            try:
                (answer,) = self._session.run([output], feed)
            except Exception as error:
                _raise_memory_error(error)
                raise
            if progress is not None:
                progress(stop - start)
            tile: NDArray[Any] = answer[: stop - start]
            return tile

        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(list(pool.map(run, range(0, log2_cpm.shape[0], _TILE_CELLS))))

    def _feed(
        self, log2_cpm: csr_array, rank: NDArray[np.float32], start: int, stop: int
    ) -> dict[str, NDArray[Any]]:
        """Dense inputs of one tile; cells and genes it does not fill add exactly nothing."""
        cells = [slice(*log2_cpm.indptr[cell : cell + 2]) for cell in range(start, stop)]
        counts = [np.flatnonzero(rank[values] < self._max_rank) for values in cells]
        width = -(-max(1, *map(len, counts)) // _GENE_STEP) * _GENE_STEP
        genes = np.zeros((_TILE_CELLS, width), np.int32)
        ranks = np.full((_TILE_CELLS, width), self._max_rank + 1, np.float32)
        for cell, values in enumerate(cells):
            n_counts = len(counts[cell])
            genes[cell, :n_counts] = log2_cpm.indices[values][counts[cell]]
            ranks[cell, :n_counts] = rank[values][counts[cell]]
        feed: dict[str, NDArray[Any]] = {"gene": genes, "rank": ranks}
        if "log2_cpm" in self._inputs:
            dense = np.zeros((_TILE_CELLS, log2_cpm.shape[1]), np.float32)
            for cell, values in enumerate(cells):
                dense[cell, log2_cpm.indices[values]] = log2_cpm.data[values]
            feed["log2_cpm"] = dense
        return feed


def expected_score(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score of a cell: the mean of k / 5 over the potencies, k = 0 (Differentiated) to 5.

    Parameters
    ----------
    probabilities
        Shape (n_cells, 6), columns as `POTENCIES`.

    Returns
    -------
    ndarray
        float64, shape (n_cells,), in [0, 1] where rows sum to 1.
    """
    score: NDArray[np.float64] = probabilities @ (np.arange(len(POTENCIES)) / (len(POTENCIES) - 1))
    return score


def _load_again(path: str, sha256: str) -> Ensemble:
    """Load the model that another process has; another one would give other scores."""
    ensemble = Ensemble.load(Path(path))
    if ensemble.info.sha256 != sha256:
        raise ModelError(
            f"{path}: the model was replaced by another one since it was loaded. Load it again."
        )
    return ensemble


def _raise_memory_error(error: Exception) -> None:
    """Give what onnxruntime says where memory runs out the type it has everywhere else."""
    if "bad_alloc" in str(error):
        raise MemoryError("onnxruntime ran out of memory") from error


def _describe(
    described: Mapping[str, str], content: bytes, path: Path
) -> tuple[ModelInfo, float, list[float]]:
    """Take what the package needs from the metadata of a model."""
    try:
        info = ModelInfo(
            name=described["name"],
            licence=described["licence"],
            architecture=described["architecture"],
            n_members=int(described["n_members"]),
            sha256=hashlib.sha256(content).hexdigest(),
            path=str(path),
            sources=tuple(json.loads(described["sources"])),
            official=described.get("official", ""),
        )
        potencies = tuple(described["potencies"].split("\n"))
        max_rank = float(described["max_rank"])
        check_scores = [float(score) for score in json.loads(described["check_scores"])]
        if not 0 < max_rank < math.inf:
            raise ValueError(max_rank)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            "the model does not describe itself as this version expects. Export it anew with "
            "tools/export_onnx.py."
        ) from error
    if potencies != POTENCIES:
        raise ModelError("the model was made for other potencies than this package's.")
    return info, max_rank, check_scores
