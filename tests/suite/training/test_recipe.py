from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch

from suite.errors import InputError
from suite.training.initial import How
from suite.training.loop import run_identity, train
from suite.training.recipe import RECIPES, Recipe, load_recipe, recipe_names
from suite.training.sources import DataPaths, open_source
from tests.suite.training.tiny import weights_of

GOOD = (RECIPES / "shapes.toml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("iterations = ", "iteration = ", "iteration"),
        ("batch_size = 8", "batch_size = 'eight'", "batch_size"),
        ("batch_size = 8", "batch_size = 7", "batch_size"),
        ("batch_size = 8", "batch_size = 1000000000", "batch_size"),
        ("clip_norm = 1.0", "clip_norm = 0.0", "clip_norm"),
        ("horizontal_flip = 0.5", "horizontal_flip = 1.5", "horizontal_flip"),
        ("model = ", "model ", "line 4"),
        ("model = ", "based_on = 'nonsense'\nmodel = ", "nonsense"),
        ("iterations = 1800", "iterations = 1" + 5000 * "0", "mine.toml"),
        ("threads = 1", "", "threads"),
    ],
)
def test_bad_recipes_are_one_line(tmp_path: Path, old: str, new: str, text: str) -> None:
    path = tmp_path / "mine.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(InputError, match=r"mine\.toml") as caught:
        load_recipe(str(path))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


DIGESTS = {
    "coco_mobilenetv2_640": "df5cfae8d78f803b",
    "coco_seaformer_base_640": "11b3e65d09d55004",
    "coco_topformer_base_512": "4ef4cf88263dc722",
    "coco_topformer_base_640": "d1547ff6a1376ed7",
    "coco_topformer_base_640_crop": "0e3cad97fc9dd42b",
    "shapes": "2762ca0d2d2e92c9",
    "shapes_ablation": "537b3c6d30d2fb7e",
    "youtube_vis_2019": "9a6a262b7effdf49",
    "youtube_vis_2019_joint": "adb73ff69673d2f2",
    "youtube_vis_2021": "735a2ecba5a19a0a",
    "youtube_vis_2021_joint": "52df5bc23f886ea7",
}


def test_the_shipped_recipes_have_the_digests_that_records_name() -> None:
    """A new field must not be part of the digest of a recipe that does not use it."""
    assert {name: load_recipe(name).digest()[:16] for name in recipe_names()} == DIGESTS


def test_a_recipe_holds_only_what_differs_from_the_one_it_is_based_on(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('based_on = "youtube_vis_2021"\nbatch_size = 4\n')
    ours, theirs = load_recipe(str(path)), load_recipe("youtube_vis_2021")
    assert (ours.batch_size, ours.dataset, ours.weight_decay) == (4, "youtube-vis-2021", theirs.weight_decay)


PAPER = [name for name in recipe_names() if name.startswith(("coco", "youtube_vis"))]


def small(name: str) -> Recipe:
    """The recipe with its path through the code kept and its cost cut: fewer, smaller images and a narrow decoder."""
    recipe = load_recipe(name, iterations=2, batch_size=2, threads=1, checkpoint_every=9)
    resizing = recipe.resizing
    assert resizing is not None
    sides = {"short_sides_px": (64, 96), "long_side_px": 128}
    if resizing.crop_probability:
        sides |= {"crop_short_sides_px": (96,), "crop_sides_px": (64, 96)}
    narrow = {"num_queries": 10, "hidden_dim": 32, "kernel_dim": 16}
    return msgspec.structs.replace(recipe, resizing=msgspec.structs.replace(resizing, **sides), model_options=narrow)


def data_of(recipe: Recipe, shared: Path) -> DataPaths:
    coco = (shared / "coco_mini/annotations/instances_train2017.json", shared / "coco_mini/train2017")
    if recipe.dataset == "coco":
        return DataPaths(*coco)
    file = "train_2021.json" if recipe.dataset.endswith("2021") else "train.json"
    joint = coco if recipe.joint_dataset else (None, None)
    video = shared / "ytvis_mini"
    return DataPaths(video / file, video / "train/JPEGImages", None, None, *joint)


@pytest.mark.parametrize("name", PAPER)
def test_a_recipe_trains(name: str, tmp_path: Path, shared_data: Path) -> None:
    recipe = small(name)
    source = open_source(recipe, 0, data_of(recipe, shared_data))
    result = train(source, run_identity(recipe, 0, "data", "code"), tmp_path, None, How(device="cpu"))
    assert [row[0] for row in result.curve] == [1, 2]
    assert all(0 < float(row[1] or 0) < 1000 for row in result.curve)
    assert (result.curve[0][-2] is not None) == recipe.query_passing
    assert torch.isfinite(weights_of(result.model)).all()
