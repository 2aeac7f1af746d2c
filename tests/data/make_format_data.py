"""Write `formats/`: 20 example cells as the versions of anndata and scanpy write them.

Run with each of `anndata==0.6.22.post1`, `anndata==0.7.8`, and the newest with `scanpy`; a file of
another version is left as it is.
"""

import gzip
import sys
import tempfile
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))


def example():
    """20 cells and 68 genes: counts, ids of genes that are none."""
    frame = pd.read_csv(HERE / "enteric_300.txt.gz", sep="\t", index_col=0).iloc[::250, :20]
    return frame, [f"ENSXXXG{i:011}" for i in range(len(frame))]


def write(kind, counts, frame, ids, name):
    matrix = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": np.asarray}[kind](counts)
    data = anndata.AnnData(
        matrix,
        obs=pd.DataFrame({"type": ["a", "b"] * 10}, index=frame.columns),
        var=pd.DataFrame({"gene_ids": ids, "group": "g"}, index=frame.index),
    )
    data.raw = data.copy()
    # As after an analysis: X is log-normalised, raw and a layer hold the counts.
    data.X = sparse.csr_matrix(np.log1p(counts)) if kind != "dense" else np.log1p(counts)
    data.layers["counts"] = matrix
    save(data, name)


def save(data, name):
    """Write a file and gzip it: most of so small a file is padding."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        data.write(path, compression="gzip")
        (HERE / "formats" / f"{name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def main():
    """Write the files of the version that is installed."""
    frame, ids = example()
    counts = np.ascontiguousarray(frame.to_numpy().T.astype(np.float32))
    version = {"0.6": "0_6", "0.7": "0_7"}.get(anndata.__version__[:3], "new")
    for kind in {"0_6": ("csr", "dense"), "0_7": ("csc",), "new": ("csr", "dense")}[version]:
        write(kind, counts, frame, ids, f"anndata_{version}_{kind}.h5ad")
    if version != "new":
        return
    import scanpy
    from helpers import formats

    data = formats.Dataset(sparse.csr_matrix(frame.to_numpy().T), frame.columns, frame.index)
    with tempfile.TemporaryDirectory() as folder:
        read = scanpy.read_10x_mtx(formats.directory_v3(data, Path(folder) / "expr"))
    read.layers["counts"] = read.X.copy()
    scanpy.pp.normalize_total(read)
    scanpy.pp.log1p(read)
    read.raw = read
    scanpy.pp.highly_variable_genes(read, n_top_genes=20)
    scanpy.pp.scale(read)
    save(read, "scanpy_analysis.h5ad")


if __name__ == "__main__":
    main()
