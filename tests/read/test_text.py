"""The reader of text tables, against the csv module and with every error it tells."""

import csv
import gzip
import hashlib
import io
import itertools
import random
import threading

import numpy as np
import pytest
from helpers.readers import text_table

from cytotrace2_lite.errors import InputError
from cytotrace2_lite.read import ReadOptions, Source, open_input, read_expression
from cytotrace2_lite.read._scan_kernel import KERNELS
from cytotrace2_lite.system.compiler import Compiled

BLOCK_SIZES = (1, 2, 7, 30, 100, 1 << 20)
PLAIN = "\tc1\tc2\nA\t0\t1\nB\t2\t0\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file in the working directory, so that messages name it without a folder."""
    monkeypatch.chdir(tmp_path)

    def write(content, name="t.txt"):
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(data)
        return name

    return write


def read(path, **options):
    """Read a table as (cells, genes, {(gene, cell): value})."""
    values = {}
    with text_table(path, **options) as table:
        n_genes = 0
        for block in table.blocks():
            assert block.gene.dtype.kind in "iu"
            assert block.cell.dtype.kind in "iu"
            assert block.max_value == max(block.value, default=0.0)
            assert ((n_genes <= block.gene) & (block.gene < len(table.genes))).all()
            assert (np.diff(block.gene * len(table.cells) + block.cell.astype(int)) > 0).all()
            n_genes = len(table.genes)
            positions = zip(block.gene.tolist(), block.cell.tolist(), strict=True)
            values.update(zip(positions, block.value.tolist(), strict=True))
    return table.cells, table.genes, values


def read_with_csv(text, delimiter):
    header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    return (
        header[1:] if len(header) == len(rows[0]) else header,
        [row[0] for row in rows],
        {
            (gene, cell): float(value)
            for gene, row in enumerate(rows)
            for cell, value in enumerate(row[1:])
            if float(value) != 0
        },
    )


def random_table(seed):
    """Make a table of random shape and notation; return it with its delimiter."""
    draw = random.Random(seed)  # noqa: S311 (not for secrets)
    delimiter = draw.choice("\t,")
    numbers = ["0"] * 12 + ["1", "7", "10", "99", "255", "1000", "65536", "00", "0.0", "-0", "-0.0"]
    numbers += ["0.5", ".5", "3.", "1e-3", "1E+05", "+3", " 4", "5  ", '"6"', '"0"', '" 7 "']
    numbers += ["0.1", "123456789.123456789", "12345678901234567890", "1e-400", "5e-324"]
    numbers += ["999999999999999", "9007199254740993", "1234e5", "0001234"]

    def name(kind, number):
        forms = ("{}{}", '"{}{}"', '"{}""{}"', '"{}' + delimiter + '{}"', " {} {} ", "é{}.{}")
        return draw.choice(forms).format(kind, number)

    n_cells, n_genes = draw.choice([1, 2, 3, 20, 200]), draw.choice([1, 2, 9, 30])
    rows = [[name("c", i) for i in range(n_cells)]]
    if draw.random() < 0.6:
        rows[0].insert(0, draw.choice(["", "gene", '"gene"']))
    for i in range(n_genes):
        gene = "0" if i == 1 else name("g", i)  # a name that looks like a value to skip
        rows.append([gene, *draw.choices(numbers, k=n_cells)])
    ends = draw.choice([["\n"], ["\r\n"], ["\n", "\r\n"]])
    text = "".join(delimiter.join(row) + draw.choice(ends) for row in rows)
    return (text if draw.random() < 0.7 else text.rstrip("\r\n")), delimiter


@pytest.mark.parametrize("seed", range(40))
def test_equals_csv_module_whatever_the_block_size(write, seed):
    text, delimiter = random_table(seed)
    path = write(gzip.compress(text.encode()) if seed % 3 == 0 else text)
    expected = read_with_csv(text, delimiter)
    for block_size in (1, 7, 50, 1000, 1 << 20):
        assert read(path, block_size=block_size) == expected


