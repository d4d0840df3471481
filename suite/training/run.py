"""One training run with its surroundings: pinned data in, checkpoint out, and the lines of its record."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from reference_model.config import ModelConfig
from reference_model.mobileinst import MobileInst
from reference_model.weights import save_checkpoint
from suite.accuracy.mask_ap import score_coco
from suite.accuracy.predict import predict_images
from suite.datasets import embedded
from suite.datasets.coco import CocoDataset
from suite.errors import InputError
from suite.files import file_digest, read_json, write_json
from suite.paths import repository_root, runs_dir
from suite.progress import say
from suite.records.provenance import git_state
from suite.records.schema import Dataset, Measurement, Scalar, Series, Subject
from suite.training.loop import CURVE_COLUMNS, Evaluate, TrainResult, run_identity, train
from suite.training.recipe import Recipe
from suite.training.samples import load_videos


@dataclass(frozen=True)
class FinishedRun:
    """A trained checkpoint and what its record says.

    Attributes:
        checkpoint: the safetensors file.
        subject: model name and weights digest.
        protocol: what defines the run: seed, iterations, query passing, model options.
        result: model, configuration, curve and time.
    """

    checkpoint: Path
    subject: Subject
    protocol: dict[str, Scalar]
    result: TrainResult

    def record_lines(self, dataset: Dataset) -> list[Measurement | Series]:
        """Return the training curve and the training time as record lines."""
        curve = Series(
            name="training_curve",
            subject=self.subject,
            columns=CURVE_COLUMNS,
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
    sources = sorted([*root.glob("reference_model/**/*.py"), *root.glob("suite/training/*.py")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def run_folder(recipe: Recipe, seed: int) -> Path:
    """Return where one run keeps its checkpoint, state and results files; models with options are kept apart."""
    group = f"{recipe.dataset}-options" if recipe.model_options else recipe.dataset
    return runs_dir() / group / f"{recipe.digest()[:8]}-seed-{seed}"


def held_out_evaluation(recipe: Recipe, folder: Path) -> Evaluate:
    """Return the evaluation of the training curve: mask AP on some held-out frames, evenly spread over the videos.

    Args:
        recipe: says how many frames.
        folder: where the frames' annotations and the last results file are kept.
    """
    whole = read_json(embedded.annotations_path("instances", "val"), "annotations file")
    step = max(1, len(whole["images"]) // recipe.evaluation_images)
    whole["images"] = whole["images"][::step][: recipe.evaluation_images]
    kept = {image["id"] for image in whole["images"]}
    whole["annotations"] = [item for item in whole["annotations"] if item["image_id"] in kept]
    annotations, results = folder / "evaluation_annotations.json", folder / "evaluation_results.json"
    write_json(annotations, whole)
    dataset = CocoDataset.load(annotations, embedded.frames("val"))

    def evaluate(model: MobileInst, config: ModelConfig) -> float:
        predict_images(model, config, dataset, results, quiet=True)
        return score_coco(annotations, results).stats["AP"]

    return evaluate


def train_on_shapes(recipe: Recipe, seed: int, fresh: bool = False) -> FinishedRun:
    """Train a recipe on the embedded dataset and save the checkpoint.

    Args:
        recipe: must name the dataset ``shapes``.
        seed: base seed.
        fresh: discard the state of an interrupted run instead of resuming it.

    Raises:
        InputError: if the recipe is for another dataset, or a state file is damaged.
        DataError: if the embedded dataset's digest is not the pinned one.
    """
    if recipe.dataset != "shapes":
        raise InputError(f"recipe dataset {recipe.dataset!r}: only 'shapes' is trained by this command")
    digest = embedded.ensure()
    folder = run_folder(recipe, seed)
    folder.mkdir(parents=True, exist_ok=True)
    state_path = folder / "state.safetensors"
    if fresh:
        state_path.unlink(missing_ok=True)
    say("reading the training videos")
    videos = load_videos(embedded.videos("train"))
    evaluate = held_out_evaluation(recipe, folder)

    identity = run_identity(recipe, seed, digest, code_digest())
    result = train(recipe, videos, seed, identity, state_path, evaluate)
    checkpoint = folder / "model.safetensors"
    sha, dirty = git_state()
    save_checkpoint(
        checkpoint,
        result.model,
        result.config,
        {
            "dataset": "shapes",
            "dataset_digest": digest,
            "seed": str(seed),
            "recipe": msgspec.json.encode(recipe).decode(),
            "git_sha": str(sha),
            "git_dirty": str(dirty),
        },
    )
    state_path.unlink(missing_ok=True)
    return FinishedRun(
        checkpoint=checkpoint,
        subject=Subject(model=recipe.model, weights_sha256=file_digest(checkpoint)),
        protocol={
            "seed": seed,
            "iterations": recipe.iterations,
            "query_passing": recipe.query_passing,
            "recipe_digest": recipe.digest()[:16],
            **recipe.model_options,
        },
        result=result,
    )
