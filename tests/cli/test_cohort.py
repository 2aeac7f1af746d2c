"""Several inputs in one command: files, table, exit code, interrupts, and what is done already."""

import csv
import json
import os
import signal
from pathlib import Path

import pytest

from cytotrace2_lite.base.potency import POTENCIES
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.system.files import write_whole

TABLE = "gene\tc1\tc2\nActb\t5\t0\nGapdh\t1\t2\nSox17\t0\t7\n"
HUMAN = TABLE.upper().replace("GENE\tC1\tC2", "gene\tc1\tc2")


@pytest.fixture
def ct2(capsys, model_files, tmp_path, monkeypatch):
    """Function that runs a command where A.txt, b/B.tsv and H.txt are, the last a human one."""
    monkeypatch.chdir(tmp_path)
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
    Path("A.txt").write_text(TABLE)
    Path("b").mkdir()
    Path("b/B.tsv").write_text(TABLE.replace("7", "8"))
    Path("H.txt").write_text(HUMAN)

    def run(command, *words, plots=False):
        words = [command, *words, "-m", str(model_files["1.1.0"])]
        words += ["-dpl"] if command == "run" and not plots else []
        with pytest.raises(SystemExit) as caught:
            main(words)
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return caught.value.code, output.out, output.err

    return run


# Tables that go with the results of each sample.
BESIDE = ("_composition.tsv", "_score_summary.tsv")


def names(folder="out"):
    found = sorted(path.name for path in Path(folder).iterdir())
    return [name for name in found if not name.endswith(BESIDE)]


def table(path="out/cytotrace2_samples.tsv"):
    with Path(path).open() as file:
        return {row["sample"]: row for row in csv.DictReader(file, delimiter="\t")}


