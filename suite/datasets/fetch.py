"""Brings groups of pinned datasets to their places: generate, download, unpack, check, ask DVC.

Files that are on this disk already are linked, and pinned where nobody has published a digest.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from suite.datasets.embedded import ensure
from suite.datasets.health import require_health
from suite.datasets.pins import PINS_NAME, Pin, pins_path
from suite.datasets.state import GOOD, State, directory_digest, examine, remembered_md5, stamp_path, unpacked_from
from suite.errors import DataError, InputError
from suite.files import check_space, disk_faults, file_digest, write_json, write_text
from suite.locks import exclusive
from suite.paths import repository_root, shown
from suite.progress import say, track
from suite.text_table import TextColumn, text_table
from suite.typed import read_typed


def fetch(pins: Sequence[Pin], mirror: str | None = None, downloading: bool = True, unpacking: bool = True) -> None:
    """Bring datasets to their places; what needs a login is described, after the others were brought.

    Args:
        pins: which ones.
        mirror: see `suite.datasets.download.DownloadOptions`.
        downloading: whether what is absent is downloaded or generated.
        unpacking: whether archives are unpacked too.

    Raises:
        DataError: if something could not be brought or is not what it should be.
    """
    for pin in pins if downloading else ():
        if pin.meta.generator:
            ensure()
        elif pin.meta.url:
            from suite.datasets.download import DownloadOptions, download

            download(pin, DownloadOptions(mirror))
    missing = []
    for pin in pins:
        state = examine(pin)
        if state.status not in (*GOOD, "unpinned"):
            missing.append(state.explanation)
        elif unpacking and pin.meta.unpack and unpack(pin):
            say(f"{pin.path}: unpacked into {pin.meta.unpack}")
    for pin in pins:
        # A health check of the dataset an archive belongs to, as soon as its annotations and its images are here.
        split = pin.meta.split
        if split and (pin.folder / split.annotations).is_file() and (pin.folder / split.images).is_dir():
            say(require_health(split.task, pin.folder / split.annotations, pin.folder / split.images).text())
    if len(missing) > 1:
        for line in missing:
            say(line)
        raise DataError(f"{missing[0]} (and {len(missing) - 1} more, listed above)")
    if missing:
        raise DataError(missing[0])
    confirm_with_dvc(pins)


def unpack(pin: Pin) -> bool:
    """Unpack a pin's archive into its folder, unless it was unpacked before.

    Args:
        pin: a pin with ``unpack``; its archive must be here, and as pinned where a digest is pinned.

    Returns:
        Whether anything had to be done.

    Raises:
        DataError: if the archive is absent, wrong, damaged or would write outside its folder, or the disk refuses.
    """
    with disk_faults(f"{pin.path}: unpacking into {pin.meta.unpack}"), exclusive(stamp_path(pin)):
        state = examine(pin)
        if state.have is not None and unpacked_from(pin) == state.have:
            return False
        if state.status not in ("verified", "unpinned"):
            raise DataError(state.explanation)
        try:
            with zipfile.ZipFile(pin.file) as archive:
                members = _checked_members(pin, archive)
                check_space(f"{pin.path}: unpacking it", pin.folder, sum(member.file_size for member in members))
                tops = _extract(pin, archive, members)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise DataError(f"{pin.path}: cannot be unpacked ({error}); remove it, then {pin.how_to_get()}") from None
        write_json(stamp_path(pin), {"digest": state.have, "tops": tops})
    return True


def _checked_members(pin: Pin, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files of an archive, refusing any that is not a plain file inside it."""
    seen: set[PurePosixPath] = set()
    for member in archive.infolist():
        path = PurePosixPath(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        outside = path.is_absolute() or ".." in path.parts or "\\" in member.filename
        if outside or not path.parts or kind not in (0, stat.S_IFREG, stat.S_IFDIR) or path in seen:
            raise DataError(
                f"{pin.path}: entry {member.filename!r} leaves the folder, is a link or comes twice; nothing was "
                "unpacked, do not trust this archive"
            )
        seen.add(path)
    return [member for member in archive.infolist() if not member.is_dir()]


def _extract(pin: Pin, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> list[str]:
    """Unpack aside, then move everything to its place; return the names directly under the folder."""
    folder = pin.folder
    tops = sorted({PurePosixPath(member.filename).parts[0] for member in members})
    for top in tops:
        if (folder / top).is_symlink():
            raise DataError(
                f"{shown(folder / top)}: is a link to a folder elsewhere, which unpacking {pin.path} would change; "
                "remove the link first"
            )
    prefix = f".unpacking.{pin.name}."
    for left in folder.glob(f"{glob.escape(prefix)}*"):  # by a process that was killed: the lock is ours
        shutil.rmtree(left)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=prefix) as aside,
        track(f"unpack {pin.name}", len(members)) as step,
    ):
        for member in members:
            archive.extract(member, aside)
            step()
        for top in tops:
            _move_into(Path(aside) / top, folder / top)
    return tops


