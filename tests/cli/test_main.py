"""The command line: what it writes, and exit code and message of all that can go wrong."""

import gzip
import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cytotrace2_lite._version import __version__
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.genes import features
from cytotrace2_lite.output.tables import COLUMNS

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def ct2(capsys, model_files, tmp_path, monkeypatch):
    """Function that runs the command line; returns exit code, standard output and error."""
    monkeypatch.chdir(tmp_path)
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")

    def run(*arguments, model=None):
        # tests/plots tests the plots, with which these would take minutes.
        words = ["-dpl", "-m", str(model or model_files["1.1.0"]), *map(str, arguments)]
        with pytest.raises(SystemExit) as caught:
            main(["run", *words])
        output = capsys.readouterr()
        return caught.value.code, output.out, output.err

    return run


def table_of(genes, cells, values, delimiter="\t"):
    lines = [delimiter.join(["", *cells])]
    lines += [
        delimiter.join([gene, *map(str, row)]) for gene, row in zip(genes, values, strict=True)
    ]
    return "\n".join(lines) + "\n"


def random_table(n_cells=30, n_genes=600, seed=0):
    random = np.random.RandomState(seed)
    genes = features()[:n_genes]
    values = random.poisson(1.0, (len(genes), n_cells))
    return table_of(genes, [f"cell{i}" for i in range(n_cells)], values)


def last_line(text):
    return text.rstrip("\n").rpartition("\n")[2]


