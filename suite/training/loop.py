"""The training loop: recipe + data + seed -> weights. It reads top to bottom and owns no global state."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from reference_model.config import ModelConfig
from reference_model.mobileinst import MobileInst
from suite.errors import InputError, StoppedError
from suite.progress import Step, say, track
from suite.training.averaging import AveragedModel
from suite.training.bad_batch import save_bad_batch
from suite.training.batch_norm import freeze_batch_norm
from suite.training.interrupts import stop_requests
from suite.training.log import TrainingLog, log_interval
from suite.training.prefetch import batches_of
from suite.training.processes import Processes, start_processes
from suite.training.recipe import Recipe
from suite.training.schedule import build_optimizer, learning_rate_factor
from suite.training.scoring import Scoring
from suite.training.source import Evaluation, TrainingSource
from suite.training.start import How, build_model, keep_freed_memory, resume, take_threads
from suite.training.state import Progress, StateFiles, Trained, write_errors
from suite.training.step import BrokenLossError, TrainingStep

LOSS_TERMS = ("loss_class", "loss_mask_bce", "loss_dice", "loss_objectness")
CURVE_COLUMNS = ["iteration", "loss", *LOSS_TERMS, "loss_passed", "mask_ap"]
"""``loss`` and its terms are those of single frames (of frame t in a pair), so that both stages are on one scale;
``loss_passed`` is that of the passed queries, null in the image stage. Video recipes end in ``video_ap`` instead."""
LOG_COLUMNS = ["learning_rate", "loss", *LOSS_TERMS, "loss_later", "loss_passed", "gradient_norm", "images_per_s"]
CURVE_POINTS = 60


@dataclass(frozen=True)
class TrainResult:
    """A finished run: the model in evaluation mode, its curve (columns `CURVE_COLUMNS`) and its training time."""

    model: MobileInst
    config: ModelConfig
    curve: list[list[float | int | None]]
    train_time_s: float
    metric: str = "mask_ap"

    @property
    def columns(self) -> list[str]:
        """Names of the curve's columns."""
        return [*CURVE_COLUMNS[:-1], self.metric]


def run_identity(recipe: Recipe, seed: int, dataset_digest: str, code: str, initial: str = "") -> str:
    """Return the digest of everything a run depends on: only the same run may be resumed."""
    parts = [recipe.digest(), str(seed), dataset_digest, code, *([initial] if initial else [])]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def curve_row(iteration: int, losses: dict[str, float], score: float | None) -> list[float | int | None]:
    """Return one row of the training curve, in the order of `CURVE_COLUMNS`."""
    terms = [losses[name] for name in LOSS_TERMS]
    passed = [value for name, value in losses.items() if name.startswith("passed/")]
    return [iteration, sum(terms), *terms, sum(passed) if passed else None, score]


@contextmanager
def _shown(processes: Processes, title: str, total: int, done: int) -> Iterator[Step]:
    """Show progress in process 0 only."""
    if processes.first:
        with track(title, total, done) as step:
            yield step
    else:
        yield lambda note="", advance=1: None