class TestRun:
    def test_each_is_scored_as_if_alone(self, ct2, monkeypatch):
        loads = []
        opening = Ensemble.opening
        monkeypatch.setattr(
            Ensemble, "opening", lambda model: loads.append(model) or opening(model)
        )
        code, out, err = ct2("run", "A.txt", "b/B.tsv", "-o", "out")
        assert (code, out) == (0, "")
        assert len(loads) == 1
        assert names() == [
            *("A_cytotrace2_results.txt", "A_run.json"),
            *("B_cytotrace2_results.txt", "B_run.json"),
            "cytotrace2_samples.tsv",
        ]
        assert err.count("Model: ") == 1
        assert "\nSample A (1 of 2): A.txt\n" in err
        assert "\nWarning: B: " in err
        assert err.endswith("2 samples: 2 done\nTable of the samples: out/cytotrace2_samples.tsv\n")
        for sample, path in (("A", "A.txt"), ("B", "b/B.tsv")):
            assert ct2("run", path, "-o", "alone")[0] == 0
            assert names("alone") == ["cytotrace2_results.txt", "run.json"]
            alone = Path("alone/cytotrace2_results.txt").read_bytes()
            assert Path(f"out/{sample}_cytotrace2_results.txt").read_bytes() == alone
            one, other = (
                json.loads(Path(name).read_bytes())
                for name in (f"out/{sample}_run.json", "alone/run.json")
            )
            assert one["results"] == f"{sample}_cytotrace2_results.txt"
            assert one["results_sha256"] == other["results_sha256"]
            assert one.keys() - other.keys() == {"options"}
            assert list(one)[-3:] == ["options", "results", "results_sha256"]
            row = table()[sample]
            assert (row["path"], row["species"], row["status"]) == (path, "mouse", "done")
            assert (row["exit_code"], row["cells"], row["cells_scored"]) == ("0", "2", "2")
            assert row["results"] == one["results"]
            assert sum(int(row[potency]) for potency in POTENCIES) == 2
            assert row["warnings"] == "selected_genes, few_genes_per_cell, few_cells"
            assert 0 <= float(row["mean_score"]) <= 1

    def test_an_error_does_not_end_the_others(self, ct2):
        Path("bad.txt").write_text("\tc1\nActb\tx\n")
        words = ("A.txt", "H.txt", "bad.txt", "none.txt", "b/B.tsv")
        code, out, err = ct2("run", *words, "-o", "out", "-q")
        assert (code, out) == (4, "")  # of the first that failed
        rows = table()
        assert [row["status"] for row in rows.values()] == [
            *("done", "failed", "failed", "failed", "done")
        ]
        assert [row["exit_code"] for row in rows.values()] == ["0", "4", "3", "3", "0"]
        errors = [line for line in err.splitlines() if line.startswith("Error: ")]
        assert [line.split(": ")[1] for line in errors] == ["H", "bad", "none"]
        assert rows["none"]["error"] == "none.txt: no such file. Check the path."
        assert names() == [
            *("A_cytotrace2_results.txt", "A_run.json"),
            *("B_cytotrace2_results.txt", "B_run.json"),
            "cytotrace2_samples.tsv",
        ]
        assert ct2("run", *words, "-o", "out")[2].endswith(
            "5 samples: 2 done, 3 failed (H, bad, none)\n"
            "Table of the samples: out/cytotrace2_samples.tsv\n"
        )

    def test_little_memory_for_one(self, ct2, monkeypatch):
        from cytotrace2_lite import directory

        prepare = directory.prepare_job

        def fail(source, *words, **options):
            if source.name == "A.txt":
                raise MemoryError
            return prepare(source, *words, **options)

        monkeypatch.setattr(directory, "prepare_job", fail)
        code, _, err = ct2("run", "A.txt", "b/B.tsv", "-o", "out", "-q")
        assert code == 1
        assert "Error: A: out of memory. Use a machine with more, or a smaller " in err
        assert [row["status"] for row in table().values()] == ["failed", "done"]

    def test_prefix(self, ct2):
        assert ct2("run", "A.txt", "-o", "out", "--prefix", "x")[0] == 0
        assert ct2("run", "A.txt", "b/B.tsv", "-o", "out", "--prefix", "y-")[0] == 0
        assert names() == [
            *("x_cytotrace2_results.txt", "x_run.json"),
            *("y-A_cytotrace2_results.txt", "y-A_run.json"),
            *("y-B_cytotrace2_results.txt", "y-B_run.json"),
            "y-cytotrace2_samples.tsv",
        ]

    def test_other_options_are_for_all(self, ct2):
        words = ("--format", "txt.gz", "--extra-columns", "--strict", "-sbs", "7")
        code, _, _ = ct2("run", "A.txt", "b/B.tsv", "-o", "out", *words)
        assert code == 3  # the tables are so small that there are warnings
        assert table()["A"]["error"].startswith("nothing is scored, as warnings are errors")
        assert ct2("run", "A.txt", "b/B.tsv", "-o", "out", *words[:3])[0] == 0
        assert "B_cytotrace2_results.txt.gz" in names()

    def test_the_same_table_in_the_place_of_an_input(self, ct2):
        Path("out").mkdir()
        Path("out/A_cytotrace2_results.txt").write_text(TABLE)
        code, _, err = ct2("run", "A.txt", "out/A_cytotrace2_results.txt", "-o", "out")
        assert code == 2
        assert "out/A_cytotrace2_results.txt: this file is an input of the run" in err
        assert Path("out/A_cytotrace2_results.txt").read_text() == TABLE

    def test_no_place_for_results(self, ct2):
        code, _, err = ct2("run", "A.txt", "b/B.tsv", "-o", "A.txt/out", "-q")
        assert code == 1
        assert err.startswith("Error: A.txt/out: cannot write results here")

    def test_genes_and_plots(self, ct2):
        pytest.importorskip("matplotlib")
        Path("xy.csv").write_text("cell,x,y\nc1,1,2\nc2,2,1\n")
        words = ("A.txt", "b/B.tsv", "-o", "out", "--explain", "--embedding", "xy.csv")
        words += ("--skip-done", "--require-plots")
        code, _, err = ct2("run", *words, plots=True)
        assert code == 0
        files = names()
        for start in ("A_", "B_"):
            assert len([name for name in files if name.startswith(start)]) == 10
            assert f"{start}cytotrace2_genes.tsv" in files
            assert f"{start}cytotrace2_genes_dots.png" in files
            assert f"{start}cytotrace2_potency_score_UMAP.png" in files
        assert "Plots: 3 .png files in out\n" in err
        # New results take away the plots of the old ones, and no others.
        assert ct2("run", "A.txt", "none", "-o", "out")[0] == 3
        left = names()
        assert not any(name.startswith("A_") and name.endswith("UMAP.png") for name in left)
        assert "B_cytotrace2_potency_score_UMAP.png" in left


