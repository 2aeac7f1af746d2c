"""The map of the package: which wing may import which, without circles and never upwards.

Every import counts: at the top of a module, in a function, and for type checkers alone. A name that
a wing hands on in its `__init__` counts as one of the module that it comes from.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cytotrace2_lite"

# From below: each wing, or module at the top, and what it may import besides itself. Everything
# may import `errors`, `text` and `_version`, which import nothing but each other.
TABLE = {
    "text": "",
    "_version": "",
    "errors": "text",
    "system": "",
    "base": "system",
    "counts": "base system",
    "genes": "base system",
    "stages": "counts base system",
    "read": "genes.dates counts base system",
    "models": "stages.preprocess stages.gene_sums genes counts base system",
    "models.fold": "models stages.preprocess genes base system",
    "models.install": "models.fold models base system",
    "metadata": "read base system",
    "output": "metadata models.info read genes base system",
    "checks": "metadata models genes counts base system",
    "plots": "output.scores metadata stages counts base system",
    "batch": "models.ensemble stages counts base system",
    "pipeline": (
        "batch checks output.scores output.report output.keys metadata.samples models.ensemble "
        "genes counts base system"
    ),
    "explanation": (
        "pipeline plots.drawing plots.notebook output.anndata output.scores output.table "
        "output.tables models.ensemble models.weights stages.preprocess genes counts base system"
    ),
    "report": "explanation.explanation plots output metadata read counts genes base system",
    "result": "report explanation.explanation plots output metadata read base system",
    "cluster": (
        "pipeline batch output.keys metadata.samples models.ensemble models.sealed models.info "
        "read genes counts base system"
    ),
    "job": (
        "result cluster pipeline checks output.report metadata models.ensemble read genes counts "
        "base system"
    ),
    "directory": "cluster explanation job result plots output metadata read counts base system",
    "cohort": "plots output read base system",
    "api": "cluster directory explanation job result plots output metadata models read base system",
    "cli": (
        "api cohort cluster directory report explanation result plots output metadata models "
        "models.install models.fold read base system"
    ),
    "tl": "api output.anndata read models.ensemble base",
    "pl": "plots output.anndata metadata read",
    # The public names.
    "": (
        "tl pl api explanation.explanation explanation.model_genes result output.comparison "
        "models.ensemble models.info base"
    ),
    "__main__": "cli",
}
EVERYWHERE = {"errors", "text", "_version"}

# A stage takes arrays and returns arrays: the pipeline puts them together.
STAGES = {
    "diffusion": {"gene_sums"},
    "components": {"_gram_kernels", "gram", "krylov", "standardised"},
    "gram": {"_gram_kernels", "standardised"},
    "standardised": {"_gram_kernels"},
}
NETWORK = {"ftplib", "http", "requests", "smtplib", "socket", "socketserver", "ssl", "urllib"}
MOST_LINES = 450
REASON = f"Longer than {MOST_LINES} lines because "
MOST_ROOMS = 31


def name_of(path):
    """Dotted name of a module, without that of the package: "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}


def imports_of(module):
    """Pairs of a module of the package and the name imported from it, or None for all of it."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: write the whole name of what is imported"
            package, _, source = node.module.partition(".")
            if package == PACKAGE.name:
                for item in node.names:
                    inner = f"{source}.{item.name}".strip(".")
                    yield (inner, None) if inner in FILES else (source, item.name)
        elif isinstance(node, ast.Import):
            for item in node.names:
                package, _, source = item.name.partition(".")
                if package == PACKAGE.name:
                    yield source, None


def origin(module, name):
    """Module from which a name comes that the `__init__` of a wing hands on."""
    if FILES[module].name == "__init__.py":
        for source, inner in imports_of(module):
            if name == inner or (inner is None and name == source.rpartition(".")[2]):
                return source
    return module


def wing_of(module):
    """Longest name of the table that the module belongs to."""
    parts = module.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next(name for name in names if name in TABLE)


def allowed(module, source):
    wing, other = wing_of(module), wing_of(source)
    if other == wing or other in EVERYWHERE:
        return True
    return any(
        wing_of(entry) == other and (source == entry or source.startswith(f"{entry}."))
        for entry in TABLE[wing].split()
    )


def test_the_table_goes_down():
    names = list(TABLE)
    for place, wing in enumerate(names):
        for entry in TABLE[wing].split():
            assert names.index(wing_of(entry)) < place, (wing, entry)
            assert entry in FILES, f"{wing}: there is no {entry}"


def test_the_table_is_whole():
    top = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py"} - {"__init__"}
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert {name for name in TABLE if "." not in name} == top | folders | {""}


def test_a_wing_imports_what_it_may():
    wrong = {
        f"{module or '__init__'} -> {found}"
        for module in FILES
        for found in (origin(source, name) for source, name in imports_of(module))
        if not allowed(module, found)
    }
    assert wrong == set()


def test_no_circle():
    graph = {
        module: {source for source, _ in imports_of(module) if source != module} for module in FILES
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(name or "__init__" for name in error.args[1]))


def test_what_is_private_to_a_folder_stays_there():
    """`_x.py` is for the modules beside it."""
    wrong = {
        f"{module or '__init__'} -> {source}"
        for module, path in FILES.items()
        for source, _ in imports_of(module)
        if source.rpartition(".")[2].startswith("_")
        and source != "_version"
        and FILES[source].parent not in path.parents
    }
    assert wrong == set()


def test_stages_know_nothing_of_each_other():
    wrong = {
        f"{module} -> {source}"
        for module in FILES
        if module.startswith("stages.")
        for source, _ in imports_of(module)
        if source.startswith("stages")
        and source.removeprefix("stages.")
        not in {"preprocess"} | STAGES.get(module.removeprefix("stages."), set())
    }
    assert wrong == set()


def test_one_module_reaches_the_network():
    found = {
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [i.name for i in node.names]
        )
        # urllib.parse opens nothing.
        if name.partition(".")[0] in NETWORK and name != "urllib.parse"
    }
    assert found == {"models.install.download"}


def test_few_rooms_at_the_top():
    rooms = [path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len(rooms) <= MOST_ROOMS, sorted(rooms)


def test_files_are_short_or_say_why_not():
    wrong = {
        f"{module}: {n_lines} lines"
        for module, path in FILES.items()
        if (n_lines := path.read_text().count("\n")) > MOST_LINES
        and REASON not in (ast.get_docstring(TREES[module]) or "").replace("\n", " ")
    }
    assert wrong == set()


if __name__ == "__main__":  # draws the map from the code, from above
    for wing in reversed(TABLE):
        used = {
            wing_of(origin(source, name))
            for module in FILES
            if wing_of(module) == wing
            for source, name in imports_of(module)
        } - {wing}
        print(f"{wing or '__init__':14} -> {' '.join(n for n in TABLE if n in used)}")
