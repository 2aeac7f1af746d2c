"""Ensemble members with made-up weights, in the two file formats of CytoTRACE 2. NumPy only.

The gene sets and weights are drawn from `numpy.random.RandomState`, whose streams are frozen; they
have nothing to do with the published models and mean nothing biologically. Only the statistics of
the batch-norm come from a file, `goldens/synthetic_calibration.npz`: the means and variances of
the members' gene set scores over 120 real cells, so that the logits spread over all categories.

    state = member(0)                      # v1.1.0: 24 gene sets per potency, ranks and log2 CPM
    state = member(0, version="1.0.0")     # v1.0.0: 12 gene sets per potency, ranks only
    indices, values, shape = background()  # of v1.1.0, as background.pt holds it

`torch.save({name: torch.from_numpy(array) ...})` of a member is a file upstream loads.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

N_FEATURES = 14271
N_MEMBERS = 3
N_POTENCIES = 6
N_CONTROLS = 30
GENE_SETS = {"1.1.0": 24, "1.0.0": 12}
CALIBRATION = Path(__file__).resolve().parents[1] / "goldens" / "synthetic_calibration.npz"


def _seed(index, version):
    return 1000 * (index + 1) + (110 if version == "1.1.0" else 100)


def _layer(draw, layer, n_sets):
    """Give one module: a few dozen genes per set, the other weights negative or exactly 0."""
    # All sets of a module come from one pool, so that they overlap, as learned ones do.
    pool = draw.permutation(N_FEATURES)[:4000]
    weight = -0.02 - 0.2 * draw.random_sample((N_FEATURES, n_sets))
    for column in range(n_sets):
        chosen = pool[draw.permutation(len(pool))[: draw.randint(24, 73)]]
        weight[chosen, column] = 0.01 + 0.2 * draw.random_sample(len(chosen))
        zeros = draw.randint(0, N_FEATURES, 5)
        weight[zeros, column] = 0.0  # not in the set: a gene is in it where its weight is > 0
    # The first module gets a negative value, which counts as 0; the others up to 0.85.
    maxrank = -0.3 if layer == 0 else 0.85 * draw.random_sample()
    return {
        "maxrank": np.full((1, 1), maxrank, dtype=np.float32),
        "weight": weight.astype(np.float32),
        "out.weight": draw.normal(0.0, 0.45, (1, 2 * n_sets)).astype(np.float32),
        "out.bias": draw.normal(0.0, 0.3, 1).astype(np.float32),
    }


def raw_member(index, version="1.1.0"):
    """Give the state dictionary of one member before calibration (means 0, variances 1)."""
    n_sets = GENE_SETS[version]
    draw = np.random.RandomState(_seed(index, version))
    state = {}
    for layer in range(N_POTENCIES):
        drawn = _layer(draw, layer, n_sets)
        arrays = {
            "maxrank": drawn["maxrank"],
            "weight": drawn["weight"],
            "batchnorm.running_mean": np.zeros(2 * n_sets, dtype=np.float32),
            "batchnorm.running_var": np.ones(2 * n_sets, dtype=np.float32),
            "batchnorm.num_batches_tracked": np.array(1000, dtype=np.int64),
            "out.weight": drawn["out.weight"],
            "out.bias": drawn["out.bias"],
        }
        state.update({f"layers.{layer}.{name}": array for name, array in arrays.items()})
    return state


def member(index, version="1.1.0"):
    """Give the state dictionary of one member: name -> array, in the order of the real files."""
    state = raw_member(index, version)
    short = version.replace(".", "")
    with np.load(CALIBRATION, allow_pickle=False) as calibration:
        for name in ("running_mean", "running_var"):
            values = calibration[f"v{short}_{name}"][index]
            for layer in range(N_POTENCIES):
                state[f"layers.{layer}.batchnorm.{name}"] = values[layer]
    return state


def background():
    """Give the background matrix as background.pt holds it.

    A sparse COO tensor of ones, neither sorted nor coalesced: `indices` int64 (2, nnz), `values`
    float32 (nnz,), `shape`. Its transpose is the matrix B of the network. Column j of the stored
    matrix, so row j of B, has the 30 control genes of gene j.
    """
    draw = np.random.RandomState(77)
    columns = np.repeat(draw.permutation(N_FEATURES), N_CONTROLS)
    # Step through a permutation of the genes, so that the controls of a gene are all different,
    # and prefer one half of the genes, so that the matrix is far from symmetric.
    favoured = draw.permutation(N_FEATURES)[: N_FEATURES // 2]
    starts = draw.randint(0, len(favoured), N_FEATURES)
    steps = np.arange(N_CONTROLS) * 211
    rows = favoured[(starts[:, None] + steps) % len(favoured)].ravel()
    indices = np.stack([rows, columns]).astype(np.int64)
    return indices, np.ones(indices.shape[1], dtype=np.float32), (N_FEATURES, N_FEATURES)


def digest(arrays):
    """Give the SHA-256 over the bytes of named arrays, to see that a draw came out the same."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(name.encode())
        total.update(np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()
