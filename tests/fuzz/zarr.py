"""Target of Zarr: stores of both formats, in directories and archives, with anything in them."""

import contextlib
import json
import shutil

import numpy as np
from fuzz.checks import dataset, read
from fuzz.hdf5 import Bytes
from helpers import zarr_store

_VALUES = (
    *(None, 0, -1, 3, 2**62, 1.5, "", "x", "/", "..", [], {}, [4], [4, 3], [0], [2**40], [-1]),
    *("csr_matrix", "csc_matrix", "array", "null", "names", "<f4", "|O", "<U3", "|S2", "<i8"),
    *("float32", "string", "int64", "uint8", "complex64", "pickle", "gzip", "NaN", True),
    *([{"id": "pickle"}], [{"id": "vlen-utf8"}], [{"id": "delta", "dtype": "<f4"}]),
    *({"id": "blosc"}, {"id": "zlib", "level": 1}, [{"name": "bytes"}], [{"name": "gzip"}]),
    [{"name": "sharding_indexed", "configuration": {"chunk_shape": [1], "codecs": []}}],
)
_CONTENTS = (b"", b"{}", b"[]", b"\0" * 16, b"\xff" * 64, b"[" * 5000, b'{"zarr_format":3}')


def zarr_parts():
    """Give the parts of a store that is read without an error."""
    parts = zarr_store.anndata_parts(dataset())
    return parts | {
        "layers/counts": dataset().counts.toarray().astype("<f4"),
        "raw": {},
        "raw/X": dataset().counts.toarray().astype("<f4"),
        "raw/var": {"_index": "names"},
        "raw/var/names": list(dataset().genes),
        "obs/flag/values": np.array([1, 2, 3, 4]),
        "obs/flag/mask": np.array([True, False, False, False]),
    }


def run_zarr(data, folder):
    """Build a store and change a few of its files as the bytes say."""
    choices = Bytes(data)
    options = choices.number(256)
    form = choices.number(8)
    version = 2 if form & 1 else 3
    files = zarr_store.files_of_store(zarr_parts(), version, 2 if form & 4 else None)
    for _ in range(4):
        if choices.left <= 0:
            break
        with contextlib.suppress(Exception):
            change(files, choices)
    path = folder / "store"
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # a file where a folder is
        zarr_store.write_files(files, path, zipped=bool(form & 2))
    read(path, options)


def change(files, choices):
    """Change one of the files."""
    names = sorted(files)
    name = choices.one_of(names)
    what = choices.number(6)
    content = files[name]
    if what == 0:
        del files[name]
    elif what == 1:
        files[name] = choices.one_of(_CONTENTS)
    elif what == 2:
        files[name] = content[: choices.number(len(content) + 1)]
    elif what == 3:
        files[choices.one_of([*names, "X/data/x", "obs/../x", "zarr.json/x"])] = content
    elif what == 4:
        place = choices.number(len(content))
        files[name] = content[:place] + bytes([choices.number(256)]) + content[place + 1 :]
    else:
        names = [other for other in names if other.endswith((".zarray", ".zattrs", "zarr.json"))]
        name = choices.one_of(names)
        found = json.loads(files[name])
        inner = found["attributes"] if choices.number(2) and "attributes" in found else found
        inner[choices.one_of([*inner, "shape", "_index", "categories"])] = choices.one_of(_VALUES)
        files[name] = json.dumps(found).encode()


def zarr_seeds():
    random = np.random.RandomState(0)
    seeds = [bytes([0, form]) for form in range(8)]
    seeds += [random.bytes(random.randint(4, 20)) for _ in range(200)]
    return seeds
