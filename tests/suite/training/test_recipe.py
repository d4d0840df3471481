from __future__ import annotations

from pathlib import Path

import pytest

from suite.errors import DataError, InputError
from suite.training.recipe import RECIPES, load_recipe, recipe_names

GOOD = (RECIPES / "shapes.toml").read_text()


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_are_valid_and_say_their_command(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.conflicts() == []
    assert (RECIPES / f"{name}.toml").read_text().startswith("# python -m suite ")


def test_overrides_replace_and_change_the_digest() -> None:
    recipe, changed = load_recipe("shapes"), load_recipe("shapes", iterations=7, query_passing=None)
    assert changed.iterations == 7
    assert changed.query_passing == recipe.query_passing
    assert recipe.digest() == load_recipe("shapes").digest() != changed.digest()


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("iterations = ", "iteration = ", "iteration"),
        ("batch_size = 8", "batch_size = 'eight'", "batch_size"),
        ("batch_size = 8", "batch_size = 7", "batch_size"),
        ("clip_norm = 1.0", "clip_norm = 0.0", "clip_norm"),
        ("horizontal_flip = 0.5", "horizontal_flip = 1.5", "horizontal_flip"),
        ("model = ", "model ", "line 4"),
        ("model = ", "based_on = 'nonsense'\nmodel = ", "nonsense"),
        ("iterations = 1800", "iterations = 1" + 5000 * "0", "mine.toml"),
        ("threads = 2", "", "threads"),
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


def test_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match="shapes"):
        load_recipe("nonsense")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"local_pooling": "median"}, "local_pooling"),
        ({"nonsense": 1}, "nonsense"),
        ({"num_classes": 7}, "num_classes"),
        ({"decoder": "single_global"}, "query_passing"),
    ],
)
def test_bad_model_options_are_one_line(options: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        load_recipe("shapes", model_options=options)
    assert "\n" not in str(caught.value)


def test_model_options_change_the_model_and_only_then_the_digest() -> None:
    plain, empty = load_recipe("shapes"), load_recipe("shapes", model_options={})
    changed = load_recipe("shapes", model_options={"local_pooling": "average"})
    assert plain.digest() == empty.digest() != changed.digest()
    assert (plain.config().local_pooling, changed.config().local_pooling) == ("max", "average")


DIGESTS = {
    "coco_mobilenetv2_640": "a0cf87f70bc6134f",
    "coco_seaformer_base_640": "0be1dcf5f9cfe2e9",
    "coco_topformer_base_512": "ea7661e5bd9e995a",
    "coco_topformer_base_640": "ad9978356a770b32",
    "coco_topformer_base_640_crop": "5a86eddf8232abed",
    "shapes": "2c8fcd73f39fe251",
    "shapes_ablation": "0ecefe05c7ed66cf",
    "youtube_vis_2019": "cd41e5b3f8aa0217",
    "youtube_vis_2019_joint": "bb1bdeae38a3a76b",
    "youtube_vis_2021": "ff2bc28c3459bc38",
    "youtube_vis_2021_joint": "6ac4947f8d4cdb4e",
}


def test_the_shipped_recipes_have_the_digests_that_records_name() -> None:
    """A new field must not be part of the digest of a recipe that does not use it."""
    assert {name: load_recipe(name).digest()[:16] for name in recipe_names()} == DIGESTS


def test_a_recipe_holds_only_what_differs_from_the_one_it_is_based_on(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('based_on = "youtube_vis_2021"\nbatch_size = 4\n')
    ours, theirs = load_recipe(str(path)), load_recipe("youtube_vis_2021")
    assert (ours.batch_size, ours.dataset, ours.weight_decay) == (4, "youtube-vis-2021", theirs.weight_decay)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"decay_at": [0.9, 0.5]}, "decay_at"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"image_stage_fraction": -0.5}, "image_stage_fraction"),
        ({"weight_decay": -0.05}, "weight_decay"),
        ({"backbone_learning_rate_multiplier": -1.0}, "backbone_learning_rate_multiplier"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"evaluations": -1}, "evaluations"),
        ({"joint_share": 0.5}, "joint_dataset"),
        ({"joint_dataset": "coco", "joint_share": 0.5, "query_passing": False}, "joint_dataset"),
        ({"precision": "fp8"}, "precision"),
        ({"resizing": {"short_sides_px": [640], "long_side_px": 320}}, "long_side_px"),
        ({"resizing": {"short_sides_px": [64], "long_side_px": 64, "crop_probability": 0.5}}, "crop_sides_px"),
        ({"resizing": {"short_sides_px": [64], "long_side_px": 64, "zoom": 2}}, "zoom"),
    ],
)
def test_bad_values_of_full_scale_fields_are_one_line(changes: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        load_recipe("shapes", **changes)
    assert "\n" not in str(caught.value)
