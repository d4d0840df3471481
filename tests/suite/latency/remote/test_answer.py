"""The text that a runner and the suite speak: what a real runner prints, and what becomes of it when it is damaged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.errors import InputError, NothingMeasuredError
from suite.export.artifact import read_reference
from suite.latency.device import load_device
from suite.latency.remote.answer import Answer, SampleLine, read_answer
from suite.latency.remote.engine import engine_names, load_engine
from suite.latency.remote.observe import combined_timings, frequency_problems, pinning_problems
from suite.latency.remote.plan import PlannedCandidate, PlannedInput, PlanOrder, plan_order, plan_text
from suite.latency.timed_model import TimedModel
from tests.suite.latency.remote.conftest import FakeSsh, patient

PROTOCOL = patient(load_device("board").protocol())


@pytest.fixture(scope="module")
def spoken(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, PlanOrder, str]:
    """(what a runner printed, the order it was asked for, its plan) for two small graphs."""
    folder = tmp_path_factory.mktemp("spoken")
    generator = np.random.default_rng(0)
    generator.normal(size=(1, 3, 6, 5)).astype("<f4").tofile(folder / "in.f32")
    generator.normal(size=(2, 3, 3, 3)).astype("<f4").tofile(folder / "weights")
    (folder / "behaviour").write_text("honest")
    candidates = [
        PlannedCandidate(
            ("graph", "weights", "behaviour"), (PlannedInput("x", "in.f32", (1, 3, 6, 5)),), (("y", f"{number}.f32"),)
        )
        for number in range(2)
    ]
    core = max(os.sched_getaffinity(0))
    plan = plan_text(candidates, PROTOCOL, 1, core, 7, {"cpu-thermal": str(folder / "degrees")})
    (folder / "degrees").write_text("41500\n")
    (folder / "plan.txt").write_text(plan)
    done = subprocess.run([compiled, "plan.txt"], cwd=folder, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout, plan_order(candidates, PROTOCOL, core), plan


def test_a_runner_follows_its_plan_and_prints_everything(spoken: tuple[str, PlanOrder, str]) -> None:
    text, order, _ = spoken
    answer = read_answer(text, order, "test")
    assert answer.header.core == order.core
    assert len(answer.samples) == 4 * len(answer.rounds) >= 16
    assert [line.candidate for line in answer.samples[:4]] == [0, 1, 1, 0]
    assert all(line.sensors == {"cpu-thermal": 41500} for line in answer.rounds)
    assert pinning_problems([answer], order.core) == []
    first, second = combined_timings([answer, answer], ["a", "b"])
    assert len(first.rounds) == len(second.rounds) == 2 * len(answer.rounds)
    assert len(first.repeat_pairs) == 2 * PROTOCOL.warm_up_groups
    assert first.rounds[0][1].wall_ns == answer.samples[3].wall_ns


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_damaged_answer_is_read(spoken: tuple[str, PlanOrder, str], data: st.DataObject) -> None:
    text, order, _ = spoken
    lines = text.splitlines()
    place = data.draw(st.integers(0, len(lines) - 1))
    kind = data.draw(st.sampled_from(["cut", "drop", "double", "swap", "torn", "key"]))
    if kind == "cut":
        lines = lines[:place]
    elif kind == "drop":
        del lines[place]
    elif kind == "double":
        lines.insert(place, lines[place])
    elif kind == "swap":
        other = data.draw(st.integers(0, len(lines) - 1).filter(lambda item: _kind(lines[item]) != _kind(lines[place])))
        lines[place], lines[other] = lines[other], lines[place]
    elif kind == "torn":
        lines[place] = lines[place][: data.draw(st.integers(0, len(lines[place]) - 1))]
    else:
        lines[place] = json.dumps({**json.loads(lines[place]), "surprise": 1})
    with pytest.raises(NothingMeasuredError) as caught:
        read_answer("\n".join(lines), order, "test")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("header", "not in the order"), ("spin", "not in the order"), ("warm_up", "warm-up runs are others")],
)
def test_a_line_out_of_place_voids_the_run(spoken: tuple[str, PlanOrder, str], kind: str, message: str) -> None:
    text, order, _ = spoken
    *lines, end = text.splitlines()
    moved = next(place for place in reversed(range(len(lines))) if _kind(lines[place]) == kind)
    if kind == "spin":  # the calibration "after" the rounds comes before them
        lines.insert(2, lines.pop(moved))
    else:  # one line more, counted
        lines.insert(len(lines) - 3, lines[moved])
        end = json.dumps({**json.loads(end), "lines": len(lines) + 1})
    with pytest.raises(NothingMeasuredError, match=message):
        read_answer("\n".join([*lines, end]), order, "test")


@pytest.mark.parametrize("change", [{"cpu_ns": 0}, {"steps": 0}], ids=["time", "steps"])
def test_a_calibration_that_cannot_be_divided_by_voids_the_run(
    spoken: tuple[str, PlanOrder, str], change: dict[str, int]
) -> None:
    lines = [
        json.dumps(json.loads(line) | (change if _kind(line) == "spin" else {})) for line in spoken[0].splitlines()
    ]
    with pytest.raises(NothingMeasuredError, match="a clock stood still"):
        read_answer("\n".join(lines), spoken[1], "test")


def test_an_answer_without_a_round_voids_the_run(spoken: tuple[str, PlanOrder, str]) -> None:
    *lines, end = (line for line in spoken[0].splitlines() if _kind(line) not in ("sample", "round"))
    end = json.dumps({**json.loads(end), "samples": 0, "rounds": 0, "lines": len(lines) + 1})
    with pytest.raises(NothingMeasuredError, match="it made no round"):
        read_answer("\n".join([*lines, end]), spoken[1], "test")


def _kind(line: str) -> str:
    return str(json.loads(line)["kind"])


@pytest.mark.parametrize("line", range(1, 12))
def test_a_plan_that_cannot_be_followed_is_refused_by_its_line(
    compiled: Path, spoken: tuple[str, PlanOrder, str], tmp_path: Path, line: int
) -> None:
    lines = spoken[2].splitlines()
    lines[line - 1] = "dance"
    (tmp_path / "plan.txt").write_text("\n".join(lines) + "\n")
    done = subprocess.run([compiled, "plan.txt"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert f"plan.txt line {line}: not understood" in done.stdout
    with pytest.raises(NothingMeasuredError, match="the runner gave up"):
        read_answer(done.stdout, spoken[1], "test")


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ("", "ends in mid-plan"),
        ("plan 1\nend\n", "is incomplete"),
        ("plan 2\nend\n", "line 1: not understood"),
        ("plan 1\ninput x in.f32 1\nend\n", "before any candidate"),
        ("plan 1\ncore 4000\npool 1\nmin_rounds 1\ncandidate a\nround 0\nend\n", "cannot be pinned to core 4000"),
    ],
)
def test_a_plan_that_is_not_whole_is_refused(compiled: Path, tmp_path: Path, plan: str, message: str) -> None:
    (tmp_path / "plan.txt").write_text(plan)
    done = subprocess.run([compiled, "plan.txt"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert message in json.loads(done.stdout)["message"]


def _changed(answer: Answer, **fields: Any) -> Answer:
    return Answer(**{**{name: getattr(answer, name) for name in Answer.__dataclass_fields__}, **fields})


def test_slow_frequency_cap_and_calibration_are_throttling(spoken: tuple[str, PlanOrder, str]) -> None:
    answer = read_answer(spoken[0], spoken[1], "test")
    blocks = load_device("snapdragon_778g").blocks
    assert blocks is not None

    def at(khz: int) -> tuple[SampleLine, ...]:
        return tuple(msgspec.structs.replace(line, khz=khz) for line in answer.samples)

    steady = tuple(msgspec.structs.replace(spin, cpu_ns=1_000_000) for spin in answer.spins)
    fast = _changed(answer, samples=at(2_400_000), spins=steady)
    assert frequency_problems([fast], 2_400_000, blocks) == []
    slow = _changed(fast, samples=at(1_804_800))
    (problem,) = frequency_problems([fast, slow], 2_400_000, blocks)
    assert problem.rule == "throttled"
    assert "50% of samples ran below 95% of 2400 MHz (slowest 1804 MHz" in problem.detail
    capped = _changed(fast, header=msgspec.structs.replace(answer.header, permitted_khz=1_324_800))
    assert "capped at 1324 of 2400 MHz" in frequency_problems([capped], 2_400_000, blocks)[0].detail
    longer = _changed(fast, spins=(steady[0], msgspec.structs.replace(steady[1], cpu_ns=1_100_000)))
    assert "1.10 times its shortest" in frequency_problems([longer], None, blocks)[0].detail


def test_a_run_seen_on_another_core_is_not_pinned(spoken: tuple[str, PlanOrder, str]) -> None:
    answer = read_answer(spoken[0], spoken[1], "test")
    strayed = msgspec.structs.replace(answer.samples[0], core_after=answer.header.core + 1)
    found = pinning_problems([_changed(answer, samples=(strayed, *answer.samples[1:]))], answer.header.core)
    assert [problem.rule for problem in found] == ["not_pinned"]


def test_the_engines_are_found_and_name_their_settings() -> None:
    assert engine_names() == ["ncnn", "ncnn_fp16", "onnxruntime"]
    for name in engine_names():
        engine = load_engine(name)
        assert engine.source.is_file()
        for flag in engine.flags:
            assert f'"{flag}"' in engine.source.read_text(encoding="utf-8")
        assert {problem.rule for problem in engine.flag_problems({})} == {"more_than_one_thread", "precision_not_fp32"}
        assert engine.flag_problems(engine.flags) == []
    with pytest.raises(InputError, match="known engines: ncnn, ncnn_fp16, onnxruntime"):
        load_engine("abacus")


ENDLESS = """
import sys
from pathlib import Path
from tests.suite.latency.remote.conftest import describe, patient, quick_blocks
from suite.export.artifact import GraphArtifact
from suite.latency.board.ssh import Ssh
from suite.latency.board.target import board_target
from suite.latency.device import load_device
from suite.latency.remote.engine import Engine
from suite.latency.remote.measure import measure_remote
from suite.latency.remote.runner import Runner
from suite.latency.timed_model import TimedModel
base, program, graph, core = sys.argv[1:]
device = quick_blocks(load_device("board"))
target, _ = board_target(Ssh("user@board", base), device, int(core))
artifact = GraphArtifact(Path(graph), "", Path(graph).with_suffix(".npz"))
engine = Engine("convolution", "onnxruntime_cpu", {}, describe)
model = TimedModel("model_a", {"whole": artifact})
measure_remote(target, [model], patient(device.protocol()), engine, Runner(Path(program)), prove_here=lambda *_: None)
"""


def test_a_terminated_measurement_ends_its_runner_and_removes_its_folder(
    board: FakeSsh, compiled: Path, make_model: Callable[..., TimedModel], usable_core: int
) -> None:
    model = make_model(behaviour="hangs")
    assert read_reference(model.graphs["whole"])[0]
    words = [str(board.base), str(compiled), str(model.graphs["whole"].path), str(usable_core)]
    with subprocess.Popen([sys.executable, "-c", ENDLESS, *words], stderr=subprocess.DEVNULL) as measuring:
        numbers: list[Path] = []
        deadline = time.monotonic() + 100
        while not (numbers and "plan.txt" in board.commands) and time.monotonic() < deadline:
            time.sleep(0.1)
            numbers = list(board.base.glob("*/runner.pid"))
        while "exec taskset" not in board.commands.rpartition("plan.txt")[0] and time.monotonic() < deadline:
            time.sleep(0.1)
        measuring.send_signal(signal.SIGTERM)
        assert measuring.wait(100) == 128 + signal.SIGTERM
    assert list(board.base.iterdir()) == []
    assert not any(str(board.base) in _working_folder(entry) for entry in Path("/proc").glob("[0-9]*"))


def _working_folder(process: Path) -> str:
    try:
        return str((process / "cwd").readlink())
    except OSError:
        return ""
