"""Text tables as spreadsheets, old programs, featureCounts, Seurat and scanpy write them."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cytotrace2_lite.errors import CytoTRACE2Error, InputError
from cytotrace2_lite.genes.mapping import map_genes
from cytotrace2_lite.genes.symbols import features, is_known
from cytotrace2_lite.read import ReadOptions, open_input, read_expression

GENES = list(features()[:30])
CELLS = ["c1", "c2", "c3"]
COUNTS = np.arange(90).reshape(30, 3) % 7
FRAME = pd.DataFrame(COUNTS, index=GENES, columns=CELLS)
PLAIN = FRAME.to_csv(sep="\t")


def known(names):
    return is_known(names, "mouse")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(content, **options):
    if isinstance(content, (str, bytes)):
        data = content if isinstance(content, bytes) else content.encode()
        Path("t.txt").write_bytes(data)
        content = "t.txt"
    return read_expression(content, known, **options)


def message(content, **options):
    with pytest.raises(InputError) as caught:
        read(content, **options)
    return str(caught.value)


def assert_plain(expression):
    assert (expression.genes, expression.cells) == (GENES, CELLS)
    np.testing.assert_array_equal(expression.values.toarray(), COUNTS.T)


CSV = FRAME.to_csv()


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.replace("\n", "\r"),
        CSV.replace("\n", "\r"),
        PLAIN.replace("\n", "\r").removesuffix("\r"),
        gzip.compress(PLAIN.replace("\n", "\r").encode()),
        PLAIN.replace("\n", "\r") + "\r\r",
        "sep=,\n" + CSV,
        "\ufeffsep=,\r\n" + CSV.replace("\n", "\r\n"),
        "SEP=,\n" + CSV,
        "sep=\t\n" + PLAIN,
        '"sep=,"\n' + CSV,
        "sep=,\r" + CSV.replace("\n", "\r"),
    ],
)
def test_read_as_the_plain_table(content):
    assert_plain(read(content)[0])


def test_lines_are_counted_with_the_line_of_the_separator():
    assert message("sep=,\n,c1\nActb,x\n") == (
        "t.txt: line 3, gene 'Actb', cell 'c1': 'x' is not a number. Only the header and the "
        "first column may hold text."
    )


COMMA = "has a comma. Write numbers with a decimal point, and with nothing between thousands."
GROUPS = "has marks between thousands. Write numbers without them."


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("0,5", COMMA),
        ("1,234", COMMA),
        ("1.234,5", COMMA),
        ("1,5e3", COMMA),
        ("1 234", GROUPS),
        ("1'234", GROUPS),
        ("1.234.567", GROUPS),
    ],
)
def test_marks_in_numbers(value, problem):
    assert message(f"\tc1\nActb\t{value}\n") == (
        f"t.txt: line 2, gene 'Actb', cell 'c1': {value!r} {problem}"
    )


def test_quoted_thousands_in_a_comma_separated_table():
    assert COMMA in message('g,c1\nActb,"1,234"\n')


def test_semicolons():
    assert message("g;c1\nActb;1,5\n") == (
        "t.txt: the columns are separated by semicolons, not by tabs or commas. Save the table as "
        "tab-separated text with decimal points."
    )


def test_names_in_single_quotes():
    with pytest.raises(CytoTRACE2Error) as caught:
        map_genes([f"'{gene}'" for gene in GENES], "mouse")
    assert "they stand between single quotation marks. Write them without (" in str(caught.value)


def test_text_that_begins_like_bzip2():
    for name in ("BZhxyz", "BZh9", "BZh91AY"):
        expression, source = read(PLAIN.replace("\t", f"{name}\t", 1))
        assert_plain(expression)
        assert source.compression is None


FEATURE_COUNTS = FRAME.copy()
for place, (column, value) in enumerate(
    {"Chr": "chr1", "Start": 5, "End": 9, "Strand": "+", "Length": 100}.items()
):
    FEATURE_COUNTS.insert(place, column, value)
NUMBERS_ONLY = FRAME.assign(Length=1000)
SEURAT = FRAME.assign(nCount_RNA=9, **{"percent.mt": 0.5})
FIVE = (
    "'Chr', 'Start', 'End', 'Strand', 'Length' are among the cells. They are columns about genes "
    "or cells that featureCounts, Seurat or scanpy write beside the counts: remove them."
)
ONE = (
    "'Length' is among the cells. It is a column about genes or cells that featureCounts, Seurat "
    "or scanpy write beside the counts: remove it."
)
TWO = FIVE.replace("'Chr', 'Start', 'End', 'Strand', 'Length'", "'nCount_RNA', 'percent.mt'")


@pytest.mark.parametrize(
    ("frame", "problem"), [(FEATURE_COUNTS, FIVE), (NUMBERS_ONLY, ONE), (SEURAT, TWO)]
)
def test_columns_about_genes(frame, problem):
    assert message(frame) == problem
    assert message(frame.to_csv(sep="\t")) == f"t.txt: {problem}"
    pq.write_table(pa.Table.from_pandas(frame), "t.parquet")
    assert message(Path("t.parquet")) == f"t.parquet: {problem}"
    assert message(pa.Table.from_pandas(frame)) == problem


def test_a_column_of_text_about_the_cells():
    frame = FRAME.T.assign(cell_type="A")
    assert message(frame.to_csv(sep="\t")) == (
        "t.txt: line 2, cell 'c1', gene 'cell_type': 'A' stands in a column about the cells, which "
        "is no gene. Remove this column."
    )


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("turned", [True, False])
def test_the_wrong_species_is_not_taken_for_the_wrong_way_round(as_text, turned):
    human = ["TP53", "ACTB", "GAPDH", "SOX17", "NANOG", "POU5F1", "KLF4"]
    unknown = [name for name in human if not is_known([name], "mouse")[0]]
    assert unknown
    frame = pd.DataFrame(1, index=unknown, columns=[f"{c}-1" for c in CELLS])
    frame = frame.T if turned else frame
    if as_text:
        Path("t.txt").write_text(frame.to_csv(sep="\t"))
    with open_input("t.txt" if as_text else frame) as source:
        expression, _ = source.read(
            ReadOptions(known, is_gene=lambda names: known(names) | is_known(names, "human"))
        )
    assert expression.genes == unknown
