"""Which command decides a claim, what makes the command's inputs, and what it costs to get what is missing."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from suite.claims.claim import SNAPDRAGON, Claim
from suite.datasets.pins import load_pins
from suite.report.evidence import Evidence, Verdict
from suite.report.table import Row, Table, TableCell, make_table

RECIPES = Path(__file__).parents[1] / "training" / "recipes"
BACKBONE = "python -m suite train {recipe} --backbone FILE"
FINE_TUNED = (
    "python -m suite train {recipe} --initial-weights runs/coco/NAME/model.safetensors "
    "--split-ids suite/datasets/local_splits/{pin}.json"
)
FORWARD_AND_BACKWARD = 3
"""Multiply-accumulates of a training step over those of the forward pass."""
ASSUMED_FLOP_PER_S = 1e13
"""What a training is assumed to sustain on one GPU."""


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
        training = "".join(f"; weights: {training_command(name)}" for name in recipes_for(models, year)[:1])
        command = f"python -m suite reproduce --dataset {what} --checkpoint model.safetensors"
        return command, f"data: python -m suite data fetch {fetch}{training}"
    what = "coco --annotations data/coco/annotations/instances_val2017.json"
    what = what if on_coco else f"youtube-vis --annotations data/{pin}/local-valid.json"
    makes = "fetch coco-val" if on_coco else f"split {year}"
    inputs = f"annotations: python -m suite data {makes}; results.json: that method's own code"
    return f"python -m suite score {what} --results results.json", inputs


@lru_cache
def _recipe(name: str) -> dict[str, Any]:
    """Return a shipped recipe, with what the one that it is based on says."""
    own = tomllib.loads((RECIPES / f"{name}.toml").read_text(encoding="utf-8"))
    return {**(_recipe(own["based_on"]) if "based_on" in own else {}), **own}


def recipes_for(models: tuple[str, ...], dataset: str) -> list[str]:
    """Return the recipes that train one of these models on a dataset, the plainest first."""
    known = {path.stem: _recipe(path.stem) for path in sorted(RECIPES.glob("*.toml"))}
    fits = [name for name, recipe in known.items() if recipe["model"] in models and recipe["dataset"] == dataset]
    return sorted(fits, key=len)


def training_command(recipe: str) -> str:
    """Return the command that trains a recipe, with the weights that it starts from."""
    start = BACKBONE if _recipe(recipe)["initial_weights"] == "imagenet" else FINE_TUNED
    return start.format(recipe=recipe, pin=_recipe(recipe)["dataset"].replace("-", "_"))


def _training(evidence: Evidence, group: list[Verdict]) -> tuple[str, float | None]:
    """Return which trainings a group of own claims needs, and their GPU hours at `ASSUMED_FLOP_PER_S`.

    The hours follow from the recipes' images and the recorded multiply-accumulates; None where those are missing.
    """
    hours, names = 0.0, []
    for row_id, dataset in {verdict.claim.row_id: verdict.claim.dataset.split()[0] for verdict in group}.items():
        for name in recipes_for(evidence.counterparts.get(row_id, ()), dataset)[:1]:
            recipe = _recipe(name)
            counted = [cell.value for cell in evidence.find("macs", recipe["model"])]
            images = recipe["iterations"] * recipe["batch_size"]
            names.append(f"{name} ({images / 1e6:.1f} M images)")
            hours += images * FORWARD_AND_BACKWARD * 2 * max(counted, default=0.0) / ASSUMED_FLOP_PER_S / 3600
    return ", ".join(names), hours or None


def cost_table(evidence: Evidence) -> Table:
    """Return what is missing and what it would cost: a row for each need of claims not run, the largest group first."""
    rows: list[Row] = []
    for reason, group in evidence.not_run.items():
        claim, command = group[0].claim, next((verdict.command for verdict in group if verdict.command), "")
        data, training, hours = "", "", None
        if claim.family and not claim.device:
            data = "size not published; login"
            if claim.family == "coco":
                groups = ("coco-val", "coco-train") if claim.own else ("coco-val",)
                size = sum(pin.size or 0 for pin in load_pins().values() if pin.meta.group in groups)
                data = f"{size / 1e9:.0f} GB"
            training, hours = _training(evidence, group) if claim.own else ("that method's own", None)
        rows.append(
            {
                "claims": TableCell(str(len(group)), len(group)),
                "what is missing": reason,
                "archives": data,
                "device": reason.removeprefix("needs ") if claim.device else "a GPU" if claim.own else "any",
                "trainings": training,
                "GPU hours": TableCell("" if hours is None else f"{hours:.{0 if hours >= 10 else 1}f}", hours),
                "decided by": command or "no command of this suite",
                "its inputs": next((verdict.inputs for verdict in group if verdict.inputs), ""),
            }
        )
    notes = (
        f"GPU hours: images of the recipes x {FORWARD_AND_BACKWARD} x 2 x recorded multiply-accumulates, at "
        f"{ASSUMED_FLOP_PER_S / 1e12:.0f} TFLOP/s sustained on one GPU, which is an assumption; train RECIPE --plan "
        "measures them on yours. Unpacked data take as much again as the archives.",
    )
    return make_table("missing", "What is missing, and what it would cost", rows, notes)
