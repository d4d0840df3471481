"""Which command decides a claim, and what makes the command's inputs: data, and trainings by the shipped recipes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from suite.claims.claim import SNAPDRAGON, Claim

RECIPES = Path(__file__).parents[1] / "training" / "recipes"
BACKBONE = "python -m suite train {recipe} --backbone FILE"
FINE_TUNED = (
    "python -m suite train {recipe} --initial-weights runs/coco/NAME/model.safetensors "
    "--split-ids suite/datasets/local_splits/{pin}.json"
)


def deciding_command(claim: Claim, counterparts: Mapping[str, tuple[str, ...]]) -> tuple[str, str]:
    """Return the command whose record would decide a claim, and the commands that make what it reads.

    The first is empty where none of the suite could (a device or a method that is not here), the second where it reads
    nothing. ``counterparts`` gives the names of the models that stand for a published row.
    """
    if claim.kind == "trend":
        return "python -m suite ablation", ""
    if claim.kind == "ratio":
        groups = [counterparts.get(operand.rsplit("/", 1)[0], ()) for operand in claim.operands]
        names = ",".join(dict.fromkeys(group[0] for group in groups if group))
        return (f"python -m suite latency host --models {names} --record" if all(groups) else ""), ""
    models = counterparts.get(claim.row_id, ())
    if claim.device:
        if not models or claim.metric != SNAPDRAGON:
            return "", ""
        makes = "a phone on adb, and the runner that docs/phone.md builds"
        return f"python -m suite latency device --models {models[0]} --record", makes
    on_coco, year = claim.family == "coco", claim.dataset.split()[0]
    pin = year.replace("-", "_")
    if claim.own and models:
        what = "coco" if on_coco else f"youtube-vis --pin {pin}_train --local-split --allow-unpinned"
        fetch = "coco-train coco-val" if on_coco else year
        training = "".join(f"; weights: {_training_command(name)}" for name in recipes_for(models, year)[:1])
        command = f"python -m suite reproduce --dataset {what} --checkpoint model.safetensors"
        return command, f"data: python -m suite data fetch {fetch}{training}"
    what = "coco --annotations data/coco/annotations/instances_val2017.json"
    what = what if on_coco else f"youtube-vis --annotations data/{pin}/local-valid.json"
    makes = "fetch coco-val" if on_coco else f"split {year}"
    inputs = f"annotations: python -m suite data {makes}; results.json: that method's own code"
    return f"python -m suite score {what} --results results.json", inputs


@lru_cache
def recipe(name: str) -> dict[str, Any]:
    """Return a shipped recipe, with what the one that it is based on says."""
    own = tomllib.loads((RECIPES / f"{name}.toml").read_text(encoding="utf-8"))
    return {**(recipe(own["based_on"]) if "based_on" in own else {}), **own}


def recipes_for(models: tuple[str, ...], dataset: str) -> list[str]:
    """Return the recipes that train one of these models on a dataset, the plainest first."""
    known = {path.stem: recipe(path.stem) for path in sorted(RECIPES.glob("*.toml"))}
    fits = [name for name, said in known.items() if said["model"] in models and said["dataset"] == dataset]
    return sorted(fits, key=len)


def _training_command(name: str) -> str:
    """Return the command that trains a recipe, with the weights that it starts from."""
    start = BACKBONE if recipe(name)["initial_weights"] == "imagenet" else FINE_TUNED
    return start.format(recipe=name, pin=recipe(name)["dataset"].replace("-", "_"))
