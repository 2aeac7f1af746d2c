"""The recipes of tools/recipes: each scores the example table, with the bytes that `run` writes.

`pytest -m recipes` runs those whose tool is on the PATH; docs/pipelines.md names the tools.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from cytotrace2_lite._version import RELEASE

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "tools/recipes"
EXAMPLE = ROOT / "tests/data/enteric_300.txt.gz"
CONDA_NAMES = {"matplotlib": "matplotlib-base"}
OF_EXTRAS = ("matplotlib", "umap", "h5py", "onnx", "bokeh", "zarr", "distributed", "gseapy")
EXTRAS = ("plot", "h5ad", "export", "report", "zarr", "dask", "enrich")


def dependencies(name):
    """Give the lines of a list of pyproject.toml, without markers."""
    text = (ROOT / "pyproject.toml").read_text()
    (found,) = re.findall(rf"^{name} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
    return {words.partition(";")[0] for words in re.findall(r'"([A-Za-z][^"]*)"', found)}


def test_all_recipes_are_of_this_release():
    named = {
        "conda/recipe.yaml": 'default="{}"',
        "cwl/cytotrace2-lite.cwl": 'version: ["{}"]',
        "galaxy/cytotrace2_lite.xml": '<token name="@TOOL_VERSION@">{}</token>',
        "nf-core/modules/nf-core/cytotrace2lite/environment.yml": "cytotrace2-lite={}",
        "nf-core/modules/nf-core/cytotrace2lite/main.nf": 'container "cytotrace2-lite:{}"',
        "snakemake/environment.yaml": "cytotrace2-lite ={}",
    }
    for name, words in named.items():
        assert words.format(RELEASE) in (RECIPES / name).read_text(), name


def test_conda_has_the_dependencies_of_the_package():
    text = (RECIPES / "conda/recipe.yaml").read_text()
    in_recipe = set(re.findall(r"^ {8}- ([a-z0-9-]+ >=[\d.]+)$", text, re.MULTILINE))
    expected = {"python >=3.10", "hatchling >=1.26", "hatch-vcs >=0.4"}
    for name in ("dependencies", *EXTRAS):
        for requirement in dependencies(name):
            library, version = requirement.split(">=")
            if library != "scranpy":  # not on conda-forge; umap-learn does its work
                expected.add(f"{CONDA_NAMES.get(library, library)} >={version}")
    assert in_recipe == expected
    assert set(re.findall(r"name: cytotrace2-lite-(\w+)$", text, re.MULTILINE)) == set(EXTRAS)


@pytest.fixture
def environment(tmp_path):
    """Environment in which `ct2-lite` and `python` are those of the tests."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, arguments in (("ct2-lite", "-m cytotrace2_lite "), ("python", "")):
        program = folder / name
        program.write_text(
            f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" {arguments}"$@"\n'
        )
        program.chmod(0o755)
    inherited = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")}
    return inherited | {"PATH": f"{folder}:{os.environ['PATH']}", "MPLBACKEND": "agg"}


@pytest.fixture
def run(tmp_path, environment):
    """Function that runs a command in an empty folder, and gives its output."""

    def run(*command, fails=False):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) == fails, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    return run


@pytest.fixture
def expected(run, tmp_path):
    """SHA-256 of the results that the command itself writes."""
    run("ct2-lite", "run", str(EXAMPLE), "-o", "expected", "-dpl", "-q")
    return hashlib.sha256((tmp_path / "expected/cytotrace2_results.txt").read_bytes()).hexdigest()


def digest(run, folder, *prefix):
    """SHA-256 of the results, which is that of their record."""
    return run("python", str(RECIPES / "check_digest.py"), folder, *prefix).split()[0]


def require(program):
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not on the PATH")
    return path


def setting(name, what):
    value = os.environ.get(name)
    if value is None:
        pytest.skip(f"{name} names no {what}")
    return value


@pytest.mark.recipes
def test_a_changed_result_is_noticed(run, tmp_path, expected):
    assert digest(run, "expected") == expected
    with (tmp_path / "expected/cytotrace2_results.txt").open("a") as file:
        file.write("\n")
    assert "in its record" in run(
        "python", str(RECIPES / "check_digest.py"), "expected", fails=True
    )


@pytest.mark.recipes
def test_cwl(run, expected):
    cwltool = require("cwltool")
    tool = str(RECIPES / "cwl/cytotrace2-lite.cwl")
    assert "is valid CWL" in run(cwltool, "--validate", "--strict", tool)
    run(cwltool, "--no-container", "--outdir", "out", tool, str(RECIPES / "cwl/example.yml"))
    assert digest(run, "out", "gut") == expected


@pytest.mark.recipes
def test_snakemake(run, expected):
    snakemake = require("snakemake")
    file = str(RECIPES / "snakemake/Snakefile")
    assert "in a good condition" in run(snakemake, "--lint", "-s", file)
    run(snakemake, "--cores", "2", "-s", file)
    assert digest(run, "cytotrace2", "gut") == expected


def render_conda(rattler_build):
    recipe = rattler_build.Stage0Recipe.from_file(str(RECIPES / "conda/recipe.yaml"))
    return recipe.to_dict(), recipe.render(rattler_build.VariantConfig())


