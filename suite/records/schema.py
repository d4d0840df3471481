"""What a record holds: the lines of a run file, checked field by field.

A run file is JSON Lines: one `Run` line, any number of `Measurement`, `Series` and `Artifact` lines, one `End` line.
Unknown fields, wrong types, NaN and other schema versions are refused; a value that could not be had is null with a
reason. Every line is a frozen `msgspec.Struct`, tagged by ``kind``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from suite.typed import read_typed

SCHEMA_VERSION = 1

LONGEST_TEXT = 4000
LARGEST = 1e15
"""No number of a record reaches it."""
Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
Scalar = bool | int | float | Text | None
Origin = Literal["measured", "estimated", "third-party"]


class Metric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the metric catalogue: labels, best-in-bold and directions are derived from it."""

    label: str
    unit: str
    higher_is_better: bool
    signed: bool = False

    def holds(self, value: float) -> bool:
        """Tell whether a number can be one of this metric: fractions reach 1, times and ratios are above 0."""
        if self.unit == "fraction":
            return (-1 if self.signed else 0) <= value <= 1
        return 0 <= value < LARGEST and (value > 0 or self.unit not in ("ms", "ratio"))


METRICS = read_typed(
    Path(__file__).with_name("metrics.toml"), dict[str, Metric], "metric catalogue", "restore it from version control"
)

SERIES_COLUMNS: dict[str, tuple[str, ...]] = {
    "training_curve": ("iteration", "loss"),
    "latency_samples": ("round", "wall_ms", "cpu_ms"),
    "latency_layers": ("module", "operator", "node", "time_ms"),
    "module_macs": ("module", "macs"),
}
"""Columns without which the report cannot read a series of this name; others may stand beside them."""
TEXT_COLUMNS = frozenset({"module", "operator", "node"})
"""Those of them that hold text; the others hold numbers."""
WHOLE_KEYS = frozenset({"seed", "iterations", "height_px", "width_px", "key_frame_interval"})
"""Protocol entries that are whole numbers, or null where there is none, as of a program's input."""


class Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured: a model by its name, and its weights by their digest (null = random weights)."""

    model: Text
    weights_sha256: Text | None = None


class Dataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data of a measurement; ``digest`` is the pinned one of ``datasets.dvc``, or of the files read."""

    name: Text
    split: Text
    digest: Text
    pinned: bool
    images: int | None = None
    videos: int | None = None


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A confidence interval in the metric's unit, with the sentence that says what it covers."""

    low: float
    high: float
    level: float
    covers: Text
    resamples: int | None = None
    seed: int | None = None


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The computer or phone a run happened on, described once per run."""

    name: Text
    cpu: Text
    architecture: Text
    cores: Annotated[int, msgspec.Meta(ge=0)]
    memory_gib: float | None
    system: Text
    isa_flags: list[Text]


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="run", tag_field="kind"):
    """First line: where, when, from which code and by which command."""

    schema_version: int
    run_id: Text
    started_utc: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\dZ\Z")]
    command: Text
    suite_version: Text
    git_sha: Text | None
    git_dirty: bool | None
    machine: Machine
    packages: dict[Text, Text]
    seed: int | None


class Measurement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="measurement", tag_field="kind"):
    """One number; ``value`` is null exactly where ``reason`` says why, ``protocol`` holds all that defines it."""

    metric: Text
    value: float | None
    subject: Subject
    protocol: dict[Text, Scalar]
    dataset: Dataset | None = None
    interval: Interval | None = None
    origin: Origin = "measured"
    reason: Text | None = None


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="series", tag_field="kind"):
    """A table of raw numbers: a training curve or timing samples."""

    name: Text
    subject: Subject
    columns: list[Text]
    rows: list[list[Scalar]]
    protocol: dict[Text, Scalar] = {}
    dataset: Dataset | None = None


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="artifact", tag_field="kind"):
    """A file made by the run, by its path under ``reports/`` or ``runs/`` and its digest."""

    name: Text
    path: Text
    sha256: Text
    subject: Subject
    caption: Text


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="end", tag_field="kind"):
    """Last line: without it the run was interrupted. ``sha256`` covers every byte before this line."""

    lines: int
    sha256: str


Line = Run | Measurement | Series | Artifact | End


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def printable(value: Any) -> Any:
    """Return plain values, their strings cut to `LONGEST_TEXT` and without control characters, e.g. of a CPU's name."""
    if isinstance(value, str):
        return "".join(character for character in value if character.isprintable())[:LONGEST_TEXT]
    if isinstance(value, dict):
        return {printable(key): printable(item) for key, item in value.items()}
    return [printable(item) for item in value] if isinstance(value, list) else value