class TestRun:
    def test_writes_results_and_report(self, ct2, tiny_table, tmp_path):
        code, out, err = ct2(tiny_table(random_table()), "-o", "out")
        assert (code, out) == (0, "")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "cytotrace2_composition.tsv",
            "cytotrace2_results.txt",
            "cytotrace2_score_summary.tsv",
            "run.json",
        ]
        lines = (tmp_path / "out/cytotrace2_results.txt").read_text().splitlines()
        assert lines[0].split("\t") == ["", *COLUMNS]
        assert [line.split("\t")[0] for line in lines[1:]] == [f"cell{i}" for i in range(30)]
        report = json.loads((tmp_path / "out/run.json").read_text())
        assert report["cytotrace2_lite"] == __version__
        assert report["model"]["name"] == "made-up"
        assert report["input"]["n_cells"] == 30
        assert report["input"]["n_genes"] == report["genes"]["symbol"] == 600
        assert len(report["input"]["sha256"]) == len(report["model"]["sha256"]) == 64
        assert report["parameters"]["seed"] == 14
        assert report["parameters"]["batch_size"] == 10_000
        assert set(report["seconds"]) >= {"read", "preprocess", "predict", "diffuse", "total"}
        assert report["peak_memory_bytes"] > 1e7
        assert [text.partition(":")[0] for text in report["warnings"]] == [
            "LowGeneOverlapWarning",
            "LowGeneCountWarning",
            "FewCellsWarning",
        ]
        assert err.count("Warning: ") == 3
        # They are there before the work is done.
        assert err.index("Warning: ") < err.index("Ranking genes: ")
        findings = {finding["code"]: finding for finding in report["findings"]}
        assert findings["selected_genes"]["severity"] == "warning"
        assert findings["estimate"]["severity"] == "note"

    def test_options_of_upstream(self, ct2, tiny_table, tmp_path):
        path = tiny_table(random_table(1200, 200))
        annotation = tmp_path / "annotation.txt"
        annotation.write_text("id\tlabel\n" + "".join(f"cell{i}\tx\n" for i in range(1200)))
        short = ct2(
            *("-f", path, "-a", annotation, "-sp", "mouse", "-bs", 500, "-sbs", 200),
            *("-mc", 2, "-r", 3, "-o", "short", "-dpl", "-dv"),
        )
        long = ct2(
            *("--input-path", path, "--annotation-path", annotation, "--species", "mouse"),
            *("--batch-size", 500, "--smooth-batch-size", 200, "--disable-parallelization"),
            *("--seed", 3, "--output-dir", "long", "--disable-plotting", "--disable-verbose"),
        )
        assert short[0] == long[0] == 0
        report = json.loads((tmp_path / "short/run.json").read_text())
        assert report["parameters"] == {
            "species": "mouse",
            "batch_size": 500,
            "smooth_batch_size": 200,
            "seed": 3,
            "max_cores": 2,
            "max_memory": None,
        }
        assert report["annotation"]["n_cells"] == 1200
        assert len(report["quality"]["batches"]) == 3
        one, two = (
            (tmp_path / name / "cytotrace2_results.txt").read_bytes() for name in ("short", "long")
        )
        assert one == two  # whatever the number of threads

    def test_every_table_format_gives_the_same_bytes(self, ct2, tiny_table, tmp_path):
        text = random_table()
        inputs = {
            "a.txt": text.encode(),
            "b.tsv": text.replace("\n", "\r\n").encode(),
            "c.csv": text.replace("\t", ",").encode(),
            "d.txt.gz": gzip.compress(text.encode()),
            "e.csv.gz": gzip.compress(text.replace("\t", ",").encode()),
            "f.txt": text[1:].encode(),  # no field for the gene column
            "g.tsv": ("gene" + text).encode(),
        }
        results = set()
        for name, content in inputs.items():
            assert ct2(tiny_table(content, name), "-o", name + ".out")[0] == 0
            results.add((tmp_path / f"{name}.out/cytotrace2_results.txt").read_bytes())
        assert len(results) == 1

    def test_two_runs_give_the_same_bytes(self, ct2, tmp_path):
        for name in ("one", "two"):
            assert ct2(DATA / "enteric_300.txt.gz", "-o", name, "-dv")[0] == 0
        one, two = (
            (tmp_path / name / "cytotrace2_results.txt").read_bytes() for name in ("one", "two")
        )
        assert one == two

    def test_says_which_model_made_the_scores(self, ct2, tiny_table, model_files):
        _, _, err = ct2(tiny_table(random_table()), "-dv")
        assert err.startswith("Model: made-up, 3 members, SHA-256 ")
        _, _, err = ct2(tiny_table(random_table()), "-dv", model=model_files["1.0.0"])
        assert "architecture 1.0.0 in the pipeline of 1.1.0, which smooths on log2 CPM" in err
        _, _, err = ct2(tiny_table(random_table()), "-dv", model="open")
        assert err.startswith(
            "Model: open-2 (an open ensemble, not the official CytoTRACE 2 weights)"
        )

    def test_earlier_results_are_replaced(self, ct2, tiny_table, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out/cytotrace2_results.txt").write_text("old")
        (tmp_path / "out/other.txt").write_text("mine")
        assert ct2(tiny_table(random_table()), "-o", "out")[0] == 0
        assert (tmp_path / "out/cytotrace2_results.txt").read_text() != "old"
        assert (tmp_path / "out/other.txt").read_text() == "mine"

    def test_ensembl_ids(self, ct2, tiny_table, tmp_path):
        ids = {"Actb": "ENSMUSG00000029580", "Gapdh": "ENSMUSG00000057666.15"}
        text = table_of(ids.values(), ["c1", "c2"], [[5, 0], [1, 30]])
        assert ct2(tiny_table(text), "-o", "ids")[0] == 0
        report = json.loads((tmp_path / "ids/run.json").read_text())
        assert report["genes"]["ensembl"] == 2
        by_id = (tmp_path / "ids/cytotrace2_results.txt").read_bytes()
        text = table_of(ids, ["c1", "c2"], [[5, 0], [1, 30]])
        assert ct2(tiny_table(text), "-o", "symbols")[0] == 0
        assert (tmp_path / "symbols/cytotrace2_results.txt").read_bytes() == by_id

    def test_a_cell_without_counts(self, ct2, tiny_table, tmp_path):
        random = np.random.RandomState(0)
        values = random.poisson(1.0, (600, 150))
        cells = [f"c{i}" for i in range(150)]
        whole = values.copy()
        whole[:, 40] = 0
        code, _, err = ct2(tiny_table(table_of(features()[:600], cells, whole)), "-o", "with")
        assert code == 0
        assert (
            "Warning: 1 of 150 cells have no count over the model's genes and get no score: "
            "'c40'. They take no part in any step. Leave them out, or expect empty fields.\n"
        ) in err
        lines = (tmp_path / "with/cytotrace2_results.txt").read_text().splitlines()
        assert lines[41] == "c40\t\t\t\t\t"
        kept = [i for i in range(150) if i != 40]
        text = table_of(features()[:600], [cells[i] for i in kept], values[:, kept])
        assert ct2(tiny_table(text), "-o", "without")[0] == 0
        without = (tmp_path / "without/cytotrace2_results.txt").read_text().splitlines()
        del lines[41]
        # One group: the split does not move the others, and nothing else may.
        for ours, theirs in zip(lines, without, strict=True):
            for one, other in zip(ours.split("\t"), theirs.split("\t"), strict=True):
                is_number = one.replace(".", "").replace("e-", "").isdigit()
                assert abs(float(one) - float(other)) < 1e-9 if is_number else one == other


class TestErrors:
    """Exit code and message; nothing but the message on standard error, no results."""

    def refused(self, outcome, code, message, tmp_path):
        actual, out, err = outcome
        assert (actual, out) == (code, "")
        assert last_line(err) == message
        assert "Traceback" not in err
        assert not list(tmp_path.rglob("cytotrace2_results.txt"))

    def test_wrong_path(self, ct2, tmp_path):
        self.refused(ct2("none.txt"), 3, "Error: none.txt: no such file. Check the path.", tmp_path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "the file is empty."),
            (
                "\tc1\tc2\nActb\t1\t2\nGapdh\t1\n",
                (
                    "line 3 (gene 'Gapdh') has 2 fields instead of 3, the gene's name and one per "
                    "cell. Look for a missing or an extra tab."
                ),
            ),
            (
                "\tc1\tc2\nActb\t1\tx\n",
                (
                    "line 2, gene 'Actb', cell 'c2': 'x' is not a number. Only the header and the "
                    "first column may hold text."
                ),
            ),
            (
                "\tc1\tc2\nActb\t1\tNaN\n",
                (
                    "line 2, gene 'Actb', cell 'c2': the value is missing ('NaN'). Write 0 or "
                    "remove the gene."
                ),
            ),
            (
                "g\tc1\tc2\nActb\t1\t\n",
                (
                    "line 2 (gene 'Actb') ends with a tab: the value of the last cell is missing, "
                    "or a tab too many ends each line. Write 0 there, or remove it."
                ),
            ),
            (
                "\tc1\tc2\nActb\t1\t-2\n",
                (
                    "line 2, gene 'Actb', cell 'c2': '-2' is negative. Give counts or CPM/TPM, "
                    "neither logged nor scaled."
                ),
            ),
            (
                "\tc1\tc2\nActb\t1\tinf\n",
                (
                    "line 2, gene 'Actb', cell 'c2': 'inf' is infinite. Correct the value or "
                    "remove the gene."
                ),
            ),
            (
                "\tc1\tc2\nActb\t1\t2\nGapdh\t1\t2\nActb\t3\t4\n",
                (
                    "gene 'Actb' appears twice (lines 2 and 4). Sum or drop one, or pass "
                    '--duplicate-genes sum or first (duplicate_genes="sum" in Python).'
                ),
            ),
            (
                "\tc1\tc1\nActb\t1\t2\n",
                "cell 'c1' appears twice (columns 2 and 3). Rename or drop one.",
            ),
        ],
        ids=["empty", "ragged", "text", "nan", "missing", "negative", "infinite", "gene", "cell"],
    )
    def test_unusable_tables(self, ct2, tiny_table, tmp_path, content, message):
        path = tiny_table(content)
        self.refused(ct2(path), 3, f"Error: {path}: {message}", tmp_path)

    def test_no_usable_gene(self, ct2, tiny_table, tmp_path):
        path = tiny_table("\tc1\nfoo\t1\nbar\t2\n")
        code, _, err = ct2(path)
        assert code == 4
        assert last_line(err) == (
            "Error: none of the gene names of the input (2: 'foo', 'bar') is a known mouse gene: "
            "names must be mouse symbols with species mouse, human symbols with species human, or "
            "Ensembl gene ids (ENSMUSG..., ENSG...). If these are the cells, check the species or "
            "pass --orientation; for other species pass --orthologs."
        )
        assert not list(tmp_path.rglob("cytotrace2_results.txt"))

    def test_wrong_species(self, ct2, tiny_table):
        path = tiny_table("\tc1\tc2\nACTB\t30\t2\nGAPDH\t3\t2\nTP53\t1\t2\n")
        code, _, err = ct2(path)
        assert code == 4
        assert "--species human" in last_line(err)
        assert ct2(path, "-sp", "human")[0] == 0

    @pytest.mark.parametrize(
        ("name", "species", "message"),
        [
            (
                "palantir_300",
                "mouse",
                (
                    "Error: only 7 of the gene names of the input (16,106: 'KCTD15', 'STT3B', "
                    "'NAT6', ...) are known mouse genes, but 12,138 are known human genes: pass "
                    '--species human (species="human" in Python).'
                ),
            ),
            (
                "enteric_300",
                "human",
                (
                    "Error: only 6 of the gene names of the input (16,934: 'Xkr4', 'Gm19938', "
                    "'Mrpl15', ...) are known human genes, but 12,544 are known mouse genes: pass "
                    '--species mouse (species="mouse" in Python).'
                ),
            ),
        ],
    )
    def test_wrong_species_of_real_data(self, ct2, tmp_path, name, species, message):
        outcome = ct2(DATA / f"{name}.txt.gz", "-sp", species, "-o", "out")
        self.refused(outcome, 4, message, tmp_path)
        assert not (tmp_path / "out").exists()

    def test_genes_without_counts(self, ct2, tiny_table, tmp_path):
        path = tiny_table("\tc1\tc2\nActb\t0\t0\nfoo\t1\t2\n")
        self.refused(
            ct2(path),
            4,
            "Error: none of the 1 genes known to the model has a count in any of the 2 cells. "
            "Check that the table holds the expression values and that the species is right.",
            tmp_path,
        )

    def test_truncated_model(self, ct2, tiny_table, model_files, tmp_path):
        cut = tmp_path / "cut.onnx"
        cut.write_bytes(model_files["1.0.0"].read_bytes()[:1000])
        self.refused(
            ct2(tiny_table(), model=cut),
            5,
            f"Error: {cut}: not a cytotrace2_lite model, or truncated (1000 bytes). "
            "Copy the file again, or export it anew with tools/export_onnx.py.",
            tmp_path,
        )

    def test_unknown_model(self, ct2, tiny_table, tmp_path):
        self.refused(
            ct2(tiny_table(), model="official"),
            5,
            "Error: official: no such model. Give the path of an .onnx file written by "
            "tools/export_onnx.py, or 'open' for the bundled model.",
            tmp_path,
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "Error: Give the expression table once: ct2-lite run EXPR"),
            (["a", "-f", "a"], "Error: Give the expression table once: ct2-lite run EXPR"),
            (
                ["a", "-sp", "rat"],
                "Error: Invalid value for '-sp' / '--species': 'rat' is not one of",
            ),
            (["a", "-bs", "0"], "Error: Invalid value for '-bs' / '--batch-size': 0 is not in"),
            (["a", "-mc", "0"], "Error: Invalid value for '-mc' / '--max-cores': 0 is not in"),
            (["a", "-r", "-1"], "Error: Invalid value for '-r' / '--seed': -1 is not in"),
            (["a", "--nothing"], "Error: No such option"),
        ],
    )
    def test_usage(self, ct2, arguments, message):
        code, out, err = ct2(*arguments)
        assert (code, out) == (2, "")
        assert message in err

    def test_output_directory_that_cannot_be(self, ct2, tiny_table, tmp_path):
        (tmp_path / "file").write_text("")
        self.refused(
            ct2(tiny_table(), "-o", "file"),
            1,
            "Error: file: cannot write results here (File exists). "
            "Choose another directory (-o/--output-dir).",
            tmp_path,
        )

    def test_output_directory_that_cannot_be_looked_at(self, ct2, tiny_table, tmp_path):
        name = "x" * 300  # as one where that is not allowed
        self.refused(
            ct2(tiny_table(), "-o", name),
            1,
            f"Error: {name}: cannot write results here (File name too long). "
            "Choose another directory (-o/--output-dir).",
            tmp_path,
        )

    def test_annotation(self, ct2, tiny_table, tmp_path):
        self.refused(
            ct2(tiny_table(), "-a", "none.txt"),
            3,
            "Error: none.txt: cannot read the annotation (No such file or directory).",
            tmp_path,
        )
        (tmp_path / "a.txt").write_text("id\tlabel\nc1\tx\nc9\ty\n")
        code, _, err = ct2(tiny_table(), "-a", "a.txt")
        assert code == 0
        assert (
            "Warning: a.txt: 1 of 2 cells of the table have no label: 'c2'; 1 of its 2 ids are not "
            "cells of the table: 'c9'. This does not change the scores; plots show such cells "
            "without a label. Check that the ids are written alike.\n"
        ) in err


