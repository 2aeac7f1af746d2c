"""Downloads from a server with every fault that a network has."""

import io
import re
import socket

import pytest
from helpers.repository import (
    OLD,
    RESOURCES,
    cut,
    cut_chunks,
    flip,
    nothing_visible,
    reply,
    serve,
    whole,
)

from cytotrace2_lite.errors import ModelError
from cytotrace2_lite.models.catalog import find_model
from cytotrace2_lite.models.install import download, official
from cytotrace2_lite.models.install.official import official_ensembles


class TestFaults:
    """Each ends with a whole model, or with one sentence and no model."""

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

    @pytest.mark.parametrize("target", ["http://[x/alpha.pt", "http://localhost:port/alpha.pt"])
    def test_redirect_to_no_url(self, fetch, home, target):
        code, err = fetch(reply(302, Location=target))
        assert code == 5
        assert f"the server redirects to {target!r}, which is no URL. Try --mirror" in err
        assert nothing_visible(home)

    @pytest.mark.parametrize(
        ("here", "there", "is_followed"),
        [("http", "https", True), ("https", "https", True), ("https", "http", False)],
    )
    def test_redirect_between_http_and_https(self, here, there, is_followed):
        redirects = download._SameHostRedirects()
        request = download.urllib.request.Request(f"{here}://host/a")
        arguments = (request, io.BytesIO(), 302, "Found", {}, f"{there}://host/b")
        if is_followed:
            assert redirects.redirect_request(*arguments).full_url == f"{there}://host/b"
            return
        with pytest.raises(ModelError, match="redirects from https to http, where anybody on the"):
            redirects.redirect_request(*arguments)

    def test_interim_answers_without_end(self, fetch, server, monkeypatch):
        monkeypatch.setattr(download, "_OPEN_SECONDS", 0.3)

        def interim(handler, _):
            while not server.released.wait(0.02):
                handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

        code, err = fetch(interim)
        assert code == 0
        assert "the file did not begin to arrive within 0.3 s; trying again" in err

    def test_a_trickle(self, fetch, server, monkeypatch):
        monkeypatch.setattr(download, "_OPEN_SECONDS", 0.3)

        def trickle(handler, content):
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            for i in range(1000):
                handler.wfile.write(content[i : i + 1])
                handler.wfile.flush()
                if server.released.wait(0.02):
                    break

        code, err = fetch(trickle)
        assert code == 0
        assert re.search(r"only \d+ bytes came within 0 s; trying again", err)

    @pytest.mark.parametrize("proxy", ["http://[x", "http://host:port"])
    def test_a_proxy_that_is_no_url(self, ct2, server, home, monkeypatch, proxy):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", "")
        code, err = ct2(OLD, "--accept-license", "--mirror", server.url)
        assert code == 5
        assert "the proxy of the environment is no URL" in err or "network error" in err
        assert nothing_visible(home)

    def test_redirect_to_another_host(self, fetch, server, home):
        code, err = fetch(reply(302, Location=f"http://localhost:{server.port}/alpha.pt"))
        assert code == 5
        assert "alpha.pt: the server redirects to another host, localhost, which is not" in err
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
        monkeypatch.setattr(official, "_MAX_MEMBER_BYTES", 5_000_000)
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
