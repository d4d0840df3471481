"""The real runners on real models, where somebody has built them: MOBILEINST_RUNNERS names their folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from suite.latency.device import Board
from suite.latency.prepare import prepare_model
from suite.latency.remote.engines import ENGINES, Engine
from suite.latency.remote.measure import measure_remote
from suite.latency.remote.session import Runner
from suite.latency.remote.ssh import Ssh
from suite.latency.remote.target import Target
from tests.suite.latency.remote.conftest import FakeSsh, patient

pytestmark = pytest.mark.slow
TINY = "mobileinst_topformer_tiny_shapes"


@pytest.fixture
def built() -> Callable[[Engine], Runner]:
    folder = os.environ.get("MOBILEINST_RUNNERS")
    if folder is None:
        pytest.skip("MOBILEINST_RUNNERS names no folder of runners built for this computer (docs/phone.md)")

    def find(engine: Engine) -> Runner:
        program = Path(folder) / f"{engine.name}_runner"
        if not program.is_file():
            pytest.skip(f"{program} was not built")
        return Runner(program, tuple(Path(folder).glob("lib*.so*")))

    return find


@pytest.mark.parametrize("name", [name for name, engine in ENGINES.items() if engine.precision == "fp32"])
def test_a_built_runner_computes_the_scored_model_in_fp32_on_one_thread(
    name: str, built: Callable[[Engine], Runner], board: FakeSsh, board_device: Board, usable_core: int
) -> None:
    engine = ENGINES[name]
    runner = built(engine)
    model = prepare_model(TINY, runtime=engine.host_runtime).timed
    target = Target(Ssh("user@board", str(board.base)), board_device, usable_core)
    report = measure_remote(target, [model], patient(board_device.protocol()), engine, runner)
    (result,) = report.results
    assert result.broken_rules == ()
    assert result.engine["runtime"] == name
    assert result.cpu_median_ms > 0.5
    assert list(board.base.iterdir()) == []


def test_half_precision_on_a_core_that_has_none_is_found_out(
    built: Callable[[Engine], Runner], board: FakeSsh, board_device: Board, usable_core: int
) -> None:
    engine = ENGINES["ncnn_fp16"]
    runner = built(engine)
    model = prepare_model(TINY, runtime=engine.host_runtime).timed
    target = Target(Ssh("user@board", str(board.base)), board_device, usable_core)
    report = measure_remote(target, [model], patient(board_device.protocol()), engine, runner)
    (result,) = report.results
    assert result.labels.precision == "fp16"
    if "asimdhp" not in report.machine.isa_flags:
        assert "fp16_instructions" in result.summary
