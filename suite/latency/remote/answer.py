"""What a runner printed: one JSON object a line, read strictly. A line too few, too many or out of place voids the run.

Lines in order: ``header``, ``spin``, any ``warm_up``, then per round its ``sample`` lines and one ``round``, ``spin``
again, any ``output``, ``end``. An ``error`` line ends everything. Unknown keys are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from suite.errors import NothingMeasuredError
from suite.latency.remote.plan import PLAN_VERSION, Plan


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