def command(*arguments, **options):
    # As from a terminal, also where the tests themselves run in the background.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from cytotrace2_lite.cli.main import main; main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_version_and_help():
    for arguments in (["--version"], ["--help"], ["run", "--help"]):
        process = command(*arguments)
        out, err = process.communicate()
        assert (process.returncode, err) == (0, "")
        assert "ct2-lite" in out


def test_interrupt(tmp_path, model_files):
    process = command(
        *("run", DATA / "palantir_300.txt.gz", "-sp", "human", "-o", tmp_path / "out"),
        *("-m", model_files["1.1.0"]),
    )
    assert process.stderr.readline().startswith("Model: ")
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert last_line(err) == "Interrupted: no result was written."
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full"])
def test_nobody_reads_standard_error(tmp_path, tiny_table, model_files, closed):
    words = ("run", tiny_table(random_table()), "-o", tmp_path / "out", "-m", model_files["1.1.0"])
    words += ("-dpl",)
    line = shlex.join([sys.executable, "-m", "cytotrace2_lite", *map(str, words)])
    process = subprocess.run(["sh", "-c", f"{line} {closed}"], check=False)
    assert process.returncode == 0
    assert (tmp_path / "out/cytotrace2_results.txt").is_file()


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from cytotrace2_lite.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    loaded = last_line(process.stdout)
    for library in ("numpy", "scipy", "pyarrow", "onnxruntime", "numba", "pynndescent", "torch"):
        assert f"'{library}'" not in loaded
    for library in ("tempfile", "secrets", "ssl"):  # small, but many: a tenth of the time
        assert f"'{library}'" not in loaded


def test_run_imports_no_more_than_it_needs(tmp_path, tiny_table, model_files):
    code = (
        "import sys\n"
        "from cytotrace2_lite.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as exit:\n    assert exit.code == 0\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    process = subprocess.run(
        [
            *(sys.executable, "-c", code, "run", str(tiny_table(random_table()))),
            *("-o", str(tmp_path / "out"), "-m", str(model_files["1.1.0"]), "-dpl"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = last_line(process.stdout)
    assert "'onnxruntime'" in loaded
    for library in ("torch", "onnx", "pandas", "sklearn", "numba", "pynndescent", "matplotlib"):
        assert f"'{library}'" not in loaded
