"""What is fuzzed: a function of bytes per reader, and the inputs to start from, built from code.

A target hands the bytes to a reader and passes where that gives a result or one of our errors. It
fails on any other exception, on an error whose message is not one line of printable text of
bounded length, and on a result that breaks what the reader promises.
"""

import contextlib
import csv
import functools
import io
import json
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from helpers import formats, torch_format
from scipy.sparse import csr_array

from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.errors import CytoTRACE2Error
from cytotrace2_lite.genes.orthologs import read_orthologs
from cytotrace2_lite.metadata.annotation import read_annotation
from cytotrace2_lite.metadata.coordinates import read_embedding
from cytotrace2_lite.models import onnx_file
from cytotrace2_lite.models.catalog import describe
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.models.fold.torch_file import SparseTensor, Tensor, TorchFile
from cytotrace2_lite.models.sealed import seal
from cytotrace2_lite.output.comparison import compare
from cytotrace2_lite.output.report import orthologs_report
from cytotrace2_lite.output.tables import COLUMNS, EXTRA_COLUMNS
from cytotrace2_lite.read import read_expression

#: Between the files of one input, where a target needs several.
NEXT_FILE = b"\n<<>>\n"
#: Longest message of an error.
LONGEST_MESSAGE = 2000

GENES = ("Actb", "Sox17", "Mt-Nd1")
CELLS = ("c1", "c2", "a-b", "z")
ORIENTATIONS = ("auto", "genes-x-cells", "cells-x-genes")
DUPLICATES = ("error", "first", "sum")


class Target(NamedTuple):
    """What is fuzzed."""

    run: object  # of bytes, and a folder for files
    seeds: object  # gives inputs to start from
    words: tuple[bytes, ...] = ()  # of the format


def dataset():
    """A few counts, large, fractional and zero."""
    counts = np.array([[0, 7, 0], [3, 0, 65536], [0, 0, 1], [1, 255, 12]])
    return formats.Dataset(csr_array(counts), CELLS, GENES)


def known(names):
    """Stand in for the model's list of genes."""
    return np.array([name in GENES for name in names], dtype=bool)


def check_message(error):
    """See that a message is contained: a line of printable text, not too long."""
    text = str(error)
    assert text, "an error says nothing"
    assert text.isprintable(), f"not printable: {text!r}"
    assert len(text) <= LONGEST_MESSAGE, f"{len(text)} characters: {text[:200]!r}"


