"""The latency gate: this code's graphs against another commit's, in time or in emulated cycles, and their counts.

Time, interleaved on one core, decides only where statistics leave no doubt: the bootstrap interval of the CPU-time
ratio has to clear the tolerance. Cycles of an emulated inference are exact, so their ratio decides. Parameters, MACs,
operators and peak tensor memory follow from the graphs alone, so they have to be equal. The other commit's graphs are
exported by its own code, unpacked beside this one.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from suite.errors import InputError, NothingMeasuredError, RegressionError
from suite.export.artifact import GraphArtifact
from suite.export.counts import GraphCounts, count_graph
from suite.latency.child import ONE_THREAD_ENVIRONMENT
from suite.latency.device import Protocol
from suite.latency.estimate import counting
from suite.latency.estimate.calibration import Core, Count
from suite.latency.estimate.tools import run_program
from suite.latency.host import measure_host
from suite.latency.spans import TimedModel
from suite.latency.timing import Timing
from suite.paths import repository_root, runs_dir
from suite.progress import say
from suite.records.difference import RatioInterval, word_of
from suite.signals import leaving_on_signals
from suite.typed import read_typed

GATE_FILE = Path(__file__).with_name("gate.toml")
EXPORT_LIMIT_S, GIT_LIMIT_S = 900, 120
EXPORT = """
import json, pathlib, sys
from suite.latency.prepare import prepare_model
name, seed, folder, runtime = sys.argv[1:]
made = prepare_model(name, seed=int(seed), folder=pathlib.Path(folder), runtime=runtime)
graph = getattr(made, "timed", made).graphs["whole"]
print(json.dumps({"path": str(graph.path), "sha256": graph.sha256, "reference": str(graph.reference)}))
"""
GateWord = Literal["pass", "slower", "not measured"]


class GateRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the gate compares and when it fails (`gate.toml`).

    Attributes:
        models: names of `suite/models`.
        protocol: a protocol of ``host.toml``.
        tolerance: by how much CPU time may grow, e.g. 0.03.
        cycle_models: names of models that are small enough to be emulated.
        cycle_tolerance: by how much their cycles may grow, e.g. 0.005.
    """

    models: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    protocol: str
    tolerance: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    cycle_models: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    cycle_tolerance: Annotated[float, msgspec.Meta(ge=0, lt=1)]


@dataclass(frozen=True)
class GateResult:
    """One model's outcome.

    Attributes:
        model: its name.
        word: ``slower`` if the interval clears the tolerance, ``not measured`` if the run was invalid.
        ratio: CPU time or cycles of this code's graph over the baseline's; the interval of cycles is a point.
        reason: what made the run invalid; empty otherwise.
        differences: one line per count that differs from the baseline's.
        quantity: what the ratio is of.
    """

    model: str
    word: GateWord
    ratio: RatioInterval
    reason: str
    differences: tuple[str, ...]
    quantity: Literal["CPU time", "cycles"] = "CPU time"

    def line(self) -> str:
        """Return the outcome as one line."""
        ratio = self.ratio
        shown = f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]" if ratio.resamples else f"{ratio.value:.4f}"
        compared = f"{self.word}, {self.quantity} {shown} of the baseline's"
        parts = [f"not measured: {self.reason}" if self.word == "not measured" else compared]
        return f"{self.model}: " + "; ".join([*parts, *self.differences])


def load_gate() -> GateRules:
    """Read the gate's rules."""
    return read_typed(GATE_FILE, GateRules, "gate's rules", "restore it, or see docs/latency.md")


def count_differences(baseline: GraphCounts, current: GraphCounts) -> tuple[str, ...]:
    """Return one line per count that differs, baseline first."""

    def named(counts: GraphCounts) -> dict[str, int]:
        sizes = {name: getattr(counts, name) for name in ("parameters", "macs", "peak_tensor_bytes")}
        return {**sizes, **{f"operator {name}": number for name, number in counts.operators.items()}}

    before, after = named(baseline), named(current)
    return tuple(
        f"{name} {before.get(name, 0)} -> {after.get(name, 0)}"
        for name in {**before, **after}
        if before.get(name, 0) != after.get(name, 0)
    )


