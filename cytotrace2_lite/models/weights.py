"""The folded weights of a model, read out of its file.

A module is one network of one member. Its logit is a sum over the genes,

    logit = bias + sum_g rank_weight_g * relu(threshold - rank_g) + second_weight_g * second_g

where `second` is log2 CPM in architecture 1.1.0 and, in 1.0.0, the share that a gene has of the
genes ranked under the threshold of the module (`cytotrace2_lite.models.fold` folds networks into
this form). The model runs in onnxruntime; here are the numbers that it runs with, for whoever asks
what a gene does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.base.potency import N_POTENCIES
from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.genes import N_FEATURES
from cytotrace2_lite.models.onnx_file import initializers, metadata
from cytotrace2_lite.models.sealed import read_model
from cytotrace2_lite.models.tiles import bands

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cytotrace2_lite.models.info import ModelInfo

__all__ = ["Weights", "read_weights"]


@dataclass(frozen=True, eq=False)
class Weights:
    """The networks of an ensemble; module 6 i + k is potency k of member i.

    Attributes
    ----------
    architecture
        `"1.1.0"` (ranks and log2 CPM) or `"1.0.0"` (ranks only).
    threshold
        Ranks below it count; float64, shape (n_modules,).
    rank_weight
        Weight of `relu(threshold - rank)`; float32, shape (14271, n_modules).
    second_weight
        Weight of log2 CPM (1.1.0) or of the share of the genes ranked under the threshold (1.0.0);
        float32, shape (14271, n_modules).
    bias
        float64, shape (n_modules,).
    """

    architecture: str
    threshold: NDArray[np.float64]
    rank_weight: NDArray[np.float32]
    second_weight: NDArray[np.float32]
    bias: NDArray[np.float64]

    @property
    def n_modules(self) -> int:
        """6 times the number of members."""
        return len(self.bias)

    @property
    def n_members(self) -> int:
        """Number of members of the ensemble."""
        return self.n_modules // N_POTENCIES


def read_weights(info: ModelInfo) -> Weights:
    """Read the weights of a loaded model from its file.

    Parameters
    ----------
    info
        Which model: `Ensemble.info`.

    Returns
    -------
    Weights
        The numbers that onnxruntime computes with.

    Raises
    ------
    ModelError
        The file is no longer the one that was loaded, or its weights are not where this version
        expects them.
    """
    path = Path(info.path)
    content, sha256 = read_model(path)
    if sha256 != info.sha256:
        raise ModelError(
            f"{path}: the model was replaced by another one since it was loaded. Load it again."
        )
    try:
        stored = initializers(content)
        threshold = np.array(json.loads(metadata(content)["thresholds"]), dtype=np.float64)
        # As the exporter wrote them: modules in bands of neighbouring thresholds, and after the
        # genes one that is none.
        parts = bands(threshold)
        rank_weight = _joined(stored, "rank_weight", parts)
        second_weight = (
            stored["log2_weight"]
            if info.architecture == "1.1.0"
            else _joined(stored, "share_weight", parts)
        )
        bias = stored["bias"].astype(np.float64)
        if not (rank_weight.shape == second_weight.shape == (N_FEATURES, len(bias))):
            raise ValueError(rank_weight.shape, second_weight.shape)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"{path}: the weights of the model are not stored as this version stores them. "
            "Install the model anew."
        ) from error
    return Weights(info.architecture, threshold, rank_weight, second_weight, bias)


def _joined(
    stored: dict[str, NDArray[np.float32]], name: str, parts: list[NDArray[np.intp]]
) -> NDArray[np.float32]:
    """Join the tables of all bands, in the order of the modules."""
    tables = [stored[f"{name}_{i}"] for i in range(len(parts))]
    order = np.argsort(np.concatenate(parts))
    return np.ascontiguousarray(np.concatenate(tables, axis=1)[:N_FEATURES, order])
