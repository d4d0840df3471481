"""The latency gate: this code's graphs against another commit's, interleaved on one core, and their counts exactly.

Time decides only where statistics leave no doubt: the bootstrap interval of the CPU-time ratio has to clear the
tolerance. Parameters, MACs, operators and peak tensor memory follow from the graphs alone, so they have to be equal.
The other commit's graphs are exported by its own code, in a work tree of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from suite.errors import InputError, NothingMeasuredError, RegressionError
from suite.export.artifact import GraphArtifact
from suite.export.counts import GraphCounts, count_graph
from suite.latency.child import ONE_THREAD_ENVIRONMENT
from suite.latency.device import Protocol
from suite.latency.host import measure_host
from suite.latency.spans import TimedModel
from suite.latency.timing import Timing
from suite.paths import repository_root, runs_dir
from suite.progress import say
from suite.records.difference import RatioInterval, word_of
from suite.typed import read_typed

GATE_FILE = Path(__file__).with_name("gate.toml")
EXPORT_LIMIT_S = 900
EXPORT = """
import json, pathlib, sys
from suite.latency.prepare import prepare_model
name, seed, folder = sys.argv[1:]
made = prepare_model(name, seed=int(seed), folder=pathlib.Path(folder))
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


def load_gate() -> GateRules:
    """Read the gate's rules."""
    return read_typed(GATE_FILE, GateRules, "gate's rules", "restore it, or see docs/latency.md")


def count_differences(baseline: GraphCounts, current: GraphCounts) -> tuple[str, ...]:
    """Return one line per count that differs, baseline first."""

    def named(counts: GraphCounts) -> dict[str, int]:
        operators = {f"operator {name}": number for name, number in counts.operators.items()}
        sizes = {"macs": counts.macs, "peak_tensor_bytes": counts.peak_tensor_bytes}
        return {"parameters": counts.parameters, **sizes, **operators}

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
    done = subprocess.run(["git", *words], cwd=repository_root(), capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise InputError(
            f"git {' '.join(words[:2])}: {done.stderr.strip() or 'failed'}; name a commit of this repository"
        )
    return done.stdout.strip()


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


@contextmanager
def work_tree(sha: str) -> Iterator[Path]:
    """Check a commit out beside this one for a while; nothing of this checkout changes."""
    with tempfile.TemporaryDirectory(prefix="latency-baseline-") as folder:
        path = Path(folder) / "tree"
        _git("worktree", "add", "--detach", str(path), sha)
        try:
            yield path
        finally:
            _git("worktree", "remove", "--force", str(path))


def baseline_graphs(sha: str, models: Sequence[str], seed: int = 0) -> dict[str, GraphArtifact]:
    """Export models with the code of a commit, and return the graphs, kept under ``runs/onnx/baseline``, by model.

    Raises:
        InputError: if the commit cannot export a model; the message has its last line.
        NothingMeasuredError: if an export does not end in time.
    """
    folder = runs_dir() / "onnx" / "baseline"
    graphs = {}
    with work_tree(sha) as tree:
        environment = {**os.environ, **ONE_THREAD_ENVIRONMENT, "PYTHONPATH": str(tree)}
        for name in models:
            say(f"baseline: {name} with the code of {sha[:12]}")
            try:
                done = subprocess.run(
                    [sys.executable, "-c", EXPORT, name, str(seed), str(folder.resolve())],
                    cwd=tree,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=EXPORT_LIMIT_S,
                )
            except subprocess.TimeoutExpired:
                raise NothingMeasuredError(
                    f"baseline {sha[:12]}: {name} was not exported in {EXPORT_LIMIT_S} s; free the machine, run again"
                ) from None
            if done.returncode != 0:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise InputError(f"baseline {sha[:12]}: cannot export {name} ({last}); name a later commit")
            answer = json.loads(done.stdout.strip().splitlines()[-1])
            graphs[name] = GraphArtifact(Path(answer["path"]), answer["sha256"], Path(answer["reference"]))
    return graphs
