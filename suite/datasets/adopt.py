"""Links what is already on the disk elsewhere: archives by their digest, an unpacked COCO by its counts."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from suite.datasets.digests import directory_digest, file_md5, remember
from suite.datasets.download import disk_faults
from suite.datasets.locks import exclusive
from suite.datasets.official import check_counts, unpacked_counts
from suite.datasets.pins import PINS_NAME, Pin, examine
from suite.datasets.stamps import Stamp, read_stamp, stamp_path, write_stamp
from suite.errors import DataError
from suite.paths import repository_root, shown
from suite.progress import say


def adopt(pin: Pin, source: Path) -> bool:
    """Link what a pin asks for from a place outside the repository.

    Args:
        pin: what is wanted.
        source: the file itself, a folder that holds it, or a folder that holds what it unpacks to.

    Returns:
        Whether something was found there and linked (or was already at its place).

    Raises:
        DataError: if ``source`` does not exist or what it holds is not the pinned file; it is left as it is.
    """
    if not source.exists():
        raise DataError(f"{source}: no such file or folder; check the path given to --from")
    if examine(pin).status in ("verified", "unpacked", "adopted"):
        return True
    found = _find_file(pin, source)
    if found is not None:
        _adopt_file(pin, found)
        return True
    return _adopt_unpacked(pin, source)


def _find_file(pin: Pin, source: Path) -> Path | None:
    name = PurePosixPath(pin.path).name
    if source.is_file():
        return source if source.name == name else None
    places = (source / pin.path, source / Path(*PurePosixPath(pin.path).parts[-2:]), source / name)
    return next((place for place in places if place.is_file()), None)


def _adopt_file(pin: Pin, found: Path) -> None:
    size = found.stat().st_size
    if pin.size is not None and size != pin.size:
        raise DataError(f"{found}: has {size} bytes but {PINS_NAME} pins {pin.size} for {pin.path}; not adopted")
    have = file_md5(found)
    if pin.md5 is not None and have != pin.md5:
        raise DataError(f"{found}: digest is {have} but {PINS_NAME} pins {pin.md5} for {pin.path}; not adopted")
    target = pin.file
    if found.resolve() == target.resolve():
        return
    with disk_faults(pin.path), exclusive(target):
        if target.exists() and target.samefile(found):
            return
        if target.is_symlink() or target.exists():
            raise DataError(f"{pin.path}: something else is at its place; move it away, then run this again")
        try:
            target.hardlink_to(found)
        except OSError:
            # Another file system, or one without hard links.
            target.symlink_to(found.resolve())
        remember(target, have)
    say(f"{pin.path}: linked to {found}")


def _adopt_unpacked(pin: Pin, source: Path) -> bool:
    """Link the folder an archive unpacks to, after its counts were compared with the official ones."""
    if pin.unpack is None or pin.layout is None or not source.is_dir():
        return False
    top = PurePosixPath(pin.layout).parts[0]
    folder = source / top
    if not folder.is_dir():
        return False
    counts = unpacked_counts(pin.name, folder)
    if counts is None:
        return False
    check_counts(pin.name, counts, shown(folder))
    digest, _, files = directory_digest(folder)
    place = repository_root() / pin.unpack / top
    with disk_faults(shown(place)), exclusive(stamp_path(pin.unpack, pin.name)):
        if read_stamp(pin.unpack, pin.name) is not None:
            return True
        if place.is_symlink() and place.resolve() != folder.resolve():
            place.unlink()
        if place.exists() and place.resolve() != folder.resolve():
            raise DataError(f"{shown(place)}: something else is at its place; move it away, then run this again")
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.symlink_to(folder.resolve(), target_is_directory=True)
        write_stamp(pin.unpack, pin.name, Stamp(digest, files, (top,), adopted=True))
    say(f"{shown(place)}: linked to {folder}; its counts are right, its bytes cannot be compared with the archive's")
    return True
