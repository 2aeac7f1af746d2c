"""Text tables that cannot be used, and files that are none: the exact message of each."""

import gzip
import lzma

import pytest
from helpers.wrong_inputs import CASE, TABLE, archive, npy

from cytotrace2_lite.read._formats import READ

CASES = [
    # files that are no text, or of another format
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
            f"t: this is a web page, which is not read; {READ}"
            " are. Download the file again, perhaps after logging in."
        ),
        id="a web page",
    ),
    pytest.param(
        {"t": archive("zip", "[Content_Types].xml")},
        "check t",
        3,
        (
            f"t: this is an Excel workbook (.xlsx), which is not read; {READ}"
            " are. Save the sheet as tab-separated text, and look for gene "
            "names that the program has made "
            "dates, as 1-Mar for March1."
        ),
        id="excel",
    ),
    pytest.param(
        {"t": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"},
        "check t",
        3,
        (
            f"t: this is an Excel workbook (.xls), which is not read; {READ}"
            " are. Save the sheet as tab-separated text, and look for gene "
            "names that the program has made "
            "dates, as 1-Mar for March1."
        ),
        id="old excel",
    ),
    pytest.param(
        {"t": archive("zip", "t.txt")},
        "check t",
        3,
        (
            f"t: this is a zip archive, which is not read; {READ}"
            " are. Unpack it and give the file or the directory in it."
        ),
        id="zip",
    ),
    pytest.param(
        {"t": archive("zip", "x.npy")},
        "check t",
        3,
        (
            f"t: this is a NumPy archive (.npz), which is not read; {READ}"
            " are. In Python, pass the matrix: cytotrace2_lite.run(matrix, genes=..., cells=...)."
        ),
        id="numpy archive",
    ),
    pytest.param(
        {"t": archive("tar", "t.txt")},
        "check t",
        3,
        (
            f"t: this is a tar archive, which is not read; {READ}"
            " are. Unpack it and give the file or the directory in it."
        ),
        id="tar",
    ),
    pytest.param(
        {"t": npy()},
        "check t",
        3,
        (
            f"t: this is a NumPy array (.npy), which is not read; {READ}"
            " are. In Python, pass the matrix: cytotrace2_lite.run(matrix, genes=..., cells=...)."
        ),
        id="numpy",
    ),
    pytest.param(
        {"t": b"\x80\x04]\x94."},
        "check t",
        3,
        (
            f"t: this is a Python pickle, which is not read; {READ}"
            " are. In Python, pass the matrix: cytotrace2_lite.run(matrix, genes=..., cells=...)."
        ),
        id="pickle",
    ),
    pytest.param(
        {"t": b"RDX3\nX\n\0\0\0"},
        "check t",
        3,
        ("t: the R data end in the middle of an object. Copy or download the file again."),
        id="rds",
    ),
    pytest.param(
        {"t": gzip.compress(b"X\n\0\0\0\3")},
        "check t",
        3,
        ("t: the R data end in the middle of an object. Copy or download the file again."),
        id="packed rds",
    ),
    pytest.param(
        {"t": lzma.compress(TABLE)[:-20]},
        "check t",
        3,
        ("t: the xz data are damaged or cut short. Copy or download the file again."),
        id="xz",
    ),
    pytest.param(
        {"t": TABLE.decode().encode("utf-16")},
        "check t",
        3,
        (f"t: this is UTF-16 text, which is not read; {READ} are. Save it as UTF-8."),
        id="utf-16",
    ),
    pytest.param(
        {"t": gzip.compress(gzip.compress(TABLE))},
        "check t",
        3,
        (f"t: this is gzip data in gzip data, which is not read; {READ} are. Decompress it once."),
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
        {"e\x1b[31m\n": b""},
        ("check", "e\x1b[31m\n"),
        3,
        "e\\x1b[31m\\n: the file is empty.",
        id="file name",
    ),
]


@pytest.mark.parametrize(CASE, CASES)
def test_message(refusals, files, words, code, message):
    refusals.check(files, words, code, message)


def test_there_are_many():
    assert len(CASES) >= 51
