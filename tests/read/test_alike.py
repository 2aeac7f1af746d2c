"""One dataset through every format gives one result, to the byte."""

import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers import formats, zarr_store
from scipy import sparse

import cytotrace2_lite as ct2
from cytotrace2_lite import genes as gene_tables
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.directory import score_to_directory
from cytotrace2_lite.read import read_expression

DATA = Path(__file__).parents[1] / "data"
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")


def is_known(names):
    return gene_tables.is_known(names, "mouse")


@pytest.fixture(scope="module")
def data():
    """Make a dataset of 110 example cells and 5,000 genes."""
    frame = pd.read_csv(DATA / "enteric_300.txt.gz", sep="\t", index_col=0).iloc[:5000, :110]
    counts = sparse.csr_matrix(frame.to_numpy().T)
    return formats.Dataset(counts, frame.columns, frame.index)


@pytest.fixture(scope="module")
def expected(data, ensembles, tmp_path_factory):
    """Make the result file and the expression of the plain text table."""
    folder = tmp_path_factory.mktemp("expected")
    (folder / "t.txt").write_bytes(formats.text(data))
    score_to_directory(folder / "t.txt", folder, RunOptions(model=ensembles["1.1.0"]))
    expression, _ = read_expression(folder / "t.txt", is_known)
    return (folder / "cytotrace2_results.txt").read_bytes(), expression


def text(data, path, kind=None, **options):
    content = formats.text(data, **options)
    path.write_bytes(formats.compress(content, kind) if kind else content)
    return path


def matrix_of_directory(data, path):
    return formats.directory_v3(data, path) / "matrix.mtx.gz"


#: Writer, its options, options of the reader; then what `Source` says: format, matrix, rows, names.
FIRST, HEADER, INDEX = "the first column", "the header", "the index of var"
ROWS, COLUMNS = "the names of the rows", "the names of the columns"
SYMBOLS = "symbols of features.tsv.gz"
FILES = [
    (text, {}, {}, ("tsv", None, "genes", FIRST)),
    (text, {"delimiter": ","}, {}, ("csv", None, "genes", FIRST)),
    (text, {"kind": "gz"}, {}, ("tsv", None, "genes", FIRST)),
    (text, {"kind": "bz2"}, {}, ("tsv", None, "genes", FIRST)),
    (text, {"kind": "zst"}, {}, ("tsv", None, "genes", FIRST)),
    (text, {"transposed": True}, {}, ("tsv", None, "cells", HEADER)),
    (
        text,
        {"transposed": True, "delimiter": ",", "kind": "gz"},
        {},
        ("csv", None, "cells", HEADER),
    ),
    (formats.directory_v3, {}, {}, ("10x mtx", None, "genes", SYMBOLS)),
    (
        formats.directory_v3,
        {"prefix": "GSM1_"},
        {},
        ("10x mtx", None, "genes", "symbols of GSM1_features.tsv.gz"),
    ),
    (formats.directory_v2, {}, {}, ("10x mtx", None, "genes", "symbols of genes.tsv")),
    (matrix_of_directory, {}, {}, ("10x mtx", None, "genes", SYMBOLS)),
    (formats.tenx_v3, {}, {}, ("10x h5", None, "genes", "symbols of /matrix/features")),
    (formats.tenx_v2, {}, {}, ("10x h5", None, "genes", "symbols of /mm10")),
    (
        formats.tenx_v2,
        {"genomes": ("hg19", "mm10")},
        {"layer": "mm10"},
        ("10x h5", "mm10", "genes", "symbols of /mm10"),
    ),
    (formats.h5ad, {}, {}, ("h5ad", "X", "cells", INDEX)),
    (formats.h5ad, {"compression": "gzip"}, {}, ("h5ad", "X", "cells", INDEX)),
    (formats.h5ad, {"kind": "csc"}, {}, ("h5ad", "X", "cells", INDEX)),
    (formats.h5ad, {"kind": "dense"}, {}, ("h5ad", "X", "cells", INDEX)),
    (formats.h5ad, {"kind": "dense", "chunks": (7, 3000)}, {}, ("h5ad", "X", "cells", INDEX)),
    (formats.h5ad, {"kind": "dense", "chunks": (110, 5)}, {}, ("h5ad", "X", "cells", INDEX)),
    (
        formats.h5ad,
        {"where": "layers/counts"},
        {"layer": "counts"},
        ("h5ad", "layers['counts']", "cells", INDEX),
    ),
    (formats.h5ad, {"where": "raw/X"}, {"use_raw": True}, ("h5ad", "raw.X", "cells", INDEX)),
]
STORE = ("zarr", "X", "cells", INDEX)
FILES += [
    (zarr_store.zarr, {"version": 2, "chunks": 100_000, "compressed": True}, {}, STORE),
    (zarr_store.zarr, {"version": 3, "chunks": 5_000, "compressed": True}, {}, STORE),
    (zarr_store.zarr, {"version": 2, "kind": "csc", "zipped": True}, {}, STORE),
    (zarr_store.zarr, {"version": 3, "zipped": True, "folder": "x.zarr/"}, {}, STORE),
    (zarr_store.zarr, {"version": 2, "kind": "dense", "chunks": (50, 3000)}, {}, STORE),
    (
        zarr_store.zarr,
        {"version": 2, "where": "raw/X"},
        {"use_raw": True},
        ("zarr", "raw.X", "cells", INDEX),
    ),
]
FILES += [
    (formats.loom, {}, {}, ("loom", "matrix", "genes", "row_attrs['Gene']")),
    (formats.loom, {"spec": "2.0.1"}, {}, ("loom", "matrix", "genes", "row_attrs['Gene']")),
    (
        formats.loom,
        {"layer": "spliced", "chunks": (5000, 1)},
        {"layer": "spliced"},
        ("loom", "layers['spliced']", "genes", "row_attrs['Gene']"),
    ),
]
FILES += [
    (writer, options | shape, {}, (kind, None, rows, names))
    for writer, options, kind in (
        (formats.parquet, {}, "parquet"),
        (formats.feather, {}, "arrow"),
        (formats.arrow, {}, "arrow"),
        (formats.arrow, {"stream": True}, "arrow"),
    )
    for shape, rows, names in (
        ({}, "genes", ROWS),
        ({"transposed": True}, "cells", COLUMNS),
        ({"named": False}, "genes", ROWS),
    )
]