@pytest.mark.recipes
def test_conda(run, tmp_path, expected):
    """The recipe is valid, and the commands of its tests pass."""
    rattler_build = pytest.importorskip("rattler_build")
    recipe, rendered = render_conda(rattler_build)
    assert {str(variant.recipe.package.version) for variant in rendered} == {RELEASE}
    assert len(rendered) == len(recipe["outputs"]) == 1 + len(EXTRAS)
    scripts = [test for output in recipe["outputs"] for test in output["tests"] if "script" in test]
    assert len(scripts) == 6
    for test in scripts:
        for name in test["files"]["source"]:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
        script = test["script"]
        lines = script if isinstance(script, list) else script["content"]
        run("bash", "-ec", "\n".join(lines))
        if "check_digest" in str(lines):
            assert digest(run, "cytotrace2_results") == expected


@pytest.mark.recipes
@pytest.mark.skipif(sysconfig.get_platform() != "linux-x86_64", reason="packs for linux-64")
def test_conda_packages_are_built(run, tmp_path, expected):
    """rattler-build builds and tests the packages, of a channel made of what is installed."""
    for library in ("rattler_build", "hatchling", "hatch_vcs", *OF_EXTRAS):
        pytest.importorskip(library)
    out = run("python", str(RECIPES / "try_conda.py"), "conda")
    assert len(list((tmp_path / "conda/packages/noarch").glob("*.conda"))) == 1 + len(EXTRAS)
    assert out.count("all tests passed!") == 1 + len(EXTRAS)
    assert f"{expected}  cytotrace2_results.txt" in out


# Runs with the Python of planemo: it has the language of Galaxy's commands.
RENDER = """
import json, sys
from xml.etree import ElementTree
from Cheetah.Template import Template
command = ElementTree.parse(sys.argv[1]).find("command").text
print(Template(command, searchList=[json.loads(sys.argv[2])]))
"""


@pytest.mark.recipes
def test_galaxy(run, tmp_path, expected):
    planemo = require("planemo")
    tool = str(RECIPES / "galaxy/cytotrace2_lite.xml")
    assert "WARNING" not in run(planemo, "lint", tool)
    python = str(Path(planemo).resolve().parent / "python")
    values = dict.fromkeys(("annotation", "batch_key", "extra_columns", "strict", "plots"), "")
    values |= {"expression": str(EXAMPLE), "species": "mouse"}
    command = run(python, "-c", RENDER, tool, json.dumps(values))
    run("bash", "-ec", " ".join(command.replace("\\$", "$").split()))
    assert digest(run, "out") == expected
    values |= {
        "annotation": str(EXAMPLE.with_name("enteric_300_annotation.txt")),
        "batch_key": "label",
        "plots": "yes",
        "extra_columns": "--extra-columns",
    }
    command = run(python, "-c", RENDER, tool, json.dumps(values))
    run("bash", "-ec", " ".join(command.replace("\\$", "$").split()))
    assert len(list((tmp_path / "out").glob("*.png"))) >= 5


@pytest.mark.recipes
def test_galaxy_runs_its_tests(run, tmp_path, expected):
    """The tests of the wrapper pass in a Galaxy; the example's results are those of the command."""
    require("planemo")
    galaxy = setting("CT2_LITE_GALAXY", "environment with galaxy-web-apps")
    out = run(str(RECIPES / "galaxy/try.sh"), galaxy, "galaxy")
    assert "All 4 test(s) executed passed." in out
    files = (path for path in tmp_path.glob("galaxy/files/**/*.dat"))
    assert expected in {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def groovy(part, values):
    """Give the commands of a part of main.nf, as Nextflow would write them."""
    text = (RECIPES / "nf-core/modules/nf-core/cytotrace2lite/main.nf").read_text()
    commands = text.partition(f"    {part}:\n")[2].split('"""')[1].replace("\\\\\n", "\\\n")

    def value(match):
        return values[match[1]]

    commands = re.sub(r"(?<!\\)\$\{([\w.()]+)\}", value, commands)
    return re.sub(r"^ {4}", "", commands, flags=re.MULTILINE).replace("\\$", "$")


@pytest.mark.recipes
@pytest.mark.parametrize("part", ["script", "stub"])
def test_nf_core(part, run, tmp_path, expected):
    """The commands of the module. Nextflow was not to be had (docs/pipelines.md)."""
    values = {
        "expression": str(EXAMPLE),
        "species": "mouse",
        "prefix": "gut",
        "task.cpus": "2",
        "task.memory.toMega()": "2048",
        "with_model": "",
        "args": "--disable-plotting",
        "task.process": "CYTOTRACE2LITE",
    }
    run("bash", "-euo", "pipefail", "-c", groovy(part, values))
    if part == "script":
        assert digest(run, ".", "gut") == expected
        assert (tmp_path / "gut_cytotrace2_general_stats_mqc.json").stat().st_size
    else:
        assert (tmp_path / "gut_run.json").read_bytes() == b""
    assert re.fullmatch(
        r'"CYTOTRACE2LITE":\n    cytotrace2-lite: [\w.+]+\n',
        (tmp_path / "versions.yml").read_text(),
    )


@pytest.mark.recipes
def test_container(run, tmp_path, expected):
    """The image is built, and runs on a machine where it may do nothing."""
    require("buildah")
    base = setting("CT2_LITE_BASE_IMAGE", "image with Python")
    options = os.environ.get("CT2_LITE_BUILD_OPTIONS", "").split()
    run("python", "-m", "pip", "wheel", "-q", "--no-deps", "-w", "dist", str(ROOT))
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    out = run(str(RECIPES / "container/try.sh"), str(wheel), base, *options)
    assert expected in out