def test_lines_longer_than_a_block_and_blocks_of_many_lines(write):
    rng = np.random.default_rng(0)
    for shape in ((3, 20_000), (20_000, 3)):
        counts = rng.poisson(0.2, shape)
        lines = ["\t".join(["", *(f"c{i}" for i in range(shape[1]))])]
        lines += ["\t".join([f"g{i}", *map(str, row)]) for i, row in enumerate(counts.tolist())]
        path = write("\n".join(lines))
        for block_size in (1000, 50_000, 1 << 20):
            cells, genes, values = read(path, block_size=block_size)
            assert (len(genes), len(cells)) == shape
            assert list(values) == list(zip(*(i.tolist() for i in counts.nonzero()), strict=True))
            assert list(values.values()) == counts[counts.nonzero()].tolist()


@pytest.mark.parametrize(
    ("text", "cells", "genes"),
    [
        (PLAIN, ["c1", "c2"], ["A", "B"]),
        (PLAIN.replace("\t", ","), ["c1", "c2"], ["A", "B"]),
        (PLAIN[1:], ["c1", "c2"], ["A", "B"]),  # as R's write.table has it
        ("gene" + PLAIN, ["c1", "c2"], ["A", "B"]),
        ("\ufeff" + PLAIN, ["c1", "c2"], ["A", "B"]),
        ('\ufeff"gene"' + PLAIN, ["c1", "c2"], ["A", "B"]),
        (PLAIN.replace("\n", "\r\n"), ["c1", "c2"], ["A", "B"]),
        (PLAIN.rstrip("\n"), ["c1", "c2"], ["A", "B"]),
        (PLAIN.rstrip("\n") + "\r", ["c1", "c2"], ["A", "B"]),
        (PLAIN + "\n\r\n\n", ["c1", "c2"], ["A", "B"]),
        (PLAIN + "\n\r", ["c1", "c2"], ["A", "B"]),
        # Separators end each line.
        (PLAIN.replace("\n", "\t\n"), ["c1", "c2"], ["A", "B"]),
        (PLAIN.replace("\t", ",").replace("\n", ",,,\r\n"), ["c1", "c2"], ["A", "B"]),
        ("gene" + PLAIN.replace("\n", "\t\t\n").rstrip("\n"), ["c1", "c2"], ["A", "B"]),
        (PLAIN[1:].replace("\n", "\t\n"), ["c1", "c2"], ["A", "B"]),
        (PLAIN.replace("\n", "\t\n").replace("\t\n", "\n", 1), ["c1", "c2"], ["A", "B"]),
        (PLAIN.replace("\n", ",,\n", 1).replace("\t", ","), ["c1", "c2"], ["A", "B"]),
        ('\t"c1"\t"c2\t"\t\n"A"\t0\t1\t\n"B"\t2\t"0"\t\n', ["c1", "c2\t"], ["A", "B"]),
        ('\t"c\t1"\t"c""2"\n"A"\t0\t"1"\n"B\t"\t2\t"0"\n', ["c\t1", 'c"2'], ["A", "B\t"]),
        ("a,b\tc1\tc,2\nA,0\t0\t1\nB\t2\t0\n", ["c1", "c,2"], ["A,0", "B"]),
        ("x, c1 ,c\t2\nA ,0,1\n B,2,0\n".replace("c\t2", '"c\t2"'), [" c1 ", "c\t2"], ["A ", " B"]),
        ("\t0\t1\n0\t0\t1\n1\t2\t0\n", ["0", "1"], ["0", "1"]),
        ('\tc1\tc2\n"0"\t0\t1\nA"b"\t2\t0\n', ["c1", "c2"], ["0", 'A"b"']),
    ],
)
@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_notations_of_one_table(write, text, cells, genes, block_size):
    expected = cells, genes, {(0, 1): 1.0, (1, 0): 2.0}
    assert read(write(text), block_size=block_size) == expected
    assert read(write(gzip.compress(text.encode())), block_size=block_size) == expected