def train(
    recipe: Recipe,
    source: TrainingSource,
    seed: int,
    identity: str,
    folder: Path,
    evaluation: Evaluation | None = None,
    how: How | None = None,
) -> TrainResult:
    """Train one model, or continue an interrupted run of the same identity; under torchrun, together.

    Args:
        recipe: what to train and how.
        source: the training data.
        seed: base seed; weights, order, views and drop path derive from it.
        identity: see `run_identity`.
        folder: where state, log and pictures are kept; the caller removes the states once the result is saved.
        evaluation: scores the model in the course of the run; None: never.
        how: device, workers and initial weights.

    Raises:
        KeyboardInterrupt: on Ctrl-C, after the current iteration, the state saved.
        StoppedError: likewise on SIGTERM or SIGUSR1.
        InputError: if an iteration cannot be dealt out evenly, a loss is not finite (the batch is kept in the folder),
            or a file cannot be written.
    """
    how = how or How()
    keep_freed_memory()
    processes = start_processes(how.device)
    take_threads(recipe, processes)
    for stage in (0, recipe.iterations - 1):  # of images and of pairs, which may begin after days
        recipe.slots(stage, 0, processes.count * recipe.accumulation)
    model = build_model(recipe, seed, processes, how.initial)
    optimizer = build_optimizer(recipe, model)
    average = AveragedModel(model, recipe.ema_decay) if recipe.ema_decay else None
    step_once = TrainingStep(recipe, model, optimizer, processes, seed, how.compiled)
    trained = Trained(model, optimizer, average.model if average else None)
    states = StateFiles(folder, recipe.keep_checkpoints)
    progress = resume(states, Progress(identity, processes=processes.count), trained, processes)
    if step_once.scaler is not None and progress.scaler:
        step_once.scaler.load_state_dict(progress.scaler)
    progress.processes = processes.count
    scoring = Scoring(recipe, evaluation, folder, processes, average.model if average else model)
    metric = evaluation.metric if evaluation else "mask_ap"
    log = None
    if processes.first:
        columns, interval = [*LOG_COLUMNS, metric], log_interval(recipe.iterations)
        log = TrainingLog(folder, columns, interval, progress.iteration, how.tensorboard)
    logging: AbstractContextManager[object] = closing(log) if log is not None else nullcontext()
    record_every = max(1, recipe.iterations // CURVE_POINTS)
    left = range(progress.iteration, recipe.iterations)
    last_score: float | None = None
    with (
        stop_requests() as stop_requested,
        _shown(processes, f"train seed {seed}", recipe.iterations, progress.iteration) as shown,
        logging,
    ):
        model.train()
        if recipe.batch_norm == "frozen":
            freeze_batch_norm(model)
        started = time.monotonic() - progress.elapsed_s
        for iteration, batches in batches_of(source, processes, recipe.accumulation, left, how.workers):
            for group in optimizer.param_groups:
                group["lr"] = group["base_rate"] * learning_rate_factor(recipe, iteration)
            try:
                losses, gradient_norm = step_once(iteration, batches)
            except BrokenLossError as error:
                raise _broken(error, folder, model, seed, iteration, processes) from None
            if average is not None:
                average.update(model, iteration)
            done = iteration + 1
            score = None
            if done in scoring.at or scoring.draws(done):
                score = scoring(done, progress)
                if recipe.batch_norm == "frozen":
                    freeze_batch_norm(model)
            if done in scoring.at or done % record_every == 0:
                progress.curve.append(curve_row(done, losses, score))
            now = time.monotonic() - started
            speed = recipe.batch_size / max(now - progress.elapsed_s, 1e-9)
            progress.iteration, progress.elapsed_s = done, now
            if step_once.scaler is not None:
                progress.scaler = step_once.scaler.state_dict()
            asked = round(processes.maximum([stop_requested()])[0])
            saves = bool(asked) or done % recipe.checkpoint_every == 0
            if log is not None:
                values = _log_values(losses, optimizer.param_groups[-1]["lr"], gradient_norm, speed, metric, score)
                log.add(done, values, ends_row=saves or score is not None or done == recipe.iterations)
            if processes.first and saves:
                states.save(progress, trained)
            if asked:
                processes.share(None)  # the state is written: once one process has left, launchers end the others
                raise _stopped(asked, done, processes)
            last_score = score if score is not None else last_score
            shown_score = f" AP {100 * last_score:.1f}" if last_score is not None else ""
            shown(f"loss {sum(losses[name] for name in LOSS_TERMS):.2f}{shown_score}")
    final = average.model if average else model
    return TrainResult(final.eval(), final.config, progress.curve, progress.elapsed_s, metric)


def _log_values(
    losses: dict[str, float], rate: float, norm: float, speed: float, metric: str, score: float | None
) -> dict[str, float | None]:
    groups = {
        f"loss_{group}": sum(value for name, value in losses.items() if name.startswith(f"{group}/"))
        for group in ("later", "passed")
        if any(name.startswith(f"{group}/") for name in losses)
    }
    terms = {name: losses[name] for name in LOSS_TERMS}
    return {
        "learning_rate": rate,
        "loss": sum(terms.values()),
        **terms,
        **groups,
        "gradient_norm": norm,
        "images_per_s": speed,
        metric: score,
    }


def _broken(
    error: BrokenLossError, folder: Path, model: MobileInst, seed: int, iteration: int, processes: Processes
) -> InputError:
    kept = ""
    if error.batch is not None:
        path = folder / (f"bad_batch-{processes.rank}.safetensors" if processes.count > 1 else "bad_batch.safetensors")
        try:
            with write_errors(str(path), "make room to have it the next time"):
                save_bad_batch(path, error.batch, model, iteration, str(error))
            kept = f"; the batch and the weights it met are in {path}"
        except InputError as unkept:
            kept = f"; {unkept}"
    return InputError(f"training seed {seed}: {error} at iteration {iteration}; lower learning_rate{kept}")


def _stopped(number: int, done: int, processes: Processes) -> BaseException:
    if processes.first:
        say(f"stopped after iteration {done}; the same command resumes there")
    if number == signal.SIGINT:
        return KeyboardInterrupt()
    name = signal.Signals(number).name
    return StoppedError(f"stopped by {name} after iteration {done}, state saved; the same command continues there")
