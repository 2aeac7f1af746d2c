"""Who may change the model file."""

from __future__ import annotations

from pathlib import Path

from cytotrace2_lite.base.finding import Finding
from cytotrace2_lite.models.catalog import open_to_all

__all__ = ["model_permissions"]


def model_permissions(path: str) -> list[Finding]:
    """Look at who may change a model.

    Parameters
    ----------
    path
        Its file.

    Returns
    -------
    list of Finding
        A warning where every user of the machine may change it; else empty.
    """
    place = open_to_all(Path(path))
    if place is None:
        return []
    return [
        Finding(
            "model",
            "warning",
            f"anybody on this machine may change the model, as all may write {place}",
            "Another model gives other scores.",
            f"Remove that permission: chmod o-w '{place}'",
        )
    ]
