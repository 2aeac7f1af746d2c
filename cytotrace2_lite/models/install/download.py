"""Download a file whose content is known: resumed, retried, and checked against its git blob id.

Proxies are those of the environment (`https_proxy`, `no_proxy`) or of the platform.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cytotrace2_lite._version import __version__
from cytotrace2_lite.errors import ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["check_url", "download", "git_blob_id"]

_TIMEOUT_SECONDS = 30.0  # for a connection, and for every piece of an answer
_ATTEMPTS = 5
_BACK_OFF_SECONDS = 1.0  # doubles with every attempt
_MAX_WAIT_SECONDS = 60.0
_PIECE_BYTES = 1 << 18


class _TransferError(Exception):
    """A transfer failed in a way that may not happen again; `wait` is what the server asks for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def git_blob_id(path: Path) -> str:
    """Name the content of a file as git does.

    Parameters
    ----------
    path
        A file.

    Returns
    -------
    str
        40 hexadecimal digits.
    """
    with path.open("rb") as file:
        # Git's choice, not ours; to find another file of the same SHA-1 is still out of reach.
        digest = hashlib.sha1(
            f"blob {os.fstat(file.fileno()).st_size}\0".encode(), usedforsecurity=False
        )
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def check_url(url: str) -> str:
    """Check the URL of a server.

    Parameters
    ----------
    url
        To which paths are to be appended.

    Returns
    -------
    str
        The URL without a slash at its end.

    Raises
    ------
    UsageError
        It is no such URL, or holds what must not appear in messages.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        usable = usable and not (parts.username or parts.query or parts.fragment)
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(
            "the mirror (--mirror or CT2_LITE_MIRROR) must be a URL http://HOST/PATH or "
            "https://HOST/PATH, without user name, password, query or spaces. For files on a disk, "
            "use --from DIR."
        )
    return url.rstrip("/")


def download(
    url: str,
    target: Path,
    *,
    blob_id: str,
    max_bytes: int,
    progress: Callable[[int], None],
    say: Callable[[str], None],
) -> None:
    """Download a file, going on where an earlier call was cut off.

    Parameters
    ----------
    url
        http or https. Redirects to another host are refused.
    target
        Where the file goes once it is complete; what has come so far is in `TARGET.part` beside it,
        and stays there when the download fails.
    blob_id
        Git blob id of the file.
    max_bytes
        Longer answers are refused.
    progress
        Called with the number of bytes that are there.
    say
        Called with a sentence before every wait.

    Raises
    ------
    ModelError
        The file cannot be had, or is another one.
    OSError
        It cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    if part.is_file() and git_blob_id(part) == blob_id:  # complete, but not yet under its name
        part.replace(target)
        return
    opener = urllib.request.build_opener(_SameHostRedirects)
    for attempt in range(_ATTEMPTS):
        fault = _attempt(opener, url, part, blob_id, max_bytes, progress)
        if fault is None:
            part.replace(target)
            return
        if attempt < _ATTEMPTS - 1:
            wait = min(max(fault.wait, _BACK_OFF_SECONDS * 2**attempt), _MAX_WAIT_SECONDS)
            say(f"{fault}; trying again in {wait:g} s.")
            time.sleep(wait)
    raise ModelError(
        f"{url}: the download failed {_ATTEMPTS} times, the last time with: {fault}. Nothing was "
        "installed; what came is kept, and the same command goes on from there. Check the network "
        "and the proxy (https_proxy), or try --mirror URL, or fetch the files by other means and "
        "use --from DIR."
    ) from fault


