"""A work folder on a device, gone afterwards, with runner, graphs and inputs in it: pushed once, run in blocks.

The device may be shared: its temporary folder is everybody's. So the work folder is made by ourselves, with a name
nobody can guess and for our user alone, and nothing that somebody else left there is read, run or removed.
"""

from __future__ import annotations

import math
import secrets
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock
import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError, NothingMeasuredError, SuiteError
from suite.export.artifact import GraphArtifact, read_reference
from suite.export.runtime import prepare_graph
from suite.latency.device import Protocol
from suite.latency.remote.plan import Answer, Engine, Plan, PlannedGraph, read_answer
from suite.latency.remote.target import Target
from suite.latency.remote.transport import Transport
from suite.paths import runs_dir
from suite.progress import say
from suite.signals import leaving_on_signals

PREFIX = "mobileinst-suite-"
PROCESS = "runner.pid"
CLEANING_LIMIT_S = 120
# $f is the folder, ours alone. A process is ended only if it works there: process numbers are used again.
OURS = '[ -d "$f" ] && [ ! -L "$f" ] && [ -O "$f" ]'
END_RUNNER = f'p=$(cat "$f/{PROCESS}" 2>/dev/null) && [ "$(readlink /proc/$p/cwd)" = "$f" ] && kill -KILL "$p"'
REMOVE = f'if {OURS}; then {END_RUNNER}; rm -rf "$f"; else [ ! -e "$f" ]; fi'
LOADING_LIMIT_S = 300
TRIAL_LIMIT_S = 30
RUN_LIMIT_BYTES = 64 << 20
RUNNER, PLAN, ANSWER = "runner", "plan.txt", "answer.json"
RUNNER_GAVE_UP = 3


def _make_folder(device: Transport) -> str:
    """Make a fresh folder that is ours alone and return its path."""
    path = f"{device.base_folder}/{PREFIX}{secrets.token_hex(16)}"
    base, folder = shlex.quote(device.base_folder), shlex.quote(path)
    # In a folder that is neither ours nor sticky, others could put one of theirs in the place of ours.
    safe = f"{{ [ -O {base} ] || [ -k {base} ]; }}"
    made = device.shell(f"{safe} && mkdir -m 700 {folder} && f={folder} && {OURS}")
    if made.code != 0:
        raise InputError(
            f"{device.title}: cannot make a folder of our own in {device.base_folder} ({made.said}); "
            "name one with --folder that is yours, or sticky as /tmp is"
        )
    return path


def _remove(device: Transport, folder: str) -> None:
    """End the runner that works in a folder of ours and remove the folder; say so where that fails."""
    try:
        done = device.shell(f"f={shlex.quote(folder)}; {REMOVE}", timeout_s=CLEANING_LIMIT_S)
        why = "" if done.code == 0 else done.said
    except SuiteError as error:
        why = str(error)
    if why:  # not raised: it would hide the reason why the measurement ended
        say(f"{device.kind}: could not remove {folder} ({why}); remove it by hand")


@contextmanager
def work_folder(device: Transport) -> Iterator[str]:
    """Make a folder on the device and yield its path; end what runs there and remove it at the end.

    Raises:
        InputError: if none can be made there, or another measurement of this computer runs on the device.
        NothingMeasuredError: if the device was lost.
    """
    locks = runs_dir() / "devices"
    locks.mkdir(parents=True, exist_ok=True)
    try:
        lock = filelock.FileLock(locks / f"{device.kind}-{device.name_digest}.lock", timeout=0).acquire()
    except filelock.Timeout:
        raise InputError(f"{device.kind}: another measurement runs on this device; wait until it has ended") from None
    with lock, leaving_on_signals():
        folder = _make_folder(device)
        try:
            yield folder
        finally:
            _remove(device, folder)


