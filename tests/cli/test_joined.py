"""Tables, MultiQC files and figure over several samples in one command."""

import csv
import json
from pathlib import Path

import pytest

from cytotrace2_lite.cli.main import main

TABLE = "gene\tc1\tc2\nActb\t5\t0\nGapdh\t1\t2\nSox17\t0\t7\n"
SHEET = "path,sample,drug,x\nA.txt,B2,yes,\nB.txt,A1,no,q\nC.txt,C,yes,\nD.txt,D,no,\n"
OVER_ALL = [
    *("cytotrace2_composition.tsv", "cytotrace2_conditions.tsv", "cytotrace2_samples.tsv"),
    "cytotrace2_score_summary.tsv",
]


@pytest.fixture
def run(capsys, model_files, tmp_path, monkeypatch):
    """Function that runs a command where four tables are, and a sheet of them."""
    monkeypatch.chdir(tmp_path)
    for name in "ABCD":
        Path(f"{name}.txt").write_text(TABLE)
    Path("s.csv").write_text(SHEET)

    def call(*words, plots=False):
        words = ["run", "-o", "out", "-m", str(model_files["1.1.0"]), *words]
        with pytest.raises(SystemExit) as caught:
            main(words if plots else [*words, "-dpl"])
        return caught.value.code, capsys.readouterr().err

    return call


def over_all():
    return sorted(path.name for path in Path("out").glob("cytotrace2_*"))


def table(name):
    with Path("out", name).open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


class TestTables:
    def test_a_condition_of_the_sheet(self, run):
        code, err = run("--sheet", "s.csv", "--condition", "drug")
        assert code == 0
        assert "Warning: conditions with fewer than 3 samples: 'no (2)', 'yes (2)'. " in err
        assert "only kept in the table: x.\n" in err
        assert over_all() == OVER_ALL
        names = [row["sample"] for row in table("cytotrace2_score_summary.tsv")]
        assert names == ["", "B2", "A1", "C", "D"]
        # The samples have too few cells for a mean.
        (row,) = table("cytotrace2_conditions.tsv")
        assert (row["condition"], row["other"], row["n_samples"]) == ("no", "yes", "0")
        assert json.loads(Path("out/C_run.json").read_bytes())["options"]["condition"] is None

    def test_those_that_failed_and_those_done_before(self, run):
        Path("C.txt").write_text("no table")
        code, _ = run("--sheet", "s.csv", "--condition", "drug", "--skip-done", "-q")
        assert code == 3
        first = table("cytotrace2_composition.tsv")
        assert list(dict.fromkeys(row["sample"] for row in first)) == ["", "B2", "A1", "D"]
        Path("C.txt").write_text(TABLE)
        code, err = run("--sheet", "s.csv", "--skip-done")
        assert code == 0
        assert "4 samples: 1 done, 3 done before" in err
        assert over_all() == [name for name in OVER_ALL if "conditions" not in name]
        found = table("cytotrace2_composition.tsv")
        assert [row for row in found if row["sample"] == "A1"] == [
            row for row in first if row["sample"] == "A1"
        ]
        assert sum(int(row["n_cells"]) for row in found if row["sample"] == "") == 8

    def test_tables_that_are_not_there_are_made_again(self, run):
        run("A.txt", "B.txt", "--skip-done")
        Path("out/A_cytotrace2_composition.tsv").unlink()
        assert "2 samples: 1 done, 1 done before" in run("A.txt", "B.txt", "--skip-done")[1]

    def test_nothing_scored(self, run):
        assert run("no", "none", "-q")[0] == 3
        assert over_all() == ["cytotrace2_samples.tsv"]

    @pytest.mark.parametrize(
        ("words", "code", "message"),
        [
            ("--sheet s.csv --condition none", 2, "the sheet has no column 'none'. Of samples in "),
            ("--sheet s.csv --condition x", 3, "'x': sample 'B2' has no condition. Give it one."),
            ("A.txt B.txt --condition drug", 2, "or list them with their conditions in a --sheet"),
            ("--sheet s.csv --condition drug --strict", 3, "nothing is scored, as warnings are "),
        ],
    )
    def test_wrong_conditions(self, run, words, code, message):
        found, err = run(*words.split(), "-q")
        assert found == code
        assert message in err
        assert not Path("out").exists()


class TestMultiQC:
    def test_one_set_over_all(self, run):
        assert run("A.txt", "B.txt", "--multiqc", "-q")[0] == 0
        found = sorted(path.name for path in Path("out").glob("*_mqc.json"))
        assert found == [
            f"cytotrace2_{name}_mqc.json" for name in ("composition", "general_stats", "warnings")
        ]
        for name in found:
            assert list(json.loads(Path("out", name).read_bytes())["data"]) == ["A", "B"]
        assert run("A.txt", "B.txt", "-q")[0] == 0
        assert list(Path("out").glob("*_mqc.json")) == []

    @pytest.mark.parametrize(("words", "name"), [((), "A"), (("--prefix", "S_1"), "S_1")])
    def test_alone(self, run, words, name):
        assert run("A.txt", "--multiqc", "-q", *words)[0] == 0
        (path,) = Path("out").glob("*composition_mqc.json")
        assert list(json.loads(path.read_bytes())["data"]) == [name]
        run("A.txt", "-q", *words)
        assert not path.exists()

    def test_done_before_without(self, run):
        assert run("A.txt", "--skip-done", "-q")[0] == 0
        assert "Skipped" not in run("A.txt", "--skip-done", "--multiqc")[1]
        assert "Skipped" in run("A.txt", "--skip-done", "--multiqc")[1]

    def test_not_to_standard_output(self, run):
        code, err = run("A.txt", "--multiqc", "-o", "-")
        assert code == 2
        assert "--multiqc writes files: give a directory" in err


def test_figure(run):
    pytest.importorskip("matplotlib")
    Path("xy.csv").write_text("cell,x,y\nc1,1,2\nc2,2,1\n")
    words = ("--sheet", "s.csv", "--condition", "drug", "--embedding", "xy.csv", "-q")
    assert run(*words, "--require-plots", "--plot-format", "svg", plots=True)[0] == 0
    text = Path("out/cytotrace2_samples.svg").read_text()
    order = [
        text.index(f"<!-- {name} -->") for name in ("A1 (no)", "D (no)", "B2 (yes)", "C (yes)")
    ]
    assert order == sorted(order)
    assert run("A.txt", "B.txt", "-q")[0] == 0
    assert not Path("out/cytotrace2_samples.svg").exists()