class TestSheet:
    def test_what_it_says_of_each(self, ct2):
        Path("sheets").mkdir()
        Path("sheets/labels.txt").write_text("id\tlabel\nc1\tx\nc2\ty\n")
        Path("sheets/s.tsv").write_text(
            "sample\tpath\tspecies\tannotation\tdrug\n"
            "one\t../A.txt\t\tlabels.txt\tyes\n"
            "two\t../H.txt\thuman\t\tno\n"
        )
        code, _, err = ct2("run", "--sheet", "sheets/s.tsv", "-o", "out")
        assert code == 0
        assert "Note: columns of the sheet that are only kept in the table: drug.\n" in err
        rows = table()
        assert [row["drug"] for row in rows.values()] == ["yes", "no"]
        assert [row["species"] for row in rows.values()] == ["mouse", "human"]
        assert json.loads(Path("out/one_run.json").read_bytes())["annotation"]["n_cells"] == 2
        assert "annotation" not in json.loads(Path("out/two_run.json").read_bytes())
        assert ct2("check", "--sheet", "sheets/s.tsv", "-q")[0] == 0

    def test_one_line(self, ct2):
        Path("s.csv").write_text("path\nH.txt\n")
        assert ct2("run", "--sheet", "s.csv", "-sp", "human", "-o", "out")[0] == 0
        assert names() == ["H_cytotrace2_results.txt", "H_run.json", "cytotrace2_samples.tsv"]

    def test_a_wrong_one(self, ct2):
        Path("s.csv").write_text("path,specie\nH.txt,human\n")
        code, _, err = ct2("run", "--sheet", "s.csv", "-o", "out", "-q")
        assert code == 3
        assert err.startswith("Error: s.csv: a column of the sheet is called 'specie'. Is it ")
        assert not Path("out").exists()


class TestSkipDone:
    def test_several(self, ct2):
        words = ("A.txt", "b/B.tsv", "-o", "out", "--skip-done")
        assert ct2("run", *words)[0] == 0
        first = table()
        before = {name: Path("out", name).stat().st_mtime_ns for name in names()}
        Path("b/B.tsv").write_text(TABLE.replace("7", "9"))
        code, _, err = ct2("run", *words)
        assert code == 0
        assert (
            "Skipped A: done before, with the same input, model, options and version: "
            "out/A_cytotrace2_results.txt\n"
        ) in err
        assert "2 samples: 1 done, 1 done before\n" in err
        rows = table()
        assert [row["status"] for row in rows.values()] == ["skipped", "done"]
        assert rows["A"] == first["A"] | {"status": "skipped"}
        for name, time in before.items():
            assert (Path("out", name).stat().st_mtime_ns == time) == name.startswith("A_")
        code, _, err = ct2("run", *words, "-r", "3")
        assert "2 samples: 2 done\n" in err

    def test_alone(self, ct2):
        words = ("run", "A.txt", "-o", "out", "--skip-done")
        assert "Skipped" not in ct2(*words)[2]
        code, _, err = ct2(*words)
        assert code == 0
        assert err.endswith(
            "Skipped: done before, with the same input, model, options and version: "
            "out/cytotrace2_results.txt\n"
        )
        assert names() == ["cytotrace2_results.txt", "run.json"]


