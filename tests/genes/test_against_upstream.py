"""Gene names to features, against cytotrace2-py itself.

It is asked by the interpreter that CT2_UPSTREAM_PYTHON names, for every name of its tables and for
the gene lists of the datasets in `../shared/data`.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from helpers.genes import DATA, answers, one_by_one, read_pairs, shuffled

from cytotrace2_lite.base.parameters import SPECIES

ROOT = Path(__file__).resolve().parents[2]
GOLDENS = ROOT / "tests" / "goldens"
DATASETS = ROOT.parent / "shared" / "data"

# cytotrace2-py takes either for Krtap1-5, by how the processor sorts equals
UNSTABLE_NAMES = {"KRTAP1-1", "KRTAP1-3"}


@pytest.fixture(scope="module")
def upstream_python():
    python = os.environ.get("CT2_UPSTREAM_PYTHON")
    if not python:
        pytest.skip("CT2_UPSTREAM_PYTHON names no interpreter that has cytotrace2-py")
    return python


@pytest.fixture(scope="module")
def ask(upstream_python, tmp_path_factory):
    """What cytotrace2-py answers to a list of questions, see make_gene_mapping.py."""

    def ask(questions):
        path = tmp_path_factory.mktemp("questions") / "questions.json"
        path.write_text(json.dumps(questions))
        script = GOLDENS / "make_gene_mapping.py"
        done = subprocess.run(
            [upstream_python, script, "--ask", path], check=True, stdout=subprocess.PIPE
        )
        return json.loads(done.stdout)

    return ask


@pytest.fixture(scope="module")
def upstream_tables(ask):
    return dict(zip(SPECIES, ask([{"species": s} for s in SPECIES]), strict=True))


def stable(pairs):
    return {name: feature for name, feature in pairs.items() if name not in UNSTABLE_NAMES}


@pytest.mark.upstream
@pytest.mark.parametrize("species", ["mouse", "human"])
def test_upstream_tables(upstream_tables, species):
    assert stable(one_by_one(species)) == stable(upstream_tables[species])


@pytest.mark.upstream
def test_upstream_inputs(ask, upstream_tables):
    """All names at once, aliases alone, and aliases with official symbols before and after."""
    questions = []
    for species, table in upstream_tables.items():
        aliases = read_pairs(f"{species}_aliases.tsv")
        symbols = [name for name in table if name not in aliases and name not in UNSTABLE_NAMES]
        of_aliases = [name for name in symbols if table[name] in set(aliases.values())]
        assert len(of_aliases) == len(aliases)
        other = [f"Unknown{i}" for i in range(500)] + [f"LINC{i:05d}" for i in range(500)]
        questions += [
            {"species": species, "names": names}
            for names in (
                [*symbols, *aliases, *other],
                shuffled([*symbols, *aliases, *other], len(symbols)),
                [*aliases, *other],
                [*aliases, *of_aliases],
                [*of_aliases, *aliases],
                *([*aliases, *shuffled(of_aliases, len(aliases) // 2, seed)] for seed in range(20)),
            )
        ]
    for question, expected in zip(questions, ask(questions), strict=True):
        assert answers(question["names"], question["species"]) == expected


@pytest.mark.upstream
def test_upstream_datasets(ask):
    questions = []
    for folder in sorted(DATASETS.glob("*/")) if DATASETS.is_dir() else []:
        info = dict(
            line.split(maxsplit=1) for line in (folder / "info.txt").read_text().splitlines()
        )
        names = dict.fromkeys((folder / "genes.txt").read_text().splitlines())
        names = [name for name in names if name not in UNSTABLE_NAMES]
        questions.append({"species": info["species"].strip(), "names": names})
    if not questions:
        pytest.skip("no datasets in ../shared/data")
    for question, expected in zip(questions, ask(questions), strict=True):
        assert answers(question["names"], question["species"]) == expected


@pytest.mark.upstream
def test_shipped_tables_are_what_the_tool_builds(upstream_python, tmp_path):
    script = ROOT / "tools" / "build_gene_tables.py"
    subprocess.run([upstream_python, script, "--out", tmp_path], check=True)
    built = {path.name for path in tmp_path.iterdir()}
    assert built == {path.name for path in DATA.iterdir()} - {
        "official_models.tsv"
    }  # no gene table
    for name in built:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), name
