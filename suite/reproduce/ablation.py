"""The ablation: every cell, every seed, one record each; what is recorded already is not trained again."""

from __future__ import annotations

import ast
import hashlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import reference_model
from suite.datasets import embedded
from suite.datasets.pins import load_pins
from suite.distributed import available_cores
from suite.errors import INTERRUPTED, REQUEUE, USAGE, InputError, StoppedError, SuiteError
from suite.locks import claimed
from suite.paths import records_dir
from suite.progress import say
from suite.records.schema import Scalar, Series
from suite.records.store import RunFile, read_folder, write_run
from suite.report.ablation import CELLS, DEFAULT_CELL, EXPERIMENT, AblationCell
from suite.reproduce.held_out import VIDEO_SETTINGS, held_out_lines
from suite.reproduce.stages import Stages
from suite.signals import stop_requests, stoppable
from suite.training.recipe import Recipe, load_recipe
from suite.training.run import forget, run_folder, train_recipe

RECIPE = "shapes_ablation"
POLL_S = 0.2
"""How often the processes side by side are looked at."""
CODE_SERIES = "reference_model_code"
"""Name of the series that holds the digest of the reference model's code."""
SAME_CODE = {
    "30d14b481aba9d8cace1c6ef27354ac42be3c647e1b6c15daf08ffa165ef7db1": (
        "4daab1b4d2a34e3c412b98555e35a266dba80b8011ce671550a7d3a19ec04e99"
    ),
}
"""Digest of the reference model's code -> of other code whose records count, too.

The first refuses more bad input and has another Python API; 24 iterations with and without pairs gave the same weights
to the bit.
"""


def _meaning(source: bytes) -> str:
    """Return a module's code without comments, formatting and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [
                statement
                for statement in node.body
                if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
            ] or [ast.Pass()]
    return ast.unparse(tree)


def reference_model_digest() -> str:
    """Return the SHA-256 of the reference model's code on this disk, through which training and prediction run."""
    folder = Path(reference_model.__file__).parent
    sources = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.py")}
    meanings = [f"{name}\n{_meaning(sources[name].read_bytes())}" for name in sorted(sources)]
    return hashlib.sha256("\n".join(meanings).encode()).hexdigest()


