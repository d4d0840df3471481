"""The training loop: recipe + data + seed -> weights. It reads top to bottom and owns no global state."""

from __future__ import annotations

import hashlib
import math
import signal
import time
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch.optim.swa_utils import AveragedModel

from reference_model.mobileinst import MobileInst
from suite.distributed import Processes, start_processes
from suite.errors import StoppedError
from suite.progress import say, track
from suite.signals import stop_requests
from suite.training.data.batches import FileSource
from suite.training.evaluation import Evaluation, Scoring
from suite.training.initial import How, build_model, keep_freed_memory, take_threads
from suite.training.log import TrainingLog
from suite.training.parts import freeze_batch_norm
from suite.training.recipe import Recipe
from suite.training.state import Progress, StateFiles, Trained, resume
from suite.training.step import TrainingStep, build_optimizer
from suite.training.workers import batches_of

LOSS_TERMS = ("loss_class", "loss_mask_bce", "loss_dice", "loss_objectness")
CURVE_COLUMNS = ["iteration", "loss", *LOSS_TERMS, "loss_passed", "mask_ap"]
"""``loss`` and its terms are those of single frames (of frame t in a pair), so that both stages are on one scale;
``loss_passed`` is that of the passed queries, null in the image stage. Video recipes end in ``video_ap`` instead."""
LOG_COLUMNS = ["learning_rate", "loss", *LOSS_TERMS, "loss_later", "loss_passed", "gradient_norm", "images_per_s"]
CURVE_POINTS = 60
TensorList = tuple[torch.Tensor, ...] | list[torch.Tensor]


@dataclass(frozen=True)
class TrainResult:
    """A finished run: the model in evaluation mode, its curve (columns `CURVE_COLUMNS`) and its training time."""

    model: MobileInst
    curve: list[list[float | int | None]]
    train_time_s: float
    metric: str = "mask_ap"


def run_identity(recipe: Recipe, seed: int, data: str, code: str, initial: str = "") -> str:
    """Return the digest of everything a run depends on: only the same run may be resumed."""
    parts = [recipe.digest(), str(seed), data, code, *([initial] if initial else [])]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _loss_columns(losses: dict[str, float]) -> dict[str, float | None]:
    """Return the columns of curve and log that tell losses; None: of a group that the iteration has not."""
    terms = {name: losses[name] for name in LOSS_TERMS}
    columns: dict[str, float | None] = {"loss": sum(terms.values()), **terms}
    for group in ("later", "passed"):
        values = [value for name, value in losses.items() if name.startswith(f"{group}/")]
        columns[f"loss_{group}"] = sum(values) if values else None
    return columns


def learning_rate_factor(recipe: Recipe, iteration: int) -> float:
    """Return the share of the peak learning rate at an iteration: linear warm-up, then steps or a cosine."""
    warmup = max(1, round(recipe.warmup_fraction * recipe.iterations))
    if iteration < warmup:
        return (iteration + 1) / warmup
    if recipe.decay_at:
        passed = sum(iteration >= round(share * recipe.iterations) for share in recipe.decay_at)
        return float(recipe.decay_factor**passed)
    done = (iteration - warmup) / max(1, recipe.iterations - warmup)
    low = recipe.final_learning_rate_fraction
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done))


def _averaged_model(model: MobileInst, decay: float) -> AveragedModel:
    """Return the exponential moving average of a model's parameters; batch-norm statistics are taken as they are.

    The average weighs less in the first updates, (1 + n) / (10 + n), so that the random start is forgotten.
    """

    @torch.no_grad()
    def average(averaged: TensorList, current: TensorList, updates: torch.Tensor | int) -> None:
        count = int(updates)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + count) / (10 + count)))

    return AveragedModel(model, multi_avg_fn=average)