def same(expression, other):
    assert expression.cells == other.cells
    assert expression.genes == other.genes
    assert expression.max_value == other.max_value
    assert expression.values.dtype == other.values.dtype
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(expression.values, name), getattr(other.values, name))


@pytest.mark.parametrize(("writer", "how", "options", "said"), FILES)
def test_files(data, expected, ensembles, tmp_path, writer, how, options, said):
    if writer in {formats.tenx_v2, formats.tenx_v3, formats.h5ad, formats.loom}:
        pytest.importorskip("h5py")
    if writer is zarr_store.zarr:
        zarr = pytest.importorskip("zarr")
        if how["version"] == 3 and not hasattr(zarr.storage, "LocalStore"):
            pytest.skip("zarr is too old")
    path = writer(data, tmp_path / "input", **how)
    expression, source = read_expression(path, is_known, **options)
    same(expression, expected[1])
    kind, matrix, rows, names = said
    assert (source.format, source.matrix, source.gene_names) == (kind, matrix, names)
    orientation = {"genes": "genes x cells", "cells": "cells x genes"}[rows]
    assert source.orientation == orientation
    if kind == "zarr" and path.is_dir():
        names = sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
        lines = [
            f"{hashlib.sha256((path / name).read_bytes()).hexdigest()}  ./{name}\n"
            for name in names
        ]
        assert source.path == str(path)
        assert source.n_bytes == sum((path / name).stat().st_size for name in names)
        assert source.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    else:
        inner = path / f"{how.get('prefix', '')}matrix.mtx" if path.is_dir() else path
        inner = inner if inner.exists() else inner.with_name(f"{inner.name}.gz")
        assert source.path == str(inner)
        assert source.n_bytes == inner.stat().st_size
        assert source.sha256 == hashlib.sha256(inner.read_bytes()).hexdigest()
    score_to_directory(path, tmp_path / "out", RunOptions(model=ensembles["1.1.0"], **options))
    assert (tmp_path / "out" / "cytotrace2_results.txt").read_bytes() == expected[0]
    report = json.loads((tmp_path / "out" / "run.json").read_text())["input"]
    assert report["format"] == kind
    assert report["orientation"] == orientation
    assert report["n_cells"] == 110


def test_standard_input(data, expected, model_files, tmp_path):
    content = formats.compress(formats.text(data), "zst")
    command = [sys.executable, "-m", "cytotrace2_lite", "run", "-", "-dpl", "-o", tmp_path / "out"]
    done = subprocess.run(
        [*command, "-m", model_files["1.1.0"]], input=content, capture_output=True, check=True
    )
    assert (tmp_path / "out" / "cytotrace2_results.txt").read_bytes() == expected[0]
    report = json.loads((tmp_path / "out" / "run.json").read_text())["input"]
    assert report["path"] == "-"
    assert report["sha256"] == hashlib.sha256(content).hexdigest()
    line = "Input read as tsv (zstd), genes x cells, gene names from the first column."
    assert line in done.stderr.decode().splitlines()


