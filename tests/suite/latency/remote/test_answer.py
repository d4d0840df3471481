"""The text that a runner and the suite speak: what a real runner prints, and what becomes of it when it is damaged."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.errors import NothingMeasuredError
from suite.latency.device import load_device, load_remote
from suite.latency.remote.measure import combined_timings, frequency_problems, pinning_problems
from suite.latency.remote.plan import Plan, PlannedCandidate, PlannedInput, SampleLine, read_answer
from suite.latency.timing import Labels
from tests.suite.latency.remote.conftest import patient

Spoken = tuple[str, Plan, str]

PROTOCOL = patient(load_device("board").protocol())


@pytest.fixture(scope="module")
def spoken(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Spoken:
    """(what a runner printed, what it was asked to do, its plan as text) for two small graphs."""
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
    plan = Plan(tuple(candidates), PROTOCOL, 1, core, 7, {"cpu-thermal": str(folder / "degrees")})
    (folder / "degrees").write_text("41500\n")
    (folder / "plan.txt").write_text(plan.text())
    done = subprocess.run([compiled, "plan.txt"], cwd=folder, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout, plan, plan.text()


def test_a_runner_follows_its_plan_and_prints_everything(spoken: Spoken) -> None:
    text, order, _ = spoken
    answer = read_answer(text, order, "test")
    assert answer.header.core == order.core
    assert len(answer.samples) == 4 * len(answer.rounds) >= 16
    assert [line.candidate for line in answer.samples[:4]] == [0, 1, 1, 0]
    assert all(line.sensors == {"cpu-thermal": 41500} for line in answer.rounds)
    assert pinning_problems([answer], order.core) == []
    first, second = combined_timings(
        [answer, answer], [Labels(name, "network", "convolution", "fp32", 6, 5) for name in "ab"], {}
    )
    assert len(first.rounds) == len(second.rounds) == 2 * len(answer.rounds)
    assert len(first.repeat_pairs) == 2 * PROTOCOL.warm_up_groups
    assert first.rounds[0][1].wall_ns == answer.samples[3].wall_ns


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_damaged_answer_is_read(spoken: Spoken, data: st.DataObject) -> None:
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


def test_an_answer_without_a_round_or_with_a_clock_that_stood_still_voids_the_run(spoken: Spoken) -> None:
    for change in ({"cpu_ns": 0}, {"steps": 0}):
        lines = [json.loads(line) | (change if _kind(line) == "spin" else {}) for line in spoken[0].splitlines()]
        with pytest.raises(NothingMeasuredError):
            read_answer("\n".join(map(json.dumps, lines)), spoken[1], "test")
    *lines, end = (json.loads(line) for line in spoken[0].splitlines() if _kind(line) not in ("sample", "round"))
    end |= {"samples": 0, "rounds": 0, "lines": len(lines) + 1}
    with pytest.raises(NothingMeasuredError):
        read_answer("\n".join(map(json.dumps, [*lines, end])), spoken[1], "test")


def _kind(line: str) -> str:
    return str(json.loads(line)["kind"])


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        ("plan 1\nend\n", "plan.txt"),
        ("plan 2\nend\n", "line 1"),
        ("plan 1\ncore 4000\npool 1\nmin_rounds 1\ncandidate a\nround 0\nend\n", "core 4000"),
    ],
)
def test_a_plan_that_is_not_whole_is_refused(compiled: Path, tmp_path: Path, plan: str, named: str) -> None:
    (tmp_path / "plan.txt").write_text(plan)
    done = subprocess.run([compiled, "plan.txt"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert named in json.loads(done.stdout)["message"]


def test_slow_frequency_cap_and_calibration_are_throttling(spoken: Spoken) -> None:
    answer = read_answer(spoken[0], spoken[1], "test")
    blocks = load_remote("snapdragon_778g").blocks

    def at(khz: int) -> tuple[SampleLine, ...]:
        return tuple(msgspec.structs.replace(line, khz=khz) for line in answer.samples)

    steady = tuple(msgspec.structs.replace(spin, cpu_ns=1_000_000) for spin in answer.spins)
    fast = dataclasses.replace(answer, samples=at(2_400_000), spins=steady)
    assert frequency_problems([fast], 2_400_000, blocks) == []
    slow = dataclasses.replace(fast, samples=at(1_804_800))
    (problem,) = frequency_problems([fast, slow], 2_400_000, blocks)
    assert problem.rule == "throttled"
    assert "50%" in problem.detail
    assert "1804 MHz" in problem.detail
    capped = dataclasses.replace(fast, header=msgspec.structs.replace(answer.header, permitted_khz=1_324_800))
    assert "1324 of 2400 MHz" in frequency_problems([capped], 2_400_000, blocks)[0].detail
    longer = dataclasses.replace(fast, spins=(steady[0], msgspec.structs.replace(steady[1], cpu_ns=1_100_000)))
    assert "1.10" in frequency_problems([longer], None, blocks)[0].detail
