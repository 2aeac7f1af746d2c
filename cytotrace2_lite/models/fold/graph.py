"""Write a folded ensemble as an ONNX graph, which is the whole model.

The weights become float32, and the modules are sorted by threshold and cut into bands:
`cytotrace2_lite.models.tiles` says why, and makes the inputs of the graph.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite._version import RELEASE
from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.genes import N_FEATURES, features
from cytotrace2_lite.models.ensemble import expected_score
from cytotrace2_lite.models.fold.folded import FoldedEnsemble, mean_probabilities
from cytotrace2_lite.models.onnx_file import OPSET
from cytotrace2_lite.models.sealed import seal
from cytotrace2_lite.models.tiles import CHUNK_GENES, band_start, bands, threshold_ceiling
from cytotrace2_lite.models.verify import made_up_counts
from cytotrace2_lite.stages.preprocess import log2_cpm, rank_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["to_onnx"]


def to_onnx(folded: FoldedEnsemble, metadata: Mapping[str, str]) -> bytes:
    """Write folded networks as an ONNX model.

    Parameters
    ----------
    folded
        The folded ensemble.
    metadata
        Entries to add to those that the package itself needs.

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
        from onnx import helper
    except ImportError as error:
        raise CytoTRACE2Error(
            "Writing a model needs the package onnx, which is not installed: "
            "pip install 'cytotrace2-lite[export]'"
        ) from error

    n_modules = len(folded.bias)
    threshold = folded.threshold.astype(np.float32).astype(np.float64)  # as the model has them
    graph = _Graph(folded, threshold)
    outputs = [
        helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["cells", n_modules]),
        helper.make_tensor_value_info(
            "probabilities", onnx.TensorProto.DOUBLE, ["cells", len(POTENCIES)]
        ),
    ]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "cytotrace2", graph.inputs, outputs, graph.weights),
        producer_name="cytotrace2_lite",
        producer_version=RELEASE,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,  # read by every onnxruntime that the package accepts
    )
    helper.set_model_props(
        model,
        {
            "architecture": folded.architecture,
            "thresholds": json.dumps(threshold.tolist()),
            "check_scores": json.dumps(_known_scores(folded)),
            "n_members": str(n_modules // len(POTENCIES)),
            "potencies": "\n".join(POTENCIES),
            "features": "\n".join(features()),
            **metadata,
        },
    )
    onnx.checker.check_model(model)
    return seal(model.SerializeToString(deterministic=True))


class _Graph:
    """Inputs, weights and nodes of the graph of a folded ensemble.

    Their order and their names are part of the bytes of a model file.

    Parameters
    ----------
    folded
        The folded ensemble.
    threshold
        Threshold of each module, rounded to float32; float64, shape (n_modules,).
    """

    def __init__(self, folded: FoldedEnsemble, threshold: NDArray[np.float64]) -> None:
        self.inputs: list[Any] = []
        self.weights: list[Any] = []
        self.nodes: list[Any] = []
        self._folded = folded
        self._threshold = threshold
        self._ceiling = threshold_ceiling(threshold)
        self._scale = 2.0 ** -math.ceil(math.log2(self._ceiling))  # a power of two scales exactly
        self._has_shares = folded.architecture == "1.0.0"
        cut = bands(threshold)

        n_modules = len(threshold)
        self._number("scale", 1 / self._scale)
        self._constant("bias", folded.bias.astype(np.float32))
        self._constant("module", np.argsort(np.concatenate(cut)))
        self._axes("second_axis", 1)
        self._axes("by_member", -1, n_modules // len(POTENCIES), len(POTENCIES))
        self._input("under", "FLOAT", "cells", N_FEATURES + 1)
        for i, band in enumerate(cut):
            self._add_band(i, band)
        for name in ("rank_part", *(["share_sum"] if self._has_shares else [])):
            # From the order of the bands to that of the ensemble.
            self._node("Concat", [f"{name}_{i}" for i in range(len(cut))], f"{name}_all", axis=1)
            self._node("Gather", [f"{name}_all", "module"], name, axis=1)
        if self._has_shares:
            self._number("zero", 0)
            self._input("n_under", "FLOAT", "cells", n_modules)
            self._node("Div", ["share_sum", "n_under"], "second_part")
        else:
            self._input("log2_cpm", "FLOAT", "cells", N_FEATURES)
            self._constant("log2_weight", folded.second_weight.astype(np.float32))
            self._node("MatMul", ["log2_cpm", "log2_weight"], "second_part")
        self._add_outputs()

    def _add_band(self, i: int, band: NDArray[np.intp]) -> None:
        """Add what the ranks contribute to the modules of a band."""
        threshold = self._threshold[band]
        start = band_start(threshold)
        self._input(f"gene_{i}", "INT32", f"chunks_{i}", CHUNK_GENES)
        self._input(f"rank_{i}", "FLOAT", f"chunks_{i}", 2)
        self._input(f"cell_{i}", "INT64", f"chunks_{i}", 1)
        lines = np.stack([-np.ones_like(threshold), threshold])
        self._constant(f"lines_{i}", lines.astype(np.float32))
        eye = np.eye(len(band), dtype=np.float32)
        self._constant(f"sum_{i}", np.tile(eye, (CHUNK_GENES, 1)))
        self._axes(f"by_chunk_{i}", -1, CHUNK_GENES * len(band))
        self._constant(f"over_start_{i}", (threshold - start).astype(np.float32))
        self._table(f"rank_weight_{i}", self._folded.rank_weight, band)
        # Clipped to [0, 1]: how far, and whether, a rank is below the start. Both are exact.
        for name, slope in (("depth", self._scale), ("below", 2.0)):
            offset = -slope * (self._ceiling - start)
            self._node("HardSigmoid", ["under"], f"{name}_{i}", alpha=slope, beta=offset)
        self._node("MatMul", [f"depth_{i}", f"rank_weight_{i}"], f"scaled_{i}")
        self._node("Mul", [f"scaled_{i}", "scale"], f"under_start_{i}")
        self._node("MatMul", [f"below_{i}", f"rank_weight_{i}"], f"weight_below_{i}")
        self._node("Mul", [f"weight_below_{i}", f"over_start_{i}"], f"from_start_{i}")
        self._node("Add", [f"under_start_{i}", f"from_start_{i}"], f"rank_below_{i}")
        self._node("MatMul", [f"rank_{i}", f"lines_{i}"], f"margin_{i}")
        self._node("Relu", [f"margin_{i}"], f"positive_{i}")
        self._add_chunks(i, f"positive_{i}", "rank_weight", "rank_below", "rank_part")
        if self._has_shares:
            self._table(f"share_weight_{i}", self._folded.second_weight, band)
            self._node("MatMul", [f"below_{i}", f"share_weight_{i}"], f"share_below_{i}")
            self._node("Less", ["zero", f"margin_{i}"], f"is_under_{i}")
            self._node("Cast", [f"is_under_{i}"], f"indicator_{i}", to=_type("FLOAT"))
            self._add_chunks(i, f"indicator_{i}", "share_weight", "share_below", "share_sum")

    def _add_chunks(self, i: int, factor: str, weight: str, below: str, output: str) -> None:
        """Add the genes ranked inside a band, chunk by chunk, to what those below it contribute."""
        of_gene, of_genes, of_chunk, terms = (
            f"{weight}_{name}_{i}" for name in ("of_gene", "of_genes", "of_chunk", "terms")
        )
        self._node("Gather", [f"{weight}_{i}", f"gene_{i}"], of_gene, axis=0)
        # One product is faster than a sum over the middle axis.
        self._node("Reshape", [of_gene, f"by_chunk_{i}"], of_genes)
        self._node("MatMul", [of_genes, f"sum_{i}"], of_chunk)
        self._node("Mul", [factor, of_chunk], terms)
        self._node(
            "ScatterND", [f"{below}_{i}", f"cell_{i}", terms], f"{output}_{i}", reduction="add"
        )

    def _add_outputs(self) -> None:
        """Add up the logits, and take the mean over the members of their probabilities."""
        self._node("Add", ["rank_part", "second_part"], "both_parts")
        self._node("Add", ["both_parts", "bias"], "logits")
        # Softmax and mean in float64: this costs little, and no more is rounded to float32.
        self._node("Cast", ["logits"], "logits_64", to=_type("DOUBLE"))
        self._node("Reshape", ["logits_64", "by_member"], "member_logits")
        self._node("Softmax", ["member_logits"], "member_probabilities", axis=2)
        self._node(
            "ReduceMean", ["member_probabilities", "second_axis"], "probabilities", keepdims=0
        )

    def _input(self, name: str, kind: str, *shape: str | int) -> None:
        from onnx import helper

        self.inputs.append(helper.make_tensor_value_info(name, _type(kind), shape))

    def _node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def _constant(self, name: str, values: NDArray[Any]) -> None:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))

    def _number(self, name: str, value: float) -> None:
        self._constant(name, np.array(value, np.float32))

    def _axes(self, name: str, *numbers: int) -> None:
        self._constant(name, np.array(numbers, np.int64))

    def _table(self, name: str, weight: NDArray[np.float64], band: NDArray[np.intp]) -> None:
        """Weights of the modules of a band; the last row is for what fills up chunks: zeros."""
        self._constant(name, np.pad(weight[:, band], ((0, 1), (0, 0))).astype(np.float32))


def _type(name: str) -> int:
    from onnx import TensorProto

    number: int = getattr(TensorProto, name)
    return number


def _known_scores(folded: FoldedEnsemble) -> list[float]:
    """Scores of the made-up cells, with which `cytotrace2_lite.models.verify` compares."""
    counts = made_up_counts()
    logits = folded.logits(rank_all(counts), log2_cpm(counts).toarray())
    scores = expected_score(mean_probabilities(logits))
    # Ten digits: the last ones of float64 depend on the machine, and the file must not.
    return [round(score, 10) for score in scores.tolist()]
