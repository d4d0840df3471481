"""What a training will take, measured by a few of its steps on this machine before it starts."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from reference_model.images import normalise, padded_size
from reference_model.targets import MASK_STRIDE, InstanceTargets
from suite.distributed import Processes, start_processes
from suite.errors import DataError
from suite.progress import say
from suite.training.initial import How, build_model, take_threads
from suite.training.recipe import Recipe
from suite.training.source import Batch, DataPaths, open_source
from suite.training.step import TrainingStep, build_optimizer

WARM_UP_STEPS, TIMED_STEPS = 1, 3
GENERATED_INSTANCES = 8
"""Objects in each generated image; COCO's mean is 7."""


@dataclass(frozen=True)
class Plan:
    """What was measured and what follows from it.

    Attributes:
        model: the variant.
        parameters: of the model.
        iterations: optimiser steps.
        images: images, and frames, that go through the model in all of them.
        epochs: the same in passes over the data; None where the data are not here.
        processes: that the figures are for.
        device: where the steps were timed.
        seconds_per_iteration: median of the timed steps with the data's time, of the slower stage where there are two.
        memory_gib: most memory that a process held: of the GPU, or of the whole process on a CPU.
        hours: of all iterations, without evaluation.
        timed_on: ``"the recipe's data"``, or generated images of the recipe's largest size.
        notes: what must be known beside the numbers.
    """

    model: str
    parameters: int
    iterations: int
    images: int
    epochs: float | None
    processes: int
    device: str
    seconds_per_iteration: float
    memory_gib: float
    hours: float
    timed_on: str
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
        epochs = "" if self.epochs is None else f" ({self.epochs:.1f} epochs)"
        cost = "" if self.gpu_hours is None else f", {self.gpu_hours:.1f} GPU hours"
        return [
            f"model       {self.model}, {self.parameters / 1e6:.2f} M parameters",
            f"steps       {self.iterations}",
            f"images      {self.images}{epochs}",
            f"memory      {self.memory_gib:.1f} GiB of each of {self.processes} process(es) on {self.device}",
            f"time        {self.seconds_per_iteration:.3f} s per step, {self.hours:.1f} hours{cost}",
            f"measured    {TIMED_STEPS} steps of each stage after {WARM_UP_STEPS} on {self.timed_on}",
            *(f"note        {note}" for note in self.notes),
        ]


class GeneratedSource:
    """Noise with boxes, of the largest size that a recipe shows: as much work as real images, none of their reading."""

    def __init__(self, recipe: Recipe, seed: int = 0) -> None:
        self.recipe, self.seed = recipe, seed
        config = recipe.config()
        short, long = config.short_side_px, config.long_side_px
        if recipe.resizing is not None:
            short, long = max(recipe.resizing.short_sides_px), recipe.resizing.long_side_px
        self.height, self.width = padded_size(short, long, config.size_divisor_px)
        self.classes = config.num_classes

    def batch(self, iteration: int, rank: int, world_size: int) -> Batch:
        """Return one part of an iteration, as a `TrainingSource`."""
        slots = self.recipe.slots(iteration, rank, world_size)
        count = len(slots) * (2 if self.recipe.trains_on_pairs(iteration) else 1)
        generator = np.random.default_rng([self.seed, iteration, rank])
        pixels = generator.integers(0, 256, (count, self.height, self.width, 3), dtype=np.uint8)
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        labels = torch.from_numpy(generator.integers(self.classes, size=GENERATED_INSTANCES))
        masks = torch.zeros(GENERATED_INSTANCES, self.height // MASK_STRIDE, self.width // MASK_STRIDE)
        for index, mask in enumerate(masks):
            mask[4 * index : 4 * index + 16, 4 * index : 4 * index + 24] = 1
        target = InstanceTargets(labels, masks, torch.arange(GENERATED_INSTANCES))
        return Batch(normalise(images), [target] * count)


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


def _timed(step: TrainingStep, batches: Iterable[tuple[int, list[Batch]]]) -> float:
    times = []
    started = time.perf_counter()
    for number, (iteration, parts) in enumerate(batches):
        step(iteration, parts)
        now = time.perf_counter()
        if number >= WARM_UP_STEPS:
            times.append(now - started)
        started = now
    return statistics.median(times)


def measure_plan(recipe: Recipe, seed: int, how: How, paths: DataPaths | None = None) -> Plan | None:
    """Do a few steps of each stage of a recipe and say what all of them will take.

    Args:
        recipe: what is going to be trained.
        seed: base seed.
        how: device, workers and initial weights; under torchrun every process calls this.
        paths: the user's data; where none are found, generated images of the recipe's largest size take their place.

    Returns:
        The plan; None in every process but the first.

    Raises:
        InputError: if no source reads the recipe's dataset, or a file is not what it should be.
    """
    processes = start_processes(how.device)
    take_threads(recipe, processes)
    parts = processes.count * recipe.accumulation
    notes = []
    epochs: float | None = None
    try:
        found = open_source(recipe, seed, paths)
        draw, timed_on = found.batch, "the recipe's data"
        epochs = recipe.iterations * recipe.batch_size / found.size
    except DataError as error:
        draw, timed_on = GeneratedSource(recipe, seed).batch, "generated images of the recipe's largest size"
        notes.append(f"reading the data is not in the time: {error}")
    model = build_model(recipe, seed, processes, how.initial)
    optimizer = build_optimizer(recipe, model)
    step = TrainingStep(recipe, model, optimizer, processes, seed, how.compiled)
    model.train()
    images = -(-recipe.batch_size // parts)
    if processes.first:
        say(f"measuring steps of {images} images at a time; if they do not fit into memory: --accumulation N")
    own = range(processes.rank * recipe.accumulation, (processes.rank + 1) * recipe.accumulation)
    stages = _stages(recipe)
    seconds = []
    for stage in stages:
        # Near the end of a short recipe some steps are done twice; a step of the other stage would be timed otherwise.
        steps = [stage[min(n, len(stage) - 1)] for n in range(WARM_UP_STEPS + TIMED_STEPS)]
        seconds.append(_timed(step, ((n, [draw(n, part, parts) for part in own]) for n in steps)))
    hours = sum(len(stage) * time_s for stage, time_s in zip(stages, seconds, strict=True)) / 3600
    if how.workers:
        notes.append(f"data are read in the step's time here; {how.workers} workers will read ahead")
    memory_gib = processes.maximum(_peak_memory_gib(processes))
    if not processes.first:
        return None
    return Plan(
        model=recipe.model,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        iterations=recipe.iterations,
        images=recipe.iterations * recipe.batch_size,
        epochs=epochs,
        processes=processes.count,
        device=torch.cuda.get_device_name() if processes.device.type == "cuda" else "cpu",
        seconds_per_iteration=max(seconds),
        memory_gib=memory_gib,
        hours=hours,
        timed_on=timed_on,
        notes=tuple(notes),
    )
