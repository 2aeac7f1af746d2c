"""Matrices of all programs, with the files that name their axes, whatever their names."""

import bz2
import gzip
import lzma
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from helpers import formats
from scipy import sparse

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read import read_expression

GENES = ["Actb", "Sox17", "Gapdh", "Nanog"]
CELLS = ["AAAC-1", 'O\'Neil "x"', "ACGT-1"]
COUNTS = np.array([[5, 0, 1, 0], [0, 3, 0, 2], [300, 0, 0, 7]])


def is_known(names):
    return np.isin(names, GENES)


@pytest.fixture
def data():
    return formats.Dataset(sparse.csr_matrix(COUNTS), CELLS, GENES)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def turned(data):
    """The same counts, with cells as rows."""
    return formats.Dataset(data.counts.T.tocsr(), data.genes, data.cells)


def lines(names):
    return "".join(f"{name}\n" for name in names)


def write(folder, **files):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def assert_read(path, cells=CELLS, genes=GENES):
    expression, source = read_expression(path, is_known)
    assert expression.cells == list(cells)
    assert expression.genes == list(genes)
    np.testing.assert_array_equal(expression.values.toarray(), COUNTS)
    return source


def message(path):
    with pytest.raises(InputError) as caught:
        read_expression(path, is_known)
    return str(caught.value)


PLAIN_CELLS = ["AAAC-1", "ACCC-1", "ACGT-1"]
WRITERS = {
    "BOM": lambda text: b"\xef\xbb\xbf" + text,
    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
    "CR": lambda text: text.replace(b"\n", b"\r"),
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "BOM and CRLF": lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"),
    "no last newline": lambda text: text.removesuffix(b"\n"),
    "empty last lines": lambda text: text + b"\n\n",
    "empty first line": lambda text: b"\n" + text,
    "quotes": lambda text: b"".join(
        b"\t".join(b'"%s"' % field for field in line.split(b"\t")) + b"\n"
        for line in text.splitlines()
    ),
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda text: formats.compress(text, "zst"),
    "row numbers": lambda text: b"".join(
        b"%d\t%s\n" % (i, line) for i, line in enumerate(text.splitlines(), 1)
    ),
}


@pytest.mark.parametrize("how", WRITERS)
def test_whoever_wrote_the_names(how, data, tmp_path):
    data.cells = PLAIN_CELLS
    change = WRITERS[how]
    folder = formats.directory_v2(data, tmp_path / "d")
    for name in ("genes.tsv", "barcodes.tsv"):
        (folder / name).write_bytes(change((folder / name).read_bytes()))
    source = assert_read("d", PLAIN_CELLS)
    assert source.gene_names == "symbols of genes.tsv"


def test_a_lone_quote_is_part_of_a_name(data, tmp_path):
    data.cells = ["O'Neil", "5'x", "c"]
    formats.directory_v2(data, tmp_path / "d")
    assert_read("d", data.cells)


@pytest.mark.parametrize(
    ("features", "barcodes"),
    [
        ("gene_id\tgene_name\n", ""),
        ("", "barcode\n"),
        ("x\ty\n", "x\n"),
        ('"gene_ids"\t"V2"\n', '"V1"\n'),
        ("\n", "\n"),
        ("Gene Symbol\t\n", "cell_id\n"),
    ],
)
def test_header(features, barcodes, data, tmp_path):
    data.cells = PLAIN_CELLS
    folder = formats.directory_v2(data, tmp_path / "d")
    for name, header in (("genes.tsv", features), ("barcodes.tsv", barcodes)):
        (folder / name).write_text(header + (folder / name).read_text())
    assert_read("d", PLAIN_CELLS)


def test_another_line_too_many_is_no_header(data, tmp_path):
    folder = formats.directory_v2(data, tmp_path / "d")
    (folder / "genes.tsv").write_text("A\tKlf4\n" + (folder / "genes.tsv").read_text())
    assert message("d") == (
        "d/matrix.mtx: the matrix has 4 rows and 3 columns, but d/genes.tsv has 5 lines and "
        "d/barcodes.tsv 3. These files do not belong together."
    )


def test_header_in_place_of_a_name(data, tmp_path):
    folder = formats.directory_v2(data, tmp_path / "d")
    (folder / "barcodes.tsv").write_text("barcode\na\nb\n")
    assert message("d") == (
        "d/barcodes.tsv: the first line ('barcode') is a header, and with it there are 3 lines, as "
        "many as the matrix has names to give. One name is missing: write the file again."
    )


def test_empty_line_between(data, tmp_path):
    folder = formats.directory_v2(data, tmp_path / "d")
    (folder / "barcodes.tsv").write_text("barcode\na\n\nb\n")
    assert message("d") == (
        "d/barcodes.tsv: line 3 is empty. Write the name there, or remove the line."
    )


