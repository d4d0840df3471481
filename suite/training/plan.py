"""What a training will take, measured by a few of its steps on this machine before it starts."""

from __future__ import annotations

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import torch

from reference_model.mobileinst import MobileInst
from suite.distributed import Processes, start_processes
from suite.training.batch import Batch
from suite.training.initial import How, build_model, take_threads
from suite.training.recipe import Recipe
from suite.training.sources import DataPaths, open_source
from suite.training.step import TrainingStep, build_optimizer

WARM_UP_STEPS, TIMED_STEPS = 1, 2
Draw = Callable[[int, int, int], Batch]
LONGEST_S = 90.0
"""No larger batch is measured that would end later."""


@dataclass(frozen=True)
class Plan:
    """What was measured and what follows from it.

    Attributes:
        model: the variant.
        parameters: of the model.
        iterations: optimiser steps.
        images: images, and frames, that go through the model in all of them.
        epochs: the same in passes over the data.
        processes: that the figures are for.
        device: where the steps were timed.
        seconds_per_iteration: median of the timed steps with the data's time, of the slower stage where there are two.
        memory_gib: most memory that a process held: of the GPU, or of the whole process on a CPU.
        hours: of all iterations, without evaluation.
        notes: what must be known beside the numbers.
    """

    model: str
    parameters: int
    iterations: int
    images: int
    epochs: float
    processes: int
    device: str
    seconds_per_iteration: float
    memory_gib: float
    hours: float
    notes: tuple[str, ...]

    @property
    def gpu_hours(self) -> float | None:
        """Hours times GPUs; None on a CPU."""
        return self.hours * self.processes if self.device != "cpu" else None

    def to_json(self) -> dict[str, Any]:
        """Return the plan as one JSON object."""
        return {**asdict(self), "gpu_hours": self.gpu_hours}

    def lines(self) -> list[str]:
        """Return the plan as lines for a person."""
        cost = "" if self.gpu_hours is None else f", {self.gpu_hours:.1f} GPU hours"
        return [
            f"model       {self.model}, {self.parameters / 1e6:.2f} M parameters",
            f"steps       {self.iterations}",
            f"images      {self.images} ({self.epochs:.1f} epochs)",
            f"memory      {self.memory_gib:.1f} GiB of each of {self.processes} process(es) on {self.device}",
            f"time        {self.seconds_per_iteration:.3f} s per step, {self.hours:.1f} hours{cost}",
            f"measured    {TIMED_STEPS} steps of each stage after {WARM_UP_STEPS}",
            *(f"note        {note}" for note in self.notes),
        ]


def _stages(recipe: Recipe) -> list[range]:
    """Return the iterations of each stage that there is: images, then pairs if queries are passed."""
    pairs = [recipe.trains_on_pairs(iteration) for iteration in range(recipe.iterations)]
    first = pairs.index(True) if True in pairs else recipe.iterations
    return [stage for stage in (range(first), range(first, recipe.iterations)) if stage]


def _peak_memory_gib(processes: Processes) -> float:
    if processes.device.type == "cuda":
        return torch.cuda.max_memory_allocated(processes.device) / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20


def free_memory_gib(processes: Processes) -> float:
    """Return the memory that is free where a process computes: of its GPU, or of the machine and its control group."""
    if processes.device.type == "cuda":
        return torch.cuda.mem_get_info(processes.device)[0] / 2**30
    found = []
    with suppress(OSError, StopIteration, ValueError):
        line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
        found.append(int(line.split()[1]) / 2**20)
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit, used = ((group / f"memory.{name}").read_text() for name in ("max", "current"))
        found.append((int(limit) - int(used)) / 2**30)  # "max" is no number: there is no limit
    return min(found, default=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**31)


@dataclass(frozen=True)
class _Sample:
    """What steps of one batch size took: peak memory, and seconds a step in each stage."""

    batch_size: int
    memory_gib: float
    seconds: tuple[float, ...]

    def line_through(self, other: _Sample, batch_size: int) -> _Sample:
        """Return what a larger batch takes on the line through this sample and a smaller one."""
        share = (batch_size - self.batch_size) / (self.batch_size - other.batch_size)

        def beyond(ours: float, theirs: float) -> float:
            return ours + share * max(0.0, ours - theirs)

        seconds = tuple(beyond(*pair) for pair in zip(self.seconds, other.seconds, strict=True))
        return _Sample(batch_size, beyond(self.memory_gib, other.memory_gib), seconds)


