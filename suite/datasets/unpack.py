"""Unpacks a verified archive safely: no file leaves its folder, and nothing half-unpacked is left behind."""

from __future__ import annotations

import glob
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from suite.datasets.pins import Pin
from suite.datasets.state import examine, stamp_path, unpacked_from
from suite.errors import DataError
from suite.files import check_space, disk_faults, write_json
from suite.locks import exclusive
from suite.paths import shown
from suite.progress import track


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
