"""Wrong things, and the exact message each of them gets, through the command line.

A case is the files that are there, the words of the command, its exit code and what it says on
standard error. Nothing is written on any of them: no results, no report, no temporary file.
"""

import gzip
import io
import lzma
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from helpers import formats
from scipy.sparse import csr_array

from cytotrace2_lite.cli.main import main
from cytotrace2_lite.models.sealed import seal

GENES = ("Actb", "Sox17", "Gapdh")
CELLS = ("c1", "c2")
TABLE = b"\tc1\tc2\nActb\t5\t0\nSox17\t0\t7\nGapdh\t1\t2\n"
DATA = formats.Dataset(csr_array(np.array([[5, 0, 1], [0, 7, 2]])), CELLS, GENES)


def written(writer, *arguments, **options):
    """Say how to write a file: by a function of `formats`."""
    return lambda path: writer(DATA, path, *arguments, **options)


def changed(change, **options):
    """Write a .h5ad and change it."""

    def write(path):
        import h5py

        formats.h5ad(DATA, path, **options)
        with h5py.File(path, "r+") as file:
            change(file)

    return write


def hdf5(build):
    def write(path):
        import h5py

        with h5py.File(path, "w") as file:
            build(file)

    return write


def replace(name, value, **options):
    def change(file):
        attributes = dict(file[name].attrs)
        del file[name]
        if options:
            file.create_dataset(name, **options)
        else:
            file[name] = value
        if hasattr(file.get(name), "attrs"):
            file[name].attrs.update(attributes)

    return change


def link(name):
    def change(file):
        import h5py

        del file[name]
        file[name] = h5py.ExternalLink("other.h5", name)

    return change


def put(name, position, value):
    return lambda file: file[name].__setitem__(position, value)


def label(name, key, value):
    return lambda file: file[name].attrs.__setitem__(key, value)


def archive(kind, member):
    content = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(content, "w") as file:
            file.writestr(member, b"x")
    else:
        with tarfile.open(fileobj=content, mode="w") as file:
            file.addfile(tarfile.TarInfo(member))
    return content.getvalue()


def npy():
    content = io.BytesIO()
    np.save(content, np.zeros((2, 2)))
    return content.getvalue()


def mtx(entries="1 1 5\n2 2 7\n", head="%%MatrixMarket matrix coordinate integer general", n=2):
    return f"{head}\n3 2 {n}\n{entries}".encode()


def tenx(matrix=None, features="A\tActb\nB\tSox17\nC\tGapdh\n", barcodes="c1\nc2\n"):
    files = {
        "d/matrix.mtx": mtx() if matrix is None else matrix,
        "d/features.tsv": features,
        "d/barcodes.tsv": barcodes,
    }
    return {name: content for name, content in files.items() if content is not None}


def arrow(columns):
    def write(path):
        pyarrow.parquet.write_table(pa.table(columns), path)

    return write


def results(*rows, header=None):
    names = ("CytoTRACE2_Score", "CytoTRACE2_Potency", "CytoTRACE2_Relative")
    names += ("preKNN_CytoTRACE2_Score", "preKNN_CytoTRACE2_Potency")
    lines = ["\t".join(header or ("", *names)), *("\t".join(row) for row in rows)]
    return "\n".join(lines) + "\n"


ROW = ("c1", "0.5", "Multipotent", "1.0", "0.5", "Multipotent")

