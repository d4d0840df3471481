"""Run files on disk: written line by line, sealed by a closing line, read back with every byte checked."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from suite.errors import DataError, InputError
from suite.files import write_bytes
from suite.paths import records_dir, shown
from suite.progress import say
from suite.records.schema import Artifact, End, Line, Measurement, Run, Series, check_line, printable

LARGEST_BYTES = 64 << 20
"""Of a run file; a hundred times the largest one."""

_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
_encoder = msgspec.json.Encoder(order="deterministic")


def _encoded(line: Line) -> bytes:
    """Return a checked line as JSON, control characters left out of its texts."""
    values = msgspec.to_builtins(line)
    plain = line if values == (cleaned := printable(values)) else msgspec.convert(cleaned, type(line))
    check_line(plain)
    return _encoder.encode(plain)


@dataclass(frozen=True)
class RunFile:
    """One complete run, in the order it was written."""

    path: Path
    run: Run
    measurements: tuple[Measurement, ...]
    series: tuple[Series, ...]
    artifacts: tuple[Artifact, ...]


class RunWriter:
    """Collects the lines of one run; `writing` puts them on disk when the run ends."""

    def __init__(self, run: Run) -> None:
        self.lines = [_encoded(run)]

    def add(self, line: Measurement | Series | Artifact) -> None:
        """Append one line.

        Raises:
            ValueError: if the line breaks the schema (a defect of the caller, not of user input).
        """
        self.lines.append(_encoded(line))


@contextmanager
def writing(run: Run, folder: Path) -> Iterator[RunWriter]:
    """Collect a run's lines and write them, sealed, to ``folder/<run_id>.jsonl``; nothing if the block raises."""
    writer = RunWriter(run)
    yield writer
    body = b"".join(line + b"\n" for line in writer.lines)
    end = End(lines=len(writer.lines), sha256=hashlib.sha256(body).hexdigest())
    write_bytes(folder / f"{run.run_id}.jsonl", body + _encoder.encode(end) + b"\n")


def write_run(run: Run, lines: Iterable[Measurement | Series | Artifact]) -> Path:
    """Write a run whose lines are all known under ``reports/records``, say where, and return the file's path."""
    with writing(run, records_dir()) as writer:
        for line in lines:
            writer.add(line)
    path = records_dir() / f"{run.run_id}.jsonl"
    say(f"record {shown(path)}")
    return path


def _fail(path: Path, number: int, why: str) -> InputError:
    return InputError(f"{path.name} line {number}: {why}; remove the file or run its command again")


def read_run(path: Path) -> RunFile:
    """Read one run file and check every line.

    Raises:
        InputError: with the line number: bad JSON, unknown field, wrong type, NaN, another schema version, a missing
            or misplaced closing line, or bytes that differ from the closing line's digest.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_BYTES:
            raise InputError(f"{path}: is no regular file, or too large; remove it from the folder of records")
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot read this record ({error.strerror})") from None
    lines: dict[type[Line], list[Any]] = {kind: [] for kind in (Run, Measurement, Series, Artifact, End)}
    # JSON has no NaN, and without escapes ASCII has no control character but DEL.
    plain = raw.isascii() and not any(sign in raw for sign in (b"\\", b"\x7f"))
    texts = raw.split(b"\n")
    if texts[-1] == b"":
        texts.pop()
    for number, text in enumerate(texts, start=1):
        try:
            line = _decoder.decode(text)
            check_line(line, every_value=not plain)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise _fail(path, number, str(error)) from None
        kind = type(line)
        if (kind is Run) != (number == 1):
            raise _fail(path, number, "a run file starts with its one run line")
        if kind is End and number != len(texts):
            raise _fail(path, number, "the closing line is not the last one")
        lines[kind].append(line)
    if not lines[End]:
        raise _fail(path, len(texts), "no closing line: the run was interrupted")
    (end,), (run,) = lines[End], lines[Run]
    body = raw[: len(raw) - len(texts[-1]) - (1 if raw.endswith(b"\n") else 0)]
    if end.lines != len(texts) - 1 or end.sha256 != hashlib.sha256(body).hexdigest():
        raise _fail(path, len(texts), "the bytes before the closing line are not the ones it was written for")
    return RunFile(path, run, tuple(lines[Measurement]), tuple(lines[Series]), tuple(lines[Artifact]))


def read_folder(folder: Path) -> tuple[list[RunFile], list[str]]:
    """Read every run file of a folder.

    Args:
        folder: absent means that nothing was measured yet.

    Returns:
        The good runs, oldest first (by start time, then run id), and one message per file left out.

    Raises:
        DataError: if the folder is there and cannot be read.
    """
    runs, refused = [], []
    try:
        paths = [path for path in folder.iterdir() if path.suffix == ".jsonl"]
    except FileNotFoundError:
        paths = []
    except OSError as error:
        raise DataError(f"{folder}: cannot read this folder of records ({error.strerror}); make it readable") from None
    for path in sorted(paths):
        if not path.name.isprintable():
            refused.append(f"{path.name!a}: a record's name must be plain text; rename the file")
            continue
        try:
            runs.append(read_run(path))
        except InputError as error:
            refused.append(str(error))
    return sorted(runs, key=lambda item: (item.run.started_utc, item.run.run_id)), refused
