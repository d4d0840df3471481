from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from suite.export.artifact import GraphArtifact
from suite.latency.device import Device, load_device
from suite.latency.protocol import Protocol
from suite.latency.remote.engine import RUNNER_SOURCES, Engine, GraphOnDevice
from suite.latency.remote.runner import Runner
from suite.latency.timed_model import TimedModel

HERE = Path(__file__).parent


def patient(protocol: Protocol, samples: int = 8) -> Protocol:
    """A short protocol whose verdicts do not depend on what else this computer does."""
    lenient = dataclasses.replace(
        protocol.rules, max_wall_over_cpu=1e6, max_disturbed_share=1.0, max_anchor_drift=1e6, min_repeat_ratio=0.2
    )
    return dataclasses.replace(
        protocol, warm_up_groups=3, min_samples=samples, min_duration_s=0.01, max_duration_s=30.0, rules=lenient
    )


def quick_blocks(device: Device, count: int = 1) -> Device:
    assert device.blocks is not None
    blocks = dataclasses.replace(
        device.blocks, count=count, max_calibration_ratio=1e6, max_cool_down_s=0.05, check_every_s=0.02
    )
    return dataclasses.replace(device, blocks=blocks)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests' own runner, built from the sources that the real runners share."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler here (g++ or clang++)")
    program = tmp_path_factory.mktemp("runner") / "convolution_runner"
    words = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{RUNNER_SOURCES}"]
    subprocess.run([compiler, *words, str(HERE / "convolution_runner.cpp"), "-o", str(program)], check=True)
    return program


@pytest.fixture
def runner(compiled: Path) -> Runner:
    return Runner(compiled)


def describe(graph: Path) -> GraphOnDevice:
    return GraphOnDevice(
        (graph, graph.with_suffix(".weights"), graph.with_suffix(".behaviour")), ("image",), ("mask_logits",)
    )


@pytest.fixture
def engine() -> Engine:
    return Engine("convolution", "onnxruntime_cpu", {"half": "off"}, describe)


@pytest.fixture
def make_model(make_graph: Callable[..., GraphArtifact]) -> Callable[..., TimedModel]:
    """Writes a graph with what the tests' engine takes: its weights, and the rule it is to break."""

    def make(name: str = "model_a", behaviour: str = "honest", spoiled: float = 0.0, channels: int = 8) -> TimedModel:
        artifact = make_graph(name, channels)
        stored = onnx.load(str(artifact.path)).graph.initializer[0]
        weights = numpy_helper.to_array(stored).astype("<f4")
        (weights + np.float32(spoiled)).tofile(artifact.path.with_suffix(".weights"))
        artifact.path.with_suffix(".behaviour").write_text(behaviour)
        return TimedModel(name, {"whole": artifact})

    return make


@pytest.fixture
def usable_core() -> int:
    return max(os.sched_getaffinity(0))


# Runs the command on this computer; says what the file "says" holds instead, if there is one.
FAKE_SSH = """#!/bin/sh
echo "$*" >> {folder}/log
if [ -f {folder}/says ]; then cat {folder}/says >&2; exit 255; fi
while [ "$1" != -- ]; do shift; done
exec sh -c "$2"
"""


class FakeSsh:
    """A board that is this computer; `commands` is all that ssh was asked for so far."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.base = folder, folder / "board"
        self.base.mkdir()

    def says(self, text: str) -> None:
        """From now on ssh itself fails with these words."""
        (self.folder / "says").write_text(text, encoding="utf-8")

    @property
    def commands(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    """Puts a fake ``ssh`` first on the path."""
    folder = tmp_path / "ssh"
    folder.mkdir()
    (folder / "ssh").write_text(FAKE_SSH.format(folder=folder), encoding="utf-8")
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return FakeSsh(folder)


@pytest.fixture
def board_device() -> Device:
    return quick_blocks(load_device("board"))
