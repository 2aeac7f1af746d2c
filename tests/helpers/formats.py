"""Writers of one dataset in every format that is read."""

import bz2
import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
from pyarrow import ipc


class Dataset:
    """Counts (cells x genes, CSR, integers) with names and ids of the genes."""

    def __init__(self, counts, cells, genes):
        self.counts = counts
        self.cells = list(cells)
        self.genes = list(genes)
        self.ids = [f"ENSXXXG{i:011}" for i in range(len(genes))]  # of no species


def text(data, delimiter="\t", *, transposed=False):
    rows, columns, values = data.genes, data.cells, data.counts.toarray().T.tolist()
    if transposed:
        rows, columns, values = columns, rows, data.counts.toarray().tolist()
    lines = [delimiter.join(["", *columns])]
    lines += [
        delimiter.join([name, *map(str, row)]) for name, row in zip(rows, values, strict=True)
    ]
    return ("\n".join(lines) + "\n").encode()


def compress(content, kind):
    if kind == "zst":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(content)
        return sink.getvalue().to_pybytes()
    # mtime: the same bytes every time.
    return bz2.compress(content) if kind == "bz2" else gzip.compress(content, mtime=0)


def mtx(data, *, field="integer", by_gene=False):
    matrix = data.counts.T.tocsr() if by_gene else data.counts.T.tocsc()
    entries = matrix.tocoo()
    head = f"%%MatrixMarket matrix coordinate {field} general\n%metadata_json: {{}}\n"
    head += f"{len(data.genes)} {len(data.cells)} {matrix.nnz}\n"
    lines = [
        f"{row + 1} {column + 1} {value}\n"
        for row, column, value in zip(entries.row, entries.col, entries.data, strict=True)
    ]
    return (head + "".join(lines)).encode()


def features(data, kind="Gene Expression"):
    rows = zip(data.ids, data.genes, strict=True)
    return "".join(f"{i}\t{name}\t{kind}\n" for i, name in rows).encode()


def directory_v3(data, folder, prefix=""):
    folder.mkdir()
    barcodes = "".join(f"{cell}\n" for cell in data.cells).encode()
    (folder / f"{prefix}matrix.mtx.gz").write_bytes(gzip.compress(mtx(data)))
    (folder / f"{prefix}features.tsv.gz").write_bytes(gzip.compress(features(data)))
    (folder / f"{prefix}barcodes.tsv.gz").write_bytes(gzip.compress(barcodes))
    return folder


def directory_v2(data, folder):
    folder.mkdir()
    rows = zip(data.ids, data.genes, strict=True)
    (folder / "matrix.mtx").write_bytes(mtx(data, field="real", by_gene=True))
    (folder / "genes.tsv").write_text("".join(f"{i}\t{name}\n" for i, name in rows))
    (folder / "barcodes.tsv").write_text("".join(f"{cell}\n" for cell in data.cells))
    return folder


def _write_10x(group, data):
    group["barcodes"] = np.array(data.cells, dtype="S")
    group["data"] = data.counts.data.astype(np.int32)
    group["indices"] = data.counts.indices.astype(np.int64)
    group["indptr"] = data.counts.indptr.astype(np.int64)
    group["shape"] = np.array(data.counts.shape[::-1], np.int32)


def tenx_v3(data, path):
    import h5py

    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        _write_10x(group, data)
        table = group.create_group("features")
        table["_all_tag_keys"] = np.array([b"genome"])
        table["id"] = np.array(data.ids, dtype="S")
        table["name"] = np.array(data.genes, dtype="S")
        table["feature_type"] = np.array([b"Gene Expression"] * len(data.genes))
        table["genome"] = np.array([b"mm10"] * len(data.genes))
    return path


def tenx_v2(data, path, genomes=("mm10",)):
    import h5py

    with h5py.File(path, "w") as file:
        for genome in genomes:
            group = file.create_group(genome)
            _write_10x(group, data)
            group["genes"] = np.array(data.ids, dtype="S")
            group["gene_names"] = np.array(data.genes, dtype="S")
    return path


