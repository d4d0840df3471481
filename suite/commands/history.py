"""``history``: how measured numbers moved from commit to commit."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command(name="history")
@click.option("--metric", help="Only this metric, e.g. video_ap50, in every setting.")
@click.option("--all", "everything", is_flag=True, help="Every metric and setting, not the headline numbers only.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with every value of every commit.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a Markdown table with its footnotes.")
@click.option("--records", type=click.Path(path_type=Path), help="Folder of record files; default: reports/records.")
def command(metric: str | None, everything: bool, as_json: bool, as_markdown: bool, records: Path | None) -> None:
    """Print each number's first, last but one and last value over the recorded commits, with the last change judged."""
    from suite.errors import InputError, NothingMeasuredError
    from suite.paths import records_dir
    from suite.records.schema import METRICS
    from suite.records.store import read_folder
    from suite.report.formats import markdown
    from suite.report.history import history_table, trends
    from suite.report.terminal_table import plain_table

    if metric is not None and metric not in METRICS:
        raise InputError(f"--metric {metric}: unknown; known: {', '.join(METRICS)}")
    if records is not None and not records.is_dir():
        raise InputError(f"{records}: no such folder of records; name the folder that holds the .jsonl files")
    runs, _ = read_folder(records or records_dir())
    found = trends(runs, metric, everything)
    if not found:
        raise NothingMeasuredError("no such number is recorded yet; run 'python -m suite reproduce'")
    if as_json:
        click.echo(json.dumps({"trends": [trend.to_json() for trend in found]}, allow_nan=False))
        return
    table = history_table(found)
    click.echo(markdown.render(table) if as_markdown else plain_table(table), nl=False)