@pytest.mark.parametrize("text", ["c1\nA\t5\n", "c1\nA,5\n", "g\tc1\nA\t5\n", '"c1"\r\n"A",5'])
def test_one_cell(write, text):
    assert read(write(text)) == (["c1"], ["A"], {(0, 0): 5.0})


def test_gzip_is_known_by_content_and_may_have_members(write):
    data = PLAIN.encode()
    parts = [data[:7], b"", data[7:20], data[20:]]
    path = write(b"".join(map(gzip.compress, parts)), "t.csv")
    for block_size in BLOCK_SIZES:
        assert read(path, block_size=block_size) == read(write(PLAIN, "t.gz"))


@pytest.mark.parametrize(
    "token",
    [
        *("1", "12", "999", "1000", "007", "0.1", "1.", ".25", "8.41", "1e-3", "1e+05", "1e22"),
        *("+3", "+.5E-1", " 3", "3 ", ' "3" ', '" 3"', "9007199254740993", "0.30000000000000004"),
        *("123456789012345678901234567890", "5e-324", "2.2250738585072011e-308"),
        "1.7976931348623157e308",
    ],
)
def test_numbers_are_correctly_rounded(write, token):
    expected = float(token.strip(' "'))
    assert read(write(f"c1\nA\t{token}\nB\t{token}\r\n"))[2] == {(0, 0): expected, (1, 0): expected}


def test_zeros_are_not_kept(write):
    zeros = ["0", "00", "000", "0000", "0.0", "-0", "-0.0", "+0", " 0 ", '"0"', "0e5", "1e-400"]
    path = write("\n".join(["c1", *(f"g{i}\t{zero}" for i, zero in enumerate(zeros))]))
    assert read(path)[2] == {}


def test_read_expression(write):
    content = gzip.compress(PLAIN.encode())
    expression, source = read_expression(write(content))
    assert expression.cells == ["c1", "c2"]
    assert expression.genes == ["A", "B"]
    assert expression.max_value == 2.0
    values = expression.values
    assert values.format == "csc"
    assert values.dtype == np.uint8
    assert values.indices.dtype == values.indptr.dtype == np.int32
    assert values.nnz == 2
    assert values.toarray().tolist() == [[0, 2], [1, 0]]
    digest = hashlib.sha256(content).hexdigest()
    assert source == Source(
        "tsv", "t.txt", "gzip", len(content), digest, gene_names="the first column"
    )
    content = PLAIN.replace("\t", ",").encode()
    source = read_expression(write(content))[1]
    digest = hashlib.sha256(content).hexdigest()
    assert source == Source(
        "csv", "t.txt", None, len(content), digest, gene_names="the first column"
    )


@pytest.mark.parametrize(
    "numbers",
    [[0], [1, 255], [1, 256], [1, 65536], [1, 2**24 + 1], [0.5, 3], [0.1, 7, 300], [1e300, 1]],
)
def test_values_of_any_size_are_exact(write, numbers):
    rng = np.random.default_rng(0)
    table = rng.choice([0, 0, *numbers], (3000, 100)) * (np.arange(3000) > 1000)[:, None]
    lines = ["\t".join(f"c{i}" for i in range(100))]
    lines += ["\t".join([f"g{i}", *map(repr, row)]) for i, row in enumerate(table.tolist())]
    expression, _ = read_expression(write("\n".join(lines)))
    assert expression.values.has_canonical_format
    assert expression.values.nnz == np.count_nonzero(table)
    np.testing.assert_array_equal(expression.values.toarray(), table.T)
    assert expression.max_value == table.max()