def h5ad(data, path, kind="csr", where="X", **options):
    """As anndata 0.8 and later write it; `where` is "X", "raw/X" or "layers/NAME"."""
    import h5py

    def encode(item, kind, version="0.2.0"):
        item.attrs.update({"encoding-type": kind, "encoding-version": version})
        return item

    def write_strings(group, name, values):
        dataset = group.create_dataset(name, data=values, dtype=h5py.string_dtype())
        encode(dataset, "string-array")

    with h5py.File(path, "w") as file:
        encode(file, "anndata", "0.1.0")
        encode(file.create_group("layers"), "dict", "0.1.0")
        frames = [("obs", data.cells), ("var", data.genes)]
        if where == "raw/X":
            encode(file.create_group("raw"), "raw", "0.1.0")
            frames.append(("raw/var", data.genes))
        for name, index in frames:
            frame = encode(file.create_group(name), "dataframe")
            frame.attrs["_index"] = "names"
            frame.attrs["column-order"] = np.array([], "S")
            write_strings(frame, "names", index)
        file["var"].attrs["column-order"] = ["gene_ids"]
        column = encode(file.create_group("var/gene_ids"), "categorical")
        column.attrs["ordered"] = False
        encode(column.create_dataset("codes", data=np.arange(len(data.genes))), "array")
        write_strings(column, "categories", data.ids)
        if where != "X":
            encode(file.create_dataset("X", data=-np.ones(data.counts.shape)), "array")
        if kind == "dense":
            values = data.counts.toarray().astype(np.float32)
            encode(file.create_dataset(where, data=values, **options), "array")
            return path
        matrix = data.counts.asformat(kind)
        group = encode(file.create_group(where), f"{kind}_matrix", "0.1.0")
        group.attrs["shape"] = matrix.shape
        for name in ("data", "indices", "indptr"):
            values = getattr(matrix, name)
            values = values.astype(np.float32) if name == "data" else values
            group.create_dataset(name, data=values, **options)
    return path


def loom(data, path, spec="3.0.0", layer=None, *, ids=True, **options):
    """As loompy writes it; `layer` is where the counts are, if not in the main matrix."""
    import h5py

    old = spec.startswith("2")
    text = None if old else h5py.string_dtype()

    def attribute(group, name, values):
        if old:  # ASCII of fixed length, with entities of XML
            values = [value.encode("ascii", "xmlcharrefreplace") for value in values]
        group.create_dataset(name, data=values, dtype=text)

    with h5py.File(path, "w") as file:
        if old:
            file.attrs["LOOM_SPEC_VERSION"] = spec
        else:
            file.create_dataset("attrs/LOOM_SPEC_VERSION", data=spec, dtype=text)
        for name in ("layers", "row_attrs", "col_attrs", "row_graphs", "col_graphs"):
            file.create_group(name)
        attribute(file["row_attrs"], "Gene", data.genes)
        if ids:
            attribute(file["row_attrs"], "Accession", data.ids)
        attribute(file["col_attrs"], "CellID", data.cells)
        values = data.counts.toarray().T
        options = {"chunks": tuple(min(64, n) for n in values.shape), **options}
        counts = "matrix" if layer is None else f"layers/{layer}"
        file.create_dataset(counts, data=values.astype("f4"), compression="gzip", **options)
        if layer is not None:
            file.create_dataset("matrix", data=-np.ones(values.shape), **options)
    return path


def table(data, *, transposed=False, named=True):
    """An Arrow table, genes x cells or transposed."""
    rows, columns, values = data.genes, data.cells, data.counts.toarray().T
    if transposed:
        rows, columns, values = columns, rows, data.counts.toarray()
    names = ["name", *columns] if named else [*columns, "__index_level_0__"]
    arrays = [pa.array(column) for column in values.T]
    index = [pa.array(rows)]
    result = pa.table(index + arrays if named else arrays + index, names=names)
    if not named:  # as pandas writes its index
        metadata = {"index_columns": ["__index_level_0__"], "columns": []}
        result = result.replace_schema_metadata({"pandas": json.dumps(metadata)})
    return result


def parquet(data, path, **options):
    pyarrow.parquet.write_table(table(data, **options), path, row_group_size=1000)
    return path


def arrow(data, path, *, stream=False, **options):
    content = table(data, **options)
    opener = ipc.new_stream if stream else ipc.new_file
    with pa.OSFile(str(path), "wb") as sink, opener(sink, content.schema) as writer:
        writer.write_table(content, max_chunksize=1000)
    return path


def feather(data, path, **options):
    pyarrow.feather.write_feather(table(data, **options), path, chunksize=1000)
    return path
