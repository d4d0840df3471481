"""The plan a runner follows on the device, made from the protocol that the host's timer follows, and its answer.

The plan is plain text, one directive a line:

``candidate FILES``, then its ``precision fp32|fp16``, ``input NAME REFERENCE_FILE SHAPE`` and ``output NAME FILE``
lines; ``warm_up CANDIDATE fresh|repeat``; ``round CANDIDATES`` in the order of one round; ``core``, ``niceness``,
``seed``, ``pool``, ``min_rounds``, ``min_duration_s``, ``max_duration_s``, ``sensor NAME FILE``; first
``plan VERSION``, last ``end``. File names are relative to the runner's folder and hold no spaces.

What it prints is one JSON object a line, read strictly: a line too few, too many or out of place voids the run, and
unknown keys are refused. Lines in order: ``header``, ``spin``, any ``warm_up``, then per round its ``sample`` lines and
one ``round``, ``spin`` again, any ``output``, ``end``. An ``error`` line ends everything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from suite.errors import NothingMeasuredError
from suite.latency.protocol import Protocol
from suite.latency.timer import round_order, warm_up_order

PLAN_VERSION = 1


@dataclass(frozen=True)
class PlannedInput:
    """An input by the engine's name for it, its reference file and its shape."""

    name: str
    reference_file: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class PlannedCandidate:
    """One graph as the runner gets it.

    Attributes:
        files: the graph's files, as the engine takes them.
        inputs: in the engine's names.
        outputs: (engine's name, file to write) of every output.
        precision: ``fp32`` or ``fp16``.
    """

    files: tuple[str, ...]
    inputs: tuple[PlannedInput, ...]
    outputs: tuple[tuple[str, str], ...]
    precision: str = "fp32"


@dataclass(frozen=True)
class Plan:
    """What a runner is asked to do in one block.

    Attributes:
        candidates: the anchor first.
        protocol: counts and durations of the whole measurement.
        blocks: number of equal blocks it is made in.
        core: the core to pin to.
        seed: of the fresh inputs; another one for each block.
        sensors: files of temperatures by sensor, read after every round.
    """

    candidates: tuple[PlannedCandidate, ...]
    protocol: Protocol
    blocks: int
    core: int
    seed: int
    sensors: Mapping[str, str] = field(default_factory=dict)

    @property
    def warm_up(self) -> list[tuple[int, bool]]:
        """(candidate, whether its input is repeated) of every warm-up run, in order."""
        return warm_up_order(len(self.candidates), self.protocol.warm_up_groups)

    @property
    def round(self) -> tuple[int, ...]:
        """Candidates of one round, in order."""
        return round_order(len(self.candidates))

    @property
    def outputs(self) -> list[tuple[int, str]]:
        """(candidate, engine's name) of every output, in order."""
        return [(number, name) for number, item in enumerate(self.candidates) for name, _ in item.outputs]

    def text(self) -> str:
        """Return the plan as the runner reads it.

        Raises:
            ValueError: if a name holds white space.
        """
        protocol, blocks = self.protocol, self.blocks
        lines = [f"plan {PLAN_VERSION}", f"core {self.core}", f"niceness {protocol.niceness}", f"seed {self.seed}"]
        # A round gives every candidate two samples; rounded up, so that the blocks together make the whole.
        lines += [f"pool {protocol.input_pool}", f"min_rounds {math.ceil(protocol.min_samples / 2 / blocks)}"]
        lines += [f"min_duration_s {math.ceil(protocol.min_duration_s / blocks * 1000) / 1000:.3f}"]
        lines += [f"max_duration_s {protocol.max_duration_s / blocks:.3f}"]
        words: list[str] = []
        for candidate in self.candidates:
            lines += [" ".join(["candidate", *candidate.files]), f"precision {candidate.precision}"]
            words += candidate.files
            for item in candidate.inputs:
                lines.append(f"input {item.name} {item.reference_file} {' '.join(map(str, item.shape))}")
                words += [item.name, item.reference_file]
            for name, file in candidate.outputs:
                lines.append(f"output {name} {file}")
                words += [name, file]
        lines += [f"sensor {name} {file}" for name, file in self.sensors.items()]
        for word in (*words, *self.sensors, *self.sensors.values()):
            if not word or word.split() != [word]:
                raise ValueError(f"a plan's names hold no white space, got {word!r}")
        lines += [f"warm_up {number} {'repeat' if repeat else 'fresh'}" for number, repeat in self.warm_up]
        lines.append(" ".join(["round", *map(str, self.round)]))
        return "\n".join([*lines, "end", ""])


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    pass


class Header(_Line, frozen=True, tag="header"):
    """The runner, its library and settings as read back, and the core's frequencies (kHz; null = denied)."""

    version: int
    runner: str
    library: str
    platform: Literal["android", "linux"]
    machine: str
    core: int
    niceness: int
    built_khz: int | None
    permitted_khz: int | None
    flags: dict[str, str]


class Spin(_Line, frozen=True, tag="spin"):
    """CPU time of a fixed chain of integer operations: the core's real clock."""

    when: Literal["before", "after"]
    steps: int
    cpu_ns: int


class Reading(_Line, frozen=True):
    """The clocks, core numbers and frequency around one run of a candidate."""

    candidate: int
    wall_ns: int
    cpu_ns: int
    thread_ns: int
    core_before: int
    core_after: int
    khz: int | None


class WarmUp(Reading, frozen=True, tag="warm_up"):
    """One run before the first round."""

    repeat: bool


