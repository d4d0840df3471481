"""Uses files that are on this disk already: links them to their place, and pins those without a published digest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from suite.datasets.digests import directory_digest, remembered_md5
from suite.datasets.official import check_counts, count_file
from suite.datasets.pins import PINS_NAME, Pin, pins_path
from suite.datasets.state import GOOD, State, examine
from suite.errors import DataError, InputError
from suite.files import disk_faults, file_digest, write_text
from suite.locks import exclusive
from suite.paths import repository_root
from suite.progress import say


def add(pins: Sequence[Pin], source: Path | None) -> None:
    """Link files to their places, and pin those without a digest.

    Args:
        pins: what is wanted.
        source: a file, or a folder that holds the files; None for files at their places.

    Raises:
        DataError: if nothing of it is there, or what is there is not the pinned or official file; it is left as it is.
        InputError: if ``datasets.dvc`` or an annotations file cannot be read.
    """
    if source is not None and not source.exists():
        raise DataError(f"{source}: no such file or folder; check the path")
    taken = [pin for pin in pins if _take(pin, source, sole=len(pins) == 1)]
    if not taken:
        names = ", ".join(PurePosixPath(pin.path).name for pin in pins)
        raise DataError(f"{source or pins[0].path}: nothing of it is there; looked for {names}")
    for pin in taken:
        if _may_be_pinned(pin, examine(pin)):
            say(_write_pin(pin))


def _take(pin: Pin, source: Path | None, sole: bool) -> bool:
    """Return whether a pin's file is at its place, after linking it from ``source`` where it is not."""
    state = examine(pin)
    if state.status in GOOD or (source is None and _may_be_pinned(pin, state)):
        return True
    if source is None:
        raise DataError(state.explanation)
    found = _find_file(pin, source, sole)
    if found is not None:
        _link_file(pin, found)
    return found is not None


def _may_be_pinned(pin: Pin, state: State) -> bool:
    """Whether a measured digest may be written; a published one is never replaced, one of a generated set is."""
    return state.status == "unpinned" or (pin.generator is not None and state.status == "mismatch")


def _find_file(pin: Pin, source: Path, sole: bool) -> Path | None:
    """Return where a pin's file is; a single file may have any name if it can be for one pin only."""
    name = PurePosixPath(pin.path).name
    if source.is_file():
        return source if sole or source.name == name else None
    places = (source / pin.path, source / Path(*PurePosixPath(pin.path).parts[-2:]), source / name)
    return next((place for place in places if place.is_file()), None)


def _link_file(pin: Pin, found: Path) -> None:
    size, target = found.stat().st_size, pin.file
    if pin.size is not None and size != pin.size:
        raise DataError(f"{found}: has {size} bytes but {PINS_NAME} pins {pin.size} for {pin.path}; get it again")
    if pin.md5 is None:
        check_counts(pin.name, count_file(pin, found), str(found))
    elif (have := file_digest(found, "md5")) != pin.md5:
        raise DataError(f"{found}: digest is {have} but {PINS_NAME} pins {pin.md5} for {pin.path}; get it again")
    with disk_faults(pin.path), exclusive(target):
        if target.exists() and target.samefile(found):
            return
        if target.is_symlink() or target.exists():
            raise DataError(f"{pin.path}: something else is at its place; move it away, then run this again")
        try:
            target.hardlink_to(found)
        except OSError:  # another file system, or one without hard links
            target.symlink_to(found.resolve())
    say(f"{pin.path}: linked to {found}")


def _write_pin(pin: Pin) -> str:
    """Write the digest and size of what is at a pin's place into ``datasets.dvc``; return what was written.

    Raises:
        DataError: if its counts are not the official ones.
        InputError: if the file is not written as one key a line.
    """
    if pin.is_folder:
        md5, size, files = directory_digest(pin.file)
        measured: dict[str, str | int] = {"md5": md5, "size": size, "nfiles": files, "hash": "md5"}
    else:
        check_counts(pin.name, count_file(pin, pin.file), pin.path)
        measured = {"md5": remembered_md5(pin.file), "size": pin.file.stat().st_size, "hash": "md5"}
    path = repository_root() / PINS_NAME
    with exclusive(path):
        write_text(path, _with_measured(pins_path().read_text(encoding="utf-8"), pin, measured))
    return f"{pin.path}: {PINS_NAME} pins {measured['md5']}, {measured['size']} bytes; commit it"


def _with_measured(text: str, pin: Pin, measured: dict[str, str | int]) -> str:
    """Return the file's text with the measured keys of one out replaced; all other lines stay as they are."""
    blocks = re.split(r"(?m)^(?=- )", text)
    for number, block in enumerate(blocks):
        lines = re.sub(r"\A- ", "  ", block).splitlines(keepends=True)
        if not any(re.fullmatch(rf"  path: ['\"]?{re.escape(pin.path)}['\"]?\n?", line) for line in lines):
            continue
        others = [line for line in lines if not re.match(r"  (md5|size|nfiles|hash):", line)]
        # DVC reads a digest of digits alone as a number unless it is quoted.
        fresh = [f"  {key}: '{value}'\n" if key == "md5" else f"  {key}: {value}\n" for key, value in measured.items()]
        blocks[number] = "- " + "".join(fresh + others)[2:]
        return "".join(blocks)
    raise InputError(f"{PINS_NAME}: the entry of {pin.path} is not written as one key a line; pin it by hand")
