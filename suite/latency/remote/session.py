"""A work folder on a device with runner, graphs and inputs in it: pushed once, run in blocks, answers pulled."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError, NothingMeasuredError
from suite.export.artifact import GraphArtifact, read_reference
from suite.latency.protocol import Protocol
from suite.latency.remote.answer import Answer, read_answer
from suite.latency.remote.engines import Engine
from suite.latency.remote.folder import PROCESS
from suite.latency.remote.plan import Plan, PlannedCandidate, PlannedInput
from suite.latency.remote.target import Target

LOADING_LIMIT_S = 300
TRIAL_LIMIT_S = 30
ANSWER_LIMIT_BYTES = 64 << 20
RUNNER, PLAN, ANSWER = "runner", "plan.txt", "answer.jsonl"
RUNNER_GAVE_UP = 3


@dataclass(frozen=True)
class Runner:
    """A runner's file and the shared libraries to lie beside it on the device."""

    path: Path
    libraries: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Refuse files that are not there.

        Raises:
            InputError: naming the file.
        """
        for path in (self.path, *self.libraries):
            if not path.is_file():
                raise InputError(f"{path}: no such file; build the runners as docs/phone.md describes")


@dataclass(frozen=True)
class PushedGraph:
    """A graph as it lies on the device, with the graph's own names of its outputs in the plan's order."""

    planned: PlannedCandidate
    output_names: tuple[str, ...]


class Session:
    """Runner and graphs in a work folder.

    Args:
        target: the device.
        folder: the work folder there.
        here: a folder of this machine for what is pushed and pulled.
        engine: what the runner is built on.
    """

    def __init__(self, target: Target, folder: str, here: Path, engine: Engine) -> None:
        self.target, self.folder, self.here, self.engine = target, folder, here, engine
        self.device = target.transport

    def _on_device(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def push_runner(self, runner: Runner) -> None:
        """Push the runner and its libraries, and run it once without a plan, which shows that it can start.

        Raises:
            InputError: if a file could not be copied.
            NothingMeasuredError: if it does not start; the message has what the device said.
        """
        self.device.push(runner.path, self._on_device(RUNNER))
        for library in runner.libraries:
            self.device.push(library, self._on_device(library.name))
        self.device.shell(f"chmod 700 {shlex.quote(self._on_device(RUNNER))}")
        self._run("", TRIAL_LIMIT_S)
        if '"kind":"error"' not in self._last_answer():
            raise NothingMeasuredError(
                f"{self.device.kind}: {runner.path.name} is not a runner of this suite; build one"
            )

    def push_graph(self, number: int, artifact: GraphArtifact) -> PushedGraph:
        """Push a graph as the engine takes it, with its reference input.

        Raises:
            InputError: if a file is bad or could not be copied.
        """
        graph = self.engine.describe(artifact.path)
        for path in graph.files:
            self.device.push(path, self._on_device(path.name))
        inputs, reference = read_reference(artifact)
        planned: list[PlannedInput] = []
        for name, values in zip(graph.inputs, inputs.values(), strict=True):
            file = f"input-{number}-{len(planned)}.f32"
            np.ascontiguousarray(values, dtype="<f4").tofile(self.here / file)
            self.device.push(self.here / file, self._on_device(file))
            planned.append(PlannedInput(name, file, tuple(values.shape)))
        return PushedGraph(
            PlannedCandidate(
                files=tuple(path.name for path in graph.files),
                inputs=tuple(planned),
                outputs=tuple((name, f"output-{number}-{place}.f32") for place, name in enumerate(graph.outputs)),
                precision=self.engine.precision,
            ),
            tuple(reference),
        )

    def run_block(self, graphs: Sequence[PushedGraph], protocol: Protocol, seed: int) -> Answer:
        """Run one block of rounds and return what the runner printed.

        Raises:
            NothingMeasuredError: if the runner failed, was ended, or did not follow its plan.
        """
        blocks = self.target.device.blocks.count
        candidates = tuple(graph.planned for graph in graphs)
        plan = Plan(candidates, protocol, blocks, self.target.core, seed, self.target.sensors)
        (self.here / PLAN).write_text(plan.text(), encoding="ascii")
        self.device.push(self.here / PLAN, self._on_device(PLAN))
        self._run(PLAN, LOADING_LIMIT_S + int(3 * protocol.max_duration_s / blocks))
        return read_answer(self._last_answer(), plan, self.device.kind)

    def pull_outputs(self, graph: PushedGraph, answer: Answer, number: int) -> dict[str, NDArray[np.generic]]:
        """Return a graph's outputs on the reference input as the device computed them, by the graph's own names.

        Raises:
            InputError: if a file could not be copied.
            NothingMeasuredError: if a file is not what the runner said it wrote.
        """
        outputs: dict[str, NDArray[np.generic]] = {}
        told = [line for line in answer.outputs if line.candidate == number]
        for name, (_, file), line in zip(graph.output_names, graph.planned.outputs, told, strict=True):
            self.device.pull(self._on_device(file), self.here / file)
            values = np.fromfile(self.here / file, dtype="<f4")
            first = [float(value) if np.isfinite(value) else None for value in values[: len(line.first)]]
            said = [None if value is None else float(np.float32(value)) for value in line.first]
            if line.file != file or values.size != int(np.prod(line.shape)) or first != said:
                raise NothingMeasuredError(f"{self.device.kind}: {file} is not what the runner wrote; run again")
            outputs[name] = values.reshape(line.shape)
        return outputs

    def _run(self, plan: str, limit_s: int) -> None:
        """Run the runner on the device.

        Raises:
            NothingMeasuredError: if it neither ended well nor gave up with a reason in its answer.
        """
        folder = shlex.quote(self.folder)
        # The shell becomes taskset and then the runner, so its number is the runner's, which the time limit ends.
        command = (
            f"cd {folder} && echo $$ > {PROCESS} && export LD_LIBRARY_PATH={folder} && "
            f"exec taskset {1 << self.target.core:x} ./{RUNNER} {plan} > {ANSWER}"
        )
        started = time.monotonic()
        reply = self.device.shell(command, timeout_s=limit_s)
        if reply.code in (0, RUNNER_GAVE_UP):
            return
        if time.monotonic() - started >= limit_s:
            raise NothingMeasuredError(
                f"{self.device.kind}: the runner did not end in {limit_s} s and was ended; time a smaller model"
            )
        raise NothingMeasuredError(
            f"{self.device.kind}: the runner ended with code {reply.code} ({reply.said}); built for this device? "
            "see docs/phone.md"
        )

    def _last_answer(self) -> str:
        local = self.here / ANSWER
        self.device.pull(self._on_device(ANSWER), local)
        if local.stat().st_size > ANSWER_LIMIT_BYTES:
            raise NothingMeasuredError(
                f"{self.device.kind}: the runner's answer is too long; use this suite's own runner"
            )
        return local.read_text(encoding="utf-8", errors="replace")