def test_unwanted_genes_keep_name_and_maximum_only(write):
    path = write("c1\tc2\nA\t0\t1\nB\t90\t3\nC\t2\t5\n")
    expression, _ = read_expression(path, lambda names: np.array([name != "B" for name in names]))
    assert expression.genes == ["A", "B", "C"]
    assert expression.values.toarray().tolist() == [[0, 0, 2], [1, 0, 5]]
    assert expression.values.nnz == 3
    assert expression.max_value == 90.0


def test_progress_counts_bytes_on_disk(write):
    row = "\t0" * 1000
    lines = ["\t".join(f"c{i}" for i in range(1000)), *(f"g{i}{row}" for i in range(2000))]
    content = "\n".join(lines).encode()
    for data in (content, gzip.compress(content)):
        calls = []
        path = write(data)
        read_expression(path, progress=lambda *call, calls=calls: calls.append(call))
        assert len(calls) > 2
        assert calls == sorted(calls)
        assert {(total, unit) for _, total, unit in calls} == {(len(data), "bytes")}
        assert calls[-1][0] == len(data)


SPACES = (
    "the columns are separated by spaces, not by tabs or commas. Save it as tab-separated text: "
    'in R, write.table(..., sep = "\\t").'
)
SEMICOLONS = (
    "the columns are separated by semicolons, not by tabs or commas. Save the table as "
    "tab-separated text with decimal points."
)
HEADER_ENDS = (
    " It ends with a tab, as if another column followed: remove what is at the end of each line."
)
COMMENT = "line 1 is a comment ({}). Remove the lines before the header, which names the cells."
DATES = (
    "gene '2-Mar' appears twice (lines 3 and 4). A spreadsheet program has made this date of the "
    "names of two genes, as March1 and Marc1: take the table from before it was opened there."
)
HEAD = "\tc1\tc2\nA\t0\t1\n"
AT = "line 3, gene 'B', cell 'c2': "
AS_TEXT = "Write the genes x cells table as tab-separated text."
SUM = 'Sum or drop one, or pass --duplicate-genes sum or first (duplicate_genes="sum" in Python).'
ENDS = (
    "line {} (gene {}) ends with a tab: the value of the last cell is missing, or a tab too many "
    "ends each line. Write 0 there, or remove it."
)
NUL = "this is not a text table: line {} has a NUL byte. " + AS_TEXT
NO_GENES = "there are no genes: no line follows the header."
NO_TABLE = (
    "this is not a tab- or comma-separated table: line 1 has neither, "
    "and line 2 is not a gene with the value of one cell."
)
RAGGED = (
    "line {} (gene {}) has {} instead of 3, the gene's name and one per cell. "
    "Look for a missing or an extra {}."
)
NO_NAME = "line 3 has no gene name. Name the gene or remove the line."
UNCLOSED = "line {} has a double quote that is not closed. Close or remove it."
NO_NUMBER = "{} is not a number. Only the header and the first column may hold text."
MISSING = "the value is missing ({}). Write 0 or remove the gene."
NEGATIVE = "{} is negative. Give counts or CPM/TPM, neither logged nor scaled."
INFINITE = "{} is infinite. Correct the value or remove the gene."
DAMAGED = "the gzip data are damaged or cut short. Copy or download the file again."

