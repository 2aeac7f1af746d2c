"""Zarr stores written by hand, of format 2 and 3: nothing of the package zarr is used."""

import gzip
import itertools
import json
import struct
import zipfile

import numpy as np

_V3 = {"f4": "float32", "f8": "float64", "i1": "int8", "i4": "int32", "i8": "int64"}
_V3 |= {"u4": "uint32", "u8": "uint64", "b1": "bool", "u1": "uint8", "f2": "float16"}


def _text(values):
    """Pack text as the codec vlen-utf8 does."""
    packed = [struct.pack("<I", len(values))]
    for value in values:
        content = value.encode()
        packed += [struct.pack("<I", len(content)), content]
    return b"".join(packed)


def _chunks(values, size):
    """Cut an array, as regular chunks of which the last ones are filled up."""
    for where in itertools.product(*(range(-(-n // m)) for n, m in zip(values.shape, size))):  # noqa: B905
        part = values[tuple(slice(i * m, (i + 1) * m) for i, m in zip(where, size))]  # noqa: B905
        whole = np.zeros(size, values.dtype)
        whole[tuple(slice(0, n) for n in part.shape)] = part
        yield where, whole


def files_of_array(values, attributes, version, chunks=None, *, compressed=False):
    """Give the files of an array by their names."""
    is_text = isinstance(values, list)
    values = np.array([*values, None], object)[:-1] if is_text else np.asarray(values)
    chunks = (tuple(chunks or (max(1, n) for n in values.shape)) * values.ndim)[: values.ndim]
    files = {}
    if version == 2:
        files[".zarray"] = {
            "zarr_format": 2,
            "shape": values.shape,
            "chunks": chunks,
            "dtype": "|O" if is_text else values.dtype.str,
            "order": "C",
            "fill_value": "" if is_text else 0,
            "filters": [{"id": "vlen-utf8"}] if is_text else None,
            "compressor": {"id": "gzip", "level": 1} if compressed else None,
        }
        files[".zattrs"] = attributes
    else:
        packed = {"name": "bytes", "configuration": {"endian": "little"}}
        if values.dtype.itemsize == 1:
            packed = {"name": "bytes"}
        codecs = [{"name": "vlen-utf8", "configuration": {}} if is_text else packed]
        codecs += [{"name": "gzip", "configuration": {"level": 1}}] * compressed
        fill = "" if is_text else False if values.dtype.kind == "b" else 0
        files["zarr.json"] = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": values.shape,
            "data_type": "string" if is_text else _V3[values.dtype.str[1:]],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": fill,
            "codecs": codecs,
            "attributes": attributes,
        }
    for where, part in _chunks(values, chunks):
        content = _text(["" if value == 0 else value for value in part]) if is_text else b""
        content = content or part.tobytes()
        key = ".".join(map(str, where)) if version == 2 else "/".join(map(str, ("c", *where)))
        files[key or "0"] = gzip.compress(content, 1, mtime=0) if compressed else content
    return files


def files_of_store(parts, version, chunks=None, *, compressed=False):
    """Give the files of a store by their paths.

    A part is an array, a list of text, or the attributes of a group; or a tuple of an array and
    its attributes.
    """
    groups = {"": {}}
    files = {}
    for name, value in parts.items():
        for end in (i for i, letter in enumerate(name) if letter == "/"):
            groups.setdefault(name[:end], {})
        if isinstance(value, dict):
            groups[name] = value
            continue
        values, attributes = value if isinstance(value, tuple) else (value, {})
        size = None if chunks is None else (chunks if isinstance(chunks, tuple) else (chunks,))
        made = files_of_array(values, attributes, version, size, compressed=compressed)
        files |= {f"{name}/{file}": content for file, content in made.items()}
    for name, attributes in groups.items():
        before = f"{name}/" if name else ""
        if version == 2:
            files[f"{before}.zgroup"] = {"zarr_format": 2}
            files[f"{before}.zattrs"] = attributes
        else:
            files[f"{before}zarr.json"] = {
                "zarr_format": 3,
                "node_type": "group",
                "attributes": attributes,
            }
    return {
        name: content if isinstance(content, bytes) else json.dumps(content).encode()
        for name, content in files.items()
    }


def write_files(files, path, *, zipped=False, folder=""):
    """Write the files of a store into a directory or a zip archive."""
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(folder + name, content)
        return path
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def anndata_parts(data, kind="csr", where="X"):
    """Give the parts of AnnData as anndata writes them; `where` as of `formats.h5ad`."""

    def frame(index, **more):
        return {"encoding-type": "dataframe", "_index": "names", "column-order": [*more]}

    parts = {
        "": {"encoding-type": "anndata", "encoding-version": "0.1.0"},
        "layers": {"encoding-type": "dict"},
        "obs": frame(data.cells),
        "obs/names": (data.cells, {"encoding-type": "string-array"}),
        "var": frame(data.genes, gene_ids=0),
        "var/names": (data.genes, {"encoding-type": "string-array"}),
        "var/gene_ids": {"encoding-type": "categorical", "ordered": False},
        "var/gene_ids/codes": np.arange(len(data.genes), dtype="<i4"),
        "var/gene_ids/categories": data.ids,
    }
    if where != "X":
        parts["X"] = (-np.ones(data.counts.shape, "<f4"), {"encoding-type": "array"})
    if where == "raw/X":
        parts |= {"raw": {"encoding-type": "raw"}, "raw/var": frame(data.genes)}
        parts["raw/var/names"] = data.genes
    if kind == "dense":
        values = data.counts.toarray().astype("<f4")
        return parts | {where: (values, {"encoding-type": "array"})}
    matrix = data.counts.asformat(kind)
    parts[where] = {"encoding-type": f"{kind}_matrix", "shape": list(matrix.shape)}
    parts[f"{where}/data"] = matrix.data.astype("<f4")
    parts[f"{where}/indices"] = matrix.indices.astype("<i4")
    parts[f"{where}/indptr"] = matrix.indptr.astype("<i8")
    return parts


def zarr(data, path, kind="csr", where="X", *, version=3, chunks=None, compressed=False, **written):
    """Write a store of AnnData."""
    parts = anndata_parts(data, kind, where)
    files = files_of_store(parts, version, chunks, compressed=compressed)
    return write_files(files, path, **written)
