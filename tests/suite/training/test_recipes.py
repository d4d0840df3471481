"""Every shipped recipe of the paper trains."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
import torch

from suite.training.initial import How
from suite.training.loop import run_identity, train
from suite.training.recipe import Recipe, load_recipe, recipe_names
from suite.training.source import DataPaths, open_source
from tests.suite.training.tiny import weights_of

PAPER = [name for name in recipe_names() if name.startswith(("coco", "youtube_vis"))]


def small(name: str) -> Recipe:
    """The recipe with its path through the code kept and its cost cut: fewer, smaller images and fewer queries."""
    recipe = load_recipe(name, iterations=2, batch_size=2, threads=1, checkpoint_every=9)
    resizing = recipe.resizing
    assert resizing is not None
    sides = {"short_sides_px": (64, 96), "long_side_px": 128}
    if resizing.crop_probability:
        sides |= {"crop_short_sides_px": (96,), "crop_sides_px": (64, 96)}
    return msgspec.structs.replace(
        recipe, resizing=msgspec.structs.replace(resizing, **sides), model_options={"num_queries": 10}
    )


def data_of(recipe: Recipe, shared: Path) -> DataPaths:
    coco = (shared / "coco_mini/annotations/instances_train2017.json", shared / "coco_mini/train2017")
    if recipe.dataset == "coco":
        return DataPaths(*coco)
    file = "train_2021.json" if recipe.dataset.endswith("2021") else "train.json"
    joint = coco if recipe.joint_dataset else (None, None)
    video = shared / "ytvis_mini"
    return DataPaths(video / file, video / "train/JPEGImages", None, None, *joint)


@pytest.mark.parametrize("name", PAPER)
def test_a_recipe_trains(name: str, tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = small(name)
    source = open_source(recipe, 0, data_of(recipe, shared_data))
    result = train(recipe, source, 0, run_identity(recipe, 0, "data", "code"), tmp_path, None, How(device="cpu"))
    assert [row[0] for row in result.curve] == [1, 2]
    assert all(0 < float(row[1] or 0) < 1000 for row in result.curve)
    assert (result.curve[0][-2] is not None) == recipe.query_passing
    assert torch.isfinite(weights_of(result.model)).all()
    assert re.search("WITHOUT PRE-TRAINING|RANDOM WEIGHTS", capsys.readouterr().err)
