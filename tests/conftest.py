"""Fixtures that several test modules use."""

import os
import shutil
import signal
from pathlib import Path

# Before NumPy is imported. The command line sets it, too.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
# Tests do not use the models that the user has installed or named.
os.environ["CT2_LITE_MODELS_DIR"] = "/nonexistent/cytotrace2_lite"
os.environ.pop("CT2_LITE_MODEL", None)
# Some tests import onnxruntime themselves. tests/test_security.py removes it again.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import pytest
from helpers import synthetic_ensemble, torch_format
from helpers.wrong_inputs import Refusals

from cytotrace2_lite.cli.interrupt import interrupt
from cytotrace2_lite.models.ensemble import Ensemble
from cytotrace2_lite.models.fold.export import export
from cytotrace2_lite.system.machine import available_cores

TESTS = Path(__file__).parent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Say in how many processes tests run at a time, if `-n` does not.

    One more than there are processors, as tests wait for the programs that they start. No more than
    files, and this process alone for one file, for `-s`, and for what `-m` asks for by name: such
    tests measure, and print figures.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    one_by_one = config.option.capture == "no" or config.option.markexpr != "not slow"
    if one_by_one or any("::" in name for name in config.args):
        return 0
    most = available_cores() + 1
    if any(Path(name).is_dir() for name in config.args):
        return most
    return min(most, len(config.args)) if len(config.args) > 1 else 0


def pytest_make_parametrize_id(val):
    """Name compressed parameters: their bytes hold the time, which differs between processes."""
    if isinstance(val, bytes):
        for name, magic in (("gzip", b"\x1f\x8b"), ("zip", b"PK")):
            if val.startswith(magic):
                return name
    return None


def pytest_collection_modifyitems(config, items):
    """Skip what takes minutes or needs the tools of others, unless `-m` asks for it."""
    reasons = {"slow": "takes minutes", "recipes": "needs tools of workflows"}
    for marker, reason in reasons.items():
        if marker not in config.option.markexpr:
            for item in items:
                if item.get_closest_marker(marker):
                    item.add_marker(pytest.mark.skip(reason=f"{reason}; run with -m {marker}"))


@pytest.fixture(scope="session")
def members(tmp_path_factory):
    """Directories of the made-up ensembles' member files, by version."""
    folders = {}
    for version in ("1.1.0", "1.0.0"):
        folder = folders[version] = tmp_path_factory.mktemp(f"members-{version}")
        for index in range(synthetic_ensemble.N_MEMBERS):
            torch_format.save(
                folder / f"model{index + 1}.pt", synthetic_ensemble.member(index, version)
            )
    torch_format.save_sparse(folders["1.1.0"] / "background.pt", *synthetic_ensemble.background())
    return folders


@pytest.fixture(scope="session")
def exported(members):
    """Folded networks and model file content of the made-up ensembles, by version."""
    return {
        version: export(folder, name="made-up", n_members=synthetic_ensemble.N_MEMBERS)
        for version, folder in members.items()
    }


@pytest.fixture(scope="session")
def model_files(exported, tmp_path_factory):
    """Model files of the made-up ensembles, by version."""
    files = {}
    for version, (_, content) in exported.items():
        files[version] = tmp_path_factory.mktemp("model") / f"made-up-{version}.onnx"
        files[version].write_bytes(content)
    return files


@pytest.fixture(scope="session")
def ensembles(model_files):
    """The made-up ensembles, loaded, by version."""
    return {version: Ensemble.load(path) for version, path in model_files.items()}


@pytest.fixture
def tiny_table(tmp_path):
    """Function that writes a table of a few model genes; returns its path."""

    def write(text="gene\tc1\tc2\nActb\t5\t0\nGapdh\t1\t2\nSox17\t0\t7\n", name="expr.txt"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def models_home(tmp_path, monkeypatch):
    """Empty models folder of the user, away from the working directory."""
    path = tmp_path / "models"
    path.mkdir()
    monkeypatch.setenv("CT2_LITE_MODELS_DIR", str(path))
    monkeypatch.delenv("CT2_LITE_MODEL", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return path


@pytest.fixture
def put_model(models_home, model_files):
    """Function that installs a made-up model under a name."""

    def install(name, version="1.0.0"):
        return Path(shutil.copy(model_files[version], models_home / f"{name}.onnx"))

    return install


@pytest.fixture
def refusals(tmp_path, monkeypatch, capsys, model_files):
    """Checks that commands refuse wrong files; see `helpers.wrong_inputs`."""
    monkeypatch.chdir(tmp_path)
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
    return Refusals(tmp_path, model_files["1.1.0"], capsys)


@pytest.fixture(autouse=True)
def _no_signal_of_another_test():
    """A process has one handler of signals, which a command resets when it starts as a program.

    What is started in the background of a script ignores SIGINT, and so would the tests.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    interrupt.reset()
