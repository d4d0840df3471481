"""``data``: make the pinned datasets true on this disk, or say why they are not."""

from __future__ import annotations

import json
from pathlib import Path

import click

from suite.command_group import CommandGroup

GROUPS = click.argument("groups", nargs=-1, metavar="[GROUP]...")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
PATH = click.Path(path_type=Path)


@click.group(name="data", cls=CommandGroup)
def command() -> None:
    """Generate, fetch, verify, unpack, check and pin what datasets.dvc lists.

    GROUP is a group of datasets.dvc (embedded, coco-val, coco-train, coco-test, youtube-vis-2019, youtube-vis-2021,
    backbones), the name of one file in it, or 'all'; without one, the embedded dataset.
    """


@command.command(name="status")
@GROUPS
@AS_JSON
def status(groups: tuple[str, ...], as_json: bool) -> None:
    """Show what is on this disk, of all groups if none is named; exit code 0 whatever it is."""
    from suite.datasets.overview import overview, overview_table

    rows = overview(groups or ("all",))
    click.echo(json.dumps(rows) if as_json else overview_table(rows))


@command.command(name="generate")
def generate() -> None:
    """Generate the embedded dataset at its place, if it is absent, and verify it."""
    from suite.datasets.embedded import ensure

    click.echo(f"data/shapes: verified, {ensure()}")


@command.command(name="fetch")
@GROUPS
@click.option("--from", "source", type=PATH, help="Link files or unpacked folders found here instead of downloading.")
@click.option("--mirror", help="Address that replaces scheme and host of every download, with the same paths below it.")
@click.option("--proxy", help="HTTP proxy; the environment's http_proxy otherwise.")
@click.option("--timeout-s", type=click.FloatRange(min=0.1), default=30.0, show_default=True, help="Longest silence.")
@click.option("--unpack/--no-unpack", "unpacking", default=True, show_default=True, help="Unpack archives as well.")
@AS_JSON
def fetch(
    groups: tuple[str, ...],
    source: Path | None,
    mirror: str | None,
    proxy: str | None,
    timeout_s: float,
    unpacking: bool,
    as_json: bool,
) -> None:
    """Bring datasets here: generate, link or download (resumed after a cut), verify, unpack, ask DVC."""
    from suite.datasets.download import DownloadOptions
    from suite.datasets.fetch import fetch
    from suite.datasets.overview import overview, overview_table

    pins = fetch(groups, source, DownloadOptions(mirror, proxy, timeout_s), unpacking)
    rows = overview(tuple(pin.name for pin in pins))
    click.echo(json.dumps(rows) if as_json else overview_table(rows))


@command.command(name="verify")
@GROUPS
@AS_JSON
def verify(groups: tuple[str, ...], as_json: bool) -> None:
    """Read every byte again, ask DVC too, and fail (exit code 4) unless all is as pinned."""
    from suite.datasets.overview import overview_table, verify

    rows = verify(groups)
    click.echo(json.dumps(rows) if as_json else overview_table(rows))


@command.command(name="unpack")
@GROUPS
def unpack(groups: tuple[str, ...]) -> None:
    """Unpack verified archives; what is unpacked already is left alone."""
    from suite.datasets.pins import select_pins
    from suite.datasets.unpack import unpack

    for pin in select_pins(groups):
        if pin.unpack:
            click.echo(f"{pin.unpack}: {pin.name} {'unpacked' if unpack(pin) else 'already unpacked'}")


@command.command(name="health")
@click.option("--dataset", type=click.Choice(["coco", "youtube-vis"]), required=True, help="Format of the annotations.")
@click.option("--annotations", type=PATH, required=True, help="Annotations file.")
@click.option("--images", type=PATH, required=True, help="Folder that the file names in it start from.")
@click.option("--deep", is_flag=True, help="Open every image and decode every mask instead of a sample.")
@AS_JSON
def health(dataset: str, annotations: Path, images: Path, deep: bool, as_json: bool) -> int:
    """Check that annotations and images belong together and can be read; exit code 4 if they cannot."""
    from dataclasses import asdict

    from suite.datasets.health import check_health
    from suite.errors import DATA_MISSING, PASS

    report = check_health("coco" if dataset == "coco" else "youtube-vis", annotations, images, deep)
    click.echo(json.dumps(asdict(report) | {"well": report.well}) if as_json else report.text())
    return PASS if report.well else DATA_MISSING


@command.command(name="pin")
@click.argument("name")
def pin(name: str) -> None:
    """Measure the file NAME on this disk, compare its counts with the official ones and pin it in datasets.dvc."""
    from suite.datasets.repin import pin_from_disk

    click.echo(pin_from_disk(name))


@command.command(name="split")
@click.argument("dataset", type=click.Choice(["youtube-vis-2019", "youtube-vis-2021"]))
@AS_JSON
def split(dataset: str, as_json: bool) -> None:
    """Hold out videos of YouTube-VIS train, since valid can no longer be scored, and write the list of their ids.

    The list follows from the pinned train annotations alone: as many videos as valid has, by video, every category with
    its share. It goes to suite/datasets/local_splits/; annotations of both parts go beside the train annotations.
    """
    from dataclasses import asdict

    from suite.datasets.local_split import make_local_split

    made = make_local_split(dataset)
    click.echo(json.dumps(asdict(made)) if as_json else made.text())


@command.command(name="keep")
@click.argument("paths", nargs=-1, required=True, type=PATH)
def keep(paths: tuple[Path, ...]) -> None:
    """Track results (predictions, raw timing samples) below results/, ready for 'dvc push'."""
    from suite.datasets.keep import keep

    for path in paths:
        click.echo(keep(path))
