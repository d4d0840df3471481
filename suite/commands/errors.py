"""``errors``: which errors cost a results file its AP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reference_model.config import ASSOCIATION, ASSOCIATIONS
from suite.command_options import PATH, CommandGroup, FiniteRange, checkpoint_option, json_option, options, show

if TYPE_CHECKING:
    from suite.accuracy.error_analysis.analysis import Analysis


@click.group(name="errors", cls=CommandGroup)
def command() -> None:
    """Show which errors cost a results file AP: by kind, category, size, and the worst images or videos.

    Every wrong detection and every object that was not found is of one kind. For each kind, AP50 is computed as if
    these errors were undone, alone and one kind after the other up to 100. Kinds of masks are TIDE's (classification,
    localisation, both, duplicate, background, missed); for tracks, localisation is an identity switch, a temporal miss
    or spatial. IoU thresholds are 0.5 and 0.1.
    """


common = options(
    click.option("--annotations", type=PATH, required=True, help="Annotations file with the ground truth."),
    click.option("--results", type=PATH, required=True, help="Results file to analyse."),
    click.option("--worst", type=click.IntRange(min=0), default=10, show_default=True, help="Worst ones to list."),
    click.option("--pictures", type=PATH, help="Draw the worst ones into this folder; needs --images."),
    click.option("--images", type=PATH, help="Folder that the file names of images or frames start from."),
    click.option("--score-threshold", type=FiniteRange(0, 1), default=0.3, show_default=True, help="Least drawn."),
    json_option("tables"),
)


def _run(
    analyse: Callable[..., Analysis],
    worst: int,
    pictures: Path | None,
    images: Path | None,
    score_threshold: float,
    as_json: bool,
    **words: Any,
) -> None:
    """Analyse, draw if asked to, and print."""
    from suite.accuracy.error_analysis.output import analysis_text
    from suite.accuracy.error_analysis.pictures import draw_worst
    from suite.progress import say

    if (pictures is None) != (images is None):
        raise click.UsageError("--pictures FOLDER and --images FOLDER go together")
    if pictures is not None and not worst:
        raise click.UsageError("--worst 0 leaves nothing to draw; leave out --pictures")
    analysis = analyse(worst=worst, images=images, **words)
    drawn = [] if pictures is None else draw_worst(analysis, pictures, score_threshold)
    show(as_json, analysis.to_json(), analysis_text(analysis))
    if drawn:
        say(f"{len(drawn)} pictures, {drawn[0]} to {drawn[-1].name}")


@command.command(name="coco")
@common
@click.option("--engine", default="auto", show_default=True, help="Of the official AP: auto, pycocotools or hotcoco.")
def coco(**words: Any) -> None:
    """Errors of COCO masks, in TIDE's kinds."""
    from suite.accuracy.error_analysis.analysis import analyse_coco

    _run(analyse_coco, **words)


@command.command(name="youtube-vis")
@common
def youtube_vis(**words: Any) -> None:
    """Errors of YouTube-VIS tracks."""
    from suite.accuracy.error_analysis.analysis import analyse_youtube_vis

    _run(analyse_youtube_vis, **words)


@command.command(name="tracking")
@checkpoint_option("shapes")
@click.option("--annotations", type=PATH, required=True, help="YouTube-VIS annotations with the ground truth.")
@click.option("--images", type=PATH, required=True, help="Folder that the file names of frames start from.")
@click.option("--key-frame-interval", "intervals", type=click.IntRange(min=1), multiple=True, default=(1, 3), help="T.")
@click.option(
    "--associate-on",
    type=click.Choice(ASSOCIATIONS),
    multiple=True,
    default=("kernels", ASSOCIATION),
    help="Repeats.",
)
@json_option()
def tracking(as_json: bool, **words: Any) -> None:
    """Show what association gains a checkpoint (docs/tracking.md); options of T and rule may be repeated."""
    from suite.tracking.diagnostics import diagnose_checkpoint, tracking_table

    rows = diagnose_checkpoint(**words)
    show(as_json, [asdict(row) for row in rows], tracking_table(rows))