ERRORS = [
    ("", "the file is empty."),
    ("\n\r\n\n", "the file is empty."),
    (gzip.compress(b""), "the file is empty."),
    ("\tc1\tc2\n", NO_GENES),
    ("\tc1\tc2", NO_GENES),
    ("\tc1\tc2\n\n\r\n", NO_GENES),
    ("\nA\t1\n", "line 1 is empty, so there are no cells. Name them there."),
    ("gene\nA\nB\n", NO_TABLE),
    ("g c1 c2\nA 0 1\n", SPACES),
    ('"c1" "c2"\n"A" 0 1\n', SPACES),
    ("g;c1;c2\nA;0,5;1,5\n", SEMICOLONS),
    ("g;c1\nA;0,5\n", SEMICOLONS),
    ("\tc1\t\nA\t0\t1\n", "line 1 has no cell name for column 3." + HEADER_ENDS),
    ("\tc1\t\tc3\nA\t0\t1\t0\n", "line 1 has no cell name for column 3."),
    ("# made by x\n" + PLAIN, COMMENT.format("'# made by x'")),
    ("# by x, y\n# and z\n" + PLAIN, COMMENT.format("'# by x, y'")),
    ("g\tc1\tc2\nA\t0\t1\t\n", ENDS.format(2, "'A'")),
    ("g\tc1\tc2\t\nA\t0\t1\t\nB\t0\t\t\n", ENDS.format(3, "'B'")),
    ("g\tc1\tc2\t\nA\t0\t1\t\nB\t0\t\n", RAGGED.format(3, "'B'", "2 fields", "tab")),
    ("\tc1\tc2\t\nA\t0\t1\nB\t0\t1\t\n", ENDS.format(3, "'B'")),
    ("\t\t\nA\t0\t1\n", "line 1 has no cell name for column 2."),
    ("\tc1\nMarch2\t1\n2-Mar\t1\n2-Mar\t1\n", DATES),
    ("\ta\tb\ta\nA\t0\t1\t0\n", "cell 'a' appears twice (columns 2 and 4). Rename or drop one."),
    ("a\tb\ta\nA\t0\t1\t0\n", "cell 'a' appears twice (columns 2 and 4). Rename or drop one."),
    (b"a\tb\xe9\nA\t0\t1\n", "line 1 has a cell name that is not UTF-8. Save the table as UTF-8."),
    ('\tc1\t"c2\nA\t0\t1\n', UNCLOSED.format(1)),
    ("\tc1\tc2\nA\t0\n", RAGGED.format(2, "'A'", "2 fields", "tab")),
    (",c1,c2\nA,0,1,2\n", RAGGED.format(2, "'A'", "4 fields", "comma")),
    (HEAD + "B\t0\t1\t2\nC\t0\n", RAGGED.format(3, "'B'", "4 fields", "tab")),
    (HEAD + "B\t0\nC\t0\t1\t0\n", RAGGED.format(3, "'B'", "2 fields", "tab")),
    (HEAD + "it's\r\n", RAGGED.format(3, '"it\'s"', "1 field", "tab")),
    (HEAD + "\nB\t0\t1\n", "line 3 is empty. Remove it."),
    (HEAD + "\r\nB\t0\t1\n", "line 3 is empty. Remove it."),
    ("\tc1\tc2\n\nB\t0\t1\n", "line 2 is empty. Remove it."),
    (HEAD + "\n\r\n" * 50 + "B\t0\t1\n", "line 3 is empty. Remove it."),
    (HEAD + "\r\n" * 50 + "\0" * 50, "line 3 is empty. Remove it."),
    (HEAD + 'B\t"0\t1\n', UNCLOSED.format(3)),
    (HEAD + '"B\nb"\t0\t1\n', UNCLOSED.format(3)),
    (HEAD + "\t0\t1\n", NO_NAME),
    (HEAD + '""\t0\t1\n', NO_NAME),
    (HEAD + "B\t0\t1\nA\t0\t1\n", "gene 'A' appears twice (lines 2 and 4). " + SUM),
    (HEAD + "B\t0\t1\n" * 2, "gene 'B' appears twice (lines 3 and 4). " + SUM),
    (
        HEAD + "1.0\t0\t1\n" * 2,
        (
            "gene '1.0' appears twice (lines 3 and 4). The first column holds numbers, not the "
            "names of genes: write the table with its row names."
        ),
    ),
    (
        HEAD.encode() + b"B\xe9\t0\t1\n",
        "line 3 has a gene name that is not UTF-8 ('B\ufffd'). Save the table as UTF-8.",
    ),
    (HEAD + "B\t0\tx1\n", AT + NO_NUMBER.format("'x1'")),
    (HEAD + "B\t0\tNone\n", AT + NO_NUMBER.format("'None'")),
    (HEAD + "B\t0\t0x10\n", AT + NO_NUMBER.format("'0x10'")),
    (HEAD + "B\t0\t1_0\n", AT + NO_NUMBER.format("'1_0'")),
    (HEAD + "B\t0\t1 2\n", AT + NO_NUMBER.format("'1 2'")),
    (HEAD + "B\t0\t１\n", AT + NO_NUMBER.format("'１'")),  # noqa: RUF001 (a digit, not ASCII)
    (HEAD + "B\t0\t1\x1b\r2\n", AT + NO_NUMBER.format(r"'1\x1b\r2'")),
    (HEAD.encode() + b"B\t0\t\xff\n", AT + NO_NUMBER.format("'\ufffd'")),
    (HEAD + f"B\t0\t{'ab' * 500}\n", AT + NO_NUMBER.format(f"'{'ab' * 40}…'")),
    (HEAD + "B\t\t0\n", AT.replace("c2", "c1") + MISSING.format("empty field")),
    (HEAD + "B\t0\t\n", ENDS.format(3, "'B'")),
    (HEAD + "B\t0\t\r\n", ENDS.format(3, "'B'")),
    (HEAD + 'B\t0\t" "\n', AT + MISSING.format("empty field")),
    (HEAD + "B\t0\tNA\n", AT + MISSING.format("'NA'")),
    (HEAD + "B\t0\t nan \n", AT + MISSING.format("'nan'")),
    (HEAD + "B\t0\t-3\n", AT + NEGATIVE.format("'-3'")),
    (HEAD + 'B\t0\t"-0.5"\n', AT + NEGATIVE.format("'-0.5'")),
    (HEAD + "B\t0\t-Inf\n", AT + INFINITE.format("'-Inf'")),
    (HEAD + "B\t0\t1e400\nC\t0\t-3\n", AT + INFINITE.format("'1e400'")),
    ("\tc\0\tc2\nA\t0\t1\n", NUL.format(1)),
    (HEAD.encode("utf-16-le"), NUL.format(1)),
    (HEAD + "B\0\t0\t1\n", NUL.format(3)),
    (HEAD + "B\t0\t1\0\n", NUL.format(3)),
    (HEAD + "\0" * 100, NUL.format(3)),
    (gzip.compress(HEAD.encode())[:-1], DAMAGED),
    (gzip.compress(HEAD.encode())[:15], DAMAGED),
    (gzip.compress(HEAD.encode())[:-8] + bytes(8), DAMAGED),
    (gzip.compress(HEAD.encode()) + gzip.compress(b"B\t0\t1\n")[:-9], DAMAGED),
]


