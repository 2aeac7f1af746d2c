"""Run the folded ensemble in onnxruntime: ranks and log2 CPM to potency probabilities.

Source: Kang et al., Nature Methods 2025, doi 10.1038/s41592-025-02857-2; cytotrace2_py 1.1.0.4
`predict` (behaviour).
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.genes import N_FEATURES
from cytotrace2_lite.models.catalog import find_model, read_model, remedy
from cytotrace2_lite.models.onnx_file import check_graph, metadata, one_line
from cytotrace2_lite.models.tiles import TILE_CELLS, TileFeed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = ["Ensemble", "ModelInfo", "Prediction", "expected_score"]


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
        Scores the model carries for `cytotrace2_lite.models.selfcheck.check_cells`.
    """

    def __init__(
        self,
        session: Any,
        info: ModelInfo,
        threshold: NDArray[np.float64],
        check_scores: Sequence[float],
    ) -> None:
        self._session = session
        self._threshold = threshold
        self._inputs = frozenset(tensor.name for tensor in session.get_inputs())
        self.info = info
        self.check_scores = tuple(check_scores)

    @classmethod
    def load(cls, model: str | os.PathLike[str] | None = None) -> Ensemble:
        """Load a model.

        Parameters
        ----------
        model
            The path of an `.onnx` file or the name of a model; by default as
            `cytotrace2_lite.models.catalog.find_model` says.

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
            described = metadata(content)
            info, threshold, check_scores = _describe(described, content, path)
            check_graph(content)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        if tuple(described.get("features", "").split("\n")) != features():
            raise ModelError(f"{path}: the model was made for other genes than this package's.")
        options = onnxruntime.SessionOptions()
        # One thread a run: threads share the cells among them, so that a cell's score is computed
        # in the same order whatever their number.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors are raised; logged they would hold names of nodes
        # The arena keeps what a tile needs (tens of MB a thread). Without it the system gives and
        # takes that memory for every tile, which in worker threads can cost as much as the work.
        options.enable_cpu_mem_arena = True
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
        return cls(session, info, threshold, check_scores)

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
        if probabilities.shape != (log2_cpm.shape[0], len(POTENCIES)):
            raise ModelError(
                f"{self.info.path}: the model does not give {len(POTENCIES)} potencies."
            )
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
        n_cells = log2_cpm.shape[0]
        starts = iter(range(0, n_cells, TILE_CELLS))
        answers: dict[int, NDArray[Any]] = {}

        def run() -> None:
            feed = TileFeed(self._threshold, self._inputs, log2_cpm.shape[1])
            for start in starts:  # shared: every thread takes the next one
                n_tile = min(TILE_CELLS, n_cells - start)
                tile = feed(log2_cpm, rank, start)
                try:
                    (answer,) = self._session.run([output], tile)
                # onnxruntime has no public base class of its exceptions.
                except Exception as error:
                    _raise_memory_error(error)
                    raise ModelError(
                        f"{self.info.path}: onnxruntime cannot run the model: {error}"
                    ) from error
                if answer.shape[0] != TILE_CELLS or not np.isfinite(answer).all():
                    raise ModelError(
                        f"{self.info.path}: the model does not give a number per cell."
                    )
                answers[start] = answer[:n_tile]
                if progress is not None:
                    progress(n_tile)

        if threads == 1:
            run()
        else:
            with ThreadPoolExecutor(threads) as pool:
                for done in [pool.submit(run) for _ in range(threads)]:
                    done.result()
        return np.concatenate([answers[start] for start in sorted(answers)])


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
    # Not a matrix product: BLAS adds in an order that depends on the number of cells.
    score = np.zeros(len(probabilities))
    for k, share in enumerate(probabilities.T):
        score += share * (k / (len(POTENCIES) - 1))
    np.minimum(score, 1, out=score)  # rows may sum to a last bit more than 1
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
) -> tuple[ModelInfo, NDArray[np.float64], list[float]]:
    """Take what the package needs from the metadata of a model."""
    try:
        info = ModelInfo(
            name=one_line(described, "name"),
            licence=one_line(described, "licence"),
            architecture=one_line(described, "architecture"),
            n_members=int(described["n_members"]),
            sha256=hashlib.sha256(content).hexdigest(),
            path=str(path),
            sources=tuple(json.loads(described["sources"])),
            official=one_line(described, "official", ""),
        )
        potencies = tuple(described["potencies"].split("\n"))
        threshold = np.array(json.loads(described["thresholds"]), dtype=np.float64)
        check_scores = [float(score) for score in json.loads(described["check_scores"])]
        if (
            threshold.shape != (info.n_members * len(POTENCIES),)
            or not ((threshold > 0) & (threshold < N_FEATURES)).all()
        ):
            raise ValueError(threshold)
    # RecursionError: of JSON that is nested without end.
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"the model does not describe itself as this version expects. {remedy(path)}"
        ) from error
    if potencies != POTENCIES:
        raise ModelError("the model was made for other potencies than this package's.")
    return info, threshold, check_scores
