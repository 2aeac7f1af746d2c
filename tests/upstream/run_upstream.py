"""Run upstream's own `cytotrace2()` on a table and keep its intermediate arrays.

    UPSTREAM_PYTHON run_upstream.py TABLE SPECIES OUT_DIR [options]

To be run by an interpreter that has cytotrace2-py 1.1.0.4. Nothing is downloaded: the members are
those in cytotrace2_py/resources/models, or the .pt files of --models. OUT_DIR gets upstream's
`cytotrace2_results.txt` and `intermediate.npz`. In the latter every array with a first axis of
n_cells has its cells in the order in which upstream processes them, batch after batch:

    cells          str      (n_cells,)       cell names
    batch          int64    (n_cells,)       index of the batch of each cell
    raw_score      float32  (n_cells,)       mean score of the members
    probabilities  float32  (n_cells, 6)     mean probabilities of the members
    potency        int64    (n_cells,)       predicted category, 0 Differentiated .. 5 Totipotent
    diffused       float64  (n_cells,)       result of the smoothing by diffusion
    binned         float64  (n_cells,)       preKNN_CytoTRACE2_Score
    score          float64  (n_cells,)       CytoTRACE2_Score
    pca            float64  (n_cells, 30)    only with --pca; NaN where upstream makes none
    top_genes      int64    (n_batches, 1000)  features of the largest dispersion, ascending
    members        str      (n_members,)     names of the member files, in the order of the mean
    warnings       str      (n_warnings,)    texts of the warnings upstream gave

--raw-scores FILE.npz (`cells`, `raw_score`, `potency` and, optionally, `probabilities`, as above,
in any order of cells) skips the ensemble and goes on with these scores and categories. `raw_score`
keeps its dtype: upstream's own is float32, and that rounding is part of what upstream computes.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import types
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from cytotrace2_py import cytotrace2_py as upstream
from cytotrace2_py.common import gen_utils

POTENCIES = (
    "Differentiated",
    "Unipotent",
    "Oligopotent",
    "Multipotent",
    "Pluripotent",
    "Totipotent",
)
N_COMPONENTS = 30


def natural_key(name):
    """Order model2.pt before model10.pt."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def sorted_walk(top):
    """Walk like os.walk, in an order that does not depend on the file system."""
    for folder, folders, files in os.walk(top):
        folders.sort(key=natural_key)
        yield folder, folders, sorted(files, key=natural_key)


class Recorder:
    """Wrap upstream's functions and record what they return."""

    def __init__(self, models=None, background=None, injected=None, *, keep_inputs=False):
        self.models = models
        self.background = background
        self.injected = injected
        self.keep_inputs = keep_inputs
        self.members = []
        self.batches = []
        self.warnings = []

    def install(self):
        gen_utils.os = types.SimpleNamespace(walk=sorted_walk, path=os.path)
        upstream.check_and_download_models = lambda: None
        for name in (
            "preprocess",
            "top_var_genes",
            "predict",
            "smoothing_by_diffusion",
            "binning",
            "process_subset",
        ):
            original = getattr(upstream, name)
            setattr(upstream, name, functools.partial(getattr(self, name), original))
        recorder = self

        class RecordingPCA(gen_utils.PCA):
            def fit_transform(self, X, y=None):  # noqa: N803 - scikit-learn's name
                components = super().fit_transform(X, y)
                recorder.batches[-1]["pca"][:, : components.shape[1]] = components
                return components

        gen_utils.PCA = RecordingPCA

    def preprocess(self, original, *args):
        cell_names, gene_names, rank, log2 = original(*args)
        self.batches[-1]["pca"] = np.full((len(cell_names), N_COMPONENTS), np.nan)
        if self.keep_inputs:
            self.batches[-1].update(rank=rank, log2=log2)
        return cell_names, gene_names, rank, log2

    def top_var_genes(self, original, log2_data):
        chosen = original(log2_data)
        self.batches[-1]["top_genes"] = chosen
        return chosen

    def predict(self, original, rank_data, log2_data, B_in, cell_names, model_dir, batch_size):  # noqa: N803 - upstream's name
        if self.injected is not None:
            frame = self.injected.loc[cell_names].copy()
        else:
            model_dir = str(self.models or model_dir)
            background = B_in if self.background is None else self.background
            self.members = [
                file
                for _, _, files in sorted_walk(model_dir)
                for file in files
                if file.endswith(".pt")
            ]
            frame = original(rank_data, log2_data, background, cell_names, model_dir, batch_size)
        self.batches[-1].update(
            cells=np.array(list(cell_names), dtype=str),
            raw_score=frame["preKNN_CytoTRACE2_Score"].to_numpy(copy=True),
            potency=frame["preKNN_CytoTRACE2_Potency"]
            .map(POTENCIES.index)
            .to_numpy(dtype=np.int64),
            probabilities=frame[list(POTENCIES)].to_numpy(copy=True),
        )
        return frame

    def smoothing_by_diffusion(self, original, *args):
        scores = original(*args)
        self.batches[-1]["diffused"] = scores.to_numpy(dtype=np.float64, copy=True)
        return scores

    def binning(self, original, *args):
        frame = original(*args)
        self.batches[-1]["binned"] = frame["preKNN_CytoTRACE2_Score"].to_numpy(
            dtype=np.float64, copy=True
        )
        return frame

    def process_subset(self, original, *args):
        self.batches.append({})
        frame = original(*args)
        self.batches[-1]["score"] = frame["CytoTRACE2_Score"].to_numpy(dtype=np.float64, copy=True)
        return frame

    def arrays(self, *, pca):
        """Join the batches."""
        names = ["cells", "raw_score", "probabilities", "potency", "diffused", "binned", "score"]
        if pca:
            names.append("pca")
        joined = {name: np.concatenate([batch[name] for batch in self.batches]) for name in names}
        sizes = [len(batch["cells"]) for batch in self.batches]
        joined["batch"] = np.repeat(np.arange(len(sizes)), sizes)
        joined["top_genes"] = np.stack([batch["top_genes"] for batch in self.batches])
        joined["members"] = np.array(self.members, dtype=str)
        joined["warnings"] = np.array(self.warnings, dtype=str)
        return joined