class AnnData:
    """Looks like AnnData, as far as it is looked at."""

    X = None

    def __init__(self, data, matrix, *, layer=None, raw=False):
        negative = -np.ones(data.counts.shape)
        self.X = matrix if layer is None and not raw else negative
        self.obs = pd.DataFrame(index=data.cells)
        self.obs_names = self.obs.index
        self.uns = {}
        self.var = pd.DataFrame({"gene_ids": data.ids, "n": 1}, index=data.genes)
        self.var_names = self.var.index
        self.layers = {} if layer is None else {layer: matrix}
        self.raw = SimpleNamespace(X=matrix, var=self.var) if raw else None


def frame(data):
    return pd.DataFrame(data.counts.toarray(), index=data.cells, columns=data.genes)


OBJECTS = [
    (lambda d: AnnData(d, d.counts), {}, ("AnnData", "X", "cells", "var_names")),
    (lambda d: AnnData(d, d.counts.tocsc()), {}, ("AnnData", "X", "cells", "var_names")),
    (lambda d: AnnData(d, d.counts.toarray()), {}, ("AnnData", "X", "cells", "var_names")),
    (
        lambda d: AnnData(d, d.counts, layer="counts"),
        {"layer": "counts"},
        ("AnnData", "layers['counts']", "cells", "var_names"),
    ),
    (
        lambda d: AnnData(d, d.counts, raw=True),
        {"use_raw": True},
        ("AnnData", "raw.X", "cells", "var_names"),
    ),
    (frame, {}, ("pandas.DataFrame", None, "cells", COLUMNS)),
    (lambda d: frame(d).T, {}, ("pandas.DataFrame", None, "genes", ROWS)),
    (
        lambda d: pd.DataFrame.sparse.from_spmatrix(d.counts, d.cells, d.genes),
        {},
        ("pandas.DataFrame", None, "cells", COLUMNS),
    ),
    (formats.table, {}, ("pyarrow.Table", None, "genes", ROWS)),
    (lambda d: formats.table(d, transposed=True), {}, ("pyarrow.Table", None, "cells", COLUMNS)),
    (lambda d: pa.Table.from_pandas(frame(d)), {}, ("pyarrow.Table", None, "cells", COLUMNS)),
]


@pytest.mark.parametrize(("make", "options", "said"), OBJECTS)
def test_objects_that_name_their_axes(data, expected, ensembles, make, options, said, tmp_path):
    given = make(data)
    expression, source = read_expression(given, is_known, **options)
    same(expression, expected[1])
    kind, matrix, rows, names = said
    assert (source.format, source.matrix, source.gene_names) == (kind, matrix, names)
    assert source.orientation.startswith(rows)
    assert source.path is None
    result = ct2.run(given, model=ensembles["1.1.0"], **options)
    assert result.write(tmp_path).read_bytes() == expected[0]
    assert result.info["input"]["format"] == kind


@pytest.mark.parametrize(
    "kind", [sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix, sparse.lil_matrix, np.asarray]
)
@pytest.mark.parametrize("orientation", ["auto", "cells-x-genes", "genes-x-cells"])
def test_matrices(data, expected, kind, orientation):
    values = data.counts.toarray()
    matrix = kind(values.T if orientation == "genes-x-cells" else values)
    expression, source = read_expression(
        matrix, is_known, genes=data.genes, cells=data.cells, orientation=orientation
    )
    same(expression, expected[1])
    assert source.orientation.startswith("genes" if orientation == "genes-x-cells" else "cells")


@pytest.fixture(scope="module")
def example():
    frame = pd.read_csv(DATA / "enteric_300.txt.gz", sep="\t", index_col=0).iloc[::250, :20]
    return read_expression(frame, is_known, orientation="genes-x-cells")[0]


