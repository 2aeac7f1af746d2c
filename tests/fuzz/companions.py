"""Targets of what goes with the expression: small tables, annotation, orthologs, results."""

import bz2
import csv
import gzip
import io
import json
import lzma

import numpy as np
from fuzz.checks import CELLS, LONGEST_MESSAGE, ours
from helpers import formats

from cytotrace2_lite.genes.orthologs import read_orthologs
from cytotrace2_lite.metadata.annotation import read_annotation
from cytotrace2_lite.metadata.coordinates import read_embedding
from cytotrace2_lite.output.comparison import compare
from cytotrace2_lite.output.report import orthologs_report
from cytotrace2_lite.output.tables import COLUMNS, EXTRA_COLUMNS
from cytotrace2_lite.system.small_tables import parse_small_table


def run_small_table(data, folder):
    with ours():
        table = parse_small_table("table", data, "annotation")
        assert len(table.rows) == len(table.lines)
        assert list(table.lines) == sorted(set(table.lines))
        assert all(any(field.strip() for field in row) for row in table.rows)
        # What is written again as it should be is read as the same.
        if not any(mark in field for row in table.rows for field in row for mark in "\\\r\0"):
            text = io.StringIO(newline="")
            writer = csv.writer(text, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_ALL)
            writer.writerows(table.rows)
            again = parse_small_table("again", text.getvalue().encode(), "annotation")
            if table.rows and len(table.rows[0]) > 1:
                assert again.rows == table.rows


def small_table_seeds():
    text = 'id\tlabel\n"c ""1"\tO\'Neil\n"c,2"\t5\'\n\n'
    plain = [text, text.replace("\t", ","), text.replace("\n", "\r\n"), "sep=;\na;b\n1,5;2\n"]
    plain.append(text.replace("\n", "\r"))
    seeds = [line.encode() for line in plain]
    seeds += [text.encode("utf-16"), text.encode("utf-8-sig"), b"BZhxyz\tlabel\nc\tx\n"]
    packed = (gzip.compress, bz2.compress, lzma.compress, lambda b: formats.compress(b, "zst"))
    return seeds + [pack(seeds[0]) for pack in packed]


def run_annotation(data, folder):
    path = folder / "annotation.txt"
    path.write_bytes(data)
    with ours():
        annotation = read_annotation(path).matched(CELLS)
        assert annotation.fields
        assert len(annotation.labels) == len(annotation.fields)
        for name in ("".join(annotation.header[-1:]), "batch"):
            with ours():
                assert len(annotation.column(name, ["c1", "?"])) == 2


def run_embedding(data, folder):
    path = folder / "embedding.txt"
    path.write_bytes(data)
    with ours():
        coordinates, axes = read_embedding(path)
        assert np.isfinite(list(coordinates.values())).all()
        assert len(axes) == 2


def run_orthologs(data, folder):
    path = folder / "orthologs.tsv"
    path.write_bytes(data)
    with ours():
        orthologs = read_orthologs(path)
        assert orthologs.symbol_of
        [str(finding) for finding in orthologs.findings()]
        json.dumps(orthologs_report(orthologs))


def result_rows(extra):
    names = [*COLUMNS, *EXTRA_COLUMNS] if extra else list(COLUMNS)
    labels = {"Potency": "Unipotent", "Status": "scored"}
    rows = [["", *names]]
    for i, cell in enumerate(CELLS):
        rows.append(
            [
                cell,
                *(
                    next((v for end, v in labels.items() if name.endswith(end)), str(i / 7))
                    for name in names
                ),
            ]
        )
    rows[2][1:3] = ["", ""]
    return rows


def result_text(rows):
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def result_seeds():
    import pyarrow as pa
    from pyarrow import ipc, parquet

    seeds = []
    for extra in (False, True):
        rows = result_rows(extra)
        header = rows[0]
        seeds += [result_text(rows), result_text([header[1:], *rows[1:]])]
        columns = dict(zip(["cell", *header[1:]], zip(*rows[1:], strict=True), strict=True))
        arrays = {
            name: pa.array([None if v == "" else v for v in values])
            if name == "cell" or name.endswith(("Potency", "Status"))
            else pa.array([float(v) if v else None for v in values])
            for name, values in columns.items()
        }
        table = pa.table(arrays)
        for kind in ("parquet", "arrow"):
            sink = io.BytesIO()
            if kind == "parquet":
                parquet.write_table(table, sink)
            else:
                with ipc.new_file(sink, table.schema) as writer:
                    writer.write_table(table)
            seeds.append(sink.getvalue())
    return seeds


def run_results(data, folder):
    path, other = folder / "results", folder / "other.txt"
    path.write_bytes(data)
    other.write_bytes(result_text(result_rows(extra=True)))
    with ours():
        compared = compare(path, other)
        assert compared.n_cells
        for sentence in compared.beyond:
            assert sentence.isprintable(), sentence
            assert len(sentence) <= LONGEST_MESSAGE