def cell_recipe(cell: AblationCell, iterations: int | None = None) -> Recipe:
    """Return what a cell trains; ``iterations`` replaces the recipe's number."""
    return load_recipe(
        RECIPE,
        iterations=iterations,
        query_passing=cell.query_passing,
        model_options=dict(cell.model_options) or None,
    )


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        cell: the setting.
        recipe: what is trained.
        seed: base seed.
        run: the recorded run that has its scores, None while it is left to be done.
        reason: why a recorded run does not count, or empty.
    """

    cell: AblationCell
    recipe: Recipe
    seed: int
    run: RunFile | None = None
    reason: str = ""

    @property
    def title(self) -> str:
        """Name the job for messages."""
        return f"{self.cell.name} seed {self.seed}"


def plan_lines(jobs: Sequence[Job]) -> list[str]:
    """Return jobs as lines for a person: seeds of each cell, why a record does not count, what is left."""
    lines = []
    for name in dict.fromkeys(job.cell.name for job in jobs):
        done, left = (
            " ".join(str(job.seed) for job in jobs if job.cell.name == name and bool(job.run) == state) or "none"
            for state in (True, False)
        )
        lines.append(f"{name:<17} seeds done: {done:<12} left: {left}")
    lines += [f"{job.title}: {job.reason}" for job in jobs if job.reason]
    done_count = sum(job.run is not None for job in jobs)
    return [*lines, f"{len(jobs)} trainings: {done_count} done, {len(jobs) - done_count} left"]


def named_jobs(names: Sequence[str], seeds: int, iterations: int | None = None) -> list[Job]:
    """Return all trainings, seed by seed, so that an interrupted ablation has whole sets of cells to compare.

    Args:
        names: of `CELLS`; empty for all.
        seeds: number of seeds, counted from 0.
        iterations: replaces the recipe's number.

    Raises:
        InputError: if a name is unknown.
    """
    known = [cell.name for cell in CELLS]
    if unknown := sorted(set(names) - set(known)):
        raise InputError(f"--cell {unknown[0]}: unknown; known: {', '.join(known)}")
    cells = [(cell, cell_recipe(cell, iterations)) for cell in CELLS if not names or cell.name in names]
    return [Job(cell, recipe, seed) for seed in range(seeds) for cell, recipe in cells]


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


def _recorded_code(run: RunFile) -> str | None:
    """Return the digest of the reference model that a run was made with, None where the run does not hold it."""
    return next((str(series.rows[0][0]) for series in run.series if series.name == CODE_SERIES), None)


def compared_with_records(jobs: Sequence[Job], code: str) -> list[Job]:
    """Return jobs with the runs that have their scores, and why others do not count.

    A job is done if a complete record holds all its scores for the same recipe, the pinned dataset and the same code
    of the reference model. Records with uncommitted changes count, as they do everywhere in the report.

    Args:
        jobs: see `named_jobs`.
        code: digest of the present reference model.

    Raises:
        DataError: if the file of pins is absent.
        InputError: if it is damaged.
    """
    runs, _ = read_folder(records_dir())
    digest = load_pins()["shapes"].md5 or ""
    found = []
    for job in jobs:
        scored = [run for run in runs if _scored(run, job, digest)]
        same = [run for run in scored if _recorded_code(run) in (code, SAME_CODE.get(code))]
        reason = ""
        if scored and not same:
            known = _recorded_code(scored[-1]) is not None
            why = "has another reference model" if known else "does not say with which reference model"
            reason = f"{scored[-1].run.run_id} {why}"
        found.append(replace(job, run=same[-1] if same else None, reason=reason))
    return found


def _run_job(job: Job, code: str) -> None:
    """Train one cell with one seed, score it and write its record; after a kill the next call continues."""
    stages = Stages(f"ablation-{job.recipe.digest()[:8]}-seed-{job.seed}", job.recipe.digest(), embedded.ensure(), code)
    run = stages.run("run", "ablation", job.seed)
    trained = train_recipe(job.recipe, job.seed)
    finished = replace(trained, protocol=trained.protocol | {"experiment": EXPERIMENT})
    code_line = Series(CODE_SERIES, finished.subject, ["sha256"], [[code]], finished.protocol)
    write_run(run, [*held_out_lines(finished, stages, job.title, job.cell.name == DEFAULT_CELL), code_line])
    stages.clear()
    forget(finished.checkpoint.parent)


def _run_jobs(all_jobs: Sequence[Job]) -> None:
    """Do every job that is not done yet and that no other process is doing; others may add records meanwhile."""
    code = reference_model_digest()
    for number, job in enumerate(all_jobs, start=1):
        with claimed(run_folder(job.recipe, job.seed)) as holder:
            if holder:
                say(f"[{number}/{len(all_jobs)}] {job.title}: {holder} trains it")
                continue
            (job,) = compared_with_records([job], code)
            if job.run is not None:
                run = job.run.run
                changes = "" if run.git_dirty is False else ", measured with uncommitted changes"
                say(f"[{number}/{len(all_jobs)}] {job.title}: in record {run.run_id}{changes}; skipped")
                continue
            say(f"[{number}/{len(all_jobs)}] {job.title}" + (f": {job.reason}" if job.reason else ""))
            _run_job(job, code)


def _forward(stream: IO[str], number: int) -> None:
    for line in stream:
        say(f"({number}) {line.rstrip()}")


def _run_side_by_side(arguments: Sequence[str], workers: int) -> None:
    """Run ``python -m suite`` with the same arguments in several processes, which share the work out among themselves.

    What stops this process or one of them stops all; each saves its state in its own time and is waited for.

    Raises:
        KeyboardInterrupt: after Ctrl-C here or in a worker.
        StoppedError: after SIGTERM or SIGUSR1 here or in a worker.
        SuiteError: if a worker failed, with its exit code.
    """
    command = [sys.executable, "-m", "suite", *arguments]
    with stop_requests() as stop_requested:
        running, readers, told = [], [], False
        for number in range(1, workers + 1):
            worker = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace")
            running.append(worker)
            readers.append(threading.Thread(target=_forward, args=(worker.stderr, number)))
            readers[-1].start()
        while None in (codes := [process.poll() for process in running]):
            if not told and (stop_requested() or {INTERRUPTED, REQUEUE} & set(codes)):
                told = True
                for process in running:
                    process.terminate()  # after Ctrl-C, too, which may not have reached it; twice would stop it at once
            time.sleep(POLL_S)
        for reader in readers:
            reader.join()
        asked = stop_requested()
    if asked == signal.SIGINT or (not asked and INTERRUPTED in codes):
        raise KeyboardInterrupt
    if asked or REQUEUE in codes:
        raise StoppedError("stopped by the system, what the workers trained is saved; the same command continues there")
    for number, code in enumerate(codes, start=1):
        if code:
            error = SuiteError(f"worker {number} of {workers} ended with exit code {code}; its message is above")
            error.exit_code = code if code > 0 else USAGE
            raise error


def train_cells(
    names: Sequence[str], seeds: int, iterations: int | None = None, workers: int | None = None
) -> list[Job]:
    """Train, score and record the cells of these names with the seeds 0 to ``seeds - 1``; returns what became of them.

    Args:
        names: of `CELLS`; empty for all.
        seeds: number of seeds.
        iterations: replaces the recipe's number.
        workers: trainings side by side; None: as many as fit on the cores.

    Raises:
        KeyboardInterrupt: after Ctrl-C; the same call continues where it stopped.
        StoppedError: likewise after SIGTERM or SIGUSR1.
        SuiteError: for bad data or a failed training.
    """
    wanted = named_jobs(names, seeds, iterations)
    side_by_side = min(workers or max(1, available_cores() // wanted[0].recipe.threads), len(wanted))
    if side_by_side > 1:
        words = [word for name in names for word in ("--cell", name)]
        words += ["--iterations", str(iterations)] if iterations else []
        embedded.ensure()
        own = ["ablation", "--seeds", str(seeds), *words, "--workers", "1", "--no-report"]
        _run_side_by_side(own, side_by_side)
    else:
        with stoppable():
            _run_jobs(wanted)
    return compared_with_records(wanted, reference_model_digest())
