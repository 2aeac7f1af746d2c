"""How the command line names the model that it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cytotrace2_lite.models.installed import BUNDLED_NAMES

if TYPE_CHECKING:
    from cytotrace2_lite.models.info import ModelInfo

__all__ = ["model_line"]


def model_line(info: ModelInfo) -> str:
    """Describe a model in one line.

    Parameters
    ----------
    info
        What the model says of itself.

    Returns
    -------
    str
        Name, origin, number of members, digest.
    """
    notes = []
    if info.official:
        notes.append(f"official CytoTRACE 2 weights, version {info.official}")
    if info.name in BUNDLED_NAMES:
        notes.append("an open ensemble, not the official CytoTRACE 2 weights")
    if info.architecture != "1.1.0":
        notes.append(
            f"architecture {info.architecture} in the pipeline of 1.1.0, "
            "which smooths on log2 CPM, not on ranks"
        )
    note = f" ({'; '.join(notes)})" if notes else ""
    return f"Model: {info.name}{note}, {info.n_members} members, SHA-256 {info.sha256[:12]}"
