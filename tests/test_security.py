"""No command uses the network, no input is executed, and a model open to all is warned of."""

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.counts import random_counts

import cytotrace2_lite as ct2
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.genes import features
from cytotrace2_lite.models.catalog import open_to_all
from cytotrace2_lite.output.tables import COLUMNS

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests/data"
PACKAGE = ROOT / "cytotrace2_lite"
pytestmark = pytest.mark.filterwarnings("ignore::cytotrace2_lite.errors.CytoTRACE2Warning")


@pytest.fixture(scope="module")
def strace():
    """Start of a command line that logs the network calls of a program."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    words = ["strace", "-f", "-qq", "-e", "trace=%network", "-e", "signal=none"]
    probe = subprocess.run([*words, "true"], check=False, capture_output=True, text=True)
    if probe.returncode != 0:
        pytest.skip(f"strace may not trace: {probe.stderr.strip()}")
    return words


def network_calls(strace, tmp_path, *words):
    log = tmp_path / "strace.txt"
    environment = dict(os.environ)
    # The package itself must keep onnxruntime from the network.
    del environment["ORT_DISABLE_TELEMETRY"]
    process = subprocess.run(
        [*strace, "-o", log, sys.executable, *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    # sendfile also copies files. For the network it would need a socket, which is another call.
    return process, [line for line in log.read_text().splitlines() if " sendfile(" not in line]


class TestNetwork:
    def test_it_would_be_seen(self, strace, tmp_path):
        code = "import socket; socket.socket().close()"
        assert len(network_calls(strace, tmp_path, "-c", code)[1]) == 1

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            ("run {data}/enteric_300.txt.gz -o out -dpl", 0),
            pytest.param("run {data}/enteric_300.txt.gz -o out", 0, marks=pytest.mark.slow),
            ("run {data}/anndata_0.12.19.h5ad -o out -dpl --write-h5ad copy.h5ad", 0),
            ("check {data}/enteric_300.txt.gz", 0),
            ("check", 0),
            ("compare {tmp}/a.txt {tmp}/a.txt", 0),
            ("models list", 0),
            ("models verify", 0),
            ("run none.txt", 3),
            ("run {data}/enteric_300.txt.gz -m cytotrace2-1.1", 5),
        ],
        ids=lambda value: value.split("{")[0].strip() if isinstance(value, str) else "",
    )
    def test_commands_make_no_call(self, strace, tmp_path, monkeypatch, command, code):
        monkeypatch.chdir(tmp_path)
        head = "\t".join(["", *COLUMNS])
        row = "c1\t0.5\tMultipotent\t0.0\t0.5\tMultipotent"
        (tmp_path / "a.txt").write_text(f"{head}\n{row}\n")
        words = command.format(data=DATA, tmp=tmp_path).split()
        process, calls = network_calls(strace, tmp_path, "-m", "cytotrace2_lite", *words)
        assert process.returncode == code, process.stderr
        assert calls == []

    def test_python_interface_opens_no_socket(self, ensembles, monkeypatch):
        def refuse(*_, **__):
            raise AssertionError("a socket was opened")

        monkeypatch.setattr(socket, "socket", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        ct2.run(random_counts(5, 60), genes=features(), model=ensembles["1.1.0"])

    def test_telemetry_of_onnxruntime_is_off(self, model_files):
        code = (
            "import os, sys\n"
            "import cytotrace2_lite as ct2\n"
            "ct2.Ensemble.load(sys.argv[1])\n"
            "print(os.environ['ORT_DISABLE_TELEMETRY'])\n"
        )
        environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
        words = [sys.executable, "-c", code, str(model_files["1.1.0"])]
        assert subprocess.check_output(words, env=environment, text=True) == "1\n"


# What runs text as code, loads objects that run code, or starts other programs.
FORBIDDEN_MODULES = {
    *("pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "code"),
    *("codeop", "subprocess", "pty", "popen2", "commands", "ctypes", "cffi", "runpy", "torch"),
    *("yaml", "xml", "multiprocessing", "asyncio"),
}
NETWORK_MODULES = {
    "socket",
    "ssl",
    "http",
    "urllib",
    "ftplib",
    "smtplib",
    "requests",
    "socketserver",
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
FORBIDDEN_OF_OS = re.compile(r"system|popen|spawn\w*|exec\w*|posix_spawn\w*|fork\w*|startfile")


def modules():
    return [(path, ast.parse(path.read_text())) for path in sorted(PACKAGE.rglob("*.py"))]


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


class TestCode:
    def test_nothing_read_is_executed(self):
        found = []
        for path, tree in modules():
            found += [
                (path.name, name)
                for name in imported(tree)
                if name.partition(".")[0] in FORBIDDEN_MODULES
                # For one call of the C library, with a number: malloc_trim(0). For functions that
                # are compiled from constants. And to see whether a Dask array can be sent:
                # nothing is unpickled.
                and (path.name, name)
                not in {
                    ("machine.py", "ctypes"),
                    ("compiler.py", "ctypes"),
                    ("reading.py", "cloudpickle"),
                }
            ]
            for node in ast.walk(tree):
                if not isinstance(node, ast.Call):
                    continue
                function = node.func
                if isinstance(function, ast.Name) and function.id in FORBIDDEN_CALLS:
                    found.append((path.name, function.id))
                if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                    owner, name = function.value.id, function.attr
                    if owner == "os" and FORBIDDEN_OF_OS.fullmatch(name):
                        found.append((path.name, f"os.{name}"))
                    if owner in {"np", "numpy"} and name in {"load", "fromregex"}:
                        found.append((path.name, f"numpy.{name}"))
                dangerous = {"shell", "allow_pickle"} & {keyword.arg for keyword in node.keywords}
                found += [(path.name, name) for name in dangerous]
        assert found == []

    def test_names_of_modules_are_not_data(self):
        """`import_module` gets a constant, or an entry of a table in the code."""
        calls = [
            (path.name, ast.unparse(node.args[0]))
            for path, tree in modules()
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module")
        ]
        assert sorted(calls) == [
            ("__init__.py", "f\"{__name__}.{_MODULES.get(name, 'errors')}\""),
            ("__init__.py", "f'{__name__}.{name}'"),
            ("_version.py", "'cytotrace2_lite._build'"),
            ("ahead.py", "name"),  # of two tables there
            ("sources.py", "'onnx'"),
        ]

    def test_only_one_module_can_reach_the_network(self):
        found = {
            (path.relative_to(PACKAGE).as_posix(), name)
            for path, tree in modules()
            for name in imported(tree)
            if name.partition(".")[0] in NETWORK_MODULES
        }
        # urllib.parse opens nothing.
        others = {path for path, name in found if name != "urllib.parse"}
        assert others == {"models/install/download.py"}
        assert {path for path, _ in found} == others

    def test_only_installing_imports_it(self):
        assert users("cytotrace2_lite.models.install.download") == {"models/install/sources.py"}
        assert users("cytotrace2_lite.models.install.sources") == {"cli/models.py"}
        assert users("cytotrace2_lite.models.install.install") == {"cli/models.py"}


def users(module):
    """Files of the package that import a module, or a name from it."""
    package, _, name = module.rpartition(".")
    return {
        path.relative_to(PACKAGE).as_posix()
        for path, tree in modules()
        for node in ast.walk(tree)
        if (
            (isinstance(node, ast.ImportFrom) and node.module == module)
            or (isinstance(node, ast.Import) and any(item.name == module for item in node.names))
            or (
                isinstance(node, ast.ImportFrom)
                and node.module == package
                and any(item.name == name for item in node.names)
            )
        )
    }


needs_permissions = pytest.mark.skipif(sys.platform == "win32", reason="permissions of Unix")


@needs_permissions
class TestModelOpenToAll:
    @pytest.fixture
    def home(self, tmp_path, model_files, monkeypatch):
        """Models folder with one model, in a directory that only the user may write."""
        home = tmp_path / "data/models"
        home.mkdir(parents=True)
        shutil.copy(model_files["1.1.0"], home / "lab.onnx")
        monkeypatch.setenv("CT2_LITE_MODELS_DIR", str(home))
        return home

    @pytest.mark.parametrize(
        ("place", "mode", "is_open"),
        [
            ("lab.onnx", 0o644, False),
            ("lab.onnx", 0o664, False),  # who is in a group was chosen
            ("lab.onnx", 0o646, True),
            (".", 0o757, True),
            (".", 0o1777, True),  # a file could be added
            ("..", 0o757, True),
            ("..", 0o1777, False),  # as /tmp
        ],
    )
    def test_what_counts(self, home, place, mode, is_open):
        (home / place).chmod(mode)
        expected = (home / place).resolve() if is_open else None
        assert open_to_all(home / "lab.onnx") == expected

    def test_a_file_elsewhere_in_a_sticky_directory(self, home, tmp_path):
        path = shutil.copy(home / "lab.onnx", tmp_path / "data/m.onnx")
        (tmp_path / "data").chmod(0o1777)
        assert open_to_all(Path(path)) is None

    def test_a_link_to_one(self, home, tmp_path):
        target = tmp_path / "open"
        target.mkdir(mode=0o777)
        target.chmod(0o777)
        shutil.move(home / "lab.onnx", target / "lab.onnx")
        (home / "lab.onnx").symlink_to(target / "lab.onnx")
        assert open_to_all(home / "lab.onnx") == target

    @pytest.mark.parametrize("is_relative", [False, True])
    def test_a_link_that_lies_in_one(self, home, tmp_path, is_relative):
        """Who may write the directory of a link can make it lead elsewhere."""
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        link = tmp_path / "open/models"
        link.symlink_to(Path("..", home.relative_to(tmp_path)) if is_relative else home)
        assert open_to_all(link / "lab.onnx") == tmp_path / "open"
        (tmp_path / "open").chmod(0o755)
        assert open_to_all(link / "lab.onnx") is None

    def test_links_without_end(self, tmp_path):
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        open_to_all(tmp_path / "a/lab.onnx")

    def test_run_check_and_list_say_so(self, home, tmp_path, capsys):
        home.chmod(0o777)
        place = home.resolve()
        said = (
            f"anybody on this machine may change the model, as all may write {place}. "
            f"Another model gives other scores. Remove that permission: chmod o-w '{place}'"
        )
        table, out = str(DATA / "enteric_300.txt.gz"), tmp_path / "out"
        with pytest.raises(SystemExit) as caught:
            main(["run", table, "-m", "lab", "-dpl", "-q", "-o", str(out)])
        assert caught.value.code == 0
        assert f"Warning: {said}\n" in capsys.readouterr().err
        assert f"ModelWarning: {said}" in json.loads((out / "run.json").read_text())["warnings"]
        with pytest.raises(SystemExit) as caught:
            main(["check", table, "-m", "lab", "-q"])
        assert caught.value.code == 0
        assert f"as all may write {place}." in capsys.readouterr().out
        with pytest.raises(SystemExit):
            main(["models", "list"])
        assert (
            f"\nwarning: {home / 'lab.onnx'}: anybody on this machine may change it, as all may "
            f"write {place}. Remove that permission: chmod o-w '{place}'\n"
        ) in capsys.readouterr().out

    def test_python_warns(self, home):
        home.chmod(0o777)
        with pytest.warns(ct2.ModelWarning, match="anybody on this machine may change the model"):
            ct2.run(random_counts(3, 60), genes=features(), model="lab")
