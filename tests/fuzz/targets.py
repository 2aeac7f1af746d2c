"""What is fuzzed: a function of bytes per reader, and the inputs to start from, built from code.

A target hands the bytes to a reader and passes where that gives a result or one of our errors. It
fails on any other exception, on an error whose message is not one line of printable text of
bounded length, and on a result that breaks what the reader promises.
"""

from typing import NamedTuple

from fuzz import companions, expression, hdf5, models, runs, zarr
from fuzz.checks import NEXT_FILE, one_file

from cytotrace2_lite.output.tables import COLUMNS


class Target(NamedTuple):
    """What is fuzzed."""

    run: object  # of bytes, and a folder for files
    seeds: object  # gives inputs to start from
    words: tuple[bytes, ...] = ()  # of the format


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

# Kinds of objects, and flags of pairs and lists.
_R_WORDS = (
    *(bytes([0, 0, 0, code]) for code in (1, 2, 4, 9, 10, 13, 14, 16, 19, 25, 238, 254)),
    *(b"\xff" * 4, b"\0\0\4\2", b"\0\0\2\x13", b"RDX3\n", b"names", b"Dim", b"class"),
)

TARGETS = {
    "text": Target(one_file("table.txt"), expression.text_seeds, _TEXT_WORDS),
    "mtx": Target(
        expression.run_mtx,
        expression.mtx_seeds,
        (NEXT_FILE, b"%", b"general", b"1 1 1\n", *_NUMBERS),
    ),
    "table": Target(one_file("table.bin"), expression.table_seeds, (b"PAR1", b"ARROW1\0\0")),
    "r": Target(expression.run_r, expression.r_seeds, _R_WORDS),
    "h5ad": Target(hdf5.run_hdf5(hdf5.h5ad_parts), lambda: hdf5.hdf5_seeds(hdf5.h5ad_parts)),
    "loom": Target(hdf5.run_hdf5(hdf5.loom_parts), lambda: hdf5.hdf5_seeds(hdf5.loom_parts)),
    "h5seurat": Target(
        hdf5.run_hdf5(hdf5.h5seurat_parts), lambda: hdf5.hdf5_seeds(hdf5.h5seurat_parts)
    ),
    "tenx": Target(hdf5.run_hdf5(hdf5.tenx_parts), lambda: hdf5.hdf5_seeds(hdf5.tenx_parts)),
    "zarr": Target(zarr.run_zarr, zarr.zarr_seeds),
    "small_table": Target(
        companions.run_small_table,
        companions.small_table_seeds,
        (b"sep=,", b";", b"\\", b"\xff\xfe", b"\r", *_TEXT_WORDS),
    ),
    "annotation": Target(
        companions.run_annotation,
        lambda: [b"id\tlabel\tbatch\nc1\tx\ty\nc2\tz\tw\n", b"l\nc\tx\n"],
        _TEXT_WORDS,
    ),
    "embedding": Target(
        companions.run_embedding,
        lambda: [b"\tx\ty\nc1\t1\t-2e3\n", b"c1,1,2\nc2,3,.4\n"],
        _TEXT_WORDS,
    ),
    "orthologs": Target(
        companions.run_orthologs,
        lambda: [b"gene\tmouse\nA\tActb\nB\tSox17\nC\t\n", b"X\tActb\n"],
        _TEXT_WORDS,
    ),
    "results": Target(
        companions.run_results,
        companions.result_seeds,
        (*_TEXT_WORDS, *(name.encode() for name in COLUMNS)),
    ),
    "torch": Target(
        models.run_torch, models.torch_seeds, (b"PK\x01\x02", b"PK\x05\x06", b"archive/")
    ),
    "pickle": Target(
        models.run_pickle,
        models.pickle_seeds,
        tuple(bytes([code]) for code in b"(]}tRQbusXchqjJKM\x85\x86\x87."),
    ),
    "onnx": Target(
        models.run_onnx, lambda: [models.small_model()], (b"\x3a", b"\x72", b"\x6a", b"\x42")
    ),
    "run": Target(runs.run_everything, runs.everything_seeds, _TEXT_WORDS),
    "hdf5_bytes": Target(one_file("file.h5"), hdf5.hdf5_files),
}
