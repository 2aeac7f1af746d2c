"""A server on this machine with the files of official ensembles, and every fault a network has."""

import contextlib
import http.server
import threading
from urllib.parse import urlsplit

from cytotrace2_lite.models.installed import installed_model

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


def nothing_visible(home):
    """Tell whether there is no model, and no file but hidden ones."""
    return installed_model(OLD) is None and not list(home.glob("[!.]*"))