def kallisto(data, folder):
    write(
        folder,
        **{
            "cells_x_genes.mtx": formats.mtx(turned(data)),
            "cells_x_genes.genes.txt": lines(data.ids),
            "cells_x_genes.genes.names.txt": lines(data.genes),
            "cells_x_genes.barcodes.txt": lines(data.cells),
            "cells_x_genes.barcodes.prefix.txt": lines(["A"] * 3),
        },
    )


def alevin(data, folder):
    write(
        folder,
        **{
            "quants_mat.mtx": formats.mtx(turned(data)),
            "quants_mat_cols.txt": lines(data.genes),
            "quants_mat_rows.txt": lines(data.cells),
        },
    )


def parse(matrix):
    def writer(data, folder):
        genes = zip(data.ids, data.genes, strict=True)
        write(
            folder,
            **{
                matrix: formats.mtx(turned(data)),
                "all_genes.csv": "gene_id,gene_name,genome\n"
                + lines(f"{i},{name},mm10" for i, name in genes),
                "cell_metadata.csv": "bc_wells,sample,tscp_count\n"
                + lines(f"{cell},s,9" for cell in data.cells),
            },
        )

    return writer


def geo(data, folder):
    formats.directory_v3(data, folder, "GSM123_")
    formats.directory_v3(data, folder.parent / "other", "GSM124_")
    for name in ("barcodes.tsv.gz", "features.tsv.gz"):
        (folder / f"GSM124_{name}").write_bytes(b"")


def geo_shared_genes(data, folder):
    write(
        folder,
        **{
            "GSM5_A_counts.mtx.gz": gzip.compress(formats.mtx(data)),
            "GSM5_A_cells.tsv.gz": gzip.compress(lines(data.cells).encode()),
            "GSE4_all_genes.tsv.gz": gzip.compress(lines(data.genes).encode()),
        },
    )


def ebi(data, folder):
    genes = zip(data.genes, data.genes, strict=True)
    start = "E-MTAB-1.aggregated_filtered_counts.mtx"
    write(
        folder,
        **{
            start: formats.mtx(data, field="real"),
            f"{start}_rows": lines(f"{a}\t{b}" for a, b in genes),
            f"{start}_cols": lines(data.cells),
        },
    )


def plain(ending):
    def writer(data, folder):
        write(
            folder,
            **{
                "counts.mtx": formats.mtx(data),
                f"genes{ending}": lines(data.genes),
                f"cells{ending}": lines(data.cells),
            },
        )

    return writer


def starsolo(data, folder):
    formats.directory_v2(data, folder)
    (folder / "UniqueAndMult-EM.mtx").write_bytes(formats.mtx(data).replace(b" 5\n", b" 6\n"))


def starsolo_multiple(data, folder):
    formats.directory_v2(data, folder)
    (folder / "matrix.mtx").rename(folder / "UniqueAndMult-EM.mtx")


@pytest.mark.parametrize(
    "writer",
    [
        kallisto,
        alevin,
        parse("DGE.mtx"),
        parse("count_matrix.mtx"),
        geo,
        geo_shared_genes,
        ebi,
        plain(".txt"),
        plain(".csv"),
        plain(""),
        starsolo,
        starsolo_multiple,
    ],
)
def test_directories_of_other_programs(writer, data, tmp_path):
    data.cells = PLAIN_CELLS
    writer(data, tmp_path / "d")
    assert_read("d", PLAIN_CELLS)


def test_square_matrices(data, tmp_path):
    counts = sparse.csr_matrix(COUNTS[:, :3])
    for writer, name in ((kallisto, "k"), (alevin, "a"), (parse("DGE.mtx"), "p"), (ebi, "e")):
        writer(formats.Dataset(counts, PLAIN_CELLS, GENES[:3]), tmp_path / name)
        expression, _ = read_expression(name, is_known)
        assert expression.cells == PLAIN_CELLS
        np.testing.assert_array_equal(expression.values.toarray(), COUNTS[:, :3])


def test_several_matrices(data, tmp_path):
    folder = formats.directory_v2(data, tmp_path / "d")
    (folder / "matrix.mtx").rename(folder / "spliced.mtx")
    (folder / "unspliced.mtx").write_bytes(b"")
    assert message("d") == (
        "d: there are several matrices: 'spliced.mtx', 'unspliced.mtx'. Give the path of one."
    )


def test_directories_above(data, tmp_path):
    (tmp_path / "Solo.out" / "Gene").mkdir(parents=True)
    for name in ("filtered", "raw"):
        formats.directory_v2(data, tmp_path / "Solo.out" / "Gene" / name)
    assert message("Solo.out") == (
        "Solo.out: this is a directory without matrix.mtx or matrix.mtx.gz. There are some in "
        "'Gene/filtered', 'Gene/raw': give one of these."
    )


