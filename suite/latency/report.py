"""What a measurement gives back: a table for a person, JSON for a program, lines for the records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from suite.errors import NothingMeasuredError
from suite.latency.device import Protocol
from suite.latency.timing import MeasuredRun, Timing
from suite.latency.validity import ENVIRONMENTAL
from suite.records.provenance import start_run
from suite.records.schema import Interval, Machine, Measurement, Scalar, Series, Subject
from suite.records.store import write_run
from suite.text_table import TextColumn, text_table

INTERVAL_COVERS = "timing noise of this run on this machine (rounds resampled); not other machines, builds or inputs"
SAMPLE_COLUMNS = ["round", "position", "span", "wall_ms", "cpu_ms"]
STATE_COLUMNS = ["block", "round", "elapsed_s", "slowest_khz", "fastest_khz", "sensor", "temperature_c"]
HEADERS = ("model", "span", "input", "T", "wall ms", "p{percentile} ms", "CPU ms", "CPU / anchor")


@dataclass(frozen=True)
class LatencyReport:
    """One measurement.

    Attributes:
        protocol: how it was made.
        core: the core it ran on.
        run: what the measured process gave back, its timings judged.
        machine: the machine that did the work.
        device: what a record says of the device, ``device`` first.
        attempt: which attempt this is, counted from 1.
        state_rows: rows of `STATE_COLUMNS`: frequency and temperature after every round of a phone or board.
        notes: what has to be said beside the numbers.
    """

    protocol: Protocol
    core: int
    run: MeasuredRun
    machine: Machine
    device: dict[str, Scalar]
    attempt: int = 1
    state_rows: tuple[list[Scalar], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def results(self) -> list[Timing]:
        """The judged timings, the anchor first."""
        return self.run.timings

    @property
    def valid_count(self) -> int:
        """Number of candidates whose samples may be used."""
        return sum(result.valid for result in self.results)

    def require_valid(self, what: str) -> None:
        """Raise `NothingMeasuredError`, which begins with ``what``, with the remedy if no candidate may be used."""
        broken = [set(result.broken_rules) - ENVIRONMENTAL for result in self.results]
        remedy = "stop other work on the machine and run again"
        if all(broken):
            remedy = f"mend what broke {', '.join(sorted(set().union(*broken)))} (docs/latency.md), then run again"
        if not self.valid_count:
            raise NothingMeasuredError(f"{what} was valid; {remedy}")

    def result(self, title: str) -> Timing:
        """Return the timing of one candidate by its title, e.g. ``"mobileinst_topformer_base_512 network"``.

        Raises:
            KeyError: if there is none.
        """
        return {result.labels.title: result for result in self.results}[title]

    @property
    def invalid(self) -> list[str]:
        """Every candidate whose samples may not be used, with the broken rules and what was seen."""
        return [f"{result.labels.title}: {result.summary}" for result in self.results if not result.valid]

    def to_json(self) -> dict[str, Any]:
        """Return everything but the raw samples as plain values."""
        return {
            **self.device,
            "protocol": msgspec.to_builtins(self.protocol),
            "machine": msgspec.to_builtins(self.machine),
            "core": self.core,
            "attempt": self.attempt,
            "niceness": self.run.niceness,
            "peak_memory_kib": self.run.peak_memory_kib,
            "elapsed_s": self.run.elapsed_s,
            "affinities": self.run.affinities,
            "threads_alive": self.run.threads,
            "notes": list(self.notes),
            "results": [result.to_json(self.protocol.percentile) for result in self.results],
        }


def _result_row(report: LatencyReport, result: Timing) -> tuple[str, ...]:
    """Return one line of the table; an invalid candidate has no numbers."""
    labels = result.labels
    interval = "" if labels.key_frame_interval is None else str(labels.key_frame_interval)
    opening = (labels.model, labels.span, f"{labels.height_px}x{labels.width_px}", interval)
    if not result.valid:
        return (*opening, "", "", "", "INVALID")
    times = (result.wall_median_ms, result.wall_tail_ms(report.protocol.percentile), result.cpu_median_ms)
    ratio = result.ratio_cpu
    if result.anchor == labels.title:
        shown = "anchor"
    elif ratio is None or not report.result(result.anchor).valid:
        shown = "anchor invalid"
    else:
        shown = f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"
    return (*opening, *(f"{time:.4g}" for time in times), shown)


def report_table(report: LatencyReport) -> str:
    """Return the results as a table (medians in ms per image or video frame), and how and where they were made."""
    titles = [header.format(percentile=report.protocol.percentile) for header in HEADERS]
    columns = [TextColumn(title, number=place >= 3) for place, title in enumerate(titles)]
    lines = text_table(columns, [_result_row(report, result) for result in report.results])
    first, machine = report.results[0], report.machine
    lines += ["", *report.invalid]
    lines.append(
        f"{first.samples} samples each in {report.run.elapsed_s:.0f} s, interleaved, "
        f"core {report.core} of {machine.cores}, one thread, {first.labels.precision}, niceness {report.run.niceness}; "
        f"intervals {report.protocol.interval_level:.0%}, bootstrap over rounds"
    )
    lines.append(f"{machine.cpu}; {machine.system}; times are this machine's, not another's")
    random = sorted({result.labels.model for result in report.results if result.labels.weights_sha256 is None})
    if random:
        lines.append(f"random weights: {', '.join(random)}; postprocess then keeps every query, the worst case")
    return "\n".join([*lines, *(f"note: {note}" for note in report.notes)])


def _protocol_fields(report: LatencyReport, result: Timing) -> dict[str, Scalar]:
    """Return how a result was measured, as a record's lines say it."""
    labels = result.labels
    assert result.verdict is not None
    own = msgspec.structs.asdict(labels).items()
    return {
        **{name: value for name, value in own if value is not None and name not in ("model", "weights_sha256")},
        "runtime_version": result.engine.get("version"),
        "threads": 1,
        **report.device,
        "core": report.core,
        "niceness": report.run.niceness,
        "weights": "random" if labels.weights_sha256 is None else "checkpoint",
        "anchor": result.anchor,
        "name": report.protocol.name,
        "percentile": report.protocol.percentile,
        "samples": result.samples,
        "valid": result.valid,
        "disturbed_share": round(result.verdict.disturbed_share, 4),
        "attempt": report.attempt,
    }


