"""What a model says of itself, for those who use its scores."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.genes import N_FEATURES
from cytotrace2_lite.models.installed import remedy
from cytotrace2_lite.models.onnx_file import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["ModelInfo", "read_info"]


@dataclass(frozen=True)
class ModelInfo:
    """What a model says of itself.

    Attributes
    ----------
    name, licence
        As they were given when the model was exported.
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
        Version of CytoTRACE 2 whose official weights these are, by the digests of the files that
        were installed; empty for all others.
    spread_limit
        Mean standard deviation of the score over the members above which a dataset is unlike the
        training data; None where it was not measured.
    """

    name: str
    licence: str
    architecture: str
    n_members: int
    sha256: str
    path: str
    sources: tuple[dict[str, str], ...]
    official: str = ""
    spread_limit: float | None = None


def read_info(
    entries: Mapping[str, str], sha256: str, path: Path
) -> tuple[ModelInfo, NDArray[np.float64], list[float]]:
    """Take what the package needs from the metadata of a model.

    Parameters
    ----------
    entries
        The metadata.
    sha256
        Digest of the model file.
    path
        Where it was read from.

    Returns
    -------
    info : ModelInfo
        What is shown of the model.
    threshold : ndarray
        Threshold of each module, float64, shape (6 n_members,), 0 < threshold < 14271.
    check_scores : list of float
        Scores of the made-up cells.

    Raises
    ------
    ModelError
        An entry is missing or of another kind, or the model was made for other potencies.
    """
    try:
        info = ModelInfo(
            name=one_line(entries, "name"),
            licence=one_line(entries, "licence"),
            architecture=one_line(entries, "architecture"),
            n_members=int(entries["n_members"]),
            sha256=sha256,
            path=str(path),
            sources=_sources(entries["sources"]),
            official=one_line(entries, "official", ""),
            spread_limit=float(entries["spread_limit"]) if "spread_limit" in entries else None,
        )
        potencies = tuple(entries["potencies"].split("\n"))
        threshold = np.array(json.loads(entries["thresholds"]), dtype=np.float64)
        check_scores = [float(score) for score in json.loads(entries["check_scores"])]
        if (
            threshold.shape != (info.n_members * len(POTENCIES),)
            or not ((threshold > 0) & (threshold < N_FEATURES)).all()
        ):
            raise ValueError(threshold)
    # RecursionError: JSON that is nested too deeply.
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"the model does not describe itself as this version expects. {remedy(path)}"
        ) from error
    if potencies != POTENCIES:
        raise ModelError("the model was made for other potencies than this package's.")
    return info, threshold, check_scores


def _sources(text: str) -> tuple[dict[str, str], ...]:
    found = json.loads(text)
    for source in found:
        if not all(isinstance(word, str) for pair in source.items() for word in pair):
            raise TypeError(text)
    return tuple(found)
