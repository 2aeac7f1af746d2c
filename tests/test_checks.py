"""What is said about a dataset before anything is computed."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.counts import as_counts
from scipy.sparse import csr_array

import cytotrace2_lite as ct2
from cytotrace2_lite.base.options import RunOptions
from cytotrace2_lite.checks import dataset as checks
from cytotrace2_lite.checks import resources
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.genes import features, map_genes, recognised
from cytotrace2_lite.read import Source
from cytotrace2_lite.system import machine

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def enteric():
    """Genes x cells of the mouse example."""
    return pd.read_csv(DATA / "enteric_300.txt.gz", sep="\t", index_col=0)


def by_code(findings):
    assert len({finding.code for finding in findings}) == len(findings)
    return {finding.code: finding for finding in findings}


def look_at(frame, ensembles, **options):
    return by_code(
        ct2.check(
            frame.to_numpy(dtype=float).T,
            genes=list(frame.index),
            cells=list(frame.columns),
            model=ensembles["1.1.0"],
            **options,
        )
    )


class TestGenes:
    def test_names_are_counted_by_species_and_kind(self):
        names = ["Actb", "Gapdh", "ENSMUSG00000029580.2", "TP53", "ENSG00000075624", "foo"]
        assert recognised(names) == {"mouse": (2, 1), "human": (1, 1)}

    def test_note(self, enteric, ensembles):
        found = look_at(enteric, ensembles)
        assert {code: f.severity for code, f in found.items()} == dict.fromkeys(
            ("input", "genes", "superseded", "cells", "estimate"), "note"
        )
        assert found["genes"].what == (
            "of 16,934 gene names, 12,544 are mouse symbols and 6 are human symbols that the model "
            "knows; 12,526 of its 14,271 genes are in the input as mouse genes"
        )
        assert found["superseded"].what == (
            "18 gene names are left out, as a better name of the same gene is in the input: "
            "'Ggta1 (for Gal)', 'Scn7a (for Nav2)', 'Noct (for Ccr4)', ..."
        )
        assert found["cells"].what == (
            "300 cells; a cell has 9,970 (median; 3,671 to 34,842) counts and 2,930 (median; 1,474 "
            "to 5,743) genes of the model; 0.0% of cells have fewer than 500 genes"
        )

    @pytest.mark.parametrize(("n", "codes"), [(8_999, {"few_genes"}), (9_000, set())])
    def test_few_genes(self, n, codes):
        # the last genes of the model hold fewer ribosomal ones than the first
        ubiquitous = [name for name in features() if name.startswith(("Rp", "Psm", "Nduf", "Cox"))]
        others = [name for name in features() if name not in set(ubiquitous)]
        names = (ubiquitous + others)[:n]
        found = by_code(checks.check_genes(names, map_genes(names, "mouse")))
        assert set(found) == {"genes"} | codes
        if codes:
            assert str(found["few_genes"]) == (
                "only 8,999 of the 14,271 genes of the model are in the input (9,000 or more are "
                "expected). That makes the scores less reliable. Check that the species is mouse, "
                "and give all genes measured."
            )

    def test_variable_genes_only(self, enteric, ensembles):
        cpm = np.log2(enteric / enteric.sum() * 1e6 + 1)
        variable = (cpm.var(axis=1) / cpm.mean(axis=1).clip(1e-9)).sort_values().index[-2000:]
        message = str(look_at(enteric.loc[variable], ensembles)["selected_genes"])
        assert message.startswith(
            "only 1,115 of the 14,271 genes of the model are in the input, and 2% "
        )
        assert message.endswith(
            "of those that all cells express (ribosome, proteasome, respiration): it looks cut "
            "down to variable or otherwise selected genes. A cell's genes are ranked among all "
            "genes, so that scores from some are unreliable. Give the table with all genes "
            "measured."
        )

    def test_rare_genes_left_out_is_not_taken_for_variable_genes_only(self, enteric, ensembles):
        often = (enteric > 0).sum(axis=1).sort_values().index[-8000:]
        found = look_at(enteric.loc[often], ensembles)
        assert "few_genes" in found
        assert "selected_genes" not in found

    def test_species_of_most_known_names(self):
        mouse, human = features()[:10], [name.upper() for name in features()[100:140]]
        lower = [f"unknown{i}" for i in range(10)]
        names = [*mouse, *human, *lower]
        found = by_code(checks.check_genes(names, map_genes(names, "mouse")))
        n_human = recognised(names)["human"].symbols
        assert str(found["species"]) == (
            f"{n_human} of the 60 gene names are known human genes and 10 known mouse ones, but "
            "the species is mouse. Genes of the other species are found by chance or not at all. "
            'If the cells are human, pass --species human (species="human" in Python).'
        )
        assert "species" not in by_code(checks.check_genes(names, map_genes(names, "human")))

    def test_dates(self):
        names = ["Actb", "1-Mar", "2-Sep"]
        found = by_code(checks.check_genes(names, map_genes(names, "mouse")))["dates"]
        assert isinstance(found.warning, ct2.GeneNameWarning)
        assert str(found) == (
            "2 gene names are dates: '1-Mar', '2-Sep'. A spreadsheet program has changed names "
            "such as March1 or Sept2, and these genes are lost. Take the table from before it was "
            "opened there."
        )

    def test_orthologs(self, enteric, ensembles, tmp_path):
        table = tmp_path / "orthologs.tsv"
        table.write_text("".join(f"rat_{name}\t{name}\n" for name in enteric.index))
        rat = enteric.rename(index=lambda name: f"rat_{name}")
        found = look_at(rat, ensembles, orthologs=table)
        assert found["genes"].what == (
            "of 16,934 gene names, 12,544 have a mouse ortholog that the model knows; 12,526 of "
            "its 14,271 genes are in the input as orthologs"
        )
        assert isinstance(found["species"].warning, ct2.SpeciesWarning)
        assert str(found["species"]) == (
            "the genes are mapped to mouse by a table of orthologs. CytoTRACE 2 was made for mouse "
            "and human cells, and its scores for other species are untested."
        )
        assert "orthologs" not in found


class TestValues:
    def test_logged(self, enteric, ensembles):
        logged = np.log1p(enteric / enteric.sum() * 1e4)
        assert str(look_at(logged, ensembles)["log_transformed"]) == (
            f"the largest value of the input is {logged.to_numpy().max():g}, and not all are whole "
            "numbers: it looks log-transformed. Cells are normalised and logged here; done twice, "
            "that changes the scores. Give raw counts, CPM or TPM."
        )

    def test_other_matrices_are_named(self):
        hint = Source("h5ad", matrix="X", other_matrices=("layers['counts']",)).hint()
        (found,) = checks.check_values(as_counts(csr_array(np.array([[0.5]]))), 9.0, hint)
        assert found.remedy == (
            "Give raw counts, CPM or TPM. It was X; there is also layers['counts'] (--layer, "
            "--use-raw; layer=, use_raw= in Python)."
        )

    def test_small_counts_are_not_logged(self, enteric, ensembles):
        found = look_at(enteric.clip(upper=15), ensembles)
        assert "log_transformed" not in found
        assert " counts and " in found["cells"].what

    def test_cpm_is_not_logged(self, enteric, ensembles):
        found = look_at(enteric / enteric.sum() * 1e6, ensembles)
        assert "log_transformed" not in found
        assert " in all and " in found["cells"].what


class TestCells:
    counts = as_counts(
        csr_array(np.array([[1] * 600, [1] * 600, [1] * 600, [1] * 400 + [0] * 200, [0] * 600]))
    )

    def test_empty_and_poor(self):
        found = by_code(checks.check_cells(self.counts, list("abcde")))
        assert str(found["empty_cells"]) == (
            "1 of 5 cells have no count over the model's genes and get no score: 'e'. "
            "They take no part in any step. Leave them out, or expect empty fields."
        )
        assert str(found["few_genes_per_cell"]) == (
            "25.0% of the cells express fewer than 500 of the model's genes. Scores are best with "
            "500 to 1,000 genes a cell or more. Consider leaving such cells out."
        )

    @pytest.mark.parametrize(("n_poor", "warned"), [(20, True), (19, False)])
    def test_a_fifth_of_poor_cells(self, n_poor, warned):
        values = np.ones((100, 600), dtype=int)
        values[:n_poor, 499:] = 0
        found = by_code(
            checks.check_cells(as_counts(csr_array(values)), [f"c{i}" for i in range(100)])
        )
        assert ("few_genes_per_cell" in found) == warned

    def test_poor_cells_of_a_sample(self):
        samples = ct2.samples.samples_of(list("xxyyy"), list("abcde"))
        found = by_code(checks.check_cells(self.counts, list("abcde"), samples))
        assert found["few_genes_per_cell"].what == (
            "50.0% of the cells of samples 'y' express fewer than 500 of the model's genes"
        )

    def test_small_batches(self):
        assert checks.check_samples(None, [("", 100), ("", 100)]) == []
        (finding,) = checks.check_samples(None, [("", 99), ("", 100)])
        assert str(finding) == (
            "99 of 199 cells are scored together with fewer than 100. Their scores are not "
            "smoothed over neighbours and mostly rank the cells within their potency; a cell alone "
            "gets the lowest score of its potency. Look at the raw scores, too."
        )
        assert isinstance(finding.warning, ct2.FewCellsWarning)


class TestResources:
    @pytest.fixture
    def counts(self):
        return as_counts(csr_array(np.ones((200, 1000), dtype=np.uint8)))

    def estimate(self, counts, n=1, threads=1):
        return resources.estimate(counts, np.array_split(np.arange(counts.shape[0]), n), threads)

    def test_grows_with_the_work(self, counts, monkeypatch):
        monkeypatch.setattr(machine, "peak_memory", lambda: None)
        seconds, memory = self.estimate(counts)
        double = as_counts(csr_array(np.ones((400, 1000), dtype=np.uint8)))
        assert self.estimate(double)[0] == pytest.approx(2 * seconds, rel=0.01)
        assert self.estimate(double)[1] > memory
        assert self.estimate(counts, threads=2)[0] < seconds
        assert self.estimate(counts, threads=2)[1] > memory
        assert self.estimate(double, n=2)[1] < self.estimate(double)[1]

    def test_is_never_less_than_what_was_held_already(self, counts, monkeypatch):
        monkeypatch.setattr(machine, "peak_memory", lambda: 10**15)
        assert self.estimate(counts)[1] == 10**15

    def test_too_little_memory(self, counts, monkeypatch):
        monkeypatch.setattr(machine, "peak_memory", lambda: 50_000_000_000)
        monkeypatch.setattr(machine, "available_memory", lambda: 16_000_000_000)
        batches = [np.arange(200)]
        for max_memory, there in (
            (None, "16.0 GB are there"),
            (20_000_000_000, "20.0 GB are allowed (--max-memory)"),
        ):
            with pytest.raises(ct2.UsageError) as caught:
                resources.check_resources(counts, batches, 1, 10_000, max_memory)
            assert str(caught.value) == (
                f"about 50.0 GB of memory would be needed (an estimate), and {there}. Use a "
                "-bs/--batch-size (batch_size in Python) smaller than 10,000, a machine with more "
                "memory, or, where the estimate is too cautious, a larger --max-memory."
            )
        for enough, allowed in ((50_000_000_000, None), (None, None), (1, 50_000_000_000)):
            monkeypatch.setattr(machine, "available_memory", lambda enough=enough: enough)
            (note,) = resources.check_resources(counts, batches, 1, 10_000, allowed)
            assert (
                note.what
                == "about 1 s from here and about 50.0 GB of memory with 1 thread (an estimate)"
            )

    def test_available_memory(self, monkeypatch, tmp_path):
        for name, text in {
            "meminfo": "MemTotal: 9 kB\nMemAvailable: 1000 kB\n",
            "own": "9 5 1",
        }.items():
            (tmp_path / name).write_text(text)
        monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
        monkeypatch.setattr(machine, "_OWN_MEMORY", tmp_path / "own")
        monkeypatch.setattr(machine, "_CGROUP_MEMORY", (tmp_path / "limit",))
        monkeypatch.setattr(machine.os, "sysconf", lambda _: 4096)
        assert machine.available_memory() == 1000 * 1024 + 5 * 4096
        (tmp_path / "limit").write_text("max\n")
        assert machine.available_memory() == 1000 * 1024 + 5 * 4096
        (tmp_path / "limit").write_text("5000\n")
        assert machine.available_memory() == 5000
        monkeypatch.setattr(machine, "_MEMORY", tmp_path / "none")
        assert machine.available_memory() is None


class TestRunGivesTheSame:
    def test_findings_are_in_the_report(self, enteric, ensembles, tmp_path):
        frame = enteric.iloc[:, :20]
        options = {"genes": list(frame.index), "model": ensembles["1.1.0"], "batches": ["x"] * 20}
        values = frame.to_numpy().T
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = ct2.run(values, **options)
        findings = ct2.check(values, **options)
        # Memory that was held already is more by then.
        told = [f for f in result.info["findings"] if f["code"] != "estimate"]
        assert told == [vars(finding) for finding in findings if finding.code != "estimate"]
        assert [str(w) for w in result.warnings] == [
            str(finding) for finding in findings if finding.severity == "warning"
        ]
        assert {type(w) for w in result.warnings} == {ct2.SampleWarning, ct2.FewCellsWarning}
        assert result.info["warnings"] == [f"{type(w).__name__}: {w}" for w in result.warnings]

    def test_a_warning_made_an_error_stops_before_the_work(self, enteric, ensembles):
        stages = []
        frame = enteric.iloc[:, :20]
        with warnings.catch_warnings():
            warnings.simplefilter("error", ct2.FewCellsWarning)
            with pytest.raises(ct2.FewCellsWarning):
                ct2.run(
                    frame.to_numpy().T,
                    genes=list(frame.index),
                    model=ensembles["1.1.0"],
                    progress=lambda event: stages.append(event.stage),
                )
        assert set(stages) == {"read"}


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
        monkeypatch.setattr(checks, "estimate", lambda *_: (100.0, 3.2e9))
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


class TestAnnotation:
    def test_larger_than_the_table_is_a_note(self, ensembles, tiny_table, tmp_path):
        (tmp_path / "a.txt").write_text("id\tlabel\nc1\tx\nc2\ty\nc3\tz\n")
        from cytotrace2_lite.directory import check_file

        path = tmp_path / "a.txt"
        found = by_code(
            check_file(tiny_table(), RunOptions(model=ensembles["1.1.0"]), annotation_path=path)
        )
        assert found["annotation"].severity == "note"
        assert found["annotation"].what == (
            f"{path}: all 2 cells of the table have a label; 1 of its 3 ids are no cell of the "
            "table: 'c3'"
        )

    def test_smaller_than_the_table(self, ensembles, tiny_table, tmp_path):
        (tmp_path / "a.txt").write_text("id\tlabel\nc2\ty\n")
        from cytotrace2_lite.directory import check_file

        path = tmp_path / "a.txt"
        found = by_code(
            check_file(tiny_table(), RunOptions(model=ensembles["1.1.0"]), annotation_path=path)
        )
        assert str(found["annotation"]) == (
            f"{path}: 1 of 2 cells of the table have no label: 'c1'. The scores are not touched by "
            "it; plots show such cells without a label. Add their labels."
        )
