"""``data``: make the pinned datasets true on this disk, or say why they are not."""

from __future__ import annotations

import json

import click

GROUPS = click.argument("groups", nargs=-1, metavar="[GROUP]...")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")


@click.group(name="data")
def command() -> None:
    """Generate, fetch, verify and unpack what datasets.dvc pins.

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


@command.command(name="verify")
@GROUPS
@AS_JSON
def verify(groups: tuple[str, ...], as_json: bool) -> None:
    """Read every byte again, ask DVC too, and fail (exit code 4) unless all is as pinned."""
    from suite.datasets.overview import overview_table, verify

    rows = verify(groups)
    click.echo(json.dumps(rows) if as_json else overview_table(rows))
