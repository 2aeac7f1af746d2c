"""Fold the members of a CytoTRACE 2 ensemble into one small ONNX model.

Members are PyTorch files of gene set binary networks, one per potency category: binary gene sets,
two scores per gene set, batch normalisation, a linear layer. At inference everything but the cell
is constant, so a network is a threshold on ranks, two vectors over the genes and a constant:

    logit = bias + rank_weight . relu(threshold - rank) + second_weight . second

where `second` is log2 CPM in architecture 1.1.0 and, in 1.0.0, the share each gene has of the
genes ranked under the threshold. Folding is done in float64; the model runs in float32, on the
modules sorted by threshold (`cytotrace2_lite.models.tiles` says how and why).

Source: Kang et al., Nature Methods 2025, doi 10.1038/s41592-025-02857-2; cytotrace2_py 1.1.0.4
`common/models.py` (behaviour).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cytotrace2_lite._version import __version__
from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import CytoTRACE2Error, ModelError
from cytotrace2_lite.genes import N_FEATURES, features
from cytotrace2_lite.models.catalog import seal
from cytotrace2_lite.models.ensemble import expected_score
from cytotrace2_lite.models.fold.torch_file import SparseTensor, Tensor, TorchFile
from cytotrace2_lite.models.onnx_file import OPSET
from cytotrace2_lite.models.selfcheck import check_cells
from cytotrace2_lite.models.tiles import CHUNK_GENES, band_start, bands, top
from cytotrace2_lite.stages.preprocess import log2_cpm, rank_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = [
    "FoldedEnsemble",
    "export",
    "find_background",
    "fold_member",
    "fold_members",
    "mean_probabilities",
    "member_files",
    "member_version",
    "read_background",
    "read_member",
    "to_onnx",
]

_BATCH_NORM_EPS = 1e-5  # torch.nn.BatchNorm1d's default, which upstream keeps
_MAX_RANK_SCALE = 1000


_OFFICIAL_MEMBERS = {"1.1.0": 19, "1.0.0": 17}
_GENE_SETS_OF_1_0_0 = 12


@dataclass(frozen=True)
class FoldedEnsemble:
    """The networks of an ensemble, folded; "module" is one network of one member.

    Attributes
    ----------
    architecture
        `"1.1.0"` (ranks and log2 CPM) or `"1.0.0"` (ranks only).
    threshold
        Ranks below it count; float64, shape (n_modules,).
    rank_weight
        Weight of `relu(threshold - rank)`; float64, shape (14271, n_modules).
    second_weight
        Weight of log2 CPM (1.1.0) or of the share of the genes ranked under the threshold (1.0.0);
        float64, shape (14271, n_modules).
    bias
        float64, shape (n_modules,). Module 6 i + k is potency k of member i.
    """

    architecture: str
    threshold: NDArray[np.float64]
    rank_weight: NDArray[np.float64]
    second_weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    @staticmethod
    def concatenate(parts: list[FoldedEnsemble]) -> FoldedEnsemble:
        """Join the modules of several members of one architecture.

        Parameters
        ----------
        parts
            The members, in the order in which the model is to hold them.

        Returns
        -------
        FoldedEnsemble
            With the modules of all members.
        """
        return FoldedEnsemble(
            parts[0].architecture,
            np.concatenate([part.threshold for part in parts]),
            np.concatenate([part.rank_weight for part in parts], axis=1),
            np.concatenate([part.second_weight for part in parts], axis=1),
            np.concatenate([part.bias for part in parts]),
        )

    def logits(
        self, rank: NDArray[np.floating], log2_cpm: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Evaluate the folded networks in float64, for checks; the model itself runs in ONNX.

        Parameters
        ----------
        rank
            Rank of each gene in its cell, 1 = highest; shape (n_cells, 14271).
        log2_cpm
            log2(CPM + 1); shape (n_cells, 14271). Not used by architecture 1.0.0.

        Returns
        -------
        ndarray
            float64, shape (n_cells, n_modules).
        """
        rank = np.asarray(rank, dtype=np.float64)
        logits = np.tile(self.bias, (len(rank), 1))
        for module, threshold in enumerate(self.threshold):
            under = np.maximum(threshold - rank, 0)
            logits[:, module] += under @ self.rank_weight[:, module]
            if self.architecture == "1.0.0":
                counts = (under > 0).sum(axis=1)
                share = (under > 0) / np.maximum(counts, 1)[:, None]
                logits[:, module] += share @ self.second_weight[:, module]
        if self.architecture == "1.1.0":
            logits += log2_cpm @ self.second_weight
        return logits


