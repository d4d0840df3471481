"""One training run with its surroundings: pinned data in; checkpoint, record and model card out."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import torch

import reference_model
import suite
from reference_model.weights import load_checkpoint, save_checkpoint
from suite.datasets.categories import METADATA_KEY
from suite.datasets.local_split import LOCAL_TRAIN
from suite.distributed import start_processes
from suite.errors import InputError
from suite.files import atomic_path, disk_faults, file_digest, write_bytes, write_text
from suite.locks import claimed
from suite.paths import records_dir, runs_dir, shown
from suite.progress import say
from suite.records.provenance import git_state, start_run
from suite.records.schema import Artifact, Run, Scalar, Subject
from suite.records.store import writing
from suite.training.data.batches import FileSource
from suite.training.initial import How
from suite.training.loop import TrainResult, run_identity, train
from suite.training.model_card import FinishedRun, model_card
from suite.training.recipe import Recipe
from suite.training.sources import DataPaths, open_source
from suite.training.state import StateFiles

CARD = "MODEL_CARD.md"


WEIGHTS, FINISHED = "model.safetensors", "finished.json"
_held: set[Path] = set()
"""Run folders that this process holds."""


class Finished(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stays of a finished training until it is recorded, so that it is not repeated; see `TrainResult`."""

    identity: str
    weights_sha256: str
    curve: list[list[float | int | None]]
    train_time_s: float
    metric: str


def code_digest(*packages: str) -> str:
    """Return the digest of the code that training runs through, so that a resumed run is never a mixture.

    Args:
        packages: folders of the suite that count beside the reference model, ``"."`` for all; none: ``training``.
    """
    top = Path(suite.__file__).parent
    folders = [Path(reference_model.__file__).parent, *(top / name for name in packages or ("training",))]
    sources = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


