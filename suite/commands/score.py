"""``score``: the official numbers of anybody's results file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from suite.accuracy.score import Score

FILE = click.Path(path_type=Path)


def _print(score: Score, as_json: bool) -> None:
    from suite.accuracy.score_table import score_table

    click.echo(json.dumps(score.to_json(), allow_nan=False) if as_json else score_table(score))


@click.group(name="score")
def command() -> None:
    """Score a results file with COCO mask AP or YouTube-VIS AP, as the official evaluators do.

    Files may be .json or .json.gz; masks may be compressed or uncompressed run-length codes, polygons or, in videos,
    null. Fractions are printed in full precision with --json, -1 where a number is undefined.
    """


@command.command(name="coco")
@click.option("--annotations", type=FILE, required=True, help="COCO instances file with the ground truth.")
@click.option("--results", type=FILE, required=True, help="COCO results file: a list of detections with masks.")
@click.option("--engine", default="auto", show_default=True, help="auto, pycocotools or hotcoco; all give one answer.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def coco(annotations: Path, results: Path, engine: str, as_json: bool) -> None:
    """COCO mask AP; pycocotools is the authority."""
    from suite.accuracy.mask_ap import score_coco

    _print(score_coco(annotations, results, engine), as_json)


@command.command(name="youtube-vis")
@click.option("--annotations", type=FILE, required=True, help="YouTube-VIS file with the ground truth.")
@click.option("--results", type=FILE, required=True, help="YouTube-VIS results file: a list of tracks.")
@click.option(
    "--official-quirks",
    is_flag=True,
    help="Also repeat what the official code gets silently wrong (cut ragged tracks, drop unknown categories ...).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def youtube_vis(annotations: Path, results: Path, official_quirks: bool, as_json: bool) -> None:
    """YouTube-VIS AP over tracks, exactly the official semantics."""
    from suite.accuracy.video_ap import score_youtube_vis

    _print(score_youtube_vis(annotations, results, official_quirks), as_json)