def member_files(folder: Path) -> list[Path]:
    """List the member files of an ensemble in their natural order.

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
        There is no such directory, it holds no member, or a number is missing from a series
        `model1.pt`, `model2.pt`, ...
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such directory of ensemble members (.pt files).")
    files = sorted(
        (path for path in folder.glob("*.pt") if path.name != "background.pt"),
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


def read_member(path: Path) -> tuple[str, dict[str, NDArray[np.float64]]]:
    """Read one ensemble member and check that it is complete and finite.

    Parameters
    ----------
    path
        A PyTorch state dictionary of six networks `layers.0` (Differentiated) to `layers.5`
        (Totipotent).

    Returns
    -------
    architecture : str
        `"1.0.0"` for 12 gene sets a network, else `"1.1.0"`, as `member_version` says.
    state : dict
        Tensor name to float64 array.

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


def member_version(path: Path) -> str:
    """Find out from its tensors which version of the architecture a member seems to have.

    Version 1.0.0 always has 12 gene sets a network; 1.1.0 has 24 as published, any number as
    trained by others. So a member of 1.1.0 with 12 is taken for one of 1.0.0.

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


def fold_member(
    state: Mapping[str, NDArray[np.float64]], background: csr_array | None
) -> FoldedEnsemble:
    """Fold the six networks of one member.

    Parameters
    ----------
    state
        Tensors of the member, float64, as `read_member` returns them.
    background
        Control genes, shape (14271, 14271), for architecture 1.1.0; None for 1.0.0.

    Returns
    -------
    FoldedEnsemble
        Six modules, Differentiated to Totipotent.

    Raises
    ------
    ModelError
        A gene set is empty, has no control gene, a threshold reaches the genes not expressed, or
        the member shows that it needs control genes.
    """
    parts = [_fold_module(state, k, background) for k in range(len(POTENCIES))]
    return FoldedEnsemble(
        "1.0.0" if background is None else "1.1.0",
        np.array([part[0] for part in parts]),
        np.stack([part[1] for part in parts], axis=1),
        np.stack([part[2] for part in parts], axis=1),
        np.array([part[3] for part in parts]),
    )


def fold_members(
    paths: Iterable[Path], version: str, background: csr_array | None
) -> FoldedEnsemble:
    """Read and fold the members of an ensemble, one by one: each takes 16 MB in float64.

    Parameters
    ----------
    paths
        The member files, in the order in which the model is to hold them.
    version
        Version of the architecture of all of them.
    background
        As for `fold_member`.

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
    parts = []
    for path in paths:
        found, state = read_member(path)
        if version == "1.0.0" and found != version:
            raise ModelError(
                f"{path}: more or fewer gene sets than the {_GENE_SETS_OF_1_0_0} of version 1.0.0."
            )
        try:
            parts.append(fold_member(state, background))
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None
    return FoldedEnsemble.concatenate(parts)