def read_raw_scores(path):
    """Read --raw-scores into a table laid out as upstream's `predict` returns it."""
    with np.load(path, allow_pickle=False) as given:
        cells = given["cells"]
        frame = pd.DataFrame(
            {
                "preKNN_CytoTRACE2_Score": given["raw_score"],
                "preKNN_CytoTRACE2_Potency": np.array(POTENCIES, dtype=object)[given["potency"]],
            },
            index=cells.tolist(),
        )
        missing = np.full((len(cells), len(POTENCIES)), np.nan, dtype=np.float32)
        frame[list(POTENCIES)] = given.get("probabilities", missing)
    return frame


def run(
    table,
    species,
    out_dir,
    *,
    models=None,
    background=None,
    raw_scores=None,
    batch_size=10000,
    smooth_batch_size=1000,
    seed=14,
    keep_inputs=False,
):
    """Run upstream, write its results into out_dir, return what was recorded."""
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    if isinstance(raw_scores, str | Path):
        raw_scores = read_raw_scores(raw_scores)
    recorder = Recorder(models, background, raw_scores, keep_inputs=keep_inputs)
    kept = {
        module: dict(vars(module)) for module in (upstream, gen_utils)
    }  # so that several runs can follow each other in one process
    try:
        recorder.install()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            upstream.cytotrace2(
                str(table),
                species=species,
                batch_size=batch_size,
                smooth_batch_size=smooth_batch_size,
                seed=seed,
                output_dir=str(out_dir),
                disable_plotting=True,
            )
    finally:
        for module, attributes in kept.items():
            vars(module).update(attributes)
    recorder.warnings = [str(w.message) for w in caught if w.category is UserWarning]
    return recorder


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("species", choices=["mouse", "human"])
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--models", type=Path, help="folder of .pt members, any number")
    parser.add_argument("--background", type=Path, help="background.pt, instead of upstream's")
    parser.add_argument("--raw-scores", type=Path)
    parser.add_argument("--batch-size", type=int, default=10000)
    parser.add_argument("--smooth-batch-size", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=14)
    parser.add_argument("--pca", action="store_true", help="keep the principal components too")
    args = parser.parse_args()
    if args.models and not list(args.models.rglob("*.pt")):
        parser.error(f"{args.models}: no .pt file")
    background = None
    if args.background:
        import torch

        background = torch.load(args.background, weights_only=True).to_dense().T
    recorder = run(
        args.table,
        args.species,
        args.out_dir,
        models=args.models,
        background=background,
        raw_scores=args.raw_scores,
        batch_size=args.batch_size,
        smooth_batch_size=args.smooth_batch_size,
        seed=args.seed,
    )
    np.savez_compressed(args.out_dir / "intermediate.npz", **recorder.arrays(pca=args.pca))


if __name__ == "__main__":
    main()
