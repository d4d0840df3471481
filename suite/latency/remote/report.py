"""What a measurement on a remote device gives back: for a person, a program and the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from suite.errors import NothingMeasuredError
from suite.latency.protocol import protocol_to_mapping
from suite.latency.remote.answer import Answer
from suite.latency.remote.identity import Answered
from suite.latency.report import LatencyReport, record_lines
from suite.latency.table import counts_line, result_lines
from suite.records.provenance import shown_command, start_run
from suite.records.schema import Machine, Scalar, Series, Subject
from suite.records.store import write_run

STATE_COLUMNS = ["block", "round", "elapsed_s", "slowest_khz", "fastest_khz", "sensor", "temperature_c"]


@dataclass(frozen=True)
class RemoteReport(LatencyReport):
    """One measurement on a phone or board.

    Attributes:
        device: the device file's name.
        answered: who was at the other end.
        machine: the device.
        answers: all that the runner printed, by block.
        notes: what has to be said beside the numbers.
    """

    device: str
    answered: Answered
    machine: Machine
    answers: tuple[Answer, ...]
    notes: tuple[str, ...]

    @property
    def valid(self) -> bool:
        """Whether every candidate's samples may be used."""
        return self.valid_count == len(self.results)

    def device_fields(self) -> dict[str, Scalar]:
        """Return what a record says of the device: its name only if that is what answered."""
        return {
            **self.answered.fields(self.device),
            "device_cpu": self.machine.cpu,
            "blocks": len(self.answers),
            "runner_platform": self.answers[0].header.platform,
        }

    def state_rows(self) -> list[list[Scalar]]:
        """Return frequency and temperature after every round, one row per sensor (one without, if there is none)."""
        rows: list[list[Scalar]] = []
        for block, answer in enumerate(self.answers):
            for line in answer.rounds:
                seen = [item.khz for item in answer.samples if item.round == line.round and item.khz is not None]
                opening: list[Scalar] = [block, line.round, line.elapsed_s]
                opening += [min(seen), max(seen)] if seen else [None, None]
                if not line.sensors:
                    rows.append([*opening, None, None])
                for name, value in sorted(line.sensors.items()):
                    rows.append([*opening, name, None if value is None else value / 1000])
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return everything but the raw samples as plain values."""
        return {
            **self.device_fields(),
            "protocol": protocol_to_mapping(self.protocol),
            "machine": msgspec.to_builtins(self.machine),
            "core": self.core,
            "niceness": self.niceness,
            "peak_memory_kib": self.peak_memory_kib,
            "elapsed_s": self.elapsed_s,
            "attempt": self.attempt,
            "notes": list(self.notes),
            "results": self.result_rows(),
        }

    def text(self) -> str:
        """Return the results as a table with the lines that say how and where they were made."""
        lines = [*result_lines(self), counts_line(self, self.machine.cores)]
        lines.append(f"{self.machine.cpu}; {self.machine.system}; in {len(self.answers)} blocks")
        random = sorted({result.labels.model for result in self.results if result.labels.weights_sha256 is None})
        if random:
            lines.append(f"random weights: {', '.join(random)}")
        lines += [f"note: {note}" for note in self.notes]
        if not self.answered.real:
            lines.append(f"no real device: {self.answered.by} answered, so these are not times of {self.device}")
        return "\n".join(lines)


def state_series(report: RemoteReport) -> Series:
    """Return frequency and temperature over the run as a record line."""
    subject = Subject(report.results[0].labels.model, report.results[0].labels.weights_sha256)
    return Series("device_state", subject, list(STATE_COLUMNS), report.state_rows(), report.device_fields())


def _shown_without(private: str) -> str:
    """Return the command as it was typed, but for the serial number or address, which no record publishes."""
    words = shown_command().split(" ")
    named = (private, f"--serial={private}")
    return " ".join(word.removesuffix(private) + "DEVICE" if private and word in named else word for word in words)


def write_remote_record(report: RemoteReport, kind: str, seed: int, private: str = "") -> Path:
    """Write a report as a run of its own under ``reports/records`` and return the file's path.

    Args:
        report: a valid one.
        kind: opens the run's name, e.g. ``"latency-phone"``.
        seed: of the weights and inputs.
        private: serial number or address in the command line, left out of the record; empty if none was typed.

    Raises:
        NothingMeasuredError: if a candidate is invalid; then nothing is written.
    """
    if not report.valid:
        raise NothingMeasuredError(f"latency: {invalid_names(report.results)} invalid, so nothing was recorded")
    # The run's machine is the one that did the work, not the one that gave the order.
    run = msgspec.structs.replace(start_run(kind, seed, _shown_without(private)), machine=report.machine)
    return write_run(run, [*record_lines(report), state_series(report)])


def invalid_names(results: Sequence[Any]) -> str:
    """Return the titles of the invalid results with their broken rules, as part of one line."""
    named = []
    for result in results:
        if not result.verdict.valid:
            rules = ", ".join(dict.fromkeys(problem.rule for problem in result.verdict.problems))
            named.append(f"{result.labels.title} ({rules})")
    return "; ".join(named)
