"""Find and read the PyTorch files of an ensemble: its members and the matrix of control genes.

A member is a file of six networks, one for each potency category.

Source: cytotrace2_py 1.1.0.4 `common/models.py` (names and shapes of the tensors).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.genes import N_FEATURES
from cytotrace2_lite.models.fold.torch_file import SparseTensor, Tensor, TorchFile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = [
    "BACKGROUND",
    "GENE_SETS_OF_1_0_0",
    "common_version",
    "find_background",
    "member_files",
    "member_version",
    "read_background",
    "read_member",
]

#: Name of the file with the matrix of control genes.
BACKGROUND = "background.pt"
#: Gene sets in each network of architecture 1.0.0.
GENE_SETS_OF_1_0_0 = 12


def member_files(folder: Path) -> list[Path]:
    """List the member files of an ensemble in the order of their numbers.

    Parameters
    ----------
    folder
        A directory with one `.pt` file per member; `background.pt` does not count.

    Returns
    -------
    list of Path
        `model2.pt` before `model10.pt`.

    Raises
    ------
    ModelError
        There is no such directory, it has no member, or a number is missing from a series
        `model1.pt`, `model2.pt`, ...
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such directory of ensemble members (.pt files).")
    files = sorted(
        (path for path in folder.glob("*.pt") if path.name != BACKGROUND),
        key=lambda path: [
            int(s) if i % 2 else s for i, s in enumerate(re.split(r"(\d+)", path.name))
        ],
    )
    if not files:
        raise ModelError(f"{folder}: no ensemble member (.pt file) in this directory.")
    numbers = [re.fullmatch(r"model(\d+)\.pt", path.name) for path in files]
    present = {int(match[1]) for match in numbers if match}
    missing = sorted(set(range(1, max(present, default=0) + 1)) - present)
    if missing:
        raise ModelError(f"{folder}: member model{missing[0]}.pt is missing.")
    return files


def find_background(members: Path) -> Path:
    """Look for the matrix of control genes where upstream keeps it.

    Parameters
    ----------
    members
        Directory of the members.

    Returns
    -------
    Path
        `background.pt` in this directory or in its parent.

    Raises
    ------
    ModelError
        It is in neither.
    """
    for folder in (members, members.resolve().parent):
        if (folder / BACKGROUND).is_file():
            return folder / BACKGROUND
    raise ModelError(
        f"{members}: background.pt is neither in this directory nor in its parent; members of "
        "version 1.1.0 need it. Pass --background FILE."
    )


def member_version(path: Path) -> str:
    """Tell from its tensors which version of the architecture a member seems to have.

    Version 1.0.0 always has 12 gene sets in a network. Version 1.1.0 has 24 as published, any
    number if trained by others. So a member of 1.1.0 with 12 is mistaken for one of 1.0.0.

    Parameters
    ----------
    path
        A PyTorch state dictionary, as for `read_member`.

    Returns
    -------
    str
        `"1.1.0"` or `"1.0.0"`.

    Raises
    ------
    ModelError
        The file is not a member.
    """
    with TorchFile(path) as file:
        return _version_of(_n_gene_sets(path, file.content))


def common_version(paths: list[Path]) -> str:
    """Tell which version of the architecture all members of an ensemble seem to have.

    Parameters
    ----------
    paths
        The member files, at least one.

    Returns
    -------
    str
        `"1.1.0"` or `"1.0.0"`, as `member_version` says.

    Raises
    ------
    ModelError
        A file is not a member, or the versions differ; the message names it.
    """
    version = member_version(paths[0])
    for path in paths[1:]:
        found = member_version(path)
        if found != version:
            raise ModelError(
                f"{path}: a member of version {found} among others of version {version}; ensembles "
                "cannot be mixed."
            )
    return version


