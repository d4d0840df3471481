"""Cells: which measurements a number of the report is made of, and what it is called.

The rule, applied to every (metric, model, dataset, protocol):

* accuracy, training time: for each seed the latest complete run; the cell shows the mean over seeds, their number and
  their standard deviation;
* latency: the latest valid run on each machine; how many samples it took is not part of what defines it;
* parameters, MACs and parity: the latest run.

A value measured with uncommitted changes is used and marked. Everything not used is listed with its reason.
"""

from __future__ import annotations

import hashlib
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import msgspec
import pandas as pd

from suite.records.schema import METRICS, Dataset, Interval, Measurement, Run, Scalar
from suite.records.store import RunFile

LATENCY_KEYS = ("device", "runtime", "threads", "precision", "height_px", "width_px", "span", "key_frame_interval")
"""What defines a latency cell, beside model and machine."""
Item = TypeVar("Item")
Key = TypeVar("Key")
SUPERSEDED = "superseded by newer ones of the same model, data, settings and seed"


def short_cpu(cpu: str) -> str:
    """Return a processor's name without its family numbers."""
    return cpu.split(" (family")[0].strip()


class Sample(NamedTuple):
    """One measurement and the run it came from."""

    run: Run
    measurement: Measurement

    @property
    def value(self) -> float:
        """The measured number; samples of cells always have one."""
        assert self.measurement.value is not None
        return self.measurement.value

    @property
    def seed(self) -> int | None:
        """The training seed of the protocol, else the run's."""
        seed = self.measurement.protocol.get("seed", self.run.seed)
        return seed if isinstance(seed, int) else None


@dataclass(frozen=True)
class Cell:
    """One number of the report: a metric of one model under one protocol, over all its seeds.

    ``samples`` holds one entry per seed (accuracy) or exactly one (everything else), ordered by seed; ``protocol`` is
    what defines the number, without the seed.
    """

    metric: str
    model: str
    dataset: Dataset | None
    protocol: dict[str, Scalar]
    samples: tuple[Sample, ...]

    def get(self, key: str) -> Scalar:
        """Return one entry of the protocol, None where it has none."""
        return self.protocol.get(key)

    def has(self, wanted: Mapping[str, Scalar]) -> bool:
        """Tell whether the protocol has these entries; None as a value means that the entry is absent."""
        return all(self.protocol.get(key) == value for key, value in wanted.items())

    @property
    def value(self) -> float:
        """Mean over seeds, in the metric's unit."""
        return statistics.fmean(sample.value for sample in self.samples)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over seeds; None for a single one."""
        return statistics.stdev(sample.value for sample in self.samples) if len(self.samples) > 1 else None

    @property
    def interval(self) -> Interval | None:
        """The record's own interval where the cell is one sample, else None: intervals do not cover seeds."""
        return self.samples[0].measurement.interval if len(self.samples) == 1 else None

    @property
    def origin(self) -> str:
        """Measured, estimated or third-party; all samples of a cell share it."""
        return self.samples[0].measurement.origin

    @property
    def latest(self) -> Run:
        """The run of the latest sample."""
        return max((sample.run for sample in self.samples), key=lambda run: (run.started_utc, run.run_id))

    @property
    def cpu(self) -> str:
        """The processor of the latest sample."""
        return self.latest.machine.cpu

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs behind the cell, by seed."""
        return tuple(dict.fromkeys(sample.run.run_id for sample in self.samples))

    @property
    def dirty(self) -> bool:
        """Whether any sample was measured with uncommitted changes, or from code that no commit names."""
        return any(sample.run.git_dirty is not False for sample in self.samples)

    @property
    def data_name(self) -> str:
        """The dataset's name, empty where there is none."""
        return self.dataset.name if self.dataset else ""

    @property
    def data_digest(self) -> str:
        """The dataset's digest, empty where there is no dataset."""
        return self.dataset.digest if self.dataset else ""

    @property
    def where(self) -> str:
        """Dataset and split, e.g. ``"shapes val"``; empty where there is no dataset."""
        return f"{self.dataset.name} {self.dataset.split}" if self.dataset else ""

    @property
    def frames(self) -> int:
        """The key-frame interval T, 0 where there is none."""
        value = self.get("key_frame_interval")
        return value if isinstance(value, int) else 0

    @property
    def size(self) -> str:
        """Input size, e.g. ``"640x864"``."""
        return f"{self.get('height_px')}x{self.get('width_px')}"

    def to_json(self) -> dict[str, Any]:
        """Return the cell as plain values: mean, deviation, every seed's value, protocol, runs."""
        return {
            "metric": self.metric,
            "unit": METRICS[self.metric].unit,
            "model": self.model,
            "dataset": msgspec.to_builtins(self.dataset),
            "protocol": dict(sorted(self.protocol.items())),
            "value": self.value,
            "deviation": self.deviation,
            "interval": msgspec.to_builtins(self.interval),
            "origin": self.origin,
            "uncommitted_changes": self.dirty,
            "samples": [
                {
                    "seed": sample.seed,
                    "value": sample.value,
                    "weights_sha256": sample.measurement.subject.weights_sha256,
                    "run": sample.run.run_id,
                    "git_sha": sample.run.git_sha,
                }
                for sample in self.samples
            ],
        }

    @property
    def setting(self) -> str:
        """The training setting of an accuracy, e.g. ``"1800 iterations, query passing"``."""
        iterations, passing = self.get("iterations"), self.get("query_passing")
        words = [] if iterations is None else [f"{iterations} iterations"]
        if passing is not None:
            words.append("query passing" if passing else "no query passing")
        return ", ".join(words)