class SampleLine(Reading, frozen=True, tag="sample"):
    """One timed run."""

    round: int


class Round(_Line, frozen=True, tag="round"):
    """What was read back after a round: core lists of all threads, temperatures as the files give them."""

    round: int
    elapsed_s: float
    affinities: list[str]
    threads: int
    sensors: dict[str, int | None]


class Output(_Line, frozen=True, tag="output"):
    """One output on the reference input; its values lie in a file on the device, the first few here."""

    candidate: int
    name: str
    file: str
    shape: list[int]
    first: list[float | None]


class End(_Line, frozen=True, tag="end"):
    """The closing line, with counts of what came before."""

    samples: int
    rounds: int
    peak_memory_kib: int
    lines: int


class Error(_Line, frozen=True, tag="error"):
    """Why the runner gave up."""

    message: str


_DECODER = msgspec.json.Decoder(Header | Spin | WarmUp | SampleLine | Round | Output | End | Error)


@dataclass(frozen=True)
class Answer:
    """All that one run of a runner said.

    Attributes:
        header: the runner and its settings.
        spins: before and after.
        warm_up: runs before the first round.
        samples: timed runs in plan.
        rounds: one entry per round.
        outputs: on the reference inputs.
        end: the closing line.
    """

    header: Header
    spins: tuple[Spin, ...]
    warm_up: tuple[WarmUp, ...]
    samples: tuple[SampleLine, ...]
    rounds: tuple[Round, ...]
    outputs: tuple[Output, ...]
    end: End

    @property
    def readings(self) -> tuple[Reading, ...]:
        """All runs, warm-up first."""
        return (*self.warm_up, *self.samples)


def read_answer(text: str, plan: Plan, where: str) -> Answer:
    """Read and check what a runner printed.

    Args:
        text: all of it.
        plan: what the runner was asked to do.
        where: opens messages, e.g. ``"adb"``.

    Raises:
        NothingMeasuredError: if the runner gave up, its answer is cut off, or it did not follow the plan; names the
            line.
    """
    lines: list[_Line] = []
    for number, content in enumerate(text.splitlines(), start=1):
        try:
            line = _DECODER.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise NothingMeasuredError(
                f"{where}: line {number} of the runner's answer cannot be read ({error}); use this suite's own runner"
            ) from None
        if isinstance(line, Error):
            raise NothingMeasuredError(f"{where}: the runner gave up ({line.message})")
        lines.append(line)
    if not lines or not isinstance(lines[-1], End):
        raise NothingMeasuredError(
            f"{where}: the runner's answer stops after line {len(lines)} without its closing line; run again"
        )
    if not isinstance(lines[0], Header) or lines[0].version != PLAN_VERSION:
        raise NothingMeasuredError(f"{where}: the runner speaks another version of the plan; build it again")
    answer = Answer(
        header=lines[0],
        spins=tuple(line for line in lines if isinstance(line, Spin)),
        warm_up=tuple(line for line in lines if isinstance(line, WarmUp)),
        samples=tuple(line for line in lines if isinstance(line, SampleLine)),
        rounds=tuple(line for line in lines if isinstance(line, Round)),
        outputs=tuple(line for line in lines if isinstance(line, Output)),
        end=lines[-1],
    )
    problem = _deviation(answer, lines, plan)
    if problem:
        raise NothingMeasuredError(f"{where}: the runner did not follow its plan ({problem}); use this suite's own")
    return answer


def _kinds(plan: Plan, rounds: int) -> list[type[_Line]]:
    """Return the kinds of an answer's lines in the order that they have to come in."""
    one_round: list[type[_Line]] = [*[SampleLine] * len(plan.round), Round]
    opening: list[type[_Line]] = [Header, Spin, *[WarmUp] * len(plan.warm_up)]
    return [*opening, *one_round * rounds, Spin, *[Output] * len(plan.outputs), End]


def _deviation(answer: Answer, lines: Sequence[_Line], plan: Plan) -> str | None:
    """Return the first way in which an answer is not what its plan asked for."""
    end, rounds = answer.end, len(answer.rounds)
    if end.lines != len(lines) or end.samples != len(answer.samples) or end.rounds != rounds:
        return f"it counts {end.samples} samples in {end.lines} lines, here are {len(answer.samples)} in {len(lines)}"
    if rounds == 0:
        return "it made no round"
    if [spin.when for spin in answer.spins] != ["before", "after"]:
        return "it lacks the core's calibration before or after the rounds"
    if answer.header.core != plan.core:
        return f"asked for core {plan.core}, it took core {answer.header.core}"
    if [(line.candidate, line.repeat) for line in answer.warm_up] != plan.warm_up:
        return "its warm-up runs are others"
    wanted = [(number, candidate) for number in range(rounds) for candidate in plan.round]
    if [(line.round, line.candidate) for line in answer.samples] != wanted:
        return "its samples are not in the order of the rounds"
    if [line.round for line in answer.rounds] != list(range(rounds)):
        return "its rounds are not counted through"
    if [(line.candidate, line.name) for line in answer.outputs] != plan.outputs:
        return "its outputs are others"
    if [type(line) for line in lines] != _kinds(plan, rounds):
        return "its lines are not in the order of the plan"
    clocks = [min(line.wall_ns, line.cpu_ns, line.thread_ns) for line in answer.readings]
    if min(*clocks, *(min(spin.cpu_ns, spin.steps) for spin in answer.spins)) <= 0:
        return "a clock stood still or ran backwards"
    return None
