"""Which command decides a claim, what makes the command's inputs, and what it costs to get what is missing."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from suite.claims.claim import Claim
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
    """Return the command whose record would decide a claim, and what makes its inputs.

    Args:
        claim: the published number.
        counterparts: published row id -> model names.

    Returns:
        The command, empty where none of the suite could decide it (a device or a method that is not here), and the
        commands that make what it reads, empty where it reads nothing.
    """
    if claim.kind == "trend":
        return "python -m suite ablation", ""
    if claim.kind == "ratio":
        groups = [counterparts.get(operand.rsplit("/", 1)[0], ()) for operand in claim.operands]
        names = ",".join(dict.fromkeys(group[0] for group in groups if group))
        return (f"python -m suite latency host --models {names} --record" if all(groups) else ""), ""
    models = counterparts.get(claim.row_id, ())
    if claim.device:
        here = models and claim.device == "snapdragon-778g"
        command = f"python -m suite latency device --models {models[0]} --record" if here else ""
        return command, "a phone on adb, and the runner that docs/phone.md builds" if here else ""
    year = claim.dataset.split()[0]
    pin = year.replace("-", "_")
    if claim.own and models:
        command = "python -m suite reproduce --dataset coco --checkpoint model.safetensors"
        makes = "python -m suite data fetch coco-train coco-val"
        if claim.family == "youtube-vis":
            command = (
                f"python -m suite reproduce --dataset youtube-vis --pin {pin}_train --local-split --allow-unpinned "
                "--checkpoint model.safetensors"
            )
            makes = f"python -m suite data fetch {year}"
        training = next((training_command(name) for name in recipes_for(models, year)), "")
        return command, f"data: {makes}" + (f"; weights: {training}" if training else "")
    if claim.family == "coco":
        command = "python -m suite score coco --annotations data/coco/annotations/instances_val2017.json"
        makes = "annotations: python -m suite data fetch coco-val"
    else:
        command = f"python -m suite score youtube-vis --annotations data/{pin}/local-valid.json"
        makes = f"annotations: python -m suite data split {year}"
    return f"{command} --results results.json", f"{makes}; results.json: that method's own code"


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


def _size_gb(*groups: str) -> float:
    """Return the size of the archives of groups of ``datasets.dvc`` in GB; 0 where none is published."""
    return sum(pin.size or 0 for pin in load_pins().values() if pin.meta.group in groups) / 1e9


def _training(evidence: Evidence, group: list[Verdict]) -> tuple[str, float | None]:
    """Return which trainings a group of own claims needs, and their GPU hours at `ASSUMED_FLOP_PER_S`.

    The hours follow from the recipes' images and the recorded multiply-accumulates; None where those are missing.
    """
    hours, names = 0.0, []
    for row_id in dict.fromkeys(verdict.claim.row_id for verdict in group):
        models = evidence.counterparts.get(row_id, ())
        dataset = next(verdict.claim.dataset.split()[0] for verdict in group if verdict.claim.row_id == row_id)
        for name in recipes_for(models, dataset)[:1]:
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
            groups = ("coco-val", "coco-train") if claim.own else ("coco-val",)
            gigabytes = _size_gb(*groups) if claim.family == "coco" else 0.0
            data = f"{gigabytes:.0f} GB" if gigabytes else "size not published; login"
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
