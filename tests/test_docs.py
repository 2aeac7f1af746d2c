"""The documentation: its examples run as written, and its tables and references are complete."""

import hashlib
import inspect
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from benchmarks import cluster_model, table
from helpers.r import require_r
from test_architecture import TABLE

import cytotrace2_lite as ct2
from cytotrace2_lite.cli.group import cli
from cytotrace2_lite.output.tables import COLUMNS, EXTRA_COLUMNS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SITE = ("mkdocs", "mkdocs_click", "mkdocs_jupyter", "material", "mkdocstrings")

# Of cytotrace2-py 1.1.0.4: its command line, and the arguments of its function.
UPSTREAM = {
    "input_path": "-f",
    "annotation_path": "-a",
    "species": "-sp",
    "batch_size": "-bs",
    "smooth_batch_size": "-sbs",
    "disable_parallelization": "-dpa",
    "max_cores": "-mc",
    "seed": "-r",
    "output_dir": "-o",
    "disable_plotting": "-dpl",
    "disable_verbose": "-dv",
}

needs_plots = pytest.mark.skipif(
    find_spec("matplotlib") is None or find_spec("scranpy") is find_spec("umap") is None,
    reason="the extra plot is not installed",
)


def blocks(page, language):
    """Code blocks of a page, in order."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL
    )


@pytest.fixture
def checkout(tmp_path):
    """Function that runs a command in a folder that looks like a checkout, with ct2-lite."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/data").symlink_to(ROOT / "tests/data")
    program = tmp_path / "bin/ct2-lite"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cytotrace2_lite "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "agg",
        "CT2_LITE_MODELS_DIR": str(tmp_path / "models"),
    }

    def run(*command):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    run.directory = tmp_path
    return run


def run_python(checkout, page):
    script = checkout.directory / "page.py"
    script.write_text("\n".join(blocks(page, "python")))
    assert script.stat().st_size
    return checkout(sys.executable, script.name)


def run_commands(checkout, page):
    commands = [
        line
        for block in blocks(page, "bash")
        for line in block.splitlines()
        if not line.startswith(("pip install", "python3 -m venv"))
    ]
    assert any(command.startswith("ct2-lite run") for command in commands)
    checkout("bash", "-euo", "pipefail", "-c", "\n".join(commands))


@needs_plots
def test_the_tutorial_runs_and_makes_what_it_says(checkout):
    pytest.importorskip("pandas")
    run_commands(checkout, "tutorial.md")
    named = set(re.findall(r"`(cytotrace2_results/[\w.]+)`", (DOCS / "tutorial.md").read_text()))
    assert len(named) == 10
    assert [name for name in sorted(named) if not (checkout.directory / name).is_file()] == []
    run_python(checkout, "tutorial.md")


@needs_plots
def test_the_page_on_genes_runs(checkout):
    pytest.importorskip("pandas")
    for block in blocks("genes.md", "bash"):
        checkout("bash", "-euo", "pipefail", "-c", block)
    run_python(checkout, "genes.md")
    named = set(re.findall(r"`(cytotrace2_\w+\.(?:tsv|png))`", (DOCS / "genes.md").read_text()))
    written = {path.name for path in (checkout.directory / "marrow").iterdir()}
    assert named - written == {"cytotrace2_enrichment.tsv"}
    digest = hashlib.sha256((ROOT / "models/open.onnx").read_bytes()).hexdigest()
    text = (DOCS / "genes.md").read_text()
    assert f"SHA-256 {digest[:12]}\n" in text, "run docs/make_pictures.py"


def test_the_notebook_on_genes_was_executed():
    document = json.loads((DOCS / "genes-notebook.ipynb").read_text())
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    outputs = [output for cell in code for output in cell["outputs"]]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    assert not any(output["output_type"] == "error" for output in outputs)
    assert (DOCS / "genes-notebook.ipynb").stat().st_size < 400_000


