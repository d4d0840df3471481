"""The plan a runner follows on the device, made from the protocol that the host's timer follows, too.

It is plain text, one directive a line:

``candidate FILES``, then its ``precision fp32|fp16``, ``input NAME REFERENCE_FILE SHAPE`` and ``output NAME FILE``
lines; ``warm_up CANDIDATE fresh|repeat``; ``round CANDIDATES`` in the order of one round; ``core``, ``niceness``,
``seed``, ``pool``, ``min_rounds``, ``min_duration_s``, ``max_duration_s``, ``sensor NAME FILE``; first
``plan VERSION``, last ``end``. File names are relative to the runner's folder and hold no spaces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

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
