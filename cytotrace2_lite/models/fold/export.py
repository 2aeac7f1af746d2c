"""From a directory of PyTorch members to the content of one model file."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models.fold.folded import FoldedEnsemble, fold_member
from cytotrace2_lite.models.fold.graph import to_onnx
from cytotrace2_lite.models.fold.members import (
    BACKGROUND,
    GENE_SETS_OF_1_0_0,
    common_version,
    find_background,
    member_files,
    read_background,
    read_member,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from scipy.sparse import csr_array

__all__ = ["export", "fold_members"]

_OFFICIAL_MEMBERS = {"1.1.0": 19, "1.0.0": 17}


def export(
    members: Path,
    *,
    background: Path | None = None,
    name: str | None = None,
    licence: str = "unknown",
    n_members: int | None = None,
    architecture: str | None = None,
    spread_limit: float | None = None,
) -> tuple[FoldedEnsemble, bytes]:
    """Fold a directory of ensemble members into the content of one model file.

    Parameters
    ----------
    members
        Directory of `.pt` files, one per member.
    background
        The matrix of control genes; by default `background.pt` in `members` or its parent
        directory. Architecture 1.0.0 has none.
    name
        Name of the model in results; by default the name of the directory.
    licence
        Licence of the weights, which the model states.
    n_members
        How many members there must be; by default those of the official ensemble, 19 in
        architecture 1.1.0 and 17 in 1.0.0.
    architecture
        `"1.1.0"` or `"1.0.0"`; by default what the number of gene sets says, as for
        `member_version`. Needed for members of 1.1.0 with 12 gene sets.
    spread_limit
        As in `cytotrace2_lite.models.info.ModelInfo`.

    Returns
    -------
    folded : FoldedEnsemble
        The folded networks in float64.
    content : bytes
        What to write to the `.onnx` file.

    Raises
    ------
    ModelError
        The ensemble is incomplete or mixed, a file of it is not usable, or there are control genes
        for members that seem to be of version 1.0.0.
    CytoTRACE2Error
        The `export` extra (onnx) is not installed.
    """
    files = member_files(members)
    version = architecture or common_version(files)
    expected = _OFFICIAL_MEMBERS[version] if n_members is None else n_members
    if len(files) != expected:
        raise ModelError(
            f"{members}: {len(files)} members, not {expected}. The ensemble is incomplete or has "
            f"files that do not belong to it; if {len(files)} is right, pass "
            f"--members {len(files)}."
        )
    sources = list(files)
    control_genes = None
    if version == "1.1.0":
        sources.append(background or find_background(members))
        control_genes = read_background(sources[-1])
    elif architecture is None and (background or (members / BACKGROUND).is_file()):
        raise ModelError(
            f"{members}: there are control genes (background.pt), but members with "
            f"{GENE_SETS_OF_1_0_0} gene sets, which seem to be of version 1.0.0 and would not use "
            "them. Say which they are: tools/export_onnx.py --architecture 1.1.0 or 1.0.0."
        )
    folded = fold_members(files, version, control_genes)
    metadata = {
        "name": name or members.resolve().name,
        "licence": licence,
        "sources": json.dumps(
            [
                {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
                for path in sources
            ]
        ),
    }
    if spread_limit is not None:
        metadata["spread_limit"] = repr(spread_limit)
    return folded, to_onnx(folded, metadata)


def fold_members(
    paths: Iterable[Path], version: str, background: csr_array | None
) -> FoldedEnsemble:
    """Read and fold the members of an ensemble, one by one: each takes 16 MB in float64.

    Parameters
    ----------
    paths
        The member files, in the order that they will have in the model.
    version
        Version of the architecture of all of them.
    background
        Control genes, float64, shape (14271, 14271), for version 1.1.0; None for 1.0.0.

    Returns
    -------
    FoldedEnsemble
        With the modules of all members.

    Raises
    ------
    ModelError
        A member cannot be of that version, is not usable or cannot be folded; the message names
        it.
    """
    folded = []
    for path in paths:
        found, state = read_member(path)
        if version == "1.0.0" and found != version:
            raise ModelError(
                f"{path}: more or fewer gene sets than the {GENE_SETS_OF_1_0_0} of version 1.0.0."
            )
        try:
            folded.append(fold_member(state, background))
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None
    return FoldedEnsemble.concatenate(folded)
