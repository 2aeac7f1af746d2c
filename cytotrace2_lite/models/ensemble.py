"""Run the folded ensemble in onnxruntime: ranks and log2 CPM to potency probabilities.

Source: Kang et al., Nature Methods 2025, doi 10.1038/s41592-025-02857-2; cytotrace2_py 1.1.0.4
`predict` (behaviour).
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cytotrace2_lite.base.card import card
from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models.catalog import find_model
from cytotrace2_lite.models.info import ModelInfo, read_info
from cytotrace2_lite.models.onnx_file import metadata, verify_graph
from cytotrace2_lite.models.potencies import expected_score, members_sd
from cytotrace2_lite.models.sealed import read_model
from cytotrace2_lite.models.session import Session, raise_memory_error
from cytotrace2_lite.models.tiles import TILE_CELLS, TileFeed
from cytotrace2_lite.stages import preprocess
from cytotrace2_lite.stages.gene_sums import GeneSums
from cytotrace2_lite.system.threads import in_order

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from cytotrace2_lite.counts import Counts

__all__ = ["Ensemble", "Prediction", "expected_score"]

Answer = TypeVar("Answer")

# This moves the last bits of sums over cells. A multiple of `TILE_CELLS`, so that no tile is half
# empty.
_CELLS_PER_STEP = 128


@dataclass(frozen=True, eq=False)
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
    score_sd
        Population standard deviation of the members' expected potencies, in [0, 0.5]; float64,
        shape (n_cells,). 0 for a model of one member, NaN where the model gives no logits.
    """

    probabilities: NDArray[np.float64]
    score: NDArray[np.float64]
    potency: NDArray[np.intp]
    score_sd: NDArray[np.float64] | None = None


