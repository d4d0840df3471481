"""``python -m suite records``."""

from __future__ import annotations

from pathlib import Path

import click

from suite.command_options import metric_option, records_option


@click.command(name="records")
@records_option()
@metric_option()
@click.option("--csv", "as_csv", is_flag=True, help="Print every column as CSV.")
def command(records: Path, metric: str | None, as_csv: bool) -> None:
    """Print every measured number, one a row, and name the records that were refused; --csv prints all columns."""
    import pandas as pd

    from suite.errors import NothingMeasuredError
    from suite.progress import say
    from suite.records.long_table import long_table
    from suite.records.store import read_folder
    from suite.text_table import TextColumn, csv_words, text_table

    runs, refused = read_folder(records)
    for line in refused:
        say(f"left out: {line}")
    table = long_table(runs)
    if metric is not None and not table.empty:
        table = table[table["metric"] == metric]
    if table.empty:
        raise NothingMeasuredError("no measurement is recorded yet; run 'python -m suite reproduce'")
    if as_csv:
        harmless = table.map(lambda cell: csv_words(cell) if isinstance(cell, str) else cell)
        click.echo(harmless.to_csv(index=False), nl=False)
        return
    shown = {
        "metric": table["metric"],
        "value": table["value"].map("{:.6g}".format, na_action="ignore"),
        "model": table["model"],
        "dataset": table["dataset"],
    }
    if "protocol.seed" in table:
        shown["seed"] = table["protocol.seed"].map("{:.0f}".format, na_action="ignore")
    if "protocol.span" in table:
        shown["span"] = table["protocol.span"]
    columns = [TextColumn(name, number=name in ("value", "seed")) for name in shown]
    cells = pd.DataFrame(shown).astype(object)
    rows = cells.where(cells.notna(), "").astype(str).itertuples(index=False, name=None)
    click.echo("\n".join(text_table(columns, rows)))
