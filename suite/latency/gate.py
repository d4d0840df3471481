"""The latency gate: this code's graphs against another commit's, interleaved on one core, and their counts exactly.

Time decides only where statistics leave no doubt: the bootstrap interval of the CPU-time ratio has to clear the
tolerance. Parameters, MACs, operators and peak tensor memory follow from the graphs alone, so they have to be equal.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from suite.errors import InputError, NothingMeasuredError, RegressionError
from suite.export.artifact import GraphArtifact
from suite.export.graph_counts import GraphCounts, count_graph
from suite.latency.host import measure_host
from suite.latency.protocol import Protocol
from suite.latency.report import HostReport
from suite.latency.timed_model import TimedModel
from suite.records.difference import RatioInterval, word_of

GATE_FILE = Path(__file__).with_name("gate.toml")
GateWord = Literal["pass", "slower", "not measured"]


@dataclass(frozen=True)
class GateRules:
    """What the gate compares and when it fails (`gate.toml`).

    Attributes:
        models: names of `suite/models`.
        protocol: a protocol of ``host.toml``.
        tolerance: by how much CPU time may grow, e.g. 0.03.
    """

    models: tuple[str, ...]
    protocol: str
    tolerance: float


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
        InputError: if the file is not TOML, or a key is unknown, missing or of the wrong type.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot read the gate's rules ({error})") from None
    known = [field.name for field in dataclasses.fields(GateRules)]
    for key in {*content, *known}:
        if key not in content or key not in known:
            raise InputError(f"{path.name}: key {key!r} is {'missing' if key in known else 'unknown'}; keys: {known}")
    models, tolerance = content["models"], content["tolerance"]
    if not isinstance(models, list) or not models or not all(isinstance(name, str) for name in models):
        raise InputError(f"{path.name}: 'models' must be a list of names; a gate that compares nothing cannot pass")
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < 1:
        raise InputError(f"{path.name}: 'tolerance' must be a number from 0 up to 1, got {tolerance!r}")
    return GateRules(tuple(models), str(content["protocol"]), float(tolerance))


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


def judge_ratio(report: HostReport, tolerance: float) -> tuple[GateWord, RatioInterval, str]:
    """Judge a report of two candidates, the baseline first.

    Returns:
        The word, the ratio of the second candidate's CPU time to the first's, and the reason if it was not measured.
    """
    baseline, current = report.results
    for result in (baseline, current):
        if not result.verdict.valid:
            return "not measured", current.ratio_cpu, f"{result.labels.title} is {result.verdict.summary()}"
    ratio = current.ratio_cpu
    word = word_of(ratio.low - 1, ratio.high - 1, higher_is_better=False, tolerance=tolerance)
    return "slower" if word == "worse" else "pass", ratio, ""


def compare(
    model: str,
    baseline: GraphArtifact,
    current: GraphArtifact,
    protocol: Protocol,
    tolerance: float,
    core: int | None = None,
    measure: Callable[..., HostReport] = measure_host,
) -> GateResult:
    """Compare one model's graph with the baseline's.

    Args:
        model: its name.
        baseline: the other commit's graph.
        current: this code's graph.
        protocol: how to time them.
        tolerance: by how much CPU time may grow.
        core: the core to pin to; the idlest one if None.
        measure: times two models and returns the report.

    Raises:
        InputError: if a graph is bad.
        NothingMeasuredError: if the measured process crashed.
    """
    differences = count_differences(count_graph(baseline.path), count_graph(current.path))
    timed = [TimedModel(f"{model} baseline", {"whole": baseline}), TimedModel(model, {"whole": current})]
    word, ratio, reason = judge_ratio(measure(timed, protocol, core), tolerance)
    return GateResult(model, word, ratio, reason, differences)


def settle(results: Sequence[GateResult]) -> None:
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
