"""How formats are told apart, and what is said of those that are not read."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from helpers import formats
from helpers.readers import message

from cytotrace2_lite.read import ReadOptions, open_input, read_expression
from cytotrace2_lite.read._formats import FORMATS, READ
from cytotrace2_lite.read._layouts import LAYOUTS

pytestmark = pytest.mark.usefixtures("working_directory")


def zip_of(name):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(name, "x")
    return sink.getvalue()


def tar_of(name):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return sink.getvalue()


SHEET = (
    "Save the sheet as tab-separated text, and look for gene names that "
    "the program has made dates, as 1-Mar for March1."
)
NUMPY = "In Python, pass the matrix: cytotrace2_lite.run(matrix, genes=..., cells=...)."
UNPACK = "Unpack it and give the file or the directory in it."


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        (zip_of("[Content_Types].xml"), "an Excel workbook (.xlsx)", SHEET),
        (b"\xd0\xcf\x11\xe0\xa1", "an Excel workbook (.xls)", SHEET),
        (zip_of("arr_0.npy"), "a NumPy archive (.npz)", NUMPY),
        (zip_of("expr.txt"), "a zip archive", UNPACK),
        (tar_of("filtered/matrix.mtx"), "a tar archive", UNPACK),
        (b"\x80\x04\x95", "a Python pickle", NUMPY),
        (b"\x93NUMPY\1\0", "a NumPy array (.npy)", NUMPY),
        (gzip.compress(lzma.compress(b"x")), "xz data in compressed data", "Decompress it once."),
        (gzip.compress(gzip.compress(b"x")), "gzip data in gzip data", "Decompress it once."),
        ("\tc1\n".encode("utf-16"), "UTF-16 text", "Save it as UTF-8."),
        (b"FEA1\0\0", "a Feather file of version 1", "Write it anew, as version 2."),
        (b"<!DOCTYPE html>", "a web page", "Download the file again, perhaps after logging in."),
    ],
)
def test_other_formats(tmp_path, content, what, remedy):
    (tmp_path / "t.txt").write_bytes(content)
    assert message("t.txt") == (f"t.txt: this is {what}, which is not read; {READ} are. {remedy}")


class TestTextThatBeginsLikeSomethingElse:
    """As much of a magic number is compared as there is: names may begin in the same way."""

    @pytest.mark.parametrize(
        "name", ["BZhfoo", "BZh9", "PAR1", "PAR14", "ARROW1", "FEA1", "RDX2", "MATLAB", "PK", "X"]
    )
    def test_as_a_name(self, data, tmp_path, name):
        for place in ("gene", "cell"):
            data.genes[0], data.cells[0] = (name, "a") if place == "gene" else ("Actb", name)
            for transposed in (False, True):
                # Without a first field, as R writes the header.
                content = formats.text(data, transposed=transposed)[1:]
                (tmp_path / "t.txt").write_bytes(content)
                orientation = "cells-x-genes" if transposed else "genes-x-cells"
                expression, _ = read_expression("t.txt", orientation=orientation)
                assert (expression.cells, expression.genes) == (data.cells, data.genes)

    def test_ustar_where_a_tar_archive_has_it(self, tmp_path):
        header = b"\t" + b"c" * 256 + b"ustar\n"
        (tmp_path / "t.txt").write_bytes(header + b"Actb\t3\n")
        assert read_expression("t.txt")[0].genes == ["Actb"]

    @pytest.mark.parametrize("name", ["bz2", "gz", "xz", "zst"])
    def test_compressed_data_are_told_whatever_their_level(self, data, tmp_path, name):
        content = formats.text(data)
        packed = {
            "bz2": [bz2.compress(content, level) for level in (1, 5, 9)] + [bz2.compress(b"")],
            "gz": [gzip.compress(content, level) for level in (0, 9)],
            "xz": [
                lzma.compress(content),
                lzma.compress(content[:9]) + lzma.compress(content[9:]) + bytes(8),
            ],
            "zst": [formats.compress(content, "zst")],
        }
        for number in packed[name]:
            (tmp_path / "t.txt").write_bytes(number)
            if number == bz2.compress(b""):
                assert message("t.txt") == "t.txt: the file is empty."
            else:
                assert read_expression("t.txt")[0].cells == data.cells


class TestHdf5:
    @pytest.fixture(autouse=True)
    def h5py(self):
        return pytest.importorskip("h5py")

    @pytest.mark.parametrize("size", [512, 1024, 2048, 4096, 1 << 20])
    @pytest.mark.parametrize("begin", [b"", b"MATLAB 7.3 MAT-file", b"\tc1\nActb\t1\n"])
    def test_after_a_user_block(self, h5py, data, tmp_path, size, begin):
        formats.h5ad(data, tmp_path / "plain.h5ad")
        with (
            h5py.File("plain.h5ad") as source,
            h5py.File("t.h5ad", "w", userblock_size=size) as target,
        ):
            target.attrs.update(source.attrs)
            for name in source:
                source.copy(name, target)
        with Path("t.h5ad").open("r+b") as file:
            file.write(begin)
        with open_input("t.h5ad") as source:
            assert source.is_h5ad
            expression, origin = source.read(ReadOptions())
        assert origin.format == "h5ad"
        assert (expression.cells, expression.genes) == (data.cells, data.genes)

    @pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
    def test_in_a_tar_archive(self, data, tmp_path, kind):
        """Its first file begins at 512, as an HDF5 file after a user block does."""
        formats.h5ad(data, tmp_path / "t.h5ad")
        with tarfile.open("t.tar", "w", format=kind) as archive:
            archive.add("t.h5ad")
        assert Path("t.tar").read_bytes()[512:516] == b"\x89HDF"
        assert message("t.tar").startswith("t.tar: this is a tar archive, which is not read; ")

    def test_a_path_with_braces(self, h5py):
        with h5py.File("{path}{0}.h5", "w") as file:
            for name in ("barcode_idx", "feature_idx", "count"):
                file.create_group(name)
        assert message("{path}{0}.h5").startswith("{path}{0}.h5: this is molecule_info.h5 of ")


def test_a_row_that_is_read_names_a_reader():
    for row in FORMATS:
        assert (row.opener is None) != (row.remedy == ""), row.what
    assert FORMATS[-1].what == "a text table"
    for row in LAYOUTS:
        assert (row.opener is None) != (row.remedy == ""), row.what
