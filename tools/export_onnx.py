"""Fold the PyTorch members of a CytoTRACE 2 ensemble into one ONNX model.

    python tools/export_onnx.py MEMBERS_DIR OUT.onnx [--background background.pt] [--name NAME]
                                [--members N] [--architecture VERSION] [--licence TEXT]
                                [--spread-limit SD] [--verify]

MEMBERS_DIR has one .pt file per member, of version 1.1.0 (24 gene sets per network as published,
any number if trained by others) or 1.0.0 (always 12; members of 1.1.0 that also have 12 need
--architecture 1.1.0). Version 1.1.0 needs the matrix of control genes, background.pt, by default
the one in MEMBERS_DIR or its parent. The tool needs the `export` extra. --verify compares the model
with the networks as PyTorch runs them, on made-up cells; only this needs torch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.genes import N_FEATURES
from cytotrace2_lite.models.ensemble import Ensemble, expected_score
from cytotrace2_lite.models.fold.export import export
from cytotrace2_lite.models.fold.folded import FoldedEnsemble, mean_probabilities
from cytotrace2_lite.models.fold.members import (
    find_background,
    member_files,
    read_background,
    read_member,
)
from cytotrace2_lite.models.verify import made_up_counts
from cytotrace2_lite.stages import preprocess
from cytotrace2_lite.system.files import write_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

N_CELLS = 200


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("members", type=Path, metavar="MEMBERS_DIR")
    parser.add_argument("out", type=Path, metavar="OUT.onnx")
    parser.add_argument("--background", type=Path, help="matrix of control genes")
    parser.add_argument("--name", help="name of the model (default: name of MEMBERS_DIR)")
    parser.add_argument("--members", type=int, dest="n_members", help="how many there must be")
    parser.add_argument("--architecture", choices=("1.1.0", "1.0.0"), help="of the members")
    parser.add_argument("--licence", default="unknown", help="licence of the weights")
    parser.add_argument(
        "--spread-limit",
        type=float,
        metavar="SD",
        help="`run` warns where the standard deviation of the score over the members is larger, on "
        "average over the cells",
    )
    parser.add_argument("--verify", action="store_true", help="compare with torch")
    args = parser.parse_args()
    try:
        torch = load_torch() if args.verify else None
        folded, content = export(
            args.members,
            background=args.background,
            name=args.name,
            licence=args.licence,
            n_members=args.n_members,
            architecture=args.architecture,
            spread_limit=args.spread_limit,
        )
        write_whole({args.out: content})
        info = Ensemble.load(args.out).info
        print(
            f"{args.out}: {info.name}, architecture {info.architecture}, {info.n_members} members, "
            f"{len(content) / 1e6:.1f} MB, SHA-256 {info.sha256}"
        )
        if torch is not None:
            verify(torch, args.members, args.background, args.out, folded)
    except CytoTRACE2Error as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def load_torch() -> Any:
    """Import torch, which only --verify needs."""
    try:
        import torch
    except ImportError as error:
        raise CytoTRACE2Error("--verify needs torch, which is not installed.") from error
    return torch


def verify(
    torch: Any, members: Path, background: Path | None, model: Path, folded: FoldedEnsemble
) -> None:
    """Print how far the folded networks and the model are from PyTorch's float64 networks.

    Parameters
    ----------
    torch
        PyTorch.
    members, background
        What was folded.
    model
        The exported model.
    folded
        The folded networks.
    """
    counts = made_up_counts(N_CELLS)
    log2_cpm, rank = preprocess.log2_cpm(counts), preprocess.rank_expressed(counts)
    dense_rank, dense_log2 = preprocess.rank_all(counts), log2_cpm.toarray()
    controls = None
    if folded.architecture == "1.1.0":
        controls = read_background(background or find_background(members))
    logits = {
        dtype: np.concatenate(
            [
                torch_logits(torch, read_member(path)[1], controls, dense_rank, dense_log2, dtype)
                for path in member_files(members)
            ],
            axis=1,
        )
        for dtype in (torch.float32, torch.float64)
    }
    exact = logits[torch.float64]
    p_exact = mean_probabilities(exact)
    print(f"largest difference from PyTorch in float64, {N_CELLS} made-up cells:")
    print(f"{'':24}{'logits':>10} {'probabilities':>14} {'score':>10}")
    others: dict[str, NDArray[Any]] = {
        "folded in float64": folded.logits(dense_rank, dense_log2),
        "this model (float32)": Ensemble.load(model).logits(log2_cpm, rank),
        "PyTorch in float32": logits[torch.float32],
    }
    for label, other in others.items():
        off = np.abs(other - exact).max()
        p_off = mean_probabilities(other) - p_exact
        s_off = np.abs(expected_score(p_off)).max()
        print(f"{label:24}{off:>10.1e} {np.abs(p_off).max():>14.1e} {s_off:>10.1e}")


def torch_logits(
    torch: Any,
    state: dict[str, NDArray[np.float64]],
    controls: csr_array | None,
    rank: NDArray[np.float32],
    log2_cpm: NDArray[np.float64],
    dtype: Any,
) -> NDArray[np.float64]:
    """Logits of one member as the paper defines the network, unfolded; shape (n_cells, 6)."""
    columns = []
    x_rank, x_log2 = torch.tensor(rank, dtype=dtype), torch.tensor(log2_cpm, dtype=dtype)
    for k in range(len(POTENCIES)):
        layer = {
            name.removeprefix(f"layers.{k}."): torch.tensor(values, dtype=dtype)
            for name, values in state.items()
            if name.startswith(f"layers.{k}.")
        }
        sets = (layer["weight"] > 0).to(dtype)
        size = sets.sum(0)
        threshold = size.max() + 10 + 1000 * layer["maxrank"][0, 0].clamp(min=0)
        rank_sum = torch.minimum(x_rank, threshold) @ sets
        u_cell = 1 - (rank_sum - size * (size + 1) / 2) / (size * threshold)
        if controls is None:
            under = (x_rank < threshold).to(dtype)
            expected = under.sum(1, keepdim=True) * size / N_FEATURES
            second = torch.where(expected > 0, under @ sets / expected, 0)
        else:
            control_sets = torch.tensor(controls.T @ sets.numpy(), dtype=dtype)
            second = x_log2 @ sets / size - x_log2 @ control_sets / control_sets.sum(0)
        scores = torch.cat([u_cell, second], 1)
        mean, variance = layer["batchnorm.running_mean"], layer["batchnorm.running_var"]
        normalised = (scores - mean) / torch.sqrt(variance + 1e-5)
        columns.append(normalised @ layer["out.weight"][0] + layer["out.bias"])
    logits: NDArray[np.float64] = torch.stack(columns, 1).double().numpy()
    return logits


if __name__ == "__main__":
    main()
