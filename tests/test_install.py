"""Installing models: from a loopback server with every fault a network has, and from files."""

import contextlib
import errno
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import socket
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch_format

from cytotrace2_lite.cli.main import cli, main
from cytotrace2_lite.cli.models import models as group
from cytotrace2_lite.errors import ModelError, UsageError
from cytotrace2_lite.models import onnx_file
from cytotrace2_lite.models.catalog import find_model, installed_model, read_model, seal
from cytotrace2_lite.models.install import download, install
from cytotrace2_lite.models.install.download import git_blob_id
from cytotrace2_lite.models.install.install import (
    from_files,
    from_network,
    official_ensembles,
)

SHARED = Path(__file__).resolve().parents[2] / "shared"
RESOURCES = "cytotrace2_python/cytotrace2_py/resources"
NAMES = ("Zeta", "alpha", "B.2")  # of the test's official members, in the order of its list
OLD, NEW = "cytotrace2-1.0", "cytotrace2-1.1"


class Repository:
    """A server of files by path; `faults` of a path answer its next requests."""

    def __init__(self):
        self.files, self.faults, self.requests = {}, {}, []
        self.released = threading.Event()  # of answers that hang

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(handler):  # noqa: N805
                with contextlib.suppress(ConnectionError):  # the client had enough
                    self.answer(handler)

            def log_message(handler, *arguments):  # noqa: N805
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self):
        self.released.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, handler):
        path = urlsplit(handler.path).path.removeprefix("/")
        self.requests.append((path, handler.headers.get("Range")))
        self.last = handler
        handler.close_connection = True
        faults = self.faults.get(path, [])
        if faults:
            faults.pop(0)(handler, self.files.get(path, b""))
        elif path not in self.files:
            reply(404)(handler, b"")
        else:
            serve(handler, self.files[path])

    def asked(self, name):
        """Give the ranges of the requests for a file."""
        return [asked for path, asked in self.requests if path.endswith(f"/{name}.pt")]


def serve(handler, content):
    asked = handler.headers.get("Range")
    start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
    if start >= len(content):
        return reply(416)(handler, content)
    handler.send_response(206 if asked else 200)
    if asked:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(content) - start))
    handler.end_headers()
    return handler.wfile.write(content[start:])


def reply(code, **headers):
    def fault(handler, _):
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


def whole(change=lambda content: content, content_type="application/octet-stream", length=True):
    """Answer with the whole file, changed, whatever range is asked for."""

    def fault(handler, content):
        body = change(content)
        handler.send_response(200)
        handler.send_header("Content-Type", content_type)
        if length:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return fault


