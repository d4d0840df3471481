"""Ways to spoil a record of six lines: a run, two measurements, a series, an artifact, the closing line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

Spoil = Callable[[list[str]], list[str]]


def edit(number: int, **changes: object) -> Spoil:
    """Return a change of one line's fields; ``...`` as a value removes the field."""

    def spoil(lines: list[str]) -> list[str]:
        value = json.loads(lines[number])
        for key, change in changes.items():
            if change is ...:
                del value[key]
            else:
                value[key] = change
        lines[number] = json.dumps(value)
        return lines

    return spoil


SPOILED: dict[str, tuple[Spoil, int, str]] = {
    "unknown field": (edit(1, colour="red"), 2, "colour"),
    "unknown kind": (edit(1, kind="guess"), 2, "guess"),
    "unknown metric": (edit(1, metric="beauty"), 2, "beauty"),
    "value is text": (edit(1, value="0.5"), 2, "value"),
    "missing subject": (edit(1, subject=...), 2, "subject"),
    "no value, no reason": (edit(1, value=None), 2, "reason"),
    "unknown origin": (edit(1, origin="hearsay"), 2, "origin"),
    "NaN": (lambda lines: [line.replace("0.5", "NaN", 1) for line in lines], 2, "JSON"),
    "edited byte": (lambda lines: [line.replace('"value":0.5', '"value":0.6') for line in lines], 6, "bytes before"),
    "edited closing digest": (edit(-1, sha256="0" * 64), 6, "bytes before"),
    "wrong line count": (edit(-1, lines=4), 6, "bytes before"),
    "missing closing line": (lambda lines: lines[:-1], 5, "interrupted"),
    "truncated line": (lambda lines: [*lines[:-1], lines[-1][:20]], 6, ""),
    "missing first line": (lambda lines: lines[1:], 1, "run line"),
    "two run lines": (lambda lines: [lines[0], *lines], 2, "run line"),
    "line after the end": (lambda lines: [*lines, lines[1]], 6, "not the last"),
    "lines swapped": (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 6, "bytes before"),
    "other schema version": (edit(0, schema_version=2), 1, "schema version"),
    "schema version is text": (edit(0, schema_version="1"), 1, "schema_version"),
    "missing machine": (edit(0, machine=...), 1, "machine"),
    "blank line": (lambda lines: [lines[0], "", *lines[1:]], 2, ""),
    "not an object": (lambda lines: [lines[0], "[1]", *lines[1:]], 2, ""),
    "ragged series": (edit(3, rows=[[1]]), 4, "length"),
    "series without its columns": (edit(3, columns=["iteration", "loss", "x"]), 4, "no column mask_ap"),
    "nested too deeply": (lambda lines: [lines[0], '{"a":' * 100_000, *lines[1:]], 2, ""),
    "not UTF-8 text": (lambda lines: [lines[0], "\udcff", *lines[1:]], 2, ""),
    "empty file": (lambda lines: [], 0, "interrupted"),
    "infinite value": (lambda lines: [line.replace("0.5", "1e999", 1) for line in lines], 2, ""),
    "protocol holds a list": (edit(1, protocol={"sizes": [640, 512]}), 2, "protocol"),
    "interval does not say what it covers": (edit(1, interval={"low": 0.4, "high": 0.6, "level": 0.95}), 2, "covers"),
    "dataset without digest": (edit(2, dataset={"name": "x", "split": "val", "pinned": True}), 3, "digest"),
    "artifact without digest": (edit(4, sha256=...), 5, "sha256"),
    "series columns are numbers": (edit(3, columns=[1, 2]), 4, "columns"),
    "seed is a fraction": (edit(0, seed=0.5), 1, "seed"),
    "git state is a word": (edit(0, git_dirty="no"), 1, "git_dirty"),
    "unknown field in the machine": (edit(0, machine={"name": "host", "owner": "me"}), 1, "machine"),
    "control character": (edit(4, caption="a\x1b[2J"), 5, "control"),
    "text that runs backwards": (edit(1, subject={"model": "\u202eevil", "weights_sha256": None}), 2, "control"),
    "artifact outside the report": (edit(4, path="reports/../../x.png"), 5, "path"),
    "artifact that is a script": (edit(4, path="reports/x.png)](javascript:alert(1)"), 5, "path"),
    "byte order mark": (lambda lines: ["\ufeff" + lines[0], *lines[1:]], 1, ""),
    "Windows line ends": (lambda lines: [f"{line}\r" for line in lines], 6, "bytes before"),
    "one line twice": (lambda lines: [*lines[:2], lines[1], *lines[2:]], 7, "bytes before"),
}


def write_spoiled(good: Path, bad: Path, name: str) -> None:
    """Write a record spoiled in one of the ways beside a good one."""
    lines = SPOILED[name][0](good.read_text().splitlines())
    bad.write_bytes("".join(f"{text}\n" for text in lines).encode("utf-8", "surrogateescape"))
