"""Fixtures of the tests that install models."""

import pytest
from helpers.repository import NAMES, NEW, OLD, RESOURCES, Repository

from cytotrace2_lite.cli.group import cli
from cytotrace2_lite.cli.main import main
from cytotrace2_lite.cli.models import models as group
from cytotrace2_lite.models.install import download, install, official
from cytotrace2_lite.models.install.official import git_blob_id
from cytotrace2_lite.models.install.sources import from_network
from cytotrace2_lite.models.installed import OFFICIAL_MODELS


@pytest.fixture(scope="session")
def repository(members, tmp_path_factory):
    """Serve the made-up members in the layout of the authors' repository, with a list of them."""
    server = Repository()
    lines = ["version\tmember\tgit_blob_sha1\tcommit\tpath"]
    for version, folder in members.items():
        commit = version[0] * 40
        for number, name in enumerate(NAMES, 1):
            source = folder / f"model{number}.pt"
            path = f"{RESOURCES}/{version}/{name}.pt"
            server.files[path] = source.read_bytes()
            lines.append(f"{version}\t{name}\t{git_blob_id(source)}\t{commit}\t{path}")
    source = members["1.1.0"] / "background.pt"
    path = f"{RESOURCES}/background.pt"
    server.files[path] = source.read_bytes()
    lines.append(f"1.1.0\tbackground\t{git_blob_id(source)}\t{'1' * 40}\t{path}")
    server.manifest = tmp_path_factory.mktemp("manifest") / "official_models.tsv"
    server.manifest.write_text("\n".join(lines) + "\n")
    yield server
    server.stop()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Give an empty models folder of the user; no proxy, and short waits."""
    path = tmp_path / "models"
    monkeypatch.setenv("CT2_LITE_MODELS_DIR", str(path))
    for variable in ("CT2_LITE_MODEL", "CT2_LITE_MIRROR", "http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
    monkeypatch.setattr(download, "_BACK_OFF_SECONDS", 0.01)
    monkeypatch.setattr(download, "_TIMEOUT_SECONDS", 10.0)
    monkeypatch.setattr(install, "_LOCK_POLL_SECONDS", 0.01)
    return path


@pytest.fixture
def server(repository, home, monkeypatch):
    """Give the repository without faults, as the one the package knows of."""
    repository.faults, repository.requests = {}, []
    repository.released.clear()
    monkeypatch.setattr(official, "_MANIFEST", repository.manifest)
    yield repository
    repository.released.set()


@pytest.fixture
def ct2(home, capsys, monkeypatch):
    """Function that runs `ct2-lite models install`; returns exit code and standard error."""
    monkeypatch.setitem(cli.commands, "models", group)

    def run(*arguments, command="models install"):
        with pytest.raises(SystemExit) as caught:
            main([*command.split(), *map(str, arguments)])
        output = capsys.readouterr()
        assert output.out == ""
        assert "Traceback" not in output.err
        return caught.value.code, output.err

    return run


@pytest.fixture
def fetch(ct2, server):
    """Function that installs an official model from the server with one fault on one file."""

    def run(*faults, name=NAMES[1], model=OLD):
        version = OFFICIAL_MODELS[model]
        path = f"{RESOURCES}/{version}/{name}.pt"
        server.faults[path] = list(faults)
        return ct2(model, "--accept-license", "--mirror", server.url)

    return run


@pytest.fixture(scope="session")
def installed(repository, tmp_path_factory):
    """Content of the test's official models, as the server's files give them."""
    contents = {}
    repository.faults = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(official, "_MANIFEST", repository.manifest)
        patch.setenv("no_proxy", "127.0.0.1")
        for name in (NEW, OLD):
            patch.setenv("CT2_LITE_MODELS_DIR", str(tmp_path_factory.mktemp("installed")))
            contents[name] = install.install(from_network(name, repository.url)).read_bytes()
    return contents