@contextmanager
def run_lock(folder: Path) -> Iterator[str]:
    """Hold a run's folder, so that no other process trains in it; a process that holds it already goes on.

    Args:
        folder: see `run_folder`; it is made.

    Yields:
        ``""`` where the folder is held, otherwise who holds it: process, machine and command.

    Raises:
        InputError: if the folder cannot be written.
    """
    if folder in _held:
        yield ""
        return
    note = folder / ".holder"
    with disk_faults(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    with claimed(folder) as free:
        if not free:
            try:
                yield note.read_text(encoding="utf-8")
            except FileNotFoundError:  # it is just being written, or just removed
                yield "another process"
            return
        _held.add(folder)
        write_text(note, f"process {os.getpid()} on {platform.node()}")
        try:
            yield ""
        finally:
            _held.discard(folder)
            note.unlink(missing_ok=True)


def run_folder(recipe: Recipe, seed: int, dataset_digest: str = "", initial: str = "") -> Path:
    """Return where one run keeps its checkpoint, states, log and results files.

    Models with options are kept apart. Runs on data that the user may name are told apart by their digest, and by that
    of what they start from; the embedded dataset is always the same.
    """
    group = f"{recipe.dataset}-options" if recipe.model_options else recipe.dataset
    name = recipe.digest()[:8]
    if recipe.dataset != "shapes":
        name += "-" + hashlib.sha256(f"{dataset_digest} {initial}".encode()).hexdigest()[:8]
    return runs_dir() / group / f"{name}-seed-{seed}"


def _save(folder: Path, identity: str, source: FileSource, seed: int, initial: str, result: TrainResult) -> None:
    """Write the checkpoint, and that it is the finished one."""
    sha, dirty = git_state()
    recipe, dataset = source.recipe, source.dataset
    # Scores on held-out videos count only for weights that never saw them: those of the repository's list.
    local = dataset.split == LOCAL_TRAIN and dataset.pinned
    metadata = {
        "dataset": f"{dataset.name} {LOCAL_TRAIN}" if local else recipe.dataset,
        "dataset_digest": dataset.digest,
        "seed": str(seed),
        "recipe": msgspec.json.encode(recipe).decode(),
        "git_sha": str(sha),
        "git_dirty": str(dirty),
        METADATA_KEY: source.categories.text(),
    }
    if initial:
        metadata["initial_weights_sha256"] = initial
    checkpoint = folder / WEIGHTS
    with atomic_path(checkpoint) as temporary:
        save_checkpoint(temporary, result.model, result.model.config, metadata)
    finished = Finished(identity, file_digest(checkpoint), result.curve, result.train_time_s, result.metric)
    write_bytes(folder / FINISHED, msgspec.json.encode(finished))


def _finished_result(folder: Path, identity: str) -> TrainResult | None:
    """Return the result of a training of this identity that is finished and not recorded; None where there is none."""
    checkpoint = folder / WEIGHTS
    try:
        finished = msgspec.json.decode((folder / FINISHED).read_bytes(), type=Finished)
        if finished.identity != identity or finished.weights_sha256 != file_digest(checkpoint):
            return None
    except (OSError, msgspec.MsgspecError):
        return None
    model, _ = load_checkpoint(checkpoint)
    return TrainResult(model.eval(), finished.curve, finished.train_time_s, finished.metric)


def forget(folder: Path) -> None:
    """Remove what continues a run: its states, and that its training is finished."""
    StateFiles(folder).remove()
    (folder / FINISHED).unlink(missing_ok=True)


def train_recipe(
    recipe: Recipe,
    seed: int,
    fresh: bool = False,
    how: How | None = None,
    paths: DataPaths | None = None,
) -> FinishedRun:
    """Train a recipe on its dataset and save the checkpoint; under torchrun, every process calls this.

    States and finished weights stay until the caller has recorded the run and calls `forget`: a failure there costs no
    training.

    Args:
        recipe: what to train, on what, and how.
        seed: base seed.
        fresh: discard the state of an interrupted run instead of resuming it.
        how: device, workers and initial weights.
        paths: the user's data instead of the pinned ones.

    Raises:
        InputError: if no source reads the recipe's dataset, a file is damaged, training breaks down, or another process
            trains in the same folder.
        DataError: if data are absent or not as pinned.
        KeyboardInterrupt: on Ctrl-C, the state saved.
        StoppedError: on SIGTERM or SIGUSR1, the state saved.
    """
    how = how or How()
    processes = start_processes(how.device)
    initial = how.initial.digest()
    source = open_source(recipe, seed, paths)
    recipe, digest = source.recipe, source.dataset.digest
    folder = run_folder(recipe, seed, digest, initial)
    identity = run_identity(recipe, seed, digest, code_digest(), initial)
    with ExitStack() as held:
        holder = processes.share(held.enter_context(run_lock(folder)) if processes.first else "")
        if holder:
            raise InputError(f"{shown(folder)}: {holder} trains in this folder; wait for it or stop it first")
        if fresh and processes.first:
            forget(folder)
        processes.share(None)
        result = processes.share(_finished_result(folder, identity) if processes.first else None)
        if result is None:
            result = train(recipe, source, seed, identity, folder, source.evaluation(folder), how)
            if processes.first:
                _save(folder, identity, source, seed, initial, result)
        elif processes.first:
            say(f"{shown(folder)}: trained already, not recorded yet")
        processes.share(None)
    checkpoint = folder / WEIGHTS
    protocol: dict[str, Scalar] = {
        "seed": seed,
        "iterations": recipe.iterations,
        "query_passing": recipe.query_passing,
        "recipe_digest": recipe.digest()[:16],
        **recipe.model_options,
    }
    if recipe.initial_weights or initial:
        protocol["initial_weights"] = initial[:16] or "random"
    if processes.count > 1:
        protocol["processes"] = processes.count
    if processes.device.type == "cuda":
        protocol["device"] = torch.cuda.get_device_name(processes.device)
    subject = Subject(recipe.model, file_digest(checkpoint))
    return FinishedRun(checkpoint, subject, protocol, result, source.dataset, recipe, processes.first, initial)


def write_evidence(finished: FinishedRun, run: Run, how: How, publish: bool = False) -> Path:
    """Write the record and the model card into the run's folder, then remove what continues it.

    Args:
        finished: the trained run.
        run: the first line of the record, made when the training started.
        how: names the file it started from.
        publish: also put the record among the committed ones, from which the report is drawn.

    Returns:
        The record's path.

    Raises:
        InputError: if a file cannot be written; weights and states are intact.
    """
    folder, subject = finished.checkpoint.parent, finished.subject
    card = folder / CARD
    folders = [folder, *([records_dir()] if publish else [])]
    write_text(card, model_card(finished, run, how.initial))
    for place in folders:
        with writing(run, place) as record:
            for line in finished.record_lines():
                record.add(line)
            for path, caption in ((finished.checkpoint, "weights"), (card, "model card")):
                record.add(Artifact(path.stem.lower(), shown(path), file_digest(path), subject, caption))
    forget(folder)
    return folders[-1] / f"{run.run_id}.jsonl"


def train_and_record(
    recipe: Recipe,
    seed: int,
    fresh: bool = False,
    how: How | None = None,
    paths: DataPaths | None = None,
    publish: bool = False,
) -> tuple[FinishedRun, Path] | None:
    """Train a recipe and write its evidence; arguments and errors as `train_recipe` and `write_evidence`.

    Returns:
        The finished run and its record's path; None in every process but the first.
    """
    run = start_run(f"train-{recipe.dataset}", seed=seed)
    finished = train_recipe(recipe, seed, fresh, how, paths)
    if not finished.first:
        return None
    return finished, write_evidence(finished, run, how or How(), publish)
