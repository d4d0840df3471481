from __future__ import annotations

from pathlib import Path

import pytest

from suite.errors import DataError, InputError
from suite.training.recipe import RECIPES, load_recipe, recipe_names

GOOD = (RECIPES / "shapes.toml").read_text()


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_are_valid_and_say_their_command(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.problems() == []
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
        ("batch_size = 8", "batch_size = 7", "even"),
        ("clip_norm = 1.0", "clip_norm = 0.0", "above 0"),
        ("horizontal_flip = 0.5", "horizontal_flip = 1.5", "between 0 and 1"),
        ("model = ", "model ", "not a recipe"),
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
        ({"nonsense": 1}, "cannot replace nonsense"),
        ({"num_classes": 7}, "cannot replace num_classes"),
        ({"decoder": "single_global"}, "query_passing must be false"),
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


def test_the_recipe_of_committed_records_keeps_its_digest() -> None:
    """Recorded runs are matched by it, so a new field must not be part of it where a recipe does not use it."""
    assert load_recipe("shapes").digest()[:16] == "2c8fcd73f39fe251"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"decay_at": [0.9, 0.5]}, "decay_at must ascend"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"image_stage_fraction": -0.5}, "image_stage_fraction must be between 0 and 1"),
        ({"weight_decay": -0.05}, "weight_decay must be at least 0"),
        ({"backbone_learning_rate_multiplier": -1.0}, "backbone_learning_rate_multiplier must be at least 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"evaluations": -1, "picture_every": -1}, "evaluations must be at least 0; picture_every must be at least 0"),
        ({"joint_share": 0.5}, "go together"),
        ({"joint_dataset": "coco", "joint_share": 0.5, "query_passing": False}, "joint_dataset needs query_passing"),
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
