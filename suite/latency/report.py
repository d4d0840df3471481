"""What a measurement gives back: to a person as a table, to a program as JSON, to the records as lines."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import msgspec

from suite.latency.job import Labels
from suite.latency.machine import MachineDetails
from suite.latency.protocol import Protocol, protocol_to_mapping
from suite.latency.validity import Verdict
from suite.records.difference import RatioInterval
from suite.records.schema import Interval, Measurement, Scalar, Series, Subject

INTERVAL_COVERS = "timing noise of this run on this machine (rounds resampled); not other machines, builds or inputs"
SAMPLE_COLUMNS = ["round", "position", "span", "wall_ms", "cpu_ms"]


@dataclass(frozen=True)
class SpanResult:
    """One candidate's times, per image or per video frame, and whether they count.

    Attributes:
        labels: what the times are the times of.
        verdict: VALID, or which rules were broken.
        samples: number of samples.
        wall_median_ms: median wall time.
        wall_tail_ms: wall time at the protocol's percentile.
        cpu_median_ms: median CPU time.
        anchor: title of the candidate the ratios compare with.
        ratio_cpu: CPU time over the anchor's.
        ratio_wall: wall time over the anchor's.
        engine: engine, version and settings.
        positions: places of the two samples within a round.
        wall_ms: samples, one pair per round.
        cpu_ms: samples, one pair per round.
    """

    labels: Labels
    verdict: Verdict
    samples: int
    wall_median_ms: float
    wall_tail_ms: float
    cpu_median_ms: float
    anchor: str
    ratio_cpu: RatioInterval
    ratio_wall: RatioInterval
    engine: dict[str, str]
    positions: tuple[int, int]
    wall_ms: tuple[tuple[float, ...], ...]
    cpu_ms: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class LatencyReport(ABC):
    """One measurement, wherever it was made.

    Attributes:
        protocol: how it was made.
        core: the core it ran on.
        niceness: scheduling priority it ran with; 0 is everybody's, below needs an administrator.
        peak_memory_kib: largest resident memory of the measured process, all models together.
        elapsed_s: seconds of timed rounds.
        attempt: which attempt this is, counted from 1.
        results: one per candidate, the anchor first.
    """

    protocol: Protocol
    core: int
    niceness: int
    peak_memory_kib: int
    elapsed_s: float
    attempt: int
    results: tuple[SpanResult, ...]

    @property
    def valid_count(self) -> int:
        """Number of candidates whose samples may be used."""
        return sum(result.verdict.valid for result in self.results)

    def result(self, title: str) -> SpanResult:
        """Return the result of one candidate by its title, e.g. ``"mobileinst_topformer_base_512 network"``.

        Raises:
            KeyError: if there is none.
        """
        for result in self.results:
            if result.labels.title == title:
                return result
        raise KeyError(title)

    @abstractmethod
    def device_fields(self) -> dict[str, Scalar]:
        """Return what a record says of the device, ``device`` first."""

    def result_rows(self) -> list[dict[str, Any]]:
        """Return the results without raw samples as plain values."""
        rows = []
        for result in self.results:
            fields = dataclasses.asdict(result)
            labels = fields.pop("labels")
            del fields["wall_ms"], fields["cpu_ms"], fields["positions"]
            rows.append({**labels, "valid": result.verdict.valid, **fields})
        return rows


@dataclass(frozen=True)
class HostReport(LatencyReport):
    """One measurement on this machine.

    Attributes:
        machine: where.
        affinities: core lists read back from all threads during the run.
        threads: threads alive at its end; whether a second one worked is the verdict's matter.
    """

    machine: MachineDetails
    affinities: tuple[str, ...]
    threads: int

    def device_fields(self) -> dict[str, Scalar]:
        """Return what a record says of the device; the run's first line describes the machine."""
        return {"device": "host"}

    def to_json(self) -> dict[str, Any]:
        """Return everything but the raw samples as plain values."""
        return {
            "device": "host",
            "protocol": protocol_to_mapping(self.protocol),
            "machine": msgspec.to_builtins(self.machine),
            "core": self.core,
            "affinities": list(self.affinities),
            "niceness": self.niceness,
            "threads_alive": self.threads,
            "peak_memory_kib": self.peak_memory_kib,
            "elapsed_s": self.elapsed_s,
            "attempt": self.attempt,
            "results": self.result_rows(),
        }


def _protocol_fields(report: LatencyReport, result: SpanResult) -> dict[str, Scalar]:
    labels = result.labels
    fields: dict[str, Scalar] = {
        "span": labels.span,
        "runtime": labels.runtime,
        "runtime_version": result.engine.get("version"),
        "threads": 1,
        "precision": labels.precision,
        "height_px": labels.height_px,
        "width_px": labels.width_px,
        **report.device_fields(),
        "core": report.core,
        "niceness": report.niceness,
        "weights": "random" if labels.weights_sha256 is None else "checkpoint",
        "anchor": result.anchor,
        "name": report.protocol.name,
        "percentile": report.protocol.percentile,
        "samples": result.samples,
        "valid": result.verdict.valid,
        "disturbed_share": round(result.verdict.disturbed_share, 4),
        "attempt": report.attempt,
    }
    if labels.key_frame_interval is not None:
        fields["key_frame_interval"] = labels.key_frame_interval
    return fields


def record_lines(report: LatencyReport) -> list[Measurement | Series]:
    """Turn a report into record lines.

    A valid candidate gives wall, CPU and tail latency, its CPU ratio to the anchor (also in need of a valid anchor) and
    its raw samples; an invalid one gives the same measurements without values, the broken rules as their reason, and no
    samples.
    """
    lines: list[Measurement | Series] = []
    valid = {result.labels.title: result.verdict for result in report.results}
    for result in report.results:
        subject = Subject(result.labels.model, result.labels.weights_sha256)
        fields = _protocol_fields(report, result)
        reason = None if result.verdict.valid else result.verdict.summary()
        values = {
            "latency_wall_ms": result.wall_median_ms,
            "latency_p90_wall_ms": result.wall_tail_ms,
            "latency_cpu_ms": result.cpu_median_ms,
        }
        if report.protocol.percentile != 90:
            del values["latency_p90_wall_ms"]
        for metric, value in values.items():
            kept = None if reason else value
            lines.append(Measurement(metric, kept, subject, fields, reason=reason))
        if result.anchor != result.labels.title:
            anchor = valid[result.anchor]
            ratio_reason = reason or (None if anchor.valid else f"anchor {result.anchor} is {anchor.summary()}")
            ratio = result.ratio_cpu
            interval = Interval(ratio.low, ratio.high, ratio.level, INTERVAL_COVERS, ratio.resamples)
            lines.append(
                Measurement(
                    "latency_ratio_cpu",
                    None if ratio_reason else ratio.value,
                    subject,
                    fields,
                    interval=None if ratio_reason else interval,
                    reason=ratio_reason,
                )
            )
        if reason is None:
            rows: list[list[Scalar]] = [
                [number, position, result.labels.span, round(wall, 6), round(cpu, 6)]
                for number, (walls, cpus) in enumerate(zip(result.wall_ms, result.cpu_ms, strict=True))
                for position, wall, cpu in zip(result.positions, walls, cpus, strict=True)
            ]
            lines.append(Series("latency_samples", subject, list(SAMPLE_COLUMNS), rows, fields))
    return lines
