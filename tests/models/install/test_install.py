"""Installing models, as the command does it: what appears, what is said, what is left behind."""

import errno
import hashlib
import io
import json
import os
import re
import shutil
import socket
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers.repository import (
    NAMES,
    NEW,
    OLD,
    RESOURCES,
    cut,
    nothing_visible,
    reply,
    serve,
)

from cytotrace2_lite.models import onnx_file
from cytotrace2_lite.models.catalog import find_model
from cytotrace2_lite.models.install import download, install
from cytotrace2_lite.models.install.installation import DownloadProgress
from cytotrace2_lite.models.install.official import git_blob_id, official_ensembles
from cytotrace2_lite.models.install.sources import from_network
from cytotrace2_lite.models.installed import OFFICIAL_MODELS

SHARED = Path(__file__).resolve().parents[4] / "shared"


def weights(content):
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(content).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


class TestOfficial:
    @pytest.mark.parametrize("name", [NEW, OLD])
    def test_the_model_is_that_of_the_exporter(self, installed, exported, name):
        version = OFFICIAL_MODELS[name]
        ours, expected = weights(installed[name]), weights(exported[version][1])
        assert ours.keys() == expected.keys()
        for key, values in ours.items():
            np.testing.assert_array_equal(values, expected[key])

    def test_it_says_where_it_comes_from(self, installed, members):
        entries = onnx_file.metadata(installed[NEW])
        assert entries["name"] == NEW
        assert entries["official"] == entries["architecture"] == "1.1.0"
        assert entries["licence"] == "Stanford non-commercial"
        assert "digitalcytometry/cytotrace2/blob/main/LICENSE" in entries["licence_text"]
        sources = json.loads(entries["sources"])
        assert [s["name"] for s in sources] == [*(f"{name}.pt" for name in NAMES), "background.pt"]
        assert sources[1]["git_blob_sha1"] == git_blob_id(members["1.1.0"] / "model2.pt")

    def test_what_is_said_and_left(self, fetch, server, home, installed):
        code, err = fetch()
        assert code == 0
        digest = hashlib.sha256(installed[OLD]).hexdigest()[:12]
        assert err.splitlines()[1:] == [
            f"Downloading {OLD} from {server.url}",
            *(f" {i}/3   4.1 MB  {name}.pt" for i, name in enumerate(NAMES, 1)),
            "Folding 3 members.",
            f"{OLD}: official 1.0.0, 3 members, SHA-256 {digest}, installed: {home / OLD}.onnx",
            "ct2-lite run uses it, unless told otherwise.",
        ]
        assert sorted(path.name for path in home.iterdir()) == [".lock", f"{OLD}.onnx"]
        assert find_model().read_bytes() == installed[OLD]
        assert len(server.requests) == 3
        assert server.last.headers["User-Agent"].startswith("cytotrace2_lite/")

    def test_on_a_terminal_a_file_counts_up(self, server, ct2, monkeypatch):
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        monkeypatch.setattr("cytotrace2_lite.cli.progress._SHOW_SECONDS", 0.0)
        server.faults[f"{RESOURCES}/1.0.0/alpha.pt"] = [cut]
        code, err = ct2(OLD, "--accept-license", "--mirror", server.url)
        assert code == 0
        assert re.search(
            r"\r 1/3   [0-3]\.\d MB  Zeta\.pt\r 1/3 .*\r 1/3   4\.1 MB  Zeta\.pt\n", err
        )
        assert "alpha.pt\nthe connection was cut after" in err

    def test_from_the_authors_at_the_pinned_commit(self, server, ct2, monkeypatch):
        monkeypatch.setattr(download, "REPOSITORY", server.url)
        code, err = ct2(OLD, "--accept-licence")
        assert code == 5
        assert server.requests == [(f"{'1' * 40}/{RESOURCES}/1.0.0/Zeta.pt", None)]
        assert f"Error: {server.url}/{'1' * 40}/{RESOURCES}/1.0.0/Zeta.pt: the server has" in err

    def test_mirror_from_the_environment(self, server, ct2, monkeypatch):
        monkeypatch.setenv("CT2_LITE_MIRROR", server.url + "/")
        assert ct2(OLD, "--accept-license")[0] == 0

    def test_through_a_proxy(self, server, ct2, monkeypatch):
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert ct2(OLD, "--accept-license", "--mirror", "http://models.invalid")[0] == 0
        assert server.last.path.startswith("http://models.invalid/")

    def test_what_is_installed_is_not_fetched_again(self, fetch, server, home):
        assert fetch()[0] == 0
        server.requests.clear()
        code, err = fetch()
        assert (code, server.requests) == (0, [])
        assert f"is installed already: {home / OLD}.onnx" in err
        assert "licence" not in err
        (home / f"{OLD}.onnx").write_bytes(b"broken")
        assert fetch()[0] == 0
        assert len(server.requests) == 3

    @pytest.mark.parametrize(
        "mirror",
        [
            "ftp://host/x",
            "file:///etc",
            "/a/folder",
            "http://",
            "http://user:secret@host/",
            "http://host/?a",
            "http://host/a b",
            "http://höst/",
            "http://host:x/",
            "http://[::1/",
        ],
    )
    def test_what_is_no_mirror(self, ct2, server, mirror):
        code, err = ct2(OLD, "--accept-license", "--mirror", mirror)
        assert code == 2
        assert err.startswith("Error: the mirror (--mirror or CT2_LITE_MIRROR) must be a URL")
        assert "secret" not in err

    def test_usage(self, ct2, tmp_path):
        for arguments, message in [
            ([], "Say what to install: cytotrace2-1.1 or cytotrace2-1.0, or --from"),
            (["cytotrace3"], "'cytotrace3' is not one of"),
            ([OLD, "--name", "x"], "--name goes with --from"),
            (["--from", tmp_path, "--mirror", "http://x"], "Give --from or --mirror, not both."),
        ]:
            code, err = ct2(*arguments)
            assert code == 2
            assert message in err

    def test_without_onnx_nothing_is_downloaded(self, fetch, server, monkeypatch):
        monkeypatch.setitem(sys.modules, "onnx", None)
        code, err = fetch()
        assert (code, server.requests) == (1, [])
        assert "pip install 'cytotrace2-lite[export]'. Nothing was downloaded" in err


