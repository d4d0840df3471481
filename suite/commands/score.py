"""``score``: the official numbers of anybody's results file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite.command_options import PATH, CommandGroup, FiniteRange, json_option, options, seed_option, show

if TYPE_CHECKING:
    from suite.accuracy.score import Score


def _print(score: Score, as_json: bool) -> None:
    from suite.accuracy.score import score_table

    show(as_json, score.to_json(), score_table(score))


@click.group(name="score", cls=CommandGroup)
def command() -> None:
    """Score a results file with COCO mask AP or YouTube-VIS AP, as the official evaluators do.

    Files may be .json or .json.gz; masks may be compressed or uncompressed run-length codes, polygons or, in videos,
    null. Fractions are printed in full precision with --json, -1 where a number is undefined.
    """


common = options(
    click.option("--annotations", type=PATH, required=True, help="Annotations file with the ground truth."),
    click.option("--results", type=PATH, required=True, help="Results file to score."),
    click.option("--against", type=PATH, help="Another model's results file; print the difference from it too."),
    click.option(
        "--interval",
        is_flag=True,
        help="Add 95 % intervals by a (paired) bootstrap over images or videos; 15 s for COCO val2017.",
    ),
    click.option("--resamples", type=click.IntRange(2, 100_000), default=1000, show_default=True, help="Draws."),
    seed_option("Base seed of the draws."),
    json_option(),
)


@command.command(name="coco")
@common
@click.option("--engine", default="auto", show_default=True, help="auto, pycocotools or hotcoco; all agree.")
def coco(interval: bool, resamples: int, as_json: bool, **words: Any) -> None:
    """COCO mask AP; pycocotools is the authority."""
    from suite.accuracy.mask_ap import score_coco

    _print(score_coco(resamples=resamples if interval else 0, **words), as_json)


@command.command(name="youtube-vis")
@common
@click.option(
    "--split-ids", type=PATH, help="Score only the videos of this list, made by 'data split' (--annotations: train)."
)
@click.option(
    "--official-quirks",
    is_flag=True,
    help="Also repeat what the official code gets silently wrong (cut ragged tracks, drop unknown categories ...).",
)
@click.option(
    "--hota",
    "hota_min_score",
    type=FiniteRange(),
    is_flag=False,
    flag_value=0.3,
    help="Also HOTA and IDF1 (extra 'trackers') of results that score as much; 0.3 if no number follows.",
)
def youtube_vis(
    annotations: Path, interval: bool, resamples: int, split_ids: Path | None, as_json: bool, **words: Any
) -> None:
    """YouTube-VIS AP over tracks, as the official code computes it."""
    from suite.accuracy.video_ap import score_youtube_vis

    ids = None
    if split_ids is not None:
        from suite.datasets.local_split import read_local_split

        ids = read_local_split(split_ids, annotations).video_ids
    _print(score_youtube_vis(annotations, resamples=resamples if interval else 0, video_ids=ids, **words), as_json)
