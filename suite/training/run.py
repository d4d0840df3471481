"""One training run with its surroundings: pinned data in; checkpoint, record and model card out."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path

import msgspec
import torch

import reference_model
import suite
from reference_model.mobileinst import MobileInst
from reference_model.weights import CheckpointError, load_checkpoint, save_checkpoint
from suite.datasets.categories import METADATA_KEY
from suite.datasets.local_split import LOCAL_TRAIN
from suite.distributed import start_processes
from suite.errors import InputError
from suite.files import atomic_path, file_digest, write_text
from suite.locks import claimed
from suite.paths import recorded, records_dir, runs_dir, shown
from suite.records.provenance import git_state, start_run
from suite.records.schema import Artifact, Scalar, Subject
from suite.records.store import writing
from suite.training.data.batches import FileSource
from suite.training.evaluation import Evaluation
from suite.training.initial import How
from suite.training.loop import run_identity, train
from suite.training.model_card import FinishedRun, model_card
from suite.training.recipe import Recipe
from suite.training.sources import DataPaths, open_source
from suite.training.state import StateFiles

CARD = "MODEL_CARD.md"


def code_digest(*packages: str) -> str:
    """Return the digest of the code that training runs through, so that a resumed run is never a mixture.

    Args:
        packages: folders of the suite that count beside the reference model, ``"."`` for all; none: ``training``.
    """
    top = Path(suite.__file__).parent
    folders = [Path(reference_model.__file__).parent, *(top / name for name in packages or ("training",))]
    sources = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def run_folder(recipe: Recipe, seed: int, data: str = "", initial: str = "") -> Path:
    """Return where one run keeps its checkpoint, states, log and results files.

    Models with options are kept apart. Runs on data that the user may name are told apart by their identity, and by the
    digest of what they start from; the embedded dataset is always the same.
    """
    group = f"{recipe.dataset}-options" if recipe.model_options else recipe.dataset
    name = recipe.digest()[:8]
    if recipe.dataset != "shapes":
        name += "-" + hashlib.sha256(f"{data} {initial}".encode()).hexdigest()[:8]
    return runs_dir() / group / f"{name}-seed-{seed}"


def _save(checkpoint: Path, source: FileSource, initial: str, model: MobileInst) -> None:
    sha, dirty = git_state()
    recipe, dataset = source.recipe, source.dataset
    # Scores on held-out videos count only for weights that never saw them: those of the repository's list.
    local = dataset.split == LOCAL_TRAIN and dataset.pinned
    metadata = {
        "dataset": f"{dataset.name} {LOCAL_TRAIN}" if local else recipe.dataset,
        "dataset_digest": dataset.digest,
        "seed": str(source.seed),
        "recipe": msgspec.json.encode(recipe).decode(),
        "git_sha": str(sha),
        "git_dirty": str(dirty),
        METADATA_KEY: source.categories.text(),
    }
    if initial:
        metadata["initial_weights_sha256"] = initial
    with atomic_path(checkpoint) as temporary:
        save_checkpoint(temporary, model, model.config, metadata)


def _holds(checkpoint: Path, model: MobileInst) -> bool:
    """Tell whether a checkpoint has these weights; a job that goes on then keeps the file whose digest it recorded."""
    try:
        stored, wanted = load_checkpoint(checkpoint)[0].state_dict(), model.state_dict()
    except CheckpointError:
        return False
    return stored.keys() == wanted.keys() and all(torch.equal(stored[name], wanted[name].cpu()) for name in wanted)


def forget(folder: Path) -> None:
    """Remove what continues a run, finished or not: its states."""
    for path in StateFiles(folder).paths():
        path.unlink(missing_ok=True)


def train_recipe(
    recipe: Recipe,
    seed: int,
    fresh: bool = False,
    how: How | None = None,
    paths: DataPaths | None = None,
) -> FinishedRun:
    """Train a recipe on its dataset and save the checkpoint; under torchrun, every process calls this.

    The last state stays until the caller has recorded the run and calls `forget`: a failure there costs no training.

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
    initial = how.initial_digest()
    source = open_source(recipe, seed, paths)
    recipe, data = source.recipe, source.identity
    folder = run_folder(recipe, seed, data, initial)
    checkpoint = folder / "model.safetensors"
    identity = run_identity(recipe, seed, data, code_digest(), initial)
    with ExitStack() as held:
        holder = processes.share(held.enter_context(claimed(folder)) if processes.first else "")
        if holder:
            raise InputError(f"{shown(folder)}: {holder} trains in this folder; wait for it or stop it first")
        if fresh and processes.first:
            forget(folder)
        processes.share(None)
        result = train(source, identity, folder, Evaluation.of(source, folder), how)
        if processes.first and not _holds(checkpoint, result.model):
            _save(checkpoint, source, initial, result.model)
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
    subject = Subject(recipe.model, file_digest(checkpoint))
    return FinishedRun(checkpoint, subject, protocol, result, source.dataset, recipe, processes.first, initial)


def train_and_record(
    recipe: Recipe,
    seed: int,
    fresh: bool = False,
    how: How | None = None,
    paths: DataPaths | None = None,
    publish: bool = False,
) -> tuple[FinishedRun, Path] | None:
    """Train a recipe, write its record and model card into the run's folder, and remove what continues the run.

    Arguments and errors are those of `train_recipe`; ``publish`` also puts the record among the committed ones, from
    which the report is drawn.

    Returns:
        The finished run and its record's path; None in every process but the first.
    """
    how, run = how or How(), start_run(f"train-{recipe.dataset}", seed=seed)
    finished = train_recipe(recipe, seed, fresh, how, paths)
    if not finished.first:
        return None
    folder = finished.checkpoint.parent
    card = folder / CARD
    write_text(card, model_card(finished, run, how))
    folders = [folder, *([records_dir()] if publish else [])]
    for place in folders:
        with writing(run, place) as record:
            for line in finished.record_lines():
                record.add(line)
            for path, caption in ((finished.checkpoint, "weights"), (card, "model card")):
                record.add(Artifact(path.stem.lower(), recorded(path), file_digest(path), finished.subject, caption))
    forget(folder)
    return finished, folders[-1] / f"{run.run_id}.jsonl"
