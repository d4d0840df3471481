"""Trains two shipped recipes on sample photographs and videos; fails unless loss falls and train AP rises to a floor.

Run with ``nox -s checks -- recipes`` (nearly two hours on two cores; ``--recipe coco_topformer_base_512 --pictures 16
--iterations 1600`` trains the COCO half for 24 minutes on a fifth of the photographs). The COCO recipe starts from
random weights and the YouTube-VIS recipe from what that left, as the paper's start from ImageNet and from COCO. Data,
number of steps and images a step differ from the recipe's, since a step as on a cluster would take a CPU half a minute;
random weights also need more than the learning rate of fine-tuning. It is no measurement of MobileInst, the pictures
scored are those trained on; it shows that the recipes which are to run for days on GPUs learn.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import click

from reference_model.weights import save_checkpoint
from suite.errors import DataError, RegressionError, SuiteError
from suite.progress import say
from suite.training.evaluation import Evaluation
from suite.training.initial import How
from suite.training.loop import TrainResult, train
from suite.training.recipe import load_recipe
from suite.training.sources import DataPaths, open_source
from tests.checks.overfit import sample_folder, write_first_images

ENDS = 5
"""Points of the training curve averaged at its start and at its end."""
EVALUATIONS = 4
"""How often AP is measured in the course of a run: one number at its end would not show that it rises."""


@dataclass(frozen=True)
class Trial:
    """A recipe on a sample, and what it must reach.

    Attributes:
        recipe: name of a shipped recipe.
        annotations: of the sample, below the folder of samples; trained on and scored.
        images: the folder its file names start from.
        iterations: steps of ``batch_size`` images.
        batch_size: images a step.
        learning_rate: instead of the recipe's; None: the recipe's.
        pictures: only so many of a COCO sample; None: all.
        least_ap: floor of mask or video AP on the sample, in [0, 1].
    """

    recipe: str
    annotations: str
    images: str
    iterations: int
    batch_size: int
    least_ap: float
    learning_rate: float | None = None
    pictures: int | None = None


TRIALS = (
    Trial(
        "coco_topformer_base_512",
        "coco_mini/annotations/instances_train2017.json",
        "coco_mini/train2017",
        iterations=6400,
        batch_size=2,
        least_ap=0.02,
        learning_rate=5e-4,
    ),
    Trial(
        "youtube_vis_2019",
        "ytvis_mini/train.json",
        "ytvis_mini/train/JPEGImages",
        iterations=600,
        batch_size=2,
        least_ap=0.10,
    ),
)


def run(trial: Trial, samples: Path, folder: Path, checkpoint: Path | None) -> TrainResult:
    """Train one recipe on a sample and score it there.

    Args:
        trial: what to train.
        samples: the folder of samples.
        folder: where the run keeps its files.
        checkpoint: weights to start from; None: random ones.

    Raises:
        DataError: if the sample is not here.
    """
    annotations, images = samples / trial.annotations, samples / trial.images
    if not annotations.is_file():
        raise DataError(f"{annotations}: no such sample; name the folder of samples, or set MOBILEINST_SHARED_DATA")
    recipe = load_recipe(
        trial.recipe,
        iterations=trial.iterations,
        batch_size=trial.batch_size,
        learning_rate=trial.learning_rate,
        evaluations=EVALUATIONS,
        picture_every=0,
    )
    folder.mkdir(parents=True)
    if trial.pictures is not None:
        write_first_images(annotations, folder / "annotations.json", trial.pictures)
        annotations = folder / "annotations.json"
    source = open_source(recipe, 0, DataPaths(annotations, images, annotations, images))
    how = How("cpu", workers=0, checkpoint=checkpoint)
    return train(source, trial.recipe, folder, Evaluation.of(source, folder), how)


def judge(trial: Trial, result: TrainResult, seconds: float) -> list[str]:
    """Print what a trial reached and return what it fell short of."""
    losses = [float(row[1] or 0) for row in result.curve]
    first, last = sum(losses[:ENDS]) / ENDS, sum(losses[-ENDS:]) / ENDS
    scores = [float(row[-1]) for row in result.curve if row[-1] is not None]
    average_precision = scores[-1]
    label = result.metric.replace("_ap", " AP")
    on_the_way = ", ".join(f"{100 * score:.2f}" for score in scores[:-1])
    print(
        f"{trial.recipe}: loss {first:.2f} to {last:.2f}, train {label} {100 * average_precision:.1f} after "
        f"{trial.iterations} steps of {trial.batch_size} images (on the way {on_the_way}), {seconds:.0f} s",
        flush=True,
    )
    short = [] if last < first else [f"{trial.recipe}: the loss did not fall ({first:.2f} to {last:.2f})"]
    if average_precision <= scores[0]:
        short.append(f"{trial.recipe}: train {label} did not rise ({100 * scores[0]:.2f} first)")
    if average_precision < trial.least_ap:
        short.append(f"{trial.recipe}: the floor of train {label} is {100 * trial.least_ap:.0f}")
    return short


@click.command()
@click.argument("samples", type=click.Path(path_type=Path), default=sample_folder)
@click.option("--recipe", "only", type=click.Choice([trial.recipe for trial in TRIALS]), help="Run this one alone.")
@click.option("--iterations", type=click.IntRange(min=20), help="Other number of steps.")
@click.option("--batch-size", type=click.IntRange(min=2), help="Other number of images a step.")
@click.option("--pictures", type=click.IntRange(min=1), help="Only so many photographs of the COCO sample.")
def main(samples: Path, only: str | None, iterations: int | None, batch_size: int | None, pictures: int | None) -> None:
    """Run the check on the folder SAMPLES, by default the one beside the repository."""
    short: list[str] = []
    try:
        with tempfile.TemporaryDirectory() as name:
            checkpoint: Path | None = None
            for trial in TRIALS:
                if only not in (None, trial.recipe):
                    continue
                changed = replace(
                    trial,
                    iterations=iterations or trial.iterations,
                    batch_size=batch_size or trial.batch_size,
                    pictures=pictures if trial.recipe.startswith("coco") else None,
                )
                started = time.monotonic()
                result = run(changed, samples, Path(name) / trial.recipe, checkpoint)
                short += judge(changed, result, time.monotonic() - started)
                checkpoint = Path(name) / f"{trial.recipe}.safetensors"
                save_checkpoint(checkpoint, result.model, result.model.config, {})
        if short:
            raise RegressionError("; ".join(short))
    except SuiteError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
