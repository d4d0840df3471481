"""Brings groups of pinned datasets to their places: generate, download, unpack, check.

Files that are on this disk already are linked, and pinned where nobody has published a digest.
"""

from __future__ import annotations

import errno
import glob
import importlib.util
import lzma
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from suite.datasets.embedded import ensure
from suite.datasets.health import require_health
from suite.datasets.pins import PINS_NAME, Pin, load_pins, pins_path
from suite.datasets.state import GOOD, directory_digest, examine, remembered_md5, stamp_path, unpacked_from
from suite.errors import DataError, InputError, SuiteError
from suite.files import UNPACKED_BYTES, UNPACKED_RATIO, check_space, disk_faults, file_digest, write_json, write_text
from suite.locks import exclusive
from suite.paths import repository_root, shown
from suite.progress import say, track
from suite.text_table import TextColumn, text_table

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
)
"""What reading a damaged archive raises, beside OSErrors without a disk's reason."""
LONGEST_NAME = 255
"""Bytes of a file's name that every usual file system takes."""


def fetch(pins: Sequence[Pin], mirror: str | None = None, unpacking: bool = True, adding: bool = False) -> None:
    """Bring datasets to their places; what needs a login is described, after the others were brought.

    Args:
        pins: which ones.
        mirror: see `suite.datasets.download.DownloadOptions`.
        unpacking: whether archives are unpacked too.
        adding: download and generate nothing; pin what has no digest in ``datasets.dvc``, after the health check.

    Raises:
        DataError: if something could not be brought or is not what it should be.
        InputError: if ``datasets.dvc`` cannot be read.
    """
    for pin in () if adding else pins:
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
    for pin in pins if adding else ():
        if examine(pin).status == "unpinned":
            _write_pin(pin)
    if missing:
        raise DataError("; ".join(missing))


