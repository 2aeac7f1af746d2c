"""The command `ct2-lite check`."""

import json
from pathlib import Path

import pytest

from cytotrace2_lite.checks import resources
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.system import machine

DATA = Path(__file__).parents[1] / "data"


class TestCommand:
    @pytest.fixture
    def check(self, capsys, model_files, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

        def run(*arguments):
            with pytest.raises(SystemExit) as caught:
                main(["check", "-m", str(model_files["1.1.0"]), *map(str, arguments)])
            output = capsys.readouterr()
            return caught.value.code, output.out, output.err

        return run

    def test_text(self, check, tmp_path, monkeypatch):
        monkeypatch.setattr(resources, "estimate", lambda *_: (100.0, 3.2e9))
        monkeypatch.setattr(machine, "available_memory", lambda: None)
        path = DATA / "enteric_300.txt.gz"
        code, out, err = check(path, "-a", DATA / "enteric_300_annotation.txt", "-mc", 2)
        assert code == 0
        assert err.startswith("Model: made-up, 3 members, SHA-256 ")
        assert "Reading and checking: " in err
        assert out == (
            "note     read as tsv (gzip), genes x cells, gene names from the first column.\n"
            "note     of 16,934 gene names, 12,544 are mouse symbols and 6 are human symbols that "
            "the model knows; 12,526 of its 14,271 genes are in the input as mouse genes.\n"
            "         Other genes are not used, nor counted in a cell's total.\n"
            "note     18 gene names are left out, as a better name of the same gene is in the "
            "input: 'Ggta1 (for Gal)', 'Scn7a (for Nav2)', 'Noct (for Ccr4)', ...\n"
            "         One row stands for a gene; an official symbol goes before an alias.\n"
            "note     300 cells; a cell has 9,970 (median; 3,671 to 34,842) counts and 2,930 "
            "(median; 1,474 to 5,743) genes of the model; 0.0% of cells have fewer than 500 "
            "genes.\n"
            "         Scores are best with 500 to 1,000 genes a cell or more.\n"
            "note     about 2 min from here and about 3.2 GB of memory with 2 threads (an "
            "estimate).\n"
            "         Machines, and what else they do, differ by a factor of 2 or more.\n"
            f"{path}: can be scored, no warnings\n"
        )
        assert list(tmp_path.iterdir()) == []

    def test_quiet_says_only_warnings(self, check, tiny_table):
        code, out, err = check(tiny_table(), "-q")
        assert (code, err) == (0, "")
        severities = {line.split()[0] for line in out.splitlines()[:-1] if line[0] != " "}
        assert severities == {"warning"}

    def test_warnings_come_last(self, check, tiny_table):
        code, out, _ = check(tiny_table())
        assert code == 0
        severities = [line.split()[0] for line in out.splitlines()[:-1] if line[0] != " "]
        assert severities == sorted(severities)
        assert severities.count("warning") == 3
        assert out.splitlines()[-1].endswith("expr.txt: can be scored, 3 warnings")

    def test_json(self, check, tiny_table):
        path = tiny_table()
        code, out, err = check(path, "-q", "--json")
        assert (code, err) == (0, "")
        report = json.loads(out)
        assert report["input"] == str(path)
        assert {finding["code"] for finding in report["findings"]} == {
            *("input", "genes", "selected_genes", "cells", "few_genes_per_cell", "few_cells"),
            "estimate",
        }
        assert set(report["findings"][0]) == {"code", "severity", "what", "why", "remedy"}

    @pytest.mark.parametrize(
        ("text", "expected", "code", "message"),
        [
            (
                "\tc1\nActb\t-1\n",
                3,
                "unusable_input",
                (
                    "{path}: line 2, gene 'Actb', cell 'c1': '-1' is negative. Give counts or "
                    "CPM/TPM, neither logged nor scaled."
                ),
            ),
            (
                "\tc1\nActb\t0\n",
                4,
                "no_usable_genes",
                (
                    "none of the 1 genes known to the model has a count in any of the 1 cells. "
                    "Check that the table holds the expression values and that the species is "
                    "right."
                ),
            ),
        ],
    )
    def test_errors(self, check, tiny_table, text, expected, code, message):
        path = tiny_table(text)
        message = message.format(path=path)
        assert check(path, "-q") == (expected, "", f"Error: {message}\n")
        exit_code, out, err = check(path, "-q", "--json")
        assert (exit_code, err) == (expected, f"Error: {message}\n")
        (finding,) = json.loads(out)["findings"]
        assert (finding["code"], finding["severity"]) == (code, "error")
        assert finding["what"] + "." == message

    def test_broken_model(self, check, tiny_table, tmp_path):
        (tmp_path / "cut.onnx").write_bytes(b"x")
        code, out, _ = check(tiny_table(), "-m", tmp_path / "cut.onnx", "--json")
        assert code == 5
        assert json.loads(out)["findings"][0]["code"] == "unusable_model"

    @pytest.mark.parametrize("option", [["-a", "x"], ["--json"], ["-q"], ["-sp", "human"]])
    def test_options_without_a_table(self, check, option):
        code, out, err = check(*option)
        assert (code, out) == (2, "")
        assert " goes with a table: ct2-lite check EXPR -" in err

    def test_two_tables(self, check):
        code, _, err = check("a", "-f", "b")
        assert code == 2
        assert "Error: Give the expression table once: ct2-lite check EXPR" in err
