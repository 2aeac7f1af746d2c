"""Comparison of two results: figures, verdict, and what is no results file."""

import gzip
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.output import _results_file
from cytotrace2_lite.output.tables import COLUMNS, EXTRA_COLUMNS

DATA = Path(__file__).parents[1] / "data"
HEADER = "\t".join(["", *COLUMNS]) + "\n"
ROWS = {
    "a": "0.1\tDifferentiated\t0.0\t0.1\tDifferentiated",
    "b": "0.2\tUnipotent\t0.2\t0.25\tUnipotent",
    "c": "0.5\tOligopotent\t0.5\t0.5\tOligopotent",
    "d": "0.9\tTotipotent\t1.0\t0.9\tTotipotent",
}
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")


def text_of(rows, header=HEADER):
    return header + "".join(f"{cell}\t{row}\n" for cell, row in rows.items())


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Function that writes two files, a.txt and b.txt; returns their paths."""
    monkeypatch.chdir(tmp_path)

    def write(one, other=ROWS):
        for name, rows in (("a.txt", one), ("b.txt", other)):
            content = text_of(rows) if isinstance(rows, dict) else rows
            Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return "a.txt", "b.txt"

    return write


@pytest.fixture(scope="module")
def scored(ensembles):
    frame = pd.read_csv(DATA / "enteric_300.txt.gz", sep="\t", index_col=0).iloc[:, :120]
    values = frame.to_numpy(dtype=float).T.copy()
    values[7] = 0
    return ct2.run(values, genes=frame.index, cells=frame.columns, model=ensembles["1.1.0"])


@pytest.fixture
def command(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(["compare", *map(str, arguments)])
        output = capsys.readouterr()
        return caught.value.code, output.out, output.err

    return run


class TestCompare:
    def test_every_format_holds_the_same(self, scored, tmp_path):
        for file_format in ("txt", "txt.gz", "parquet", "arrow"):
            path = scored.write(tmp_path, extra_columns=True, file_format=file_format)
            result = ct2.compare(scored, path)
            assert result.within
            assert result.n_cells == 120
            names = {column.name for column in (*result.numbers, *result.labels)}
            assert names == {*COLUMNS, *EXTRA_COLUMNS}
            assert all(column.largest == column.n_one_sided == 0 for column in result.numbers)
            assert {column.n_cells for column in result.numbers} == {119}
            assert result.numbers[0].spearman == pytest.approx(1)

    def test_table_that_pandas_wrote(self, scored, tmp_path):
        frame = scored.to_pandas(extra_columns=True)
        frame.to_parquet(tmp_path / "pandas.parquet")
        assert ct2.compare(tmp_path / "pandas.parquet", scored).within
        frame.astype(str).replace({"nan": None}).to_csv(
            tmp_path / "pandas.txt", sep="\t", na_rep="NA"
        )
        assert ct2.compare(tmp_path / "pandas.txt", scored).within

    def test_order_of_cells_and_columns_is_no_difference(self, files):
        frame = pd.read_csv(files(ROWS)[0], sep="\t", index_col=0)
        other = frame.iloc[::-1, ::-1].to_csv(sep="\t")
        result = ct2.compare(*files(ROWS, other))
        assert result.within
        assert [column.spearman for column in result.numbers] == pytest.approx([1, 1, 1])

    def test_a_pipe(self, files, tmp_path):
        files(ROWS)
        os.mkfifo(tmp_path / "pipe")
        with subprocess.Popen(["sh", "-c", "cat a.txt > pipe"]):
            assert ct2.compare("pipe", "b.txt").within

    def test_as_r_writes_it(self, files):
        quoted = text_of({f'"{cell}"': row for cell, row in ROWS.items()}, HEADER[1:])
        assert ct2.compare(*files("\ufeff" + quoted.replace("\n", "\r\n"))).within

    def test_figures(self, files):
        moved = ROWS | {
            "b": "0.2004\tUnipotent\t0.2\t0.25\tOligopotent",
            "d": "0.3\tUnipotent\t0.9999999\t0.9\tOligopotent",
        }
        result = ct2.compare(*files(ROWS, moved))
        score = result.numbers[0]
        assert score.name == "CytoTRACE2_Score"
        assert (score.n_cells, score.n_beyond, score.cell) == (4, 2, "d")
        assert score.largest == pytest.approx(0.6)
        assert score.median == pytest.approx(0.0002)
        assert score.spearman == pytest.approx(0.8)
        relative = result.numbers[1]
        assert (relative.n_beyond, relative.cell) == (0, "d")
        potency, preknn = result.labels
        assert potency.moves == (("Totipotent", "Unipotent", 1),)
        assert preknn.n_moved == 2
        assert {move[1] for move in preknn.moves} == {"Oligopotent"}
        assert result.beyond == (
            ("CytoTRACE2_Score: 2 of 4 cells differ by more than 1e-06, by 0.6 at most (cell 'd')"),
            "CytoTRACE2_Potency: 1 of 4 labels moved (allowed: 0)",
            "preKNN_CytoTRACE2_Potency: 2 of 4 labels moved (allowed: 0)",
        )
        assert not result.within
        assert not ct2.compare("a.txt", "b.txt", tolerance=1, labels=1).within
        assert not ct2.compare("a.txt", "b.txt", tolerance=0.5, labels=2).within
        assert ct2.compare("a.txt", "b.txt", tolerance=1, labels=2).within

    def test_cells_in_one_only(self, files):
        result = ct2.compare(
            *files({"x": ROWS["d"], **ROWS}, {**ROWS, "y": ROWS["a"], "z": ROWS["a"]})
        )
        assert (result.n_cells, result.only_in_a, result.only_in_b) == (4, ("x",), ("y", "z"))
        assert result.beyond == (
            "the second lacks 1 of the 5 cells of the first: 'x'",
            "the first lacks 2 of the 6 cells of the second: 'y', 'z'",
        )

    @pytest.mark.parametrize("missing", ["", "NA", "NaN", "nan"])
    def test_cells_without_score(self, files, missing):
        without = ROWS | {"c": "\t".join([missing] * 5)}
        assert ct2.compare(*files(without, without)).within
        result = ct2.compare(*files(without))
        assert [column.n_one_sided for column in result.numbers] == [1, 1, 1]
        assert [column.n_cells for column in result.numbers] == [3, 3, 3]
        assert result.labels[0].moves == (("", "Oligopotent", 1),)
        assert result.beyond[0] == "CytoTRACE2_Score: 1 of 4 cells have a number in one only"
        assert len(result.beyond) == 5

    def test_nothing_to_correlate(self, files):
        rows = dict.fromkeys("abcd", "0.5\tOligopotent\t\t0.5\tOligopotent")
        score, relative, _ = ct2.compare(*files(rows, rows)).numbers
        assert np.isnan(score.spearman)
        assert score.largest == 0
        assert np.isnan([relative.spearman, relative.largest, relative.median]).all()

    def test_tolerances_out_of_range(self, scored):
        for tolerance in (-1, float("nan"), float("inf")):
            with pytest.raises(ct2.UsageError, match=f"tolerance is {tolerance}; it must be"):
                ct2.compare(scored, scored, tolerance=tolerance)
        with pytest.raises(ct2.UsageError, match="labels is -1; it must be at least 0"):
            ct2.compare(scored, scored, labels=-1)


class TestUnusableFiles:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (
                "",
                (
                    "this is not a results file of CytoTRACE 2: 5 of its 5 columns are missing "
                    "('CytoTRACE2_Score', 'CytoTRACE2_Potency', 'CytoTRACE2_Relative', ...). "
                    "Give a cytotrace2_results file."
                ),
            ),
            (
                text_of(ROWS).replace("CytoTRACE2_Relative", "x"),
                (
                    "this is not a results file of CytoTRACE 2: 1 of its 5 columns are missing "
                    "('CytoTRACE2_Relative'). Give a cytotrace2_results file."
                ),
            ),
            (
                text_of(ROWS).replace("CytoTRACE2_Relative", "CytoTRACE2_Score", 1),
                "column 'CytoTRACE2_Score' appears twice.",
            ),
            (HEADER, "there are no cells in it."),
            (
                text_of(ROWS) + f"b\t{ROWS['b']}\n",
                "cell 'b' appears twice (line 3 and line 6). Rename or drop one.",
            ),
            (
                text_of(ROWS)[:-30],
                "line 5 has 3 fields instead of 6. Is the file cut short?",
            ),
            (
                text_of(ROWS | {"c": "0,5\tOligopotent\t0.5\t0.5\tOligopotent"}),
                "cell 'c', column CytoTRACE2_Score: '0,5' is not a finite number.",
            ),
            (
                text_of(ROWS | {"c": "inf\tOligopotent\t0.5\t0.5\tOligopotent"}),
                "cell 'c', column CytoTRACE2_Score: 'inf' is not a finite number.",
            ),
            (
                text_of(ROWS | {"c": "0.5\tx\\\x1b[1m\t0.5\t0.5\tOligopotent"}),
                (
                    "cell 'c', column CytoTRACE2_Potency: 'x\\\\\\x1b[1m' is not one of "
                    "Differentiated, Unipotent, Oligopotent, Multipotent, Pluripotent, Totipotent."
                ),
            ),
            (
                b"BZh91AY&SY" + bytes(range(256)),
                (
                    "this is not a text, Parquet or Arrow file. Give the cytotrace2_results file, "
                    "unpacked; an .h5ad is not read."
                ),
            ),
        ],
        ids=[
            *("empty", "column", "columns", "cells", "repeated", "short", "comma", "infinite"),
            *("label", "bzip2"),
        ],
    )
    def test_text(self, files, command, tmp_path, content, message):
        code, out, err = command(*files(content))
        assert (code, out, err) == (3, "", f"Error: a.txt: {message}\n")
        assert command("b.txt", "a.txt")[0] == 3

    def test_compressed_text(self, files, command, monkeypatch):
        text = text_of(ROWS).encode()
        assert command(*files(gzip.compress(text)))[0] == 0
        code, _, err = command(*files(gzip.compress(text)[:-9]))
        assert (code, err[:33]) == (3, "Error: a.txt: the file cannot be ")
        monkeypatch.setattr(_results_file, "_LARGEST", len(text) - 1)
        assert command(*files(gzip.compress(text)))[::2] == (
            3,
            (
                "Error: a.txt: the file has more than 0 MiB when it is unpacked. Give a "
                "cytotrace2_results file.\n"
            ),
        )

    def test_no_file(self, files, command, tmp_path):
        files(ROWS)
        assert command("a.txt", "none")[::2] == (3, "Error: none: no such file. Check the path.\n")
        assert command("a.txt", "\0")[0] == 3
        (tmp_path / "out").mkdir()
        assert command("a.txt", "out")[::2] == (
            3,
            "Error: out: this is a directory. Give the cytotrace2_results file in it.\n",
        )

    def test_no_cell_in_common(self, files, command):
        code, _, err = command(*files({f"x{cell}": row for cell, row in ROWS.items()}))
        assert code == 3
        assert err == (
            "Error: a.txt and b.txt have no cell in common (the first holds 'xa', 'xb', 'xc', "
            "...; the second 'a', 'b', 'c', ...). Give two results of the same cells.\n"
        )

    def test_arrow(self, scored, tmp_path):
        path = tmp_path / "x.parquet"
        table = scored.to_arrow()
        number = pa.array(["x"] * len(table))
        for changed, message in (
            (table.drop_columns("cell"), "there is no column 'cell' with the names of the cells."),
            (
                table.append_column("CytoTRACE2_Score", number),
                "column 'CytoTRACE2_Score' appears twice.",
            ),
            (
                table.set_column(1, "CytoTRACE2_Score", number),
                f"cell {scored.cells[0]!r}, column CytoTRACE2_Score: 'x' is not a finite number.",
            ),
            (
                pa.concat_tables([table, table.slice(3, 1)]),
                f"cell {scored.cells[3]!r} appears twice (row 4 and row 121). Rename or drop one.",
            ),
        ):
            with pa.ipc.new_file(path, changed.schema) as writer:
                writer.write_table(changed)
            with pytest.raises(ct2.InputError) as caught:
                ct2.compare(path, scored)
            assert str(caught.value) == f"{path}: {message}"

    @pytest.mark.parametrize("file_format", ["txt", "txt.gz", "parquet", "arrow"])
    def test_damaged_files_are_errors_or_differences(self, scored, tmp_path, file_format):
        path = scored.write(tmp_path, file_format=file_format)
        whole = path.read_bytes()
        random = np.random.RandomState(0)
        refused = []
        for trial in range(60):
            damaged = bytearray(whole)
            if trial % 2:
                del damaged[random.randint(len(damaged)) :]
            else:
                damaged[random.randint(len(damaged))] ^= 1 << random.randint(8)
            path.write_bytes(damaged)
            try:
                ct2.compare(path, scored)
            except ct2.InputError as error:
                refused.append(str(error))
        assert len(refused) > 20
        assert all(message.startswith(str(path)) for message in refused)


class TestCommandLine:
    def test_within(self, files, command):
        code, out, err = command(*files(ROWS))
        assert (code, err) == (0, "")
        assert out == (
            "4 cells in both\n"
            "\n"
            "                         largest  median  over 1e-06     Spearman\n"
            "CytoTRACE2_Score               0       0           0  1.000000000\n"
            "CytoTRACE2_Relative            0       0           0  1.000000000\n"
            "preKNN_CytoTRACE2_Score        0       0           0  1.000000000\n"
            "\n"
            "CytoTRACE2_Potency: 0 of 4 labels moved\n"
            "preKNN_CytoTRACE2_Potency: 0 of 4 labels moved\n"
            "\n"
            "Within the tolerances: 1e-06, 0 labels.\n"
        )

    def test_beyond(self, files, command):
        moved = ROWS | dict.fromkeys("abc", "0.3\tUnipotent\t0.2\t0.25\tUnipotent")
        code, out, err = command(*files(ROWS, moved), "-t", "0.5", "--labels", "1")
        assert (code, err) == (1, "")
        assert out.endswith(
            "CytoTRACE2_Potency: 2 of 4 labels moved\n"
            "    Differentiated -> Unipotent  1\n"
            "    Oligopotent -> Unipotent     1\n"
            "preKNN_CytoTRACE2_Potency: 2 of 4 labels moved\n"
            "    Differentiated -> Unipotent  1\n"
            "    Oligopotent -> Unipotent     1\n"
            "\n"
            "Beyond the tolerances:\n"
            "  CytoTRACE2_Potency: 2 of 4 labels moved (allowed: 1)\n"
            "  preKNN_CytoTRACE2_Potency: 2 of 4 labels moved (allowed: 1)\n"
        )
        assert command("a.txt", "b.txt", "--tolerance", "0.5", "-l", "2")[0] == 0

    def test_extra_columns_of_one_are_named(self, scored, command, tmp_path):
        one = scored.write(tmp_path / "one", extra_columns=True)
        code, out, _ = command(scored.write(tmp_path / "other"), one)
        assert code == 0
        assert f"\nNot compared, in the second only: {', '.join(EXTRA_COLUMNS)}\n" in out

    def test_json(self, files, command):
        rows = dict.fromkeys("abcd", "0.5\tOligopotent\t\t0.5\tOligopotent")
        code, out, err = command(*files(rows), "--json")
        assert (code, err) == (1, "")
        document = json.loads(out, parse_constant=pytest.fail)
        assert document["within"] is False
        assert document["numbers"][0]["name"] == "CytoTRACE2_Score"
        assert document["numbers"][1]["median"] is None
        assert document["labels"][0]["moves"][0] == ["Oligopotent", "Differentiated", 1]

    @pytest.mark.parametrize("value", ["nan", "-1", "x", "inf"])
    def test_usage(self, files, command, value):
        assert command(*files(ROWS), f"--tolerance={value}")[0] == 2
