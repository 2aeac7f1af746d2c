"""Options that cannot be used, and places for results: the exact message of each."""

import click
import pytest
from helpers import formats
from helpers.wrong_inputs import CASE, ROW, TABLE, results, written

from cytotrace2_lite.cli.group import cli
from cytotrace2_lite.cli.main import main

CASES = [
    # where results go
    pytest.param(
        {"t": TABLE, "out": b""},
        "run t -o out",
        1,
        "out: cannot write results here (File exists). Choose another directory (-o/--output-dir).",
        id="a file for a folder",
    ),
    *(
        pytest.param(
            {"t": TABLE},
            f"{command} t -o {name}",
            2,
            (
                f"{name}: -o/--output-dir is a directory, and this looks like the name of a file. "
                f"Give a directory, such as -o {folder}{more}."
            ),
            id=f"a name of a file for {command} {name}",
        )
        for command, name, folder, more in (
            ("run", "r.txt", "r", "; -o - > r.txt writes the results alone to such a file"),
            (
                "run",
                "a.b.CSV.gz",
                "a.b",
                "; -o - > a.b.CSV.gz writes the results alone to such a file",
            ),
            (
                *("run", "r.h5ad", "r"),
                "; --write-h5ad r.h5ad writes a copy of an .h5ad input with the results",
            ),
            ("explain", "d/r.tsv", "d/r", ""),
        )
    ),
    pytest.param(
        {"t": TABLE},
        "run t --write-h5ad c.h5ad",
        2,
        (
            "t: this is not an .h5ad file, and --write-h5ad adds the scores to a copy of one. "
            "Leave it out (the results file has the scores), or give an .h5ad file as input."
        ),
        id="a copy of text",
    ),
    pytest.param(
        {"t.h5ad": written(formats.h5ad)},
        "run t.h5ad --write-h5ad c.txt",
        2,
        "c.txt: the file of --write-h5ad must have a name that ends in .h5ad.",
        id="a copy of another name",
    ),
    pytest.param(
        {"t.h5ad": written(formats.h5ad)},
        "run t.h5ad --write-h5ad t.h5ad",
        2,
        (
            "t.h5ad: this is the input, which is never changed. Give the file of --write-h5ad "
            "another name."
        ),
        id="a copy over itself",
    ),
    pytest.param(
        {"t": TABLE},
        "run t -o - --embedding e",
        2,
        "--embedding is for plots, which need a directory (-o/--output-dir).",
        id="an embedding for a pipe",
    ),
    # the command line
    pytest.param(
        {},
        "run",
        2,
        "Give the expression table once: ct2-lite run EXPR",
        id="nothing to run",
    ),
    pytest.param(
        {},
        "check --species human",
        2,
        "--species goes with a table: ct2-lite check EXPR --species ...",
        id="an option of tables",
    ),
    pytest.param(
        {"a": results(ROW)},
        "compare a a -t -1",
        2,
        "tolerance is -1.0; it must be a number of at least 0.",
        id="tolerance",
    ),
]


@pytest.mark.parametrize(CASE, CASES)
def test_message(refusals, files, words, code, message):
    refusals.check(files, words, code, message)


def test_there_are_many():
    assert len(CASES) >= 8


def test_a_directory_may_have_any_name(tmp_path, monkeypatch, model_files, tiny_table):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.txt").mkdir()
    for name in ("there.txt", "new.txt/", "v1.2", ".txt"):
        with pytest.raises(SystemExit) as caught:
            main(["run", str(tiny_table()), "-o", name, "-dpl", "-m", str(model_files["1.1.0"])])
        assert caught.value.code == 0
        assert (tmp_path / name / "cytotrace2_results.txt").is_file()


@pytest.mark.parametrize(
    ("command", "usage"), [("run", "EXPR..."), ("explain", "EXPR"), ("check", "[EXPR]...")]
)
def test_the_usage_line(command, usage):
    context = click.Context(cli.commands[command], info_name=command)
    assert context.get_usage().split("\n")[0] == f"Usage: {command} [OPTIONS] {usage}"
