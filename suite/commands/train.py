"""``python -m suite train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from suite.command_options import PATH, Checkpoint, RegularFile, json_option, seed_option, show

REPLACED = ("iterations", "batch_size", "accumulation", "precision", "query_passing")
"""Fields of a recipe that an option replaces."""


@click.command(name="train")
@click.argument("recipe", default="shapes")
@seed_option("Base seed of weights, order and augmentation.")
@click.option("--iterations", type=click.IntRange(min=1), help="Replace the recipe's number of iterations.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), help="Replace the recipe's images per step, over all processes."
)
@click.option("--accumulation", type=click.IntRange(min=1), help="Parts that each process computes a step in.")
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), help="Replace the recipe's precision.")
@click.option("--query-passing/--no-query-passing", default=None, help="Replace the recipe's choice.")
@click.option("--fresh", is_flag=True, help="Discard the state of an interrupted run instead of resuming it.")
@click.option("--plan", "only_plan", is_flag=True, help="Measure a few steps, say what all will take, and stop.")
@json_option("text")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to compute; under torchrun each process takes its own GPU.",
)
@click.option(
    "--workers", type=click.IntRange(0, 256), default=0, show_default=True, help="Workers that draw batches ahead."
)
@click.option("--compile", "compiled", is_flag=True, help="Compile backbone and mask decoder with torch.compile.")
@click.option("--tensorboard/--no-tensorboard", default=False, show_default=True, help="Also write TensorBoard files.")
@click.option("--backbone", type=RegularFile(), help="Official ImageNet checkpoint of the backbone to start from.")
@click.option("--initial-weights", type=Checkpoint(), help="Checkpoint of this suite to start from; shapes: shipped.")
@click.option("--annotations", type=PATH, help="Training annotations instead of the pinned ones.")
@click.option("--images", type=PATH, help="Folder that their file names start from.")
@click.option("--evaluation-annotations", type=PATH, help="Annotations scored during training.")
@click.option("--evaluation-images", type=PATH, help="Folder of their images or frames.")
@click.option("--joint-annotations", type=PATH, help="COCO annotations of the images in joint training.")
@click.option("--joint-images", type=PATH, help="Folder of those images.")
@click.option("--split-ids", type=PATH, help="Hold the videos of this list out ('data split') and score on them.")
@click.option("--skip-check", is_flag=True, help="Do not look at all pictures before the first step.")
@click.option("--record", "publish", is_flag=True, help="Also put the record among the committed ones.")
def command(
    recipe: str,
    seed: int,
    fresh: bool,
    only_plan: bool,
    as_json: bool,
    device: str,
    workers: int,
    compiled: bool,
    tensorboard: bool,
    backbone: Path | None,
    initial_weights: Path | None,
    publish: bool,
    **words: Any,
) -> None:
    """Train one model from a RECIPE (name or TOML file; default: shapes) and keep it, with its record, under runs/.

    Several GPUs or machines: torchrun --nproc-per-node 8 -m suite train RECIPE. Interrupted (Ctrl-C, SIGTERM,
    SIGUSR1), the same command continues; the last two end with exit code 75, on which a batch job is requeued.
    """
    from suite.training.recipe import load_recipe

    loaded = load_recipe(recipe, **{name: words.pop(name) for name in REPLACED})
    from suite.paths import shown  # after the check: torch takes seconds to load
    from suite.training.initial import How
    from suite.training.run import CARD, train_and_record
    from suite.training.sources import DataPaths

    how = How(device, workers, compiled, tensorboard, backbone, initial_weights)
    paths = DataPaths(**words)
    if only_plan:
        from suite.training.plan import measure_plan, plan_lines

        plan = measure_plan(loaded, seed, how, paths)
        if plan is not None:
            show(as_json, plan, "\n".join(plan_lines(plan)))
        return
    made = train_and_record(loaded, seed, fresh, how, paths, publish)
    if made is None:
        return
    finished, record = made
    metric, score = finished.result.metric, finished.last_score
    result = {
        "checkpoint": shown(finished.checkpoint),
        "record": shown(record),
        "model_card": shown(finished.checkpoint.parent / CARD),
    }
    lines = [f"{name.replace('_', ' ')} {path}" for name, path in result.items()]
    if score is not None:
        units = "videos" if metric == "video_ap" else "images"
        lines.append(f"{metric.replace('_ap', ' AP')} on at most {loaded.evaluation_images} {units}: {100 * score:.1f}")
    show(as_json, {**result, metric: score}, "\n".join(lines))