def test_every_dependency_and_its_licence_is_listed():
    text = (ROOT / "pyproject.toml").read_text()
    lists = ("dependencies", "plot", "h5ad", "export", "report", "zarr", "dask", "enrich")
    page = (DOCS / "dependencies.md").read_text()
    for name in lists:
        (found,) = re.findall(rf"^{name} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
        for requirement in re.findall(r'"([a-z0-9-]+)>=', found):
            if requirement != "umap-learn":  # where there is no scranpy
                assert re.search(rf"^\| {requirement} \| [^|]+ \| [^|]+ \|", page, re.MULTILINE)


def test_the_page_for_tool_authors_runs(checkout):
    (code,) = blocks("tool-authors.md", "python")
    code += """
import numpy as np
import cytotrace2_lite.genes

counts = np.random.default_rng(0).poisson(2, (150, 2000))
features = cytotrace2_lite.genes.features()[:2000]
scores, doubts = potency(counts, features, [f"c{i}" for i in range(150)], "mouse")
print(len(scores), len(doubts))
"""
    script = checkout.directory / "page.py"
    script.write_text(code)
    assert checkout(sys.executable, script.name).startswith("150 ")


@pytest.mark.parametrize("page", ["index.md", "running.md"])
def test_the_commands_of_a_page_run(page, checkout):
    run_commands(checkout, page)


@needs_plots
def test_the_commands_of_the_page_on_seurat_run(checkout):
    run_commands(checkout, "seurat.md")
    run_python(checkout, "seurat.md")
    for name in ("potency_score_UMAP", "potency_score_by_phenotype"):
        assert (checkout.directory / f"from_r/cytotrace2_{name}.png").is_file()


def test_the_r_of_the_page_on_seurat_runs(checkout):
    require_r("Matrix", "SeuratObject", "SingleCellExperiment")
    script = checkout.directory / "page.R"
    script.write_text("\n".join(blocks("seurat.md", "r")))
    said = checkout("Rscript", "--vanilla", script.name)
    assert said.count("Model: open") == 4
    assert (checkout.directory / "scored/run.json").is_file()
    found = checkout("ct2-lite", "check", "object.rds", "-a", "CytoTRACE2_Potency")
    assert "read as rds (gzip), RNA/counts" in found
    arguments = re.findall(r"^\| `.*", (DOCS / "seurat.md").read_text(), re.MULTILINE)
    documented = {name for line in arguments for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    code = (ROOT / "cytotrace2_lite/data/cytotrace2_lite.R").read_text()
    signature = code.rpartition("  function(object")[2].partition("{\n")[0]
    assert documented == {"object", *re.findall(r"(\w+) = ", signature)}


@needs_plots
def test_the_python_of_the_reference_runs(checkout):
    pytest.importorskip("pandas")
    run_python(checkout, "api.md")


@needs_plots
@pytest.mark.skipif(find_spec("anndata") is None, reason="anndata is not installed")
def test_the_page_on_scanpy_runs_until_it_needs_scanpy(checkout):
    """What needs only anndata; the test below runs the whole page."""
    code = "\n".join(blocks("anndata.md", "python")).partition("import scanpy as sc\n")[0]
    assert code.count("ct2.") > 6
    script = checkout.directory / "page.py"
    script.write_text(code)
    said = checkout(sys.executable, "-W", "error::UserWarning:anndata", script.name)
    assert "ImplicitModificationWarning" not in said
    assert "CytoTRACE2_Pseudotime" in said
    assert (checkout.directory / "by_cluster.png").stat().st_size > 10_000
    assert (checkout.directory / "scored.h5ad").is_file()


@pytest.mark.parametrize("lazy", [False, True])
def test_the_page_on_zarr_runs(checkout, lazy):
    """Whole where there are Dask and a new anndata; else what needs neither."""
    pytest.importorskip("zarr")
    anndata = pytest.importorskip("anndata")
    parts = blocks("zarr.md", "python")
    if lazy:
        for name in ("dask", "xarray"):
            pytest.importorskip(name)
        if not hasattr(anndata.experimental, "read_lazy"):
            pytest.skip("this anndata has no read_lazy")
    else:
        parts = parts[:2]
    script = checkout.directory / "page.py"
    script.write_text("\n".join(parts))
    checkout(sys.executable, script.name)
    run_commands(checkout, "zarr.md")
    report = json.loads((checkout.directory / "cytotrace2_results/run.json").read_text())
    assert report["input"]["format"] == "zarr"


@pytest.mark.scverse
def test_the_analysis_with_scanpy_and_cellrank_runs(checkout):
    for name in ("scanpy", "cellrank"):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    said = run_python(checkout, "anndata.md")
    assert "CytoTRACE2_Pseudotime" in said
    assert (checkout.directory / "score.png").stat().st_size > 10_000
    assert (checkout.directory / "scored.h5ad").is_file()


@needs_plots
@pytest.mark.skipif(find_spec("nbclient") is None, reason="the extra docs is not installed")
def test_the_notebook_runs(checkout):
    notebook = DOCS / "tutorial-notebook.ipynb"
    document = json.loads(notebook.read_text())
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    copy = checkout.directory / notebook.name
    copy.write_text(notebook.read_text())
    # In a process of its own: Jupyter's warnings are not ours.
    checkout(sys.executable, "-m", "jupyter", "execute", "--inplace", str(copy))
    executed = json.loads(copy.read_text())
    outputs = [output for cell in executed["cells"] for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2


def test_moving_names_every_option_and_argument_of_upstream():
    text = re.sub(
        r"^```.*?^```", "", (DOCS / "moving.md").read_text(), flags=re.MULTILINE | re.DOTALL
    )
    named = set(re.findall(r"`([^`]+)`", text))
    options = {param.opts[-1]: param.opts for param in cli.commands["run"].params}
    for argument, short in UPSTREAM.items():
        long = f"--{argument.replace('_', '-')}"
        assert {argument, short, long} <= named
        # That page says that they are options here, too.
        assert options[long] == [short, long]
    assert list(inspect.signature(ct2.cytotrace2).parameters) == list(UPSTREAM)


def test_formats_names_every_column():
    text = (DOCS / "formats.md").read_text()
    probabilities = [name for name in EXTRA_COLUMNS if "Probability" in name]
    for name in {*COLUMNS, *EXTRA_COLUMNS} - set(probabilities[1:-1]):
        assert f"`{name}`" in text


def test_reference_has_every_public_name():
    named = re.findall(r"^::: cytotrace2_lite\.(\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(set(ct2.__all__) - {"__version__"})


def test_options_in_the_documentation_exist():
    known = {"-h", "--help"}

    def collect(command):
        known.update(name for param in command.params for name in param.opts)
        for child in getattr(command, "commands", {}).values():
            collect(child)

    collect(cli)
    pages = [*DOCS.glob("*.md"), ROOT / "README.md"]
    for page in pages:
        for line in page.read_text().splitlines():
            if "ct2-lite" in line and "`" not in line.partition("ct2-lite")[0]:
                for name in re.findall(r"(?<=\s)--?[a-z][\w-]*", line.partition("ct2-lite")[2]):
                    assert name in known, f"{page.name}: {line}"


def test_files_named_in_the_documentation_exist():
    pages = [*DOCS.glob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("*/README.md")]
    for page in pages:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for path in re.findall(r"`((?:tests|docs|tools|cytotrace2_lite)/[\w./-]+)`", text):
            assert "NAME" in path or (ROOT / path).exists(), f"{page.name}: {path}"


def test_design_names_modules_and_constants_that_exist():
    package = ROOT / "cytotrace2_lite"
    text = (DOCS / "design.md").read_text()
    paths = set(re.findall(r"`((?:[a-z]\w*/)+(?:[a-z_]+\.py)?)`", text))
    assert len(paths) > 30
    assert [
        name for name in sorted(paths) if not any((r / name).exists() for r in (ROOT, package))
    ] == []
    n_constants = 0
    for line in text.splitlines():
        files = [package / path for path in re.findall(r"`((?:\w+/)+[a-z_]+\.py)`", line)]
        if files and line.startswith("|"):
            files += [files[0].parent / name for name in re.findall(r"`([a-z_]+\.py)`", line)]
            source = "".join(path.read_text() for path in files if path.exists())
            for name in re.findall(r"`(_?[A-Z][A-Z_0-9]{3,})\b", line):
                assert re.search(rf"\b{name}", source), name
                n_constants += 1
    assert n_constants > 10


def test_design_shows_the_map_that_is_tested():
    rows = re.findall(
        r"^\| `([\w/]+)` \| .* \| (.*) \|$", (DOCS / "design.md").read_text(), re.MULTILINE
    )
    shown = {
        name.strip("/").replace("/", "."): set(re.findall(r"[\w.]+", may)) for name, may in rows
    }
    for wing in TABLE.keys() - {"", "__main__", "errors", "text", "_version"}:
        assert shown[wing] == set(TABLE[wing].split()), wing


def test_links_in_the_readme_lead_somewhere():
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_tutorial_shows_the_bundled_model():
    digest = hashlib.sha256((ROOT / "models/open.onnx").read_bytes()).hexdigest()
    text = (DOCS / "tutorial.md").read_text()
    assert f"SHA-256 {digest[:12]}\n" in text, "run docs/make_pictures.py"


def test_benchmarks_are_as_recorded():
    texts = [page.read_text() for page in table.PAGES]
    assert sum(text.count("<!-- speed ") for text in texts) == 4
    assert table.filled(texts) == texts, "run tests/benchmarks/table.py"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"numpy": "3.0"}, "runs of {} are of several machines or versions (numpy: "),
        ({"machine": "0123abcd"}, "runs of {} are of several machines or versions (machine: "),
        ({"revision": "0000000"}, "there are no runs of 1111111 for the table readme."),
    ],
)
def test_a_table_of_benchmarks_is_of_one_machine(change, text, tmp_path, monkeypatch):
    lines = table.UPSTREAM_RUNS.read_text().splitlines()
    last = json.loads(lines[-1])
    lines.append(json.dumps(last | change))
    (tmp_path / "upstream.jsonl").write_text("\n".join(lines))
    monkeypatch.setattr(table, "UPSTREAM_RUNS", tmp_path / "upstream.jsonl")
    revision = "1111111" if "revision" in change else last["revision"]
    with pytest.raises(SystemExit, match=re.escape(text.format(revision))):
        table.filled(["<!-- speed readme x -->\n\n<!-- end -->"], revision)


