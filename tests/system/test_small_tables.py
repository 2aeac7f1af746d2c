"""Small text tables, as R, Excel, pandas, Cell Ranger and people write them."""

import bz2
import csv
import gzip
import io
import lzma

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.system import small_tables
from cytotrace2_lite.system.small_tables import parse_small_table, read_small_table

ROWS = [["id", "label"], ["c1", "B cell"], ["c'2", "naïve T"], ["c3", ""]]
TEXT = "\n".join("\t".join(row) for row in ROWS) + "\n"


def parse(content, **options):
    if isinstance(content, str):
        content = content.encode()
    return parse_small_table("a.txt", content, "annotation", **options)


class TestSameRows:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
    def test_encodings(self, encoding):
        mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
        table = parse(mark + TEXT.encode(encoding))
        assert table.rows == ROWS
        expected = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}
        assert table.encoding == expected.get(encoding, encoding)

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("last", [True, False])
    def test_line_ends(self, end, last):
        text = TEXT.replace("\n", end)
        table = parse(text if last else text.removesuffix(end))
        assert table.rows == ROWS
        assert list(table.lines) == [1, 2, 3, 4]

    @pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
    def test_delimiters(self, delimiter):
        table = parse(TEXT.replace("\t", delimiter))
        assert (table.rows, table.delimiter) == (ROWS, delimiter)

    @pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"'])
    def test_a_line_that_names_the_separator(self, line):
        table = parse(f"{line}\n" + TEXT.replace("\t", ";").replace("B cell", "B, cell"))
        assert table.rows[1] == ["c1", "B, cell"]
        assert list(table.lines) == [2, 3, 4, 5]

    @pytest.mark.parametrize(
        ("name", "compress"),
        [
            ("gzip", gzip.compress),
            ("bz2", bz2.compress),
            ("xz", lzma.compress),
            ("zstd", lambda content: pa.compress(content, "zstd", asbytes=True)),
        ],
    )
    def test_compressions(self, tmp_path, name, compress):
        path = tmp_path / "a.txt"
        path.write_bytes(compress(TEXT.encode()))
        table = read_small_table(path, "annotation")
        assert (table.rows, table.compression) == (ROWS, name)
        assert table.n_bytes == path.stat().st_size
        path.write_bytes(compress(TEXT.encode() * 1000)[:-9])
        damaged = f"{name} data of the annotation are damaged|not plain"
        with pytest.raises(InputError, match=damaged):
            read_small_table(path, "annotation")

    def test_several_members_of_gzip(self):
        half = len(TEXT) // 2
        content = TEXT.encode()
        both = gzip.compress(content[:half]) + gzip.compress(content[half:])
        assert parse(both).rows == ROWS

    def test_blank_lines(self):
        assert parse(f"\n\n{TEXT}\n \n\t\n").rows == ROWS
        assert list(parse(f"\n\n{TEXT}").lines) == [3, 4, 5, 6]
        assert parse("").rows == []

    def test_text_that_begins_like_bzip2(self):
        assert parse("BZh1\tx\n").rows == [["BZh1", "x"]]


class TestQuotes:
    @pytest.mark.parametrize(
        ("written", "name"),
        [
            ('"c1"', "c1"),
            ('"a\tb"', "a\tb"),
            ('"a\nb"', "a\nb"),
            ('"say ""hi"""', 'say "hi"'),  # Excel, pandas, and R with qmethod = "double"
            (r'"say \"hi\""', 'say "hi"'),  # R
            (r'"C:\"', "C:\\"),
            ("5'UTR", "5'UTR"),
            ("'c1'", "'c1'"),
            ('5"UTR', '5"UTR'),
            ('""', ""),
        ],
    )
    def test_names(self, written, name):
        table = parse(f'"id"\t"label"\n{written}\tx\nlast\t"y"\n')
        assert table.rows == [["id", "label"], [name, "x"], ["last", "y"]]
        assert list(table.lines) == [1, 2, 3 + name.count("\n")]

    @pytest.mark.parametrize("field", ['"c1', '"c1"x', '"'])
    def test_a_mark_that_does_not_close(self, field):
        with pytest.raises(InputError) as caught:
            parse(f'id\tlabel\n{field}\tx\n"c2"\ty\n')
        assert str(caught.value) == (
            f"a.txt: line 2 of the annotation: {field!r} begins with a quotation mark that does "
            "not end it. Remove the mark, or close it."
        )

    @given(
        st.lists(
            st.lists(
                st.text(st.sampled_from("ab\"'\t,;\n\\ é"), max_size=6), min_size=2, max_size=4
            ).filter(lambda row: any(part.strip() for part in row)),
            min_size=1,
            max_size=5,
        )
    )
    def test_what_csv_writes(self, rows):
        """All fields quoted, and no backslash before a quote, which R would mean as one name."""
        rows = [[field.replace("\\", "/") for field in row] for row in rows]
        file = io.StringIO()
        csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
        assert parse(file.getvalue()).rows == rows


class TestErrors:
    def test_no_file(self, tmp_path):
        with pytest.raises(InputError, match=r"cannot read the annotation \(No such file"):
            read_small_table(tmp_path / "none", "annotation")
        with pytest.raises(InputError, match=r"cannot read the annotation \(embedded null"):
            read_small_table("a\0b", "annotation")
        with pytest.raises(InputError, match=r"cannot read the annotation \(Is a directory"):
            read_small_table(tmp_path, "annotation")

    @pytest.mark.parametrize(
        "content", [b"a\tb\0\n", b"\xffa\tb\n", "é".encode("latin-1"), b"PK\3\4\0"]
    )
    def test_no_text(self, content):
        with pytest.raises(InputError) as caught:
            parse(content)
        assert str(caught.value) == (
            "a.txt: this annotation file is not plain text. Unpack it, or save the sheet as tab- "
            "or comma-separated text (UTF-8)."
        )

    def test_too_large(self, monkeypatch):
        monkeypatch.setattr(small_tables, "_LARGEST", 1 << 20)
        bomb = gzip.compress(b"a" * (3 << 20))
        assert len(bomb) < 10_000
        for content in (bomb, b"a" * ((1 << 20) + 1)):
            with pytest.raises(InputError, match="more than 1 MiB"):
                parse(content)


def test_gzip_data_that_break_off_within():
    content = bytearray(gzip.compress(TEXT.encode()))
    content[12:20] = bytes(8)
    with pytest.raises(InputError) as caught:
        parse_small_table("t.txt", bytes(content), "annotation")
    assert str(caught.value) == (
        "t.txt: the gzip data of the annotation are damaged or cut short. Copy or download the "
        "file again."
    )


@pytest.mark.parametrize("quote", ["", '"'])
def test_rows_of_delimiters_only_are_blank(quote):
    text = f"{quote}a{quote},b\nc,d\n,\n , \n\n"
    assert parse_small_table("t", text.encode(), "annotation").rows == [["a", "b"], ["c", "d"]]


def test_text_that_begins_like_bzip2():
    table = parse_small_table("t", b"BZhxyz\tlabel\nc\tx\n", "annotation")
    assert table.rows == [["BZhxyz", "label"], ["c", "x"]]
    assert table.compression is None
