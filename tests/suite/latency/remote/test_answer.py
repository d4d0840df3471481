"""The plan and its answer: what a real runner prints, and what becomes of it when it is damaged."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from suite.errors import NothingMeasuredError
from suite.latency.device import load_device, load_remote
from suite.latency.remote.measure import combined, frequency_problems, state_rows
from suite.latency.remote.plan import Plan, PlannedGraph, read_answer
from suite.latency.timing import Labels
from tests.suite.latency.remote.conftest import patient

Spoken = tuple[bytes, Plan]
PROTOCOL = patient(load_device("board").protocol())


@pytest.fixture(scope="module")
def spoken(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Spoken:
    """(what a runner printed, what it was asked to do) for two small graphs."""
    folder = tmp_path_factory.mktemp("spoken")
    graphs = [PlannedGraph(place, ("graph", "weights", "behaviour"), ((1, 3, 6, 5),), {"y": 240}) for place in range(2)]
    generator = np.random.default_rng(0)
    for graph in graphs:
        generator.normal(size=(1, 3, 6, 5)).astype("<f4").tofile(folder / graph.input_files[0])
    generator.normal(size=(2, 3, 3, 3)).astype("<f4").tofile(folder / "weights")
    (folder / "behaviour").write_text("honest")
    plan = Plan(tuple(graphs), PROTOCOL, 1, max(os.sched_getaffinity(0)), 7, {"cpu": str(folder / "degrees")})
    (folder / "degrees").write_text("41500\n")
    (folder / "plan.txt").write_text(plan.text())
    done = subprocess.run([compiled, "plan.txt"], cwd=folder, capture_output=True, check=True, timeout=120)
    return done.stdout, plan


def test_a_runner_follows_its_plan_and_its_blocks_become_one_run(spoken: Spoken) -> None:
    text, plan = spoken
    answer = read_answer(text, plan, "test")
    assert answer.order == [0, 1, 1, 0]
    rounds = len(answer.states)
    assert rounds >= PROTOCOL.min_samples / 2
    assert answer.candidates[0].shapes == [[1, 2, 6, 5]]
    labels = [Labels(name, "network", "convolution", "fp32", 6, 5) for name in "ab"]
    run = combined([answer, answer], labels, [[], []])
    assert [len(timing.rounds) for timing in run.timings] == [2 * rounds, 2 * rounds]
    assert [timing.positions for timing in run.timings] == [(0, 3), (1, 2)]
    assert len(run.timings[0].repeat_pairs) == 2 * PROTOCOL.warm_up_groups
    assert run.affinities == [str(plan.core)]
    rows = state_rows([answer, answer])
    assert [row[:2] for row in rows[rounds : rounds + 2]] == [[1, 0], [1, 1]]
    assert {tuple(row[5:]) for row in rows} == {("cpu", 41.5)}


GONE = object()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("candidates", 1, "rounds", 0), GONE),
        (("candidates", 0, "repeat_pairs", 0), GONE),
        (("candidates", 0, "shapes", 0), GONE),
        (("candidates", 1), GONE),
        (("states", 0), GONE),
        (("khz", 0), GONE),
        (("flags",), GONE),
        (("order",), [0, 0, 1, 1]),
        (("core",), 4000),
        (("version",), 1),
        (("spin_ns", 0), 0),
        (("candidates", 0, "rounds", 0, 1), [5, 0, 5]),
        (("candidates", 0, "rounds", 0, 1), [10**30, 5, 5]),
        (("candidates", 0, "rounds", 0, 1), [5, 5, -5]),
        (("candidates", 0, "rounds", 0, 1), [2**63 - 1, 5, 5]),
        (("candidates", 0, "rounds", 0, 1), [5, 10**13, 10**13]),  # hours in a run of seconds
        (("candidates", 0, "repeat_pairs", 0), [10**30, 5]),
        (("candidates", 0, "shapes", 0), [-1, -2, 6, 5]),
        (("candidates", 0, "shapes", 0), [1] * 100),
        (("elapsed_s",), -1e300),
        (("elapsed_s",), 0),
        (("states", 0), [0.1, {"cpu": 10**18}]),
        (("khz", 0), -1),
        (("peak_memory_kib",), 10**30),
        (("surprise",), 1),
        (("kind",), "error"),
    ],
)
def test_an_answer_that_does_not_follow_the_plan_voids_the_run(
    spoken: Spoken, path: tuple[str | int, ...], value: object
) -> None:
    answer = place = json.loads(spoken[0])
    for key in path[:-1]:
        place = place[key]
    if value is GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    with pytest.raises(NothingMeasuredError) as caught:
        read_answer(json.dumps(answer).encode(), spoken[1], "test")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_an_answer_that_is_cut_off_is_not_read(spoken: Spoken, share: float) -> None:
    text = spoken[0].rstrip()
    with pytest.raises(NothingMeasuredError):
        read_answer(text[: int(share * len(text))], spoken[1], "test")


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        ("plan 2\nend\n", "plan.txt"),
        ("plan 1\nend\n", "line 1"),
        ("plan 2\ncore 4000\npool 1\nwarm_up_groups 1\nmin_rounds 1\ncandidate a\nend\n", "core 4000"),
    ],
)
def test_a_plan_that_is_not_whole_is_refused(compiled: Path, tmp_path: Path, plan: str, named: str) -> None:
    (tmp_path / "plan.txt").write_text(plan)
    done = subprocess.run([compiled, "plan.txt"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert named in json.loads(done.stdout)["message"]


def test_slow_frequency_cap_and_calibration_are_throttling(spoken: Spoken) -> None:
    answer = read_answer(*spoken, "test")
    guards = load_remote("snapdragon_778g").guards

    def changed(**fields: Any) -> Any:
        steady = {"khz": [2_400_000] * len(answer.khz), "spin_ns": (1_000_000, 1_000_000)}
        return msgspec.structs.replace(answer, **(steady | fields))

    assert frequency_problems([changed()], 2_400_000, guards) == []
    (problem,) = frequency_problems([changed(), changed(khz=[1_804_800] * len(answer.khz))], 2_400_000, guards)
    assert problem.rule == "throttled"
    assert "50%" in problem.detail
    assert "1804 MHz" in problem.detail
    assert "1324 of 2400 MHz" in frequency_problems([changed(permitted_khz=1_324_800)], 2_400_000, guards)[0].detail
    assert "1.10" in frequency_problems([changed(spin_ns=(1_000_000, 1_100_000))], None, guards)[0].detail