CASES = [
    # text that is none, or another format
    pytest.param(
        {},
        "check none.txt",
        3,
        "none.txt: no such file. Check the path.",
        id="nothing there",
    ),
    pytest.param(
        {},
        ("check", "a\0b"),
        3,
        "a\\x00b: the file cannot be read (...).",
        id="nul in the name",
    ),
    pytest.param(
        {},
        ("check", "x" * 5000),
        3,
        f"{'x' * 1497} … {'x' * 453}: the file cannot be read (File name too long).",
        id="long name",
    ),
    pytest.param(
        {"d/": None},
        "check d",
        3,
        "d: this is a directory without matrix.mtx or matrix.mtx.gz. Give the path of a table.",
        id="empty folder",
    ),
    pytest.param(
        {"t": b""},
        "check t",
        3,
        "t: the file is empty.",
        id="empty",
    ),
    pytest.param(
        {"t": b"\tc1\tc2\n"},
        "check t",
        3,
        "t: there are no genes: no line follows the header.",
        id="header only",
    ),
    pytest.param(
        {"t": b"\n" + TABLE},
        "check t",
        3,
        "t: line 1 is empty, so there are no cells. Name them there.",
        id="empty first line",
    ),
    pytest.param(
        {"t": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"},
        "check t",
        3,
        (
            "t: this is not a tab- or comma-separated table: line 1 has neither, and line 2 is not "
            "a gene with the value of one cell."
        ),
        id="a picture",
    ),
    pytest.param(
        {"t": b"%PDF-1.7\n%\xe2\xe3\n1 0 obj\n"},
        "check t",
        3,
        (
            "t: this is not a tab- or comma-separated table: line 1 has neither, and line 2 is not "
            "a gene with the value of one cell."
        ),
        id="a pdf",
    ),
    pytest.param(
        {"t": b'{\n "Actb": [1, 2]\n}\n'},
        "check t",
        3,
        (
            "t: line 2, gene ' \"Actb\": [1', cell '{': '2]' is not a number. Only the header and "
            "the first column may hold text."
        ),
        id="json",
    ),
    pytest.param(
        {"t": b"<!DOCTYPE html>\n<html>"},
        "check t",
        3,
        (
            "t: this is a web page, which is not read; text tables (tab- or comma-separated), 10x "
            "directories, 10x .h5, .h5ad, Parquet and Arrow tables are. Download the file again, "
            "perhaps after logging in."
        ),
        id="a web page",
    ),
    pytest.param(
        {"t": archive("zip", "[Content_Types].xml")},
        "check t",
        3,
        (
            "t: this is an Excel workbook (.xlsx), which is not read; text tables (tab- or "
            "comma-separated), 10x directories, 10x .h5, .h5ad, Parquet and Arrow tables are. Save "
            "the sheet as tab-separated text, and look for gene names that the program has made "
            "dates, as 1-Mar for March1."
        ),
        id="excel",
    ),
    pytest.param(
        {"t": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"},
        "check t",
        3,
        (
            "t: this is an Excel workbook (.xls), which is not read; text tables (tab- or "
            "comma-separated), 10x directories, 10x .h5, .h5ad, Parquet and Arrow tables are. Save "
            "the sheet as tab-separated text, and look for gene names that the program has made "
            "dates, as 1-Mar for March1."
        ),
        id="old excel",
    ),
    pytest.param(
        {"t": archive("zip", "t.txt")},
        "check t",
        3,
        (
            "t: this is a zip archive, which is not read; text tables (tab- or comma-separated), "
            "10x directories, 10x .h5, .h5ad, Parquet and Arrow tables are. Unpack it and give the "
            "file or the directory in it."
        ),
        id="zip",
    ),
    pytest.param(
        {"t": archive("zip", "x.npy")},
        "check t",
        3,
        (
            "t: this is a NumPy archive (.npz), which is not read; text tables (tab- or "
            "comma-separated), 10x directories, 10x .h5, .h5ad, Parquet and Arrow tables are. In "
            "Python, pass the matrix: cytotrace2_lite.run(matrix, genes=..., cells=...)."
        ),
        id="numpy archive",
    ),
    pytest.param(
        {"t": archive("tar", "t.txt")},
        "check t",
        3,
        (
            "t: this is a tar archive, which is not read; text tables (tab- or comma-separated), "
            "10x directories, 10x .h5, .h5ad, Parquet and Arrow tables are. Unpack it and give the "
            "file or the directory in it."
        ),
        id="tar",
    ),
    pytest.param(
        {"t": npy()},
        "check t",
        3,
        (
            "t: this is a NumPy array (.npy), which is not read; text tables (tab- or "
            "comma-separated), 10x directories, 10x .h5, .h5ad, Parquet and Arrow tables are. In "
            "Python, pass the matrix: cytotrace2_lite.run(matrix, genes=..., cells=...)."
        ),
        id="numpy",
    ),
    pytest.param(
        {"t": b"\x80\x04]\x94."},
        "check t",
        3,
        (
            "t: this is a Python pickle, which is not read; text tables (tab- or comma-separated), "
            "10x directories, 10x .h5, .h5ad, Parquet and Arrow tables are. In Python, pass the "
            "matrix: cytotrace2_lite.run(matrix, genes=..., cells=...)."
        ),
        id="pickle",
    ),
    pytest.param(
        {"t": b"RDX3\nX\n\0\0\0"},
        "check t",
        3,
        (
            "t: this is an R data file (.RData, .rds), which is not read; text tables (tab- or "
            "comma-separated), 10x directories, 10x .h5, .h5ad, Parquet and Arrow tables are. In "
            'R, DropletUtils::write10xCounts("expr", counts) writes a 10x directory, and '
            'write.table(as.matrix(counts), "expr.txt", sep = "\\t", quote = FALSE) a table.'
        ),
        id="rds",
    ),
    pytest.param(
        {"t": gzip.compress(b"X\n\0\0\0\3")},
        "check t",
        3,
        (
            "t: this is an R data file (.RData, .rds), which is not read; text tables (tab- or "
            "comma-separated), 10x directories, 10x .h5, .h5ad, Parquet and Arrow tables are. In "
            'R, DropletUtils::write10xCounts("expr", counts) writes a 10x directory, and '
            'write.table(as.matrix(counts), "expr.txt", sep = "\\t", quote = FALSE) a table.'
        ),
        id="packed rds",
    ),
    pytest.param(
        {"t": lzma.compress(TABLE)},
        "check t",
        3,
        (
            "t: this is xz data, which is not read; text tables (tab- or comma-separated), 10x "
            "directories, 10x .h5, .h5ad, Parquet and Arrow tables are. Decompress it."
        ),
        id="xz",
    ),
    pytest.param(
        {"t": TABLE.decode().encode("utf-16")},
        "check t",
        3,
        (
            "t: this is UTF-16 text, which is not read; text tables (tab- or comma-separated), 10x "
            "directories, 10x .h5, .h5ad, Parquet and Arrow tables are. Save it as UTF-8."
        ),
        id="utf-16",
    ),
    pytest.param(
        {"t": gzip.compress(gzip.compress(TABLE))},
        "check t",
        3,
        (
            "t: this is gzip data in gzip data, which is not read; text tables (tab- or "
            "comma-separated), 10x directories, 10x .h5, .h5ad, Parquet and Arrow tables are. "
            "Decompress it once."
        ),
        id="gzip twice",
    ),
    pytest.param(
        {"t": gzip.compress(TABLE * 500)[:-20]},
        "check t",
        3,
        "t: the gzip data are damaged or cut short. Copy or download the file again.",
        id="gzip cut",
    ),
    pytest.param(
        {"t": b"BZh91AY&SY"},
        "check t",
        3,
        "t: the bz2 data are damaged or cut short. Copy or download the file again.",
        id="bzip2 of nothing",
    ),
    pytest.param(
        {"t": b"\x28\xb5\x2f\xfd\0\0\0"},
        "check t",
        3,
        "t: the zstd data are damaged or cut short. Copy or download the file again.",
        id="zstd of nothing",
    ),
    # text
    pytest.param(
        {"t": TABLE.replace(b"\t", b";")},
        "check t",
        3,
        (
            "t: the columns are separated by semicolons, not by tabs or commas. Save the table as "
            "tab-separated text with decimal points."
        ),
        id="semicolons",
    ),
    pytest.param(
        {"t": TABLE.replace(b"\t", b" ")},
        "check t",
        3,
        (
            "t: the columns are separated by spaces, not by tabs or commas. Save it as "
            'tab-separated text: in R, write.table(..., sep = "\\t").'
        ),
        id="spaces",
    ),
    pytest.param(
        {"t": b"# made by R\n" + TABLE},
        "check t",
        3,
        (
            "t: line 1 is a comment ('# made by R'). Remove the lines before the header, which "
            "names the cells."
        ),
        id="comment",
    ),
    pytest.param(
        {"t": b"Actb\nGapdh\n"},
        "check t",
        3,
        (
            "t: this is not a tab- or comma-separated table: line 1 has neither, and line 2 is not "
            "a gene with the value of one cell."
        ),
        id="names only",
    ),
    pytest.param(
        {"t": TABLE.replace(b"\t7", b"\t7,5")},
        "check t",
        3,
        (
            "t: line 3, gene 'Sox17', cell 'c2': '7,5' has a comma. Write numbers with a decimal "
            "point, and with nothing between thousands."
        ),
        id="decimal commas",
    ),
    pytest.param(
        {"t": TABLE + b"1-Mar\t1\t1\n1-Mar\t2\t0\n"},
        "check t",
        3,
        (
            "t: gene '1-Mar' appears twice (lines 5 and 6). A spreadsheet program has made this "
            "date of the names of two genes, as March1 and Marc1: take the table from before it "
            "was opened there."
        ),
        id="date",
    ),
    pytest.param(
        {"t": b"\tgene\tc1\n1\tActb\t5\n"},
        "check t",
        3,
        (
            "t: line 2, gene '1', cell 'gene': 'Actb' is not a number. Only the header and the "
            "first column may hold text."
        ),
        id="row numbers",
    ),
    pytest.param(
        {"t": b"\tc1\n1\t5\n1\t7\n"},
        "check t",
        3,
        (
            "t: gene '1' appears twice (lines 2 and 3). The first column holds numbers, not the "
            "names of genes: write the table with its row names."
        ),
        id="row numbers twice",
    ),
    pytest.param(
        {"t": TABLE.replace(b"Gapdh", b"G\xe9ne")},
        "check t",
        3,
        "t: line 4 has a gene name that is not UTF-8 ('G\ufffdne'). Save the table as UTF-8.",
        id="not utf-8",
    ),
    pytest.param(
        {"t": TABLE.replace(b"Gapdh", b'"Gapdh')},
        "check t",
        3,
        "t: line 4 has a double quote that is not closed. Close or remove it.",
        id="open quote",
    ),
    pytest.param(
        {"t": TABLE.replace(b"\t7", b"\t0x7")},
        "check t",
        3,
        (
            "t: line 3, gene 'Sox17', cell 'c2': '0x7' is not a number. Only the header and the "
            "first column may hold text."
        ),
        id="hexadecimal",
    ),
    pytest.param(
        {"t": TABLE.replace(b"\t7", b"\t1e999")},
        "check t",
        3,
        (
            "t: line 3, gene 'Sox17', cell 'c2': '1e999' is infinite. Correct the value or remove "
            "the gene."
        ),
        id="too large a number",
    ),
    pytest.param(
        {"t": TABLE.replace(b"\t5", b"\t1e308")},
        "check t",
        3,
        (
            "cell 'c1': its values add up to 1e+308 (the largest, 1e+308, is of gene 'Actb'). "
            "These are no counts, CPM or TPM."
        ),
        id="too large a sum",
    ),
    pytest.param(
        {"t": TABLE.replace(b"\t7", b"\tNA")},
        "check t",
        3,
        (
            "t: line 3, gene 'Sox17', cell 'c2': the value is missing ('NA'). Write 0 or remove "
            "the gene."
        ),
        id="na",
    ),
    pytest.param(
        {"t": TABLE.replace(b"Gapdh", b"\nGapdh")},
        "check t",
        3,
        "t: line 4 is empty. Remove it.",
        id="blank line",
    ),
    pytest.param(
        {"t": TABLE.replace(b"Gapdh", b"")},
        "check t",
        3,
        "t: line 4 has no gene name. Name the gene or remove the line.",
        id="no gene name",
    ),
    pytest.param(
        {"t": TABLE.replace(b"c2", b"")},
        "check t",
        3,
        (
            "t: line 1 has no cell name for column 3. It ends with a tab, as if another column "
            "followed: remove what is at the end of each line."
        ),
        id="no cell name",
    ),
    pytest.param(
        {"t": TABLE.replace(b"Actb", b"x").replace(b"Sox17", b"y").replace(b"Gapdh", b"z")},
        "check t",
        4,
        (
            "none of the gene names of the input (3: 'x', 'y', 'z') is a known mouse gene: names "
            "must be mouse symbols with species mouse, human symbols with species human, or "
            "Ensembl gene ids (ENSMUSG..., ENSG...). If these are the cells, check the species or "
            "pass --orientation; for other species pass --orthologs."
        ),
        id="no known gene",
    ),
    pytest.param(
        {"t": b"\tc1\nActb\t0\nGapdh\t0\n"},
        "check t",
        4,
        (
            "none of the 2 genes known to the model has a count in any of the 1 cells. Check that "
            "the table holds the expression values and that the species is right."
        ),
        id="counts of none",
    ),
    pytest.param(
        {"t": TABLE + b"Actb\t1\t1\n"},
        "check t",
        3,
        (
            "t: gene 'Actb' appears twice (lines 2 and 5). Sum or drop one, or pass "
            '--duplicate-genes sum or first (duplicate_genes="sum" in Python).'
        ),
        id="genes twice",
    ),
    pytest.param(
        {"t": TABLE},
        "check t --orientation cells-x-genes",
        4,
        (
            "none of the gene names of the input (2: 'c1', 'c2') is a known mouse gene: names must "
            "be mouse symbols with species mouse, human symbols with species human, or Ensembl "
            "gene ids (ENSMUSG..., ENSG...). If these are the cells, check the species or pass "
            "--orientation; for other species pass --orthologs."
        ),
        id="transposed and told so",
    ),
    # names that mean harm
    pytest.param(
        {"t": b"\t\x1b[2Jc\t\x1b[2Jc\nActb\t1\t1\n"},
        "check t",
        3,
        "t: cell '\\x1b[2Jc' appears twice (columns 2 and 3). Rename or drop one.",
        id="escape",
    ),
    pytest.param(
        {"t": "\t\u202ec\t\u202ec\nActb\t1\t1\n".encode()},
        "check t",
        3,
        "t: cell '\\u202ec' appears twice (columns 2 and 3). Rename or drop one.",
        id="bidirectional",
    ),
    pytest.param(
        {"t": b"\t" + b"A" * (1 << 20) + b"\tb\nActb\t1\tx\n"},
        "check t",
        3,
        (
            "t: line 2, gene 'Actb', cell 'b': 'x' is not a number. Only the header and the first "
            "column may hold text."
        ),
        id="a megabyte",
    ),
    pytest.param(
        {"a": b'id\tl\n"c\n1"\tx\n"c\n1"\ty\n', "t": TABLE},
        "check t -a a",
        3,
        "a: cell 'c\\n1' appears twice (second time on line 4). Keep one of its labels.",
        id="line breaks",
    ),
    pytest.param(
        {"e\x1b[31m\n": b""},
        ("check", "e\x1b[31m\n"),
        3,
        "e\\x1b[31m\\n: the file is empty.",
        id="file name",
    ),
    # 10x directories
    pytest.param(
        {"d/x": b""},
        "check d",
        3,
        "d: this is a directory without matrix.mtx or matrix.mtx.gz. Give the path of a table.",
        id="no matrix",
    ),
    pytest.param(
        {"d/a_matrix.mtx": b"", "d/b_matrix.mtx": b""},
        "check d",
        3,
        "d: there are several matrices: 'a_matrix.mtx', 'b_matrix.mtx'. Give the path of one.",
        id="two matrices",
    ),
    pytest.param(
        {"d/e/matrix.mtx": b""},
        "check d",
        3,
        (
            "d: this is a directory without matrix.mtx or matrix.mtx.gz. There is one in 'e': give "
            "that."
        ),
        id="folder in folder",
    ),
    pytest.param(
        {"d/.zgroup": b"{}"},
        "check d",
        3,
        (
            "d: this is a Zarr store, which is not read. In Python, "
            'anndata.read_zarr("d").write_h5ad("expr.h5ad") makes a file that is.'
        ),
        id="zarr",
    ),
    pytest.param(
        tenx(features=None),
        "check d",
        3,
        (
            "d/matrix.mtx: there is no features.tsv or genes.tsv (or .gz) beside the matrix, which "
            "would name its genes."
        ),
        id="no features",
    ),
    pytest.param(
        tenx(barcodes=None),
        "check d",
        3,
        (
            "d/matrix.mtx: there is no barcodes.tsv (or .gz) beside the matrix, which would name "
            "its cells."
        ),
        id="no barcodes",
    ),
    pytest.param(
        tenx(features="A\tActb\n"),
        "check d",
        3,
        (
            "d/matrix.mtx: the matrix has 3 rows and 2 columns, but d/features.tsv has 1 lines and "
            "d/barcodes.tsv 2. These files do not belong together."
        ),
        id="other features",
    ),
    pytest.param(
        tenx(barcodes="c1\nc1\n"),
        "check d",
        3,
        "d/barcodes.tsv: cell 'c1' appears twice (cells 1 and 2). Rename or drop one.",
        id="barcode twice",
    ),
    pytest.param(
        tenx(features="".join(f"{g}\t{g}\tAntibody Capture\n" for g in GENES)),
        "check d",
        3,
        (
            "d/features.tsv: there are no features of the type 'Gene Expression', only of "
            "'Antibody Capture'. Give the matrix of gene expression."
        ),
        id="antibodies",
    ),
    pytest.param(
        tenx(mtx("1 1 5\n4 1 7\n")),
        "check d",
        3,
        "d/matrix.mtx: an entry lies outside the 3 features. Copy or download the file again.",
        id="outside",
    ),
    pytest.param(
        tenx(mtx("1 1 5\n")),
        "check d",
        3,
        (
            "d/matrix.mtx: there are 1 entries instead of 2: the file is cut short or damaged. "
            "Copy or download it again."
        ),
        id="too few",
    ),
    pytest.param(
        tenx(mtx("1 1 5\n" * 3)),
        "check d",
        3,
        (
            "d/matrix.mtx: there are 3 entries instead of 2: the file is cut short or damaged. "
            "Copy or download it again."
        ),
        id="too many",
    ),
    pytest.param(
        tenx(mtx("1 1 5\n2 2 x\n")),
        "check d",
        3,
        (
            "d/matrix.mtx: an entry is not a row, a column and a number with one space between "
            "them (...). Copy or download the file again."
        ),
        id="no number",
    ),
    pytest.param(
        tenx(mtx("1 1 5\n2 2 nan\n", "%%MatrixMarket matrix coordinate real general")),
        "check d",
        3,
        (
            "d/matrix.mtx: gene 'Sox17', cell 'c2': the value nan is not a finite number. Give raw "
            "counts, CPM or TPM, and 0 where nothing was counted."
        ),
        id="nan",
    ),
    pytest.param(
        tenx(mtx("1 1 5\n2 2 -7\n")),
        "check d",
        3,
        (
            "d/matrix.mtx: gene 'Sox17', cell 'c2': the value -7 is negative. Give raw counts, CPM "
            "or TPM, and 0 where nothing was counted."
        ),
        id="negative",
    ),
    pytest.param(
        tenx(b"%%MatrixMarket matrix array real general\n3 2\n"),
        "check d",
        3,
        (
            "d/matrix.mtx: the first line must be '%%MatrixMarket matrix coordinate integer "
            "general': only sparse matrices are read."
        ),
        id="dense",
    ),
    pytest.param(
        tenx(b"%%MatrixMarket matrix coordinate pattern general\n3 2 0\n"),
        "check d",
        3,
        (
            "d/matrix.mtx: the first line must be '%%MatrixMarket matrix coordinate integer "
            "general', or real; it is of pattern numbers, general."
        ),
        id="pattern",
    ),
    pytest.param(
        tenx(b"%%MatrixMarket matrix coordinate real symmetric\n3 3 0\n"),
        "check d",
        3,
        (
            "d/matrix.mtx: the first line must be '%%MatrixMarket matrix coordinate integer "
            "general', or real; it is of real numbers, symmetric."
        ),
        id="symmetric",
    ),
    pytest.param(
        tenx(b"%%MatrixMarket matrix coordinate real general\nx\n"),
        "check d",
        3,
        "d/matrix.mtx: there is no line with the numbers of rows, columns and entries.",
        id="no sizes",
    ),
    # HDF5
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
        (
            "t.h5: this is a Loom file, which is not read. In Python, "
            'anndata.io.read_loom("t.h5").write_h5ad("expr.h5ad") converts it.'
        ),
        id="loom",
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
        (
            "t.h5: this is a SeuratDisk file (.h5Seurat), which is not read. In R, "
            'DropletUtils::write10xCounts("expr", counts) writes a 10x directory, and '
            'write.table(as.matrix(counts), "expr.txt", sep = "\\t", quote = FALSE) a table.'
        ),
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
    # Parquet and Arrow
    pytest.param(
        {"t": b"PAR1\0\0"},
        "check t",
        3,
        "t: the file cannot be read (...). Copy or download it again.",
        id="parquet cut",
    ),
    pytest.param(
        {"t": b"ARROW1\0\0"},
        "check t",
        3,
        "t: the file cannot be read (...). Copy or download it again.",
        id="arrow cut",
    ),
    pytest.param(
        {"t": arrow({"g": ["Actb"], "c1": ["x"]})},
        "check t",
        3,
        (
            "t: column 'c1' holds string, not numbers. Leave it out: one column has names, all "
            "others numbers."
        ),
        id="text in it",
    ),
    pytest.param(
        {"t": arrow({"g": ["Actb"], "c1": [None]})},
        "check t",
        3,
        (
            "t: column 'c1' holds null, not numbers. Leave it out: one column has names, all "
            "others numbers."
        ),
        id="nothing",
    ),
    pytest.param(
        {"t": arrow({"g": ["Actb"], "c2": pa.array([None], pa.int8())})},
        "check t",
        3,
        "t: row 'Actb', column 'c2': the value is missing. Write 0 where nothing was counted.",
        id="missing value",
    ),
    pytest.param(
        {"t": arrow({"c1": [1], "c2": [2]})},
        "check t",
        3,
        (
            "t: the rows have no names: the first column must be of strings, or the table have an "
            "index as pandas writes it."
        ),
        id="no names",
    ),
    pytest.param(
        {"t": arrow({"g": ["Actb"]})},
        "check t",
        3,
        "t: there are no cells.",
        id="no columns",
    ),
    pytest.param(
        {"t": arrow({"g": ["Actb"], "c2": [float("inf")]})},
        "check t",
        3,
        (
            "t: gene 'Actb', cell 'c2': the value inf is not a finite number. Give raw counts, CPM "
            "or TPM, and 0 where nothing was counted."
        ),
        id="infinite",
    ),
    pytest.param(
        {"t": gzip.compress(b"PAR1" + b"\0" * 9)},
        "check t",
        3,
        "t: this is a Parquet or Arrow file, compressed. Decompress it.",
        id="parquet packed",
    ),
    # annotation, samples, orthologs
    pytest.param(
        {"t": TABLE},
        "check t -a none",
        3,
        "none: cannot read the annotation (No such file or directory).",
        id="no annotation",
    ),
    pytest.param(
        {"t": TABLE, "a": b"id\nc1\n"},
        "check t -a a",
        3,
        "a: line 2 has no label: it needs a cell id and a label separated by a tab or a comma.",
        id="annotation of one column",
    ),
    pytest.param(
        {"t": TABLE, "a": b"id\tl\nc1\tx\nc1\ty\n"},
        "check t -a a",
        3,
        "a: cell 'c1' appears twice (second time on line 3). Keep one of its labels.",
        id="annotated twice",
    ),
    pytest.param(
        {"t": TABLE, "a": b"id\tl\n"},
        "check t -a a",
        3,
        "a: the annotation holds no cell below its header line.",
        id="empty annotation",
    ),
    pytest.param(
        {"t": TABLE, "a": b"PK\3\4\0\0"},
        "check t -a a",
        3,
        (
            "a: this annotation file is not plain text. Unpack it, or save the sheet as tab- or "
            "comma-separated text (UTF-8)."
        ),
        id="annotation in a zip archive",
    ),
    pytest.param(
        {"t": TABLE, "a": b"id\tl\nc1\tx\n"},
        "check t -a a --batch-key batch",
        2,
        "a: no column is called 'batch'. Its columns after the ids are 'l'.",
        id="no such column",
    ),
    pytest.param(
        {"t": TABLE, "a": b"id\tl\nc1\tx\n"},
        "check t -a a --batch-key id",
        2,
        "a: 'id' is the column of the cell ids. The columns after it are 'l'.",
        id="ids for samples",
    ),
    pytest.param(
        {"t": TABLE, "a": b"id\tl\nc1\tx\n"},
        "check t -a a --batch-key l",
        3,
        (
            "1 of 2 cells have no sample in 'l': 'c2'. Give each a label, or leave them out of the "
            "table."
        ),
        id="no sample",
    ),
    pytest.param(
        {"t": TABLE, "a": b"id\tl\nc1\tx\nc2\ty\n"},
        "check t -a a --batch-key l",
        3,
        (
            "every cell has a sample of its own in 'l' ('x', 'y'), so that there is nothing to "
            "compare it with. Give labels that cells share."
        ),
        id="samples of one",
    ),
    pytest.param(
        {"t": TABLE},
        "check t --batch-key l",
        2,
        (
            "--batch-key names a column of the annotation: give the file, too "
            "(-a/--annotation-path). Only a .h5ad has labels of its own."
        ),
        id="samples of what",
    ),
    pytest.param(
        {"t": TABLE},
        "check t --orthologs none",
        3,
        "none: cannot read the orthologs (No such file or directory).",
        id="no orthologs",
    ),
    pytest.param(
        {"t": TABLE, "o": b"a\tActb\tx\n"},
        "check t --orthologs o",
        3,
        "o: line 1 has 3 fields instead of 2, a gene and its mouse symbol with a tab or a comma "
        "between them.",
        id="three columns",
    ),
    pytest.param(
        {"t": TABLE, "o": b"a\tx\nb\ty\n"},
        "check t --orthologs o",
        3,
        (
            "o: none of the 1 mouse symbols is a gene of the model: 'y'. The table needs two "
            "columns: genes of the input, mouse symbols."
        ),
        id="of no use",
    ),
    pytest.param(
        {"t": TABLE, "o": b"a\tActb\na\tSox17\n"},
        "check t --orthologs o",
        3,
        (
            "o: gene 'a' has two mouse symbols, 'Actb' (line 1) and 'Sox17' (line 2). Keep one of "
            "them."
        ),
        id="two orthologs",
    ),
    pytest.param(
        {"t": TABLE, "o": b"a\tActb\n"},
        "check t --orthologs o -sp human",
        2,
        (
            "a table of orthologs maps the genes to mouse, so species 'human' has no meaning: "
            "leave it out."
        ),
        id="orthologs of man",
    ),
    # where plots draw
    pytest.param(
        {"t": TABLE},
        "run t --embedding none",
        3,
        "none: no such file with an embedding. The name of an array in obsm needs an .h5ad input.",
        id="no embedding",
    ),
    pytest.param(
        {"t": TABLE, "e": b"c1\t1\n"},
        "run t --embedding e",
        3,
        "e: the embedding holds no cell: it needs a line per cell with its id and two coordinates.",
        id="embedding of a column",
    ),
    pytest.param(
        {"t": TABLE, "e": b"\tx\ty\nc1\t1\tx\n"},
        "run t --embedding e",
        3,
        (
            "e: line 2, cell 'c1': 'x' is not a finite number. Leave the line out where a cell has "
            "no coordinates."
        ),
        id="embedding of words",
    ),
    pytest.param(
        {"t": TABLE, "e": b"c1\t1\t2\nc1\t1\t2\n"},
        "run t --embedding e",
        3,
        "e: line 2: cell 'c1' appears twice. Keep one of its lines.",
        id="embedded twice",
    ),
    pytest.param(
        {"t": TABLE, "e": b"d1\t1\t2\n"},
        "run t --embedding e",
        3,
        (
            "e: none of the 2 cells of the table has coordinates: the table has 'c1', 'c2', the "
            "embedding 'd1'. Write the ids alike."
        ),
        id="embedding of others",
    ),
    # models
    pytest.param(
        {"t": TABLE},
        "check t -m none.onnx",
        5,
        (
            "none.onnx: no such model. Give the path of an .onnx file written by "
            "tools/export_onnx.py, or 'open' for the bundled model."
        ),
        id="no model",
    ),
    pytest.param(
        {"t": TABLE},
        "check t -m none",
        5,
        (
            "none: no such model. Give the path of an .onnx file written by tools/export_onnx.py, "
            "or 'open' for the bundled model."
        ),
        id="no model of the name",
    ),
    pytest.param(
        {"t": TABLE, "m.onnx": b"x"},
        "check t -m ./m.onnx",
        5,
        (
            "m.onnx: not a cytotrace2_lite model, or truncated (1 bytes). Copy the file again, or "
            "export it anew with tools/export_onnx.py."
        ),
        id="text for a model",
    ),
    pytest.param(
        {"t": TABLE, "m.onnx": seal(b"x").replace(b"x", b"y", 1)},
        "check t -m ./m.onnx",
        5,
        (
            "m.onnx: the model was altered after it was written (its SHA-256 does not match). Copy "
            "the file again, or export it anew with tools/export_onnx.py."
        ),
        id="an altered model",
    ),
    pytest.param(
        {"t": TABLE, "m.onnx": seal(b"")},
        "check t -m ./m.onnx",
        5,
        "m.onnx: the model does not describe itself as this version expects. Copy the file again, "
        "or export it anew with tools/export_onnx.py.",
        id="a model of nothing",
    ),
    pytest.param(
        {"t": TABLE, "m.onnx": seal(b"\xff" * 9)},
        "check t -m ./m.onnx",
        5,
        "m.onnx: the file is damaged or is no ONNX model.",
        id="bytes for a model",
    ),
    # results to compare
    pytest.param(
        {"a": results(ROW)},
        "compare a none",
        3,
        "none: no such file. Check the path.",
        id="no results",
    ),
    pytest.param(
        {"a": results(ROW), "d/": None},
        "compare a d",
        3,
        "d: this is a directory. Give the cytotrace2_results file in it.",
        id="a folder of results",
    ),
    pytest.param(
        {"a": results(ROW), "b": b"\tx\nc1\t1\n"},
        "compare a b",
        3,
        (
            "b: this is not a results file of CytoTRACE 2: 5 of its 5 columns are missing "
            "('CytoTRACE2_Score', 'CytoTRACE2_Potency', 'CytoTRACE2_Relative', ...). Give a "
            "cytotrace2_results file."
        ),
        id="other columns",
    ),
    pytest.param(
        {"a": results(ROW), "b": results(ROW[:3])},
        "compare a b",
        3,
        "b: line 2 has 3 fields instead of 6. Is the file cut short?",
        id="results cut",
    ),
    pytest.param(
        {"a": results(ROW), "b": results(ROW, ROW)},
        "compare a b",
        3,
        "b: cell 'c1' appears twice (line 2 and line 3). Rename or drop one.",
        id="results twice",
    ),
    pytest.param(
        {"a": results(ROW), "b": results()},
        "compare a b",
        3,
        "b: there are no cells in it.",
        id="results of none",
    ),
    pytest.param(
        {"a": results(ROW), "b": results(("c2", *ROW[1:]))},
        "compare a b",
        3,
        (
            "a and b have no cell in common (the first holds 'c1'; the second 'c2'). Give two "
            "results of the same cells."
        ),
        id="results of others",
    ),
    pytest.param(
        {"a": results(ROW), "b": results((*ROW[:2], "Potent", *ROW[3:]))},
        "compare a b",
        3,
        (
            "b: cell 'c1', column CytoTRACE2_Potency: 'Potent' is not one of Differentiated, "
            "Unipotent, Oligopotent, Multipotent, Pluripotent, Totipotent."
        ),
        id="another label",
    ),
    pytest.param(
        {"a": results(ROW), "b": results(("c1", "x", *ROW[2:]))},
        "compare a b",
        3,
        "b: cell 'c1', column CytoTRACE2_Score: 'x' is not a finite number.",
        id="no score",
    ),
    pytest.param(
        {"a": results(ROW), "b": b"\xff\xfe"},
        "compare a b",
        3,
        (
            "b: this is not a text, Parquet or Arrow file. Give the cytotrace2_results file, "
            "unpacked; an .h5ad is not read."
        ),
        id="no text",
    ),
    pytest.param(
        {"a": results(ROW), "b": b"PAR1"},
        "compare a b",
        3,
        "b: the file cannot be read (...). Copy it again.",
        id="parquet of results cut",
    ),
    # where results go
    pytest.param(
        {"t": TABLE, "out": b""},
        "run t -o out",
        1,
        "out: cannot write results here (File exists). Choose another directory (-o/--output-dir).",
        id="a file for a folder",
    ),
    pytest.param(
        {"t": TABLE},
        "run t --write-h5ad c.h5ad",
        2,
        (
            "t: this is not an .h5ad file, and --write-h5ad adds the scores to a copy of one. "
            "Leave it out (the results file has the scores), or give an .h5ad file as input."
        ),
        id="a copy of text",
    ),
    pytest.param(
        {"t.h5ad": written(formats.h5ad)},
        "run t.h5ad --write-h5ad c.txt",
        2,
        "c.txt: the file of --write-h5ad must have a name that ends in .h5ad.",
        id="a copy of another name",
    ),
    pytest.param(
        {"t.h5ad": written(formats.h5ad)},
        "run t.h5ad --write-h5ad t.h5ad",
        2,
        (
            "t.h5ad: this is the input, which is never changed. Give the file of --write-h5ad "
            "another name."
        ),
        id="a copy over itself",
    ),
    pytest.param(
        {"t": TABLE},
        "run t -o - --embedding e",
        2,
        "--embedding is for plots, which need a directory (-o/--output-dir).",
        id="an embedding for a pipe",
    ),
    # the command line
    pytest.param(
        {},
        "run",
        2,
        "Give the expression table once: ct2-lite run EXPR",
        id="nothing to run",
    ),
    pytest.param(
        {},
        "check --species human",
        2,
        "--species goes with a table: ct2-lite check EXPR --species ...",
        id="an option of tables",
    ),
    pytest.param(
        {"a": results(ROW)},
        "compare a a -t -1",
        2,
        "tolerance is -1.0; it must be a number of at least 0.",
        id="tolerance",
    ),
]


@pytest.fixture
def ct2(tmp_path, monkeypatch, capsys, model_files):
    """Function that runs a command where some files are; returns exit code, output and error."""
    monkeypatch.chdir(tmp_path)
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")

    def run(files, words):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir()
            elif callable(content):
                content(path)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        command, *options = words.split(" ") if isinstance(words, str) else words
        if command != "compare" and "-m" not in options and options != ["--species", "human"]:
            options = ["-q", "-m", str(model_files["1.1.0"]), *options]
        with pytest.raises(SystemExit) as caught:
            main([command, *options])
        output = capsys.readouterr()
        return caught.value.code, output.out, output.err

    return run


@pytest.mark.parametrize(("files", "words", "code", "message"), CASES)
def test_message(ct2, tmp_path, files, words, code, message):
    actual, out, err = ct2(files, words)
    assert actual == code
    assert out == ""
    before, _, said = err.partition("Error: ")
    # "(...)" stands for what a library says, which is another text in other versions.
    expected = re.escape(message).replace(re.escape("(...)"), r"\(.+\)")
    assert re.fullmatch(expected + "\n", said), said
    assert said.removesuffix("\n").isprintable()
    # Nothing but that: no warning, no traceback; the model and usage where click has them said.
    assert re.fullmatch(r"(Model: .*\n)?(Usage: .*\nTry '.*' for help.\n\n)?", before)
    # And nothing was written.
    there = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert there == {Path(name).parts[0] for name in files}


def test_there_are_many():
    assert len(CASES) >= 140
