"""The latency gate: this code's graphs against another commit's, interleaved on one core, and their counts exactly.

Time decides only where statistics leave no doubt: the bootstrap interval of the CPU-time ratio has to clear the
tolerance. Parameters, MACs, operators and peak tensor memory follow from the graphs alone, so they have to be equal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from suite.errors import NothingMeasuredError, RegressionError
from suite.export.artifact import GraphArtifact
from suite.export.graph_counts import GraphCounts, count_graph
from suite.latency.host import measure_host
from suite.latency.protocol import Protocol
from suite.latency.report import LatencyReport
from suite.latency.timed_model import TimedModel
from suite.records.difference import RatioInterval, word_of
from suite.typed import read_typed

GATE_FILE = Path(__file__).with_name("gate.toml")
GateWord = Literal["pass", "slower", "not measured"]


class GateRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the gate compares and when it fails (`gate.toml`).

    Attributes:
        models: names of `suite/models`; a gate that compares nothing cannot pass.
        protocol: a protocol of ``host.toml``.
        tolerance: by how much CPU time may grow, e.g. 0.03.
    """

    models: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    protocol: str
    tolerance: Annotated[float, msgspec.Meta(ge=0, lt=1)]


@dataclass(frozen=True)
class GateResult:
    """One model's outcome.

    Attributes:
        model: its name.
        word: ``slower`` if the interval clears the tolerance, ``not measured`` if the run was invalid.
        ratio: CPU time of this code's graph over the baseline's.
        reason: what made the run invalid; empty otherwise.
        differences: one line per count that differs from the baseline's.
    """

    model: str
    word: GateWord
    ratio: RatioInterval
    reason: str
    differences: tuple[str, ...]

    def line(self) -> str:
        """Return the outcome as one line."""
        interval = f"CPU time {self.ratio.value:.3f} [{self.ratio.low:.3f}, {self.ratio.high:.3f}] of the baseline's"
        parts = [f"not measured: {self.reason}" if self.word == "not measured" else f"{self.word}, {interval}"]
        return f"{self.model}: " + "; ".join([*parts, *self.differences])


def load_gate(path: Path = GATE_FILE) -> GateRules:
    """Read the gate's rules.

    Raises:
        DataError: if the file is absent.
        InputError: if the file is not TOML, or a key is unknown, missing or of the wrong type.
    """
    return read_typed(path, GateRules, "gate's rules", "restore it, or see docs/latency.md")


def count_differences(baseline: GraphCounts, current: GraphCounts) -> tuple[str, ...]:
    """Return one line per count that differs, baseline first."""
    lines = []
    for name in ("parameters", "macs", "peak_tensor_bytes"):
        before, after = getattr(baseline, name), getattr(current, name)
        if before != after:
            lines.append(f"{name} {before} -> {after}")
    for operator in sorted({*baseline.operators, *current.operators}):
        before, after = baseline.operators.get(operator, 0), current.operators.get(operator, 0)
        if before != after:
            lines.append(f"operator {operator} {before} -> {after}")
    return tuple(lines)


def judge_ratio(report: LatencyReport, tolerance: float) -> tuple[GateWord, RatioInterval, str]:
    """Judge a report of two candidates, the baseline first.

    Returns:
        The word, the ratio of the second candidate's CPU time to the first's, and the reason if it was not measured.
    """
    baseline, current = report.results
    ratio = current.ratio_cpu
    assert ratio is not None
    for result in (baseline, current):
        if not result.valid:
            return "not measured", ratio, f"{result.labels.title} is {result.summary}"
    word = word_of(ratio.low - 1, ratio.high - 1, higher_is_better=False, tolerance=tolerance)
    return "slower" if word == "worse" else "pass", ratio, ""


def compare(
    model: str,
    baseline: GraphArtifact,
    current: GraphArtifact,
    protocol: Protocol,
    tolerance: float,
    core: int | None = None,
) -> GateResult:
    """Compare one model's graph with the baseline's.

    Args:
        model: its name.
        baseline: the other commit's graph.
        current: this code's graph.
        protocol: how to time them.
        tolerance: by how much CPU time may grow.
        core: the core to pin to; the idlest one if None.

    Raises:
        InputError: if a graph is bad.
        NothingMeasuredError: if the measured process crashed.
    """
    differences = count_differences(count_graph(baseline.path), count_graph(current.path))
    timed = [TimedModel(f"{model} baseline", {"whole": baseline}), TimedModel(model, {"whole": current})]
    word, ratio, reason = judge_ratio(measure_host(timed, protocol, core), tolerance)
    return GateResult(model, word, ratio, reason, differences)


def end_gate(results: Sequence[GateResult]) -> None:
    """End a gate.

    Raises:
        RegressionError: if a model became slower or a count differs.
        NothingMeasuredError: if there is no result, or none failed but one was not measured.
    """
    failed = [result.model for result in results if result.word == "slower" or result.differences]
    if failed:
        raise RegressionError(f"latency gate: {', '.join(failed)} differs from the baseline; see the lines above")
    unmeasured = [result.model for result in results if result.word == "not measured"]
    if unmeasured or not results:
        named = ", ".join(unmeasured) or "no model"
        raise NothingMeasuredError(f"latency gate: compared nothing for {named}; free the machine and run it again")


def to_json(results: Sequence[GateResult], baseline: str, tolerance: float) -> dict[str, Any]:
    """Return the outcome as plain values."""
    return {
        "baseline": baseline,
        "tolerance": tolerance,
        "results": [dataclasses.asdict(result) for result in results],
    }
