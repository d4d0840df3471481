"""Learns 16 real photographs by heart with the suite's own data path, loop and scorer, and fails below mask AP 50.

Run with ``nox -s checks -- overfit`` (about 15 minutes on two cores). It is no measurement of MobileInst: it shows that
targets, losses, matching, training and prediction belong together on real pictures.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from suite.accuracy.segmenter import PredictionProtocol
from suite.datasets.coco import CocoDataset
from suite.datasets.local_split import part_of
from suite.errors import DataError, RegressionError, SuiteError
from suite.progress import say
from suite.training.evaluation import Evaluation
from suite.training.loop import train
from suite.training.recipe import Recipe, load_recipe
from suite.training.sources import DataPaths, open_source

IMAGES, LEAST_MASK_AP, LONGEST_S = 16, 0.50, 20 * 60
RECIPE = Path(__file__).with_name("overfit.toml")


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


def evaluation_of(annotations: Path, images: Path, recipe: Recipe, folder: Path) -> Evaluation:
    """Return the scoring of the training pictures at the size they are trained at."""
    assert recipe.resizing is not None
    protocol = dataclasses.replace(
        PredictionProtocol.of(recipe.config()),
        short_side_px=recipe.resizing.short_sides_px[0],
        long_side_px=recipe.resizing.long_side_px,
    )
    dataset = CocoDataset.load(annotations, images)
    return Evaluation(dataset, annotations, folder / "results.json", protocol=protocol)


def overfit(coco: Path, recipe: Recipe) -> tuple[float, float]:
    """Train and score; return mask AP on the training pictures and the seconds it took.

    Raises:
        DataError: if the pictures are not here.
    """
    images = coco / "train2017"
    if not images.is_dir():
        raise DataError(f"{coco}: no real pictures; name the folder with COCO's layout, or set MOBILEINST_SHARED_DATA")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        annotations = folder / "train.json"
        write_first_images(coco / "annotations" / "instances_train2017.json", annotations, IMAGES)
        source = open_source(recipe, 0, DataPaths(annotations, images, annotations, images))
        evaluation = evaluation_of(annotations, images, recipe, folder)
        started = time.monotonic()
        train(source, "overfit", folder, evaluation)
        return evaluation.score(), time.monotonic() - started


def main() -> int:
    """Run the check on the sample pictures, or on those of the folder that the command line names."""
    coco = Path(sys.argv[1]) if len(sys.argv) > 1 else sample_folder() / "coco_mini"
    try:
        mask_ap, seconds = overfit(coco, load_recipe(str(RECIPE)))
        print(f"train mask AP {100 * mask_ap:.1f} on {IMAGES} pictures after {seconds:.0f} s")
        if mask_ap < LEAST_MASK_AP or seconds > LONGEST_S:
            raise RegressionError(f"the floor is mask AP {100 * LEAST_MASK_AP:.0f} within {LONGEST_S} s")
    except SuiteError as error:
        say(f"error: {error}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