def unpack(pin: Pin) -> bool:
    """Unpack a pin's archive into its folder, unless it was unpacked before; return whether anything had to be done.

    The archive must be here, and as pinned where a digest is pinned.

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
                _refuse_other_content(pin, {member.filename for member in members})
                check_space(f"{pin.path}: unpacking it", pin.folder, sum(member.file_size for member in members))
                tops = _extract(pin, archive, members)
        except (*DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # the disk's, not the archive's
                raise
            why = str(error) or type(error).__name__
            raise DataError(f"{pin.path}: cannot be unpacked ({why}); remove it, then {pin.how_to_get()}") from None
        write_json(stamp_path(pin), {"digest": state.have, "tops": tops})
    return True


def _checked_members(pin: Pin, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files of an archive, refusing any that is not a plain file inside it."""
    seen: set[PurePosixPath] = set()
    for member in archive.infolist():
        path = PurePosixPath(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        own = bool(path.parts) and path.parts[0].startswith((".unpacked", ".unpacking"))  # what unpacking keeps there
        outside = own or path.is_absolute() or ".." in path.parts or "\\" in member.filename
        outside = outside or any(len(part.encode()) > LONGEST_NAME for part in path.parts)
        if outside or not path.parts or kind not in (0, stat.S_IFREG, stat.S_IFDIR) or path in seen:
            raise DataError(
                f"{pin.path}: entry {member.filename[:100]!r} leaves the folder, is a link, comes twice, has a "
                "long name or stands for what unpacking notes; nothing was unpacked, do not trust this archive"
            )
        seen.add(path)
    members = [member for member in archive.infolist() if not member.is_dir()]
    unpacked, packed = sum(member.file_size for member in members), pin.file.stat().st_size
    if unpacked > max(UNPACKED_BYTES, UNPACKED_RATIO * packed):  # pictures hardly shrink
        raise DataError(
            f"{pin.path}: {packed} bytes would become {unpacked}; nothing was unpacked, do not trust this archive"
        )
    files = [PurePosixPath(member.filename) for member in members]
    if both := {parent for path in files for parent in path.parents}.intersection(files):
        raise DataError(f"{pin.path}: entry {min(both)} is a file and a folder; nothing was unpacked, get it again")
    return members


def _refuse_other_content(pin: Pin, names: set[str]) -> None:
    """Refuse an archive that nobody pinned without the annotations or pictures of its split."""
    split = pin.meta.split if pin.md5 is None else None
    folders = {parent for name in names for parent in PurePosixPath(name).parents}
    whole = not split or PurePosixPath(split.images) in folders
    if split and not split.annotations_pin:
        whole = whole and split.annotations in names
    if split and not whole:
        parts = split.images if split.annotations_pin else f"{split.annotations} and {split.images}"
        raise DataError(
            f"{pin.path}: is another archive, it does not hold {parts}; nothing was unpacked. Remove it, then get the "
            "right one"
        )


def _extract(pin: Pin, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> list[str]:
    """Unpack aside, then move everything to its place; return the names directly under the folder."""
    folder = pin.folder
    paths = [PurePosixPath(member.filename) for member in members]
    tops = sorted({path.parts[0] for path in paths})
    for inner in sorted({*tops, *(str(parent) for path in paths for parent in path.parents)} - {"."}):
        if (folder / inner).is_symlink():
            raise DataError(
                f"{shown(folder / inner)}: is a link to a folder elsewhere, which unpacking {pin.path} would change; "
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
    with track("check", len(pins), silent=not again) as step:
        for pin in pins:
            state = examine(pin, again)
            where = {"name": pin.name, "group": pin.meta.group, "path": pin.path, "pinned": pin.md5}
            rows[pin.name] = where | asdict(state) | {"size": pin.size if state.size is None else state.size}
            step(pin.name)
    verified = [pin.path for pin in pins if rows[pin.name]["status"] == "verified"]
    if again and verified:
        _confirm_with_dvc(verified)
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


def _confirm_with_dvc(here: Sequence[str]) -> None:
    """Let DVC compare verified paths too, where it is installed and this is a checkout; say so where it is not."""
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


def add(pins: Sequence[Pin], source: Path | None, unpacking: bool = True) -> None:
    """Link files to their places, unpack and check them, and pin those without a digest.

    A published digest is never replaced; that of a generated set is, where no source is named.

    Args:
        pins: what is wanted.
        source: a file, or a folder that holds the files; None for files at their places.
        unpacking: whether archives are unpacked too.

    Raises:
        DataError: if nothing of it is there, or what is there is not the pinned file; it is left as it is.
        InputError: if ``datasets.dvc`` or an annotations file cannot be read.
    """
    if source is not None and not source.exists():
        raise DataError(f"{source}: no such file or folder; check the path")
    absent = [pin for pin in pins if pin.md5 is None and not pin.file.exists()]
    taken = [pin for pin in pins if _take(pin, source, sole=len(pins) == 1)]
    if not taken:
        names = ", ".join(PurePosixPath(pin.path).name for pin in pins)
        raise DataError(f"{source or pins[0].path}: nothing of it is there; looked for {names}")
    for pin in taken:
        if pin.meta.generator and examine(pin).status == "mismatch":
            _write_pin(pin)
    known = load_pins()
    try:
        fetch([known[pin.name] for pin in pins], unpacking=unpacking, adding=True)
    except SuiteError:
        for pin in (load_pins()[pin.name] for pin in absent):
            if pin.md5 is None:  # a link made here to what is not it: the right file finds its place free
                pin.file.unlink(missing_ok=True)
        raise


def _take(pin: Pin, source: Path | None, sole: bool) -> bool:
    """Return whether a pin's file is at its place, after linking it from ``source`` where it is not."""
    state, path = examine(pin), PurePosixPath(pin.path)
    usable = ("unpinned", "mismatch") if pin.meta.generator else ("unpinned",)
    if state.status in GOOD or (source is None and state.status in usable):
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
    if pin.md5 is not None and (have := file_digest(found, "md5")) != pin.md5:
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


def _write_pin(pin: Pin) -> None:
    """Write the digest and size of what is at a pin's place into ``datasets.dvc``; all other lines stay as they are."""
    if pin.is_folder:
        md5, size, files = directory_digest(pin.file)
        measured: dict[str, str | int] = {"md5": md5, "size": size, "nfiles": files, "hash": "md5"}
    else:
        measured = {"md5": remembered_md5(pin.file), "size": pin.file.stat().st_size, "hash": "md5"}
    # DVC reads a digest of digits alone as a number unless it is quoted.
    fresh = [f"  {key}: '{value}'\n" if key == "md5" else f"  {key}: {value}\n" for key, value in measured.items()]
    path = repository_root() / PINS_NAME
    with exclusive(path):
        blocks = re.split(r"(?m)^(?=- )", pins_path().read_text(encoding="utf-8"))
        for number, block in enumerate(blocks):
            lines = re.sub(r"\A- ", "  ", block).splitlines(keepends=True)
            if any(re.fullmatch(rf"  path: ['\"]?{re.escape(pin.path)}['\"]?\n?", line) for line in lines):
                others = [line for line in lines if not re.match(r"  (md5|size|nfiles|hash):", line)]
                blocks[number] = "- " + "".join(fresh + others)[2:]
                break
        else:
            raise InputError(f"{PINS_NAME}: the entry of {pin.path} is not written as one key a line; pin it by hand")
        write_text(path, "".join(blocks))
    say(f"{pin.path}: {PINS_NAME} pins {measured['md5']}, {measured['size']} bytes; commit it")