def read_member(path: Path) -> tuple[str, dict[str, NDArray[np.float64]]]:
    """Read one ensemble member and make sure that it is complete and finite.

    Parameters
    ----------
    path
        A PyTorch state dictionary of six networks, `layers.0` (Differentiated) to `layers.5`
        (Totipotent).

    Returns
    -------
    architecture : str
        `"1.0.0"` or `"1.1.0"`, as `member_version` says.
    state : dict
        Name of the tensor to its values, float64. Of each network `layers.k`, with n gene sets:
        `maxrank` (1, 1), `weight` (14271, n), `batchnorm.running_mean` and `batchnorm.running_var`
        (2 n,), `out.weight` (1, 2 n), `out.bias` (1,).

    Raises
    ------
    ModelError
        A tensor is missing, of a wrong shape or not finite, or the file is not a member.
    """
    with TorchFile(path) as file:
        n_gene_sets = _n_gene_sets(path, file.content)
        content = cast("dict[str, Tensor]", file.content)
        state = {}
        for name, shape in _member_shapes(n_gene_sets).items():
            if name not in content:
                raise ModelError(f"{path}: tensor {name} is missing.")
            if content[name].shape != shape:
                raise ModelError(
                    f"{path}: tensor {name} has shape {content[name].shape}, not {shape}."
                )
            state[name] = file.read(content[name]).astype(np.float64)
            if not np.isfinite(state[name]).all():
                raise ModelError(f"{path}: tensor {name} has values that are not finite.")
    return _version_of(n_gene_sets), state


def read_background(path: Path) -> csr_array:
    """Read the matrix of control genes of architecture 1.1.0.

    Parameters
    ----------
    path
        A sparse PyTorch tensor (14271, 14271): entry (i, j) counts gene j among the control genes
        of gene i.

    Returns
    -------
    csr_array
        float64, shape (14271, 14271).

    Raises
    ------
    ModelError
        The file is not such a tensor, or has values that are not finite.
    """
    from scipy.sparse import coo_array

    with TorchFile(path) as file:
        tensor = file.content
        if not isinstance(tensor, SparseTensor) or tensor.shape != (N_FEATURES, N_FEATURES):
            raise ModelError(
                f"{path}: the background must be a sparse tensor of shape "
                f"({N_FEATURES}, {N_FEATURES})."
            )
        n_values = tensor.values.shape[0] if tensor.values.shape else -1
        if tensor.indices.shape != (2, n_values) or tensor.indices.dtype != np.dtype("<i8"):
            raise ModelError(f"{path}: the indices of the background do not fit its values.")
        indices, values = file.read(tensor.indices), file.read(tensor.values).astype(np.float64)
    if n_values == 0 or indices.min() < 0 or indices.max() >= N_FEATURES:
        raise ModelError(f"{path}: the background has indices outside 0 to {N_FEATURES - 1}.")
    if not np.isfinite(values).all():
        raise ModelError(f"{path}: the background has values that are not finite.")
    return coo_array((values, (indices[0], indices[1])), shape=tensor.shape).tocsr()


def _n_gene_sets(path: Path, content: dict[str, Tensor] | Tensor | SparseTensor) -> int:
    if not isinstance(content, dict):
        raise ModelError(f"{path}: not an ensemble member: it holds a single tensor.")
    weight = content.get("layers.0.weight")
    if weight is None:
        raise ModelError(f"{path}: not an ensemble member: tensor layers.0.weight is missing.")
    if len(weight.shape) != 2 or weight.shape[0] != N_FEATURES or weight.shape[1] < 1:
        raise ModelError(
            f"{path}: tensor layers.0.weight has shape {weight.shape}; ensemble members have "
            f"({N_FEATURES}, number of gene sets)."
        )
    return weight.shape[1]


def _version_of(n_gene_sets: int) -> str:
    return "1.0.0" if n_gene_sets == GENE_SETS_OF_1_0_0 else "1.1.0"


def _member_shapes(n_gene_sets: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "maxrank": (1, 1),
        "weight": (N_FEATURES, n_gene_sets),
        "batchnorm.running_mean": (2 * n_gene_sets,),
        "batchnorm.running_var": (2 * n_gene_sets,),
        "out.weight": (1, 2 * n_gene_sets),
        "out.bias": (1,),
    }
    return {
        f"layers.{k}.{name}": shape for k in range(len(POTENCIES)) for name, shape in shapes.items()
    }
