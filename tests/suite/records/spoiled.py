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
    "unknown metric": (edit(1, metric="beauty"), 2, "beauty"),
    "no value, no reason": (edit(1, value=None), 2, "reason"),
    "unknown origin": (edit(1, origin="hearsay"), 2, "origin"),
    "NaN": (lambda lines: [line.replace("0.5", "NaN", 1) for line in lines], 2, "JSON"),
    "edited byte": (lambda lines: [line.replace('"value":0.5', '"value":0.6') for line in lines], 6, "bytes before"),
    "missing closing line": (lambda lines: lines[:-1], 5, "interrupted"),
    "truncated line": (lambda lines: [*lines[:-1], lines[-1][:20]], 6, ""),
    "missing first line": (lambda lines: lines[1:], 1, "run line"),
    "line after the end": (lambda lines: [*lines, lines[1]], 6, "not the last"),
    "other schema version": (edit(0, schema_version=2), 1, "schema version"),
    "blank line": (lambda lines: [lines[0], "", *lines[1:]], 2, ""),
    "ragged series": (edit(3, rows=[[1]]), 4, "length"),
    "series without its columns": (edit(3, columns=["iteration", "x", "mask_ap"]), 4, "no column loss"),
    "nested too deeply": (lambda lines: [lines[0], '{"a":' * 100_000, *lines[1:]], 2, ""),
    "not UTF-8 text": (lambda lines: [lines[0], "\udcff", *lines[1:]], 2, ""),
    "empty file": (lambda lines: [], 0, "interrupted"),
    "control character": (edit(4, caption="a\x1b[2J"), 5, "control"),
    "text that runs backwards": (edit(1, subject={"model": "\u202eevil", "weights_sha256": None}), 2, "control"),
    "artifact outside the report": (edit(4, path="reports/../../x.png"), 5, "path"),
    "artifact that is a script": (edit(4, path="reports/x.png)](javascript:alert(1)"), 5, "path"),
    "text without end": (edit(1, subject={"model": "x" * 100_000, "weights_sha256": None}), 2, "model"),
    "no time": (edit(0, started_utc="yesterday"), 1, "started_utc"),
    "byte order mark": (lambda lines: ["\ufeff" + lines[0], *lines[1:]], 1, ""),
    "Windows line ends": (lambda lines: [f"{line}\r" for line in lines], 6, "bytes before"),
}


def write_spoiled(good: Path, bad: Path, name: str) -> None:
    """Write a record spoiled in one of the ways beside a good one."""
    lines = SPOILED[name][0](good.read_text().splitlines())
    bad.write_bytes("".join(f"{text}\n" for text in lines).encode("utf-8", "surrogateescape"))
