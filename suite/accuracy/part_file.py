"""Results on their way: one JSON line per finished image or video, appended so that a killed run loses none of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from suite.datasets.categories import Id
from suite.files import atomic_path

Results = list[dict[str, Any]]
Entries = dict[Id, tuple[Path, int]]
"""Where the line of each finished image or video lies: in which part file, from which byte."""


class _Line(msgspec.Struct, frozen=True):
    id: Id
    results: Results


def part_path(results: Path, rank: int = 0) -> Path:
    """Return the file beside ``results`` that process ``rank`` appends to."""
    return results.with_name(f"{results.name}.rank{rank}.part" if rank else f"{results.name}.part")


def _header(identity: str) -> bytes:
    return json.dumps({"identity": identity}).encode() + b"\n"


def _scan(path: Path, identity: str) -> tuple[Entries, int]:
    """Return the complete entries of a part file and how many of its bytes they take; 0 if it is of another run."""
    entries: Entries = {}
    with path.open("rb") as stream:
        if stream.readline() != _header(identity):
            return {}, 0
        good = stream.tell()
        for line in stream:
            try:
                key = msgspec.json.decode(line, type=_Line).id
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                break
            if not line.endswith(b"\n"):
                break
            entries[key] = path, good
            good += len(line)
    return entries, good


def _part_files(results: Path) -> list[Path]:
    pattern = re.compile(re.escape(results.name) + r"(\.rank\d+)?\.part")
    return sorted(path for path in results.parent.iterdir() if pattern.fullmatch(path.name))


def finished_entries(results: Path, identity: str) -> Entries:
    """Return every image or video that some process has finished, in the part files that this machine sees."""
    entries: Entries = {}
    for path in _part_files(results):
        entries |= _scan(path, identity)[0]
    return entries


def line_of(key: Id, results: Results) -> bytes:
    """Return the results of one image or video as a line."""
    return json.dumps({"id": key, "results": results}, allow_nan=False).encode() + b"\n"


@contextmanager
def part_file(results: Path, identity: str, rank: int = 0) -> Iterator[Callable[[Iterable[bytes]], None]]:
    """Append to the unfinished form of a results file, beside it.

    The first line holds the identity of the prediction; a part file of another identity is discarded. A last line that
    was cut by a kill is discarded too, so that its image is predicted again: none is lost, none is there twice.

    Args:
        results: the final results file.
        identity: digest of everything that the results depend on.
        rank: number of the process that appends.

    Yields:
        What appends whole lines; they are on disk before the call returns, as far as the system promises.
    """
    path = part_path(results, rank)
    good = _scan(path, identity)[1] if path.exists() else 0
    with path.open("r+b" if good else "wb") as stream:

        def append(lines: Iterable[bytes]) -> None:
            stream.writelines(lines)
            stream.flush()
            os.fsync(stream.fileno())

        stream.truncate(good)
        stream.seek(good)
        append([] if good else [_header(identity)])
        yield append


def write_results(results: Path, entries: Entries, keys: Sequence[Id]) -> None:
    """Write the results file in the order of ``keys``, at once or not at all; holds one entry in memory at a time."""
    separator = b"\n"
    with atomic_path(results) as temporary, temporary.open("wb") as out:
        out.write(b"[")
        for key in keys:
            path, offset = entries[key]
            with path.open("rb") as stream:
                stream.seek(offset)
                line = stream.readline()
            for result in json.loads(line)["results"]:
                out.write(separator + json.dumps(result, separators=(",", ":")).encode())
                separator = b",\n"
        out.write(b"\n]\n")


def remove_part_files(results: Path) -> None:
    """Remove every part file of a results file that this machine sees."""
    for path in _part_files(results):
        path.unlink(missing_ok=True)
