"""Downloads one pinned file: resumed after a cut, put in place only if its digest is right."""

from __future__ import annotations

import itertools
import re
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema
from urllib3 import Retry
from urllib3.exceptions import HTTPError, ReadTimeoutError

from suite import __version__
from suite.datasets.pins import PINS_NAME, Pin
from suite.datasets.state import GOOD, examine
from suite.errors import DataError, InputError
from suite.files import MEGABYTE, check_space, disk_faults, file_digest
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


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def download(pin: Pin, options: DownloadOptions | None = None) -> None:
    """Bring the file of a pin with a ``url`` to its place.

    Nothing appears at the place unless its digest is right. After a cut, what has arrived stays beside it as ``.part``
    and the next call goes on from there. What arrived whole but wrong is set aside as ``.bad``.

    Raises:
        DataError: naming file, cause and remedy, if the file cannot be brought.
        InputError: if the address cannot be used.
    """
    options = options or DownloadOptions()
    target = pin.file
    part, bad = (target.with_name(target.name + suffix) for suffix in (".part", ".bad"))
    with exclusive(target), disk_faults(pin.path):
        state = examine(pin)
        if state.status in GOOD:
            return
        if state.status != "absent":
            target.replace(bad)
            say(f"{state.explanation.split(';')[0]}; set aside as {bad.name}")
        have = file_digest(part, "md5") if part.exists() else ""
        if have != pin.md5:
            pieced = _transfer(pin, part, options)
            have = file_digest(part, "md5")
            if have != pin.md5 and pieced:
                say(f"{pin.path}: what arrived before and after a cut does not fit together; starting again")
                part.unlink()
                _transfer(pin, part, options)
                have = file_digest(part, "md5")
        if have != pin.md5:
            part.replace(bad)
            raise DataError(
                f"{pin.path}: digest of the download is {have} but {PINS_NAME} pins {pin.md5}; set aside as "
                f"{bad.name}; try again or another --mirror"
            )
        part.replace(target)


def _session(options: DownloadOptions) -> requests.Session:
    """Return a session that tries a refused connection or a failing server again."""
    # How long to wait is not left to the server (Retry-After), which could make it endless.
    retry = Retry(
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


def _transfer(pin: Pin, part: Path, options: DownloadOptions) -> bool:
    """Fill the part until it is complete, connecting again after cuts, as long as the file comes further.

    Return whether it is from more than one connection, whose answers may not fit together.
    """
    if pin.size is not None and _size(part) >= pin.size:
        part.unlink(missing_ok=True)
    furthest = _size(part)
    room = check_space(pin.path, part.parent, max((pin.size or 0) - furthest, 0))
    most = pin.size if pin.size is not None else furthest + room
    idle, pieced, resumable = 0, furthest > 0, True
    title = f"fetch {part.name.removesuffix('.part')} (MB)"
    with _session(options) as session, track(title, (pin.size or 0) // MEGABYTE, furthest // MEGABYTE) as step:
        while True:
            begun = _size(part) if resumable else 0
            try:
                with _answer(session, pin, begun, options) as answer:
                    resumable = resumable and (begun == 0 or answer.status_code == 206)
                    _receive(pin, part, answer, most, step)
                return pieced
            except ConnectionCutError as cut:
                size, pieced = _size(part), True
                # A server that begins anew each time makes no progress, however far it gets before it is cut.
                idle = 0 if resumable and size - furthest >= _WORTH_BYTES else idle + 1
                furthest = max(furthest, size)
                if idle >= options.attempts:
                    raise DataError(
                        f"{pin.path}: truncated, {size} of {pin.size or 'an unknown number of'} bytes arrived ({cut}); "
                        f"they stay in {part.name}, run the same command again or use --mirror"
                    ) from None
                say(f"{pin.path}: {cut}; connecting again")
                time.sleep(options.pause_s * 2**idle / 2)


def _answer(session: requests.Session, pin: Pin, start: int, options: DownloadOptions) -> requests.Response:
    """Ask for a file from its byte ``start`` on; a server may send all of it instead."""
    url = pin.meta.url or ""
    if options.mirror is not None:
        url = "/".join([options.mirror.rstrip("/"), *urllib.parse.urlsplit(url).path.split("/")[-2:]])
    by_hand = f"or get the file by hand and run 'python -m suite data add {pin.name} FILE'"
    asked = {"Range": f"bytes={start}-"} if start else {}
    try:
        answer = session.get(url, headers=asked, stream=True, timeout=options.timeout_s)
    except (InvalidURL, InvalidSchema, MissingSchema) as error:
        raise InputError(f"{url}: is no http or https address ({error}); correct --mirror or {PINS_NAME}") from None
    except requests.RequestException as error:
        raise DataError(
            f"{pin.path}: {url} cannot be reached ({error}); check the network and https_proxy, use --mirror, {by_hand}"
        ) from None
    offset = re.match(rf"\s*bytes {start}-", answer.headers.get("Content-Range", ""))
    if start and (answer.status_code == 416 or (answer.status_code == 206 and offset is None)):
        answer.close()
        return _answer(session, pin, 0, options)
    if answer.status_code not in (200, 206):
        answer.close()
        raise DataError(f"{pin.path}: {url} answers {answer.status_code} {answer.reason}; use --mirror, {by_hand}")
    return answer


def _receive(pin: Pin, part: Path, answer: requests.Response, most: int, step: Step) -> None:
    """Append an answer's body to the part, or begin the part anew where the answer is the whole file.

    ``most`` is the number of bytes that the whole file may have, ``step`` is called with the megabytes that arrive. A
    web page and a file of another size are refused.
    """
    size = _size(part) if answer.status_code == 206 else 0
    pieces = _pieces(answer)
    first = next(pieces, b"")
    declared = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if size == 0 and (declared == "text/html" or first.lstrip()[:10].lower().startswith(_PAGE_STARTS)):
        raise DataError(
            f"{pin.path}: {answer.url} answers with a web page, not the file (a login page or a portal); get it by "
            f"hand and run 'python -m suite data add {pin.name} FILE'"
        )
    length = answer.headers.get("Content-Length", "")
    total = size + int(length) if length.isdigit() else pin.size
    if pin.size not in (None, total):
        raise DataError(
            f"{pin.path}: {answer.url} offers {total} bytes but {PINS_NAME} pins {pin.size}; it has changed or "
            "the mirror is wrong, nothing was downloaded; try another --mirror"
        )
    if size < _size(part):
        say(f"{pin.path}: the server cannot go on where it stopped; starting again")
    pending = 0
    with part.open("ab" if size else "wb") as stream:
        for piece in itertools.chain([first], pieces):
            size += len(piece)
            if size > most:
                break
            stream.write(piece)
            pending += len(piece)
            step(advance=pending // MEGABYTE)
            pending %= MEGABYTE
    if size > most:
        part.unlink()
        raise DataError(f"{pin.path}: {answer.url} sends more than the {most} bytes expected; try another --mirror")
    # A server or proxy that states no length ends a whole answer and a cut one alike.
    if total is not None and size < total:
        raise ConnectionCutError(f"the connection ended at {size} of {total} bytes")


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    """Yield the body as it arrives, until the connection breaks or is silent for too long."""
    try:
        while piece := answer.raw.read1(_PIECE_BYTES, decode_content=False):
            yield piece
    except ReadTimeoutError:
        raise ConnectionCutError("the server sent nothing for too long") from None
    except (HTTPError, OSError) as error:
        raise ConnectionCutError(f"the connection broke ({error})") from None