class TestConsent:
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def test_without_a_terminal(self, ct2, server, home, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        code, err = ct2(OLD, "--mirror", server.url)
        assert (code, server.requests, home.exists()) == (2, [], False)
        assert "non-commercial use only" in err
        assert err.splitlines()[-1] == (
            "Error: the licence was not accepted, and there is no terminal to ask on. Nothing was "
            "downloaded or installed. If you accept it, pass --accept-license."
        )

    @pytest.mark.parametrize("answer", ["n\n", "\n"])
    def test_no(self, ct2, server, home, monkeypatch, answer):
        monkeypatch.setattr("sys.stdin", self.Terminal(answer))
        code, err = ct2(OLD, "--mirror", server.url)
        assert (code, server.requests, home.exists()) == (2, [], False)
        assert "the licence was not accepted. Nothing was downloaded" in err

    def test_yes(self, ct2, server, monkeypatch):
        monkeypatch.setattr("sys.stdin", self.Terminal("y\n"))
        assert ct2(OLD, "--mirror", server.url)[0] == 0

    def test_files_of_the_official_ensemble_have_its_licence_too(
        self, ct2, server, members, home, tmp_path, installed, monkeypatch
    ):
        monkeypatch.setattr("sys.stdin", io.StringIO())
        file = tmp_path / "copy.onnx"
        file.write_bytes(installed[OLD])
        for source in (members["1.0.0"], file):
            assert ct2("--from", source)[0] == 2
        assert not home.exists()


class TestFolder:
    def test_interrupted(self, fetch, server, home, installed):
        seen = []

        def stop(event):
            if isinstance(event, DownloadProgress) and event.number == 2:
                seen.append(list(home.glob("*.onnx")))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            install.install(from_network(OLD, server.url), stop)
        assert seen == [[]]
        assert nothing_visible(home)
        server.requests.clear()
        assert fetch()[0] == 0
        assert server.asked("Zeta") == []
        assert server.asked("alpha")[0].startswith("bytes=")
        assert find_model(OLD).read_bytes() == installed[OLD]
        assert not (home / ".downloads").exists()

    def test_interrupted_on_the_command_line(self, fetch, home):
        def interrupt(*_):
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(download.time, "sleep", interrupt)
            assert fetch(reply(500))[0] == 130
        assert nothing_visible(home)

    def test_what_a_killed_process_leaves(self, fetch, home):
        home.mkdir()
        (home / f".{OLD}.onnx.0123456789abcdef.ct2-lite-part").write_bytes(b"half a model")
        blob_id = official_ensembles()[OLD].members[2].blob_id
        (home / ".downloads").mkdir()
        (home / ".downloads" / f"{blob_id}.part").write_bytes(b"")
        assert nothing_visible(home)
        assert fetch()[0] == 0
        assert sorted(path.name for path in home.iterdir()) == [".lock", f"{OLD}.onnx"]

    def test_killed_between_two_steps(self, fetch, server, members, home):
        (home / ".downloads").mkdir(parents=True)
        blob_id = official_ensembles()[OLD].members[1].blob_id
        shutil.copy(members["1.0.0"] / "model2.pt", home / ".downloads" / f"{blob_id}.part")
        assert fetch()[0] == 0
        assert server.asked("alpha") == []

    def test_two_at_once(self, server, home):
        said = {0: [], 1: []}
        paths = []

        def run(number):
            said_here = said[number]
            paths.append(install.install(from_network(OLD, server.url), said_here.append))

        slow = threading.Event()
        path = f"{RESOURCES}/1.0.0/alpha.pt"

        def wait(handler, content):
            slow.wait(10)
            serve(handler, content)

        server.faults[path] = [wait]
        threads = [threading.Thread(target=run, args=(number,)) for number in (0, 1)]
        for thread in threads:
            thread.start()
        waiting = "Another process is installing a model here; waiting for it to end."
        for _ in range(1000):
            if any(waiting in lines for lines in said.values()):
                break
            threading.Event().wait(0.005)
        slow.set()
        for thread in threads:
            thread.join()
        assert paths == [home / f"{OLD}.onnx"] * 2
        assert sum(waiting in lines for lines in said.values()) == 1
        asked = {path for path, _ in server.requests}
        assert len(asked) == 3
        assert server.asked("Zeta") == [None]

    def test_full_disk_while_downloading(self, fetch, home):
        resource = pytest.importorskip("resource")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
        try:
            code, err = fetch()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert code == 5
        assert err.splitlines()[-1] == (
            f"Error: {home}: cannot be written (File too large). {OLD} was not installed. Make "
            "room there, or set CT2_LITE_MODELS_DIR to a folder that can be written."
        )
        assert nothing_visible(home)
        assert fetch()[0] == 0

    def test_full_disk_while_writing_the_model(self, fetch, server, home, monkeypatch):
        def full(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", full)
            code, err = fetch()
        assert code == 5
        assert f"{home}: cannot be written (No space left on device). {OLD} was not" in err
        assert nothing_visible(home)
        assert sorted(path.name for path in home.iterdir()) == [".downloads", ".lock"]
        server.requests.clear()
        assert fetch()[0] == 0
        assert server.requests == []  # the members were kept

    def test_a_home_that_cannot_be_written(self, fetch, server, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setenv("CT2_LITE_MODELS_DIR", str(tmp_path / "file" / "models"))
        code, err = fetch()
        assert (code, server.requests) == (5, [])
        assert "cannot be written (Not a directory)." in err
        assert "set CT2_LITE_MODELS_DIR to a folder that can be written." in err

    def test_a_file_system_without_locks(self, fetch, monkeypatch):
        fcntl = pytest.importorskip("fcntl")

        def unsupported(*_):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", unsupported)
        assert fetch()[0] == 0


class TestRun:
    def test_never_uses_the_network(self, ct2, tiny_table, home, monkeypatch, tmp_path):
        def refuse(*_, **__):
            raise AssertionError("the network was used")

        monkeypatch.setattr(socket, "socket", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        monkeypatch.chdir(tmp_path)
        assert ct2(tiny_table(), "-o", "out", "-dpl", command="run")[0] == 0
        code, err = ct2(tiny_table(), "-m", NEW, command="run")
        assert code == 5
        assert err == (
            f"Error: {NEW}: this official model is not installed. "
            f"Install it with: ct2-lite models install {NEW}\n"
        )

    def test_the_file_is_all_it_takes(self, fetch, ct2, tiny_table, home, monkeypatch, tmp_path):
        assert fetch()[0] == 0
        monkeypatch.chdir(tmp_path)
        assert ct2(tiny_table(), "-o", "here", "-dpl", command="run")[0] == 0
        shutil.copy(home / f"{OLD}.onnx", tmp_path / "copied.onnx")
        monkeypatch.setenv("CT2_LITE_MODELS_DIR", str(tmp_path / "none"))
        monkeypatch.setitem(sys.modules, "onnx", None)
        assert ct2(tiny_table(), "-o", "there", "-m", "copied.onnx", "-dpl", command="run")[0] == 0
        one, two = (Path(name, "cytotrace2_results.txt").read_bytes() for name in ("here", "there"))
        assert one == two
        assert json.loads(Path("here/run.json").read_text())["model"]["name"] == OLD


@pytest.mark.skipif(not (SHARED / "reference").is_dir(), reason="../shared/reference is not there")
class TestRealMembers:
    """The real members of version 1.0.0, from a server, with the list of the package."""

    @pytest.fixture
    def official(self, repository, home, ct2):
        folder = f"{RESOURCES}/17_models_weights"
        real = {
            f"{folder}/{path.name}": path.read_bytes()
            for path in (SHARED / "reference/official_v1.0").iterdir()
        }
        made_up, repository.files, repository.requests = repository.files, real, []
        try:
            code, err = ct2(OLD, "--accept-license", "--mirror", repository.url)
        finally:
            repository.files = made_up
        assert code == 0, err
        assert len(repository.requests) == 17
        return find_model()

    def test_installed_from_a_server(self, official):
        from scipy.sparse import csc_array, load_npz
        from scipy.stats import spearmanr

        from cytotrace2_lite import genes
        from cytotrace2_lite.base.potency import POTENCIES
        from cytotrace2_lite.models.ensemble import Ensemble
        from cytotrace2_lite.models.fold.export import export
        from cytotrace2_lite.stages import preprocess

        _, expected = export(SHARED / "reference/official_v1.0")
        ours, theirs = weights(official.read_bytes()), weights(expected)
        assert ours.keys() == theirs.keys()
        for key, values in ours.items():
            np.testing.assert_array_equal(values, theirs[key])

        folder = SHARED / "data/deng2014"
        names = (folder / "genes.txt").read_text().splitlines()
        first = np.sort(np.unique(names, return_index=True)[1])
        mapping = genes.map_genes([names[i] for i in first], "mouse")
        values = csc_array(load_npz(folder / "expr.npz")).astype(float)[:, first]
        counts = preprocess.counts_over_features(values, mapping.feature, genes.N_FEATURES)
        rows = [line.split("\t") for line in (folder / "cells.tsv").read_text().splitlines()[1:]]
        order = {potency: k for k, potency in enumerate(POTENCIES)}
        potency = np.array([order.get(row[2], -1) for row in rows])
        prediction = Ensemble.load().predict(
            preprocess.log2_cpm(counts), preprocess.rank_expressed(counts)
        )
        known = potency >= 0
        assert round(spearmanr(prediction.score[known], potency[known])[0], 3) == 0.865
