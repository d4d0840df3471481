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
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import msgspec

from suite.errors import NothingMeasuredError
from suite.latency.device import Protocol, Seconds
from suite.latency.timer import round_order
from suite.latency.timing import Nanoseconds, Problem, Samples

PLAN_VERSION = 2
Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Side = Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]
MilliCelsius = Annotated[int, msgspec.Meta(ge=-300_000, le=1_000_000)]  # a sensor switched off says -274,000


@dataclass(frozen=True)
class Engine:
    """An engine that runners are built on; each has one C++ source in ``runners/``.

    Attributes:
        name: as tables show it; its runner says it.
        host_runtime: the runtime that runs the same files on this machine: it converts them and proves them fp32.
        flags: settings that the runner has to report, by name; what it reports besides is only recorded.
        precision: what it computes in on the device; anything but ``fp32`` gives rows of their own.
        max_output_difference: for a precision whose outputs cannot meet the protocol's limit; None for that limit.
    """

    name: str
    host_runtime: str
    flags: Mapping[str, str]
    precision: str = "fp32"
    max_output_difference: float | None = None

    def flag_problems(self, runner: str, reported: Mapping[str, str]) -> list[Problem]:
        """Return every setting that the runner reports otherwise than asked for, or not at all, its own name first."""
        problems = []
        for flag, wanted in {"runner": self.name, **self.flags}.items():
            found = {"runner": runner, **reported}.get(flag, "nothing")
            if found != wanted:
                detail = f"{self.name} reports {flag} as {found}, asked for {wanted}"
                problems.append(Problem("more_than_one_thread" if flag == "threads" else "precision_not_fp32", detail))
        return problems


SWITCHED_OFF = ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "int8_inference", "vulkan")
# The engine on devices: the closest relative of TNN, the paper's engine.
NCNN = Engine("ncnn", "ncnn_cpu", {"threads": "1", **dict.fromkeys(SWITCHED_OFF, "off")})
HALF = ("fp16_packed", "fp16_storage", "fp16_arithmetic", "fp16_instructions")
ENGINES: dict[str, Engine] = {
    "ncnn": NCNN,
    # Half precision, as TNN computes by default on ARM: rows of their own. The files are those of fp32, proved here in
    # fp32; ncnn halves the weights as it loads them, and without the core's instructions silently computes in fp32.
    "ncnn_fp16": replace(
        NCNN,
        flags={**NCNN.flags, **dict.fromkeys(HALF, "on")},
        precision="fp16",
        max_output_difference=5e-2,  # eleven bits of mantissa, summed over thousands of products
    ),
}


@dataclass(frozen=True)
class PlannedGraph:
    """One graph as the runner gets it; inputs and outputs go by their positions.

    Attributes:
        number: tells its files from those of other graphs.
        files: names of its files as the engine takes them.
        inputs: shape of every input.
        outputs: bytes of every output on the reference input, by its name in the graph.
        precision: ``fp32`` or ``fp16``.
    """

    number: int
    files: tuple[str, ...]
    inputs: tuple[tuple[int, ...], ...]
    outputs: Mapping[str, int]
    precision: str = "fp32"

    @property
    def input_files(self) -> list[str]:
        """Files that hold the reference inputs."""
        return [f"input-{self.number}-{place}.f32" for place in range(len(self.inputs))]

    @property
    def output_files(self) -> list[str]:
        """Files that the runner writes the outputs on the reference inputs to."""
        return [f"output-{self.number}-{place}.f32" for place in range(len(self.outputs))]


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
        """Return the plan as the runner reads it."""
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
            inputs = zip(graph.input_files, graph.inputs, strict=True)
            lines += [("input", f"in{place}", file, *shape) for place, (file, shape) in enumerate(inputs)]
            lines += [("output", f"out{place}", file) for place, file in enumerate(graph.output_files)]
        lines += [("sensor", name, file) for name, file in self.sensors.items()]
        return "\n".join([*(" ".join(map(str, line)) for line in lines), "end", ""])


class DeviceSamples(Samples, frozen=True, forbid_unknown_fields=True):
    """One graph's samples, and the shapes of its outputs on the reference input."""

    shapes: list[Annotated[list[Side], msgspec.Meta(max_length=8)]]


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
    core: Count
    niceness: Annotated[int, msgspec.Meta(ge=-20, le=19)]
    built_khz: Count | None
    permitted_khz: Count | None
    khz: list[Count | None]
    spin_ns: tuple[Nanoseconds, Nanoseconds]
    elapsed_s: Seconds
    order: list[int]
    affinities: list[str]
    cores: list[Count]
    threads: Count
    peak_memory_kib: Count
    states: list[tuple[Seconds, dict[str, MilliCelsius | None]]]
    candidates: list[DeviceSamples]


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="error"):
    """Why the runner gave up."""

    message: str


def read_answer(content: bytes, plan: Plan, where: str) -> Answer:
    """Read all that a runner printed and check it against its plan; ``where`` opens messages, e.g. ``"adb"``.

    Raises:
        NothingMeasuredError: if the runner gave up, its answer is cut off, or it did not follow the plan.
    """
    try:
        answer = msgspec.json.decode(content, type=Answer | Failure)
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
    total_s = max(sum(item.wall_ns for item in taken), sum(item.thread_ns for item in taken)) / 1e9
    if total_s > 1.01 * answer.elapsed_s + 1e-3:
        return f"its samples take {total_s:.4g} s in {answer.elapsed_s:.4g} s of rounds"
    return None
