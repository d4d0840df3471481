"""What a training will take, measured by a few of its steps on this machine before it starts."""

from __future__ import annotations

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from reference_model.mobileinst import MobileInst
from suite.distributed import Processes, start_processes
from suite.training.initial import How, build_model, take_threads
from suite.training.parts import Batch
from suite.training.recipe import Recipe
from suite.training.sources import DataPaths, open_source
from suite.training.step import TrainingStep, build_optimizer

WARM_UP_STEPS, TIMED_STEPS = 1, 2
Draw = Callable[[int, int, int], Batch]
Cost = NDArray[np.float64]
"""What steps of one batch size took: peak memory in GiB, and seconds a step in each stage."""
LONGEST_S = 90.0
"""No larger batch is measured that would end later."""


def plan_lines(plan: dict[str, Any]) -> list[str]:
    """Return what `measure_plan` gives as lines for a person."""
    cost = "" if plan["gpu_hours"] is None else f", {plan['gpu_hours']:.1f} GPU hours"
    return [
        f"model       {plan['model']}, {plan['parameters'] / 1e6:.2f} M parameters",
        f"steps       {plan['iterations']}",
        f"images      {plan['images']} ({plan['epochs']:.1f} epochs)",
        f"memory      {plan['memory_gib']:.1f} GiB of each of {plan['processes']} process(es) on {plan['device']}",
        f"time        {plan['seconds_per_iteration']:.3f} s per step, {plan['hours']:.1f} hours{cost}",
        f"measured    {TIMED_STEPS} steps of each stage after {WARM_UP_STEPS}",
        *(f"note        {note}" for note in plan["notes"]),
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


def _sample(recipe: Recipe, draw: Draw, model: MobileInst, processes: Processes, compiled: bool) -> Cost:
    """Do a few steps of each stage of a recipe."""
    step = TrainingStep(recipe, model, build_optimizer(recipe, model), processes, 0, compiled)
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
    return np.array([processes.maximum(_peak_memory_gib(processes)), *seconds])


def _extrapolated(costs: dict[int, Cost], batch_size: int) -> Cost:
    """Return what a batch takes on the line through the two largest ones that were measured; never less than they."""
    (less, before), (most, last) = list(costs.items())[-2:]
    return last + (batch_size - most) / (most - less) * np.maximum(last - before, 0)


def _grown_samples(
    recipe: Recipe, draw_of: Callable[[Recipe], Draw], model: MobileInst, processes: Processes, compiled: bool
) -> dict[int, Cost]:
    """Do steps of ever larger batches, as long as the next ones fit into half of the free memory and the time."""
    started, before = time.monotonic(), processes.maximum(_peak_memory_gib(processes))
    sharing = 1 if processes.device.type == "cuda" else processes.count
    limit = before + -processes.maximum(-free_memory_gib(processes)) / 2 / sharing
    # Two images: batch norm of a single one has nothing to average where a layer pools it to one pixel.
    size = min(recipe.batch_size, 2 * processes.count * recipe.accumulation)
    costs = {0: np.array([before, *(0.0 for _ in _stages(recipe))])}
    while size <= recipe.batch_size:
        if len(costs) > 1:
            memory_gib, *seconds = _extrapolated(costs, size)
            spent = time.monotonic() - started + sum(seconds) * (WARM_UP_STEPS + TIMED_STEPS)
            if processes.maximum(max(memory_gib / limit, spent / LONGEST_S)) > 1:
                break
        smaller = msgspec.structs.replace(recipe, batch_size=size)
        costs[size] = _sample(smaller, draw_of(smaller), model, processes, compiled)
        size = recipe.batch_size if size < recipe.batch_size < 2 * size else 2 * size
    return costs


def measure_plan(recipe: Recipe, seed: int, how: How, paths: DataPaths | None = None) -> dict[str, Any] | None:
    """Do a few steps of each stage of a recipe and say what all of them will take.

    The batch grows from two images in each part to the recipe's, as long as it fits into half of the free memory and
    the plan into two minutes; what larger ones take is extrapolated, and the plan says so.

    Args:
        recipe: what is going to be trained.
        seed: base seed.
        how: device, workers and initial weights; under torchrun every process calls this.
        paths: the user's data instead of the pinned ones.

    Returns:
        The plan, None in every process but the first: ``model``, its ``parameters``, ``iterations``, ``images`` (or
        frames) that go through the model in all of them, the same in ``epochs``, ``processes`` and ``device`` that the
        figures are for, ``seconds_per_iteration`` (median of the timed steps with the data's time, of the slower
        stage), ``memory_gib`` (the most that a process held), ``hours`` of all iterations without evaluation,
        ``gpu_hours`` (None on a CPU) and ``notes`` that must be known beside the numbers.

    Raises:
        InputError: if no source reads the recipe's dataset, a file is not what it should be, or the batch cannot be
            divided evenly.
        DataError: if data are absent or not as pinned.
    """
    processes = start_processes(how.device)
    take_threads(recipe, processes)
    recipe.check_division(processes.count * recipe.accumulation)
    notes = []
    found = open_source(recipe, seed, paths)
    recipe = found.recipe
    model = build_model(recipe, seed, processes, how).train()
    costs = _grown_samples(recipe, lambda other: replace(found, recipe=other).batch, model, processes, how.compiled)
    measured = max(costs)
    if measured < recipe.batch_size:
        notes.append(
            f"measured with {measured} images a step and extrapolated to {recipe.batch_size}: a plan takes at "
            "most half of the free memory and two minutes"
        )
    memory_gib, *seconds = _extrapolated(costs, recipe.batch_size).tolist()
    if memory_gib > free_memory_gib(processes) + _peak_memory_gib(processes):
        notes.append("more memory than is free now: --accumulation N computes each step in N parts")
    hours = sum(len(stage) * time_s for stage, time_s in zip(_stages(recipe), seconds, strict=True)) / 3600
    if how.workers:
        notes.append(f"data are read in the step's time here; {how.workers} workers will read ahead")
    if not processes.first:
        return None
    on_gpu, images = processes.device.type == "cuda", recipe.iterations * recipe.batch_size
    return {
        "model": recipe.model,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "iterations": recipe.iterations,
        "images": images,
        "epochs": images / found.pool.size,
        "processes": processes.count,
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "seconds_per_iteration": max(seconds),
        "memory_gib": memory_gib,
        "hours": hours,
        "gpu_hours": hours * processes.count if on_gpu else None,
        "notes": notes,
    }
