"""Download files whose content is known: resumed, tried again, compared with their git blob ids.

This is the only module of the package that uses the network. Proxies are those of the environment
(`https_proxy`, `no_proxy`) or of the platform.
"""

from __future__ import annotations

import http.client
import queue
import ssl
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from cytotrace2_lite._version import __version__
from cytotrace2_lite.errors import ModelError, UsageError
from cytotrace2_lite.models.install.installation import DownloadProgress
from cytotrace2_lite.models.install.official import REPOSITORY, git_blob_id
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cytotrace2_lite.models.install.installation import Report
    from cytotrace2_lite.models.install.official import OfficialEnsemble, OfficialFile

__all__ = ["download_ensemble", "mirror_url"]

_TIMEOUT_SECONDS = 30.0  # for a connection, and for every block of an answer
_OPEN_SECONDS = 120.0  # from a request to the first byte of the file, whatever comes in between
_SLOWEST_BYTES_PER_SECOND = 2000.0  # of a file, on the average once it has begun to arrive
_ATTEMPTS = 5
_BACK_OFF_SECONDS = 1.0  # doubles with every attempt
_MAX_WAIT_SECONDS = 60.0
_BLOCK_BYTES = 1 << 18


class _TransferError(Exception):
    """A transfer failed, and another attempt may succeed.

    Parameters
    ----------
    reason
        What happened, as a phrase.
    wait
        How long the server asks to wait, in seconds.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def mirror_url(url: str) -> str:
    """Accept or refuse the URL of a mirror of the authors' repository.

    Parameters
    ----------
    url
        URL to which the paths of the files are appended.

    Returns
    -------
    str
        The URL without a slash at its end.

    Raises
    ------
    UsageError
        It is not such a URL, or has parts that must not appear in messages.
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


def download_ensemble(
    ensemble: OfficialEnsemble, mirror: str, folder: Path, report: Report
) -> dict[str, Path]:
    """Download the files of an official ensemble that are not there yet.

    Parameters
    ----------
    ensemble
        The ensemble.
    mirror
        URL below which the files have the paths of the authors' repository, from `mirror_url`.
        Empty: the repository itself, at the commit of the package's list.
    folder
        Where the files go, each named by its git blob id; made where it does not exist.
    report
        Called with sentences on what is going on, and with each step of a download.

    Returns
    -------
    dict
        Git blob id to path.

    Raises
    ------
    ModelError
        A file cannot be downloaded, or the server has another one.
    OSError
        A file cannot be written.
    """
    folder.mkdir(exist_ok=True)
    report(f"Downloading {ensemble.name} from {mirror or REPOSITORY}")
    files = {}
    for index, file in enumerate(ensemble.files, 1):
        path = files[file.blob_id] = folder / file.blob_id

        def step(n_bytes: int, done: bool = False, i: int = index, f: OfficialFile = file) -> None:
            report(DownloadProgress(i, len(ensemble.files), f.filename, n_bytes, done))

        if not path.is_file() or git_blob_id(path) != file.blob_id:
            _download(
                f"{mirror or f'{REPOSITORY}/{file.commit}'}/{quote(file.path)}",
                path,
                blob_id=file.blob_id,
                max_bytes=file.max_bytes,
                progress=step,
                say=report,
            )
        step(path.stat().st_size, done=True)
    return files