class TestInterrupts:
    @pytest.mark.parametrize(
        ("number", "code", "word"),
        [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")],
    )
    def test_while_one_is_scored(self, ct2, monkeypatch, number, code, word):
        from cytotrace2_lite import job

        score, calls = job.score_cells, []

        def interrupted(*words, **options):
            calls.append(1)
            if len(calls) == 2:
                os.kill(os.getpid(), number)
            return score(*words, **options)

        monkeypatch.setattr(job, "score_cells", interrupted)
        actual, _, err = ct2("run", "A.txt", "b/B.tsv", "H.txt", "-o", "out", "-q")
        assert actual == code
        assert err.endswith(f"{word}: the results of 1 of 3 samples are complete.\n")
        assert names() == [*("A_cytotrace2_results.txt", "A_run.json", "cytotrace2_samples.tsv")]
        assert [row["status"] for row in table().values()] == ["done", "not run", "not run"]

    def test_before_one_is_done(self, ct2, monkeypatch):
        def interrupted(*_, **__):
            os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr("cytotrace2_lite.job.score_cells", interrupted)
        code, _, err = ct2("run", "A.txt", "b/B.tsv", "-o", "out")
        assert code == 130
        assert err.endswith("Interrupted: no result was written.\n")
        assert not Path("out").exists()

    @pytest.mark.parametrize("module", ["directory", "system.files"])
    def test_while_files_are_put_in_place(self, ct2, monkeypatch, module):
        """What is being written is finished: the results of a sample, and the table."""

        def interrupted(contents, **options):
            write_whole(contents, **options)
            os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(f"cytotrace2_lite.{module}.write_whole", interrupted)
        code, _, err = ct2("run", "A.txt", "b/B.tsv", "-o", "out")
        assert code == 130
        assert err.endswith("Interrupted: the results of 1 of 2 samples are complete.\n")
        assert [row["status"] for row in table().values()] == ["done", "not run"]


class TestRefused:
    ONE = (
        "Error: Standard input, -o - and --write-h5ad go with one EXPR. With several, give files, "
        "and a directory for the results.\n"
    )

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("A.txt b/B.tsv -o -", ONE),
            ("A.txt - -o out", ONE),
            ("A.txt b/B.tsv --write-h5ad c.h5ad", ONE),
            (
                "A.txt --sheet s.csv",
                "Error: Give expression tables or a --sheet of them, not both.\n",
            ),
            (
                "A.txt b/B.tsv -f H.txt",
                "Error: Give the expression table once: ct2-lite run EXPR\n",
            ),
            (
                "A.txt --skip-done --write-h5ad c.h5ad",
                (
                    "Error: --skip-done cannot tell whether the file of --write-h5ad is up to "
                    "date: leave one out.\n"
                ),
            ),
            (
                "A.txt -o - --prefix x",
                "Error: --prefix and --skip-done are for files, which -o - writes none of.\n",
            ),
            (
                "A.txt --prefix ../x",
                (
                    "Error: Invalid value for '--prefix': '../x': names of files may begin with "
                    "letters, digits, '.', '-' and '_', at most 100, the first a letter or digit.\n"
                ),
            ),
            (
                "A.txt ./A.txt",
                (
                    "Error: A.txt and ./A.txt: the results of both would be called "
                    "A_cytotrace2_results.txt. Give each sample its own name in the column "
                    "'sample' of a sheet (--sheet), or rename a file.\n"
                ),
            ),
        ],
    )
    def test_together(self, ct2, words, message):
        before = names(".")
        code, out, err = ct2("run", *words.split())
        assert (code, out) == (2, "")
        assert err.endswith(message)
        assert names(".") == before


class TestCheck:
    def test_several(self, ct2):
        code, out, err = ct2("check", "A.txt", "H.txt", "none", "b/B.tsv", "-q")
        assert code == 4
        ends = [line for line in out.splitlines() if " be scored" in line]
        assert [line.partition(", ")[0] for line in ends] == [
            *("A.txt: can be scored", "H.txt: cannot be scored", "none: cannot be scored"),
            "b/B.tsv: can be scored",
        ]
        assert [line.split(": ")[1] for line in err.splitlines()] == ["H", "none"]

    def test_for_programs(self, ct2):
        code, out, _ = ct2("check", "A.txt", "none", "-q", "--json")
        assert code == 3
        documents = json.loads(out)
        assert [list(document) for document in documents] == [["sample", "input", "findings"]] * 2
        assert documents[1]["findings"][0]["severity"] == "error"
        assert list(json.loads(ct2("check", "A.txt", "--json")[1])) == ["input", "findings"]

    def test_strict(self, ct2):
        assert ct2("check", "A.txt", "b/B.tsv", "-q")[0] == 0
        assert ct2("check", "A.txt", "b/B.tsv", "-q", "--strict")[0] == 6
