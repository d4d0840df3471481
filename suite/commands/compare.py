"""``compare``: what changed between two commits, records or models."""

from __future__ import annotations

import json
from pathlib import Path

import click

from suite.command_options import json_option, records_option


@click.command(name="compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--metric", help="Only this metric, e.g. mask_ap.")
@json_option()
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a Markdown table with its footnotes.")
@records_option()
def command(
    first: str, second: str, metric: str | None, as_json: bool, as_markdown: bool, records: Path | None
) -> None:
    """Print B minus A for all that both have, with a 95 % interval and a verdict.

    A and B are each a commit, a record file, a folder of records, a run id or a model's name. Two models are compared
    at their own input sizes, everything else only under the same protocol, data and, for times, machine. The verdict
    is better or worse where the interval excludes 0, undecided where it does not, equal where nothing differs.
    """
    from suite.errors import InputError
    from suite.paths import records_dir
    from suite.records.schema import METRICS
    from suite.records.store import read_folder
    from suite.report.compare import compare, comparison_table, find_side, summary
    from suite.report.formats import markdown, plain

    if metric is not None and metric not in METRICS:
        raise InputError(f"--metric {metric}: unknown; known: {', '.join(METRICS)}")
    if records is not None and not records.is_dir():
        raise InputError(f"{records}: no such folder of records; name the folder that holds the .jsonl files")
    runs, _ = read_folder(records or records_dir())
    found = compare(find_side(first, runs), find_side(second, runs), metric)
    if as_json:
        click.echo(json.dumps(found.to_json(), allow_nan=False))
        return
    table = comparison_table(found)
    click.echo(markdown(table) if as_markdown else plain(table), nl=False)
    click.echo(summary(found.pairs))
