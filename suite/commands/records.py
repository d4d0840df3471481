"""``python -m suite records``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="records")
@click.option("--records", "folder", type=click.Path(path_type=Path), help="Folder of record files; reports/records.")
@click.option("--metric", help="Only this metric, e.g. mask_ap.")
@click.option("--csv", "as_csv", is_flag=True, help="Print every column as CSV.")
def command(folder: Path | None, metric: str | None, as_csv: bool) -> None:
    """Print every measured number as one long table, a row each, and name the records that were refused."""
    from suite.errors import InputError, NothingMeasuredError
    from suite.paths import records_dir
    from suite.progress import say
    from suite.records.long_table import long_table
    from suite.records.schema import METRICS
    from suite.records.store import read_folder

    if metric is not None and metric not in METRICS:
        raise InputError(f"--metric {metric}: unknown; known: {', '.join(METRICS)}")
    where = folder or records_dir()
    if folder is not None and not folder.is_dir():
        raise InputError(f"{folder}: no such folder of records; name the folder that holds the .jsonl files")
    runs, refused = read_folder(where)
    for line in refused:
        say(f"left out: {line}")
    table = long_table(runs)
    if metric is not None and not table.empty:
        table = table[table["metric"] == metric]
    if table.empty:
        raise NothingMeasuredError("no measurement is recorded yet; run 'python -m suite reproduce'")
    if as_csv:
        click.echo(table.to_csv(index=False), nl=False)
        return
    columns = ["started_utc", "metric", "value", "unit", "model", "dataset", "split"]
    extra = [name for name in ("protocol.seed", "protocol.key_frame_interval", "protocol.span") if name in table]
    click.echo(table[columns + extra].to_string(index=False, na_rep=""))
