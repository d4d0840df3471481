"""One HTTP request for the rest of a file, with the faults a user meets told apart."""

from __future__ import annotations

import http.client
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from suite import __version__
from suite.errors import DataError, InputError

_PAGE_STARTS = (b"<!doctype", b"<html", b"<head", b"<?xml")


class ConnectionCutError(Exception):
    """The connection was cut, refused or silent for too long: worth another try."""


@dataclass
class Answer:
    """What the server sends.

    Attributes:
        url: where it comes from after redirects.
        start: offset of the first byte of the body in the file; 0 where the server ignored the range.
        total: size of the whole file in bytes, or None if the server does not say.
        etag: the server's name for this version of the file, or None.
        is_page: whether it is a web page instead of the file.
    """

    url: str
    start: int
    total: int | None
    etag: str | None
    is_page: bool
    _response: http.client.HTTPResponse
    _ahead: bytes = field(default=b"")

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; empty at the end.

        Raises:
            ConnectionCutError: if the connection breaks or is silent for too long.
        """
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        return _read(self._response, size)


def _read(response: http.client.HTTPResponse, size: int) -> bytes:
    try:
        return response.read1(size)
    except TimeoutError:
        raise ConnectionCutError("the server sent nothing for too long") from None
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionCutError(f"the connection broke ({error})") from None


def _opener(proxy: str | None) -> urllib.request.OpenerDirector:
    if proxy is None:
        return urllib.request.build_opener()
    return urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))


def _refused(url: str, error: urllib.error.HTTPError) -> Exception:
    """Return what an HTTP status means for the user."""
    if error.code in (408, 425, 429) or error.code >= 500:
        return ConnectionCutError(f"the server answers {error.code} {error.reason}")
    if error.code in (401, 403):
        return DataError(f"{url}: access refused ({error.code}); get the file by hand and use --from, or a --mirror")
    return DataError(f"{url}: the server answers {error.code} {error.reason}; the file may have moved, try a --mirror")


def _looks_like_page(response: http.client.HTTPResponse, first: bytes) -> bool:
    declared = response.headers.get_content_type() in ("text/html", "application/xhtml+xml")
    return declared or first.lstrip()[:10].lower().startswith(_PAGE_STARTS)


@contextmanager
def open_range(url: str, start: int, etag: str | None, timeout_s: float, proxy: str | None) -> Iterator[Answer]:
    """Ask for a file from byte ``start`` on.

    Args:
        url: an http or https address.
        start: bytes already here.
        etag: what the server called the version they are of; a changed file is then sent from its beginning.
        timeout_s: seconds without a byte after which the connection counts as cut.
        proxy: address of a proxy, or None for the environment's.

    Yields:
        The answer; check its ``start``.

    Raises:
        ConnectionCutError: if the server cannot be reached, fails or breaks off.
        DataError: if it refuses for good (404, 403).
        InputError: if the address is not http or https.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{url}: only http and https addresses can be fetched; correct --mirror or datasets.dvc")
    headers = {"User-Agent": f"mobileinst-suite/{__version__}"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if etag and not etag.startswith("W/"):
            headers["If-Range"] = etag
    try:
        response = _opener(proxy).open(urllib.request.Request(url, headers=headers), timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 416:
                raise _refused(url, error) from None
        # Nothing lies beyond what we have, so ours is too long or complete: compare from the beginning.
        with open_range(url, 0, None, timeout_s, proxy) as answer:
            yield answer
        return
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        silent = isinstance(reason, TimeoutError | socket.timeout)
        raise ConnectionCutError("the server does not answer" if silent else str(reason)) from None
    except ValueError as error:
        raise InputError(f"{url}: is not an address ({error}); correct --mirror, --proxy or datasets.dvc") from None
    with response:
        begin, total = 0, None
        if response.status == 206:
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
            if found is None:
                raise ConnectionCutError("the server sent a range without saying which")
            begin = int(found[1])
            total = None if found[2] == "*" else int(found[2])
        elif (length := response.headers.get("Content-Length", "")).isdigit():
            total = int(length)
        first = _read(response, 4096)
        page = begin == 0 and _looks_like_page(response, first)
        yield Answer(response.url, begin, total, response.headers.get("ETag"), page, response, first)