def _sample(recipe: Recipe, draw: Draw, model: MobileInst, processes: Processes, how: How) -> _Sample:
    """Do a few steps of each stage of a recipe."""
    step = TrainingStep(recipe, model, build_optimizer(recipe, model), processes, 0, how.compiled)
    own = range(processes.rank * recipe.accumulation, (processes.rank + 1) * recipe.accumulation)
    parts, seconds = processes.count * recipe.accumulation, []
    for stage in _stages(recipe):
        times = []
        for number in range(WARM_UP_STEPS + TIMED_STEPS):
            # Near the end of a short recipe a step is repeated; a step of the other stage would be timed otherwise.
            iteration = stage[min(number, len(stage) - 1)]
            started = time.perf_counter()
            step(iteration, [draw(iteration, part, parts) for part in own])
            times.append(time.perf_counter() - started)
        seconds.append(processes.maximum(statistics.median(times[WARM_UP_STEPS:])))
    return _Sample(recipe.batch_size, processes.maximum(_peak_memory_gib(processes)), tuple(seconds))


def _grown_samples(
    recipe: Recipe, draw_of: Callable[[Recipe], Draw], processes: Processes, how: How, seed: int
) -> tuple[MobileInst, list[_Sample]]:
    """Do steps of ever larger batches, as long as the next ones fit into half of the free memory and the time."""
    started, before = time.monotonic(), _peak_memory_gib(processes)
    limit = before + -processes.maximum(-free_memory_gib(processes)) / 2 / (
        1 if processes.device.type == "cuda" else processes.count
    )
    model = build_model(recipe, seed, processes, how.initial)
    model.train()
    # Two images: batch norm of a single one has nothing to average where a layer pools it to one pixel.
    size = min(recipe.batch_size, 2 * processes.count * recipe.accumulation)
    samples = [_Sample(0, processes.maximum(before), (0.0,) * len(_stages(recipe)))]
    while size <= recipe.batch_size:
        if len(samples) > 1:
            expected = samples[-1].line_through(samples[-2], size)
            spent = time.monotonic() - started + sum(expected.seconds) * (WARM_UP_STEPS + TIMED_STEPS)
            if processes.maximum(max(expected.memory_gib / limit, spent / LONGEST_S)) > 1:
                break
        smaller = msgspec.structs.replace(recipe, batch_size=size)
        samples.append(_sample(smaller, draw_of(smaller), model, processes, how))
        size = recipe.batch_size if size < recipe.batch_size < 2 * size else 2 * size
    return model, samples


def measure_plan(recipe: Recipe, seed: int, how: How, paths: DataPaths | None = None) -> Plan | None:
    """Do a few steps of each stage of a recipe and say what all of them will take.

    The batch grows from two images in each part to the recipe's, as long as it fits into half of the free memory and
    the plan into two minutes; what larger ones take is extrapolated, and the plan says so.

    Args:
        recipe: what is going to be trained.
        seed: base seed.
        how: device, workers and initial weights; under torchrun every process calls this.
        paths: the user's data instead of the pinned ones.

    Returns:
        The plan; None in every process but the first.

    Raises:
        InputError: if no source reads the recipe's dataset, a file is not what it should be, or the batch cannot be
            divided evenly.
        DataError: if data are absent or not as pinned.
    """
    processes = start_processes(how.device)
    take_threads(recipe, processes)
    for stage in (0, recipe.iterations - 1):
        recipe.slots(stage, 0, processes.count * recipe.accumulation)
    notes = []
    found = open_source(recipe, seed, paths)
    recipe = found.recipe
    model, samples = _grown_samples(recipe, lambda other: replace(found, recipe=other).batch, processes, how, seed)
    last = samples[-1]
    if last.batch_size < recipe.batch_size:
        notes.append(
            f"measured with {last.batch_size} images a step and extrapolated to {recipe.batch_size}: a plan takes at "
            "most half of the free memory and two minutes"
        )
        last = last.line_through(samples[-2], recipe.batch_size)
    if last.memory_gib > free_memory_gib(processes) + _peak_memory_gib(processes):
        notes.append("more memory than is free now: --accumulation N computes each step in N parts")
    hours = sum(len(stage) * time_s for stage, time_s in zip(_stages(recipe), last.seconds, strict=True)) / 3600
    if how.workers:
        notes.append(f"data are read in the step's time here; {how.workers} workers will read ahead")
    if not processes.first:
        return None
    return Plan(
        model=recipe.model,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        iterations=recipe.iterations,
        images=recipe.iterations * recipe.batch_size,
        epochs=recipe.iterations * recipe.batch_size / found.size,
        processes=processes.count,
        device=torch.cuda.get_device_name() if processes.device.type == "cuda" else "cpu",
        seconds_per_iteration=max(last.seconds),
        memory_gib=last.memory_gib,
        hours=hours,
        notes=tuple(notes),
    )