def test_the_model_of_a_cluster_finds_its_constants():
    expected = cluster_model.Model(3.0, 4e-5, 2e-3, 2.5, 1.5e-3, 8_000.0)
    records = [
        {
            "n_cells": n_cells,
            "n_workers": n_workers,
            "starting_cpu_s": 3 + 4e-5 * n_cells + 2e-3 * cluster_model.tasks_of(n_cells),
            "lite": {"cpu_s": cluster_model.processor_time(expected, n_cells, n_workers)},
            "cluster": {
                "n_workers": n_workers,
                "bytes_between_workers": 8_000 * n_cells * (1 - 1 / n_workers),
            },
        }
        for n_cells in (10_000, 30_000, 300_000)
        for n_workers in (1, 2, 4)
    ]
    assert cluster_model.fitted(records) == pytest.approx(expected)


def test_pictures_are_small():
    pictures = list((DOCS / "pictures").glob("*.png"))
    assert len(pictures) == 9
    sizes = [picture.stat().st_size for picture in pictures]
    assert max(sizes) < 60_000
    assert sum(sizes) < 300_000


@pytest.mark.skipif(
    any(find_spec(name) is None for name in SITE), reason="the extra docs is not installed"
)
def test_the_site_has_every_command_and_option(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sections = re.split(r'<h\d id="', (tmp_path / "cli/index.html").read_text())
    text = {section.partition('"')[0]: section for section in sections}

    def check(command, title):
        for param in command.params:
            if isinstance(param, click.Option):
                assert re.search(rf"{param.opts[-1]}\b", text[title]), (title, param.opts)
        for name, child in getattr(command, "commands", {}).items():
            check(child, f"{title}-{name}")

    check(cli, "ct2-lite")
    reference = (tmp_path / "api/index.html").read_text()
    for name in set(ct2.__all__) - {"__version__"}:
        assert f'id="cytotrace2_lite.{name}"' in reference, name