class TestRealFiles:
    """Files of anndata 0.6, 0.7 and 0.12 and of an analysis with scanpy, in `data/formats`."""

    @pytest.fixture
    def real(self, tmp_path):
        pytest.importorskip("h5py")

        def unpack(name):
            path = tmp_path / name
            path.write_bytes(gzip.decompress((DATA / "formats" / f"{name}.gz").read_bytes()))
            return path

        return unpack

    @pytest.mark.parametrize(
        "name",
        [
            *("anndata_0_6_csr", "anndata_0_6_dense", "anndata_0_7_csc"),
            *("anndata_new_csr", "anndata_new_dense"),
        ],
    )
    def test_anndata(self, real, example, name):
        path = real(f"{name}.h5ad")
        for options, matrix in (
            ({"layer": "counts"}, "layers['counts']"),
            ({"use_raw": True}, "raw.X"),
        ):
            expression, source = read_expression(path, is_known, **options)
            same(expression, example)
            assert source.matrix == matrix
            assert source.gene_names == "the index of var"
        expression, source = read_expression(path, is_known)
        assert source.other_matrices == ("raw.X", "layers['counts']")
        logged = np.log1p(example.values.toarray().astype(np.float32))
        np.testing.assert_array_equal(expression.values.toarray(), logged)

    def test_scanpy(self, real, example):
        path = real("scanpy_analysis.h5ad")
        expression, source = read_expression(path, is_known, layer="counts")
        same(expression, example)
        assert source.other_matrices == ("X", "raw.X")
        expression, source = read_expression(path, is_known)
        same(expression, example)
        assert (source.matrix, source.instead_of) == ("layers['counts']", "X")
        with pytest.raises(ct2.InputError) as caught:
            read_expression(path, is_known, layer="X")
        assert str(caught.value) == (
            f"{path}: gene 'Camk1d', cell 'TTTGCGCTCTCTGCTG-1': the value -0.429021 is negative. "
            "Give raw counts, CPM or TPM, and 0 where nothing was counted. It was X; there is also "
            "raw.X, layers['counts'] (--layer, --use-raw; layer=, use_raw= in Python)."
        )


@pytest.mark.filterwarnings("ignore")
class TestScverse:
    """With anndata and scanpy themselves, where they are installed."""

    @pytest.fixture
    def scanpy(self):
        return pytest.importorskip("scanpy")

    def test_readers_of_scanpy(self, scanpy, data, expected, tmp_path):
        (tmp_path / "t.txt").write_bytes(formats.text(data))
        for read in (
            scanpy.read_10x_mtx(formats.directory_v3(data, tmp_path / "v3")),
            scanpy.read_10x_mtx(formats.directory_v2(data, tmp_path / "v2")),
            scanpy.read_10x_h5(formats.tenx_v3(data, tmp_path / "v3.h5")),
            scanpy.read_10x_h5(formats.tenx_v2(data, tmp_path / "v2.h5")),
            scanpy.read_text(tmp_path / "t.txt", delimiter="\t", first_column_names=True).T,
            scanpy.read_h5ad(formats.h5ad(data, tmp_path / "csr.h5ad")),
            scanpy.read_h5ad(formats.h5ad(data, tmp_path / "csc.h5ad", "csc")),
        ):
            expression, source = read_expression(read, is_known)
            same(expression, expected[1])
            assert source.gene_names == "var_names"
            read.write_h5ad(tmp_path / "again.h5ad")
            same(read_expression(tmp_path / "again.h5ad", is_known)[0], expected[1])

    @pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
    def test_backed(self, scanpy, data, expected, tmp_path, kind, monkeypatch):
        path = formats.h5ad(data, tmp_path / "t.h5ad", kind)
        monkeypatch.setattr("cytotrace2_lite.read._blocks._N_VALUES", 50_000)
        backed = scanpy.read_h5ad(path, backed="r")
        assert backed.isbacked
        same(read_expression(backed, is_known)[0], expected[1])
        some = read_expression(backed[10:60], is_known)[0]
        assert some.cells == data.cells[10:60]
        np.testing.assert_array_equal(some.values.toarray(), expected[1].values.toarray()[10:60])

    def test_raw_layers_and_views(self, scanpy, data, expected, ensembles, tmp_path):
        adata = scanpy.AnnData(
            data.counts.astype(np.float32),
            obs=pd.DataFrame(index=data.cells),
            var=pd.DataFrame({"gene_ids": data.ids}, index=data.genes),
        )
        adata.raw = adata.copy()
        adata.layers["counts"] = adata.X.copy()
        scanpy.pp.log1p(adata)
        before = adata.X.copy()
        for options in ({"layer": "counts"}, {"use_raw": True}):
            same(read_expression(adata, is_known, **options)[0], expected[1])
        result = ct2.run(adata, layer="counts", model=ensembles["1.1.0"])
        assert result.write(tmp_path).read_bytes() == expected[0]
        assert not (before - adata.X).nnz
        view = adata[:, data.genes[::-1]]
        assert read_expression(view, is_known, layer="counts")[0].genes == data.genes[::-1]
