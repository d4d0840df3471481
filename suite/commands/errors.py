"""``errors``: why the AP of a results file is what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suite.command_group import CommandGroup

if TYPE_CHECKING:
    from suite.accuracy.error_analysis.analysis import Analysis

FILE = click.Path(path_type=Path)


@click.group(name="errors", cls=CommandGroup)
def command() -> None:
    """Tell what costs a results file its AP: kinds of error, categories, sizes, worst images or videos.

    Every wrong detection and every object that was not found is of one kind; for each kind an oracle tells what AP50
    would be without it, alone and one after the other up to 100. Kinds of masks are TIDE's (classification,
    localisation, both, duplicate, background, missed); for tracks, localisation is an identity switch, a temporal miss
    or spatial. IoU thresholds are 0.5 and 0.1.
    """


def common(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that images and videos share."""
    options = (
        click.option("--annotations", type=FILE, required=True, help="Annotations file with the ground truth."),
        click.option("--results", type=FILE, required=True, help="Results file to look into."),
        click.option(
            "--worst", type=click.IntRange(min=0), default=10, show_default=True, help="Length of the list of worst."
        ),
        click.option("--pictures", type=FILE, help="Draw the worst ones into this folder; needs --images."),
        click.option("--images", type=FILE, help="Folder where the file names of the images or frames start."),
        click.option(
            "--score-threshold",
            type=click.FloatRange(0, 1),
            default=0.3,
            show_default=True,
            help="Pictures leave out detections below it.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _require_images(pictures: Path | None, images: Path | None, worst: int) -> None:
    if (pictures is None) != (images is None):
        raise click.UsageError("--pictures FOLDER and --images FOLDER go together")
    if pictures is not None and not worst:
        raise click.UsageError("--worst 0 leaves nothing to draw; leave out --pictures")


def _print(analysis: Analysis, as_json: bool, drawn: list[Path]) -> None:
    from suite.accuracy.error_analysis.text import analysis_text
    from suite.progress import say

    click.echo(json.dumps(analysis.to_json(), allow_nan=False) if as_json else analysis_text(analysis))
    if drawn:
        say(f"{len(drawn)} pictures, {drawn[0]} to {drawn[-1].name}")


@command.command(name="coco")
@common
@click.option("--engine", default="auto", show_default=True, help="Of the official AP: auto, pycocotools or hotcoco.")
def coco(
    annotations: Path,
    results: Path,
    worst: int,
    pictures: Path | None,
    images: Path | None,
    score_threshold: float,
    as_json: bool,
    engine: str,
) -> None:
    """Errors of COCO masks, in TIDE's kinds."""
    from suite.accuracy.error_analysis.analysis import analyse_coco
    from suite.accuracy.error_analysis.pictures import draw_worst_images

    _require_images(pictures, images, worst)
    analysis = analyse_coco(annotations, results, engine, worst)
    drawn = (
        [] if pictures is None else draw_worst_images(analysis, annotations, images, results, pictures, score_threshold)
    )
    _print(analysis, as_json, drawn)


@command.command(name="youtube-vis")
@common
def youtube_vis(
    annotations: Path,
    results: Path,
    worst: int,
    pictures: Path | None,
    images: Path | None,
    score_threshold: float,
    as_json: bool,
) -> None:
    """Errors of YouTube-VIS tracks."""
    from suite.accuracy.error_analysis.analysis import analyse_youtube_vis
    from suite.accuracy.error_analysis.pictures import draw_worst_videos

    _require_images(pictures, images, worst)
    analysis = analyse_youtube_vis(annotations, results, worst)
    drawn = (
        [] if pictures is None else draw_worst_videos(analysis, annotations, images, results, pictures, score_threshold)
    )
    _print(analysis, as_json, drawn)