class _SameHostRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects within a host only: the user is to know who is asked."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        here, there = urlsplit(req.full_url), urlsplit(newurl)
        if here.hostname != there.hostname or there.scheme not in ("http", "https"):
            fp.close()
            raise ModelError(
                f"{req.full_url}: the server sends on to another host, {there.hostname}, which "
                "is not followed. If you trust that host, name it with --mirror."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _attempt(
    opener: urllib.request.OpenerDirector,
    url: str,
    part: Path,
    blob_id: str,
    max_bytes: int,
    progress: Callable[[int], None],
) -> _TransferError | None:
    try:
        certain = _receive(opener, url, part, max_bytes, progress)
    except _TransferError as fault:
        return fault
    received = git_blob_id(part)
    if received == blob_id:
        return None
    part.unlink()
    if not certain:
        return _TransferError("the file came incomplete")
    raise ModelError(
        f"{url}: not the file its authors published (git blob id {received[:12]}, not "
        f"{blob_id[:12]}). It was thrown away. The server has another file, or a proxy alters what "
        "it passes on: try --mirror, another network, or --from DIR."
    )


def _receive(
    opener: urllib.request.OpenerDirector,
    url: str,
    part: Path,
    max_bytes: int,
    progress: Callable[[int], None],
) -> bool:
    """Append to `part` what it lacks; False where it may be incomplete all the same."""
    n_bytes = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": f"cytotrace2_lite/{__version__}", "Accept-Encoding": "identity"}
    if n_bytes:
        headers["Range"] = f"bytes={n_bytes}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # https or http, checked
    with _open(opener, request, part) as response:
        resumed = n_bytes > 0 and response.status == http.client.PARTIAL_CONTENT
        if not resumed:  # the server starts over
            n_bytes = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {n_bytes}-"):
            part.unlink()
            raise _TransferError("the server sent another part of the file than it was asked for")
        length: int | None = response.length
        _check_length(url, n_bytes + (length or 0), max_bytes)
        chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
        is_page = response.headers.get_content_type() == "text/html"
        with part.open("ab" if resumed else "wb") as file:
            for piece in _pieces(response, length):
                if is_page or (n_bytes == 0 and _looks_like_html(piece)):
                    raise ModelError(
                        f"{url}: a web page came instead of the file, as from the login page of a "
                        "network or from a proxy. Open the address in a browser to see it; then "
                        "try again, or use --mirror or --from DIR."
                    )
                n_bytes += len(piece)
                _check_length(url, n_bytes, max_bytes)
                file.write(piece)
                progress(n_bytes)
    return not resumed and (length is not None or chunked)


def _open(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, part: Path
) -> Any:
    """Send a request; the answer is one of success."""
    try:
        return opener.open(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        raise _refusal(error, request.full_url, part) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise ModelError(
                f"{request.full_url}: the server's certificate is not trusted "
                f"({reason.verify_message}). If a proxy of your institute stands between, name its "
                "certificate in the environment variable SSL_CERT_FILE, or use --from DIR."
            ) from error
        raise _TransferError(_reason(reason)) from error
    except UnicodeError as error:
        raise ModelError(f"{request.full_url}: no host can have this name. Check it.") from error


def _refusal(error: urllib.error.HTTPError, url: str, part: Path) -> ModelError | _TransferError:
    """Tell what an answer other than success means."""
    answer = f"{error.code} {error.reason}"
    if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
        part.unlink(missing_ok=True)  # longer than the file: of no use
        return _TransferError("the part that was there does not fit the file")
    if error.code in (408, 429) or error.code >= 500:
        asked = error.headers.get("Retry-After", "")
        return _TransferError(
            f"the server answered {answer}", float(asked) if asked.isdecimal() else 0.0
        )
    if error.code in (404, 410):
        return ModelError(
            f"{url}: the server has no such file ({answer}). A mirror must have the files under "
            "the paths of the authors' repository; with files of another layout, use --from DIR."
        )
    if error.code == http.client.PROXY_AUTHENTICATION_REQUIRED:
        return ModelError(
            f"{url}: the proxy asks for a password ({answer}). Give it in the environment: "
            "https_proxy=http://USER:PASSWORD@HOST:PORT"
        )
    return ModelError(
        f"{url}: the server does not give the file ({answer}). Try --mirror, another network, or "
        "--from DIR."
    )


def _pieces(response: Any, length: int | None) -> Iterator[bytes]:
    """Yield the body of an answer as it comes; `length` is what is to come, where it is known."""
    n_bytes = 0
    while True:
        try:
            piece: bytes = response.read1(_PIECE_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _TransferError(_reason(error)) from error
        if not piece:
            break
        n_bytes += len(piece)
        yield piece
    if length is not None and n_bytes < length:
        raise _TransferError(f"the connection was cut after {n_bytes:,} of {length:,} bytes")


def _check_length(url: str, n_bytes: int, max_bytes: int) -> None:
    if n_bytes > max_bytes:
        raise ModelError(
            f"{url}: longer than {max_bytes / 1e6:.0f} MB, which no file of the ensemble is. The "
            "server has something else there: try --mirror or --from DIR."
        )


def _looks_like_html(piece: bytes) -> bool:
    return piece[:200].lstrip().lower().startswith((b"<!doctype", b"<html"))


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came for {_TIMEOUT_SECONDS:g} s"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection was cut"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"network error ({reason})"
