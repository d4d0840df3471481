"""``data``: bring the pinned datasets to this disk, and check them."""

from __future__ import annotations

from pathlib import Path

import click

from suite.command_options import PATH, CommandGroup, json_option, show

GROUPS = click.argument("groups", nargs=-1, metavar="[GROUP]...")
UNPACK = click.option("--unpack/--no-unpack", "unpacking", default=True, show_default=True, help="Unpack archives too.")


@click.group(name="data", cls=CommandGroup)
def command() -> None:
    """Bring the datasets that datasets.dvc lists to this disk, and check them.

    GROUP is a group of datasets.dvc (embedded, coco-val, coco-train, coco-test, youtube-vis-2019, youtube-vis-2021,
    backbones), the name of one file in it, or 'all'.
    """


@command.command(name="status")
@GROUPS
@click.option(
    "--check", "checking", is_flag=True, help="Read every byte again, ask DVC too; exit code 4 if it is wrong."
)
@json_option("text")
def status(groups: tuple[str, ...], checking: bool, as_json: bool) -> int:
    """Show what is on this disk, of all groups if none is named."""
    from suite.datasets.fetch import overview, overview_table
    from suite.datasets.pins import select_pins
    from suite.datasets.state import GOOD
    from suite.errors import DATA_MISSING, PASS

    rows = overview(select_pins(groups or ("all",)), again=checking)
    show(as_json, rows, overview_table(rows))
    return DATA_MISSING if checking and any(row["status"] not in GOOD for row in rows.values()) else PASS


@command.command(name="fetch")
@GROUPS
@click.option("--mirror", help="Download zips/... and annotations/... from below this address instead.")
@UNPACK
@json_option("text")
def fetch(groups: tuple[str, ...], mirror: str | None, unpacking: bool, as_json: bool) -> None:
    """Generate or download datasets (the embedded one if none is named), verify and unpack them.

    A download goes on where a cut stopped it. What is here already is only verified. The environment's http_proxy,
    https_proxy and no_proxy are used.
    """
    from suite.datasets.fetch import fetch, overview, overview_table
    from suite.datasets.pins import select_pins

    pins = select_pins(groups)
    fetch(pins, mirror, unpacking=unpacking)
    rows = overview(pins)
    show(as_json, rows, overview_table(rows))


@command.command(name="add")
@click.argument("group")
@click.argument("source", type=PATH, required=False)
@UNPACK
@json_option("text")
def add(group: str, source: Path | None, unpacking: bool, as_json: bool) -> None:
    """Use files that you have: link what GROUP needs from SOURCE, never copy it, then verify and unpack it.

    SOURCE is a file, or a folder with the archives; without it, the files at their places are taken. A file nobody
    has published a digest of is pinned in datasets.dvc, after the health check of what was unpacked.
    """
    from suite.datasets.fetch import add, overview, overview_table
    from suite.datasets.pins import select_pins

    add(select_pins((group,)), source, unpacking)
    rows = overview(select_pins((group,)))
    show(as_json, rows, overview_table(rows))


@command.command(name="health")
@click.option("--dataset", type=click.Choice(["coco", "youtube-vis"]), required=True, help="Format of the annotations.")
@click.option("--annotations", type=PATH, required=True, help="Annotations file.")
@click.option("--images", type=PATH, required=True, help="Folder that the file names in it start from.")
@click.option("--deep", is_flag=True, help="Open every image and decode every mask instead of a sample.")
@json_option("text")
def health(dataset: str, annotations: Path, images: Path, deep: bool, as_json: bool) -> int:
    """Check that annotations and images belong together and can be read; exit code 4 if they cannot."""
    from dataclasses import asdict

    from suite.datasets.health import check_health
    from suite.errors import DATA_MISSING, PASS

    report = check_health("coco" if dataset == "coco" else "youtube-vis", annotations, images, deep)
    show(as_json, asdict(report) | {"well": report.well}, report.text())
    return PASS if report.well else DATA_MISSING


@command.command(name="split")
@click.argument("dataset", type=click.Choice(["youtube-vis-2019", "youtube-vis-2021"]))
@json_option("text")
def split(dataset: str, as_json: bool) -> None:
    """Hold out videos of YouTube-VIS train, since valid can no longer be scored, and write the list of their ids.

    The list follows from the pinned train annotations alone: as many videos as valid has, by video, every category with
    its share. It goes to suite/datasets/local_splits/; --split-ids of predict, score, train and reproduce takes it.
    """
    from suite.datasets.local_split import list_path, make_local_split
    from suite.paths import shown

    made = make_local_split(dataset)
    path, held, left = shown(list_path(dataset)), len(made.held_out), made.videos - len(made.held_out)
    counts = {"ids": path, "valid_videos": held, "train_videos": left}
    show(as_json, counts, f"{path}: {held} of {made.videos} videos held out; commit it")