def _ratio_line(report: LatencyReport, result: Timing, fields: dict[str, Scalar], reason: str | None) -> Measurement:
    """Return the CPU ratio to the anchor; without a value where the candidate or its anchor is invalid."""
    subject = Subject(result.labels.model, result.labels.weights_sha256)
    anchor = report.result(result.anchor)
    if reason is None and not anchor.valid:
        reason = f"anchor {result.anchor} is {anchor.summary}"
    ratio = result.ratio_cpu
    if reason is not None or ratio is None:
        return Measurement("latency_ratio_cpu", None, subject, fields, reason=reason)
    interval = Interval(ratio.low, ratio.high, ratio.level, INTERVAL_COVERS, ratio.resamples)
    return Measurement("latency_ratio_cpu", ratio.value, subject, fields, interval=interval)


def record_lines(report: LatencyReport) -> list[Measurement | Series]:
    """Turn a report into record lines.

    A valid candidate gives wall, CPU and tail latency, its CPU ratio to the anchor (also in need of a valid anchor) and
    its raw samples; an invalid one gives the same measurements without values, the broken rules as their reason, and no
    samples. A phone or board adds frequency and temperature over the run.
    """
    lines: list[Measurement | Series] = []
    for result in report.results:
        subject = Subject(result.labels.model, result.labels.weights_sha256)
        fields = _protocol_fields(report, result)
        reason = None if result.valid else result.summary
        values = {"latency_wall_ms": result.wall_median_ms}
        if report.protocol.percentile == 90:
            values["latency_p90_wall_ms"] = result.wall_tail_ms(90)
        values["latency_cpu_ms"] = result.cpu_median_ms
        for metric, value in values.items():
            lines.append(Measurement(metric, None if reason else value, subject, fields, reason=reason))
        if result.anchor != result.labels.title:
            lines.append(_ratio_line(report, result, fields, reason))
        if reason is None:
            rows: list[list[Scalar]] = [
                [number, position, result.labels.span, round(wall, 6), round(cpu, 6)]
                for number, (walls, cpus) in enumerate(
                    zip(result.wall_ms.tolist(), result.cpu_ms.tolist(), strict=True)
                )
                for position, wall, cpu in zip(result.positions, walls, cpus, strict=True)
            ]
            lines.append(Series("latency_samples", subject, list(SAMPLE_COLUMNS), rows, fields))
    if report.state_rows:
        first = report.results[0].labels
        subject = Subject(first.model, first.weights_sha256)
        lines.append(Series("device_state", subject, list(STATE_COLUMNS), list(report.state_rows), report.device))
    return lines


def write_report(report: LatencyReport, kind: str, seed: int, command: str | None = None) -> Path:
    """Write a report as a run of its own under ``reports/records`` and return the file's path.

    Args:
        report: what was measured; the run's machine is the one that did the work.
        kind: opens the run's name, e.g. ``"latency-host"``.
        seed: of weights and inputs.
        command: as the record shows it; as typed if None.
    """
    run = msgspec.structs.replace(start_run(kind, seed, command), machine=report.machine)
    return write_run(run, record_lines(report))
