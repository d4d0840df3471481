"""Trains recipes on sample photographs and videos, scores them there, and fails below a floor of train AP.

``nox -s checks -- overfit`` (about 15 minutes on two cores) learns 16 photographs by heart: targets, losses, matching,
training and prediction belong together. ``nox -s checks -- recipes`` (nearly two hours; one alone with ``--recipe``)
trains two shipped recipes. The COCO recipe starts from random weights and the YouTube-VIS recipe from what
that left, as the paper's start from ImageNet and from COCO. Data, number of steps and images a step differ from the
recipe's, since a step as on a cluster would take a CPU half a minute; random weights also need more than the learning
rate of fine-tuning. It is no measurement of MobileInst, the pictures scored are those trained on; it shows that the
recipes which are to run for days on GPUs learn.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import click

from reference_model.weights import save_checkpoint
from suite.accuracy.segmenter import PredictionProtocol
from suite.datasets.local_split import part_of
from suite.errors import DataError, RegressionError, SuiteError
from suite.progress import say
from suite.training.evaluation import Evaluation
from suite.training.initial import How
from suite.training.loop import TrainResult, train
from suite.training.recipe import load_recipe
from suite.training.sources import DataPaths, open_source

ENDS = 5
"""Points of the training curve averaged at its start and at its end."""
PHOTOGRAPHS = ("coco_mini/annotations/instances_train2017.json", "coco_mini/train2017")


@dataclass(frozen=True)
class Trial:
    """A recipe on a sample, and what it must reach.

    Attributes:
        recipe: name of a shipped recipe, or the path of a file.
        sample: annotations, and the folder their file names start from, below the folder of samples; trained on and
            scored.
        least_ap: floor of mask or video AP on the sample, in [0, 1].
        iterations: steps of ``batch_size`` images; None: the recipe's.
        batch_size: images a step; None: the recipe's.
        learning_rate: instead of the recipe's; None: the recipe's.
        pictures: only so many of a COCO sample, without crowds; None: all.
        evaluations: how often AP is measured: one number at the end of a run would not show that it rises.
        longest_s: the training must end within it.
        scored_as_trained: score at the size that is trained at, instead of the variant's own.
    """

    recipe: str
    sample: tuple[str, str]
    least_ap: float
    iterations: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    pictures: int | None = None
    evaluations: int = 4
    longest_s: float = float("inf")
    scored_as_trained: bool = False


OVERFIT = Trial(
    str(Path(__file__).with_name("overfit.toml")),
    PHOTOGRAPHS,
    0.50,
    pictures=16,
    evaluations=3,
    longest_s=20 * 60,
    scored_as_trained=True,
)
RECIPES = (
    Trial("coco_topformer_base_512", PHOTOGRAPHS, 0.02, iterations=6400, batch_size=2, learning_rate=5e-4),
    Trial(
        "youtube_vis_2019",
        ("ytvis_mini/train.json", "ytvis_mini/train/JPEGImages"),
        0.10,
        iterations=600,
        batch_size=2,
    ),
)


def sample_folder() -> Path:
    """Return the folder of samples: MOBILEINST_SHARED_DATA, or ``shared/data`` beside the repository."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    return Path(os.environ.get("MOBILEINST_SHARED_DATA", beside))


def write_first_images(annotations: Path, path: Path, count: int) -> None:
    """Write the annotations of the first pictures of a COCO file that have an instance, without crowds."""
    whole = json.loads(annotations.read_text())
    objects = [item for item in whole["annotations"] if not item["iscrowd"]]
    shown = {item["image_id"] for item in objects}
    ids = [image["id"] for image in whole["images"] if image["id"] in shown][:count]
    path.write_text(json.dumps(part_of(whole | {"annotations": objects}, "image", set(ids))))


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
    annotations, images = (samples / path for path in trial.sample)
    if not annotations.is_file():
        raise DataError(f"{annotations}: no such sample; name the folder of samples, or set MOBILEINST_SHARED_DATA")
    recipe = load_recipe(
        trial.recipe,
        iterations=trial.iterations,
        batch_size=trial.batch_size,
        learning_rate=trial.learning_rate,
        evaluations=trial.evaluations,
    )
    folder.mkdir(parents=True)
    if trial.pictures is not None:
        write_first_images(annotations, folder / "annotations.json", trial.pictures)
        annotations = folder / "annotations.json"
    source = open_source(recipe, 0, DataPaths(annotations, images, annotations, images))
    evaluation = Evaluation.of(source, folder)
    assert evaluation is not None
    if trial.scored_as_trained:
        assert recipe.resizing is not None
        sides = {"short_side_px": recipe.resizing.short_sides_px[0], "long_side_px": recipe.resizing.long_side_px}
        evaluation.protocol = replace(PredictionProtocol.of(recipe.config()), **sides)
    return train(source, trial.recipe, folder, evaluation, How("cpu", workers=0, checkpoint=checkpoint))


def judge(trial: Trial, result: TrainResult, seconds: float) -> list[str]:
    """Print what a trial reached and return what it fell short of."""
    losses, name = [float(row[1] or 0) for row in result.curve], Path(trial.recipe).stem
    first, last = sum(losses[:ENDS]) / ENDS, sum(losses[-ENDS:]) / ENDS
    scores = [float(row[-1]) for row in result.curve if row[-1] is not None]
    label = result.metric.replace("_ap", " AP")
    on_the_way = ", ".join(f"{100 * score:.2f}" for score in scores[:-1])
    print(
        f"{name}: loss {first:.2f} to {last:.2f}, train {label} {100 * scores[-1]:.1f} "
        f"(on the way {on_the_way}) after {len(losses)} points of its curve, {seconds:.0f} s",
        flush=True,
    )
    short = [] if last < first else [f"{name}: the loss did not fall ({first:.2f} to {last:.2f})"]
    if scores[-1] <= scores[0]:
        short.append(f"{name}: train {label} did not rise ({100 * scores[0]:.2f} first)")
    if scores[-1] < trial.least_ap:
        short.append(f"{name}: the floor of train {label} is {100 * trial.least_ap:.0f}")
    if seconds > trial.longest_s:
        short.append(f"{name}: it may take {trial.longest_s:.0f} s")
    return short


@click.command()
@click.argument("check", type=click.Choice(["overfit", "recipes"]))
@click.argument("samples", type=click.Path(path_type=Path), default=sample_folder)
@click.option("--recipe", "only", type=click.Choice([trial.recipe for trial in RECIPES]), help="Run this one alone.")
def main(check: str, samples: Path, only: str | None) -> None:
    """Run a check on the folder SAMPLES, by default the one beside the repository."""
    short: list[str] = []
    try:
        with tempfile.TemporaryDirectory() as name:
            checkpoint: Path | None = None
            for number, trial in enumerate((OVERFIT,) if check == "overfit" else RECIPES):
                if only not in (None, trial.recipe):
                    continue
                started = time.monotonic()
                result = run(trial, samples, Path(name) / str(number), checkpoint)
                short += judge(trial, result, time.monotonic() - started)
                checkpoint = Path(name) / f"{number}.safetensors"
                save_checkpoint(checkpoint, result.model, result.model.config, {})
        if short:
            raise RegressionError("; ".join(short))
    except SuiteError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