def cut(handler, content):
    """Close the connection after half of the file."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])


def cut_chunks(handler, content):
    """Close the connection in the middle of a chunk."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n" % len(content) + content[: len(content) // 2])


def flip(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.fixture(scope="module")
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
    monkeypatch.setattr(install, "_MANIFEST", repository.manifest)
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
        version = install.OFFICIAL_MODELS[model]
        path = f"{RESOURCES}/{version}/{name}.pt"
        server.faults[path] = list(faults)
        return ct2(model, "--accept-license", "--mirror", server.url)

    return run


@pytest.fixture(scope="module")
def installed(repository, tmp_path_factory):
    """Content of the test's official models, as the server's files give them."""
    contents = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(install, "_MANIFEST", repository.manifest)
        patch.setenv("no_proxy", "127.0.0.1")
        for name in (NEW, OLD):
            patch.setenv("CT2_LITE_MODELS_DIR", str(tmp_path_factory.mktemp("installed")))
            contents[name] = install.install(from_network(name, repository.url)).read_bytes()
    return contents


def nothing_visible(home):
    return installed_model(OLD) is None and not list(home.glob("[!.]*"))


def weights(content):
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(content).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def test_the_list_of_official_files():
    ensembles = official_ensembles()
    assert [len(one.members) for one in ensembles.values()] == [19, 17]
    assert [one.version for one in ensembles.values()] == ["1.1.0", "1.0.0"]
    assert ensembles[NEW].background.path == f"{RESOURCES}/background.pt"
    assert ensembles[OLD].background is None
    for one in ensembles.values():
        assert {len(file.blob_id) for file in one.files} == {40}
        assert len({file.commit for file in one.files}) == 1
        assert len({file.blob_id for file in one.files}) == len(one.files)


def test_git_blob_id(tmp_path):
    (tmp_path / "file").write_bytes(b"hello\n")
    assert git_blob_id(tmp_path / "file") == "ce013625030ba8dba906f756967f9e9ca394464a"


class TestOfficial:
    @pytest.mark.parametrize("name", [NEW, OLD])
    def test_the_model_is_that_of_the_exporter(self, installed, exported, name):
        version = install.OFFICIAL_MODELS[name]
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
        monkeypatch.setattr(install, "_REPOSITORY", server.url)
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


class TestFaults:
    """Each ends in a whole model, or in one sentence and nothing to be seen."""

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            (404, "the server has no such file (404 Not Found). A mirror must have the files"),
            (403, "the server does not give the file (403 Forbidden)."),
            (407, "the proxy asks for a password (407 Proxy Authentication Required)."),
        ],
    )
    def test_refused(self, fetch, server, home, code, message):
        exit_code, err = fetch(reply(code))
        assert exit_code == 5
        url = f"{server.url}/{RESOURCES}/1.0.0/alpha.pt"
        assert err.splitlines()[-1].startswith(f"Error: {url}: {message}")
        assert len(server.asked("alpha")) == 1
        assert nothing_visible(home)

    def test_busy_server(self, fetch, server):
        code, err = fetch(reply(500), reply(429, Retry_After="0"), reply(503))
        assert code == 0
        assert "the server answered 500 Internal Server Error; trying again in 0.01 s." in err
        assert "the server answered 429 Too Many Requests; trying again in 0.02 s." in err
        assert len(server.asked("alpha")) == 4

    def test_server_that_stays_down(self, fetch, server, home):
        code, err = fetch(*[reply(503)] * 9)
        assert code == 5
        assert len(server.asked("alpha")) == 5
        assert "the download failed 5 times, the last time with: the server answered 503" in err
        assert nothing_visible(home)
        server.requests.clear()
        assert fetch()[0] == 0
        assert server.asked("Zeta") == []  # complete since the first attempt

    def test_nobody_there(self, ct2, home):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        code, err = ct2(OLD, "--accept-license", "--mirror", f"http://127.0.0.1:{port}")
        assert code == 5
        assert "network error (Connection refused)" in err
        assert nothing_visible(home)

    def test_the_wait_asked_for_has_a_limit(self, fetch, monkeypatch):
        waits = []
        monkeypatch.setattr(download.time, "sleep", waits.append)
        assert fetch(reply(429, Retry_After="7"), reply(503, Retry_After="86400"))[0] == 0
        assert waits == [7, 60]

    @pytest.mark.parametrize("fault", [cut, cut_chunks])
    def test_cut_connection_goes_on_where_it_was(self, fetch, server, installed, fault):
        code, err = fetch(fault)
        assert code == 0
        half = len(server.files[f"{RESOURCES}/1.0.0/alpha.pt"]) // 2
        assert server.asked("alpha") == [None, f"bytes={half}-"]
        assert "the connection was cut" in err
        assert find_model(OLD).read_bytes() == installed[OLD]

    def test_server_without_ranges_starts_over(self, fetch, server):
        assert fetch(cut, whole())[0] == 0
        assert len(server.asked("alpha")) == 2

    def test_server_that_sends_another_range(self, fetch, server):
        def other(handler, content):
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes 0-9/{len(content)}")
            handler.send_header("Content-Length", "10")
            handler.end_headers()
            handler.wfile.write(content[:10])

        assert fetch(cut, other)[0] == 0
        assert server.asked("alpha")[2] is None

    def test_file_that_changed_between_two_halves(self, fetch, server):
        def altered_half(handler, content):
            serve(handler, flip(content))

        assert fetch(cut, altered_half)[0] == 0
        assert server.asked("alpha")[2] is None

    def test_part_longer_than_the_file(self, fetch, server, home):
        blob_id = official_ensembles()[OLD].members[1].blob_id
        (home / ".downloads").mkdir(parents=True)
        (home / ".downloads" / f"{blob_id}.part").write_bytes(b"x" * 5_000_000)
        assert fetch()[0] == 0
        assert server.asked("alpha") == ["bytes=5000000-", None]

    def test_cut_without_a_length(self, fetch, server):
        assert fetch(whole(lambda content: content[:1000], length=False))[0] == 0
        assert server.asked("alpha") == [None, None]

    def test_slow_body(self, fetch, server, monkeypatch):
        monkeypatch.setattr(download, "_TIMEOUT_SECONDS", 0.3)

        def stall(handler, content):
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content[:1000])
            server.released.wait(10)

        code, err = fetch(stall)
        assert code == 0
        assert "nothing came for 0.3 s; trying again" in err
        assert server.asked("alpha") == [None, "bytes=1000-"]

    def test_slow_answer(self, fetch, server, monkeypatch):
        monkeypatch.setattr(download, "_TIMEOUT_SECONDS", 0.3)
        code, err = fetch(lambda *_: server.released.wait(10))
        assert code == 0
        assert "nothing came for 0.3 s; trying again" in err

    def test_wrong_bytes(self, fetch, server, home):
        code, err = fetch(whole(flip))
        assert code == 5
        assert "alpha.pt: not the file its authors published (git blob id " in err
        assert len(server.asked("alpha")) == 1
        assert nothing_visible(home)
        assert len(list((home / ".downloads").iterdir())) == 1  # the first member

    @pytest.mark.parametrize(
        "fault",
        [
            whole(lambda _: b"Please log in", "text/html; charset=utf-8"),
            whole(lambda _: b"\n <!DOCTYPE html><html>Please log in</html>"),
        ],
    )
    def test_web_page(self, fetch, home, fault):
        code, err = fetch(fault)
        assert code == 5
        assert "alpha.pt: a web page came instead of the file" in err
        assert nothing_visible(home)

    def test_redirect_to_another_host(self, fetch, server, home):
        code, err = fetch(reply(302, Location=f"http://localhost:{server.port}/alpha.pt"))
        assert code == 5
        assert "alpha.pt: the server sends on to another host, localhost, which is not" in err
        assert len(server.asked("alpha")) == 1
        assert nothing_visible(home)

    def test_redirect_within_the_host(self, fetch, server, monkeypatch):
        content = server.files[f"{RESOURCES}/1.0.0/alpha.pt"]
        monkeypatch.setitem(server.files, "moved/alpha.pt", content)
        assert fetch(reply(301, Location="/moved/alpha.pt"))[0] == 0
        assert [path for path, _ in server.requests].count("moved/alpha.pt") == 1

    def test_redirect_in_circles(self, fetch, home):
        code, err = fetch(*[reply(302, Location=f"/{RESOURCES}/1.0.0/alpha.pt")] * 50)
        assert code == 5
        assert "the server does not give the file (302" in err
        assert nothing_visible(home)

    @pytest.mark.parametrize("length", [True, False])
    def test_longer_than_any_member(self, fetch, home, monkeypatch, length):
        monkeypatch.setattr(install, "_MAX_MEMBER_BYTES", 5_000_000)
        code, err = fetch(whole(lambda _: bytes(50_000_000), length=length))
        assert code == 5
        assert "alpha.pt: longer than 5 MB, which no file of the ensemble is." in err
        assert nothing_visible(home)
        assert all(path.stat().st_size <= 5_000_000 for path in (home / ".downloads").iterdir())

    def test_altered_while_it_waited(self, fetch, server, home):
        fetch(*[reply(503)] * 9)
        (path,) = (home / ".downloads").glob("*[0-9a-f]")
        path.write_bytes(flip(path.read_bytes()))
        server.requests.clear()
        assert fetch()[0] == 0
        assert server.asked("Zeta") == [None]