def _identity(sample: Sample) -> tuple[object, ...]:
    """Everything that defines the cell of a measurement, the seed left out."""
    item, data = sample.measurement, sample.measurement.dataset
    protocol, where = item.protocol, None
    if item.metric.startswith("latency_"):
        keys = (*LATENCY_KEYS, "anchor") if item.metric == "latency_ratio_cpu" else LATENCY_KEYS
        protocol, data, where = {key: protocol[key] for key in keys if key in protocol}, None, sample.run.machine.cpu
    settings = protocol.items() - {("seed", protocol.get("seed"))}
    dataset = (data.name, data.split, data.digest) if data else None
    return item.metric, item.subject.model, dataset, frozenset(settings), item.origin, where


def _seed(sample: Sample) -> int:
    """Return the seed by which newer samples replace older ones, -1 for metrics without seeds."""
    seed = sample.seed if sample.measurement.metric.startswith(("mask_", "video_", "train_")) else None
    return -1 if seed is None else seed


def _reason_against(item: Measurement) -> str | None:
    return item.reason or ("the timing run is invalid" if item.protocol.get("valid") is False else None)


def _unused_line(reason: str, unused: pd.DataFrame, first: Measurement) -> str:
    """Return one line for all measurements not used for one reason: files, how many, the first of them."""
    files = unused["file"].unique()
    named = ", ".join(files[:2]) + (f" and {len(files) - 2} more files" if len(files) > 2 else "")
    count = f"{len(unused)} measurement{'s' if len(unused) > 1 else ''}"
    example = f"{first.metric} of {first.subject.model}" + (" and more" if len(unused) > 1 else "")
    return f"{named}: {count} not used ({example}): {reason}"


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Return the items by key, both in order of first appearance."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def select_cells(runs: Sequence[RunFile]) -> tuple[list[Cell], list[str]]:
    """Apply the selection rule to a frame with one row a measurement.

    Args:
        runs: complete runs, oldest first (as `suite.records.store.read_folder` returns them).

    Returns:
        The cells in order of first appearance, and one line per reason for measurements not used.
    """
    samples = [Sample(file.run, item) for file in runs for item in file.measurements]
    numbers: dict[tuple[object, ...], int] = {}
    frame = pd.DataFrame(
        {
            "file": [file.path.name for file in runs for _ in file.measurements],
            "cell": [numbers.setdefault(_identity(sample), len(numbers)) for sample in samples],
            "seed": [_seed(sample) for sample in samples],
            "unused": [_reason_against(sample.measurement) for sample in samples],
        }
    )
    usable = frame[frame["unused"].isna()]
    frame.loc[usable.index[usable.duplicated(["cell", "seed"], keep="last")], "unused"] = SUPERSEDED
    used = frame[frame["unused"].isna()].sort_values(["cell", "seed"], kind="stable")
    cells = []
    for places in used.groupby("cell").groups.values():
        group = tuple(samples[place] for place in places)
        first = group[0].measurement
        protocol = {key: value for key, value in first.protocol.items() if key != "seed"}
        cells.append(Cell(first.metric, first.subject.model, first.dataset, protocol, group))
    groups = frame.groupby("unused", sort=False)
    return cells, [_unused_line(str(why), group, samples[group.index[0]].measurement) for why, group in groups]


def _readable(cell: Cell) -> str:
    data = cell.dataset
    sized = data is None and cell.get("height_px") is not None
    parts = [cell.metric, cell.model, f"{data.name}-{data.split}" if data else "", cell.size if sized else ""]
    keys = ("span", "runtime", "error", "category", "size")
    parts += [str(cell.get(key)) for key in keys if cell.get(key) is not None]
    parts.append(f"T{cell.frames}" if cell.frames else "")
    parts += [f"no-{key.replace('_', '-')}" for key in ("query_passing", "association") if cell.get(key) is False]
    return "/".join(part for part in parts if part)


def _digest(cell: Cell) -> str:
    protocol = tuple(sorted(cell.protocol.items()))
    identity = (protocol, cell.data_digest, cell.origin, cell.cpu)
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:6]


def cell_ids(cells: Sequence[Cell]) -> dict[str, Cell]:
    """Return id -> cell, e.g. ``"video_ap/mobileinst_topformer_tiny_shapes/shapes-val/T3"``.

    Cells that differ only in details (number of iterations, data digest, machine) get six hexadecimal digits appended.
    """
    names = [_readable(cell) for cell in cells]
    counts = Counter(names)
    return {
        name if counts[name] == 1 else f"{name}#{_digest(cell)}": cell for name, cell in zip(names, cells, strict=True)
    }
