"""One work folder on a device with runner, graphs and inputs in it: pushed once, run in blocks, answers pulled."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.errors import NothingMeasuredError
from suite.export.artifact import GraphArtifact, read_reference
from suite.latency.protocol import Protocol
from suite.latency.remote.answer import Answer, read_answer
from suite.latency.remote.engine import Engine
from suite.latency.remote.failures import runner_failure
from suite.latency.remote.folder import PROCESS
from suite.latency.remote.plan import PlannedCandidate, PlannedInput, plan_order, plan_text
from suite.latency.remote.runner import Runner, check_machine
from suite.latency.remote.target import Target
from suite.latency.remote.transport import Reply
from suite.progress import say

LOADING_LIMIT_S = 300
TRIAL_LIMIT_S = 30
RUNNER, PLAN, ANSWER = "runner", "plan.txt", "answer.jsonl"
RUNNER_GAVE_UP = 3


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
        runner: the runner's files.
    """

    def __init__(self, target: Target, folder: str, here: Path, engine: Engine, runner: Runner) -> None:
        self.target, self.folder, self.here = target, folder, here
        self.engine, self.runner = engine, runner
        self._executable = False
        self._missing_loader: str | None = None

    def _on_device(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def push_runner(self) -> None:
        """Push the runner and its libraries, and run it once without a plan, which shows that it can start.

        Raises:
            InputError: if a file is for another processor, or could not be copied.
            NothingMeasuredError: if it does not start; the message has cause and remedy.
        """
        device = self.target.transport
        needs = check_machine(self.runner, self.target.machine_name, device.noun)
        device.push(self.runner.path, self._on_device(RUNNER))
        for library in self.runner.libraries:
            device.push(library, self._on_device(library.name))
        path = shlex.quote(self._on_device(RUNNER))
        self._executable = device.shell(f"chmod 755 {path} && test -x {path}").code == 0
        if needs.interpreter and device.shell(f"ls {shlex.quote(needs.interpreter)}").code != 0:
            self._missing_loader = needs.interpreter
        reply, took_s = self._run("", TRIAL_LIMIT_S)
        if reply.code != RUNNER_GAVE_UP or '"kind":"error"' not in self._last_answer():
            self._refuse(reply, TRIAL_LIMIT_S, took_s)
            raise NothingMeasuredError(f"{device.kind}: the program is not a runner of this suite; build one")

    def push_graph(self, number: int, artifact: GraphArtifact) -> PushedGraph:
        """Push a graph as the engine takes it, with its reference input.

        Raises:
            InputError: if a file is bad or could not be copied.
        """
        graph = self.engine.describe(artifact.path)
        for path in graph.files:
            self.target.transport.push(path, self._on_device(path.name))
        inputs, reference = read_reference(artifact)
        planned: list[PlannedInput] = []
        for name, (own_name, values) in zip(graph.inputs, inputs.items(), strict=True):
            file = f"input-{number}-{len(planned)}.f32"
            local = self.here / file
            np.ascontiguousarray(values, dtype="<f4").tofile(local)
            self.target.transport.push(local, self._on_device(file))
            planned.append(PlannedInput(name, file, tuple(values.shape)))
            say(f"pushed: {artifact.path.name} with input {own_name}")
        return PushedGraph(
            PlannedCandidate(
                files=tuple(path.name for path in graph.files),
                inputs=tuple(planned),
                outputs=tuple((name, f"output-{number}-{place}.f32") for place, name in enumerate(graph.outputs)),
                inspection_file=f"inspection-{number}" if self.engine.inspect else None,
                precision=self.engine.precision,
            ),
            tuple(reference),
        )

    def run_block(self, graphs: Sequence[PushedGraph], protocol: Protocol, seed: int) -> Answer:
        """Run one block of rounds and return what the runner printed.

        Raises:
            NothingMeasuredError: if the runner failed, was ended, or did not follow its plan.
        """
        blocks, core = self.target.blocks.count, self.target.core
        planned = [graph.planned for graph in graphs]
        local = self.here / PLAN
        local.write_text(plan_text(planned, protocol, blocks, core, seed, self.target.sensors), encoding="ascii")
        self.target.transport.push(local, self._on_device(PLAN))
        limit_s = LOADING_LIMIT_S + int(3 * protocol.max_duration_s / blocks)
        reply, took_s = self._run(PLAN, limit_s)
        if reply.code != RUNNER_GAVE_UP:
            self._refuse(reply, limit_s, took_s)
        return read_answer(self._last_answer(), plan_order(planned, protocol, core), self.target.transport.kind)

    def pull_outputs(self, graph: PushedGraph, answer: Answer, number: int) -> dict[str, NDArray[np.generic]]:
        """Return a graph's outputs on the reference input as the device computed them, by the graph's own names.

        Raises:
            InputError: if a file could not be copied.
            NothingMeasuredError: if a file is not what the runner said it wrote.
        """
        outputs: dict[str, NDArray[np.generic]] = {}
        told = [line for line in answer.outputs if line.candidate == number]
        for name, line in zip(graph.output_names, told, strict=True):
            local = self.here / line.file
            self.target.transport.pull(self._on_device(line.file), local)
            values = np.fromfile(local, dtype="<f4")
            first = [None if not np.isfinite(value) else float(value) for value in values[: len(line.first)]]
            if values.size != int(np.prod(line.shape)) or first != [
                None if value is None else float(np.float32(value)) for value in line.first
            ]:
                raise NothingMeasuredError(f"{self.target.transport.kind}: {line.file} is not what the runner wrote")
            outputs[name] = values.reshape(line.shape)
        return outputs

    def pull_inspection(self, graph: PushedGraph) -> Path | None:
        """Return what the engine made of a graph, as a file of this machine; None if it writes none."""
        name = graph.planned.inspection_file
        if name is None:
            return None
        self.target.transport.pull(self._on_device(name), self.here / name)
        return self.here / name

    def _run(self, plan: str, limit_s: int) -> tuple[Reply, float]:
        folder = shlex.quote(self.folder)
        # The shell becomes taskset and then the runner, so its number is the runner's, which the time limit ends.
        command = (
            f"cd {folder} && echo $$ > {PROCESS} && export LD_LIBRARY_PATH={folder} && "
            f"exec taskset {1 << self.target.core:x} ./{RUNNER} {plan} > {ANSWER}"
        )
        started = time.monotonic()
        reply = self.target.transport.shell(command, timeout_s=limit_s)
        return reply, time.monotonic() - started

    def _refuse(self, reply: Reply, limit_s: int, took_s: float) -> None:
        found = runner_failure(reply, limit_s, took_s, self._executable, self._missing_loader)
        if found:
            raise NothingMeasuredError(f"{self.target.transport.kind}: {found}")

    def _last_answer(self) -> str:
        local = self.here / ANSWER
        self.target.transport.pull(self._on_device(ANSWER), local)
        return local.read_text(encoding="utf-8", errors="replace")
