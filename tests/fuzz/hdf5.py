"""Targets of HDF5: files that are valid as containers, with anything in them, and whole files."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
from fuzz.checks import CELLS, GENES, dataset, read
from helpers import formats


class Bytes:
    """Choices from bytes; zeros when these are used up."""

    def __init__(self, data):
        self._data = data
        self._position = 0

    def number(self, end):
        """A number below `end`, which is 65,536 at most."""
        size = 1 if end <= 256 else 2
        taken = self._data[self._position : self._position + size]
        self._position += size
        return int.from_bytes(taken, "little") % end

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


def loom_parts():
    """The same of a Loom file."""
    counts = dataset().counts.toarray().T
    return {
        "matrix": counts.astype(np.float32),
        "layers": {},
        "layers/counts": counts,
        "row_attrs": {},
        "row_attrs/Gene": np.array(GENES, "S"),
        "row_attrs/Accession": dataset().ids,
        "col_attrs": {},
        "col_attrs/CellID": list(CELLS),
        "col_attrs/batch": np.array([1, 2, 1, 2]),
        "attrs": {},
        "attrs/LOOM_SPEC_VERSION": ["3.0.0"],
    }


def h5seurat_parts():
    """The same of a file of SeuratDisk."""
    counts = dataset().counts
    return {
        "": {"active.assay": "RNA"},
        "cell.names": list(CELLS),
        "meta.data": {},
        "assays": {},
        "assays/RNA": {},
        "assays/RNA/features": list(GENES),
        "assays/RNA/counts": {"dims": counts.shape[::-1]},
        "assays/RNA/counts/data": counts.data.astype(float),
        "assays/RNA/counts/indices": counts.indices,
        "assays/RNA/counts/indptr": counts.indptr,
        "assays/RNA/data": counts.toarray(),
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
            lambda: formats.loom(data, path),
            lambda: formats.tenx_v3(data, path),
            lambda: formats.tenx_v2(data, path),
        ):
            path.unlink(missing_ok=True)
            contents.append(b"\1" + writer().read_bytes())
    return contents
