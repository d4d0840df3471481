"""``python -m suite reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from suite.command_options import PATH, checkpoint_option


@click.command(name="reproduce")
@click.option(
    "--dataset",
    type=click.Choice(["shapes", "coco", "youtube-vis"]),
    default="shapes",
    show_default=True,
    help="shapes trains, scores, times and draws; the others predict, score and draw with a checkpoint.",
)
@click.option(
    "--seed", "seeds", type=click.IntRange(min=0), multiple=True, help="Training seed; may be repeated [default: 0]."
)
@click.option("--recipe", default="shapes", show_default=True, help="Shipped recipe or TOML file.")
@click.option("--iterations", type=click.IntRange(min=1), help="Replace the recipe's number of iterations.")
@click.option("--query-passing/--no-query-passing", default=None, help="Replace the recipe's choice.")
@click.option("--fresh", is_flag=True, help="Discard the state of an interrupted training.")
@click.option("--no-latency", is_flag=True, help="Leave the timing out.")
@click.option("--annotations", type=PATH, help="Own annotations (coco, youtube-vis).")
@click.option("--images", type=PATH, help="Folder of images or frames (coco, youtube-vis).")
@click.option("--pin", help="Without own files: dataset of datasets.dvc [default for coco: val2017].")
@click.option("--allow-unpinned", is_flag=True, help="Use --pin data that are not as pinned; the record says so.")
@click.option("--split-ids", type=PATH, help="Only the videos of this list, made by 'data split'.")
@click.option("--local-split", is_flag=True, help="Only the videos of --pin ..._train held out by rule.")
@checkpoint_option()
@click.option(
    "--key-frame-interval",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Kernel-reuse length T (youtube-vis).",
)
def command(
    dataset: Literal["shapes", "coco", "youtube-vis"],
    seeds: tuple[int, ...],
    recipe: str,
    iterations: int | None,
    query_passing: bool | None,
    fresh: bool,
    no_latency: bool,
    checkpoint: Path | None,
    key_frame_interval: int,
    **own: Any,
) -> None:
    """Measure, record, redraw reports/ and print the ledger.

    Without --checkpoint, coco and youtube-vis are measured with the shipped weights of shapes.
    """
    if dataset == "shapes":
        for name, value in {**own, "checkpoint": checkpoint}.items():
            if value:
                raise click.UsageError(f"--{name.replace('_', '-')} goes with --dataset coco or youtube-vis")
        from suite.training.recipe import load_recipe

        loaded = load_recipe(recipe, iterations=iterations, query_passing=query_passing)
        # After the check: torch takes seconds to load.
        from suite.report.render import render_report
        from suite.reproduce.shapes import reproduce_shapes

        reproduce_shapes(loaded, seeds or (0,), fresh, latency=not no_latency, draw_report=render_report)
    else:
        from suite.report.render import render_report
        from suite.reproduce.real import real_input, reproduce_real

        reproduce_real(real_input(dataset, **own), checkpoint, key_frame_interval)
        render_report()

    from suite.commands.ledger import show_ledger
    from suite.paths import records_dir

    show_ledger(records_dir())