def to_onnx(folded: FoldedEnsemble, metadata: Mapping[str, str]) -> bytes:
    """Write folded networks as an ONNX model.

    Parameters
    ----------
    folded
        The folded ensemble.
    metadata
        Entries to add to those the package itself needs.

    Returns
    -------
    bytes
        The content of a model file; equal input gives equal bytes.

    Raises
    ------
    CytoTRACE2Error
        The `export` extra (onnx) is not installed.
    """
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise CytoTRACE2Error(
            "Writing a model needs the package onnx, which is not installed: "
            "pip install 'cytotrace2-lite[export]'"
        ) from error

    n_modules = len(folded.bias)
    thresholds = folded.threshold.astype(np.float32).astype(np.float64)  # as the model has them
    highest = top(thresholds)
    scale = 2.0 ** -math.ceil(math.log2(highest))  # a power of two: scaling is exact
    parts = bands(thresholds)

    def constant(name: str, values: NDArray[Any]) -> Any:
        return numpy_helper.from_array(np.ascontiguousarray(values), name)

    def number(name: str, value: float) -> Any:
        return constant(name, np.array(value, np.float32))

    def axes(name: str, *numbers: int) -> Any:
        return constant(name, np.array(numbers, np.int64))

    def table(name: str, weight: NDArray[np.float64], band: NDArray[np.intp]) -> Any:
        """Weights of the modules of a band, and of no gene as the last one."""
        return constant(name, np.pad(weight[:, band], ((0, 1), (0, 0))).astype(np.float32))

    value, node = helper.make_tensor_value_info, helper.make_node
    weights = [
        number("scale", 1 / scale),
        constant("bias", folded.bias.astype(np.float32)),
        constant("module", np.argsort(np.concatenate(parts))),
        axes("second_axis", 1),
        axes("by_member", -1, n_modules // len(POTENCIES), len(POTENCIES)),
    ]
    inputs = [value("under", TensorProto.FLOAT, ["cells", N_FEATURES + 1])]
    nodes = []
    for i, band in enumerate(parts):
        threshold = thresholds[band]
        start = band_start(threshold)
        inputs += [
            value(f"gene_{i}", TensorProto.INT32, [f"chunks_{i}", CHUNK_GENES]),
            value(f"rank_{i}", TensorProto.FLOAT, [f"chunks_{i}", 2]),
            value(f"cell_{i}", TensorProto.INT64, [f"chunks_{i}", 1]),
        ]
        weights += [
            constant(
                f"lines_{i}", np.stack([-np.ones_like(threshold), threshold]).astype(np.float32)
            ),
            constant(f"sum_{i}", np.tile(np.eye(len(band), dtype=np.float32), (CHUNK_GENES, 1))),
            axes(f"by_chunk_{i}", -1, CHUNK_GENES * len(band)),
            constant(f"over_start_{i}", (threshold - start).astype(np.float32)),
            table(f"rank_weight_{i}", folded.rank_weight, band),
        ]
        # Clipped to [0, 1]: how far, and whether, a rank is under the start. Both are exact.
        for name, slope in (("depth", scale), ("below", 2.0)):
            offset = -slope * (highest - start)
            nodes.append(node("HardSigmoid", ["under"], [f"{name}_{i}"], alpha=slope, beta=offset))
        nodes += [
            node("MatMul", [f"depth_{i}", f"rank_weight_{i}"], [f"scaled_{i}"]),
            node("Mul", [f"scaled_{i}", "scale"], [f"under_start_{i}"]),
            node("MatMul", [f"below_{i}", f"rank_weight_{i}"], [f"weight_below_{i}"]),
            node("Mul", [f"weight_below_{i}", f"over_start_{i}"], [f"from_start_{i}"]),
            node("Add", [f"under_start_{i}", f"from_start_{i}"], [f"rank_below_{i}"]),
            node("MatMul", [f"rank_{i}", f"lines_{i}"], [f"margin_{i}"]),
            node("Relu", [f"margin_{i}"], [f"positive_{i}"]),
            *_in_band(node, i, f"positive_{i}", "rank_weight", "rank_below", "rank_part"),
        ]
        if folded.architecture == "1.0.0":
            weights.append(table(f"share_weight_{i}", folded.second_weight, band))
            nodes += [
                node("MatMul", [f"below_{i}", f"share_weight_{i}"], [f"share_below_{i}"]),
                node("Less", ["zero", f"margin_{i}"], [f"is_under_{i}"]),
                node("Cast", [f"is_under_{i}"], [f"indicator_{i}"], to=TensorProto.FLOAT),
                *_in_band(node, i, f"indicator_{i}", "share_weight", "share_below", "share_sum"),
            ]
    whole = ["rank_part", *(["share_sum"] if folded.architecture == "1.0.0" else [])]
    for name in whole:
        nodes += [
            node("Concat", [f"{name}_{i}" for i in range(len(parts))], [f"{name}_all"], axis=1),
            node("Gather", [f"{name}_all", "module"], [name], axis=1),
        ]
    if folded.architecture == "1.1.0":
        inputs.append(value("log2_cpm", TensorProto.FLOAT, ["cells", N_FEATURES]))
        weights.append(constant("log2_weight", folded.second_weight.astype(np.float32)))
        nodes.append(node("MatMul", ["log2_cpm", "log2_weight"], ["second_part"]))
    else:
        weights.append(number("zero", 0))
        inputs.append(value("n_under", TensorProto.FLOAT, ["cells", n_modules]))
        nodes.append(node("Div", ["share_sum", "n_under"], ["second_part"]))
    nodes += [
        node("Add", ["rank_part", "second_part"], ["both_parts"]),
        node("Add", ["both_parts", "bias"], ["logits"]),
        # Softmax and mean in float64: they cost nothing and add no rounding of their own.
        node("Cast", ["logits"], ["logits_64"], to=TensorProto.DOUBLE),
        node("Reshape", ["logits_64", "by_member"], ["member_logits"]),
        node("Softmax", ["member_logits"], ["member_probabilities"], axis=2),
        node("ReduceMean", ["member_probabilities", "second_axis"], ["probabilities"], keepdims=0),
    ]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["cells", n_modules]),
        helper.make_tensor_value_info(
            "probabilities", TensorProto.DOUBLE, ["cells", len(POTENCIES)]
        ),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "cytotrace2", inputs, outputs, weights),
        producer_name="cytotrace2_lite",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,  # read by every onnxruntime the package accepts
    )
    helper.set_model_props(
        model,
        {
            "architecture": folded.architecture,
            "thresholds": json.dumps(thresholds.tolist()),
            "check_scores": json.dumps(_check_scores(folded)),
            "n_members": str(n_modules // len(POTENCIES)),
            "potencies": "\n".join(POTENCIES),
            "features": "\n".join(features()),
            **metadata,
        },
    )
    onnx.checker.check_model(model)
    return seal(model.SerializeToString(deterministic=True))


def export(
    members: Path,
    *,
    background: Path | None = None,
    name: str | None = None,
    licence: str = "unknown",
    n_members: int | None = None,
    architecture: str | None = None,
) -> tuple[FoldedEnsemble, bytes]:
    """Fold a directory of ensemble members into the content of one model file.

    Parameters
    ----------
    members
        Directory of `.pt` files, one per member.
    background
        The matrix of control genes; looked for as `background.pt` in `members` and its parent
        directory where None. Architecture 1.0.0 has none.
    name
        Name of the model in results; by default the name of the directory.
    licence
        Licence of the weights, as the model is to state it.
    n_members
        How many members there must be; by default those of the official ensemble, 19 in
        architecture 1.1.0 and 17 in 1.0.0.
    architecture
        `"1.1.0"` or `"1.0.0"`; by default what the number of gene sets says, as for
        `member_version`. To be given for members of 1.1.0 with 12 gene sets.

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
    version = architecture or _common_version(files)
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
    elif architecture is None and (background or (members / "background.pt").is_file()):
        raise ModelError(
            f"{members}: there are control genes (background.pt), but members with "
            f"{_GENE_SETS_OF_1_0_0} gene sets, which seem to be of version 1.0.0 and would not use "
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
    return folded, to_onnx(folded, metadata)


def mean_probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn the logits of all members into the probabilities of the ensemble.

    Parameters
    ----------
    logits
        Shape (n_cells, n_modules), as `FoldedEnsemble.logits` returns them.

    Returns
    -------
    ndarray
        Mean over the members of the softmax over the potencies; float64, shape (n_cells, 6).
    """
    members = logits.reshape(len(logits), -1, len(POTENCIES))
    powers = np.exp(members - members.max(axis=2, keepdims=True))
    mean: NDArray[np.float64] = (powers / powers.sum(axis=2, keepdims=True)).mean(axis=1)
    return mean


def _in_band(node: Any, i: int, factor: str, weight: str, below: str, output: str) -> list[Any]:
    """Add to what lies under a band what the genes ranked inside of it contribute."""
    of_gene, of_genes, of_chunk, terms = (
        f"{weight}_{part}_{i}" for part in ("of_gene", "of_genes", "of_chunk", "terms")
    )
    return [
        node("Gather", [f"{weight}_{i}", f"gene_{i}"], [of_gene], axis=0),
        # One product is faster than a sum over the middle axis.
        node("Reshape", [of_gene, f"by_chunk_{i}"], [of_genes]),
        node("MatMul", [of_genes, f"sum_{i}"], [of_chunk]),
        node("Mul", [factor, of_chunk], [terms]),
        node(
            "ScatterND",
            [f"{below}_{i}", f"cell_{i}", terms],
            [f"{output}_{i}"],
            reduction="add",
        ),
    ]


def _check_scores(folded: FoldedEnsemble) -> list[float]:
    counts = check_cells()
    logits = folded.logits(rank_all(counts), log2_cpm(counts).toarray())
    scores = expected_score(mean_probabilities(logits))
    # Ten digits: the last ones of float64 depend on the machine, which the file is not to.
    return [round(score, 10) for score in scores.tolist()]


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


def _common_version(paths: list[Path]) -> str:
    version = member_version(paths[0])
    for path in paths[1:]:
        found = member_version(path)
        if found != version:
            raise ModelError(
                f"{path}: a member of version {found} among others of version {version}; ensembles "
                "cannot be mixed."
            )
    return version


def _version_of(n_gene_sets: int) -> str:
    return "1.0.0" if n_gene_sets == _GENE_SETS_OF_1_0_0 else "1.1.0"


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
        if (folder / "background.pt").is_file():
            return folder / "background.pt"
    raise ModelError(
        f"{members}: background.pt is neither in this directory nor in its parent; members of "
        "version 1.1.0 need it. Pass --background FILE."
    )


def _fold_module(
    state: Mapping[str, NDArray[np.float64]], k: int, background: csr_array | None
) -> tuple[float, NDArray[np.float64], NDArray[np.float64], float]:
    layer = f"layers.{k}."
    gene_sets = (state[layer + "weight"] > 0).astype(np.float64)
    sizes = gene_sets.sum(axis=0)
    if not sizes.all():
        raise ModelError(f"gene set {int(np.argmin(sizes))} of {layer[:-1]} is empty.")
    max_rank = float(state[layer + "maxrank"][0, 0])
    threshold = sizes.max() + 10 + _MAX_RANK_SCALE * max(max_rank, 0.0)
    # The genes a cell does not express share a rank of at least this: they must not count.
    if threshold > (1 + N_FEATURES) / 2:
        raise ModelError(
            f"{layer[:-1]} counts ranks up to {threshold:g}, where genes not expressed begin "
            f"({(1 + N_FEATURES) / 2:g}); such a model cannot be folded."
        )
    variance = state[layer + "batchnorm.running_var"]
    if (variance < 0).any():
        raise ModelError(f"tensor {layer}batchnorm.running_var has a negative value.")
    slope = state[layer + "out.weight"][0] / np.sqrt(variance + _BATCH_NORM_EPS)
    alpha, beta = np.split(slope, 2)
    bias = (
        float(state[layer + "out.bias"][0])
        - slope @ state[layer + "batchnorm.running_mean"]
        + alpha @ (sizes + 1) / (2 * threshold)
    )
    rank_weight = gene_sets @ (alpha / (sizes * threshold))
    if background is None:
        if (state[layer + "batchnorm.running_mean"][len(sizes) :] < 0).any():
            raise ModelError(
                f"tensor {layer}batchnorm.running_mean has a negative mean of a share of genes, so "
                "this is no member of version 1.0.0. If it was trained with control genes, say so: "
                "tools/export_onnx.py --architecture 1.1.0."
            )
        return threshold, rank_weight, gene_sets @ (N_FEATURES * beta / sizes), bias
    controls = background.T @ gene_sets
    n_controls = controls.sum(axis=0)
    if not n_controls.all():
        raise ModelError(
            f"gene set {int(np.argmin(n_controls))} of {layer[:-1]} has no control gene."
        )
    return threshold, rank_weight, gene_sets @ (beta / sizes) - controls @ (beta / n_controls), bias
