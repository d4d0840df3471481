"""Which records a cell of the report is made of.

The rule, applied to every (metric, model, dataset, protocol):

* accuracy, training time: for each seed the latest complete run; the cell shows the mean over seeds, their number and
  their standard deviation;
* latency: the latest valid run on each machine; how many samples it took is not part of what defines it;
* parameters, MACs and parity: the latest run.

A value measured with uncommitted changes is used and marked. Everything not used is listed with its reason.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from suite.records.schema import Dataset, Interval, Machine, Measurement, Run, Scalar
from suite.records.store import RunFile

SEED_KEYS = frozenset({"seed"})
LATENCY_KEYS = ("device", "runtime", "threads", "precision", "height_px", "width_px", "span", "key_frame_interval")
"""What defines a latency cell, beside model and machine."""
SUPERSEDED = "superseded by newer ones of the same model, data, settings and seed"


@dataclass(frozen=True)
class Sample:
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

    ``samples`` holds one entry per seed (accuracy) or exactly one (everything else), ordered by seed.
    """

    metric: str
    model: str
    dataset: Dataset | None
    protocol: tuple[tuple[str, Scalar], ...]
    samples: tuple[Sample, ...]

    def get(self, key: str) -> Scalar:
        """Return one entry of the protocol, None where it has none."""
        return dict(self.protocol).get(key)

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
        """Measured, estimated, server or third-party; all samples of a cell share it."""
        return self.samples[0].measurement.origin

    @property
    def machine(self) -> Machine:
        """The machine of the latest sample."""
        return self.latest.machine

    @property
    def latest(self) -> Run:
        """The run of the latest sample."""
        return max((sample.run for sample in self.samples), key=lambda run: (run.started_utc, run.run_id))

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs behind the cell, by seed."""
        return tuple(dict.fromkeys(sample.run.run_id for sample in self.samples))

    @property
    def dirty(self) -> bool:
        """Whether any sample was measured with uncommitted changes, or from code that no commit names."""
        return any(sample.run.git_dirty is not False for sample in self.samples)


def _is_latency(metric: str) -> bool:
    return metric.startswith("latency_")


def _is_seeded(metric: str) -> bool:
    return metric.startswith(("mask_", "video_", "train_"))


def _identity(run: Run, item: Measurement) -> tuple[object, ...]:
    """Everything that defines the cell of a measurement, the seed left out."""
    data = item.dataset
    dataset = (data.name, data.split, data.digest) if data else None
    if _is_latency(item.metric):
        keys = (*LATENCY_KEYS, "anchor") if item.metric == "latency_ratio_cpu" else LATENCY_KEYS
        protocol = tuple((key, item.protocol[key]) for key in keys if key in item.protocol)
        return item.metric, item.subject.model, None, protocol, item.origin, run.machine.cpu
    protocol = tuple(sorted((key, value) for key, value in item.protocol.items() if key not in SEED_KEYS))
    return item.metric, item.subject.model, dataset, protocol, item.origin, None


def _reason_against(item: Measurement) -> str | None:
    if item.value is None:
        return item.reason
    if item.protocol.get("valid") is False:
        return "the timing run is invalid"
    return None


def _unused_line(reason: str, found: list[tuple[str, str]]) -> str:
    """Return one line for all measurements not used for one reason: files, how many, an example."""
    files = list(dict.fromkeys(name for name, _ in found))
    named = ", ".join(files[:2]) + (f" and {len(files) - 2} more files" if len(files) > 2 else "")
    count = f"{len(found)} measurement{'s' if len(found) > 1 else ''}"
    return f"{named}: {count} not used ({found[0][1]}{' and more' if len(found) > 1 else ''}): {reason}"


def select_cells(runs: Sequence[RunFile]) -> tuple[list[Cell], list[str]]:
    """Apply the selection rule.

    Args:
        runs: complete runs, oldest first (as `suite.records.store.read_folder` returns them).

    Returns:
        The cells in order of first appearance, and one line per reason for measurements not used.
    """
    chosen: dict[tuple[object, ...], dict[int | None, Sample]] = {}
    unused: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for file in runs:
        for item in file.measurements:
            reason = _reason_against(item)
            if reason is not None:
                unused[reason].append((file.path.name, f"{item.metric} of {item.subject.model}"))
                continue
            sample = Sample(file.run, item)
            per_seed = chosen.setdefault(_identity(file.run, item), {})
            seed = sample.seed if _is_seeded(item.metric) else None
            older = per_seed.get(seed)
            if older is not None:
                what = f"{item.metric} of {item.subject.model}"
                unused[SUPERSEDED].append((f"{older.run.run_id}.jsonl", what))
            per_seed[seed] = sample
    cells = []
    for per_seed in chosen.values():
        samples = tuple(per_seed[seed] for seed in sorted(per_seed, key=lambda seed: (seed is None, seed or 0)))
        first = samples[0].measurement
        kept = tuple(sorted((key, value) for key, value in first.protocol.items() if key not in SEED_KEYS))
        cells.append(Cell(first.metric, first.subject.model, first.dataset, kept, samples))
    return cells, [_unused_line(reason, found) for reason, found in unused.items()]
