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
from suite.datasets.state import examine, read_stamp, stamp_path
from suite.errors import DataError
from suite.files import check_space, disk_faults, write_json
from suite.locks import exclusive
from suite.paths import repository_root, shown
from suite.progress import track


def unpack(pin: Pin) -> bool:
    """Unpack a pin's archive into its folder, unless its stamp says that this was done.

    Args:
        pin: a pin with ``unpack``; its archive must be here, and as pinned where a digest is pinned.

    Returns:
        Whether anything had to be done.

    Raises:
        DataError: if the archive is absent, wrong, damaged or would write outside its folder, or the disk refuses.
    """
    assert pin.unpack is not None
    state = examine(pin)
    stamp = read_stamp(pin.unpack, pin.name)
    if state.status == "unpacked" or (stamp is not None and stamp.digest == state.have):
        return False
    if state.status not in ("verified", "unpinned") or state.have is None:
        raise DataError(state.explanation)
    folder = repository_root() / pin.unpack
    with disk_faults(f"{pin.path}: unpacking into {pin.unpack}"), exclusive(stamp_path(pin.unpack, pin.name)):
        stamp = read_stamp(pin.unpack, pin.name)
        if stamp is not None and stamp.digest == state.have:
            return False
        try:
            with zipfile.ZipFile(pin.file) as archive:
                members = _checked_members(pin, archive)
                check_space(f"{pin.path}: unpacking it", folder, sum(member.file_size for member, _ in members))
                tops = _extract(pin, archive, members, folder)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise DataError(f"{pin.path}: cannot be unpacked ({error}); remove it, then {pin.how_to_get()}") from None
        write_json(stamp_path(pin.unpack, pin.name), {"digest": state.have, "tops": tops})
    return True


def _checked_members(pin: Pin, archive: zipfile.ZipFile) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Return the files of an archive with their relative paths, refusing any that is not a plain file inside it."""
    members = []
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
        if not member.is_dir():
            members.append((member, path))
    return members


def _extract(
    pin: Pin, archive: zipfile.ZipFile, members: list[tuple[zipfile.ZipInfo, PurePosixPath]], folder: Path
) -> tuple[str, ...]:
    tops = tuple(sorted({path.parts[0] for _, path in members}))
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
        for member, _ in members:
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
