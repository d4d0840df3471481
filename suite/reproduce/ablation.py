"""The ablation: every cell, every seed, one record each; what is recorded already is not trained again."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from suite.datasets.pins import load_pins
from suite.locks import claimed
from suite.paths import records_dir, shown
from suite.progress import say
from suite.records.schema import Scalar, Series
from suite.records.store import RunFile, read_folder
from suite.reproduce.ablation_cells import EXPERIMENT, AblationCell
from suite.reproduce.code_identity import present_digest
from suite.reproduce.video_settings import VIDEO_SETTINGS
from suite.training.recipe import Recipe

CODE_SERIES = "reference_model_code"
"""Name of the series that holds the digest of the reference model's code."""


@dataclass(frozen=True)
class Job:
    """One training: a cell and a seed."""

    cell: AblationCell
    recipe: Recipe
    seed: int

    @property
    def title(self) -> str:
        """Name the job for messages."""
        return f"{self.cell.name} seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """What is done and what is left.

    Attributes:
        done: jobs with the run that has their scores.
        left: jobs to be trained, in order.
        reasons: why a recorded run of a job that is left does not count, by the job's title.
        seconds_per_iteration: median over the recorded trainings; None where there is none.
        trainings: number of recorded trainings behind it.
    """

    done: tuple[tuple[Job, RunFile], ...]
    left: tuple[Job, ...]
    reasons: dict[str, str]
    seconds_per_iteration: float | None
    trainings: int

    @property
    def minutes_left(self) -> float | None:
        """Estimated minutes of training; scoring comes on top. None where nothing was recorded to estimate from."""
        if self.seconds_per_iteration is None:
            return None
        return sum(job.recipe.iterations for job in self.left) * self.seconds_per_iteration / 60


def jobs(cells: Sequence[AblationCell], seeds: int, iterations: int | None = None) -> list[Job]:
    """Return all trainings, seed by seed, so that an interrupted ablation has whole sets of cells to compare."""
    recipes = [(cell, cell.recipe(iterations)) for cell in cells]
    return [Job(cell, recipe, seed) for seed in range(seeds) for cell, recipe in recipes]


def _scored(run: RunFile, job: Job, dataset_digest: str) -> bool:
    """Whether a run holds every score of a job."""
    wanted: dict[str, Scalar] = {
        "seed": job.seed,
        "recipe_digest": job.recipe.digest()[:16],
        "experiment": EXPERIMENT,
    }
    found = {
        (item.metric, item.protocol.get("key_frame_interval"), item.protocol.get("association"))
        for item in run.measurements
        if item.dataset is not None
        and item.dataset.digest == dataset_digest
        and item.subject.model == job.recipe.model
        and all(item.protocol.get(key) == value for key, value in wanted.items())
    }
    return {("mask_ap", None, None), *(("video_ap", *setting) for setting in VIDEO_SETTINGS)} <= found


def recorded_code(run: RunFile) -> str | None:
    """Return the digest of the reference model that a run was made with, None where the run does not hold it."""
    for series in run.series:
        if series.name == CODE_SERIES:
            return str(series.rows[0][0])
    return None


def _seconds_per_iteration(runs: Sequence[RunFile], model: str) -> list[float]:
    found = []
    for run in runs:
        for item in run.measurements:
            iterations = item.protocol.get("iterations")
            if item.metric == "train_time_s" and item.subject.model == model and isinstance(iterations, int):
                found.append((item.value or 0.0) / iterations)
    return found


def make_plan(all_jobs: Sequence[Job], code: str) -> Plan:
    """Compare the jobs with the records.

    A job is done if a complete record holds all its scores for the same recipe, the pinned dataset and the same code
    of the reference model. Records with uncommitted changes count, as they do everywhere in the report.

    Args:
        all_jobs: see `jobs`.
        code: digest of the present reference model.

    Raises:
        DataError: if the file of pins is absent.
        InputError: if it is damaged.
    """
    runs, _ = read_folder(records_dir())
    digest = load_pins()["shapes"].md5 or ""
    done, left, reasons = [], [], {}
    for job in all_jobs:
        scored = [run for run in runs if _scored(run, job, digest)]
        same = [run for run in scored if recorded_code(run) == code]
        if same:
            done.append((job, same[-1]))
            continue
        left.append(job)
        if scored:
            known = recorded_code(scored[-1]) is not None
            why = "has another reference model" if known else "does not say with which reference model"
            reasons[job.title] = f"{scored[-1].run.run_id} {why}"
    times = _seconds_per_iteration(runs, all_jobs[0].recipe.model) if all_jobs else []
    return Plan(tuple(done), tuple(left), reasons, statistics.median(times) if times else None, len(times))


def run_job(job: Job, code: str) -> None:
    """Train one cell with one seed, score it and write its record.

    Ctrl-C during training keeps a state that the next call resumes; during scoring the record is finished first.

    Raises:
        KeyboardInterrupt: after a stop request, with nothing lost.
        SuiteError: for bad data or a failed training.
    """
    from suite.records.provenance import start_run
    from suite.records.store import writing
    from suite.reproduce.shapes import score_images, score_videos, shapes_dataset
    from suite.training.interrupts import stop_requests
    from suite.training.run import run_folder, train_on_shapes

    dataset = shapes_dataset()
    run = start_run("ablation", seed=job.seed)
    trained = train_on_shapes(job.recipe, job.seed)
    finished = replace(trained, protocol=trained.protocol | {"experiment": EXPERIMENT})
    folder = run_folder(job.recipe, job.seed)
    with stop_requests() as stop_requested, writing(run, records_dir()) as record:
        for line in finished.record_lines(shapes_dataset("train")):
            record.add(line)
        record.add(Series(CODE_SERIES, finished.subject, ["sha256"], [[code]], finished.protocol))
        score_images(finished, folder, record, dataset)
        score_videos(finished, folder, record, dataset)
    say(f"record {shown(records_dir() / run.run_id)}.jsonl")
    if stop_requested():
        say("stopped; the same command goes on with the next cell")
        raise KeyboardInterrupt


def run_ablation(all_jobs: Sequence[Job]) -> None:
    """Do every job that is not done yet and that no other process is doing; other processes may add records meanwhile.

    Raises:
        KeyboardInterrupt: after Ctrl-C; the same call goes on where it stopped.
        SuiteError: for bad data or a failed training.
    """
    from suite.training.run import run_folder

    code = present_digest()
    for number, job in enumerate(all_jobs, start=1):
        with claimed(run_folder(job.recipe, job.seed)) as free:
            if not free:
                say(f"[{number}/{len(all_jobs)}] {job.title}: another process trains it")
                continue
            plan = make_plan([job], code)
            if plan.done:
                run = plan.done[0][1].run
                changes = "" if run.git_dirty is False else ", measured with uncommitted changes"
                say(f"[{number}/{len(all_jobs)}] {job.title}: in record {run.run_id}{changes}; skipped")
                continue
            say(f"[{number}/{len(all_jobs)}] {job.title}" + "".join(f": {why}" for why in plan.reasons.values()))
            run_job(job, code)
