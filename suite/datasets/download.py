"""Downloads one pinned file: resumed after a cut, hashed on the way, put in place only if its digest is right."""

from __future__ import annotations

import hashlib
import itertools
import re
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3
from requests.adapters import HTTPAdapter

from suite import __version__
from suite.datasets.pins import PINS_NAME, Pin
from suite.datasets.state import GOOD, examine
from suite.errors import DataError, InputError
from suite.files import MEGABYTE, check_space, disk_faults
from suite.locks import exclusive
from suite.progress import Step, say, track

_PIECE_BYTES = 1 << 20
_WORTH_BYTES = 1 << 14
"""A connection that brings the file forward by less does not count as progress."""
_PAGE_STARTS = (b"<!doctype", b"<html", b"<head", b"<?xml")


class ConnectionCutError(Exception):
    """The connection was cut or silent for too long: worth another try."""


@dataclass(frozen=True)
class DownloadOptions:
    """How to download.

    Attributes:
        mirror: address of a folder that has the last folder and the name of every file below it, e.g.
            ``http://images.cocodataset.org`` for ``zips/val2017.zip``; None for the pinned addresses.
        timeout_s: seconds without a single byte after which a connection counts as cut.
        attempts: connections in a row that may bring the file no further before giving up.
        pause_s: seconds to wait after the first of these, doubled each time.
    """

    mirror: str | None = None
    timeout_s: float = 30.0
    attempts: int = 5
    pause_s: float = 1.0

    def address(self, url: str) -> str:
        """Return where to load ``url`` from.

        Raises:
            InputError: if it is no http or https address.
        """
        if self.mirror is not None:
            url = "/".join([self.mirror.rstrip("/"), *urllib.parse.urlsplit(url).path.split("/")[-2:]])
        if not url.startswith(("http://", "https://")):
            raise InputError(f"{url}: only http and https addresses can be fetched; correct --mirror or {PINS_NAME}")
        return url


