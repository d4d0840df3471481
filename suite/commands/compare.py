"""``compare``: what changed between two commits, records or models."""

from __future__ import annotations

from pathlib import Path

import click

from suite.command_options import json_option, metric_option, records_option, show


@click.command(name="compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@metric_option()
@json_option()
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a Markdown table with its footnotes.")
@records_option()
def command(first: str, second: str, metric: str | None, as_json: bool, as_markdown: bool, records: Path) -> None:
    """Print B minus A for all that both have, with a 95 % interval and a verdict.

    A and B are each a commit, a record file, a folder of records, a run id or a model's name. Two models are compared
    at their own input sizes, everything else only under the same protocol, data and, for times, machine. The verdict
    is better or worse where the interval excludes 0, undecided where it does not, equal where nothing differs.
    """
    from suite.records.store import read_folder
    from suite.report.compare import compare, comparison_table, find_side
    from suite.report.formats import markdown, plain

    runs, _ = read_folder(records)
    found = compare(find_side(first, runs), find_side(second, runs), metric)
    table = comparison_table(found)
    text = (markdown if as_markdown else plain)(table) + found.summary
    show(as_json, found.to_json(), text)
