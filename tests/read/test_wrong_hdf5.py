"""HDF5 files that cannot be used: the exact message of each."""

import gzip

import numpy as np
import pytest
from helpers import formats
from helpers.wrong_inputs import CASE, changed, hdf5, label, link, put, replace, written

CASES = [
    pytest.param(
        {"t.h5": hdf5(len)},
        "check t.h5",
        3,
        "t.h5: this HDF5 file is neither .h5ad nor the .h5 of a 10x matrix; it holds nothing.",
        id="hdf5 of nothing",
    ),
    pytest.param(
        {"t.h5": b"\x89HDF\r\n\x1a\n" + b"\0" * 100},
        "check t.h5",
        3,
        "t.h5: the HDF5 file cannot be read (...). Copy or write it again.",
        id="hdf5 cut",
    ),
    pytest.param(
        {"t.h5": hdf5(lambda f: [f.create_group(n) for n in ("row_attrs", "col_attrs")])},
        "check t.h5",
        3,
        "t.h5: there is no matrix. There is no other matrix either.",
        id="loom of nothing",
    ),
    pytest.param(
        {"t.loom": written(formats.loom)},
        "check t.loom --layer spliced",
        3,
        "t.loom: there is no layers['spliced']. There is matrix.",
        id="loom without the layer",
    ),
    pytest.param(
        {"t.loom": written(formats.loom)},
        "check t.loom --use-raw",
        2,
        "t.loom: a Loom file has no raw: leave the option out.",
        id="loom and raw",
    ),
    pytest.param(
        {"t.loom": changed(lambda f: f.pop("row_attrs/Gene"), formats.loom, ids=False)},
        "check t.loom",
        3,
        (
            "t.loom: no attribute in row_attrs names the genes; it is empty. Add an attribute "
            "'Gene' with them (in Python, with loompy)."
        ),
        id="loom without genes",
    ),
    pytest.param(
        {"t.loom": changed(lambda f: f["col_attrs"].move("CellID", "x"), formats.loom)},
        "check t.loom",
        3,
        (
            "t.loom: no attribute in col_attrs names the cells; it has 'x'. Add an attribute "
            "'CellID' with them (in Python, with loompy)."
        ),
        id="loom without cells",
    ),
    pytest.param(
        {"t.loom": changed(replace("matrix", -np.ones((3, 2))), formats.loom)},
        "check t.loom",
        3,
        (
            "t.loom: gene 'Actb', cell 'c1': the value -1 is negative. Give raw counts, CPM or "
            "TPM, and 0 where nothing was counted."
        ),
        id="loom with negative values",
    ),
    pytest.param(
        {"t.loom": changed(replace("matrix", np.ones((2, 3))), formats.loom)},
        "check t.loom",
        3,
        (
            "t.loom: the matrix has 2 rows and 3 columns, but there are 2 cells and 3 genes. The "
            "file is damaged."
        ),
        id="loom transposed",
    ),
    pytest.param(
        {"t.loom": changed(link("matrix"), formats.loom)},
        "check t.loom",
        3,
        (
            "t.loom: /matrix is a link or lies in another file, which is not followed. Write the "
            "data into one file."
        ),
        id="loom with a link",
    ),
    pytest.param(
        {"t.h5": hdf5(lambda f: f.create_group("mod/prot"))},
        "check t.h5",
        3,
        (
            "t.h5: this MuData file has no modality 'rna'; it has 'prot'. In Python, "
            'mudata.read_h5mu("t.h5")["NAME"].write_h5ad("expr.h5ad") writes one of them.'
        ),
        id="mudata",
    ),
    pytest.param(
        {
            "t.h5": hdf5(
                lambda f: [f.create_group(n) for n in ("barcode_idx", "feature_idx", "count")]
            )
        },
        "check t.h5",
        3,
        (
            "t.h5: this is molecule_info.h5 of Cell Ranger, a list of molecules, which is not "
            "read. Give filtered_feature_bc_matrix.h5 instead, which Cell Ranger writes beside it."
        ),
        id="molecule_info",
    ),
    pytest.param(
        {"t.h5": hdf5(lambda f: [f.create_group(n) for n in ("assays", "cell.names")])},
        "check t.h5",
        3,
        "t.h5: this Seurat object has no assays. The file is damaged.",
        id="h5seurat",
    ),
    pytest.param(
        {"t.h5ad": changed(lambda f: f.pop("X"))},
        "check t.h5ad",
        3,
        "t.h5ad: there is no X. There is no other matrix either.",
        id="no X",
    ),
    pytest.param(
        {"t.h5ad": written(formats.h5ad)},
        "check t.h5ad --layer counts",
        3,
        "t.h5ad: there is no layers['counts']. There is X.",
        id="no layer",
    ),
    pytest.param(
        {"t.h5ad": written(formats.h5ad)},
        "check t.h5ad --use-raw",
        3,
        "t.h5ad: there is no raw.X. There is X.",
        id="no raw",
    ),
    pytest.param(
        {"t.h5ad": changed(lambda f: f.pop("obs"))},
        "check t.h5ad",
        3,
        "t.h5ad: there is no obs or no var. The file is damaged.",
        id="no obs",
    ),
    pytest.param(
        {"t.h5ad": changed(link("X"))},
        "check t.h5ad",
        3,
        (
            "t.h5ad: /X is a link or lies in another file, which is not followed. Write the data "
            "into one file."
        ),
        id="link",
    ),
    pytest.param(
        {
            "t.h5ad": changed(
                replace("X", None, shape=(10**6, 10**6), dtype="f4", chunks=(100, 100)),
                kind="dense",
            )
        },
        "check t.h5ad",
        3,
        (
            "t.h5ad: '/X' claims 1,000,000,000,000 values, but the file holds 0 bytes of them. "
            "Copy or write it again."
        ),
        id="claims",
    ),
    pytest.param(
        {"t.h5ad": changed(replace("obs/names", None, shape=(10**12,), dtype="S8", chunks=(100,)))},
        "check t.h5ad",
        3,
        (
            "t.h5ad: '/obs/names' claims 1,000,000,000,000 values, but the file holds 0 bytes of "
            "them. Copy or write it again."
        ),
        id="names without end",
    ),
    pytest.param(
        {
            "t.h5ad": changed(
                replace("X", None, shape=(2, 3), maxshape=(None, 3), dtype="f4", chunks=(10**8, 3)),
                kind="dense",
            )
        },
        "check t.h5ad",
        3,
        "t.h5ad: '/X' has chunks of more than 1 GiB. Write it with smaller chunks.",
        id="large chunks",
    ),
    pytest.param(
        {"t.h5ad": changed(put("X/data", 0, -1))},
        "check t.h5ad",
        3,
        (
            "t.h5ad: gene 'Actb', cell 'c1': the value -1 is negative. Give raw counts, CPM or "
            "TPM, and 0 where nothing was counted."
        ),
        id="negative values",
    ),
    pytest.param(
        {"t.h5ad": changed(put("X/data", 0, np.nan))},
        "check t.h5ad",
        3,
        (
            "t.h5ad: gene 'Actb', cell 'c1': the value nan is not a finite number. Give raw "
            "counts, CPM or TPM, and 0 where nothing was counted."
        ),
        id="no finite value",
    ),
    pytest.param(
        {"t.h5ad": changed(replace("X", np.ones((2, 3), complex)))},
        "check t.h5ad",
        3,
        "t.h5ad: the matrix has 2 dimensions and is of complex128; it must be a table of numbers.",
        id="complex",
    ),
    pytest.param(
        {"t.h5ad": changed(replace("X", np.ones((2, 3, 1))))},
        "check t.h5ad",
        3,
        "t.h5ad: the matrix has 3 dimensions and is of float64; it must be a table of numbers.",
        id="three axes",
    ),
    pytest.param(
        {"t.h5ad": changed(put("X/indices", 0, 9))},
        "check t.h5ad",
        3,
        (
            "t.h5ad: the sparse matrix is damaged: its data, indices and indptr do not fit "
            "together. Copy or write it again."
        ),
        id="indices",
    ),
    pytest.param(
        {"t.h5ad": changed(label("X", "shape", [2, 9]))},
        "check t.h5ad",
        3,
        (
            "t.h5ad: the matrix has 2 rows and 9 columns, but there are 2 cells and 3 genes. The "
            "file is damaged."
        ),
        id="shape",
    ),
    pytest.param(
        {"t.h5ad": changed(label("X", "encoding-type", "coo_matrix"))},
        "check t.h5ad",
        3,
        "t.h5ad: /X is a coo_matrix, not a dense, CSR or CSC matrix. Write it as one of these.",
        id="coo",
    ),
    pytest.param(
        {"t.h5ad": changed(put("obs/names", 1, "c1"))},
        "check t.h5ad",
        3,
        "t.h5ad: cell 'c1' appears twice (cells 1 and 2). Rename or drop one.",
        id="cell twice",
    ),
    pytest.param(
        {"t.h5": written(formats.tenx_v2, ("mm10", "hg19"))},
        "check t.h5",
        2,
        "t.h5: this has the genomes 'hg19', 'mm10'; choose one with --layer NAME.",
        id="two genomes",
    ),
    pytest.param(
        {"t.h5": written(formats.tenx_v3)},
        "check t.h5 --layer mm10",
        2,
        "t.h5: a 10x .h5 file of one genome has no layers: leave the option out.",
        id="one genome",
    ),
    pytest.param(
        {"t.h5": written(formats.tenx_v3)},
        "check t.h5 --gene-column name",
        2,
        (
            "t.h5: the genes have no 'name', but symbols and ids: choose one of these as the gene "
            "column, or leave it out."
        ),
        id="gene column",
    ),
    pytest.param(
        {"t.h5": gzip.compress(b"\x89HDF\r\n\x1a\n\0\0\0")},
        "check t.h5",
        3,
        "t.h5: this is an HDF5 file, compressed. Decompress it.",
        id="compressed",
    ),
]


@pytest.mark.parametrize(CASE, CASES)
def test_message(refusals, files, words, code, message):
    refusals.check(files, words, code, message)


def test_there_are_many():
    assert len(CASES) >= 26