@contextlib.contextmanager
def ours():
    """Let errors of ours pass."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # Of pickletools, about a name in a pickle; nobody gets to see it.
            warnings.filterwarnings("ignore", "invalid escape sequence", DeprecationWarning)
            yield
    except CytoTRACE2Error as error:
        check_message(error)


def check_expression(expression, source):
    """See that an expression is what the reader promises."""
    values, cells, genes, max_value = (
        getattr(expression, name) for name in ("values", "cells", "genes", "max_value")
    )
    assert values.shape == (len(cells), len(genes)) != (0, 0)
    assert len(set(cells)) == len(cells)
    assert len(set(genes)) == len(genes)
    for names in (cells, genes):
        assert all(isinstance(name, str) and name for name in names)
        "".join(names).encode()
    assert np.isfinite(max_value)
    assert (values.data > 0).all()
    # A sum of genes may be larger, and even infinite, which `run` refuses.
    assert source.duplicate_genes == "sum" or max_value >= values.data.max(initial=0)
    values.check_format(full_check=True)
    source.describe()


def read(path, options):
    """Read expression with options that a byte says."""
    layer = (None, None, None, "counts")[options // 36 % 4]
    with ours():
        expression, source = read_expression(
            path,
            known if options & 1 else None,
            orientation=ORIENTATIONS[options // 2 % 3],
            duplicate_genes=DUPLICATES[options // 6 % 3],
            layer=layer,
            use_raw=layer is None and options // 18 % 2 == 1,
        )
        check_expression(expression, source)


def one_file(name):
    """Make a target of a file whose first byte says the options."""

    def run(data, folder):
        path = folder / name
        path.write_bytes(data[1:])
        read(path, data[0] if data else 0)

    return run


def with_options(contents):
    """Put a byte of options before each content."""
    return [bytes([options]) + content for content in contents for options in (0, 1, 14)]


# --- text ---


def text_seeds():
    data = dataset()
    plain = [formats.text(data), formats.text(data, ","), formats.text(data, transposed=True)]
    plain += [
        b"Actb\tc1\r\nActb\t1e5\r\nSox17\t 2.50 \r\n",
        b'\xef\xbb\xbf"gene","c,1"\n"Actb","3"\n"So""x",0\n\n\n',
        b"c1\tc2\nActb\tNA\t-1\n",
        b"\tc1\nActb\tinf\n",
        b"g c1 c2\nActb 1 2\n",
        b"#x\n\tc1\nActb\t0\nActb\t4\n",
        b"1-Mar\t0.1\n1-Mar\t1\n",
    ]
    packed = [formats.compress(plain[0], kind) for kind in ("gz", "bz2", "zst")]
    return with_options(plain + packed)


# --- 10x directory ---


def run_mtx(data, folder):
    names = ("matrix.mtx", "features.tsv", "barcodes.tsv")
    parts = data[1:].split(NEXT_FILE)
    for name, part in zip(names, [*parts, b"", b""], strict=False):
        (folder / name).write_bytes(part)
    read(folder, data[0] & 1 | 6 * (data[0] // 6 % 3) if data else 0)


def mtx_seeds():
    data = dataset()
    barcodes = "".join(f"{cell}\n" for cell in CELLS).encode()
    ids = "".join(f"{gene}\n" for gene in GENES).encode()
    protein = formats.features(data).replace(b"Gene Expression", b"Antibody Capture", 1)
    real = formats.mtx(data, field="real", by_gene=True).replace(b"65536", b"6.5e+4")
    both = (formats.mtx(data), formats.features(data), barcodes)
    return with_options(
        NEXT_FILE.join(parts)
        for parts in (
            both,
            (real, ids, barcodes),
            (formats.mtx(data), protein, barcodes.replace(b"\n", b"\r\n")),
            tuple(formats.compress(part, "gz") for part in both),
            (b"%%MatrixMarket matrix coordinate integer general\n4 3 1\n4 3 9\n", ids, barcodes),
        )
    )


# --- Parquet, Feather, Arrow ---


def table_seeds():
    data = dataset()
    contents = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table")
        for options in ({}, {"transposed": True}, {"named": False}):
            contents += [
                writer(data, path, **options, **more).read_bytes()
                for writer, more in (
                    (formats.parquet, {}),
                    (formats.arrow, {}),
                    (formats.arrow, {"stream": True}),
                    (formats.feather, {}),
                )
            ]
    return with_options(contents)


# --- HDF5, valid as a container, with anything in it ---


class Bytes:
    """Choices from bytes; zeros when these are used up."""

    def __init__(self, data):
        self._data = data
        self._position = 0

    def number(self, end):
        """A number below `end`, which is 65,536 at most."""
        size = 1 if end <= 256 else 2
        piece = self._data[self._position : self._position + size]
        self._position += size
        return int.from_bytes(piece, "little") % end

    def one_of(self, items):
        return items[self.number(len(items))]

    @property
    def left(self):
        return len(self._data) - self._position


def h5ad_parts():
    """Path to value of each part of a `.h5ad`: an array, or a dictionary of attributes."""
    counts = dataset().counts
    frame = {"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "names"}
    return {
        "": {"encoding-type": "anndata", "encoding-version": "0.1.0"},
        "X": {"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": counts.shape},
        "X/data": counts.data.astype(np.float32),
        "X/indices": counts.indices,
        "X/indptr": counts.indptr,
        "obs": frame,
        "obs/names": list(CELLS),
        "obs/batch": {"encoding-type": "categorical", "encoding-version": "0.2.0"},
        "obs/batch/codes": np.array([0, 1, -1, 0], np.int8),
        "obs/batch/categories": ["one", "two"],
        "obs/flag": {"encoding-type": "nullable-integer", "encoding-version": "0.1.0"},
        "obs/flag/values": np.array([1, 2, 3, 4]),
        "obs/flag/mask": np.array([True, False, False, False]),
        "var": frame,
        "var/names": list(GENES),
        "var/gene_ids": list(reversed(GENES)),
        "layers": {"encoding-type": "dict", "encoding-version": "0.1.0"},
        "layers/counts": counts.toarray(),
        "raw": {"encoding-type": "raw", "encoding-version": "0.1.0"},
        "raw/X": counts.toarray().astype(np.float32),
        "raw/var": frame,
        "raw/var/names": list(GENES),
        "obsm": {},
        "obsm/X_umap": np.zeros((4, 2)),
    }


def tenx_parts():
    """The same of a 10x `.h5`."""
    data = dataset()
    return {
        "matrix": {},
        "matrix/barcodes": np.array(CELLS, "S"),
        "matrix/data": data.counts.data.astype(np.int32),
        "matrix/indices": data.counts.indices.astype(np.int64),
        "matrix/indptr": data.counts.indptr.astype(np.int64),
        "matrix/shape": np.array([3, 4], np.int32),
        "matrix/features": {},
        "matrix/features/id": np.array(data.ids, "S"),
        "matrix/features/name": np.array(GENES, "S"),
        "matrix/features/feature_type": np.array([b"Gene Expression"] * 3),
    }


def _arrays():
    """Values that a part may have in place of its own."""
    return (
        np.array(3),
        np.zeros(0),
        np.zeros((2, 2)),
        np.array([np.nan, 1, np.inf, -1]),
        np.arange(4),
        np.array([0, 2, 4, 6, 9], np.int8),
        np.array([1, 1, 1, 1], np.uint64) << np.uint64(63),
        np.array([2, 1, 0], np.int64) - 2**63 + 5,
        np.array([1 + 2j] * 4),
        np.array([True, False, True]),
        np.array([b"\xff\xfe", b"a\0b", b""]),
        ["\x1b[31m", "=1+1", "c1", "\u202e"],
        ["c1", "c1", "c2", "c3"],
        ["x" * 3000, "a\nb", "../x", "z"],
        np.array([(1, b"c1"), (2, b"c2")], [("index", "S2"), ("f", "i4")][::-1]),
        np.array([(b"a", 2.0), (b"b", 1.0), (b"c", 0), (b"d", 0)], [("index", "S1"), ("x", "f8")]),
        np.zeros(1, "V3"),
        np.zeros((2,), np.dtype((np.int32, (2,)))),
    )


_ATTRIBUTES = (
    ("encoding-type", "csc_matrix"),
    ("encoding-type", "array"),
    ("encoding-type", "null"),
    ("encoding-type", np.array([1, 2])),
    ("encoding-type", b"\xff"),
    ("_index", "nothing"),
    ("_index", "names/"),
    ("_index", np.array(["names", "x"], "S")),
    ("_index", 3),
    ("shape", np.array([4, 3, 2])),
    ("shape", np.array([-1, 3])),
    ("shape", np.array([2.5, np.nan])),
    ("shape", np.array([2**62, 2**62])),
    ("shape", "4"),
    ("shape", np.array([3, 4])),
    ("h5sparse_format", "csr"),
    ("h5sparse_shape", np.array([4, 3])),
    ("categories", "x"),
)


def run_hdf5(parts):
    """Make a target that builds a file and changes a few of its parts as the bytes say."""

    def run(data, folder):
        import h5py

        choices = Bytes(data)
        options = choices.number(256)
        path = folder / "file.h5"
        with h5py.File(path, "w", libver="latest") as file:
            for name, value in parts().items():
                if isinstance(value, dict):
                    group = file.require_group(name) if name else file
                    for key, attribute in value.items():
                        group.attrs[key] = attribute
                else:
                    write(file, name, value)
            for _ in range(6):
                if choices.left <= 0:
                    break
                with contextlib.suppress(Exception):
                    change(file, choices, list(parts()))
        read(path, options)

    return run


def write(file, name, value, **options):
    import h5py

    if isinstance(value, list):
        file.create_dataset(name, data=value, dtype=h5py.string_dtype(), **options)
    else:
        file.create_dataset(name, data=value, **options)


def change(file, choices, names):
    """Change something of a file."""
    import h5py

    name = choices.one_of([*names[1:], "extra", "uns"])
    what = choices.number(12)
    if what in {7, 9, 10} and file[name].size > 10_000:
        return  # they read it as it is, and an earlier change has it claim far more than there is
    if what == 0:
        del file[name]
    elif what in {1, 2, 3}:
        if name in file:
            del file[name]
        write(file, name, choices.one_of(_arrays()))
    elif what == 4:
        key, value = choices.one_of(_ATTRIBUTES)
        file[name].attrs[key] = value
    elif what == 5:
        attributes = file[choices.one_of([name, "/"])].attrs
        for key in list(attributes):
            del attributes[key]
    elif what == 6:
        other = choices.one_of(names[1:])
        if name in file:
            del file[name]
        file[name] = choices.one_of(
            [h5py.SoftLink("/" + other), h5py.ExternalLink("file.h5", other), file[other]]
        )
    elif what == 7:
        values = file[name][...].ravel()
        values[choices.number(len(values))] = choices.one_of([0, 1, 2, 3, -1, 127, 100_000, 0.5])
        file[name][...] = values.reshape(file[name].shape)
    elif what == 8:  # far more than there is
        kind = file[name].dtype
        del file[name]
        n = choices.one_of([5, 1000, 10**6, 10**12, 2**60])
        shape = choices.one_of([(n,), (n, 3), (4, n), (n, n)])
        chunks = tuple(min(length, choices.one_of([1, 8, 1024])) for length in shape)
        fill = choices.one_of([None, 1])
        file.create_dataset(name, shape, kind, chunks=chunks, fillvalue=fill)
    elif what == 9:
        values, kind = file[name][...], file[name].dtype
        del file[name]
        filters = choices.one_of(
            [
                {"compression": "gzip"},
                {"compression": "lzf"},
                {"shuffle": True},
                {"fletcher32": True},
                {"maxshape": tuple([None] * values.ndim)},
            ]
        )
        file.create_dataset(name, data=values, dtype=kind, chunks=True, **filters)
    elif what == 10:
        kind = choices.one_of(["S3", "f2", "f8", "u8", "i1", "O", "?", ">i4"])
        values = file[name][...]
        kind = h5py.string_dtype() if kind == "O" else kind
        del file[name]
        file.create_dataset(name, data=values.astype(kind), dtype=kind)
    else:
        columns = np.zeros(choices.one_of([3, 4]), [("index", "S2"), ("v", "f4"), ("gene", "i4")])
        columns["index"] = [b"a", b"b", b"c", b"d"][: len(columns)]
        del file[name]
        file[name] = columns


def hdf5_seeds(parts):
    random = np.random.RandomState(0)
    seeds = [b"\0", b"\1"]
    seeds += [random.bytes(random.randint(3, 16)) for _ in range(200)]
    # one change at a time, of each kind and part
    for name in range(1, len(parts())):
        seeds += [bytes([what & 1, name - 1, what, 3, 2, 1]) for what in range(12)]
    return seeds


def hdf5_files():
    """Whole files, for changes of single bytes."""
    contents = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        data = dataset()
        for writer in (
            lambda: formats.h5ad(data, path),
            lambda: formats.h5ad(data, path, "dense", chunks=(2, 3), compression="gzip"),
            lambda: formats.tenx_v3(data, path),
            lambda: formats.tenx_v2(data, path),
        ):
            path.unlink(missing_ok=True)
            contents.append(b"\1" + writer().read_bytes())
    return contents


# --- what goes with the expression ---


def run_annotation(data, folder):
    path = folder / "annotation.txt"
    path.write_bytes(data)
    with ours():
        annotation = read_annotation(path)
        assert annotation.fields
        assert len(annotation.labels) == len(annotation.fields)
        for name in ("".join(annotation.header[-1:]), "batch"):
            with ours():
                assert len(annotation.column(name, ["c1", "?"])) == 2


def run_embedding(data, folder):
    path = folder / "embedding.txt"
    path.write_bytes(data)
    with ours():
        coordinates, axes = read_embedding(path)
        assert np.isfinite(list(coordinates.values())).all()
        assert len(axes) == 2


def run_orthologs(data, folder):
    path = folder / "orthologs.tsv"
    path.write_bytes(data)
    with ours():
        orthologs = read_orthologs(path)
        assert orthologs.symbol_of
        [str(finding) for finding in orthologs.findings()]
        json.dumps(orthologs_report(orthologs))


def result_rows(extra):
    names = [*COLUMNS, *EXTRA_COLUMNS] if extra else list(COLUMNS)
    labels = {"Potency": "Unipotent", "Status": "scored"}
    rows = [["", *names]]
    for i, cell in enumerate(CELLS):
        rows.append(
            [
                cell,
                *(
                    next((v for end, v in labels.items() if name.endswith(end)), str(i / 7))
                    for name in names
                ),
            ]
        )
    rows[2][1:3] = ["", ""]
    return rows


def result_text(rows):
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def result_seeds():
    import pyarrow as pa
    from pyarrow import ipc, parquet

    seeds = []
    for extra in (False, True):
        rows = result_rows(extra)
        header = rows[0]
        seeds += [result_text(rows), result_text([header[1:], *rows[1:]])]
        columns = dict(zip(["cell", *header[1:]], zip(*rows[1:], strict=True), strict=True))
        arrays = {
            name: pa.array([None if v == "" else v for v in values])
            if name == "cell" or name.endswith(("Potency", "Status"))
            else pa.array([float(v) if v else None for v in values])
            for name, values in columns.items()
        }
        table = pa.table(arrays)
        for kind in ("parquet", "arrow"):
            sink = io.BytesIO()
            if kind == "parquet":
                parquet.write_table(table, sink)
            else:
                with ipc.new_file(sink, table.schema) as writer:
                    writer.write_table(table)
            seeds.append(sink.getvalue())
    return seeds


def run_results(data, folder):
    path, other = folder / "results", folder / "other.txt"
    path.write_bytes(data)
    other.write_bytes(result_text(result_rows(extra=True)))
    with ours():
        compared = compare(path, other)
        assert compared.n_cells
        for sentence in compared.beyond:
            assert sentence.isprintable(), sentence
            assert len(sentence) <= LONGEST_MESSAGE


# --- models ---


def run_torch(data, folder):
    path = folder / "model.pt"
    path.write_bytes(data)
    with ours(), TorchFile(path) as file:
        content = file.content
        tensors = content.values() if isinstance(content, dict) else [content]
        for tensor in tensors:
            for part in (
                [tensor.indices, tensor.values] if isinstance(tensor, SparseTensor) else [tensor]
            ):
                assert isinstance(part, Tensor)
                # A view may repeat its values: so many are of no ensemble, and tests are short.
                if np.prod(part.shape, dtype=float) < 1e6:
                    assert file.read(part).shape == part.shape


def torch_seeds():
    seeds = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.pt")
        state = {
            "a.weight": np.arange(6, dtype="f4").reshape(2, 3),
            "n": np.array(3, "i8"),
            "bias": np.zeros(2, "f8"),
        }
        torch_format.save(path, state)
        seeds.append(path.read_bytes())
        indices = np.array([[0, 1], [1, 0]])
        torch_format.save_sparse(path, indices, np.ones(2, "f4"), (2, 2))
        seeds.append(path.read_bytes())
    return seeds


def run_pickle(data, folder):
    """The pickle of a PyTorch file alone, in an archive that is sound."""
    path = folder / "model.pt"
    arrays = (np.arange(6, dtype="f4"), np.array([3]), np.zeros(2))
    torch_format.write_archive(path, data, arrays)
    run_torch(path.read_bytes(), folder)


def pickle_seeds():
    import zipfile

    return [zipfile.ZipFile(io.BytesIO(seed)).read("archive/data.pkl") for seed in torch_seeds()]


def small_model():
    """A sound model of no ensemble: what is in a model file, with a handful of genes."""
    from onnx import TensorProto, helper

    shapes = {"gene": ("cell", "expressed"), "rank": ("cell", "expressed")}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in shapes
    ]
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ("cell", 6))
    weights = helper.make_tensor("w", TensorProto.FLOAT, (3, 6), np.arange(18.0))
    nodes = [
        helper.make_node("Relu", ["rank"], ["positive"]),
        helper.make_node("MatMul", ["positive", "w"], ["product"]),
        helper.make_node("Softmax", ["product"], ["probabilities"], axis=-1),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "model", inputs, [output], [weights]),
        opset_imports=[helper.make_opsetid("", onnx_file.OPSET)],
        ir_version=9,
    )
    entries = {
        "name": "small",
        "licence": "none",
        "architecture": "1.1.0",
        "n_members": "3",
        "sources": "[]",
        "potencies": "\n".join(POTENCIES),
        "max_rank": "100.0",
        "check_scores": "[0.5]",
        "features": "\n".join(GENES),
    }
    helper.set_model_props(model, entries)
    return model.SerializeToString()


def run_onnx(data, folder):
    path = folder / "model.onnx"
    for content in (data, seal(data)):
        path.write_bytes(content)
        described = describe(path)
        assert isinstance(described.problem, str)
        with ours():
            onnx_file.verify_graph(content)
        with ours():
            Ensemble.load(path)


# --- everything: a run from a table to results ---


@functools.cache
def open_ensemble():
    return Ensemble.load("open")


def run_everything(data, folder):
    """Score a table: results and report together, or neither."""
    from cytotrace2_lite.directory import score_to_directory

    path, out = folder / "table", folder / "out"
    path.write_bytes(data)
    for old in out.glob("*") if out.exists() else ():
        old.unlink()
    done = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scored = score_to_directory(path, out, RunOptions(model=open_ensemble(), max_cores=1))
        done = True
    except CytoTRACE2Error as error:
        check_message(error)
    names = sorted(file.name for file in out.glob("*")) if out.exists() else []
    assert names == (["cytotrace2_results.txt", "run.json"] if done else [])
    if done:
        rows = list(
            csv.reader(
                io.StringIO((out / names[0]).read_bytes().decode(), newline=""), delimiter="\t"
            )
        )
        assert [row[0] for row in rows[1:]] == scored.result.cells
        json.loads((out / "run.json").read_text())
        score = scored.result.score
        assert ((score >= 0) & (score <= 1) | np.isnan(score)).all()


def everything_seeds():
    from cytotrace2_lite.genes import features

    random = np.random.RandomState(0)
    genes = features()[:: len(features()) // 12]
    cells = [f"c{i}" for i in range(6)]
    lines = ["\t".join(["", *cells])]
    lines += ["\t".join([gene, *map(str, random.poisson(1, 6))]) for gene in genes]
    table = "\n".join(lines).encode()
    return [table, table.replace(b"\t2", b"\t1e300"), table.replace(b"\t2", b"\t1e-320")]


_NUMBERS = (
    b"1e308",
    b"1e-320",
    b"-0",
    b"nan",
    b"inf",
    b"NA",
    b"0x1",
    b"1_0",
    b"99999999999999999999",
)
_TEXT_WORDS = (b"\t", b",", b"\r\n", b'"', b'""', b"\xef\xbb\xbf", b"\0", b"\n\n", *_NUMBERS)

TARGETS = {
    "text": Target(one_file("table.txt"), text_seeds, _TEXT_WORDS),
    "mtx": Target(run_mtx, mtx_seeds, (NEXT_FILE, b"%", b"general", b"1 1 1\n", *_NUMBERS)),
    "table": Target(one_file("table.bin"), table_seeds, (b"PAR1", b"ARROW1\0\0")),
    "h5ad": Target(run_hdf5(h5ad_parts), lambda: hdf5_seeds(h5ad_parts)),
    "tenx": Target(run_hdf5(tenx_parts), lambda: hdf5_seeds(tenx_parts)),
    "annotation": Target(
        run_annotation,
        lambda: [b"id\tlabel\tbatch\nc1\tx\ty\nc2\tz\tw\n", b"l\nc\tx\n"],
        _TEXT_WORDS,
    ),
    "embedding": Target(
        run_embedding, lambda: [b"\tx\ty\nc1\t1\t-2e3\n", b"c1,1,2\nc2,3,.4\n"], _TEXT_WORDS
    ),
    "orthologs": Target(
        run_orthologs, lambda: [b"gene\tmouse\nA\tActb\nB\tSox17\nC\t\n", b"X\tActb\n"], _TEXT_WORDS
    ),
    "results": Target(
        run_results, result_seeds, (*_TEXT_WORDS, *(name.encode() for name in COLUMNS))
    ),
    "torch": Target(run_torch, torch_seeds, (b"PK\x01\x02", b"PK\x05\x06", b"archive/")),
    "pickle": Target(
        run_pickle, pickle_seeds, tuple(bytes([code]) for code in b"(]}tRQbusXchqjJKM\x85\x86\x87.")
    ),
    "onnx": Target(run_onnx, lambda: [small_model()], (b"\x3a", b"\x72", b"\x6a", b"\x42")),
    "run": Target(run_everything, everything_seeds, _TEXT_WORDS),
    "hdf5_bytes": Target(one_file("file.h5"), hdf5_files),
}