class TestFolder:
    def test_interrupted(self, fetch, server, home, installed):
        seen = []

        def stop(event):
            if isinstance(event, install.Download) and event.number == 2:
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


class TestFromFiles:
    @pytest.mark.parametrize("name", [NEW, OLD])
    def test_equal_files_give_equal_bytes(self, server, ct2, members, home, installed, name):
        version = install.OFFICIAL_MODELS[name]
        assert ct2("--from", members[version], "--accept-license")[0] == 0
        assert (home / f"{name}.onnx").read_bytes() == installed[name]
        assert server.requests == []

    def test_as_an_installed_cytotrace2_py_has_them(self, server, ct2, members, home, installed):
        site = home.parent / "site-packages/cytotrace2_py/resources"
        shutil.copytree(members["1.1.0"], site / "models")
        shutil.move(site / "models/background.pt", site / "background.pt")
        (site.parent / "other").mkdir()
        (site.parent / "other/unrelated.pt").write_bytes(b"something else")
        (site / "gone.pt").symlink_to("nowhere")
        assert ct2("--from", site.parent, "--accept-license")[0] == 0
        assert (home / f"{NEW}.onnx").read_bytes() == installed[NEW]

    def test_a_checkout_with_both(self, server, ct2, home, installed, tmp_path):
        checkout = tmp_path / "cytotrace2"
        for path, content in server.files.items():
            (checkout / path).parent.mkdir(parents=True, exist_ok=True)
            (checkout / path).write_bytes(content)
        code, err = ct2("--from", checkout, "--accept-license")
        assert code == 2
        assert f"Say which: ct2-lite models install {NEW} --from {checkout}" in err
        assert ct2(OLD, "--from", checkout, "--accept-license")[0] == 0
        assert (home / f"{OLD}.onnx").read_bytes() == installed[OLD]

    @pytest.fixture
    def copy(self, members, tmp_path):
        return Path(shutil.copytree(members["1.1.0"], tmp_path / "copy"))

    def test_incomplete(self, server, copy):
        (copy / "model3.pt").unlink()
        (copy / "background.pt").unlink()
        with pytest.raises(ModelError) as caught:
            from_files(copy)
        assert str(caught.value) == (
            f"{copy}: has 2 of the 3 members of {NEW}; missing: B.2.pt, background.pt. Complete "
            "the directory."
        )
        with pytest.raises(ModelError, match=f"holds no member of {OLD}"):
            from_files(copy, official=OLD)

    def test_one_altered(self, server, copy):
        path = copy / "model2.pt"
        path.write_bytes(flip(path.read_bytes()))
        with pytest.raises(ModelError) as caught:
            from_files(copy)
        assert str(caught.value) == (
            f"{copy}: has 2 of the 3 members of {NEW}; missing: alpha.pt. By its digest {path} is "
            "no official file. An ensemble that is not the official one is installed with --name "
            "NAME."
        )

    def test_one_too_many(self, server, copy, members):
        shutil.copy(copy / "model1.pt", copy / "again.pt")  # the same one twice is no other one
        assert from_files(copy).official == "1.1.0"
        shutil.copy(members["1.0.0"] / "model1.pt", copy / "model4.pt")  # an official one, too
        assert from_files(copy).official == "1.1.0"
        extra = copy / "model5.pt"
        extra.write_bytes(flip((copy / "model1.pt").read_bytes()))
        for official in (None, NEW):
            with pytest.raises(ModelError, match=r"model5\.pt: does not belong to cytotrace2-1\.1"):
                from_files(copy, official=official)
        with pytest.raises(ModelError, match="6 members, not 3"):
            from_files(copy, name="lab")

    def test_own_members(self, home, ct2, members, monkeypatch, tmp_path, repository):
        # Members of the right number that the list does not know.
        list_of_others = tmp_path / "list.tsv"
        text = repository.manifest.read_text()
        changed = text.splitlines()[:1]
        for number, line in enumerate(text.splitlines()[1:]):
            version, member, _, commit, path = line.split("\t")
            changed.append("\t".join([version, member, f"{number:040x}", commit, path]))
        list_of_others.write_text("\n".join(changed) + "\n")
        monkeypatch.setattr(install, "_MANIFEST", list_of_others)
        code, err = ct2("--from", members["1.1.0"])
        assert code == 5
        assert f"holds no member of {NEW}. By its digest {members['1.1.0']}/model1.pt is no" in err
        code, err = ct2("--from", members["1.1.0"], "--name", "lab")
        assert code == 0
        assert "Folding 3 members that are not the official ones." in err
        assert "lab: not official weights, 3 members" in err
        entries = onnx_file.metadata(read_model(home / "lab.onnx"))
        assert entries["name"] == "lab"
        assert "official" not in entries
        code, err = ct2("--from", members["1.1.0"], "--name", "lab")
        assert code == 2
        assert "Remove it first (ct2-lite models remove lab)" in err
        for name in (NEW, "open", "../lab", "lab.onnx", "Lab"):
            assert ct2("--from", members["1.1.0"], "--name", name)[0] == 2
        assert [path.name for path in home.glob("*.onnx")] == ["lab.onnx"]

    def test_own_members_must_be_complete_and_in_one_place(self, server, copy, tmp_path):
        torch_format.save(copy / "model1.pt", {"nothing": np.zeros(1, np.float32)})
        with pytest.raises(ModelError, match=r"model1\.pt: not an ensemble member"):
            from_files(copy, name="lab")
        (copy / "model1.pt").unlink()
        with pytest.raises(ModelError, match="2 members, not 3, as an ensemble of version"):
            from_files(copy, name="lab")
        (copy / "more").mkdir()
        shutil.move(copy / "model2.pt", copy / "more/model2.pt")
        with pytest.raises(ModelError, match="must be in one directory"):
            from_files(copy, name="lab")

    def test_own_members_without_background(self, server, copy):
        (copy / "background.pt").unlink()
        with pytest.raises(ModelError, match=r"background\.pt is neither in this directory nor"):
            from_files(copy, name="lab")

    def test_nothing_there(self, server, tmp_path, monkeypatch):
        with pytest.raises(ModelError, match=r"no \.pt file in this directory or below it"):
            from_files(tmp_path)
        with pytest.raises(ModelError, match=r"none: cannot be read \(No such file or directory\)"):
            from_files(tmp_path / "none")
        (tmp_path / "text.onnx").write_text("text")
        with pytest.raises(ModelError, match="not a cytotrace2_lite model"):
            from_files(tmp_path / "text.onnx")
        monkeypatch.setattr(install, "_MAX_ENTRIES", 3)
        for number in range(4):
            (tmp_path / f"{number}.txt").touch()
        with pytest.raises(ModelError, match="more than 3 files below it"):
            from_files(tmp_path)

    def test_changed_after_the_check(self, server, copy, home):
        installation = from_files(copy)
        path = copy / "model2.pt"
        path.write_bytes(flip(path.read_bytes()))
        with pytest.raises(ModelError, match=r"model2\.pt: was changed since it was checked"):
            install.install(installation)
        path.unlink()
        with pytest.raises(ModelError, match=r"model2\.pt: cannot be read \(No such file"):
            install.install(installation)
        assert nothing_visible(home)