def train(
    source: FileSource, identity: str, folder: Path, evaluation: Evaluation | None = None, how: How | None = None
) -> TrainResult:
    """Train one model, or continue an interrupted run of the same identity; under torchrun, together.

    Args:
        source: the training data, with the recipe and the base seed that weights, order, views and drop path derive
            from.
        identity: see `run_identity`.
        folder: for states, log and pictures; the caller removes the states once the result is saved.
        evaluation: scores the model in the course of the run; None: never.
        how: device, workers and initial weights.

    Raises:
        KeyboardInterrupt: on Ctrl-C, after the current iteration, the state saved.
        StoppedError: likewise on SIGTERM or SIGUSR1.
        InputError: if an iteration cannot be divided evenly, a loss is not finite, or a file cannot be written.
    """
    how, recipe, seed = how or How(), source.recipe, source.seed
    keep_freed_memory()
    processes = start_processes(how.device)
    take_threads(recipe, processes)
    recipe.check_division(processes.count * recipe.accumulation)
    model = build_model(recipe, seed, processes, how)
    optimizer = build_optimizer(recipe, model)
    average = _averaged_model(model, recipe.ema_decay) if recipe.ema_decay else None
    final = cast(MobileInst, average.module) if average else model
    step_once = TrainingStep(recipe, model, optimizer, processes, seed, how.compiled)
    trained = Trained(model, optimizer, average)
    states = StateFiles(folder, recipe.keep_checkpoints)
    progress = resume(states, Progress(identity), trained, processes)
    if progress.scaler:
        step_once.scaler.load_state_dict(progress.scaler)
    scoring = Scoring(recipe, evaluation, folder, processes, final)
    metric = evaluation.metric if evaluation else "mask_ap"
    log = None
    if processes.first:
        log = TrainingLog(folder, [*LOG_COLUMNS, metric], recipe.iterations, progress.iteration, how.tensorboard)
    logging: AbstractContextManager[object] = closing(log) if log is not None else nullcontext()
    record_every = max(1, recipe.iterations // CURVE_POINTS)
    left = range(progress.iteration, recipe.iterations)
    last_score: float | None = None

    def save() -> None:
        if processes.first and progress.iteration:
            states.save(progress, trained)
            say(f"the state after iteration {progress.iteration} is saved")

    with (
        stop_requests() as stop_requested,
        closing(batches_of(source, processes, recipe.accumulation, left, how.workers, stop_requested, save)) as drawn,
        track(f"train seed {seed}", recipe.iterations, progress.iteration, silent=not processes.first) as shown,
        logging,
    ):
        model.train()
        if recipe.batch_norm == "frozen":
            freeze_batch_norm(model)
        started = time.monotonic() - progress.elapsed_s
        for iteration, batches in drawn:
            if not batches:
                raise _stopped(stop_requested(), iteration, processes)
            for group in optimizer.param_groups:
                group["lr"] = group["base_rate"] * learning_rate_factor(recipe, iteration)
            losses, gradient_norm = step_once(iteration, batches)
            if average is not None:
                average.update_parameters(model)
            done, score, columns = iteration + 1, None, _loss_columns(losses)
            if done in scoring.at:
                score = scoring(done, progress)
                if recipe.batch_norm == "frozen":
                    freeze_batch_norm(model)
            if done in scoring.at or done % record_every == 0:
                progress.curve.append([done, *(columns[name] for name in CURVE_COLUMNS[1:-1]), score])
            now = time.monotonic() - started
            speed = recipe.batch_size / max(now - progress.elapsed_s, 1e-9)
            progress.iteration, progress.elapsed_s = done, now
            progress.scaler = step_once.scaler.state_dict()
            asked = round(processes.maximum(stop_requested()))
            saves = bool(asked) or done % recipe.checkpoint_every == 0 or done == recipe.iterations
            if log is not None:
                rate = optimizer.param_groups[-1]["lr"]
                others = {"learning_rate": rate, "gradient_norm": gradient_norm, "images_per_s": speed, metric: score}
                log.add(done, columns | others, saves or score is not None)
            if processes.first and saves:
                states.save(progress, trained)
            if asked:
                processes.share(None)  # the state is written: once one process has left, launchers end the others
                raise _stopped(asked, done, processes)
            last_score = score if score is not None else last_score
            shown_score = f" AP {100 * last_score:.1f}" if last_score is not None else ""
            shown(f"loss {columns['loss']:.2f}{shown_score}")
    return TrainResult(final.eval(), progress.curve, progress.elapsed_s, metric)


def _stopped(number: int, done: int, processes: Processes) -> BaseException:
    if processes.first:
        say(f"stopped after iteration {done}; the same command resumes there")
    if number == signal.SIGINT:
        return KeyboardInterrupt()
    name = signal.Signals(number).name
    return StoppedError(f"stopped by {name} after iteration {done}, state saved; the same command continues there")
