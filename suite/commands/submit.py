"""``submit``: results packed for an evaluation server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suite.command_group import CommandGroup

if TYPE_CHECKING:
    from suite.accuracy.submission import Submission

FILE = click.Path(path_type=Path)


@click.group(name="submit", cls=CommandGroup)
def command() -> None:
    """Write a results file as a checked package in the form that the evaluation servers took.

    The servers of COCO test-dev and YouTube-VIS closed at the end of 2025; the package is for whatever server comes.
    Its answer is stored with 'import-score'. What can be scored here needs no server: 'score'.
    """


def common(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that images and videos share."""
    options = (
        click.option("--results", type=FILE, required=True, help="Results file, anything that 'score' takes."),
        click.option(
            "--annotations", type=FILE, required=True, help="Official list of the images or videos; needs no truth."
        ),
        click.option("--out", type=FILE, required=True, help="Package to write, a .zip."),
        click.option("--trim", is_flag=True, help="Drop results beyond the evaluators' 100 per category and unit."),
        click.option(
            "--max-size-mb",
            type=click.FloatRange(min=0, min_open=True),
            default=300,
            show_default=True,
            help="Largest package; no server published its limit.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _print(written: Submission, as_json: bool) -> None:
    click.echo(json.dumps(written.to_json()) if as_json else written.text())


@command.command(name="coco")
@common
@click.option(
    "--split",
    type=click.Choice(["test-dev2017", "val2017"]),
    default="test-dev2017",
    show_default=True,
    help="Which images; it stands in the file's name.",
)
@click.option("--algorithm", help="Name in the file inside the package [default: the package's own, or mobileinst].")
def coco(
    results: Path,
    annotations: Path,
    out: Path,
    trim: bool,
    max_size_mb: float,
    as_json: bool,
    split: str,
    algorithm: str | None,
) -> None:
    """Package for COCO: detections_test-dev2017_ALGORITHM_results.json in a zip."""
    from suite.accuracy.submission import submit_coco

    _print(submit_coco(results, annotations, out, split, algorithm, trim, max_size_mb), as_json)


@command.command(name="youtube-vis")
@common
def youtube_vis(results: Path, annotations: Path, out: Path, trim: bool, max_size_mb: float, as_json: bool) -> None:
    """Package for YouTube-VIS valid or test of either year: results.json in a zip."""
    from suite.accuracy.submission import submit_youtube_vis

    _print(submit_youtube_vis(results, annotations, out, trim, max_size_mb), as_json)
