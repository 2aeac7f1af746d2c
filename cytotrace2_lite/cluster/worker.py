"""What the workers of a cluster run: functions that Dask sends by their names.

A worker keeps the model for as long as its process lasts. It scores one batch at a time, with all
threads that Dask gives it: two batches at a time would take twice the memory.
"""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cytotrace2_lite._version import __version__
from cytotrace2_lite.batch import score_batch
from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models.ensemble import Ensemble

if TYPE_CHECKING:
    from cytotrace2_lite.base.parameters import Parameters
    from cytotrace2_lite.batch import BatchScores
    from cytotrace2_lite.counts import Counts
    from cytotrace2_lite.models.info import ModelInfo

__all__ = ["Readiness", "get_ready", "score", "take_model", "versions"]

_models: dict[str, Ensemble] = {}  # by digest
_one_at_a_time = threading.Lock()


class Readiness(NamedTuple):
    """What a worker says of itself.

    Attributes
    ----------
    versions
        Of the packages that decide the last bits of scores.
    has_model
        Whether it has the model; else it needs the bytes.
    """

    versions: dict[str, str]
    has_model: bool


def versions() -> dict[str, str]:
    """Give the versions of this package and of those that decide the last bits of scores."""
    from importlib.metadata import PackageNotFoundError, version

    import numpy as np
    import onnxruntime
    import scipy

    try:
        descent = version("pynndescent")
    except PackageNotFoundError:
        descent = "missing"
    return {
        "cytotrace2_lite": __version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "onnxruntime": onnxruntime.__version__,
        "pynndescent": descent,
    }


def get_ready(path: str, info: ModelInfo) -> Readiness:
    """Load the model, if its file is here, too, and has the same digest.

    Parameters
    ----------
    path
        Where the sender has the model.
    info
        What the sender's model says of itself.

    Returns
    -------
    Readiness
        Versions, and whether there is such a model.
    """
    if info.sha256 not in _models:
        try:
            _keep(Ensemble.load(Path(path)), info)
        except ModelError:  # the bytes will come
            return Readiness(versions(), has_model=False)
    return Readiness(versions(), has_model=info.sha256 in _models)


def take_model(content: bytes, info: ModelInfo) -> bool:
    """Load the model from its bytes.

    Parameters
    ----------
    content
        Of its file.
    info
        What the sender's model says of itself.

    Returns
    -------
    bool
        Whether it has the digest that it should have.

    Raises
    ------
    ModelError
        The bytes are no model.
    """
    number, name = tempfile.mkstemp(suffix=".onnx")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        _keep(Ensemble.load(Path(name)), info)
    finally:
        Path(name).unlink()
    return info.sha256 in _models


def _keep(ensemble: Ensemble, info: ModelInfo) -> None:
    if ensemble.info.sha256 == info.sha256:
        ensemble.info = info
        _models[info.sha256] = ensemble


def score(counts: Counts, sha256: str, parameters: Parameters) -> BatchScores | None:
    """Score a batch.

    Parameters
    ----------
    counts
        Its expression over the model's features.
    sha256
        Digest of the model.
    parameters
        Sizes, seed, and the number of threads of this worker.

    Returns
    -------
    BatchScores or None
        None where the process is new at its address, and has no model yet.
    """
    ensemble = _models.get(sha256)
    if ensemble is None:
        return None
    with _one_at_a_time:
        return score_batch(counts, ensemble, parameters)