@pytest.mark.parametrize(("content", "message"), ERRORS, ids=itertools.count())
@pytest.mark.parametrize("block_size", [7, 1 << 20])
def test_errors(write, content, message, block_size):
    path = write(content)
    with pytest.raises(InputError) as error:
        read(path, block_size=block_size)
    assert str(error.value) == f"t.txt: {message}"


def test_positions_do_not_depend_on_the_block_size(write):
    rows = [f"g{i}\t0\t{i}\t1.5\n" for i in range(500)]
    rows[400] = "g400\t0\tseven\t0\n"
    path = write("\ta\tb\tc\n" + "".join(rows))
    for block_size in (1, 13, 100, 5000, 1 << 20):
        with pytest.raises(InputError, match="line 402, gene 'g400', cell 'b': 'seven' is not"):
            read(path, block_size=block_size)
    rows[400] = "g7\t0\t1\t0\n"
    path = write("\ta\tb\tc\n" + "".join(rows))
    for block_size in (1, 13, 100, 5000, 1 << 20):
        with pytest.raises(InputError, match=r"gene 'g7' appears twice \(lines 9 and 402\)"):
            read(path, block_size=block_size)


def test_the_first_of_several_errors_is_told(write):
    path = write(HEAD + "B\t0\t-1\nA\t0\t1\n\n\t0\nC\t0\n")
    with pytest.raises(InputError, match="line 3, gene 'B', cell 'c2': '-1' is negative"):
        read(path)


