"""Make datasets of any size to measure with: a text table of genes x cells, or an `.h5ad`.

    python tests/benchmarks/make_data.py CELLS OUT.txt|OUT.h5ad

Each cell is one of the 300 of `tests/data/enteric_300.txt.gz` at 0.5 to 1.2 times its depth,
counted anew (Poisson): 2,800 of 20,000 genes in a cell (3,066 genes stand there twice, the second
time under a name that no model knows). The same on every machine. 1,000,000 cells are 23 GB as
`.h5ad`, which needs h5py and is written 10,000 cells at a time.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array, hstack

from cytotrace2_lite.read import read_expression

N_GENES = 20_000
_TABLE = Path(__file__).parents[1] / "data/enteric_300.txt.gz"
_CELLS_PER_STEP = 10_000


def example() -> tuple[list[str], csr_array]:
    """Genes and counts of the real cells, shape (300, 20000)."""
    expression, _ = read_expression(_TABLE)
    counts = expression.values.tocsr().astype(np.float32)
    genes = expression.genes
    again = np.random.default_rng(0).choice(len(genes), N_GENES - len(genes), replace=False)
    genes = genes + [f"{genes[i]}_again" for i in again.tolist()]
    return genes, csr_array(hstack([counts, counts[:, again]]))


def cells(counts: csr_array, start: int, stop: int) -> csr_array:
    """Make the cells from `start` to `stop`, of which the first is a multiple of 10,000."""
    random = np.random.default_rng(start + 1)
    made = counts[np.arange(start, stop) % counts.shape[0]]
    depth = np.repeat(random.uniform(0.5, 1.2, stop - start), np.diff(made.indptr))
    made.data = random.poisson(made.data * depth).astype(np.float32)
    made.eliminate_zeros()
    return made


def write_text(path: Path, n_cells: int) -> None:
    """Write a tab-separated table of genes x cells."""
    genes, counts = example()
    parts = [
        cells(counts, start, min(start + _CELLS_PER_STEP, n_cells))
        for start in range(0, n_cells, _CELLS_PER_STEP)
    ]
    by_gene = [part.T.tocsr() for part in parts]
    with path.open("wb") as file:
        file.write("\t".join(["", *(f"cell{i}" for i in range(n_cells))]).encode() + b"\n")
        for i, gene in enumerate(genes):
            row = np.concatenate([part[[i]].toarray()[0] for part in by_gene]).astype(np.int64)
            file.write(b"\t".join([gene.encode(), *row.astype("S").tolist()]) + b"\n")


def h5ad_of(work: Path, n_cells: int) -> Path:
    """Path of the `.h5ad` with so many cells in a directory, made where it is not there yet."""
    work.mkdir(parents=True, exist_ok=True)
    path = work / f"cells_{n_cells}.h5ad"
    if not path.exists():
        # In a process of its own: the memory of this one would count as that of what it starts.
        subprocess.run([sys.executable, __file__, str(n_cells), str(path)], check=True)
    return path


def write_h5ad(path: Path, n_cells: int) -> None:
    """Write an `.h5ad` with a CSR matrix of float32 and int32, as AnnData does."""
    import h5py

    genes, counts = example()
    text = h5py.string_dtype()

    def encoded(item: Any, kind: str, version: str) -> Any:
        item.attrs["encoding-type"], item.attrs["encoding-version"] = kind, version
        return item

    with h5py.File(path, "w") as file:
        encoded(file, "anndata", "0.1.0")
        for name, names in (("obs", [f"cell{i}" for i in range(n_cells)]), ("var", genes)):
            frame = encoded(file.create_group(name), "dataframe", "0.2.0")
            frame.attrs["_index"] = "_index"
            frame.attrs.create("column-order", [], dtype=text)
            encoded(frame.create_dataset("_index", data=names, dtype=text), "string-array", "0.2.0")
        x = encoded(file.create_group("X"), "csr_matrix", "0.1.0")
        x.attrs["shape"] = (n_cells, len(genes))
        chunks = {"maxshape": (None,), "chunks": (1 << 18,)}
        data = x.create_dataset("data", (0,), np.float32, **chunks)
        indices = x.create_dataset("indices", (0,), np.int32, **chunks)
        indptr = [np.zeros(1, np.int64)]
        for start in range(0, n_cells, _CELLS_PER_STEP):
            part = cells(counts, start, min(start + _CELLS_PER_STEP, n_cells))
            size = data.shape[0]
            for dataset, values in ((data, part.data), (indices, part.indices)):
                dataset.resize((size + part.nnz,))
                dataset[size:] = values
            indptr.append(size + part.indptr[1:].astype(np.int64))
        x.create_dataset("indptr", data=np.concatenate(indptr))


if __name__ == "__main__":
    n_cells, out = int(sys.argv[1]), Path(sys.argv[2])
    (write_h5ad if out.suffix == ".h5ad" else write_text)(out, n_cells)
