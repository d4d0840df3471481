"""One training run with its surroundings: pinned data in, checkpoint out, and the lines of its record."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from reference_model.weights import save_checkpoint
from suite.datasets.splits import LOCAL_TRAIN
from suite.errors import InputError
from suite.files import file_digest
from suite.paths import repository_root, runs_dir
from suite.records.provenance import git_state
from suite.records.schema import Dataset, Measurement, Scalar, Series, Subject
from suite.training.loop import TrainResult, run_identity, train
from suite.training.processes import start_processes
from suite.training.recipe import Recipe
from suite.training.source import DataPaths
from suite.training.sources import open_source
from suite.training.start import How
from suite.training.state import StateFiles, write_errors


@dataclass(frozen=True)
class FinishedRun:
    """A trained checkpoint and what its record says.

    Attributes:
        checkpoint: the safetensors file.
        subject: model name and weights digest.
        protocol: what defines the run: seed, iterations, query passing, model options, several processes, a GPU.
        result: model, configuration, curve and time.
        dataset: what it was trained on.
        first: whether this is the process that writes files.
        initial_sha256: of the file it started from, when it started: days later the file may be gone. ``""``: none.
    """

    checkpoint: Path
    subject: Subject
    protocol: dict[str, Scalar]
    result: TrainResult
    dataset: Dataset
    first: bool = True
    initial_sha256: str = ""

    def record_lines(self, dataset: Dataset) -> list[Measurement | Series]:
        """Return the training curve and the training time as record lines."""
        curve = Series(
            name="training_curve",
            subject=self.subject,
            columns=self.result.columns,
            rows=[list(row) for row in self.result.curve],
            protocol=self.protocol,
            dataset=dataset,
        )
        time_s = Measurement(
            metric="train_time_s",
            value=self.result.train_time_s,
            subject=self.subject,
            protocol=self.protocol,
            dataset=dataset,
        )
        return [curve, time_s]


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
        with write_errors(str(checkpoint), "the last state is intact; make room, then the same command continues"):
            save_checkpoint(checkpoint, result.model, result.config, metadata)
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
