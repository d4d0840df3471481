from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from suite.errors import InputError, NothingMeasuredError, RegressionError
from suite.export.artifact import GraphArtifact
from suite.latency import gate
from suite.latency.device import Protocol
from suite.latency.estimate.calibration import load_core, load_counts
from suite.latency.estimate.tools import find_tools
from suite.latency.gate import baseline_graphs, resolve_commit
from suite.latency.timing import Labels, Timing, Verdict
from suite.records.difference import RatioInterval

GraphMaker = Callable[..., GraphArtifact]
RATIO = RatioInterval(1.1, 1.08, 1.12, 0.95, 2000)


def test_a_larger_graph_is_slower_and_its_counts_differ(make_graph: GraphMaker, quick: Protocol) -> None:
    steady = msgspec.structs.replace(quick, attempts=5)
    result = gate.compare("grown", make_graph("small", 32), make_graph("large", 512), steady, 0.03)
    assert result.word in ("slower", "not measured")  # the second where the machine is busy
    if result.word == "slower":
        assert result.ratio.value > 1.5
    assert any(line.startswith("macs ") for line in result.differences)
    assert any(line.startswith("peak_tensor_bytes ") for line in result.differences)
    with pytest.raises(RegressionError, match="grown"):
        gate.end_gate([result])


def outcome(word: gate.GateWord, *differences: str) -> gate.GateResult:
    return gate.GateResult("net", word, RATIO, "busy" if word == "not measured" else "", differences)


def test_a_gate_passes_only_what_it_compared() -> None:
    gate.end_gate([outcome("pass")])
    with pytest.raises(RegressionError):
        gate.end_gate([outcome("pass"), outcome("slower")])
    with pytest.raises(RegressionError):
        gate.end_gate([outcome("pass", "macs 1 -> 2")])
    for results in ([], [outcome("pass"), outcome("not measured")]):
        with pytest.raises(NothingMeasuredError, match="latency gate"):
            gate.end_gate(results)
    with pytest.raises(RegressionError):
        gate.end_gate([outcome("not measured"), outcome("slower")])
    assert "1.100 [1.080, 1.120]" in outcome("slower", "macs 1 -> 2").line()


@pytest.mark.parametrize(
    ("low", "word"), [(1.029, "pass"), (1.031, "slower"), (0.5, "pass")], ids=["touches", "clears", "faster"]
)
def test_only_an_interval_that_clears_the_tolerance_fails(low: float, word: str) -> None:
    ratio = RatioInterval(low + 0.01, low, low + 0.02, 0.95, 2000)
    labels = Labels("net", "network", "none", "fp32", 24, 24)
    timing = Timing(labels, (0, 1), verdict=Verdict((), 0.0, 0.0, 1.0), ratio_cpu=ratio)
    assert gate.judge_results("net", (timing, timing), 0.03).word == word


def test_one_percent_more_cycles_fails_whatever_the_machine() -> None:
    for count in load_counts():
        grown = [msgspec.structs.replace(count, cycles=round(count.cycles * by)) for by in (1.01, 1.004, 1, 0.9)]
        results = [gate.judge_cycles(count, one, gate.load_gate().cycle_tolerance) for one in grown]
        assert [result.word for result in results] == ["slower", "pass", "pass", "pass"]
        assert "cycles 1.0100" in results[0].line()


@pytest.mark.slow
def test_emulated_cycles_repeat_exactly_and_see_one_percent(
    make_graph: GraphMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        find_tools()
    except NothingMeasuredError as error:
        pytest.skip(str(error))
    core, before, after = load_core("cortex_a78"), make_graph("before", 512), make_graph("after", 520)
    values = []
    for folder in ("once", "again"):
        monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path / folder))  # nothing is counted there yet
        result = gate.compare_cycles("net", before, after, core, 0.005)
        assert result.word == "slower"
        values.append(result.ratio.value)
    assert values[0] == values[1] == pytest.approx(1.015, abs=0.01)
    assert gate.compare_cycles("net", before, before, core, 0.0).word == "pass"


PREPARE = """
from pathlib import Path
from types import SimpleNamespace
def prepare_model(name, seed, folder, runtime):
    if name == "unknown":
        raise KeyError("no model of that name")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{seed}-VERSION.onnx"
    path.write_text(__file__)
    graph = SimpleNamespace(path=path, sha256="0" * 64, reference=path.with_suffix(".npz"))
    return SimpleNamespace(graphs={"whole": graph})
"""


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A repository with two commits, each of which exports a graph named after it."""
    root = tmp_path / "checkout"
    (root / "suite" / "latency").mkdir(parents=True)
    (root / ".gitignore").write_text("/runs/\n")
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(root))

    def git(*words: str) -> str:
        identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
        done = subprocess.run(["git", *identity, *words], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    for version in ("first", "second"):
        for package in ("suite", "suite/latency"):
            (root / package / "__init__.py").touch()
        (root / "suite" / "latency" / "prepare.py").write_text(PREPARE.replace("VERSION", version))
        git("add", ".")
        git("commit", "-q", "-m", version)
    return git


def test_a_baseline_is_exported_by_its_own_code_and_leaves_nothing_behind(history: Callable[..., str]) -> None:
    sha = resolve_commit("HEAD~1")
    graphs = baseline_graphs(sha, ["net"], seed=3)
    assert graphs["net"].path.name == "net-3-first.onnx"
    assert "latency-baseline-" in graphs["net"].path.read_text()
    assert len(history("worktree", "list").splitlines()) == 1
    assert history("status", "--porcelain") == ""


def test_without_a_name_the_baseline_is_never_the_code_itself(history: Callable[..., str], tmp_path: Path) -> None:
    assert resolve_commit(None) == history("rev-parse", "HEAD~1")
    (tmp_path / "checkout" / "suite" / "latency" / "prepare.py").write_text("changed = True\n")
    assert resolve_commit(None) == history("rev-parse", "HEAD")


def test_bad_baselines_are_named(history: Callable[..., str]) -> None:
    with pytest.raises(InputError, match="rev-parse"):
        resolve_commit("no-such-branch")
    with pytest.raises(InputError, match="KeyError"):
        baseline_graphs(resolve_commit("HEAD"), ["unknown"])
    assert len(history("worktree", "list").splitlines()) == 1