def test_paths_that_are_no_file(write, tmp_path):
    write("")
    with pytest.raises(InputError) as error:
        read_expression("absent.txt")
    assert str(error.value) == "absent.txt: no such file. Check the path."
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError) as error:
        read_expression("folder")
    assert str(error.value) == (
        "folder: this is a directory without matrix.mtx or matrix.mtx.gz. Give the path of a table."
    )
    with pytest.raises(
        InputError, match=r"^t.txt/x: the file cannot be read \(Not a directory\).$"
    ):
        read_expression("t.txt/x")
    with pytest.raises(
        InputError, match=r"^a\\x00b: the file cannot be read \(embedded null byte\).$"
    ):
        read_expression("a\0b")


def test_a_reader_left_early_closes_its_file(write):
    path = write("c1\n" + "".join(f"g{i}\t1\n" for i in range(1000)))
    with text_table(path, block_size=100) as table:
        next(table.blocks())
    assert table._stream.file._file.closed

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_input(path) as source:
        source.read(ReadOptions(), progress=stop)
    assert source._opened._file.closed


class TestLargeFiles:
    """From some size on, code is compiled while the first blocks are read."""

    TABLE = (
        "\t"
        + "\t".join(f"c{i}" for i in range(40))
        + "\n"
        + "".join(gene + "\t0" * 36 + "\t1\t2\t300\t0\n" for gene in ("Actb", "no gene", "Sox2"))
    )

    @pytest.fixture
    def kernels(self, monkeypatch):
        fresh = Compiled(KERNELS._source)
        monkeypatch.setattr("cytotrace2_lite.read.text.KERNELS", fresh)
        monkeypatch.setattr("cytotrace2_lite.read._scan.KERNELS", fresh)
        return fresh

    def test_size_decides(self, write, monkeypatch, kernels):
        path = write(self.TABLE)
        monkeypatch.setattr("cytotrace2_lite.read.text._LARGE", len(self.TABLE) + 1)
        small = read(path)
        assert not kernels.is_ready
        monkeypatch.setattr("cytotrace2_lite.read.text._LARGE", len(self.TABLE))
        large = read(path)
        for thread in threading.enumerate():
            if thread.name == "compile-ahead":
                thread.join()
        assert kernels.is_ready
        assert small == large == read(path)

    def test_nothing_is_compiled_where_the_system_forbids_it(self, write, monkeypatch, kernels):
        path = write(self.TABLE)
        expected = read(path)
        monkeypatch.setattr("cytotrace2_lite.system.compiler.may_compile", lambda: False)
        monkeypatch.setattr("cytotrace2_lite.read._scan.may_compile", lambda: False)
        monkeypatch.setattr("cytotrace2_lite.read.text._LARGE", 0)
        monkeypatch.setattr("cytotrace2_lite.read.text._BLOCKS_BEFORE_COMPILING", 0)
        assert read(path, block_size=50) == expected
        assert not kernels.is_ready

    @pytest.mark.parametrize("threads", [1, 3])
    def test_values_of_unknown_genes_are_left_out_but_their_largest_counts(self, write, threads):
        table = self.TABLE.replace("no gene\t0", "no gene\t999")
        expression, _ = read_expression(
            write(table),
            lambda names: np.isin(names, ["Actb", "Sox2"]),
            threads=threads,
        )
        assert expression.max_value == 999
        assert expression.arriving.n_values == 6
        assert expression.genes == ["Actb", "no gene", "Sox2"]