def compare(
    model: str,
    baseline: GraphArtifact,
    current: GraphArtifact,
    protocol: Protocol,
    tolerance: float,
    core: int | None = None,
) -> GateResult:
    """Compare one model's graph with the baseline's; CPU time may grow by ``tolerance``.

    Raises:
        InputError: if a graph is bad.
        NothingMeasuredError: if the measured process crashed.
    """
    timed = [TimedModel(f"{model} baseline", {"whole": baseline}), TimedModel(model, {"whole": current})]
    results = measure_host(timed, protocol, core).results
    differences = count_differences(count_graph(baseline.path), count_graph(current.path))
    return judge_results(model, results, tolerance, differences)


def judge_results(
    model: str, results: Sequence[Timing], tolerance: float, differences: tuple[str, ...] = ()
) -> GateResult:
    """Judge two judged timings, the baseline's first; the counts' differences travel along."""
    ratio = results[1].ratio_cpu
    assert ratio is not None
    invalid = [f"{result.labels.title} is {result.summary}" for result in results if not result.valid]
    worse = word_of(ratio.low - 1, ratio.high - 1, higher_is_better=False, tolerance=tolerance) == "worse"
    word: GateWord = "not measured" if invalid else "slower" if worse else "pass"
    return GateResult(model, word, ratio, "; ".join(invalid), differences)


def compare_cycles(
    model: str, baseline: GraphArtifact, current: GraphArtifact, core: Core, tolerance: float
) -> GateResult:
    """Compare what one emulated fp16 inference of a model's graph costs with the baseline's.

    Raises:
        InputError: if ncnn cannot take a graph.
        NothingMeasuredError: if a tool is missing.
    """
    paths = (baseline.path, current.path)
    before, now = (counting.count_graph(model, path, "network", "fp16", core.mca_model) for path in paths)
    return judge_cycles(before, now, tolerance, count_differences(*map(count_graph, paths)))


def judge_cycles(baseline: Count, current: Count, tolerance: float, differences: tuple[str, ...] = ()) -> GateResult:
    """Judge two counts; the graphs' differences travel along."""
    ratio = current.cycles / baseline.cycles
    word: GateWord = "slower" if ratio > 1 + tolerance else "pass"
    return GateResult(current.network, word, RatioInterval(ratio, ratio, ratio, 1.0, 0), "", differences, "cycles")


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


def _git(*words: str) -> str:
    what, remedy = f"git {' '.join(words[:2])}", "name a commit of this repository"
    return run_program(["git", *words], what, remedy, InputError, GIT_LIMIT_S, cwd=repository_root()).strip()


def resolve_commit(revision: str | None) -> str:
    """Return the full SHA of a revision: anything git understands.

    None means the last commit if files differ from it, and the one before otherwise: what is compared with it is then
    never itself.

    Raises:
        InputError: if git does not know it, or this is not a git checkout.
    """
    if revision is None:
        dirty = _git("status", "--porcelain", "--untracked-files=no", "--", "reference_model", "suite")
        revision = "HEAD" if dirty else "HEAD~1"
    return _git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")


def baseline_graphs(
    sha: str, models: Sequence[str], seed: int = 0, runtime: str = "onnxruntime_cpu"
) -> dict[str, GraphArtifact]:
    """Export models for a runtime with the code of a commit, into ``runs/onnx/baseline``; return the graphs by model.

    Raises:
        InputError: if the commit cannot export a model; the message has its last line.
        NothingMeasuredError: if an export does not end in time.
    """
    folder = runs_dir() / "onnx" / "baseline"
    graphs = {}
    with leaving_on_signals(), tempfile.TemporaryDirectory(prefix="latency-baseline-") as tree:
        archive = Path(tree) / "commit.tar"
        _git("archive", f"--output={archive}", sha)
        with tarfile.open(archive) as files:
            files.extractall(tree, filter="data")
        environment = {**os.environ, **ONE_THREAD_ENVIRONMENT, "PYTHONPATH": tree}
        for name in models:
            say(f"baseline: {name} with the code of {sha[:12]}")
            words = [sys.executable, "-c", EXPORT, name, str(seed), str(folder.resolve()), runtime]
            what = f"baseline {sha[:12]}, export of {name}"
            printed = run_program(
                words, what, "name a later commit", InputError, EXPORT_LIMIT_S, cwd=tree, env=environment
            )
            answer = json.loads(printed.strip().splitlines()[-1])
            graphs[name] = GraphArtifact(Path(answer["path"]), answer["sha256"], Path(answer["reference"]))
    return graphs