class _Part:
    """The ``.part`` file of a download with its running MD5; an earlier one is taken up.

    Args:
        path: the file, made at the first byte.

    Attributes:
        size: bytes that have arrived.
        answers: how many answers they came from; if more than one, they may not fit together.
        begun_anew: how often the server began anew instead of going on.
        resumable: whether to ask the server for the rest only.
        overflows: whether more bytes came than the file may have; they were not written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.size, self.answers, self.begun_anew = path, 0, 0, 0
        self.resumable, self.overflows = True, False
        self.digest = hashlib.md5(usedforsecurity=False)
        if path.exists():
            self.answers = 1
            with path.open("rb") as stream:
                while piece := stream.read(_PIECE_BYTES):
                    self._count(piece)

    def _count(self, piece: bytes) -> None:
        self.digest.update(piece)
        self.size += len(piece)

    def append(self, pieces: Iterable[bytes], most: int) -> Iterator[int]:
        """Append pieces until the file would have more than ``most`` bytes, yielding the size of each."""
        with self.path.open("ab") as stream:
            for piece in pieces:
                if self.size + len(piece) > most:
                    self.overflows = True
                    return
                stream.write(piece)
                self._count(piece)
                yield len(piece)

    def restart(self) -> None:
        """Throw away what has arrived."""
        self.path.unlink(missing_ok=True)
        self.size, self.answers = 0, 0
        self.digest = hashlib.md5(usedforsecurity=False)


def download(pin: Pin, options: DownloadOptions | None = None) -> None:
    """Bring a pinned file to its place.

    Nothing appears at the place unless its digest is right. After a cut, what has arrived stays beside it as ``.part``
    and the next call goes on from there. What arrived whole but wrong is set aside as ``.bad``.

    Args:
        pin: a pin with a ``url``.
        options: how to download.

    Raises:
        DataError: naming file, cause and remedy, if the file cannot be brought.
        InputError: if the address cannot be used.
    """
    options = options or DownloadOptions()
    target = pin.file
    bad = target.with_name(target.name + ".bad")
    with exclusive(target), disk_faults(pin.path):
        state = examine(pin)
        if state.status in GOOD:
            return
        if state.status != "absent":
            target.replace(bad)
            say(f"{state.explanation.split(';')[0]}; set aside as {bad.name}")
        part = _Part(target.with_name(target.name + ".part"))
        if pin.md5 != part.digest.hexdigest():
            _transfer(pin, part, options)
        if pin.md5 != part.digest.hexdigest() and part.answers > 1:
            say(f"{pin.path}: what arrived before and after a cut does not fit together; starting again")
            part.restart()
            _transfer(pin, part, options)
        if pin.md5 != part.digest.hexdigest():
            part.path.replace(bad)
            raise DataError(
                f"{pin.path}: digest of the download is {part.digest.hexdigest()} but {PINS_NAME} pins {pin.md5}; "
                f"set aside as {bad.name}; try again or another --mirror"
            )
        part.path.replace(target)


def _session(options: DownloadOptions) -> requests.Session:
    """Return a session that tries a refused connection or a failing server again."""
    # How long to wait is not left to the server (Retry-After), which could make it endless.
    retry = urllib3.Retry(
        total=options.attempts - 1,
        backoff_factor=options.pause_s,
        status_forcelist=(408, 425, 429, 500, 502, 503, 504),
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    session.headers.update({"User-Agent": f"mobileinst-suite/{__version__}", "Accept-Encoding": "identity"})
    return session


def _transfer(pin: Pin, part: _Part, options: DownloadOptions) -> None:
    """Fill the part until it is complete, connecting again after cuts.

    Raises:
        DataError: if the server refuses, sends another file, or the file comes no further.
    """
    if pin.size is not None and part.size >= pin.size:
        part.restart()
    room = check_space(pin.path, part.path.parent, max((pin.size or 0) - part.size, 0))
    most = pin.size if pin.size is not None else part.size + room
    idle, furthest = 0, part.size
    title = f"fetch {part.path.name.removesuffix('.part')} (MB)"
    with _session(options) as session, track(title, (pin.size or 0) // MEGABYTE, part.size // MEGABYTE) as step:
        while True:
            begun_anew = part.begun_anew
            try:
                with _answer(session, pin, part, options) as answer:
                    _receive(pin, part, answer, most, step)
                return
            except ConnectionCutError as cut:
                # A server that begins anew each time makes no progress, however far it gets before it is cut.
                onward = part.size - furthest >= _WORTH_BYTES and part.begun_anew == begun_anew
                furthest = max(furthest, part.size)
                idle = 0 if onward else idle + 1
                if idle >= options.attempts:
                    raise DataError(
                        f"{pin.path}: truncated, {part.size} of {pin.size or 'an unknown number of'} bytes arrived "
                        f"({cut}); they are kept as {part.path.name}, run the same command again or use --mirror"
                    ) from None
                say(f"{pin.path}: {cut}; connecting again")
                time.sleep(options.pause_s * 2**idle / 2)


def _answer(session: requests.Session, pin: Pin, part: _Part, options: DownloadOptions) -> requests.Response:
    """Ask for the rest of a file, or for all of it where the server cannot go on in the middle.

    Raises:
        ConnectionCutError: if the server cannot go on; it is asked for the whole file the next time.
        DataError: if it cannot be reached or refuses for good.
        InputError: if the address is none.
    """
    url = options.address(pin.url or "")
    asked = {"Range": f"bytes={part.size}-"} if part.size and part.resumable else {}
    try:
        answer = session.get(url, headers=asked, stream=True, timeout=options.timeout_s)
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidProxyURL) as error:
        raise InputError(f"{url}: is not an address ({error}); correct --mirror or {PINS_NAME}") from None
    except requests.RequestException as error:
        raise DataError(
            f"{pin.path}: {url} cannot be reached ({error}); check the network and https_proxy, use --mirror, or get "
            f"the file by hand and run 'python -m suite data add {pin.name} FILE'"
        ) from None
    if answer.status_code == 416 or (answer.status_code == 206 and _start(answer) != part.size):
        answer.close()
        part.resumable = False
        raise ConnectionCutError("the server cannot go on where it stopped")
    if answer.status_code not in (200, 206):
        answer.close()
        raise DataError(
            f"{pin.path}: {url} answers {answer.status_code} {answer.reason}; use --mirror, or get the file by hand "
            f"and run 'python -m suite data add {pin.name} FILE'"
        )
    return answer


def _start(answer: requests.Response) -> int | None:
    """Return the offset in the file of the first byte of a partial answer, or None if the server does not say."""
    found = re.match(r"\s*bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _receive(pin: Pin, part: _Part, answer: requests.Response, most: int, step: Step) -> None:
    """Append an answer's body to the part.

    Args:
        pin: what is fetched.
        part: what has arrived; emptied first if the answer begins at the file's beginning.
        answer: the answer to a request for the rest, or for all.
        most: bytes the whole file may have.
        step: called with the megabytes that have arrived.

    Raises:
        ConnectionCutError: if it ends too early.
        DataError: if it is a web page, or a file of another size.
    """
    begin = part.size if answer.status_code == 206 else 0
    pieces = _pieces(answer)
    first = next(pieces, b"")
    declared = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if begin == 0 and (declared == "text/html" or first.lstrip()[:10].lower().startswith(_PAGE_STARTS)):
        raise DataError(
            f"{pin.path}: {answer.url} answers with a web page, not the file (a login page or a portal); get it by "
            f"hand and run 'python -m suite data add {pin.name} FILE'"
        )
    length = answer.headers.get("Content-Length", "")
    total = begin + int(length) if length.isdigit() else pin.size
    if pin.size not in (None, total):
        raise DataError(
            f"{pin.path}: {answer.url} offers {total} bytes but {PINS_NAME} pins {pin.size}; it has changed or "
            "the mirror is wrong, nothing was downloaded; try another --mirror"
        )
    if begin != part.size:
        say(f"{pin.path}: the server cannot go on where it stopped; starting again")
        part.restart()
        part.begun_anew += 1
    part.answers += 1
    pending = 0
    for size in part.append(itertools.chain([first], pieces), most):
        pending += size
        step(advance=pending // MEGABYTE)
        pending %= MEGABYTE
    if part.overflows:
        part.restart()
        raise DataError(f"{pin.path}: {answer.url} sends more than the {most} bytes expected; try another --mirror")
    # A server or proxy that states no length ends a whole answer and a cut one alike.
    if total is not None and part.size < total:
        raise ConnectionCutError(f"the connection ended at {part.size} of {total} bytes")


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    """Yield the body as it arrives.

    Raises:
        ConnectionCutError: if the connection breaks or is silent for too long.
    """
    try:
        while piece := answer.raw.read1(_PIECE_BYTES, decode_content=False):
            yield piece
    except urllib3.exceptions.ReadTimeoutError:
        raise ConnectionCutError("the server sent nothing for too long") from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise ConnectionCutError(f"the connection broke ({error})") from None