class Ensemble:
    """A loaded model. Load it once and use it for any number of datasets, from any thread.

    It works in a forked process, too. Pickled are only the path of its file and `info`: the process
    that unpickles it loads the file again, and refuses a file of another digest.

    Attributes
    ----------
    info
        What the model says of itself.
    check_scores
        Scores that the model has for `cytotrace2_lite.models.verify.made_up_counts`.
    """

    def __init__(
        self,
        session: Session,
        info: ModelInfo,
        threshold: NDArray[np.float64],
        check_scores: Sequence[float],
    ) -> None:
        self._session = session
        self._threshold = threshold
        # For pickling: the working directory of this or another process may change.
        self._file = Path(info.path).absolute()
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
        ensemble = cls.opening(model)
        ensemble.wait()
        return ensemble

    @classmethod
    def opening(cls, model: str | os.PathLike[str] | None = None) -> Ensemble:
        """Load a model whose session is then opened by a thread, while the caller goes on.

        Parameters
        ----------
        model
            As for `load`.

        Returns
        -------
        Ensemble
            Its `info` is there. What predicts waits for the session.

        Raises
        ------
        ModelError
            As for `load`, but for what only onnxruntime can find wrong: `wait` raises that.
        """
        from cytotrace2_lite.genes import features

        path = find_model(model)
        content, sha256 = read_model(path)
        try:
            described = metadata(content)
            info, threshold, check_scores = read_info(described, sha256, path)
            verify_graph(content)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        if tuple(described.get("features", "").split("\n")) != features():
            raise ModelError(f"{path}: the model was made for other genes than this package's.")
        return cls(Session(content, path), info, threshold, check_scores)

    def wait(self, *, if_open: bool = False) -> None:
        """Wait for the session of a model that is `opening`.

        Parameters
        ----------
        if_open
            Whether to return at once while it is not open, so that only an error is found.

        Raises
        ------
        ModelError
            onnxruntime cannot load the model.
        """
        if not if_open or self._session.is_open:
            self._session.wait()

    @functools.cached_property
    def _has_logits(self) -> bool:
        return self._session.gives_logits(len(self._threshold))

    @property
    def file(self) -> Path:
        """The file that it was loaded from; absolute."""
        return self._file

    def __repr__(self) -> str:
        return f"<Ensemble {self.info.name!r}: {self.info.n_members} members>"

    def _repr_html_(self) -> str:
        """Say in notebooks which model it is."""
        return card(
            f"Model {self.info.name}",
            {
                "Official weights": self.info.official and f"CytoTRACE 2 {self.info.official}",
                "Members": f"{self.info.n_members:,}",
                "Architecture": self.info.architecture,
                "Licence": self.info.licence,
                "File": self.info.path,
                "SHA-256": self.info.sha256[:12],
            },
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_again, (str(self._file), self.info)

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

        Raises
        ------
        ModelError
            The model cannot be run, or does not give a number for each cell and potency.
        """

        def predict_tile(start: int, feed: TileFeed) -> NDArray[Any]:
            return self._run_prediction(feed, log2_cpm, rank, start)

        return _prediction(self._steps(predict_tile, log2_cpm.shape, TILE_CELLS, threads, progress))

    def predict_counts(
        self,
        counts: Counts | csr_array,
        *,
        threads: int = 1,
        progress: Callable[[int], None] | None = None,
        sums: GeneSums | None = None,
    ) -> Prediction:
        """Predict the potency of each cell from its counts.

        The same as `predict` with log2 CPM and ranks of all cells, which would be the largest
        arrays of a run: here they are computed for 128 cells at a time.

        Parameters
        ----------
        counts
            Counts or CPM/TPM over the model's features, values > 0, shape (n_cells, 14271).
        threads, progress
            As for `predict`.
        sums
            The sums of the same log2 CPM over the cells are added to these.

        Returns
        -------
        Prediction
            Probabilities, score and potency of each cell.

        Raises
        ------
        ModelError
            As for `predict`.
        """

        def predict_step(start: int, feed: TileFeed) -> tuple[NDArray[Any], GeneSums]:
            some = counts[start : start + _CELLS_PER_STEP]
            log2_cpm, rank = preprocess.log2_cpm(some), preprocess.rank_expressed(some)
            del some  # a thread has 128 cells in memory once, not twice
            tiles = range(0, log2_cpm.shape[0], TILE_CELLS)
            of_tiles = [self._run_prediction(feed, log2_cpm, rank, first) for first in tiles]
            return np.concatenate(of_tiles), GeneSums.of(log2_cpm)

        def answers() -> Iterator[NDArray[Any]]:
            steps = self._steps(predict_step, counts.shape, _CELLS_PER_STEP, threads, progress)
            for answer, sums_of_step in steps:
                if sums is not None:
                    sums.add(sums_of_step)
                yield answer

        return _prediction(answers())

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

        Raises
        ------
        ModelError
            As for `predict`.
        """

        def tile_logits(start: int, feed: TileFeed) -> NDArray[Any]:
            return self._run("logits", feed, log2_cpm, rank, start)

        none = np.empty((0, len(self._threshold)), np.float32)
        steps = self._steps(tile_logits, log2_cpm.shape, TILE_CELLS, threads, None)
        return np.concatenate([none, *steps])

    def _steps(
        self,
        answer: Callable[[int, TileFeed], Answer],
        shape: tuple[int, int],
        step: int,
        threads: int,
        progress: Callable[[int], None] | None,
    ) -> Iterator[Answer]:
        """Have threads work on some cells at a time; give their answers in the order of the cells.

        Parameters
        ----------
        answer
            Gets the first cell of a step and a feed of its thread.
        shape
            (n_cells, n_features).
        step
            Number of cells that a thread takes at a time, a multiple of 64.
        threads, progress
            As for `predict`.

        Returns
        -------
        iterator
            One answer per step.
        """
        inputs = self._session.inputs
        own = threading.local()  # a feed is used by one thread

        def work(start: int) -> Answer:
            if not hasattr(own, "feed"):
                own.feed = TileFeed(self._threshold, inputs, shape[1])
            found = answer(start, own.feed)
            if progress is not None:
                progress(min(step, shape[0] - start))
            return found

        return in_order(work, range(0, shape[0], step), threads)

    def _run_prediction(
        self, feed: TileFeed, log2_cpm: csr_array, rank: NDArray[np.float32], start: int
    ) -> NDArray[np.float64]:
        """Give six probabilities, and the spread of the members, for each cell of one tile."""
        spread = np.full(TILE_CELLS, np.nan)
        # Other outputs than the exporter's do not matter to scores, only to their spread.
        if self._has_logits:
            outputs = ["probabilities", "logits"]
            probabilities, logits = self._run_session(outputs, feed(log2_cpm, rank, start))
            # Of the whole tile, so that a cell's value does not depend on how many there are.
            if isinstance(logits, np.ndarray) and logits.shape == (
                TILE_CELLS,
                len(self._threshold),
            ):
                spread = members_sd(logits)
        else:
            (probabilities,) = self._run_session(["probabilities"], feed(log2_cpm, rank, start))
        self._check("probabilities", probabilities)
        n_cells = min(TILE_CELLS, log2_cpm.shape[0] - start)
        return np.column_stack([probabilities, spread])[:n_cells]

    def _run(
        self,
        output: str,
        feed: TileFeed,
        log2_cpm: csr_array,
        rank: NDArray[np.float32],
        start: int,
    ) -> NDArray[Any]:
        """Run the session on one tile; give one row for each of its cells."""
        (answer,) = self._run_session([output], feed(log2_cpm, rank, start))
        self._check(output, answer)
        rows: NDArray[Any] = answer[: log2_cpm.shape[0] - start]
        return rows

    def _run_session(self, outputs: Sequence[str], tile: dict[str, NDArray[Any]]) -> list[Any]:
        try:
            answers: list[Any] = self._session.run(outputs, tile)
        # onnxruntime has no public base class of its exceptions.
        except Exception as error:
            raise_memory_error(error)
            raise ModelError(
                f"{self.info.path}: onnxruntime cannot run the model: {error}"
            ) from error
        return answers

    def _check(self, output: str, answer: Any) -> None:
        """Refuse an answer that is not a number for each cell and column."""
        is_number = isinstance(answer, np.ndarray) and answer.dtype.kind == "f"
        if not is_number or answer.shape[:1] != (TILE_CELLS,) or not np.isfinite(answer).all():
            raise ModelError(f"{self.info.path}: the model does not give a number per cell.")
        n_columns, of_what = {
            "probabilities": (len(POTENCIES), "potencies"),
            "logits": (len(self._threshold), "logits"),
        }[output]
        if answer.shape[1:] != (n_columns,):
            raise ModelError(f"{self.info.path}: the model does not give {n_columns} {of_what}.")


def _prediction(answers: Iterable[NDArray[Any]]) -> Prediction:
    """Put together the six probabilities and the spread of cells, some of which come at a time."""
    every = np.concatenate([np.empty((0, len(POTENCIES) + 1)), *answers])
    probabilities = np.ascontiguousarray(every[:, :-1])
    return Prediction(
        probabilities,
        expected_score(probabilities),
        probabilities.argmax(axis=1),
        every[:, -1].copy(),
    )


def _load_again(path: str, info: ModelInfo) -> Ensemble:
    """Unpickle an ensemble; another model under its path would give other scores."""
    ensemble = Ensemble.load(Path(path))
    if ensemble.info.sha256 != info.sha256:
        raise ModelError(
            f"{path}: the model was replaced by another one since it was loaded. Load it again."
        )
    ensemble.info = info
    return ensemble
