"""The folder that ``predict`` draws into: which of its files are drawings of ours, also after a command was killed.

``instances.json`` names them. A command that draws also notes the name of each finished drawing in a hidden file, so
that after a kill the next one neither takes the drawing for somebody else's nor reads it as a picture.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from suite.accuracy.sources import Source
from suite.errors import InputError, SuiteError
from suite.files import DiskError, disk_faults, read_json, write_json
from suite.locks import claimed
from suite.progress import say
from suite.signals import leaving_on_signals

RESULTS_NAME, DRAWN_EARLIER = "instances.json", "drawn_earlier"
NOTE_NAME = f".{RESULTS_NAME}.drawn"


@contextmanager
def drawing_into(folder: Path) -> Iterator[Drawings]:
    """Draw into a folder as the only process that does; a folder made for nothing is gone afterwards.

    Raises:
        InputError: if the folder holds another's ``instances.json``, or another process draws into it.
        DiskError: if it may not be written.
    """
    before = folder.exists()
    try:
        with claimed(folder / RESULTS_NAME) as holder, leaving_on_signals():
            if holder:
                raise InputError(f"{folder}: {holder} draws into it; wait for it, or name another folder")
            drawings = Drawings(folder)
            try:
                yield drawings
            finally:
                drawings.close()
    finally:
        if not before:
            with suppress(OSError):  # where something was drawn
                folder.rmdir()


class Drawings:
    """The drawings in a folder.

    Args:
        folder: where they are; `drawing_into` opens it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._note = folder, folder / NOTE_NAME
        self._named = _named(folder / RESULTS_NAME)
        self._own = self._named | _noted(self._note)
        self._taken: set[str] = set()
        self._read: set[Path] = set()

    def others(self, sources: list[Source]) -> list[Source]:
        """Return the sources to read: a folder that is drawn into may be read too, but what was drawn is no source.

        Nor is it a frame of a clip of pictures. Where nothing else was named, drawings are read. No drawing goes over
        what is read.
        """
        own = {(self.folder / name).resolve() for name in self._own}
        others = []
        for source in sources:
            pictures = tuple(path for path in source.pictures if path.resolve() not in own)
            if pictures or (isinstance(source.video, Path) and source.video.resolve() not in own) or source.camera:
                others.append(replace(source, pictures=pictures))
        if others:
            files, kept = (sum(len(source.files) for source in found) for found in (sources, others))
            if kept < files:
                say(f"{self.folder}: {files - kept} files that were drawn here before are left out")
            sources = others
        self._read = {path.resolve() for source in sources for path in source.files}
        return sources

    def path_for(self, source: Source, suffix: str) -> Path:
        """Return where a source is drawn, never over what is read or not ours; sources of one name get numbers."""
        name, number = f"{source.stem}{suffix}", 1
        while (
            name in self._taken
            or (self.folder / name).resolve() in self._read
            or (os.path.lexists(self.folder / name) and name not in self._own)
        ):
            number += 1
            name = f"{source.stem}-{number}{suffix}"
        self._taken.add(name)
        return self.folder / name

    def note(self, path: Path) -> None:
        """Note that a drawing is finished; if that is impossible, DiskError, and the drawing is removed."""
        self._own.add(path.name)
        if path.name in self._named:
            return
        try:
            with disk_faults(str(self._note)), self._note.open("a", encoding="ascii") as stream:
                stream.write(f"\n{json.dumps(path.name)}\n")  # also behind a line that a kill cut short
        except DiskError:
            path.unlink(missing_ok=True)
            raise

    def write(self, result: dict[str, Any]) -> None:
        """Write a result beside the drawings; those of earlier commands stay known by name.

        Args:
            result: with ``sources``, each with the path ``drawn`` where it was drawn.

        Raises:
            DiskError: if that is impossible.
        """
        drawn = {Path(source["drawn"]).name for source in result["sources"] if "drawn" in source}
        earlier = sorted(self._existing() - drawn)
        write_json(self.folder / RESULTS_NAME, result | ({DRAWN_EARLIER: earlier} if earlier else {}))
        self._named = drawn.union(earlier)

    def close(self) -> None:
        """Remove the note of names if the results file has them all."""
        if self._existing() <= self._named:
            with disk_faults(str(self._note)):
                self._note.unlink(missing_ok=True)

    def _existing(self) -> set[str]:
        return {name for name in self._own if (self.folder / name).exists()}


def _named(path: Path) -> set[str]:
    """Return the names that an ``instances.json`` says were drawn; InputError if ``predict`` did not write it."""
    if not os.path.lexists(path):
        return set()
    try:
        if not path.is_file():
            raise TypeError
        found = read_json(path)
        drawn = [Path(source["drawn"]).name for source in found["sources"] if "drawn" in source]
        names = [*drawn, *found.get(DRAWN_EARLIER, [])]
        if type(found["sources"]) is not list or type(found.get(DRAWN_EARLIER, [])) is not list:
            raise TypeError
        return set(filter(_is_name, names))
    except (SuiteError, KeyError, TypeError, AttributeError, ValueError):
        raise InputError(f"{path}: is not what predict writes; name another folder, or move it away") from None


def _noted(note: Path) -> set[str]:
    """Return the names that a command which was killed noted; a link or pipe in the note's place is removed."""
    names: set[str] = set()
    with disk_faults(str(note)):
        if note.is_symlink() or not note.is_file():
            note.unlink(missing_ok=True)
            return names
        for line in note.read_bytes().splitlines():
            with suppress(ValueError, RecursionError):  # a line that was cut short
                names.update(filter(_is_name, [json.loads(line)]))
    return names


def _is_name(name: Any) -> bool:
    """Tell whether a value can be the name of a file."""
    return isinstance(name, str) and Path(name).name == name and "\0" not in name and len(os.fsencode(name)) <= 255
