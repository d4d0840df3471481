"""One training run with its surroundings: pinned data in; checkpoint, record and model card out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import torch

from reference_model.weights import save_checkpoint
from suite.datasets.splits import LOCAL_TRAIN
from suite.distributed import start_processes
from suite.errors import InputError
from suite.files import atomic_path, file_digest, write_text
from suite.paths import records_dir, repository_root, runs_dir, shown
from suite.records.provenance import git_state, start_run
from suite.records.schema import Artifact, Dataset, Run, Scalar, Subject
from suite.records.store import writing
from suite.training.initial import How
from suite.training.loop import run_identity, train
from suite.training.model_card import FinishedRun, model_card
from suite.training.recipe import Recipe
from suite.training.source import DataPaths, open_source
from suite.training.state import StateFiles, write_errors

CARD = "MODEL_CARD.md"


def code_digest() -> str:
    """Return the digest of the code that training runs through, so that a resumed run is never a mixture."""
    root = repository_root()
    sources = sorted([*root.glob("reference_model/**/*.py"), *root.glob("suite/training/**/*.py")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _trained_on(recipe: Recipe, dataset: Dataset) -> str:
    """Return what a checkpoint says it was trained on; scores on held-out videos count for weights that never saw them.

    Only the list of the repository holds the same videos out for everybody.
    """
    local = dataset.split == LOCAL_TRAIN and dataset.pinned
    return f"{dataset.name} {LOCAL_TRAIN}" if local else recipe.dataset


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


def train_recipe(
    recipe: Recipe,
    seed: int,
    fresh: bool = False,
    how: How | None = None,
    paths: DataPaths | None = None,
) -> FinishedRun:
    """Train a recipe on its dataset and save the checkpoint; under torchrun, every process calls this.

    The last states stay until the caller has written what becomes of the run: a failure there must cost no training.

    Args:
        recipe: what to train, on what, and how.
        seed: base seed.
        fresh: discard the state of an interrupted run instead of resuming it.
        how: device, workers and initial weights.
        paths: the user's data instead of the pinned ones.

    Raises:
        InputError: if no source reads the recipe's dataset, a file is damaged, or training breaks down.
        DataError: if data are absent or not as pinned.
        KeyboardInterrupt: on Ctrl-C, the state saved.
        StoppedError: on SIGTERM or SIGUSR1, the state saved.
    """
    how = how or How()
    processes = start_processes(how.device)
    initial = how.initial.digest()
    source = open_source(recipe, seed, paths)
    digest = source.dataset.digest
    folder = run_folder(recipe, seed, digest, initial)
    with write_errors(str(folder), "make room, or check its permissions"):
        folder.mkdir(parents=True, exist_ok=True)
        evaluation = source.evaluation(folder)
    states = StateFiles(folder, recipe.keep_checkpoints)
    if fresh and processes.first:
        states.remove()
    processes.share(None)
    identity = run_identity(recipe, seed, digest, code_digest(), initial)
    result = train(recipe, source, seed, identity, folder, evaluation, how)
    checkpoint = folder / "model.safetensors"
    sha, dirty = git_state()
    metadata = {
        "dataset": _trained_on(recipe, source.dataset),
        "dataset_digest": digest,
        "seed": str(seed),
        "recipe": msgspec.json.encode(recipe).decode(),
        "git_sha": str(sha),
        "git_dirty": str(dirty),
    }
    if initial:
        metadata["initial_weights_sha256"] = initial
    if processes.first:
        remedy = "the last state is intact; make room, then the same command continues"
        with write_errors(str(checkpoint), remedy), atomic_path(checkpoint) as temporary:
            save_checkpoint(temporary, result.model, result.config, metadata)
    processes.share(None)
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
    return FinishedRun(
        checkpoint=checkpoint,
        subject=Subject(model=recipe.model, weights_sha256=file_digest(checkpoint)),
        protocol=protocol,
        result=result,
        dataset=source.dataset,
        first=processes.first,
        initial_sha256=initial,
    )


def train_on_shapes(recipe: Recipe, seed: int, fresh: bool = False) -> FinishedRun:
    """Train a recipe of the embedded dataset; as `train_recipe`, but no state stays.

    Raises:
        InputError: also if the recipe is for another dataset.
    """
    if recipe.dataset != "shapes":
        raise InputError(f"recipe dataset {recipe.dataset!r}: only 'shapes' is trained by this command")
    finished = train_recipe(recipe, seed, fresh)
    StateFiles(finished.checkpoint.parent).remove()
    return finished


def write_evidence(finished: FinishedRun, recipe: Recipe, run: Run, how: How, publish: bool = False) -> Path:
    """Write the record and the model card into the run's folder, then remove its states.

    Args:
        finished: the trained run.
        recipe: what it was trained by.
        run: the first line of the record, made when the training started.
        how: names the file it started from.
        publish: also put the record among the committed ones, from which the report is drawn.

    Returns:
        The record's path.

    Raises:
        InputError: if a file cannot be written; the states are intact.
    """
    folder, subject = finished.checkpoint.parent, finished.subject
    card = folder / CARD
    folders = [folder, *([records_dir()] if publish else [])]
    with write_errors(
        f"{shown(folder)}: card and record", "weights and states are intact; make room, then run the same command"
    ):
        write_text(card, model_card(finished, recipe, run, how.initial))
        for place in folders:
            with writing(run, place) as record:
                for line in finished.record_lines(finished.dataset):
                    record.add(line)
                for path, caption in ((finished.checkpoint, "weights"), (card, "model card")):
                    record.add(Artifact(path.stem.lower(), shown(path), file_digest(path), subject, caption))
    StateFiles(folder).remove()
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
    return finished, write_evidence(finished, recipe, run, how or How(), publish)