class TestFromModelFile:
    def test_own(self, ct2, home, model_files):
        code, err = ct2("--from", model_files["1.1.0"])
        assert code == 0
        assert "licence" not in err
        copied = home / "made-up.onnx"
        assert copied.read_bytes() == model_files["1.1.0"].read_bytes()
        assert ct2("--from", copied, "--name", "other")[0] == 0
        assert (home / "other.onnx").read_bytes() == copied.read_bytes()

    def test_official(self, server, ct2, home, tmp_path, installed):
        file = tmp_path / "sent.onnx"
        file.write_bytes(installed[OLD])
        code, err = ct2("--from", file, "--accept-license")
        assert code == 0
        assert "That is the word of whoever made it" in err
        assert (home / f"{OLD}.onnx").read_bytes() == installed[OLD]
        with pytest.raises(ModelError, match=f"not {NEW}, but {OLD}"):
            from_files(file, official=NEW)
        with pytest.raises(UsageError, match=r"not the official ensemble of version 1\.1\.0"):
            from_files(file, name=NEW)

    def test_not_what_it_says(self, server, tmp_path, installed, exported):
        import onnx

        def relabelled(content, **entries):
            model = onnx.load_from_string(content[: -len(seal(b"")) or None])
            properties = {entry.key: entry.value for entry in model.metadata_props}
            onnx.helper.set_model_props(model, {**properties, **entries})
            path = tmp_path / "relabelled.onnx"
            path.write_bytes(seal(model.SerializeToString(deterministic=True)))
            return path

        with pytest.raises(ModelError, match="but names other files as its sources"):
            from_files(relabelled(exported["1.0.0"][1], official="1.0.0"))
        with pytest.raises(ModelError, match="but names other files as its sources"):
            from_files(relabelled(installed[OLD], official="1.1.0"))
        with pytest.raises(ModelError, match="but names other files as its sources"):
            from_files(relabelled(installed[OLD], official="2.0.0"))
        with pytest.raises(UsageError, match=r"not the official ensemble of version 1\.0\.0"):
            from_files(relabelled(exported["1.0.0"][1], name=OLD))
        for name in ("open", "My Model", "../x"):
            path = relabelled(exported["1.0.0"][1], name=name)
            with pytest.raises(UsageError, match="cannot be its name here"):
                from_files(path)
            assert from_files(path, name="lab").name == "lab"

    def test_altered(self, ct2, home, tmp_path, model_files):
        file = tmp_path / "sent.onnx"
        file.write_bytes(flip(model_files["1.1.0"].read_bytes()))
        code, err = ct2("--from", file, "--name", "lab")
        assert code == 5
        assert "the model was altered" in err
        assert not home.exists()


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

    def test_the_list_is_that_of_the_reference(self):
        ours = Path(install.__file__).with_name("data") / "official_models.tsv"
        assert ours.read_text() == (SHARED / "reference/official_models.tsv").read_text()