def _is_plain(path: str) -> bool:
    """Tell whether a path is relative, stays below its folder and holds nothing that a link would read as its own."""
    parts = path.split("/")
    return all(re.fullmatch(r"[\w.+-]+", part, re.ASCII) and part not in (".", "..") for part in parts)


def _check_measurement(line: Measurement) -> None:
    metric, interval = METRICS.get(line.metric), line.interval
    if metric is None:
        raise ValueError(f"names the unknown metric {line.metric!r}; known: {', '.join(METRICS)}")
    if (line.value is None) != (line.reason is not None):
        raise ValueError(f"must give {line.metric} either a value or a reason for having none")
    if line.value is not None and not metric.holds(line.value):
        raise ValueError(f"gives {line.metric} the value {line.value:g}, which no {metric.unit} can be")
    if interval and not (-LARGEST < interval.low <= interval.high < LARGEST and 0 < interval.level < 1):
        raise ValueError(f"gives {line.metric} an interval whose ends or level cannot be")
    for key in WHOLE_KEYS & line.protocol.keys():
        if type(line.protocol[key]) not in (int, type(None)):
            raise ValueError(f"has {key} {line.protocol[key]!r} in its protocol, which must be a whole number")


def _check_series(line: Series) -> None:
    needed = SERIES_COLUMNS.get(line.name, ())
    if absent := set(needed) - set(line.columns):
        raise ValueError(f"has no column {', '.join(sorted(absent))} in its {line.name}")
    if len(set(line.columns)) < len(line.columns):
        raise ValueError(f"names a column of its {line.name} twice")
    if not set(map(len, line.rows)) <= {len(line.columns)}:
        raise ValueError(f"has a row of {line.name} whose length differs from its {len(line.columns)} columns")
    for name, values in zip(line.columns, zip(*line.rows, strict=True), strict=False):
        kinds = set(map(type, values))
        if name in needed:
            fits = kinds <= ({str} if name in TEXT_COLUMNS else {int, float})
        else:
            fits = any(kinds - {type(None)} <= one for one in ({int, float}, {str}, {bool}))
        lowest = 0 if name in needed and name.endswith("_ms") else -LARGEST
        numbers = [] if not fits or kinds & {str, bool} else [value for value in values if value is not None]
        if not fits or (numbers and not lowest < min(numbers) <= max(numbers) < LARGEST):
            raise ValueError(f"has a value in column {name} of its {line.name} that cannot stand there")


def check_line(line: Line, every_value: bool = True) -> None:
    """Check what types alone cannot say.

    Args:
        line: one line of a run file.
        every_value: look at each number and text; needless for JSON of plain ASCII, which can hold neither fault.

    Raises:
        ValueError: one clause, without the file's name, that says which field is wrong and why.
    """
    for leaf in _leaves(msgspec.to_builtins(line)) if every_value else ():
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise ValueError("holds NaN or infinity; write null with a reason")
        if isinstance(leaf, str) and not leaf.isprintable():
            raise ValueError(f"holds a control character in {leaf!a}; write plain text")
    if isinstance(line, Measurement):
        _check_measurement(line)
    elif isinstance(line, Series):
        _check_series(line)
    elif isinstance(line, Run) and line.schema_version != SCHEMA_VERSION:
        raise ValueError(f"has schema version {line.schema_version}, this suite reads {SCHEMA_VERSION}")
    elif isinstance(line, Artifact) and line.path.startswith("reports/") and not _is_plain(line.path):
        raise ValueError(f"names the artifact path {line.path!a}; only letters, digits and . _ + - are allowed")
