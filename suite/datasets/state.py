"""What is on this disk for a pin: compared with its digest, or unpacked from what had the right one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from suite.datasets.digests import directory_digest, remembered_md5
from suite.datasets.pins import PINS_NAME, Pin, pin_named
from suite.errors import DataError, SuiteError
from suite.files import write_json
from suite.paths import repository_root
from suite.typed import read_typed

Status = Literal["verified", "unpacked", "unpinned", "absent", "truncated", "mismatch"]

GOOD: tuple[Status, ...] = ("verified", "unpacked")
"""What a pin with a digest should be."""

STAMP_FOLDER = ".unpacked"


@dataclass(frozen=True)
class Stamp:
    """A note beside an unpacked archive: which archive it came from, so that a second run does nothing.

    Attributes:
        digest: MD5 of the archive.
        files: number of files.
        tops: names directly under the unpack folder that came from it.
    """

    digest: str
    files: int
    tops: tuple[str, ...]


def stamp_path(unpack: str, name: str) -> Path:
    """Return where the stamp of a pin lies; ``unpack`` is the folder its archive is unpacked into."""
    return repository_root() / unpack / STAMP_FOLDER / f"{name}.json"


def read_stamp(unpack: str | None, name: str) -> Stamp | None:
    """Return the stamp of a pin, or None if there is none, it is broken or something it names is gone."""
    if unpack is None:
        return None
    try:
        stamp = read_typed(stamp_path(unpack, name), Stamp, "stamp", "remove it")
    except SuiteError:
        return None
    return stamp if all((repository_root() / unpack / top).exists() for top in stamp.tops) else None


def write_stamp(unpack: str, name: str, stamp: Stamp) -> None:
    """Write the stamp of a pin."""
    write_json(stamp_path(unpack, name), asdict(stamp))


@dataclass(frozen=True)
class State:
    """What is on the disk for a pin.

    Attributes:
        status: ``verified``; ``unpacked`` (the archive was as pinned, was unpacked and is gone); ``unpinned``
            (present, nothing to compare with); ``absent``; ``truncated``; ``mismatch``.
        have: the digest found, or None.
        size: bytes found, or None.
        explanation: one line naming the file and the remedy; empty if nothing is wrong.
    """

    status: Status
    have: str | None = None
    size: int | None = None
    explanation: str = ""


def examine(pin: Pin, again: bool = False) -> State:
    """Compare what is on the disk with a pin.

    Args:
        pin: what it should be.
        again: whether every byte is read, also of a file whose digest is remembered; folders are always read.

    Returns:
        What was found; nothing is changed on the disk.

    Raises:
        DataError: if something cannot be read.
    """
    path = pin.file
    if not path.exists():
        stamp = read_stamp(pin.unpack, pin.name)
        if stamp is not None and stamp.digest == pin.md5:
            return State("unpacked", stamp.digest)
        return State("absent", explanation=f"{pin.path}: absent; {pin.how_to_get()}")
    if pin.is_folder != path.is_dir():
        kind = "folder" if pin.is_folder else "file"
        return State("mismatch", explanation=f"{pin.path}: should be a {kind}; move it away, then {pin.how_to_get()}")
    if pin.is_folder:
        have, size, _ = directory_digest(path)
    else:
        size = path.stat().st_size
        if pin.size is not None and size < pin.size:
            text = f"{pin.path}: truncated, has {size} of {pin.size} bytes; remove it, then {pin.how_to_get()}"
            return State("truncated", None, size, text)
        have = remembered_md5(path, again)
    if have == pin.md5:
        return State("verified", have, size)
    if pin.md5 is None:
        remedy = f"pin yours with 'python -m suite data add {pin.name}'"
        return State("unpinned", have, size, f"{pin.path}: {PINS_NAME} has no digest to compare it with; {remedy}")
    text = f"{pin.path}: digest is {have} but {PINS_NAME} pins {pin.md5}; move it away, then {pin.how_to_get()}"
    return State("mismatch", have, size, text)


def verified_digest(name: str, allow_unpinned: bool = False) -> str:
    """Return the digest of a dataset after checking that it is the pinned one.

    Args:
        name: a pin's name, e.g. ``"shapes"``.
        allow_unpinned: whether a dataset without a pinned digest may be used; its measured digest is returned.

    Raises:
        InputError: if nothing has that name.
        DataError: if the dataset is absent, not the pinned one, or unpinned and that is not allowed.
    """
    pin = pin_named(name)
    state = examine(pin)
    if state.have and state.status in ("verified", "unpacked"):
        return state.have
    if state.status != "unpinned":
        raise DataError(state.explanation)
    if state.have is None or not allow_unpinned:
        raise DataError(f"{state.explanation}, or use --allow-unpinned")
    return state.have