def _download(
    url: str,
    target: Path,
    *,
    blob_id: str,
    max_bytes: int,
    progress: Callable[[int], None],
    say: Callable[[str], None],
) -> None:
    """Download a file. If an earlier call was cut off, go on from there.

    Parameters
    ----------
    url
        http or https. Redirects to another host are refused.
    target
        Where the file goes once it is complete. What has arrived so far is in `TARGET.part` beside
        it, and stays there when the download fails.
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
        The file cannot be downloaded, or the server has another one.
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
        "installed; what arrived is kept, and the same command goes on from there. Check the "
        "network and the proxy (https_proxy), or try --mirror URL, or fetch the files by other "
        "means and use --from DIR."
    ) from fault


class _SameHostRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects within a host only: the user must know which host is asked."""

    def http_error_302(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any
    ) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError:
            fp.close()
            raise ModelError(
                f"{req.full_url}: the server redirects to {shown(headers.get('Location', ''))}, "
                "which is no URL. Try --mirror, or --from DIR."
            ) from None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

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
        host, _ = there.hostname, there.port  # a port that is no number is an error, too
        if here.hostname != host or there.scheme not in ("http", "https"):
            fp.close()
            raise ModelError(
                f"{req.full_url}: the server redirects to another host, {host or shown(newurl)}, "
                "which is not followed. If you trust that host, name it with --mirror."
            )
        if here.scheme == "https" and there.scheme == "http":
            fp.close()
            raise ModelError(
                f"{req.full_url}: the server redirects from https to http, where anybody on the "
                "way may read and alter what is sent. That is not followed. Try --mirror, or "
                "--from DIR."
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
    """Receive the rest of a file once; give what went wrong if it may be tried again."""
    try:
        is_sure = _receive(opener, url, part, max_bytes, progress)
    except _TransferError as fault:
        return fault
    received = git_blob_id(part)
    if received == blob_id:
        return None
    part.unlink()
    if not is_sure:
        return _TransferError("the file arrived incomplete")
    raise ModelError(
        f"{url}: not the file its authors published (git blob id {received[:12]}, not "
        f"{blob_id[:12]}). It was deleted. The server has another file, or a proxy alters what "
        "it passes on: try --mirror, another network, or --from DIR."
    )


def _receive(
    opener: urllib.request.OpenerDirector,
    url: str,
    part: Path,
    max_bytes: int,
    progress: Callable[[int], None],
) -> bool:
    """Append to `part` what it lacks.

    False where `part` may differ from the server's file: it was joined from two answers, or the
    answer did not state its length, so that it may have been cut off.
    """
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
        _refuse_longer(url, n_bytes + (length or 0), max_bytes)
        chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
        is_page = response.headers.get_content_type() == "text/html"
        with part.open("ab" if resumed else "wb") as file:
            for block in _blocks(response, length):
                if is_page or (n_bytes == 0 and _looks_like_html(block)):
                    raise ModelError(
                        f"{url}: a web page came instead of the file, such as the login page of a "
                        "network or of a proxy. Open the address in a browser to see it; then "
                        "try again, or use --mirror or --from DIR."
                    )
                n_bytes += len(block)
                _refuse_longer(url, n_bytes, max_bytes)
                file.write(block)
                progress(n_bytes)
    return not resumed and (length is not None or chunked)


def _open(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, part: Path
) -> Any:
    """Send a request and return the answer; raise where the server does not give the file."""
    try:
        return _within(_OPEN_SECONDS, lambda: opener.open(request, timeout=_TIMEOUT_SECONDS))
    except urllib.error.HTTPError as error:
        error.close()
        raise _refusal(error, request.full_url, part) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise ModelError(
                f"{request.full_url}: the server's certificate is not trusted "
                f"({reason.verify_message}). If your institute has a proxy, name its "
                "certificate in the environment variable SSL_CERT_FILE, or use --from DIR."
            ) from error
        raise _TransferError(_reason(reason)) from error
    except UnicodeError as error:
        raise ModelError(f"{request.full_url}: no host can have this name. Check it.") from error
    except ValueError as error:  # urllib's, of a proxy that is no URL
        raise ModelError(
            f"{request.full_url}: the proxy of the environment is no URL ({error}). Unset "
            "https_proxy, or set it to http://HOST:PORT."
        ) from error


def _within(seconds: float, open_: Callable[[], Any]) -> Any:
    """Open a connection, but do not wait longer than that.

    The time-out of a socket starts anew with every byte: a server might keep a caller for ever.
    """
    answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put((open_(), None))
        except BaseException as error:  # noqa: BLE001 (raised by the caller)
            answers.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise _TransferError(f"the file did not begin to arrive within {seconds:g} s") from None
    if error is not None:
        raise error
    return answer


def _refusal(error: urllib.error.HTTPError, url: str, part: Path) -> ModelError | _TransferError:
    """Tell what an answer means that is not the file."""
    answer = f"{error.code} {error.reason}"
    if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
        part.unlink(missing_ok=True)  # it is longer than the file
        return _TransferError("the part that was downloaded before does not fit the file")
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


def _blocks(response: Any, length: int | None) -> Iterator[bytes]:
    """Yield the body of an answer as it arrives; `length` is its length, where that is known."""
    n_bytes = 0
    begun = time.monotonic()
    while True:
        lasted = time.monotonic() - begun
        if lasted > _OPEN_SECONDS and n_bytes < lasted * _SLOWEST_BYTES_PER_SECOND:
            raise _TransferError(f"only {n_bytes:,} bytes came within {lasted:.0f} s")
        try:
            block: bytes = response.read1(_BLOCK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _TransferError(_reason(error)) from error
        if not block:
            break
        n_bytes += len(block)
        yield block
    if length is not None and n_bytes < length:
        raise _TransferError(f"the connection was cut after {n_bytes:,} of {length:,} bytes")


def _refuse_longer(url: str, n_bytes: int, max_bytes: int) -> None:
    if n_bytes > max_bytes:
        raise ModelError(
            f"{url}: longer than {max_bytes / 1e6:.0f} MB, which no file of the ensemble is. The "
            "server has another file there: try --mirror or --from DIR."
        )


def _looks_like_html(block: bytes) -> bool:
    return block[:200].lstrip().lower().startswith((b"<!doctype", b"<html"))


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came for {_TIMEOUT_SECONDS:g} s"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection was cut"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"network error ({reason})"