class TestSeveralFilesForOneAxis:
    def test_the_one_compressed_as_the_matrix(self, data, tmp_path):
        folder = formats.directory_v3(data, tmp_path / "d")
        (folder / "barcodes.tsv").write_text("x\ny\nz\n")
        (folder / "genes.tsv").write_text("A\nB\nC\nD\nE\n")
        source = assert_read("d", CELLS)
        assert source.gene_names == (
            "symbols of features.tsv.gz, cell names from barcodes.tsv.gz (not used: genes.tsv, "
            "barcodes.tsv)"
        )

    def test_which_does_not_fit(self, data, tmp_path):
        folder = formats.directory_v3(data, tmp_path / "d")
        (folder / "barcodes.tsv").write_bytes(lines(CELLS).encode())
        (folder / "barcodes.tsv.gz").write_bytes(gzip.compress(b"x\n"))
        assert message("d") == (
            "d: several files could name the cells: 'barcodes.tsv' (3 lines), 'barcodes.tsv.gz' "
            "(1 lines). Keep the one that belongs to the matrix."
        )

    def test_neither_is_compressed_as_the_matrix(self, data, tmp_path):
        folder = formats.directory_v2(data, tmp_path / "d")
        (folder / "barcodes.tsv").unlink()
        for ending, pack in ((".gz", gzip.compress), (".bz2", bz2.compress)):
            (folder / f"barcodes.tsv{ending}").write_bytes(pack(lines(CELLS).encode()))
        assert message("d") == (
            "d: several files could name the cells: 'barcodes.tsv.bz2' (3 lines), "
            "'barcodes.tsv.gz' (3 lines). Keep the one that belongs to the matrix."
        )


class TestTypesOfFeatures:
    def test_a_blank_after_the_type(self, data, tmp_path):
        folder = formats.directory_v3(data, tmp_path / "d")
        text = formats.features(data).replace(b"Expression\n", b"Expression \n", 2)
        (folder / "features.tsv.gz").write_bytes(gzip.compress(text))
        assert_read("d", CELLS)

    @pytest.mark.parametrize("line", [b"CD3\tCD3\n", b"CD3\tCD3\t\n", b"CD3\tCD3\t \n"])
    def test_a_line_without_a_type(self, line, data, tmp_path):
        folder = formats.directory_v3(data, tmp_path / "d")
        text = b"".join(formats.features(data).splitlines(keepends=True)[:3]) + line
        (folder / "features.tsv.gz").write_bytes(gzip.compress(text))
        assert message("d") == (
            "d/features.tsv.gz: feature 4 has no type, others have. Write 'Gene Expression' or "
            "another type there."
        )


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"\n1 1 5", b"\n  1   1  5  "),
        lambda text: text.replace(b" ", b"  ").replace(b"\n", b" \n"),
        lambda text: text.replace(b"%%MatrixMarket", b"%% matrixmarket"),
        lambda text: text.replace(b"\n1 1 5", b"\n% a comment\n\n1 1 5"),
        lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"),
        lambda text: b"\n" + text.replace(b"\n%meta", b"\n%%made by\n%%\n\n%meta"),
        lambda text: text.replace(b"1 1 5\n", b"1\t 1\t5\n"),
        lambda text: text.removesuffix(b"\n"),
    ],
)
def test_unusual_matrix_market(change, data, tmp_path):
    folder = formats.directory_v2(data, tmp_path / "d")
    (folder / "matrix.mtx").write_bytes(change(formats.mtx(data)))
    (folder / "barcodes.tsv").write_text(lines(PLAIN_CELLS))
    assert_read("d", PLAIN_CELLS)


@pytest.mark.slow
def test_errors_end_with_their_code_under_load(data, tmp_path):
    """Threads that read on when the interpreter ends must not abort it."""
    folder = formats.directory_v2(data, tmp_path / "d")
    text = "1 1 5\n" * 1_500_000
    wrong = text[: len(text) // 2 // 6 * 6] + "1 1 x\n" + text
    head = f"%%MatrixMarket matrix coordinate integer general\n4 3 {wrong.count(chr(10))}\n"
    (folder / "matrix.mtx").write_text(head + wrong)
    code = textwrap.dedent("""
        import sys
        from cytotrace2_lite.errors import InputError
        from cytotrace2_lite.read import read_expression
        try:
            read_expression("d", threads=2)
        except InputError as error:
            print(error)
            sys.exit(3)
    """)
    for _ in range(50):
        running = [
            subprocess.Popen(
                [sys.executable, "-c", code],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(6)
        ]
        for process in running:
            out, err = process.communicate(timeout=300)
            assert (process.returncode, err) == (3, "")
            assert out.startswith("d/matrix.mtx: ")