class Session:
    """A work folder on the device in use: what is pushed lies there until it is removed.

    ``here`` is a folder of this machine for what is pushed; the runner is built on the engine.
    """

    def __init__(self, target: Target, folder: str, here: Path, engine: Engine) -> None:
        self.target, self.folder, self.here, self.engine = target, folder, here, engine
        self.device = target.transport

    def _push(self, path: Path) -> None:
        self.device.push(path, f"{self.folder}/{path.name}")

    def push_runner(self, runner: Path) -> None:
        """Push the runner and run it once without a plan, which shows that it can start.

        Raises:
            InputError: if it could not be copied.
            NothingMeasuredError: if it does not start; the message has what the device said.
        """
        program = f"{self.folder}/{RUNNER}"
        self.device.push(runner, program)
        self.device.shell(f"chmod 700 {shlex.quote(program)}")
        if b'"kind":"error"' not in self._run("", TRIAL_LIMIT_S):
            raise NothingMeasuredError(f"{self.device.kind}: {runner.name} is not a runner of this suite; build one")

    def push_graph(self, number: int, artifact: GraphArtifact) -> PlannedGraph:
        """Push a graph as the engine takes it, with its reference inputs.

        Raises:
            InputError: if a file is bad or could not be copied.
        """
        files = prepare_graph(self.engine.host_runtime, artifact.path)
        inputs, reference = read_reference(artifact)
        graph = PlannedGraph(
            number,
            files=tuple(path.name for path in files),
            inputs=tuple(values.shape for values in inputs.values()),
            outputs={name: 4 * values.size for name, values in reference.items()},
            precision=self.engine.precision,
        )
        for path in files:
            self._push(path)
        for name, values in zip(graph.input_files, inputs.values(), strict=True):
            np.ascontiguousarray(values, dtype="<f4").tofile(self.here / name)
            self._push(self.here / name)
        return graph

    def run_block(self, graphs: Sequence[PlannedGraph], protocol: Protocol, seed: int) -> Answer:
        """Run one block of rounds and return what the runner printed.

        Raises:
            NothingMeasuredError: if the runner failed, was ended, or did not follow its plan.
        """
        blocks = self.target.device.guards.blocks
        plan = Plan(tuple(graphs), protocol, blocks, self.target.core, seed, self.target.sensors)
        (self.here / PLAN).write_text(plan.text(), encoding="ascii")
        self._push(self.here / PLAN)
        content = self._run(PLAN, LOADING_LIMIT_S + int(3 * protocol.max_duration_s / blocks))
        return read_answer(content, plan, self.device.kind)

    def read_outputs(self, graph: PlannedGraph, shapes: Sequence[Sequence[int]]) -> dict[str, NDArray[np.generic]]:
        """Return a graph's outputs on the reference inputs as the device computed them, by the graph's own names.

        The shapes are those that the runner told.

        Raises:
            InputError: if a file could not be read.
            NothingMeasuredError: if a file does not hold what the runner said.
        """
        outputs: dict[str, NDArray[np.generic]] = {}
        for (name, size), file, shape in zip(graph.outputs.items(), graph.output_files, shapes, strict=True):
            content = self.device.read(f"{self.folder}/{file}", 2 * size + 1024)
            if len(content) != 4 * math.prod(shape):
                raise NothingMeasuredError(f"{self.device.kind}: {file} is not what the runner wrote; run again")
            outputs[name] = np.frombuffer(content, dtype="<f4").reshape(shape)
        return outputs

    def _run(self, plan: str, limit_s: int) -> bytes:
        """Run the runner on the device and return what it printed."""
        folder = shlex.quote(self.folder)
        # The shell becomes taskset and then the runner, so its number is the runner's, which the time limit ends.
        command = (
            f"cd {folder} && echo $$ > {PROCESS} && exec taskset {1 << self.target.core:x} ./{RUNNER} {plan} > {ANSWER}"
        )
        started = time.monotonic()
        reply = self.device.shell(command, timeout_s=limit_s)
        if reply.code in (0, RUNNER_GAVE_UP):
            return self.device.read(f"{self.folder}/{ANSWER}", RUN_LIMIT_BYTES)
        if time.monotonic() - started >= limit_s:
            why = f"did not end in {limit_s} s and was ended; time a smaller model"
        else:
            why = f"ended with code {reply.code} ({reply.said}); built for this device? see docs/phone.md"
        raise NothingMeasuredError(f"{self.device.kind}: the runner {why}")
