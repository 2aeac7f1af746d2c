"""Targets of text tables, 10x directories, Parquet, Feather, Arrow and files of R."""

import bz2
import gzip
import lzma
import tempfile
from pathlib import Path

from fuzz.checks import CELLS, GENES, NEXT_FILE, dataset, ours, read, with_options
from helpers import formats

from cytotrace2_lite.read import open_input


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


R_FILES = Path(__file__).parents[1] / "data/r"


def run_r(data, folder):
    """The expression of a file of R, then its labels and coordinates."""
    path = folder / "object.rds"
    path.write_bytes(data[1:])
    read(path, data[0] if data else 0)
    with ours(), open_input(path, max_memory=1 << 30) as source:
        if source.frame_name:
            for column in ("type", "donor", "ident"):
                with ours():
                    assert all(label.isprintable() or label for label in source.obs_column(column))
            with ours():
                assert source.obsm("umap").ndim == 2


def r_seeds():
    """What R wrote, unpacked: mutations of compressed data rarely reach the reader."""
    unpack = {b"\x1f\x8b": gzip.decompress, b"BZ": bz2.decompress, b"\xfd7": lzma.decompress}
    contents = []
    for path in sorted(R_FILES.iterdir()):
        data = path.read_bytes()
        contents.append(unpack.get(data[:2], bytes)(data))
    return [bytes([options]) + content for content in contents for options in (0, 1, 108)]