def _move_into(source: Path, target: Path) -> None:
    """Move a file or folder to its place; a folder that is already there is filled up, files are replaced."""
    if source.is_dir() and target.is_dir():
        for child in source.iterdir():
            _move_into(child, target / child.name)
    else:
        source.replace(target)


def overview(pins: Sequence[Pin], again: bool = False) -> dict[str, dict[str, Any]]:
    """Return the state of every pin.

    Args:
        pins: which ones.
        again: whether every byte is read, and DVC asked too; else digests of unchanged files are remembered.

    Returns:
        name -> row with group, path, status, pinned and found digest, size in bytes, explanation.

    Raises:
        DataError: if DVC does not agree.
    """
    rows = {}
    with track("check", len(pins)) if again else nullcontext(lambda _: None) as step:
        for pin in pins:
            state = examine(pin, again)
            where = {"name": pin.name, "group": pin.meta.group, "path": pin.path, "pinned": pin.md5}
            rows[pin.name] = where | asdict(state) | {"size": pin.size if state.size is None else state.size}
            step(pin.name)
    if again:
        confirm_with_dvc([pin for pin in pins if rows[pin.name]["status"] == "verified"])
    return rows


def overview_table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the rows as aligned text, then one line for each one that is not as pinned."""
    columns = [
        TextColumn(title, number=title == "MB") for title in ("dataset", "group", "status", "MB", "pinned digest")
    ]
    cells = []
    for name, row in rows.items():
        megabytes = "?" if row["size"] is None else f"{row['size'] / 1e6:.1f}"
        cells.append((name, row["group"], row["status"], megabytes, (row["pinned"] or "none published")[:16]))
    notes = [row["explanation"] for row in rows.values() if row["explanation"]]
    return "\n".join([*text_table(columns, cells), *([""] if notes else []), *notes])


def confirm_with_dvc(pins: Sequence[Pin]) -> None:
    """Let DVC compare pinned files too, where it is installed and this is a checkout; say so where it is not.

    Raises:
        DataError: if DVC does not agree that they are as pinned, or cannot tell.
    """
    here = [pin.path for pin in pins if pin.md5 is not None and pin.file.exists()]
    if not here:
        return
    root = repository_root()
    if importlib.util.find_spec("dvc") is None or not (root / ".dvc").is_dir():
        say(f"{PINS_NAME}: digests compared here only; with DVC in a checkout, 'dvc status' compares them too")
        return
    # DVC keeps its memory of digests in a machine-wide folder unless told otherwise, which fails on shared machines.
    settings = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "tmp" / "site")} | os.environ
    command = [sys.executable, "-m", "dvc", "status", "--quiet", *here]
    run = subprocess.run(command, cwd=root, env=settings, capture_output=True, text=True, check=False)
    if run.returncode:
        reason = (run.stderr.strip().splitlines() or ["something differs"])[-1]
        raise DataError(
            f"{here[0]}: digests are right here but not for dvc ({reason}); run 'dvc status {' '.join(here)}'"
        )


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
            _write_pin(pin)


def _may_be_pinned(pin: Pin, state: State) -> bool:
    """Whether a measured digest may be written; a published one is never replaced, one of a generated set is."""
    return state.status == "unpinned" or (pin.meta.generator is not None and state.status == "mismatch")


def _take(pin: Pin, source: Path | None, sole: bool) -> bool:
    """Return whether a pin's file is at its place, after linking it from ``source`` where it is not.

    Raises:
        DataError: if there is no source and nothing usable at the place, or what ``source`` holds is another file.
    """
    state, path = examine(pin), PurePosixPath(pin.path)
    if state.status in GOOD or (source is None and _may_be_pinned(pin, state)):
        return True
    if source is None:
        raise DataError(state.explanation)
    if source.is_file():  # a single file may have any name if it can be for one pin only
        places = [source] if sole or source.name == path.name else []
    else:
        places = [source / path, source / path.parent.name / path.name, source / path.name]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        return False
    if pin.md5 is None:
        _check_videos(pin, found)
    elif (have := file_digest(found, "md5")) != pin.md5:
        raise DataError(f"{found}: digest is {have} but {PINS_NAME} pins {pin.md5} for {pin.path}; get it again")
    with disk_faults(pin.path), exclusive(pin.file):
        if pin.file.exists() and pin.file.samefile(found):
            return True
        if pin.file.is_symlink() or pin.file.exists():
            raise DataError(f"{pin.path}: something else is at its place; move it away, then run this again")
        try:
            pin.file.hardlink_to(found)
        except OSError:  # another file system, or one without hard links
            pin.file.symlink_to(found.resolve())
    say(f"{pin.path}: linked to {found}")
    return True


class _Videos(msgspec.Struct):
    """The list of an annotations file, counted but not parsed."""

    videos: list[msgspec.Raw]


def _check_videos(pin: Pin, path: Path) -> None:
    """Compare the number of videos in an archive or annotations file with the official one, where there is one.

    Raises:
        DataError: if it is no zip although it should be, or the numbers differ.
        InputError: if it is no annotations file although it should be.
    """
    if pin.meta.videos is None:
        return
    if pin.meta.unpack is None:
        remedy = "give the whole annotations file, not a results file"
        have = len(read_typed(path, _Videos, "annotations file", remedy).videos)
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                names = [PurePosixPath(name) for name in archive.namelist() if name.endswith((".jpg", ".png"))]
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{path}: not a readable zip ({error}); get it again from {pin.meta.page}") from None
        have = len({name.parent for name in names})
    if have != pin.meta.videos:
        raise DataError(
            f"{path}: holds {have} videos, officially {pin.meta.videos}; it is not {pin.name}, or not all of it; get "
            "it again"
        )


def _write_pin(pin: Pin) -> None:
    """Write the digest and size of what is at a pin's place into ``datasets.dvc``, and say so.

    Raises:
        DataError: if its counts are not the official ones.
        InputError: if the file is not written as one key a line.
    """
    if pin.is_folder:
        md5, size, files = directory_digest(pin.file)
        measured: dict[str, str | int] = {"md5": md5, "size": size, "nfiles": files, "hash": "md5"}
    else:
        _check_videos(pin, pin.file)
        measured = {"md5": remembered_md5(pin.file), "size": pin.file.stat().st_size, "hash": "md5"}
    path = repository_root() / PINS_NAME
    with exclusive(path):
        write_text(path, _with_measured(pins_path().read_text(encoding="utf-8"), pin, measured))
    say(f"{pin.path}: {PINS_NAME} pins {measured['md5']}, {measured['size']} bytes; commit it")


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
