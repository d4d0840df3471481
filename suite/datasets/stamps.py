"""Stamps: small files that say which archive a folder was unpacked from, so that a second run does nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from suite.files import write_json
from suite.paths import repository_root

STAMP_FOLDER = ".unpacked"


@dataclass(frozen=True)
class Stamp:
    """What was unpacked or adopted.

    Attributes:
        digest: MD5 of the archive; of an adopted folder its directory digest.
        files: number of files.
        tops: names directly under the unpack folder that came from it.
        adopted: whether folders from elsewhere were linked instead of an archive being unpacked.
    """

    digest: str
    files: int
    tops: tuple[str, ...]
    adopted: bool = False


def stamp_path(unpack: str, name: str) -> Path:
    """Return where the stamp of a pin lies; ``unpack`` is the folder its archive is unpacked into."""
    return repository_root() / unpack / STAMP_FOLDER / f"{name}.json"


def read_stamp(unpack: str | None, name: str) -> Stamp | None:
    """Return the stamp of a pin, or None if there is none, it is broken or something it names is gone."""
    if unpack is None:
        return None
    try:
        content = json.loads(stamp_path(unpack, name).read_text())
        stamp = Stamp(str(content["digest"]), int(content["files"]), tuple(content["tops"]), content["adopted"] is True)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return stamp if all((repository_root() / unpack / str(top)).exists() for top in stamp.tops) else None


def write_stamp(unpack: str, name: str, stamp: Stamp) -> None:
    """Write the stamp of a pin."""
    write_json(stamp_path(unpack, name), asdict(stamp))
