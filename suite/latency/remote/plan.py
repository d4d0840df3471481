"""The plan a runner follows on the device, made from the protocol that the host's timer follows, and its answer.

The plan is plain text, one directive a line: ``plan VERSION`` first; ``core``, ``niceness``, ``seed``, ``pool``,
``warm_up_groups``, ``min_rounds``, ``min_duration_s``, ``max_duration_s``; for each graph ``candidate FILES``, then its
``precision fp32|fp16``, ``input NAME REFERENCE_FILE SHAPE`` and ``output NAME FILE``; ``sensor NAME FILE``; ``end``
last. File names are relative to the runner's folder and hold no spaces. The runner goes through its rounds in the order
of `suite.latency.timer` and prints one JSON object at the end, read strictly: what is cut off, or is not what the plan
asks for, voids the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from suite.errors import NothingMeasuredError
from suite.latency.protocol import Protocol
from suite.latency.timer import round_order
from suite.latency.timing import Samples

PLAN_VERSION = 2


class PlannedInput(NamedTuple):
    """An input by the engine's name for it, its reference file and its shape."""

    name: str
    reference_file: str
    shape: tuple[int, ...]


class PlannedOutput(NamedTuple):
    """An output by the engine's name for it, the file to write, the graph's own name and the reference's bytes."""

    name: str
    file: str
    graph_name: str
    size_bytes: int


@dataclass(frozen=True)
class PlannedGraph:
    """One graph as the runner gets it: its files as the engine takes them, and ``fp32`` or ``fp16``."""

    files: tuple[str, ...]
    inputs: tuple[PlannedInput, ...]
    outputs: tuple[PlannedOutput, ...]
    precision: str = "fp32"


@dataclass(frozen=True)
class Plan:
    """What a runner is asked to do in one block.

    Attributes:
        graphs: the anchor first.
        protocol: counts and durations of the whole measurement.
        blocks: number of equal blocks it is made in.
        core: the core to pin to.
        seed: of the fresh inputs; another one for each block.
        sensors: files of temperatures by sensor, read after every round.
    """

    graphs: tuple[PlannedGraph, ...]
    protocol: Protocol
    blocks: int
    core: int
    seed: int
    sensors: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Return the plan as the runner reads it.

        Raises:
            ValueError: if a name holds white space.
        """
        protocol, blocks = self.protocol, self.blocks
        # A round gives every candidate two samples; rounded up, so that the blocks together make the whole.
        lines: list[tuple[object, ...]] = [
            ("plan", PLAN_VERSION),
            ("core", self.core),
            ("niceness", protocol.niceness),
            ("seed", self.seed),
            ("pool", protocol.input_pool),
            ("warm_up_groups", protocol.warm_up_groups),
            ("min_rounds", math.ceil(protocol.min_samples / 2 / blocks)),
            ("min_duration_s", f"{math.ceil(protocol.min_duration_s / blocks * 1000) / 1000:.3f}"),
            ("max_duration_s", f"{protocol.max_duration_s / blocks:.3f}"),
        ]
        for graph in self.graphs:
            lines += [("candidate", *graph.files), ("precision", graph.precision)]
            lines += [("input", item.name, item.reference_file, *item.shape) for item in graph.inputs]
            lines += [("output", item.name, item.file) for item in graph.outputs]
        lines += [("sensor", name, file) for name, file in self.sensors.items()]
        for line in lines:
            if any(len(str(word).split()) != 1 for word in line):
                raise ValueError(f"a plan's words hold no white space, got {line}")
        return "\n".join([*(" ".join(map(str, line)) for line in lines), "end", ""])


class DeviceSamples(Samples, frozen=True, forbid_unknown_fields=True):
    """One graph's samples, and the shapes of its outputs on the reference input."""

    shapes: list[list[int]]


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="answer"):
    """All that one block of a runner gives back.

    Attributes:
        version: of the plan.
        runner: the engine's name.
        library: version of the engine's library.
        platform: what it was built for.
        machine: the kernel's name of the architecture.
        flags: the engine's settings as read back.
        core: the core it was pinned to.
        niceness: scheduling priority it ran with.
        built_khz: highest frequency of the core as built; None where it is denied, as for the following two.
        permitted_khz: highest frequency permitted now.
        khz: the core's frequency after every sample, in the order they were taken.
        spin_ns: CPU time of a fixed chain of integer operations before and after the rounds: the core's real clock.
        elapsed_s: seconds of timed rounds.
        order: candidates of one round in the order they were run.
        affinities: core lists of all threads, read back after every round.
        cores: cores that a run of a candidate began or ended on.
        threads: threads alive after the last round.
        peak_memory_kib: largest resident memory.
        states: after every round the seconds since the first, and what the temperature files held, by sensor.
        candidates: samples in the plan's order.
    """

    version: int
    runner: str
    library: str
    platform: Literal["android", "linux"]
    machine: str
    flags: dict[str, str]
    core: int
    niceness: int
    built_khz: int | None
    permitted_khz: int | None
    khz: list[int | None]
    spin_ns: tuple[int, int]
    elapsed_s: float
    order: list[int]
    affinities: list[str]
    cores: list[int]
    threads: int
    peak_memory_kib: int
    states: list[tuple[float, dict[str, int | None]]]
    candidates: list[DeviceSamples]


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="error"):
    """Why the runner gave up."""

    message: str


def read_answer(text: str, plan: Plan, where: str) -> Answer:
    """Read and check what a runner printed.

    Args:
        text: all of it.
        plan: what the runner was asked to do.
        where: opens messages, e.g. ``"adb"``.

    Raises:
        NothingMeasuredError: if the runner gave up, its answer is cut off, or it did not follow the plan.
    """
    try:
        answer = msgspec.json.decode(text, type=Answer | Failure)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise NothingMeasuredError(
            f"{where}: the runner's answer cannot be read ({error}); build this suite's own runner again, see "
            "docs/phone.md"
        ) from None
    if isinstance(answer, Failure):
        raise NothingMeasuredError(f"{where}: the runner gave up ({answer.message}); see docs/phone.md")
    if problem := _deviation(answer, plan):
        raise NothingMeasuredError(f"{where}: the runner did not follow its plan ({problem}); build it again")
    return answer


def _deviation(answer: Answer, plan: Plan) -> str | None:
    """Return the first way in which an answer is not what its plan asked for."""
    number, rounds = len(plan.graphs), len(answer.states)
    if (answer.version, answer.core) != (PLAN_VERSION, plan.core):
        return f"version {answer.version} on core {answer.core}, asked for {PLAN_VERSION} on core {plan.core}"
    if tuple(answer.order) != round_order(number) or len(answer.candidates) != number:
        return f"its rounds went through {answer.order}"
    for graph, samples in zip(plan.graphs, answer.candidates, strict=True):
        made = (len(samples.rounds), len(samples.repeat_pairs), len(samples.shapes))
        if made != (rounds, plan.protocol.warm_up_groups, len(graph.outputs)) or rounds == 0:
            return f"{made} rounds, warm-up groups and outputs of {graph.files[0]} in {rounds} rounds"
    if len(answer.khz) != rounds * len(answer.order):
        return f"{len(answer.khz)} frequencies in {rounds} rounds"
    taken = [sample for item in answer.candidates for pair in item.rounds for sample in pair]
    if min(*answer.spin_ns, *(min(item.wall_ns, item.cpu_ns, item.thread_ns) for item in taken)) <= 0:
        return "a clock stood still or ran backwards"
    return None
