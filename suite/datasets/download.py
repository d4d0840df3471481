"""Downloads one pinned file: resumed after a cut, hashed on the way, put in place only if its digest is right."""

from __future__ import annotations

import errno
import shutil
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from suite.datasets.http_source import Answer, ConnectionCutError, open_range
from suite.datasets.locks import exclusive
from suite.datasets.partial import Partial
from suite.datasets.pins import PINS_NAME, Pin, examine
from suite.errors import DataError
from suite.progress import Step, say, track

MEGABYTE = 1_000_000
_PIECE_BYTES = 1 << 20
_SPARE_BYTES = 64 * MEGABYTE


@dataclass(frozen=True)
class DownloadOptions:
    """How to download.

    Attributes:
        mirror: replaces scheme and host of every address, e.g. ``"https://s3.amazonaws.com/images.cocodataset.org"``.
        proxy: address of an HTTP proxy; the environment's ``http_proxy`` is used if None.
        timeout_s: seconds without a single byte after which a connection counts as cut.
        attempts: connections in a row that may bring nothing before giving up.
        pause_s: seconds to wait after the first of these, doubled each time.
    """

    mirror: str | None = None
    proxy: str | None = None
    timeout_s: float = 30.0
    attempts: int = 5
    pause_s: float = 1.0

    def address(self, url: str) -> str:
        """Return where to load ``url`` from."""
        if self.mirror is None:
            return url
        return self.mirror.rstrip("/") + urllib.parse.urlsplit(url).path


def download(pin: Pin, options: DownloadOptions | None = None) -> None:
    """Bring a pinned file to its place.

    Nothing appears at the place unless its digest is right. After a cut, what has arrived stays beside it as ``.part``
    and the next call goes on from there. What arrived whole but wrong is set aside as ``.bad``.

    Args:
        pin: a pin with a ``url``.
        options: how to download.

    Raises:
        DataError: naming file, cause and remedy, if the file cannot be brought.
    """
    options = options or DownloadOptions()
    assert pin.url is not None
    target = pin.file
    with exclusive(target), disk_faults(pin.path):
        state = examine(pin)
        if state.status in ("verified", "unpacked", "adopted", "unpinned"):
            return
        if state.status != "absent":
            set_aside(pin, target, state.explanation)
        partial = Partial(target.with_name(target.name + ".part"))
        if pin.md5 is None or pin.md5 != partial.md5():
            _transfer(pin, partial, options)
        if partial.sources > 1 and pin.md5 not in (None, partial.md5()):
            say(f"{pin.path}: what arrived before and after a cut does not fit together; starting again")
            partial.restart()
            _transfer(pin, partial, options)
        if pin.md5 not in (None, partial.md5()):
            have = partial.md5()
            partial.path.replace(bad_path(target))
            partial.forget()
            raise DataError(
                f"{pin.path}: digest of the download is {have} but {PINS_NAME} pins {pin.md5}; set aside as "
                f"{bad_path(target).name}, nothing was pinned; try again or another --mirror"
            )
        partial.path.replace(target)
        partial.forget()


def bad_path(target: Path) -> Path:
    """Return where a wrong file is set aside."""
    return target.with_name(target.name + ".bad")


def set_aside(pin: Pin, target: Path, explanation: str) -> None:
    """Move a wrong file out of the way, so that it is neither used nor lost."""
    target.replace(bad_path(target))
    say(f"{explanation.split(';')[0]}; set aside as {bad_path(target).name}")


@contextmanager
def disk_faults(what: str) -> Iterator[None]:
    """Turn what the disk refuses into one line that names ``what`` and the remedy.

    Raises:
        DataError: in place of any OSError of the block.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(f"{what}: the disk is full; free some space and run the same command again") from None
        reason = error.strerror or error
        raise DataError(f"{what}: cannot be written ({reason}); check the folder's permissions") from None


def check_space(what: str, folder: Path, wanted: int) -> None:
    """Refuse to begin what the disk has no room for: ``wanted`` bytes in ``folder``, and some to spare."""
    free = shutil.disk_usage(folder).free
    if wanted + _SPARE_BYTES > free:
        raise DataError(
            f"{what}: needs {wanted // MEGABYTE} MB but the disk has {free // MEGABYTE} MB free; free some "
            "space or link data/ to a larger disk"
        )


def _transfer(pin: Pin, partial: Partial, options: DownloadOptions) -> None:
    """Fill ``partial`` until it is complete, reconnecting after cuts."""
    address = options.address(pin.url or "")
    if pin.size is not None:
        check_space(pin.path, partial.path.parent, max(pin.size - partial.size, 0))
    idle = 0
    total = (pin.size or 0) // MEGABYTE
    with track(f"fetch {partial.path.name.removesuffix('.part')} (MB)", total, partial.size // MEGABYTE) as step:
        while True:
            before = partial.size
            try:
                with open_range(address, partial.size, partial.etag, options.timeout_s, options.proxy) as answer:
                    _receive(pin, partial, answer, step)
                return
            except ConnectionCutError as cut:
                idle = 0 if partial.size > before else idle + 1
                if idle >= options.attempts:
                    raise DataError(_gave_up(pin, partial, address, cut)) from None
                say(f"{pin.path}: {cut}; connecting again")
                time.sleep(options.pause_s * 2**idle / 2)


def _gave_up(pin: Pin, partial: Partial, address: str, cut: ConnectionCutError) -> str:
    if partial.size == 0:
        partial.discard()
        return f"{pin.path}: {address} cannot be reached ({cut}); check the network, or use --mirror, --proxy or --from"
    expected = f"of {pin.size} bytes" if pin.size is not None else "bytes"
    return (
        f"{pin.path}: truncated, {partial.size} {expected} arrived ({cut}); they are kept as {partial.path.name}, "
        "run the same command again to go on"
    )


def _receive(pin: Pin, partial: Partial, answer: Answer, step: Step) -> None:
    if answer.is_page:
        if partial.size == 0:
            partial.discard()
        raise DataError(
            f"{pin.path}: {answer.url} answers with a web page, not the file (a login page or a portal); get it by "
            "hand and run 'python -m suite data fetch --from FILE'"
        )
    if pin.size is not None and answer.total is not None and answer.total != pin.size:
        raise DataError(
            f"{pin.path}: {answer.url} offers {answer.total} bytes but {PINS_NAME} pins {pin.size}; it has changed or "
            "the mirror is wrong, nothing was downloaded; try another --mirror"
        )
    if answer.start != partial.size:
        say(f"{pin.path}: the server cannot go on where it stopped or has a new file; starting again")
        partial.restart()
    partial.note(answer.etag)
    pending = 0
    with partial.appending() as append:
        while piece := answer.read(_PIECE_BYTES):
            append(piece)
            pending += len(piece)
            step(advance=pending // MEGABYTE)
            pending %= MEGABYTE
    # A server or proxy that states no length ends a whole answer and a cut one alike.
    total = answer.total if answer.total is not None else pin.size
    if total is not None and partial.size < total:
        raise ConnectionCutError(f"the connection ended at {partial.size} of {total} bytes")
